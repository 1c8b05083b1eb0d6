//! The [`Signal`] trait, which every record type implements, and the three built-in record types.

#[macro_use]
mod view;

pub(crate) mod body;
pub(crate) mod draft;
mod id;
mod index;
mod key;
mod list_ref;
pub(crate) mod log;
mod log_builder;
mod metric;
pub(crate) mod metric_point;
mod offset;
#[cfg(feature = "serde")]
pub(crate) mod plain;
mod point;
mod point_builder;
mod resource;
mod severity;
mod shared;
pub(crate) mod source;
pub(crate) mod span;
mod span_builder;
mod span_kind;
mod span_parts;
mod value;
mod value_ref;
mod written;

pub use id::{ParseIdError, SpanId, TraceId};
pub(crate) use index::sealed;
pub use index::{Index, Indexes};
pub use key::{Key, KeyBuf};
pub use list_ref::{ListIter, ListRef};
pub use log::LogRecord;
pub use log_builder::LogBuilder;
pub use metric::{Metric, MetricKind, MetricRef, Temporality};
pub use metric_point::{Exemplars, MetricPoint};
pub use point::{
    Buckets, Exemplar, ExemplarRef, ExponentialHistogram, Histogram, Number, PointValue, Quantile,
    Summary,
};
pub use point_builder::PointBuilder;
pub use resource::{EntityRef, Resource, ResourceRef, Scope, ScopeRef};
pub use severity::Severity;
#[cfg(feature = "otlp")]
pub(crate) use shared::WeakPart;
pub use shared::{Ledger, Shared};
pub use source::Source;
pub use span::Span;
pub use span_builder::SpanBuilder;
pub use span_kind::{SpanKind, StatusCode, StatusRef};
pub use span_parts::{SpanEvent, SpanEventRef, SpanEvents, SpanLink, SpanLinkRef, SpanLinks};
pub use value::{Attributes, KeyValue, Value};
pub use value_ref::ValueRef;
pub use value_ref::{AttributeRef, AttributesIter, AttributesRef, ValuesIter, ValuesRef};

use crate::error::QueryError;

/// A kind of record that a [`Store`](crate::Store) can hold.
///
/// Implement this trait to store your own record type. The pushing thread calls the methods, and
/// the extractors of [keys](Index::new), before the record enters the ring. Reading threads call
/// them when a lookup compares keys, and [`Store::audit`](crate::Store::audit) calls them too. They
/// should be cheap and must not block. They must return the same answer for the same record every
/// time: if a record's key changes while it is stored, lookups do not find the record, and the
/// audit reports it. A panic in one of them is caught and counted. If the panic happens during a
/// push, the push returns the record to the caller.
///
/// ```
/// use slipring::{Index, Key, Signal};
///
/// struct Job { queue: String, worker: u64, queued_at: u64 }
///
/// impl Signal for Job {
///     const NAME: &'static str = "job";
///     type Indexes = [Index<Self>; 2];
///     const INDEXES: Self::Indexes = [
///         Index::new("queue", |job| Some(Key::Text(&job.queue))),
///         Index::new("worker", |job| (job.worker != 0).then_some(Key::Int(job.worker))),
///     ];
///
///     fn timestamp(&self) -> u64 { self.queued_at }
///     fn heap_bytes(&self) -> usize { self.queue.capacity() }
/// }
/// ```
pub trait Signal: Send + Sync + Sized + 'static {
    /// The name of one record, in the singular. Statistics use it as a prefix: `span` gives
    /// `span_count`.
    const NAME: &'static str;

    /// The array type of [`INDEXES`](Signal::INDEXES): `[Index<Self>; N]`. Slots hold N
    /// fingerprints inline.
    type Indexes: Indexes<Self>;

    /// The table of indexes: a name and an extractor of keys for each. If one index groups records
    /// that belong together, such as the spans of a trace, put it first. The store remembers the
    /// keys of the first index whose records were all evicted (in a ghost filter), so that
    /// [`Report::partial`](crate::query::Report::partial) recognizes them.
    const INDEXES: Self::Indexes;

    /// The capacity of a store of these records, in records, unless its builder sets another.
    const DEFAULT_CAPACITY: usize = 10_000;

    /// Returns the record's timestamp, in nanoseconds since the Unix epoch, or 0 if it is unknown.
    fn timestamp(&self) -> u64;

    /// Returns the heap bytes that this record alone owns, as requested from the allocator
    /// (capacities, not lengths). Bytes in [`Shared`] parts do not count.
    fn heap_bytes(&self) -> usize {
        0
    }

    /// Returns whether the record reports an error.
    /// [`StoreBuilder::error_class`](crate::StoreBuilder::error_class) keeps such records in a
    /// class of their own.
    fn is_error(&self) -> bool {
        false
    }

    /// Releases memory that the record holds only because of how it arrived, such as the request
    /// whose bytes it refers to. The pushing thread calls this before a record enters a class of
    /// its own ([`StoreBuilder::class`](crate::StoreBuilder::class)), since such a class retains a
    /// small share of the records for a long time.
    fn detach(&mut self) {}

    /// Calls [`Shared::charge`] with this ledger for each shared part that the record holds. The
    /// store's statistics then count the bytes of each part once.
    fn charge(&self, ledger: &Ledger) {
        let _ = ledger;
    }
}

/// Declares the index by trace, whose keys are ids.
const fn by_trace<T>(key: fn(&T) -> Option<Key<'_>>) -> Index<T> {
    let is_id = |key: Key<'_>| matches!(key, Key::Id(_));
    Index::new("trace", key)
        .accepting(is_id, "a trace id: `TraceId::from(7)`, or a text's `parse::<TraceId>()?`")
}

/// Declares the index by service, which every record has.
const fn by_service<T>(key: fn(&T) -> Option<Key<'_>>) -> Index<T> {
    Index::new("service", key).accepting(
        is_text,
        "a service's name; records without one are found by \"unknown_service\"",
    )
}

/// Returns whether the key is a text that is not empty.
fn is_text(key: Key<'_>) -> bool {
    matches!(key, Key::Text(text) if !text.is_empty())
}

/// Returns the names of a signal's indexes.
pub(crate) fn index_names<T: Signal>() -> Vec<&'static str> {
    T::INDEXES.as_slice().iter().map(Index::name).collect()
}

/// Returns the index of this number.
#[inline(always)]
pub(crate) fn index_at<T: Signal>(number: usize) -> Index<T> {
    T::INDEXES.as_slice()[number]
}

/// Returns a record's key in the index of this number.
#[inline(always)]
pub(crate) fn key_of<T: Signal>(record: &T, index: usize) -> Option<Key<'_>> {
    index_at::<T>(index).key(record)
}

/// Returns the number of the index with this name, or an error that lists the known names.
pub(crate) fn index_named<T: Signal>(name: &str) -> Result<usize, QueryError> {
    let number = T::INDEXES.as_slice().iter().position(|index| index.name() == name);
    number.ok_or_else(|| QueryError::UnknownIndex {
        name: name.to_owned(),
        known: index_names::<T>(),
    })
}
