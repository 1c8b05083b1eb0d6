//! Log records.

use super::plain::is_zero;
use super::{
    AnyValue, Attributes, Nanos, Origin, Report, Resource, Scope, Show, Shown, Sources, Time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slipring::{LogRecord, Position, Severity, SpanId, TraceId};
use std::borrow::Cow;

/// A log record.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Log<'a> {
    /// Its permanent name in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::span::AtPosition>")]
    pub position: Option<Position>,
    pub time: Time,
    pub time_unix_nanos: Nanos,
    /// When a collector first saw it.
    pub observed: Time,
    pub observed_unix_nanos: Nanos,
    /// By name, such as `error` or `error2`; a number without a name as such; null if none was
    /// given.
    pub severity: Option<Cow<'a, str>>,
    /// From 1 to 24; 0 if none was given.
    pub severity_number: i32,
    /// In the sender's own words.
    pub severity_text: Cow<'a, str>,
    /// Text, or a structured value; null if there is none.
    pub body: Option<AnyValue<'a>>,
    /// Names the structure of an event; empty for other records.
    pub event_name: Cow<'a, str>,
    pub attributes: Attributes<'a>,
    pub trace_id: Option<Shown<TraceId>>,
    pub span_id: Option<Shown<SpanId>>,
    /// The resource's `service.name`; null if it has none.
    pub service: Option<Cow<'a, str>>,
    pub resource: Origin<Resource<'a>>,
    pub scope: Origin<Scope<'a>>,
    /// W3C's trace flags.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flags: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_attributes_count: u32,
}

/// Log records that fit a question.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Logs<'a> {
    pub logs: Vec<Log<'a>>,
    /// What `resource` of the logs counts in.
    pub resources: Vec<Resource<'a>>,
    /// What `scope` of the logs counts in.
    pub scopes: Vec<Scope<'a>>,
    /// What to give as `after` for the next page; null on the last one.
    pub next: Option<String>,
    pub report: Report<'a>,
}

/// Returns a severity's name in lower case, or its number if it has none.
pub fn severity_name(severity: Severity) -> Option<Cow<'static, str>> {
    (severity != Severity::UNSPECIFIED).then(|| severity.to_string().to_lowercase().into())
}

impl Show for LogRecord {
    type One<'a> = Log<'a>;
    type Page<'a> = Logs<'a>;

    fn one<'a>(&'a self, position: Option<Position>, sources: &mut Sources<'a>) -> Log<'a> {
        let place = sources.place(self.resource(), self.scope());
        let (time, observed) = (self.time_unix_nanos(), self.observed_unix_nanos());
        Log {
            position,
            time: Time(time),
            time_unix_nanos: Nanos(time),
            observed: Time(observed),
            observed_unix_nanos: Nanos(observed),
            severity: severity_name(self.severity()),
            severity_number: self.severity().0,
            severity_text: self.severity_text().into(),
            body: self.body().map(AnyValue::Of),
            event_name: self.event_name().into(),
            attributes: self.attributes().into(),
            trace_id: self.trace_id().map(Shown),
            span_id: self.span_id().map(Shown),
            service: place.service,
            resource: place.resource,
            scope: place.scope,
            flags: self.flags(),
            dropped_attributes_count: self.dropped_attributes_count(),
        }
    }

    fn page<'a>(
        logs: Vec<Log<'a>>,
        sources: Sources<'a>,
        next: Option<String>,
        report: Report<'a>,
    ) -> Logs<'a> {
        let (resources, scopes) = (sources.all_resources, sources.all_scopes);
        Logs { logs, resources, scopes, next, report }
    }
}
