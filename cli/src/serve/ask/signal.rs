//! What each signal can be asked for.

use super::Asked;
use crate::answer::Show;
use crate::serve::past::InFiles;
use slipring::otlp::Exported;
use slipring::query::Attributed;
use slipring::telemetry::TelemetryBookmark;
use slipring::{Bookmark, LogRecord, MetricPoint, Query, Span, TraceId};
use slipring_sampling::{KeptTrace, Record};
use std::collections::HashSet;

/// A signal that the query API serves.
pub trait Asking: Exported + Attributed + Record + Show + InFiles {
    /// Parameters specific to this signal.
    const OWN: &'static [&'static str];

    /// Adds the conditions specific to this signal.
    fn conditions<'q>(asked: &Asked, query: Query<'q, Self>) -> Query<'q, Self>;

    /// Returns the cut through this signal's store.
    fn cut(moment: &TelemetryBookmark) -> &Bookmark;

    /// Returns the records of this signal that are kept of a trace.
    fn of_kept(trace: &KeptTrace) -> &[Self];

    /// Returns whether the record belongs to one of these traces.
    fn is_of(&self, traces: &HashSet<TraceId>) -> bool;

    /// Returns whether the record may belong to a kept trace.
    fn is_of_any(&self) -> bool;

    /// Narrows a query to the records of these traces, if an index finds them.
    fn of_traces<'q>(query: Query<'q, Self>, traces: &HashSet<TraceId>) -> Query<'q, Self> {
        query.any_of("trace", traces.iter().copied())
    }
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

    fn cut(moment: &TelemetryBookmark) -> &Bookmark {
        &moment.traces
    }

    fn of_kept(trace: &KeptTrace) -> &[Self] {
        &trace.spans
    }

    fn is_of(&self, traces: &HashSet<TraceId>) -> bool {
        traces.contains(&self.trace_id())
    }

    fn is_of_any(&self) -> bool {
        !self.trace_id().is_zero()
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

    fn cut(moment: &TelemetryBookmark) -> &Bookmark {
        &moment.logs
    }

    fn of_kept(trace: &KeptTrace) -> &[Self] {
        &trace.logs
    }

    fn is_of(&self, traces: &HashSet<TraceId>) -> bool {
        self.trace_id().is_some_and(|id| traces.contains(&id))
    }

    fn is_of_any(&self) -> bool {
        self.trace_id().is_some()
    }
}

impl Asking for MetricPoint {
    const OWN: &'static [&'static str] = &[];

    fn conditions<'q>(_: &Asked, query: Query<'q, Self>) -> Query<'q, Self> {
        query
    }

    fn cut(moment: &TelemetryBookmark) -> &Bookmark {
        &moment.metrics
    }

    fn of_kept(trace: &KeptTrace) -> &[Self] {
        &trace.points
    }

    fn is_of(&self, traces: &HashSet<TraceId>) -> bool {
        let mut ids = self.exemplars().iter().filter_map(|one| one.trace_id());
        ids.any(|id| traces.contains(&id))
    }

    fn is_of_any(&self) -> bool {
        self.exemplars().iter().any(|one| one.trace_id().is_some())
    }

    fn of_traces<'q>(query: Query<'q, Self>, _: &HashSet<TraceId>) -> Query<'q, Self> {
        // Exemplars have no index.
        query
    }
}
