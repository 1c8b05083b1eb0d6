//! What a rule sees of a trace.

use slipring::{Span, TraceId};

/// A trace about which is decided: the spans that have arrived, in the order in which they came.
#[derive(Clone, Copy, Debug)]
pub struct TraceView<'a> {
    /// The trace's id.
    pub trace_id: TraceId,
    /// The spans; there is at least one.
    pub spans: &'a [Span],
    pub(crate) root: Option<usize>,
    /// The longest span's duration, and the tests of single spans that one of them has passed.
    pub(crate) longest: u64,
    pub(crate) marks: u64,
}

impl<'a> TraceView<'a> {
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
