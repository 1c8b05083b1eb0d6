//! Answers made of many records: traces and what calls what, and series of metric points.

pub(crate) mod series;
pub(crate) mod trace;
