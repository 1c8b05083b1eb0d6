//! Parameters of the query API to queries.

use crate::Fallible;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use slipring::otlp::Exported;
use slipring::{
    Attributed, Cursor, Key, KeyBuf, Level, LogRecord, Match, MetricPoint, Order, Query, Severity, Span, StatusCode,
    TraceId,
};
use std::time::{Duration, SystemTime};

/// Records of an answer where nothing else is said, and at the most.
const LIMIT: usize = 100;
const MOST: usize = 10_000;

/// A signal that can be asked for.
pub trait Asking: Exported + Attributed + Clone + Serialize {
    /// Parameters that only this signal has.
    const OWN: &'static [&'static str];

    /// Adds the conditions that only this signal has.
    fn conditions<'q>(asked: &Asked, query: Query<'q, Self>) -> Query<'q, Self>;
}

impl Asking for Span {
    const OWN: &'static [&'static str] = &["status", "min_duration", "max_duration"];

    fn conditions<'q>(asked: &Asked, mut query: Query<'q, Self>) -> Query<'q, Self> {
        if let Some(status) = asked.status {
            query = query.status(status);
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
        match &asked.body {
            Some(body) => query.body(body.clone()),
            None => query,
        }
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

/// What somebody asks for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// For each index, keys of which a record has to carry one.
    keys: Vec<(&'static str, Vec<KeyBuf>)>,
    times: (Option<u64>, Option<u64>),
    attributes: Vec<(Option<Level>, String, Match)>,
    status: Option<StatusCode>,
    duration: (Option<u64>, Option<u64>),
    min_severity: Option<Severity>,
    body: Option<Match>,
    pub order: Option<Order>,
    limit: Option<usize>,
    after: Option<Cursor>,
    pub otlp: bool,
}

impl Asked {
    /// Reads parameters; what is wrong with the first bad one otherwise. `more` are those that the answer
    /// heeds beside conditions: such as the caller reads, and of [`PAGING`].
    pub fn read<T: Asking>(parameters: &[(String, String)], more: &[&str]) -> Result<Self, String> {
        let mut asked = Self::default();
        let indexes = T::INDEXES;
        for (name, value) in parameters {
            if let Some(index) = indexes.as_ref().iter().find(|index| **index == name) {
                let key = key(index, value)?;
                match asked.keys.iter_mut().find(|(known, _)| known == index) {
                    Some((_, keys)) => keys.push(key),
                    None => asked.keys.push((index, vec![key])),
                }
                continue;
            }
            let is_heeded = more.contains(&name.as_str());
            let is_paging = PAGING.contains(&name.as_str());
            if is_heeded && !is_paging {
                continue;
            }
            let is_known = is_heeded || COMMON.contains(&name.as_str()) || T::OWN.contains(&name.as_str());
            let read = if is_known { asked.set(name, value) } else { Err(unknown::<T>(name, more)) };
            read.map_err(|what| if is_known { format!("{name}={value}: {what}") } else { what })?;
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
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
                self.status = Some(match value.to_ascii_lowercase().as_str() {
                    "unset" => StatusCode::Unset,
                    "ok" => StatusCode::Ok,
                    "error" => StatusCode::Error,
                    _ => return Err("give unset, ok or error".to_owned()),
                });
            }
            "min_duration" => self.duration.0 = Some(duration(value)?),
            "max_duration" => self.duration.1 = Some(duration(value)?),
            "min_severity" => self.min_severity = Some(severity(value)?),
            "body" => self.body = Some(pattern(value)?),
            other => unreachable!("{other} is a known parameter"),
        }
        Ok(())
    }

    /// The conditions, without the limit.
    pub fn conditions<'q, T: Asking>(&self, mut query: Query<'q, T>) -> Query<'q, T> {
        for (index, keys) in &self.keys {
            query = query.any_of(index, keys.iter());
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

    /// The query, a page of it.
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

fn unknown<T: Asking>(name: &str, more: &[&str]) -> String {
    let indexes = T::INDEXES;
    let known: Vec<&str> = indexes.as_ref().iter().chain(&COMMON).chain(T::OWN).chain(more).copied().collect();
    format!("there is no parameter {name}; there are {}", known.join(", "))
}

fn key(index: &str, value: &str) -> Result<KeyBuf, String> {
    match index {
        "trace" => {
            let id: TraceId = value.parse().map_err(|error| format!("trace={value}: {error}"))?;
            Ok(KeyBuf::Id(id.into()))
        }
        "severity" => Ok(Key::from(severity(value).map_err(|what| format!("severity={value}: {what}"))?).to_owned()),
        _ => Ok(KeyBuf::Text(value.into())),
    }
}

fn severity(value: &str) -> Result<Severity, String> {
    let number = || value.parse().ok().map(Severity);
    Severity::named(value).or_else(number).ok_or_else(|| "give a name, such as WARN, or a number".to_owned())
}

fn named<T: DeserializeOwned>(value: &str, names: &str) -> Result<T, String> {
    serde_json::from_value(value.into()).map_err(|_| format!("give {names}"))
}

/// As many nanoseconds as 64 bits hold, or the most.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since the Unix epoch, a time as RFC 3339 has it, or how long ago. What lies before 1970 is its beginning.
fn time(value: &str) -> Result<u64, String> {
    let since_epoch = |time: SystemTime| nanoseconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let number = value.parse().ok();
    let absolute = || humantime::parse_rfc3339_weak(value).ok().map(since_epoch);
    let ago = || {
        let ago = humantime::parse_duration(value).ok()?;
        Some(SystemTime::now().checked_sub(ago).map_or(0, since_epoch))
    };
    let time = number.or_else(absolute).or_else(ago);
    time.ok_or_else(|| {
        "give nanoseconds since 1970, a time such as 2026-01-31T12:00:00Z, or how long ago, such as 15m".to_owned()
    })
}

pub fn duration(value: &str) -> Result<u64, String> {
    let parsed = || humantime::parse_duration(value).ok().map(nanoseconds);
    let nanoseconds = value.parse().ok().or_else(parsed);
    nanoseconds.ok_or_else(|| "give nanoseconds, or a duration such as 250ms".to_owned())
}

/// A pattern; of bounded length, because comparing costs its length for each character of a text.
fn pattern(value: &str) -> Result<Match, String> {
    const LONGEST: usize = 256;
    if value.len() > LONGEST {
        return Err(format!("a pattern has at most {LONGEST} bytes"));
    }
    Ok(Match::like(value))
}

/// `[level:]name`, `name=text`, `name~pattern`, `name>=number` and so on.
fn attribute(value: &str) -> Result<(Option<Level>, String, Match), String> {
    let levels = ["record", "resource", "scope", "event", "link", "exemplar"];
    let level = value.split_once(':').filter(|(level, _)| levels.contains(level));
    let (level, rest) = match level {
        Some((level, rest)) => (Some(named(level, "a level")?), rest),
        None => (None, value),
    };
    let (name, wanted) = match rest.find(['=', '~', '<', '>']) {
        None => (rest, Match::Has),
        Some(at) => {
            let (name, condition) = rest.split_at(at);
            let number = |text: &str| text.parse::<f64>().map_err(|_| format!("{text:?} is no number"));
            let wanted = match condition.as_bytes() {
                [b'>', b'=', ..] => Match::at_least(number(&condition[2..])?),
                [b'<', b'=', ..] => Match::at_most(number(&condition[2..])?),
                [b'>', ..] => Match::above(number(&condition[1..])?),
                [b'<', ..] => Match::below(number(&condition[1..])?),
                [b'~', ..] => pattern(&condition[1..])?,
                _ => Match::reads(&condition[1..]),
            };
            (name, wanted)
        }
    };
    if name.is_empty() {
        return Err("give [level:]name, name=text, name~pattern with * and ?, or name>=number".to_owned());
    }
    Ok((level, name.to_owned(), wanted))
}

/// A cursor as it goes into a link.
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
        let parameters: Vec<_> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Asked::read::<T>(&parameters, &PAGING)
    }

    #[test]
    fn parameters_are_read_or_named() {
        let asked =
            read::<Span>(&[("service", "cart"), ("service", "ad"), ("min_duration", "1ms"), ("limit", "7")]).unwrap();
        assert_eq!(asked.keys, [("service", vec![KeyBuf::Text("cart".into()), KeyBuf::Text("ad".into())])]);
        assert_eq!((asked.duration, asked.limit()), ((Some(1_000_000), None), 7));
        for (name, value, what) in [
            ("trace", "5b8e", "32 hexadecimal digits"),
            ("limit", "0", "1 to 10000"),
            ("status", "bad", "unset, ok or error"),
            ("since", "yesterday", "how long ago"),
            ("order", "best", "newest"),
            ("after", "x", "`next`"),
            ("attribute", "=x", "[level:]name"),
            ("attribute", "size>=big", "no number"),
            ("colour", "red", "there is no parameter colour; there are trace, service, name, since"),
        ] {
            let error = read::<Span>(&[(name, value)]).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        assert!(read::<MetricPoint>(&[("status", "error")]).unwrap_err().contains("no parameter status"));
        assert!(read::<LogRecord>(&[("severity", "warn"), ("min_severity", "13")]).is_ok());
    }

    #[test]
    fn attributes_are_read_with_level_and_condition() {
        let read = |text| attribute(text).unwrap();
        assert_eq!(read("http.method=GET"), (None, "http.method".into(), Match::reads("GET")));
        assert_eq!(read("resource:k8s.pod~web-*"), (Some(Level::Resource), "k8s.pod".into(), Match::like("web-*")));
        assert_eq!(read("event:exception.type"), (Some(Level::Event), "exception.type".into(), Match::Has));
        assert_eq!(read("size>=1.5"), (None, "size".into(), Match::at_least(1.5)));
        assert_eq!(read("a:b<2"), (None, "a:b".into(), Match::below(2.0)));
    }

    #[test]
    fn times_are_absolute_or_ago() {
        assert_eq!(time("1700000000000000000"), Ok(1_700_000_000_000_000_000));
        assert_eq!(time("2023-11-14T22:13:20Z"), Ok(1_700_000_000_000_000_000));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        assert!((now - 61_000_000_000..now).contains(&time("1m").unwrap()));
        assert_eq!([time("2555-01-01T00:00:00Z"), time("100years")], [Ok(u64::MAX), Ok(0)]);
        assert_eq!(duration("1000years"), Ok(u64::MAX));
    }
}
