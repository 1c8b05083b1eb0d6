//! A span with its place in a trace.

use crate::signal::Span;

/// A span with its place in a [`Trace`](crate::trace::Trace).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TraceSpan {
    /// The span.
    pub span: Span,
    /// The index of its parent in [`Trace::spans`](crate::trace::Trace::spans).
    pub parent: Option<usize>,
    /// The number of its ancestors in the trace.
    pub depth: u32,
    /// Whether it names a parent that is not in the trace.
    pub orphan: bool,
    /// The time that none of its children cover, in nanoseconds.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::count"))]
    pub self_time: u64,
}
