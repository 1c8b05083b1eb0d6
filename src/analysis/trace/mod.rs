//! Traces, their summaries, and the service graph, assembled from spans.

mod assembly;
mod calls;
mod graph;
mod parents;
mod path;
mod peer;
mod span;
mod summary;

pub use assembly::Trace;
pub use graph::{NodeKind, ServiceCall, ServiceGraph, ServiceNode};
pub use path::PathSegment;
pub use span::TraceSpan;
pub use summary::{TraceOrder, TraceQuery, TraceSummary};
