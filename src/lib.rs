//! A lock-free, bounded, in-memory store for observability signals: spans, log records, metric
//! points, or a type of your own. Many threads write to it at full speed while others look records
//! up by trace, service, severity, name or type.
//!
//! ```
//! use slipring::{Resource, Scope, Source, Span, Store, TraceId};
//!
//! // Keeps the newest 10,000 spans; an indexer thread works in the background.
//! let traces: Store<Span> = Store::builder().build()?;
//!
//! let source = Source::new(&Resource::new([("service.name", "cart")]), &Scope::default());
//! let span = Span::builder().source(&source).trace_id(TraceId::from(7)).name("GET /cart").build();
//! let position = traces.push(span)?;
//!
//! // Visible at once: answers never lag behind pushes.
//! let trace = traces.query().key("trace", TraceId::from(7)).collect()?;
//! assert_eq!(trace.len(), 1);
//! assert_eq!(traces.query().key("service", "cart").limit(100).count()?, 1);
//! assert_eq!(traces.get(position)?.name(), "GET /cart");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How data flows
//!
//! ```text
//!  producers ──push──► shard's ring ──notice──► indexer ──insert, evict──► directories and links
//!    (many)           slots, cursors           (or an assisting producer)        │
//!                          ▲                        │                            ▼
//!                          └───── reclaim ◄─────────┴◄──── pins ◄──── readers (never wait)
//!                                    └──► hooks, stream, drop
//! ```
//!
//! A record is named by its shard and its **sequence** there. In a shard with `P` **places**,
//! sequence `s` belongs to place `s % P`. Each place is served by a **slot**, whose **generation**
//! word says which sequence is published there. That is usually the place's own slot. While a
//! suspended thread holds that slot, a spare slot serves the place.
//!
//! Each shard has four cursors, which only grow:
//! `reclaimed ≤ evicted ≤ indexed ≤ claimed ≤ reclaimed + P`. A record is visible from its
//! publication until `capacity` newer records have been claimed in its shard. That holds at every
//! instant, however far the indexer lags.
//!
//! An index consists of a **directory**, which maps a key's fingerprint to the place of the newest
//! record with that key, and of a **link** for each place to the record with the same key before
//! it. A walk along the links stops at the first sequence that is no longer visible, so it never
//! follows a link into the evicted part. It reads slots' heads and holds nothing back.
//!
//! A reader **pins** the few slots whose records it is about to read. A pinned record is not moved
//! out of its slot. Pins are hazard pointers (Michael, *Hazard Pointers: Safe Memory Reclamation
//! for Lock-Free Objects*, 2004).
//!
//! # Consistency
//!
//! - **No index entry outlives its slot.** Before a slot is written again, no walk reaches the
//!   record that it held.
//! - **Answers don't lag.** A query shows every record whose push returned before the query began.
//!   It shows only records that carry the key and were in the store at some moment of the query. If
//!   eviction removed matching records meanwhile, the answer says so.
//! - **A position means one record forever**: [`Store::get`] returns that record or an error, never
//!   another record.
//! - **Conservation**: offered = held + evicted + rejected, exactly, whatever the schedule. Each
//!   record is dropped or handed on exactly once.
//! - **Bounded**: no queue, table or list grows with time, with the number of keys ever seen, or
//!   with a slow reader.
//! - **A suspended thread does not stop others**, for as many suspended threads as there are [spare
//!   slots](StoreBuilder::spare_slots).
//! - **Order**: the records of one thread keep their order. Records of several threads are ordered
//!   by runs, and runs that overlap have no finer order. A run is at most 256 pushes, and ends at
//!   the indexer's next pass: every half to two milliseconds under traffic, unless hooks take
//!   longer. In a [manual](StoreBuilder::manual) store it ends at the next [`step`](Store::step).
//!
//! `docs/DESIGN.md` says how these guarantees are kept, and `docs/VERIFICATION.md` how they are
//! checked. The [`guide`] says how to use the store well, and [`answers`] what can be asked and at
//! what cost.
//!
//! # Features
//!
//! - `serde` (default): `Serialize` for statistics, positions, keys, answers and the three signals.
//!   Also `Deserialize` for positions, bookmarks and cursors.
//! - `async`: followers and evictions are streams, and pushes can be awaited, with any executor.
//! - `otlp`: converts export requests of the OpenTelemetry protocol, in protobuf and JSON, to
//!   records and back ([`otlp`]).
//! - `opentelemetry`: exporters for OpenTelemetry's Rust SDK ([`otlp::Exporter`](crate::otlp)).
//! - `rayon`: [`Query`]s that several threads execute at once.
//! - `tracing`: a flight recorder of this process's last spans and events, from the `tracing`
//!   crate.

#![deny(missing_docs)]

mod analysis;
mod engine;
pub mod error;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod query;
#[cfg(feature = "tracing")]
mod recorder;
mod signal;
pub mod store;
mod sync;
pub mod telemetry;
mod wire;

#[doc = include_str!("guide.md")]
pub mod guide {}

#[doc = include_str!("answers.md")]
pub mod answers {}

/// Attributes: names and values, owned and borrowed.
pub mod attribute {
    pub use crate::signal::{
        AttributeRef, Attributes, AttributesIter, AttributesRef, KeyValue, ListIter, ListRef,
        ValueRef, ValuesIter, ValuesRef,
    };
}

/// The parts of a log record.
pub mod log {
    pub use crate::signal::LogBuilder;
}

/// Metrics, the parts of their points, and series of points.
pub mod metric {
    pub use crate::analysis::series::{Distribution, Increment, Series, SeriesStep};
    pub use crate::signal::{
        Buckets, Exemplar, ExemplarRef, Exemplars, ExponentialHistogram, Histogram, Metric,
        MetricKind, MetricRef, Number, PointBuilder, PointValue, Quantile, Summary, Temporality,
    };
}

/// Resources and scopes, as records show them.
pub mod resource {
    pub use crate::signal::{EntityRef, ResourceRef, ScopeRef};
}

/// The parts of a span.
pub mod span {
    pub use crate::signal::{
        SpanBuilder, SpanEvent, SpanEventRef, SpanEvents, SpanKind, SpanLink, SpanLinkRef,
        SpanLinks, StatusCode, StatusRef,
    };
}

/// Traces that were assembled from their spans, and graphs of services.
pub mod trace {
    pub use crate::analysis::trace::{
        NodeKind, PathSegment, ServiceCall, ServiceGraph, ServiceNode, Trace, TraceOrder,
        TraceQuery, TraceSpan, TraceSummary,
    };
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(loom, feature = "__for_tests"))]
pub use {
    engine::ring::{ModelPinner, ModelPins, ModelTerms},
    engine::shard::{ModelGuard, ModelRecord, ModelShard},
    sync::ModelEvent,
};

pub use engine::bookmark::Bookmark;
pub use engine::position::Position;
pub use engine::settings::OnFull;
pub use query::{Match, Order, Query};
#[cfg(feature = "tracing")]
pub use recorder::FlightRecorder;
pub use signal::{
    Index, Indexes, Key, KeyBuf, Ledger, LogRecord, MetricPoint, Resource, Scope, Severity, Shared,
    Signal, Source, Span, SpanId, TraceId, Value,
};
pub use store::{Store, StoreBuilder, WeakStore};
pub use telemetry::{Telemetry, TelemetryBuilder};
