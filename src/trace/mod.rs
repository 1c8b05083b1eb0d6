//! Traces: spans put together again.

mod assembly;
mod graph;
mod parents;
mod path;
mod summary;

pub use assembly::{Trace, TraceSpan};
pub use graph::{ServiceCall, ServiceGraph, ServiceNode};
pub use path::PathSegment;
pub use summary::{TraceOrder, TraceQuery, TraceSummary};
