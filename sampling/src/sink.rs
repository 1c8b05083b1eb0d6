//! Where kept traces go.

use crate::counts::Cause;
use crate::threshold::Threshold;
use slipring::{Span, TraceId};
use std::sync::Arc;

/// A trace that is kept, or later spans of one. The spans share a body with each other, and no memory
/// with others beside their resources and scopes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sampled {
    /// The trace's id.
    pub trace_id: TraceId,
    /// The spans, in the order in which they came. Their `tracestate` has the threshold with which
    /// they were kept. Otherwise their bytes are those that came.
    pub spans: Vec<Span>,
    /// The name of the policy that kept the trace.
    pub policy: Arc<str>,
    /// The threshold of this sampler, or `None` if the probability is unknown.
    pub threshold: Option<Threshold>,
    /// Why the trace was decided, or `None` for spans that came after that.
    pub cause: Option<Cause>,
}

impl Sampled {
    /// Returns whether these are spans that came after their trace was decided.
    pub fn is_late(&self) -> bool {
        self.cause.is_none()
    }
}

/// Takes what a [`Sampler`](crate::Sampler) keeps. Closures are sinks, and so is
/// [`Kept`](crate::Kept).
pub trait Sink {
    /// Takes a trace, or later spans of one. It is called while the sampler works: the longer it
    /// takes, the longer spans wait.
    fn keep(&mut self, sampled: Sampled);
}

impl<F: FnMut(Sampled)> Sink for F {
    fn keep(&mut self, sampled: Sampled) {
        self(sampled)
    }
}
