//! A kept trace, alone and together with what stores hold of it.

use super::{Records, Seen};
use crate::record::Record;
use crate::threshold::Threshold;
use slipring::otlp::{self, Encoding};
use slipring::telemetry::TraceTelemetry;
use slipring::trace::Trace;
use slipring::{LogRecord, MetricPoint, Order, Span, Store, Telemetry, TraceId};
use std::sync::Arc;
use std::time::Instant;

/// A kept trace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeptTrace {
    /// The trace's id.
    pub trace_id: TraceId,
    /// The spans, in the order in which they came.
    pub spans: Vec<Span>,
    /// The log records that name the trace, as far as a [`Follower`](crate::Follower) found them.
    pub logs: Vec<LogRecord>,
    /// The metric points with an exemplar that points at the trace, likewise.
    pub points: Vec<MetricPoint>,
    /// The name of the policy that kept the trace.
    pub policy: Arc<str>,
    /// The threshold with which it was kept, or `None` if the probability is unknown.
    pub threshold: Option<Threshold>,
    /// When the first spans came here.
    pub since: Instant,
    /// What was refused because the trace had become too large.
    pub refused: Records,
    pub(super) number: u64,
    pub(super) bytes: usize,
    /// Of these, the bytes of the records' slots.
    pub(super) slot_bytes: usize,
    /// Whether what the stores held of it when it was decided has been looked for.
    pub(super) is_followed: bool,
}

/// A kept trace together with what stores hold of it, each record once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WholeTrace {
    /// The trace, its log records, and the exemplars that point at it.
    pub found: TraceTelemetry,
    /// How many of its records are kept, and not in the stores any more.
    pub only_kept: Records,
}

impl KeptTrace {
    /// Returns the number of traces that were kept before it.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Assembles the spans that are kept: see [`Trace::assemble`].
    pub fn assemble(&self) -> Trace {
        Trace::assemble(self.trace_id, self.spans.clone())
    }

    /// Encodes the spans as an export request.
    pub fn to_otlp(&self, encoding: Encoding) -> Vec<u8> {
        otlp::encode(&self.spans, encoding)
    }

    /// Returns the bytes that are held for the trace, without what its records share.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Assembles the spans that are kept and those that a store holds, each once: see [`Seen`].
    /// Returns also how many spans the store does not hold any more. The trace is partial if spans
    /// that were refused here, because it had become too large, are not in the store either.
    pub fn assemble_with(&self, store: &Store<Span>) -> (Trace, u64) {
        let answer = store.query().key("trace", self.trace_id).collect();
        let held = answer.expect("spans have this index").into_records();
        let (spans, only_kept) = joined(held, &self.spans);
        let is_partial = (spans.len() as u64) < self.spans.len() as u64 + self.refused.spans;
        let mut trace = Trace::assemble(self.trace_id, spans);
        trace.partial = is_partial;
        (trace, only_kept)
    }

    /// Returns everything that is kept of the trace and that the stores hold of it, each record
    /// once: what [`Telemetry::trace`] returns, and more. It costs as much: every metric point is
    /// looked at.
    pub fn with(&self, telemetry: &Telemetry) -> WholeTrace {
        let id = self.trace_id;
        let logs = telemetry.logs().query().key("trace", id).order(Order::Oldest).collect();
        let logs = logs.expect("log records have this index").into_records();
        let points = telemetry.metrics().query().order(Order::Oldest);
        let points = points.filter(move |point| points_at(point, |other| other == id)).collect();
        let points = points.expect("a query without an index is valid").into_records();
        let (trace, spans) = self.assemble_with(telemetry.traces());
        let (logs, logs_only_kept) = joined(logs, &self.logs);
        let (points, points_only_kept) = joined(points, &self.points);
        let mut found = TraceTelemetry::assemble(id, Vec::new(), logs, &points);
        found.trace = (!trace.spans.is_empty()).then_some(trace);
        let only_kept = Records { spans, logs: logs_only_kept, points: points_only_kept };
        WholeTrace { found, only_kept }
    }
}

/// Returns whether an exemplar of the point names a trace that fits.
pub(super) fn points_at(point: &MetricPoint, fits: impl Fn(TraceId) -> bool) -> bool {
    point.exemplars().iter().filter_map(|one| one.trace_id()).any(fits)
}

/// Returns the kept records that are not among those held, and then these; and how many are kept
/// alone.
fn joined<T: Record>(held: Vec<T>, kept: &[T]) -> (Vec<T>, u64) {
    let mut seen = Seen::default();
    held.iter().for_each(|record| seen.note(record));
    let mut all: Vec<T> = seen.others(kept).into_iter().map(|(_, record)| record.clone()).collect();
    let only_kept = all.len() as u64;
    all.extend(held);
    (all, only_kept)
}
