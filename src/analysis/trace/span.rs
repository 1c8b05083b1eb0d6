//! A span in its place in a trace.

use crate::signal::Span;

/// A span in its place in a [`Trace`](crate::Trace).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TraceSpan {
    /// The span.
    pub span: Span,
    /// Where in the list its parent is.
    pub parent: Option<usize>,
    /// How many ancestors it has here.
    pub depth: u32,
    /// Whether it names a parent that is not here.
    pub orphan: bool,
    /// How long it did what no child of its did meanwhile, in nanoseconds.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::count"))]
    pub self_time: u64,
}
