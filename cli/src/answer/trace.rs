//! Traces: in a line each, and one as a whole.

use super::point::Metric;
use super::{
    Exemplar, FilesRead, Kept, Log, Nanos, Origin, Report, Resource, Scope, Show, Shown, Sources,
    Span, Time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slipring::telemetry::TraceTelemetry;
use slipring::{Signal, SpanId, TraceId};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A trace in a line.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TraceSummary<'a> {
    pub trace_id: Shown<TraceId>,
    /// The service of the root or, without a root, of the first span whose parent is not here.
    pub root_service: Cow<'a, str>,
    /// The name of that span.
    pub root_name: Cow<'a, str>,
    /// Whether that span is a root.
    pub has_root: bool,
    /// When its first span began.
    pub start: Time,
    pub start_unix_nanos: Nanos,
    /// From there to the end of its last span.
    pub duration_nanos: u64,
    /// How many spans it has. One that was delivered twice counts once.
    pub spans: u64,
    /// How many of them failed.
    pub errors: u64,
    /// The services that took part, by name.
    pub services: Vec<ServiceShare<'a>>,
    /// Whether spans of it are known to have been evicted.
    pub partial: bool,
    /// Why it is kept beyond the store; absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept<'a>>,
}

/// A service's part in a trace.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServiceShare<'a> {
    pub service: Cow<'a, str>,
    pub spans: u64,
    pub errors: u64,
}

/// Traces with a span that fits a question.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TraceList<'a> {
    pub traces: Vec<TraceSummary<'a>>,
    /// Whether the limit left some out.
    pub more: bool,
    /// How the spans that fit were found.
    pub report: Report<'a>,
}

/// A trace with everything that the stores hold of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Trace<'a> {
    pub trace_id: Shown<TraceId>,
    /// Null if no span of it is here.
    pub summary: Option<TraceSummary<'a>>,
    /// Each after its parent, siblings by start.
    pub spans: Vec<TraceSpan<'a>>,
    /// What made the trace as long as it is, in order of time.
    pub critical_path: Vec<Segment>,
    /// By time.
    pub logs: Vec<Log<'a>>,
    /// Measurements that point at the trace, by time.
    pub exemplars: Vec<Pointed<'a>>,
    /// What `resource` of all these counts in.
    pub resources: Vec<Resource<'a>>,
    /// What `scope` of all these counts in.
    pub scopes: Vec<Scope<'a>>,
    /// Whether spans of it are known to have been evicted, and are neither kept nor found in files.
    pub partial: bool,
    /// How many spans were left out because they were delivered twice.
    pub duplicates: u64,
    /// Why it is kept beyond the stores; absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept<'a>>,
    /// With `history=true`: what came from files, and what was read of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<FromFiles>,
}

/// What came from the history's files, and what was read for it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct FromFiles {
    /// Spans and log records that came from files, and are not in memory.
    pub spans: usize,
    pub logs: usize,
    #[serde(flatten)]
    pub read: FilesRead,
    /// Records, of any trace, that have left the stores and are in no file yet: nobody looks at
    /// them.
    pub waiting: u64,
    /// Records, of any trace, that have left the stores and are in no file.
    pub lost: u64,
    /// Whether all files were read that may have records of the trace.
    pub complete: bool,
}

/// A span with its place in a trace.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TraceSpan<'a> {
    #[serde(flatten)]
    pub span: Span<'a>,
    /// The place of its parent in `spans`, from 0 on; null at the top.
    pub parent: Option<usize>,
    /// How many ancestors it has here.
    pub depth: u32,
    /// The time that no child of it covers.
    pub self_nanos: u64,
    /// What is odd about it; null if nothing is.
    pub note: Option<Note>,
}

/// What is odd about a span of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// It names a parent that is not here: evicted, never sent, or not ended yet.
    MissingParent,
    /// Its start or its end is unknown, or its end lies before its start.
    BadTimes,
}

/// A part of a trace's critical path.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// The place in `spans` of the span that was at work.
    pub span: usize,
    pub span_id: Shown<SpanId>,
    pub start: Time,
    pub start_unix_nanos: Nanos,
    pub duration_nanos: u64,
}

/// A measurement that points at a trace.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Pointed<'a> {
    #[serde(flatten)]
    pub metric: Metric<'a>,
    #[serde(flatten)]
    pub exemplar: Exemplar<'a>,
    pub service: Option<Cow<'a, str>>,
    pub resource: Origin<Resource<'a>>,
    pub scope: Origin<Scope<'a>>,
}

impl<'a> TraceSummary<'a> {
    /// Shows an assembled trace in a line.
    pub fn of(trace: &'a slipring::trace::Trace) -> Self {
        let (root, times) = (trace.root(), trace.times());
        let mut services: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for one in &trace.spans {
            let (spans, errors) = services.entry(one.span.service()).or_default();
            (*spans, *errors) = (*spans + 1, *errors + u64::from(one.span.is_error()));
        }
        let share = |(service, (spans, errors))| ServiceShare {
            service: Cow::Borrowed(service),
            spans,
            errors,
        };
        Self {
            trace_id: Shown(trace.trace_id),
            root_service: root.map_or("", |root| root.span.service()).into(),
            root_name: root.map_or("", |root| root.span.name()).into(),
            has_root: root.is_some_and(|root| !root.orphan),
            start: Time(times.start),
            start_unix_nanos: Nanos(times.start),
            duration_nanos: times.end - times.start,
            spans: trace.spans.len() as u64,
            errors: trace.errors().count() as u64,
            services: services.into_iter().map(share).collect(),
            partial: trace.partial,
            kept: None,
        }
    }
}

impl<'a> TraceSpan<'a> {
    fn of(one: &'a slipring::trace::TraceSpan, sources: &mut Sources<'a>) -> Self {
        let span = &one.span;
        let in_order =
            span.start_unix_nanos() > 0 && span.end_unix_nanos() >= span.start_unix_nanos();
        let note = match (one.orphan, in_order) {
            (true, _) => Some(Note::MissingParent),
            (false, false) => Some(Note::BadTimes),
            (false, true) => None,
        };
        Self {
            span: span.one(None, sources),
            parent: one.parent,
            depth: one.depth,
            self_nanos: one.self_time,
            note,
        }
    }
}

impl<'a> Trace<'a> {
    /// Shows what the stores hold of a trace.
    pub fn of(trace_id: TraceId, found: &'a TraceTelemetry) -> Self {
        let mut sources = Sources::default();
        let spans = found.trace.as_ref().map_or(&[][..], |trace| &trace.spans);
        let path = found.trace.as_ref().map(slipring::trace::Trace::critical_path);
        let segment = |segment: slipring::trace::PathSegment| Segment {
            span: segment.span,
            span_id: Shown(spans[segment.span].span.span_id()),
            start: Time(segment.times.start),
            start_unix_nanos: Nanos(segment.times.start),
            duration_nanos: segment.times.end - segment.times.start,
        };
        Self {
            trace_id: Shown(trace_id),
            summary: found.trace.as_ref().map(TraceSummary::of),
            spans: spans.iter().map(|one| TraceSpan::of(one, &mut sources)).collect(),
            critical_path: path.into_iter().flatten().map(segment).collect(),
            logs: found.logs.iter().map(|log| log.one(None, &mut sources)).collect(),
            exemplars: found.exemplars.iter().map(|one| Pointed::of(one, &mut sources)).collect(),
            resources: sources.all_resources,
            scopes: sources.all_scopes,
            partial: found.trace.as_ref().is_some_and(|trace| trace.partial),
            duplicates: found.trace.as_ref().map_or(0, |trace| trace.duplicates),
            kept: None,
            history: None,
        }
    }
}

impl<'a> Pointed<'a> {
    fn of(one: &'a slipring::telemetry::PointedExemplar, sources: &mut Sources<'a>) -> Self {
        let place = sources.place(one.source.resource(), one.source.scope());
        let exemplar = &one.exemplar;
        Self {
            metric: Metric::of(one.source.metric()),
            exemplar: Exemplar {
                time: Time(exemplar.time_unix_nanos),
                time_unix_nanos: Nanos(exemplar.time_unix_nanos),
                value: exemplar.value.map(Into::into),
                trace_id: exemplar.trace_id.map(Shown),
                span_id: exemplar.span_id.map(Shown),
                attributes: slipring::attribute::AttributesRef::from(&exemplar.filtered_attributes)
                    .into(),
            },
            service: place.service,
            resource: place.resource,
            scope: place.scope,
        }
    }
}
