//! What each signal can be asked for.

use super::Asked;
use crate::answer::Show;
use slipring::otlp::Exported;
use slipring::query::Attributed;
use slipring::telemetry::TelemetryBookmark;
use slipring::{Bookmark, LogRecord, MetricPoint, Query, Span};
use slipring_sampling::{KeptTrace, Record};

/// A signal that the query API serves.
pub trait Asking: Exported + Attributed + Record + Show {
    /// Parameters specific to this signal.
    const OWN: &'static [&'static str];

    /// Adds the conditions specific to this signal.
    fn conditions<'q>(asked: &Asked, query: Query<'q, Self>) -> Query<'q, Self>;

    /// Returns the cut through this signal's store.
    fn cut(moment: &TelemetryBookmark) -> &Bookmark;

    /// Returns the records of this signal that are kept of a trace.
    fn of_kept(trace: &KeptTrace) -> &[Self];
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
}
