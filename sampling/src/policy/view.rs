//! What a rule sees of a trace.

use slipring::{Span, TraceId};

/// A trace about which is decided: the spans that have arrived, in the order in which they came.
#[derive(Clone, Copy, Debug)]
pub struct TraceView<'a> {
    /// The trace's id.
    pub trace_id: TraceId,
    /// The spans; there is at least one.
    pub spans: &'a [Span],
    root: Option<usize>,
    /// The longest span's duration.
    longest: u64,
}

/// What the rules of this crate see of a trace, which is less than its spans.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// The number of spans.
    pub(crate) count: usize,
    /// What [`TraceView::operation`] and [`TraceView::duration`] return.
    pub(crate) operation: (&'a str, &'a str),
    pub(crate) duration: u64,
    /// The tests of single spans that one of them has passed.
    pub(crate) marks: u64,
    /// For rules of the owner's, if there are any.
    pub(crate) view: Option<TraceView<'a>>,
}

impl<'a> TraceView<'a> {
    pub(crate) fn new(trace_id: TraceId, spans: &'a [Span], longest: u64) -> Self {
        let root = spans.iter().position(|span| span.parent_span_id().is_none());
        Self { trace_id, spans, root, longest }
    }

    /// Returns the first span without a parent that arrived.
    pub fn root(&self) -> Option<&'a Span> {
        self.spans.get(self.root?)
    }

    /// Returns the service and the name of the root or, without one, of the span that arrived
    /// first.
    pub fn operation(&self) -> (&'a str, &'a str) {
        let span = self.root().or(self.spans.first());
        span.map_or(("", ""), |span| (span.service(), span.name()))
    }

    /// Returns the root's duration in nanoseconds or, without a root, that of the longest span.
    /// It compares no times of different machines.
    pub fn duration(&self) -> u64 {
        self.root().map_or(self.longest, Span::duration)
    }
}
