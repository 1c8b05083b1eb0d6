//! Results computed from many records: assembled traces, the service graph, and series of metric
//! points.

pub(crate) mod series;
pub(crate) mod trace;
