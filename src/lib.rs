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
pub use signal::{Indexes, Key, KeyBuf, Ledger, Shared, Signal};
pub use stats::{EvictedCounts, IndexStats, RejectedCounts, Stats};
pub use store::{Store, WeakStore};
