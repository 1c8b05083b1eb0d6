//! A lock-free, bounded, in-memory store for observability signals: spans, log records, metric points, or a type of your
//! own. Many threads write it at full speed while others look records up by trace, service, severity, name or type.
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
//! # The data's way
//!
//! ```text
//!  producers ──push──► shard's ring ──notice──► indexer ──insert, evict──► directories and links
//!    (many)           slots, cursors           (or an assisting producer)        │
//!                          ▲                        │                            ▼
//!                          └───── reclaim ◄─────────┴◄──── pins ◄──── readers (never wait)
//!                                    └──► hooks, stream, drop
//! ```
//!
//! One number names a record: its **sequence** in its shard. In a shard with `P` **places**, sequence `s` belongs to place
//! `s % P`. A **slot** serves the place, and its **generation** word says which sequence is published there. That is the place's own
//! slot, as a rule; while somebody sleeps over it, a spare one serves the place. Four cursors, each only
//! ever growing, say how far things are: `reclaimed ≤ evicted ≤ indexed ≤ claimed ≤ reclaimed + P`. A record is visible
//! from its publishing until `capacity` newer ones have been claimed in its shard, at every instant and however far the
//! indexer lags. An index is a **directory** from a key's fingerprint to the place of the newest record with it, and a **link**
//! for each place to the one before; a walk stops at the first sequence that is not visible any more, so a link into the evicted
//! part is never followed.
//!
//! A walk reads slots' heads and holds nothing back. A reader **pins** the few slots whose records it is about to look at, and what is
//! pinned is not moved out of its slot.
//!
//! # Consistency
//!
//! - **No index entry outlives its slot.** Before a slot is written again, no walk reaches the record it held.
//! - **Answers don't lag.** A query shows every record whose push returned before it began, and only records that carry the
//!   key and were in the store at some moment of the query. If eviction cut into it meanwhile, the answer says so.
//! - **A position means one record for good**: [`Store::get`] gives that record or an error, never another.
//! - **Conservation**: offered = held + evicted + rejected, exactly, whatever the schedule; each record is dropped or
//!   handed on exactly once.
//! - **Bounded**: no queue, table or list grows with time, with the number of keys ever seen, or with a slow reader.
//! - **No thread's sleep stops another**, for as many sleepers as there are [spare slots](Builder::spare_slots).
//! - **Order**: records of one thread keep their order. Records of several threads are ordered by runs, and runs that overlap have
//!   no finer order. A run is at most 256 pushes, and ends at the indexer's next pass: every half to two milliseconds under
//!   traffic, unless hooks take longer. In a [manual](Builder::manual) store it ends at the next [`step`](Store::step).
//!
//! `docs/DESIGN.md` says how these are kept, and `docs/VERIFICATION.md` how they are checked. How to
//! use the store well is in the [`guide`]; what can be asked, and at what cost, in [`answers`].
//!
//! # Features
//!
//! - `serde` (default): `Serialize` for statistics, positions, keys, answers and the three signals; `Deserialize` too for
//!   positions, bookmarks and cursors.
//! - `async`: followers are streams, and pushes can be awaited; for any executor.
//! - `otlp`: export requests of OpenTelemetry's protocol, in protobuf and JSON, to records and back ([`otlp`]).
//! - `opentelemetry`: exporters for OpenTelemetry's Rust SDK ([`otlp::Exporter`](crate::otlp)).
//! - `rayon`: [`Query`]s that several threads answer at once.
//! - `tracing`: a flight recorder of the own process's last spans and events, from the `tracing` crate.

#![deny(missing_docs)]

mod analysis;
mod engine;
mod error;
#[cfg(feature = "otlp")]
pub mod otlp;
mod query;
#[cfg(feature = "tracing")]
mod recorder;
mod signal;
mod store;
mod sync;
mod telemetry;
mod wire;

#[doc = include_str!("guide.md")]
pub mod guide {}

#[doc = include_str!("answers.md")]
pub mod answers {}

/// Runs the examples of the README as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(loom)]
#[doc(hidden)]
pub use sync::ModelEvent;

pub use analysis::series::{Distribution, Increment, Series};
pub use analysis::trace::{
    NodeKind, PathSegment, ServiceCall, ServiceGraph, ServiceNode, Trace, TraceOrder, TraceQuery, TraceSpan,
    TraceSummary,
};
pub use engine::bookmark::Bookmark;
pub use engine::evictions::{Evicted, Evictions};
pub use engine::position::Position;
pub use engine::reason::EvictReason;
pub use engine::settings::OnFull;
pub use error::{
    BatchError, BookmarkError, BuildError, GetError, PushError, QueryError, Rejection, StreamError, WaitError,
};
pub use query::{Answer, Attributed, By, Cursor, Group, Groups, KeyCount, Level, Match, Order, Query, Report};
#[cfg(feature = "tracing")]
pub use recorder::FlightRecorder;
pub use signal::{
    AttributeRef, Attributes, AttributesIter, AttributesRef, Buckets, EntityRef, Exemplar, ExemplarRef, Exemplars,
    ExponentialHistogram, Histogram, Indexes, Key, KeyBuf, KeyValue, Ledger, ListIter, ListRef, LogBuilder, LogRecord,
    Metric, MetricKind, MetricPoint, MetricRef, Number, ParseIdError, PointBuilder, PointValue, Quantile, Resource,
    ResourceRef, Scope, ScopeRef, Severity, Shared, Signal, Source, Span, SpanBuilder, SpanEvent, SpanEventRef,
    SpanEvents, SpanId, SpanKind, SpanLink, SpanLinkRef, SpanLinks, StatusCode, StatusRef, Summary, Temporality,
    TraceId, Value, ValueRef, ValuesIter, ValuesRef,
};
#[cfg(feature = "async")]
pub use store::PushFuture;
pub use store::{
    Audit, AuditError, Breach, Builder, ClassStats, EvictedCounts, Follower, IndexStats, RejectedCounts, Stats, Store,
    WeakStore,
};
pub use telemetry::{
    PointedExemplar, ServiceCounts, Telemetry, TelemetryBookmark, TelemetryBuilder, TelemetryNews, TelemetryStats,
    TraceTelemetry,
};
