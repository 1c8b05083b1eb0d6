//! A lock-free, bounded, in-memory store for observability signals.

#![deny(missing_docs)]

mod audit;
mod config;
mod engine;
mod error;
mod evictions;
mod index;
mod indexer;
mod inside;
mod notice;
mod position;
mod query;
mod ring;
mod signal;
mod stats;
mod store;
mod sync;
mod telemetry;

/// For the loom models: whether directory tables are replaced, so that pinning must be modelled.
#[cfg(loom)]
#[doc(hidden)]
pub fn model_pins() {
    sync::epoch::MODELLED.store(true, std::sync::atomic::Ordering::Relaxed);
}

pub use audit::{Audit, AuditError, Breach};
pub use config::{Builder, OnFull};
pub use error::{BatchError, BuildError, GetError, PushError, QueryError, Rejection, StreamError, WaitError};
pub use evictions::{Evicted, Evictions};
pub use position::Position;
pub use query::{Answer, KeyCount, Query};
pub use signal::{
    Attributes, Buckets, EntityRef, Exemplar, ExponentialHistogram, Histogram, Indexes, Key, KeyBuf, KeyValue, Ledger,
    LogRecord, Metric, MetricKind, MetricPoint, Number, ParseIdError, PointValue, Quantile, Resource, Scope, Severity,
    Shared, Signal, Span, SpanEvent, SpanId, SpanKind, SpanLink, Status, StatusCode, Summary, Temporality, TraceId,
    Value,
};
pub use stats::{EvictedCounts, IndexStats, RejectedCounts, Stats};
pub use store::{Store, WeakStore};
pub use telemetry::{Telemetry, TelemetryBuilder, TelemetryStats};
