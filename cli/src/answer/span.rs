//! Spans.

use super::plain::is_zero;
use super::{Attributes, Nanos, Origin, Report, Resource, Scope, Show, Shown, Sources, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slipring::span::{SpanKind, StatusCode};
use slipring::{Position, SpanId, TraceId};
use std::borrow::Cow;

/// A span.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Span<'a> {
    /// Its permanent name in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<AtPosition>")]
    pub position: Option<Position>,
    pub trace_id: Shown<TraceId>,
    pub span_id: Shown<SpanId>,
    /// Null for a root.
    pub parent_span_id: Option<Shown<SpanId>>,
    pub name: Cow<'a, str>,
    pub kind: Kind,
    /// The resource's `service.name`; null if it has none.
    pub service: Option<Cow<'a, str>>,
    pub start: Time,
    pub start_unix_nanos: Nanos,
    pub end: Time,
    pub end_unix_nanos: Nanos,
    /// From start to end; null if one of them is unknown.
    pub duration_nanos: Option<u64>,
    pub status: Status<'a>,
    pub attributes: Attributes<'a>,
    pub events: Vec<Event<'a>>,
    pub links: Vec<Link<'a>>,
    pub resource: Origin<Resource<'a>>,
    pub scope: Origin<Scope<'a>>,
    /// W3C's `tracestate`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub trace_state: Cow<'a, str>,
    /// W3C's trace flags, and whether the parent is remote.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flags: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_attributes_count: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_events_count: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_links_count: u32,
}

/// The permanent name of a record in its store.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is a schema")]
pub(super) struct AtPosition {
    shard: u32,
    sequence: u64,
}

/// A span's relation to its parent and its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// How a span ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status<'a> {
    pub code: Code,
    /// What went wrong; empty if nothing was said.
    pub message: Cow<'a, str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Code {
    Unset,
    Ok,
    Error,
}

/// What happened during a span.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Event<'a> {
    pub time: Time,
    pub time_unix_nanos: Nanos,
    pub name: Cow<'a, str>,
    pub attributes: Attributes<'a>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_attributes_count: u32,
}

/// A link to a span of this trace or another.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Link<'a> {
    pub trace_id: Shown<TraceId>,
    pub span_id: Shown<SpanId>,
    pub attributes: Attributes<'a>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub trace_state: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flags: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_attributes_count: u32,
}

/// Spans that fit a question.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Spans<'a> {
    pub spans: Vec<Span<'a>>,
    /// What `resource` of the spans counts in.
    pub resources: Vec<Resource<'a>>,
    /// What `scope` of the spans counts in.
    pub scopes: Vec<Scope<'a>>,
    /// What to give as `after` for the next page; null on the last one.
    pub next: Option<String>,
    pub report: Report<'a>,
}

impl From<SpanKind> for Kind {
    fn from(kind: SpanKind) -> Self {
        match kind {
            SpanKind::Unspecified => Kind::Unspecified,
            SpanKind::Internal => Kind::Internal,
            SpanKind::Server => Kind::Server,
            SpanKind::Client => Kind::Client,
            SpanKind::Producer => Kind::Producer,
            SpanKind::Consumer => Kind::Consumer,
        }
    }
}

impl Kind {
    /// Returns the kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Unspecified => "unspecified",
            Kind::Internal => "internal",
            Kind::Server => "server",
            Kind::Client => "client",
            Kind::Producer => "producer",
            Kind::Consumer => "consumer",
        }
    }
}

impl From<StatusCode> for Code {
    fn from(code: StatusCode) -> Self {
        match code {
            StatusCode::Unset => Code::Unset,
            StatusCode::Ok => Code::Ok,
            StatusCode::Error => Code::Error,
        }
    }
}

impl Code {
    /// Returns the code's name.
    pub fn name(self) -> &'static str {
        match self {
            Code::Unset => "unset",
            Code::Ok => "ok",
            Code::Error => "error",
        }
    }
}

impl Show for slipring::Span {
    type One<'a> = Span<'a>;
    type Page<'a> = Spans<'a>;

    fn one<'a>(&'a self, position: Option<Position>, sources: &mut Sources<'a>) -> Span<'a> {
        let place = sources.place(self.resource(), self.scope());
        let (start, end) = (self.start_unix_nanos(), self.end_unix_nanos());
        let status = self.status();
        let events = self.events().iter().map(|event| Event {
            time: Time(event.time_unix_nanos()),
            time_unix_nanos: Nanos(event.time_unix_nanos()),
            name: event.name().into(),
            attributes: event.attributes().into(),
            dropped_attributes_count: event.dropped_attributes_count(),
        });
        let links = self.links().iter().map(|link| Link {
            trace_id: Shown(link.trace_id()),
            span_id: Shown(link.span_id()),
            attributes: link.attributes().into(),
            trace_state: link.trace_state().into(),
            flags: link.flags(),
            dropped_attributes_count: link.dropped_attributes_count(),
        });
        Span {
            position,
            trace_id: Shown(self.trace_id()),
            span_id: Shown(self.span_id()),
            parent_span_id: self.parent_span_id().map(Shown),
            name: self.name().into(),
            kind: self.kind().into(),
            service: place.service,
            start: Time(start),
            start_unix_nanos: Nanos(start),
            end: Time(end),
            end_unix_nanos: Nanos(end),
            duration_nanos: (start > 0 && end > 0).then(|| self.duration()),
            status: Status { code: status.code.into(), message: status.message.into() },
            attributes: self.attributes().into(),
            events: events.collect(),
            links: links.collect(),
            resource: place.resource,
            scope: place.scope,
            trace_state: self.trace_state().into(),
            flags: self.flags(),
            dropped_attributes_count: self.dropped_attributes_count(),
            dropped_events_count: self.dropped_events_count(),
            dropped_links_count: self.dropped_links_count(),
        }
    }

    fn page<'a>(
        spans: Vec<Span<'a>>,
        sources: Sources<'a>,
        next: Option<String>,
        report: Report<'a>,
    ) -> Spans<'a> {
        let (resources, scopes) = (sources.all_resources, sources.all_scopes);
        Spans { spans, resources, scopes, next, report }
    }
}
