//! Records counted by what they have in common.

use super::find::find;
use super::problem::{Problem, take};
use super::records::StoreOf;
use super::tiers::Tiers;
use crate::answer::{self, Number};
use crate::serve::app::App;
use crate::serve::ask::{Asked, Asking, HISTORY, KEPT};
use crate::serve::condition::level_and_name;
use crate::serve::given::Given;
use crate::serve::past::{self, Reaching, Tier};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use slipring::query::{By, Level, Tally};
use slipring::{Index, Indexes as _, KeyBuf, LogRecord, MetricPoint, Span};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Parameters of groups, beside the conditions on their records.
pub const OF_GROUPS: [&str; 5] = ["by", "order", "limit", KEPT, HISTORY];

/// Upper bound of the properties by which records are grouped.
pub const MOST_PROPERTIES: usize = 3;

/// A signal whose records can be grouped.
pub trait Grouping: Asking {
    /// Properties beside the indexes' keys.
    const PROPERTIES: &'static [&'static str];

    /// Returns the value of one of these.
    fn property(&self, name: &str) -> Option<String>;

    /// Returns what quantiles are taken of.
    fn measure(&self) -> Option<f64>;

    /// Puts quantiles into a group.
    fn quantiles(group: &mut answer::Group, p50: Option<f64>, p99: Option<f64>);
}

impl Grouping for Span {
    const PROPERTIES: &'static [&'static str] = &["kind", "status"];

    fn property(&self, name: &str) -> Option<String> {
        Some(match name {
            "kind" => answer::Kind::from(self.kind()).name().to_owned(),
            _ => answer::Code::from(self.status_code()).name().to_owned(),
        })
    }

    fn measure(&self) -> Option<f64> {
        let known = self.start_unix_nanos() > 0 && self.end_unix_nanos() > 0;
        known.then(|| self.duration() as f64)
    }

    fn quantiles(group: &mut answer::Group, p50: Option<f64>, p99: Option<f64>) {
        group.p50_nanos = p50.map(|nanos| nanos as u64);
        group.p99_nanos = p99.map(|nanos| nanos as u64);
    }
}

impl Grouping for LogRecord {
    const PROPERTIES: &'static [&'static str] = &["severity", "body"];

    fn property(&self, name: &str) -> Option<String> {
        match name {
            "severity" => answer::severity_name(self.severity()).map(|name| name.into_owned()),
            _ => self.body().map(|body| body.to_string()),
        }
    }

    fn measure(&self) -> Option<f64> {
        None
    }

    fn quantiles(_: &mut answer::Group, _: Option<f64>, _: Option<f64>) {}
}

impl Grouping for MetricPoint {
    const PROPERTIES: &'static [&'static str] = &["unit"];

    fn property(&self, _: &str) -> Option<String> {
        Some(self.metric().unit().to_owned())
    }

    fn measure(&self) -> Option<f64> {
        self.number()
    }

    fn quantiles(group: &mut answer::Group, p50: Option<f64>, p99: Option<f64>) {
        group.p50 = p50.map(Number::from);
        group.p99 = p99.map(Number::from);
    }
}

/// A property by which records are grouped.
pub enum Property {
    Own(&'static str),
    Index(usize),
    Attribute(Option<Level>, String),
}

impl Property {
    pub fn read<T: Grouping>(name: &str) -> Result<Self, String> {
        if let Some(attribute) = name.strip_prefix("attribute:") {
            let (level, name) = level_and_name(attribute)?;
            return Ok(Self::Attribute(level, name));
        }
        if let Some(own) = T::PROPERTIES.iter().find(|own| **own == name) {
            return Ok(Self::Own(own));
        }
        let indexes: Vec<&str> = T::INDEXES.as_slice().iter().map(Index::name).collect();
        let place = indexes.iter().position(|index| *index == name);
        place.map(Self::Index).ok_or_else(|| {
            let known: Vec<&str> = indexes.iter().chain(T::PROPERTIES).copied().collect();
            format!("give {}, or attribute:[level:]name", known.join(", "))
        })
    }

    pub fn of<T: Grouping>(&self, record: &T) -> Option<String> {
        match self {
            Self::Own(name) => record.property(name),
            Self::Index(place) => {
                T::INDEXES.as_slice()[*place].key(record).map(|key| key.to_string())
            }
            Self::Attribute(level, name) => {
                record.read_attribute(*level, name, |value| value.to_string())
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Ordering {
    Count,
    Errors,
    P99,
}

/// Answers with groups of records.
pub async fn group<T: Grouping>(
    State(app): State<Arc<App>>,
    given: Given,
    store: StoreOf<T>,
) -> Result<Response, Problem> {
    let mut given = given.read()?;
    let order = match take(&mut given, "order")?.as_deref() {
        None | Some("count") => Ordering::Count,
        Some("errors") => Ordering::Errors,
        Some("p99") => Ordering::P99,
        Some(other) => {
            return Err(Problem::Bad(format!("order={other}: give count, errors or p99")));
        }
    };
    let names: Vec<String> =
        given.extract_if(.., |(name, _)| name == "by").map(|(_, value)| value).collect();
    if names.is_empty() || names.len() > MOST_PROPERTIES {
        return Err(Problem::Bad(format!(
            "give by= once to {MOST_PROPERTIES} times, such as by=service or by=attribute:http.route"
        )));
    }
    let property = |name: &String| {
        Property::read::<T>(name).map_err(|what| Problem::Bad(format!("by={name}: {what}")))
    };
    let properties = names.iter().map(property).collect::<Result<Vec<_>, _>>()?;
    let asked = Asked::read::<T>(&given, &OF_GROUPS).map_err(Problem::Bad)?;
    let of = Arc::clone(&app);
    find(app, move |telemetry| {
        // A key of several parts is a list of them in JSON.
        let key = |record: &T| {
            let parts: Vec<_> = properties.iter().map(|property| property.of(record)).collect();
            serde_json::to_string(&parts).ok().map(|parts| KeyBuf::Text(parts.into()))
        };
        let tiers = Tiers::new(store(telemetry), &asked, of.keep.as_deref());
        let mut tally = Tally::by(By::reading(key))?;
        let (mut first, mut last) = (u64::MAX, 0);
        let mut only_kept: HashMap<Option<KeyBuf>, u64> = HashMap::new();
        let reaching = Reaching::of(&of, store(telemetry), &asked)?;
        let report = past::each(&tiers, &asked, &reaching, |tier, record| {
            let time = record.timestamp();
            // Kept traces are a choice, from a longer time: rates are without them.
            if tier == Tier::Kept {
                *only_kept.entry(key(record)).or_default() += 1;
            } else if time > 0 {
                (first, last) = (first.min(time), last.max(time));
            }
            tally.add(record, record.measure());
        })?;
        let mut groups = tally.finish();
        match order {
            Ordering::Count => {}
            Ordering::Errors => groups.sort_by_key(|one| std::cmp::Reverse(one.errors)),
            Ordering::P99 => groups.sort_by(|one, other| {
                let p99 = |one: &slipring::query::Group| one.quantile(0.99);
                p99(other).partial_cmp(&p99(one)).expect("no measurement is NaN")
            }),
        }
        let (since, until) = asked.times();
        let (first, last) = (since.unwrap_or(first), until.unwrap_or(last));
        let seconds = (first < last).then(|| (last - first) as f64 / 1e9);
        let left_out = groups.len().saturating_sub(asked.limit());
        groups.truncate(asked.limit());
        let shown = |one: &slipring::query::Group| {
            let only_kept = only_kept.get(&one.key).copied().unwrap_or(0);
            shown::<T>(one, only_kept, &names, seconds)
        };
        let told = answer::Groups {
            groups: groups.iter().map(shown).collect(),
            more: left_out > 0,
            left_out,
            seconds: seconds.map(Number::from),
            report,
        };
        Ok(Json(told).into_response())
    })
    .await
}

fn shown<T: Grouping>(
    group: &slipring::query::Group,
    from_kept: u64,
    names: &[String],
    seconds: Option<f64>,
) -> answer::Group {
    let parts = match &group.key {
        Some(KeyBuf::Text(parts)) => serde_json::from_str(parts).unwrap_or_default(),
        _ => Vec::new(),
    };
    let key: BTreeMap<String, Option<String>> = names.iter().cloned().zip(parts).collect();
    let mut shown = answer::Group {
        key,
        count: group.count,
        from_kept,
        errors: group.errors,
        rate_per_second: seconds.map(|seconds| ((group.count - from_kept) as f64 / seconds).into()),
        p50_nanos: None,
        p99_nanos: None,
        p50: None,
        p99: None,
    };
    T::quantiles(&mut shown, group.quantile(0.5), group.quantile(0.99));
    shown
}
