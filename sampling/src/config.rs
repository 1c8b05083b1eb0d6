//! Settings in TOML.
//!
//! ```
//! use slipring_sampling::config::read;
//!
//! let settings = read(
//!     r#"
//!     quiet = "5s"
//!     timeout = "30s"
//!     max_bytes = "256M"
//!
//!     [[policy]]
//!     name = "health checks"
//!     rule = { all = [{ operation = "GET /health*" }, "never"] }
//!
//!     [[policy]]
//!     name = "errors"
//!     rule = "error"
//!
//!     [[policy]]
//!     name = "slow"
//!     rule = { any = [{ slower_than = "2s" }, { slower_than_most = { share = 0.99 } }] }
//!
//!     [[policy]]
//!     name = "rest"
//!     rule = { probability = 0.05 }
//!     "#,
//! )?;
//! assert_eq!(settings.policies.len(), 4);
//!
//! let text = r#"policy = [
//!     { name = "rest", rule = { probability = 5 } },
//! ]"#;
//! let told = read(text).unwrap_err().to_string();
//! assert!(told.contains("line 2") && told.contains("5 is no probability"), "{told}");
//! # Ok::<(), slipring_sampling::config::ConfigError>(())
//! ```
//!
//! Settings that are left out have their defaults. Times are written as `250ms` or `1h 30m`, sizes
//! as a number of bytes or with `K`, `M` or `G` (powers of 1,024). Texts in conditions on services,
//! operations and attributes are patterns with `*` and `?`; numbers compare as numbers. An
//! attribute has a `name` and one of `is`, `at_least`, `at_most`, `above`, `below`, `contains` and
//! `exists`, and may have a `level`.
//!
//! A table `[kept]`, which only [`read_with_kept`] takes, limits a [`Kept`](crate::Kept):
//!
//! ```
//! use slipring_sampling::config::{read, read_with_kept};
//!
//! let text = r#"
//!     policy = [{ name = "errors", rule = "error" }]
//!
//!     [kept]
//!     max_traces = 1000
//!     max_bytes = "64M"
//!     max_shared_bytes = "16M"
//!     max_trace_bytes = "4M"
//!     max_age = "6h"
//!     "#;
//! let (settings, kept) = read_with_kept(text)?;
//! assert_eq!((settings.policies.len(), kept.max_traces), (1, 1_000));
//! assert!(read(text).unwrap_err().to_string().contains("[kept]"));
//! # Ok::<(), slipring_sampling::config::ConfigError>(())
//! ```

mod attribute;

use crate::{KeptSettings, OnFull, Policy, Rule, Settings, SettingsError, Unit};
use attribute::Attribute;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use slipring::Match;
use std::fmt;
use std::time::Duration;

/// Why a text is no settings. Displayed with the line, where one is to blame.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not TOML, or has what is not known, or a value that cannot be. The message names
    /// the line.
    #[error("{0}")]
    Text(String),
    /// The settings contradict each other.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There are limits for kept traces, and nothing that keeps them.
    #[error(
        "[kept] limits the traces that are kept for questions, and none are here; leave it out"
    )]
    NothingKept,
    /// A kept trace may be larger than all of them together.
    #[error("[kept]: `max_trace_bytes` is {trace}, and `max_bytes` for all traces {all}; lower it")]
    TraceTooLarge {
        /// Bytes of one trace.
        trace: usize,
        /// Bytes of all.
        all: usize,
    },
}

/// Reads settings, and checks them.
///
/// # Errors
/// [`ConfigError`], with the line.
pub fn read(text: &str) -> Result<Settings, ConfigError> {
    match parse(text)? {
        (settings, None) => Ok(settings),
        (_, Some(_)) => Err(ConfigError::NothingKept),
    }
}

/// Reads settings of a sampler, and the limits of a [`Kept`](crate::Kept) behind it, and checks
/// them.
///
/// # Errors
/// [`ConfigError`], with the line.
pub fn read_with_kept(text: &str) -> Result<(Settings, KeptSettings), ConfigError> {
    let (settings, limits) = parse(text)?;
    Ok((settings, limits.unwrap_or_default().settings()?))
}

fn parse(text: &str) -> Result<(Settings, Option<Limits>), ConfigError> {
    let mut file: File =
        toml::from_str(text).map_err(|error| ConfigError::Text(error.to_string()))?;
    let limits = file.kept.take();
    let settings = file.settings();
    check(&settings)?;
    // What each policy says was checked where it stands; what they say together is checked here.
    crate::Sampler::new(&settings)?;
    Ok((settings, limits))
}

/// Refuses settings by which something could never happen that they ask for.
fn check(settings: &Settings) -> Result<(), ConfigError> {
    if settings.policies.is_empty() {
        let what = "there is no [[policy]], so that no trace would be kept; write at least one, such as one with \
                    name = \"all\" and rule = \"always\"";
        return Err(ConfigError::Text(what.to_owned()));
    }
    if settings.quiet > settings.timeout {
        let [quiet, timeout] = [settings.quiet, settings.timeout].map(humantime::format_duration);
        return Err(ConfigError::Text(format!(
            "`quiet` is {quiet}, longer than `timeout`, which is {timeout}, so that no trace would ever be quiet for long \
             enough; set `quiet` lower"
        )));
    }
    let mut policies = settings.policies.iter();
    let Some(last) = policies.find(|policy| matches_all(&policy.rule)) else { return Ok(()) };
    match policies.next() {
        None => Ok(()),
        Some(policy) => Err(ConfigError::Text(format!(
            "the policy {:?} would never decide, since {:?} before it matches every trace; put it before that one",
            policy.name, last.name
        ))),
    }
}

/// Returns whether a rule is known to match every trace.
fn matches_all(rule: &Rule) -> bool {
    match rule {
        Rule::Always | Rule::Never | Rule::Probability(_) => true,
        Rule::All(rules) => rules.iter().all(matches_all),
        Rule::Any(rules) | Rule::First(rules) => rules.iter().any(matches_all),
        Rule::Named(policy) => matches_all(&policy.rule),
        _ => false,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    max_bytes: Option<Bytes>,
    max_shared_bytes: Option<Bytes>,
    max_traces: Option<Positive>,
    max_trace_spans: Option<Positive>,
    max_span_bytes: Option<Bytes>,
    quiet: Option<Time>,
    timeout: Option<Time>,
    remembered: Option<usize>,
    on_full: Option<Full>,
    share: Option<Share>,
    services: Option<usize>,
    kept: Option<Limits>,
    #[serde(default)]
    policy: Vec<Named>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    max_traces: Option<Positive>,
    max_bytes: Option<Bytes>,
    max_shared_bytes: Option<Bytes>,
    max_trace_bytes: Option<Bytes>,
    max_age: Option<Time>,
}

impl Limits {
    fn settings(self) -> Result<KeptSettings, ConfigError> {
        let usual = KeptSettings::default();
        let bytes = |given: Option<Bytes>, usual| given.map_or(usual, |bytes| bytes.0);
        let all = bytes(self.max_bytes, usual.max_bytes);
        let trace = bytes(self.max_trace_bytes, usual.max_trace_bytes.min(all));
        if trace > all {
            return Err(ConfigError::TraceTooLarge { trace, all });
        }
        Ok(KeptSettings {
            max_traces: self.max_traces.map_or(usual.max_traces, |count| count.0),
            max_bytes: all,
            max_shared_bytes: bytes(self.max_shared_bytes, usual.max_shared_bytes),
            max_age: self.max_age.map_or(usual.max_age, |time| time.0),
            max_trace_bytes: trace,
        })
    }
}

impl File {
    fn settings(self) -> Settings {
        let usual = Settings::default();
        let bytes = |given: Option<Bytes>, usual| given.map_or(usual, |bytes| bytes.0);
        let count = |given: Option<Positive>, usual| given.map_or(usual, |count| count.0);
        Settings {
            max_bytes: bytes(self.max_bytes, usual.max_bytes),
            max_shared_bytes: bytes(self.max_shared_bytes, usual.max_shared_bytes),
            max_traces: count(self.max_traces, usual.max_traces),
            max_trace_spans: count(self.max_trace_spans, usual.max_trace_spans),
            max_span_bytes: bytes(self.max_span_bytes, usual.max_span_bytes),
            quiet: self.quiet.map_or(usual.quiet, |time| time.0),
            timeout: self.timeout.map_or(usual.timeout, |time| time.0),
            remembered: self.remembered.unwrap_or(usual.remembered),
            on_full: match self.on_full {
                Some(Full::Evict) => OnFull::Evict,
                Some(Full::Decide) | None => OnFull::Decide,
            },
            share: self.share.map(|share| share.0),
            services: self.services.unwrap_or(usual.services),
            policies: self.policy.into_iter().map(Named::policy).collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Full {
    Decide,
    Evict,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: Box<str>,
    rule: Wanted,
}

impl Named {
    fn policy(self) -> Policy {
        Policy::new(&*self.name, self.rule.rule())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    Always,
    Never,
    Error,
    SlowerThan(Time),
    SlowerThanMost(Most),
    Attribute(Attribute),
    Service(Pattern),
    Operation(Pattern),
    SpansAtLeast(usize),
    TracesPerSecond(Rate),
    SpansPerSecond(Rate),
    Probability(Probability),
    Few(Few),
    All(Vec<Wanted>),
    Any(Vec<Wanted>),
    First(Vec<Wanted>),
    Not(Box<Wanted>),
    Named(Box<Named>),
}

impl Wanted {
    fn rule(self) -> Rule {
        let all = |rules: Vec<Self>| rules.into_iter().map(Self::rule).collect();
        let limit =
            |unit, rate: Rate| Rule::RateLimit { unit, per_second: rate.0, burst: rate.0.max(1.0) };
        match self {
            Wanted::Always => Rule::Always,
            Wanted::Never => Rule::Never,
            Wanted::Error => Rule::Error,
            Wanted::SlowerThan(time) => Rule::SlowerThan(time.0),
            Wanted::SlowerThanMost(most) => {
                Rule::SlowerThanMost { share: most.share.0, operations: most.operations.0 }
            }
            Wanted::Attribute(attribute) => attribute.rule(),
            Wanted::Service(pattern) => Rule::Service(pattern.0),
            Wanted::Operation(pattern) => Rule::Operation(pattern.0),
            Wanted::SpansAtLeast(least) => Rule::SpansAtLeast(least),
            Wanted::TracesPerSecond(rate) => limit(Unit::Traces, rate),
            Wanted::SpansPerSecond(rate) => limit(Unit::Spans, rate),
            Wanted::Probability(probability) => Rule::Probability(probability.0),
            Wanted::Few(few) => {
                Rule::Few { count: few.count, per: few.per.0, operations: few.operations.0 }
            }
            Wanted::All(rules) => Rule::All(all(rules)),
            Wanted::Any(rules) => Rule::Any(all(rules)),
            Wanted::First(rules) => Rule::First(all(rules)),
            Wanted::Not(rule) => Rule::Not(rule.rule().into()),
            Wanted::Named(named) => Rule::Named(named.policy().into()),
        }
    }
}

/// The number of operations that a rule tells apart, unless it says another.
fn operations() -> Positive {
    Positive(1_000)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Most {
    share: Share,
    #[serde(default = "operations")]
    operations: Positive,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Few {
    count: u32,
    per: Time,
    #[serde(default = "operations")]
    operations: Positive,
}

/// A value that is checked while it is read, so that an error names its line.
macro_rules! checked {
    ($name:ident($inner:ty) from $given:ty, $check:expr) => {
        struct $name($inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let check: fn($given) -> Result<$inner, String> = $check;
                check(<$given>::deserialize(deserializer)?).map($name).map_err(de::Error::custom)
            }
        }
    };
}

checked!(Time(Duration) from Written, |Written::Text(text)| {
    let time = humantime::parse_duration(&text).map_err(|error| format!("{text:?}: {error}"))?;
    if time.is_zero() { Err("a time of 0".to_owned()) } else { Ok(time) }
});
checked!(Positive(usize) from usize, |number| {
    if number == 0 { Err("0, where there has to be something".to_owned()) } else { Ok(number) }
});
checked!(Probability(f64) from Number, |number| {
    let known = crate::Threshold::of_probability(number.0);
    known.map(|_| number.0).ok_or(format!("{} is no probability above 0 and up to 1", number.0))
});
checked!(Share(f64) from Number, |number| {
    let is_share = number.0 > 0.0 && number.0 < 1.0;
    if is_share { Ok(number.0) } else { Err(format!("{} is no share between 0 and 1", number.0)) }
});
checked!(Rate(f64) from Number, |number| {
    let is_rate = number.0 > 0.0 && number.0.is_finite();
    if is_rate { Ok(number.0) } else { Err(format!("{} is no rate above 0", number.0)) }
});
checked!(Pattern(Match) from String, |text| valid(Match::like(text)));
checked!(Bytes(usize) from Size, |size| match size {
    Size::Number(0) => Err("0 bytes".to_owned()),
    Size::Number(number) => Ok(number),
    Size::Text(text) => bytes(&text).ok_or_else(|| format!("{text:?} is no size, such as 256M")),
});

fn valid(condition: Match) -> Result<Match, String> {
    let checked = slipring::query::Condition::new(condition.clone());
    checked.map(|_| condition).map_err(|error| error.to_string())
}

fn bytes(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|end: char| !end.is_ascii_digit());
    let unit: usize = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit).filter(|&bytes| bytes > 0)
}

/// A time as it is written. An enum of one variant, so that an error says what to write.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a time is written as a text, such as \"250ms\" or \"1m 30s\"")]
enum Written {
    Text(String),
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a size is written as a number of bytes or as a text, such as 1000000 or \"256M\""
)]
enum Size {
    Number(usize),
    Text(String),
}

/// An integer or a fraction.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
