//! Translates parameters of the query API into queries.

mod after;
mod key;
mod signal;
#[cfg(test)]
mod tests;

pub use after::{After, Both};
pub use key::{moment_token, token, trace_id};
pub use signal::Asking;

use super::condition::{Condition, attribute, named, pattern};
use super::keep::Keep;
use super::past::Sought;
use crate::units::{duration, time};
use key::{cursor, keys_of, moment, severity};
use slipring::Indexes as _;
use slipring::span::StatusCode;
use slipring::telemetry::TelemetryBookmark;
use slipring::{Index, KeyBuf, Match, Order, Query, Severity, TraceId};

/// Default and maximum number of records in an answer.
const LIMIT: usize = 100;
pub const MOST: usize = 10_000;

/// Conditions that every signal has, beside its indexes.
pub const COMMON: [&str; 3] = ["since", "until", "attribute"];
/// How much is shown, in which order and form; not everything that can be asked heeds these.
pub const PAGING: [&str; 4] = ["order", "limit", "after", "format"];

/// The parameter for what arrived after a moment that the server told. Tails do not take it: they
/// begin now.
pub const MOMENT: &str = "moment";

/// The parameter that leaves kept traces out.
pub const KEPT: &str = "kept";

/// The parameter that says whether the history's files are asked, too.
pub const HISTORY: &str = "history";

/// Parameters that may be repeated. Each occurrence is a condition.
pub const REPEATED: [&str; 3] = ["attribute", "body", "event"];

/// A parsed query.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// For each index, keys of which a record has to carry one.
    keys: Vec<(&'static str, Vec<KeyBuf>)>,
    /// For each index, keys of which a record must carry none.
    unwanted: Vec<(&'static str, Vec<KeyBuf>)>,
    /// For each index, a pattern that a record's key must match.
    alike: Vec<(&'static str, Match)>,
    times: (Option<u64>, Option<u64>),
    attributes: Vec<Condition>,
    /// Whether it has to be this one, or any other.
    status: Option<(bool, StatusCode)>,
    duration: (Option<u64>, Option<u64>),
    events: Vec<Match>,
    min_severity: Option<Severity>,
    bodies: Vec<Match>,
    moment: Option<TelemetryBookmark>,
    /// Whether kept traces are left out.
    of_store_alone: bool,
    /// Whether files are asked, if that was said.
    history: Option<bool>,
    pub order: Option<Order>,
    limit: Option<usize>,
    after: Option<After>,
    pub otlp: bool,
}

/// The operator between a parameter's name and its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Is,
    IsNot,
    Like,
    Unlike,
}

impl Sign {
    /// `service!=cart` comes as a parameter `service!`.
    fn of(name: &str) -> (&str, Self) {
        let signs = [("!~", Self::Unlike), ("!", Self::IsNot), ("~", Self::Like)];
        let found = signs.into_iter().find_map(|(end, sign)| Some((name.strip_suffix(end)?, sign)));
        found.unwrap_or((name, Self::Is))
    }

    /// What a value must be like.
    fn on(self, value: &str) -> Result<Match, String> {
        Ok(match self {
            Self::Is => Match::reads(value),
            Self::IsNot => !Match::reads(value),
            Self::Like => pattern(value)?,
            Self::Unlike => !pattern(value)?,
        })
    }
}

impl Asked {
    /// Reads parameters; what is wrong with the first bad one otherwise. `more` are those that the
    /// answer heeds beside conditions: such as the caller reads, and of [`PAGING`].
    pub fn read<T: Asking>(parameters: &[(String, String)], more: &[&str]) -> Result<Self, String> {
        let mut asked = Self::default();
        let indexes = names::<T>();
        for (at, (given, value)) in parameters.iter().enumerate() {
            let (name, sign) = Sign::of(given);
            if let Some(index) = indexes.iter().find(|index| **index == name) {
                let value = match (sign, value.split_at_checked(1)) {
                    // As other languages write it; no one's name begins so.
                    (Sign::Is, Some(("=", value))) => value,
                    (Sign::Is, Some(("~", pattern))) => {
                        return Err(format!(
                            "{given}={value}: write {name}~={pattern} for a pattern"
                        ));
                    }
                    _ => value,
                };
                asked
                    .by_key::<T>(index, sign, value)
                    .map_err(|what| format!("{given}={value}: {what}"))?;
                continue;
            }
            let is_heeded = more.contains(&name);
            let is_known = is_heeded || COMMON.contains(&name) || T::OWN.contains(&name);
            if !is_known {
                return Err(unknown::<T>(given, more));
            }
            let wrong = |what: String| format!("{given}={value}: {what}");
            let is_again = parameters[..at].iter().any(|(before, _)| Sign::of(before).0 == name);
            if is_again && !REPEATED.contains(&name) {
                return Err(wrong(format!("{name} was given before; give it once")));
            }
            if is_heeded
                && !PAGING.contains(&name)
                && ![MOMENT, KEPT, HISTORY].contains(&name)
                && sign == Sign::Is
            {
                continue;
            }
            asked.set(name, sign, value).map_err(wrong)?;
        }
        Ok(asked)
    }

    fn by_key<T: Asking>(
        &mut self,
        index: &&'static str,
        sign: Sign,
        value: &str,
    ) -> Result<(), String> {
        let keys = match sign {
            Sign::Is => &mut self.keys,
            Sign::IsNot => &mut self.unwanted,
            Sign::Like | Sign::Unlike => {
                if matches!(*index, "trace" | "severity") {
                    return Err(format!(
                        "{index} is no text that a pattern could fit; give {index}= or {index}!="
                    ));
                }
                self.alike.push((index, sign.on(value)?));
                return Ok(());
            }
        };
        let read = keys_of(index, value)?;
        let indexes = T::INDEXES;
        let found = indexes.as_slice().iter().find(|known| known.name() == *index);
        let found = found.expect("it was found there");
        if let Some(instead) = read.iter().find_map(|key| found.wrong_key(key.as_key())) {
            return Err(format!("give {instead}"));
        }
        match keys.iter_mut().find(|(known, _)| known == index) {
            Some((_, keys)) => keys.extend(read),
            None => keys.push((index, read)),
        }
        Ok(())
    }

    fn set(&mut self, name: &str, sign: Sign, value: &str) -> Result<(), String> {
        let takes_signs = matches!(name, "body" | "event");
        if sign != Sign::Is && !takes_signs && !(name == "status" && sign == Sign::IsNot) {
            return Err(format!("{name} takes nothing but {name}=value"));
        }
        match name {
            "since" => self.times.0 = Some(time(value)?),
            "until" => self.times.1 = Some(time(value)?),
            "attribute" => self.attributes.push(attribute(value)?),
            "order" => self.order = Some(named(value, "newest, oldest, latest or earliest")?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                self.limit = Some(limit.ok_or_else(|| format!("give a number from 1 to {MOST}"))?);
            }
            "after" => self.after = Some(cursor(value)?),
            MOMENT => self.moment = Some(moment(value)?),
            KEPT => match value {
                "no" => self.of_store_alone = true,
                "yes" => self.of_store_alone = false,
                _ => return Err("give yes or no".to_owned()),
            },
            HISTORY => match value {
                "true" => self.history = Some(true),
                "false" => self.history = Some(false),
                _ => return Err("give true or false".to_owned()),
            },
            "format" => match value {
                "json" => self.otlp = false,
                "otlp" => self.otlp = true,
                _ => return Err("give json or otlp".to_owned()),
            },
            "status" => {
                let code = match value.to_ascii_lowercase().as_str() {
                    "unset" => StatusCode::Unset,
                    "ok" => StatusCode::Ok,
                    "error" => StatusCode::Error,
                    _ => return Err("give unset, ok or error".to_owned()),
                };
                self.status = Some((sign == Sign::Is, code));
            }
            "min_duration" => self.duration.0 = Some(duration(value)?),
            "max_duration" => self.duration.1 = Some(duration(value)?),
            "event" => self.events.push(sign.on(value)?),
            "min_severity" => {
                let named = severity(value)?;
                let least = Some(named).filter(|least| (0..=Severity::FATAL4.0).contains(&least.0));
                self.min_severity =
                    Some(least.ok_or("give a name, such as WARN, or a number from 1 to 24")?);
            }
            // A body's = takes a pattern, too: few know a whole one.
            "body" => {
                self.bodies.push(if sign == Sign::Is { pattern(value)? } else { sign.on(value)? })
            }
            other => unreachable!("{other} is a known parameter"),
        }
        Ok(())
    }

    /// Adds the conditions to a query, without the limit.
    pub fn conditions<'q, T: Asking>(&self, mut query: Query<'q, T>) -> Query<'q, T> {
        for (index, keys) in &self.keys {
            query = query.any_of(index, keys.iter());
        }
        for (index, keys) in &self.unwanted {
            query = query.none_of(index, keys.iter());
        }
        for (index, value) in &self.alike {
            query = query.key_matches(index, value.clone());
        }
        if self.times != (None, None) {
            query = query.between(self.times.0.unwrap_or(0)..=self.times.1.unwrap_or(u64::MAX));
        }
        for (level, name, value) in &self.attributes {
            query = match level {
                Some(level) => query.attribute_at(*level, name.as_str(), value.clone()),
                None => query.attribute(name.as_str(), value.clone()),
            };
        }
        if let Some(moment) = &self.moment {
            query = query.since(T::cut(moment));
        }
        T::conditions(self, query)
    }

    /// Adds the conditions, the order, the cursor and the limit to a query.
    pub fn page<'q, T: Asking>(&self, query: Query<'q, T>) -> Query<'q, T> {
        let mut query = self.conditions(query).limit(self.limit());
        if let Some(order) = self.order {
            query = query.order(order);
        }
        if let Some(After::Store(cursor)) = &self.after {
            query = query.after(cursor);
        }
        query
    }

    /// Returns whether the question is about kept traces as well. What arrived after a moment has
    /// nothing to do with what is kept.
    pub fn asks_kept(&self) -> bool {
        self.moment.is_none() && !self.of_store_alone
    }

    /// Returns the kept traces that the question is about: those that it names, or else all, the
    /// newest first.
    pub fn kept(&self, keep: &Keep) -> Vec<TraceId> {
        if !self.asks_kept() {
            return Vec::new();
        }
        let Some(named) = self.named_traces() else { return keep.ids() };
        let of = |key: &KeyBuf| match key {
            KeyBuf::Id(id) => Some(TraceId::from(*id)),
            _ => None,
        };
        named.iter().filter_map(of).filter(|id| keep.get(*id).is_some()).collect()
    }

    /// Returns whether the question is about traces that it names.
    pub fn names_traces(&self) -> bool {
        self.named_traces().is_some()
    }

    fn named_traces(&self) -> Option<&[KeyBuf]> {
        let named = self.keys.iter().find(|(index, _)| *index == "trace");
        named.map(|(_, keys)| &keys[..])
    }

    /// Returns whether files are asked, if that was said.
    pub fn history(&self) -> Option<bool> {
        self.history
    }

    /// Returns whether only what arrived after a moment is asked for.
    pub fn has_moment(&self) -> bool {
        self.moment.is_some()
    }

    /// Returns where the page begins, if it is not the first.
    pub fn after(&self) -> Option<&After> {
        self.after.as_ref()
    }

    /// Returns the conditions by which files are passed over.
    pub fn sought(&self) -> Sought {
        let services = self.keys.iter().find(|(index, _)| *index == "service");
        let name = |key: &KeyBuf| match key {
            KeyBuf::Text(name) => Some(name.to_string()),
            _ => None,
        };
        let id = |key: &KeyBuf| match key {
            KeyBuf::Id(id) => Some(TraceId::from(*id)),
            _ => None,
        };
        let (since, until) = self.times;
        Sought {
            times: Some(since.unwrap_or(0)..=until.unwrap_or(u64::MAX)),
            traces: self.named_traces().map(|named| named.iter().filter_map(id).collect()),
            services: services.map(|(_, names)| names.iter().filter_map(name).collect()),
            earliest_first: false,
        }
    }

    /// Returns whether the page before showed kept records as well.
    pub fn continues_both(&self) -> bool {
        matches!(self.after, Some(After::Both(_)))
    }

    /// Returns where a page begins that shows records of the store and of kept traces.
    pub fn both(&self) -> Both {
        let store = match &self.after {
            Some(After::Both(both)) => return both.clone(),
            Some(After::Store(cursor)) => Some(cursor.clone()),
            Some(After::Timed(_)) | None => None,
        };
        let order = self.order.unwrap_or_default();
        Both { order, store, ended: false, shown: None, time: None, may_repeat: false }
    }

    /// Adds the conditions and the place of the store's part of such a page to a query.
    pub fn page_from<'q, T: Asking>(&self, query: Query<'q, T>, from: &Both) -> Query<'q, T> {
        let query = self.conditions(query).order(from.order);
        match &from.store {
            Some(cursor) => query.after(cursor),
            None => query,
        }
    }

    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT)
    }

    /// Returns `since` and `until`, as far as they were given.
    pub fn times(&self) -> (Option<u64>, Option<u64>) {
        self.times
    }
}

/// Returns the names of the signal's indexes.
fn names<T: Asking>() -> Vec<&'static str> {
    T::INDEXES.as_slice().iter().map(Index::name).collect()
}

fn unknown<T: Asking>(name: &str, more: &[&str]) -> String {
    let known: Vec<&str> =
        names::<T>().iter().chain(&COMMON).chain(T::OWN).chain(more).copied().collect();
    // Without an = after it, a sign is taken for a part of the name.
    let instead = name
        .split_once('~')
        .map(|(name, pattern)| format!("; for a pattern write {name}~={pattern}"));
    format!(
        "there is no parameter {name}; there are {}{}",
        known.join(", "),
        instead.unwrap_or_default()
    )
}
