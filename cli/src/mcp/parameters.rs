//! The tools' parameters. Their comments are what an agent reads.

use crate::client;
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;

/// Parameters of the query API, and how they are filled.
#[derive(Default)]
pub struct Asked(pub client::Parameters);

impl Asked {
    fn and(mut self, name: &str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    fn each(mut self, name: &str, values: &[String]) -> Self {
        self.0.extend(values.iter().map(|value| (name.to_owned(), value.clone())));
        self
    }

    /// Returns these parameters with the number of records that are shown.
    pub fn limited(&self, limit: usize) -> client::Parameters {
        let mut all = self.0.clone();
        all.push(("limit".to_owned(), limit.to_string()));
        all
    }
}

/// Turns a tool's parameters into those of the query API.
pub trait Parameters {
    fn asked(&self) -> Asked;
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct None {}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchTraces {
    /// Traces with spans of this service.
    pub service: Option<String>,
    /// Traces with spans of this exact name, such as "GET /cart".
    pub name: Option<String>,
    /// Traces whose root is of this service.
    pub root_service: Option<String>,
    /// True: traces with a failed span that fits the other conditions.
    #[serde(default)]
    pub failed: bool,
    /// Conditions on spans' attributes, all of which one span has to fit: "http.route=/cart",
    /// "http.response.status_code>=500", "db.system~post*", "!user.id" (absent),
    /// "resource:k8s.pod.name=a" (level before the name).
    #[serde(default)]
    pub attributes: Vec<String>,
    /// Traces that took at least this long: "250ms".
    pub at_least: Option<String>,
    /// From this time on: "15m" (ago), or "2026-01-31T12:00:00Z".
    pub since: Option<String>,
    /// Up to this time, given as for since.
    pub until: Option<String>,
    /// True: the slowest first. Otherwise the newest.
    #[serde(default)]
    pub slowest: bool,
    /// How many are shown: 10 unless given.
    pub limit: Option<usize>,
    /// Bytes that the answer may take: 6000 unless given, 60000 at most.
    pub bytes: Option<usize>,
}

impl Parameters for SearchTraces {
    fn asked(&self) -> Asked {
        Asked::default()
            .and("service", self.service.as_ref())
            .and("name", self.name.as_ref())
            .and("root_service", self.root_service.as_ref())
            .and("status", self.failed.then_some("error"))
            .each("attribute", &self.attributes)
            .and("at_least", self.at_least.as_ref())
            .and("since", self.since.as_ref())
            .and("until", self.until.as_ref())
            .and("order", self.slowest.then_some("slowest"))
    }
}

/// Which spans of a trace are shown.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Those on the critical path, and the failed ones.
    #[default]
    Important,
    /// The failed ones.
    Failed,
    /// All, in the order of the waterfall.
    All,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// The trace's id, 32 hexadecimal digits.
    pub trace_id: String,
    /// Which spans are shown: important (on the critical path, or failed), failed, or all.
    #[serde(default)]
    pub spans: Which,
    /// How many spans are left out at the beginning: what next_offset of the page before says.
    #[serde(default)]
    pub offset: usize,
    /// Bytes that the answer may take: 6000 unless given, 60000 at most.
    pub bytes: Option<usize>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    pub service: Option<String>,
    /// At least this severe: trace, debug, info, warn, error or fatal.
    pub min_severity: Option<String>,
    /// A pattern that the body fits as a whole: "*time?out*". * stands for any characters, ? for
    /// one.
    pub body: Option<String>,
    /// Logs of this trace.
    pub trace_id: Option<String>,
    /// Conditions on attributes, as for search_traces.
    #[serde(default)]
    pub attributes: Vec<String>,
    /// From this time on: "15m" (ago), or "2026-01-31T12:00:00Z".
    pub since: Option<String>,
    /// Up to this time, given as for since.
    pub until: Option<String>,
    /// True: the oldest first. Otherwise the newest.
    #[serde(default)]
    pub oldest: bool,
    /// How many are shown: 20 unless given.
    pub limit: Option<usize>,
    /// What next of the page before says.
    pub after: Option<String>,
    /// Bytes that the answer may take: 6000 unless given, 60000 at most.
    pub bytes: Option<usize>,
}

impl Parameters for Logs {
    fn asked(&self) -> Asked {
        Asked::default()
            .and("service", self.service.as_ref())
            .and("min_severity", self.min_severity.as_ref())
            .and("body", self.body.as_ref())
            .and("trace", self.trace_id.as_ref())
            .each("attribute", &self.attributes)
            .and("since", self.since.as_ref())
            .and("until", self.until.as_ref())
            .and("order", self.oldest.then_some("oldest"))
            .and("after", self.after.as_ref())
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The metric's exact name. Without it, all metrics.
    pub name: Option<String>,
    pub service: Option<String>,
    /// Conditions on points' attributes, as for search_traces.
    #[serde(default)]
    pub attributes: Vec<String>,
    /// From this time on: "15m" (ago), or "2026-01-31T12:00:00Z".
    pub since: Option<String>,
    /// How many series are shown: 10 unless given.
    pub limit: Option<usize>,
    /// How many of each series' latest points are shown: 3 unless given.
    pub points: Option<usize>,
    /// Bytes that the answer may take: 6000 unless given, 60000 at most.
    pub bytes: Option<usize>,
}

impl Parameters for Series {
    fn asked(&self) -> Asked {
        Asked::default()
            .and("name", self.name.as_ref())
            .and("service", self.service.as_ref())
            .each("attribute", &self.attributes)
            .and("since", self.since.as_ref())
            .and("points", Some(self.points.unwrap_or(3)))
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// Calls seen from this time on: "15m" (ago), or "2026-01-31T12:00:00Z".
    pub since: Option<String>,
    /// Bytes that the answer may take: 6000 unless given, 60000 at most.
    pub bytes: Option<usize>,
}

impl Parameters for Graph {
    fn asked(&self) -> Asked {
        Asked::default().and("since", self.since.as_ref())
    }
}

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    #[default]
    Spans,
    Logs,
    Metrics,
}

impl Signal {
    /// Returns its name in the query API's paths.
    pub fn path(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What is grouped: spans unless given.
    #[serde(default)]
    pub signal: Signal,
    /// What it is grouped by: name, service, or attribute:NAME such as "attribute:http.route".
    pub by: String,
    pub service: Option<String>,
    /// The exact name of spans or of a metric.
    pub name: Option<String>,
    /// True: failed spans only.
    #[serde(default)]
    pub failed: bool,
    /// Conditions on attributes, as for search_traces.
    #[serde(default)]
    pub attributes: Vec<String>,
    /// From this time on: "15m" (ago), or "2026-01-31T12:00:00Z".
    pub since: Option<String>,
    /// Up to this time, given as for since.
    pub until: Option<String>,
    /// How many groups are shown: 20 unless given.
    pub limit: Option<usize>,
    /// Bytes that the answer may take: 6000 unless given, 60000 at most.
    pub bytes: Option<usize>,
}

impl Parameters for Group {
    fn asked(&self) -> Asked {
        Asked::default()
            .and("by", Some(&self.by))
            .and("service", self.service.as_ref())
            .and("name", self.name.as_ref())
            .and("status", self.failed.then_some("error"))
            .each("attribute", &self.attributes)
            .and("since", self.since.as_ref())
            .and("until", self.until.as_ref())
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The moment's name, such as "before the deployment".
    pub name: String,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// The name that snapshot gave the moment.
    pub name: String,
    /// Which records are shown; without it, only how many of each came.
    pub signal: Option<Signal>,
    pub service: Option<String>,
    /// True: failed spans only, and logs from ERROR on.
    #[serde(default)]
    pub failed: bool,
    /// How many are shown: 20 unless given.
    pub limit: Option<usize>,
    /// What next of the page before says.
    pub after: Option<String>,
    /// Bytes that the answer may take: 6000 unless given, 60000 at most.
    pub bytes: Option<usize>,
}

impl Since {
    /// Returns the conditions on records of a signal.
    pub fn of(&self, signal: Signal, moment: &str) -> Asked {
        let asked =
            Asked::default().and("moment", Some(moment)).and("service", self.service.as_ref());
        match signal {
            Signal::Spans => asked.and("status", self.failed.then_some("error")),
            Signal::Logs => asked.and("min_severity", self.failed.then_some("error")),
            Signal::Metrics => asked,
        }
    }

    /// Returns the same with the place in the list.
    pub fn page(&self, signal: Signal, moment: &str) -> Asked {
        self.of(signal, moment).and("after", self.after.as_ref())
    }
}
