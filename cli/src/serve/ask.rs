//! Translates parameters of the query API into queries.

use super::condition::{Condition, attribute, named, pattern};
use crate::Fallible;
use crate::units::{duration, time};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use slipring::Indexes as _;
use slipring::otlp::Exported;
use slipring::query::{Attributed, Cursor};
use slipring::span::StatusCode;
use slipring::{
    Index, KeyBuf, LogRecord, Match, MetricPoint, Order, Query, Severity, Span, TraceId,
};

/// Default and maximum number of records in an answer.
const LIMIT: usize = 100;
const MOST: usize = 10_000;

/// A signal that the query API serves.
pub trait Asking: Exported + Attributed + Clone + Serialize {
    /// Parameters specific to this signal.
    const OWN: &'static [&'static str];

    /// Adds the conditions specific to this signal.
    fn conditions<'q>(asked: &Asked, query: Query<'q, Self>) -> Query<'q, Self>;
}

impl Asking for Span {
    const OWN: &'static [&'static str] = &["status", "min_duration", "max_duration", "event"];

    fn conditions<'q>(asked: &Asked, mut query: Query<'q, Self>) -> Query<'q, Self> {
        if let Some((wanted, status)) = asked.status {
            query = if wanted {
                query.status(status)
            } else {
                query.filter(move |span| span.status().code != status)
            };
        }
        for name in &asked.events {
            query = query.event(name.clone());
        }
        match asked.duration {
            (None, None) => query,
            (least, most) => query.duration(least.unwrap_or(0)..=most.unwrap_or(u64::MAX)),
        }
    }
}

impl Asking for LogRecord {
    const OWN: &'static [&'static str] = &["min_severity", "body"];

    fn conditions<'q>(asked: &Asked, mut query: Query<'q, Self>) -> Query<'q, Self> {
        if let Some(severity) = asked.min_severity {
            query = query.severity_at_least(severity);
        }
        asked.bodies.iter().fold(query, |query, body| query.body(body.clone()))
    }
}

impl Asking for MetricPoint {
    const OWN: &'static [&'static str] = &[];

    fn conditions<'q>(_: &Asked, query: Query<'q, Self>) -> Query<'q, Self> {
        query
    }
}

/// Conditions that every signal has, beside its indexes.
const COMMON: [&str; 3] = ["since", "until", "attribute"];
/// How much is shown, in which order and form; not everything that can be asked heeds these.
pub const PAGING: [&str; 4] = ["order", "limit", "after", "format"];

/// Parameters that may be repeated. Each occurrence is a condition.
const REPEATED: [&str; 3] = ["attribute", "body", "event"];

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
    pub order: Option<Order>,
    limit: Option<usize>,
    after: Option<Cursor>,
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
            if is_heeded && !PAGING.contains(&name) && sign == Sign::Is {
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
        T::conditions(self, query)
    }

    /// Adds the conditions, the order, the cursor and the limit to a query.
    pub fn page<'q, T: Asking>(&self, query: Query<'q, T>) -> Query<'q, T> {
        let mut query = self.conditions(query).limit(self.limit());
        if let Some(order) = self.order {
            query = query.order(order);
        }
        if let Some(cursor) = &self.after {
            query = query.after(cursor);
        }
        query
    }

    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT)
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

/// Returns the keys that a value stands for. The name of a severity level stands for four.
fn keys_of(index: &str, value: &str) -> Result<Vec<KeyBuf>, String> {
    match index {
        "trace" => Ok(vec![KeyBuf::Id(trace_id(value)?.into())]),
        "severity" => {
            let first = severity(value)?;
            // By its name, a level is all of it; a number is that number.
            let is_level = first.level() == first && value.parse::<i32>().is_err();
            let last = if is_level { first.0 + 3 } else { first.0 };
            Ok((first.0..=last)
                .map(|number| slipring::Key::from(Severity(number)).to_owned())
                .collect())
        }
        _ => Ok(vec![KeyBuf::Text(value.into())]),
    }
}

/// A trace's id as its tools write it: in either case, with dashes, or without the zeros that it
/// begins with.
pub fn trace_id(text: &str) -> Result<TraceId, String> {
    let digits: String = text.trim().chars().filter(|&digit| digit != '-').collect();
    if let Some(wrong) = digits.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        return Err(format!("an id has {wrong:?}, which is no hexadecimal digit"));
    }
    let id = if digits.is_empty() { digits } else { format!("{digits:0>32}") };
    let id: TraceId = id.parse().map_err(|error| format!("{error}"))?;
    if id.is_zero() {
        return Err("no trace has the id that is all zero".to_owned());
    }
    Ok(id)
}

fn severity(value: &str) -> Result<Severity, String> {
    let number = || value.parse().ok().map(Severity);
    Severity::named(value)
        .or_else(number)
        .ok_or_else(|| "give a name, such as WARN, or a number".to_owned())
}

/// Encodes a cursor as a token for a URL.
pub fn token(cursor: &Cursor) -> Fallible<String> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor)?))
}

fn cursor(token: &str) -> Result<Cursor, String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let cursor = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    cursor.ok_or_else(|| "give what `next` of a page says".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Asking>(query: &[(&str, &str)]) -> Result<Asked, String> {
        let parameters: Vec<_> =
            query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Asked::read::<T>(&parameters, &PAGING)
    }

    #[test]
    fn parameters_are_read_or_named() {
        let asked = read::<Span>(&[
            ("service", "cart"),
            ("service", "ad"),
            ("min_duration", "1ms"),
            ("limit", "7"),
        ])
        .unwrap();
        assert_eq!(
            asked.keys,
            [("service", vec![KeyBuf::Text("cart".into()), KeyBuf::Text("ad".into())])]
        );
        assert_eq!((asked.duration, asked.limit()), ((Some(1_000_000), None), 7));
        for (name, value, what) in [
            ("trace", "5b8x", "no hexadecimal digit"),
            ("trace", "", "32 hexadecimal digits has 0"),
            ("trace", "0", "all zero"),
            ("trace~", "5*", "no text"),
            ("service", "", "unknown_service"),
            ("name~", "\\", "backslash"),
            ("name", "~GET*", "write name~=GET*"),
            ("name~GET*", "", "write name~=GET*"),
            ("since", "100", "of what?"),
            ("min_duration", "100", "100ms"),
            ("since!", "1m", "takes nothing but since=value"),
            ("status~", "e*", "takes nothing but"),
            ("colour!", "red", "no parameter colour!"),
            ("limit", "0", "1 to 10000"),
            ("status", "bad", "unset, ok or error"),
            ("since", "yesterday", "how long ago"),
            ("order", "best", "newest"),
            ("after", "x", "`next`"),
            ("attribute", "=x", "[level:]name"),
            ("attribute", "size>=big", "no number"),
            (
                "colour",
                "red",
                "there is no parameter colour; there are trace, service, name, since",
            ),
        ] {
            let error = read::<Span>(&[(name, value)]).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        assert!(
            read::<MetricPoint>(&[("status", "error")])
                .unwrap_err()
                .contains("no parameter status")
        );
        assert!(read::<LogRecord>(&[("severity", "warn"), ("min_severity", "13")]).is_ok());
    }

    #[test]
    fn what_has_one_value_is_given_once() {
        for name in ["since", "limit", "status", "min_duration", "order", "after", "format"] {
            let value = match name {
                "since" => "1m",
                "limit" => "7",
                "status" => "ok",
                "min_duration" => "1s",
                "order" => "newest",
                "after" => "x",
                _ => "json",
            };
            if name == "after" {
                continue;
            }
            let error = read::<Span>(&[(name, value), (name, value)]).unwrap_err();
            assert!(error.contains("give it once"), "{error}");
        }
        let twice = read::<LogRecord>(&[
            ("body", "*a*"),
            ("body!~", "*b*"),
            ("attribute", "x"),
            ("attribute", "y"),
        ]);
        let twice = twice.unwrap();
        assert_eq!((twice.bodies.len(), twice.attributes.len()), (2, 2));
    }

    #[test]
    fn keys_take_signs() {
        assert_eq!(
            read::<Span>(&[("service", "=a")]).unwrap().keys,
            [("service", vec![KeyBuf::Text("a".into())])]
        );
        let asked = read::<Span>(&[
            ("service!", "a"),
            ("service!", "b"),
            ("name~", "GET*"),
            ("name!~", "*x"),
        ])
        .unwrap();
        assert_eq!(
            asked.unwanted,
            [("service", vec![KeyBuf::Text("a".into()), KeyBuf::Text("b".into())])]
        );
        assert_eq!(asked.alike, [("name", Match::like("GET*")), ("name", !Match::like("*x"))]);
        assert_eq!(
            read::<Span>(&[("status!", "ok")]).unwrap().status,
            Some((false, StatusCode::Ok))
        );
        assert_eq!(
            read::<Span>(&[("event", "exception")]).unwrap().events,
            [Match::reads("exception")]
        );
    }

    #[test]
    fn a_severity_by_its_level_is_all_four() {
        let keys = |value: &str| {
            let asked = read::<LogRecord>(&[("severity", value)]).unwrap();
            asked.keys[0].1.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(keys("error"), ["17", "18", "19", "20"]);
        assert_eq!((keys("ERROR2"), keys("17")), (vec!["18".to_owned()], vec!["17".to_owned()]));
        assert!(read::<LogRecord>(&[("severity", "0")]).unwrap_err().contains("1 to 24"));
        for beyond in ["25", "-1"] {
            assert!(
                read::<LogRecord>(&[("min_severity", beyond)]).unwrap_err().contains("1 to 24"),
                "{beyond}"
            );
        }
        assert!(read::<MetricPoint>(&[("type", "foo")]).unwrap_err().contains("gauge, sum"));
    }

    #[test]
    fn trace_ids_are_read_as_tools_write_them() {
        let id = TraceId::from(0x00f0_67aa_0ba9_02b7);
        for text in [
            "f067aa0ba902b7",
            "00F067AA0BA902B7",
            "00000000-0000-0000-00f0-67aa0ba902b7",
            " f067aa0ba902b7 ",
        ] {
            assert_eq!(trace_id(text), Ok(id), "{text}");
        }
        assert!(trace_id(&"1".repeat(33)).is_err());
    }
}
