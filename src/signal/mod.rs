//! The [`Signal`] trait, which every record type implements, and the three built-in record types.

#[macro_use]
mod view;

pub(crate) mod body;
pub(crate) mod draft;
mod id;
mod key;
mod list_ref;
pub(crate) mod log;
mod log_builder;
mod metric;
pub(crate) mod metric_point;
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
use crate::sync::{AtomicU32, AtomicU64};

/// A kind of record that a [`Store`](crate::Store) can hold.
///
/// Implement this trait to store your own record type. The pushing thread calls the methods before
/// the record enters the ring. Reading threads call them when a lookup compares keys, and
/// [`Store::audit`](crate::Store::audit) calls them too. They should be cheap and must not block.
/// They must return the same answer for the same record every time: if a record's key changes while
/// it is stored, lookups do not find the record, and the audit reports it. A panic in one of the
/// methods is caught and counted. If the panic happens during a push, the push returns the record
/// to the caller.
///
/// ```
/// use slipring::{Key, Signal};
///
/// struct Job { queue: String, worker: u64, queued_at: u64 }
///
/// impl Signal for Job {
///     const NAME: &'static str = "job";
///     type Indexes = [&'static str; 2];
///     const INDEXES: Self::Indexes = ["queue", "worker"];
///
///     fn key(&self, index: usize) -> Option<Key<'_>> {
///         match index {
///             0 => Some(Key::Text(&self.queue)),
///             _ => (self.worker != 0).then_some(Key::Int(self.worker)),
///         }
///     }
///     fn timestamp(&self) -> u64 { self.queued_at }
///     fn heap_bytes(&self) -> usize { self.queue.capacity() }
/// }
/// ```
pub trait Signal: Send + Sync + Sized + 'static {
    /// The name of one record, in the singular. Statistics use it as a prefix: `span` gives
    /// `span_count`.
    const NAME: &'static str;

    /// The array type of [`INDEXES`](Signal::INDEXES): `[&'static str; N]`. Slots hold N
    /// fingerprints inline.
    type Indexes: Indexes;

    /// The names of the indexes, in the order of the number that [`key`](Signal::key) takes. If one
    /// index groups records that belong together, such as the spans of a trace, put it first. The
    /// store remembers the keys of the first index whose records were all evicted (in a ghost
    /// filter), so that [`Report::partial`](crate::query::Report::partial) recognizes them.
    const INDEXES: Self::Indexes;

    /// Returns the record's key in the index with this number (below N), or `None` if the record
    /// has no key in that index.
    fn key(&self, index: usize) -> Option<Key<'_>>;

    /// Returns whether this record has the key of `other` in an index for a reason that is cheap to
    /// see, such as that both have it from the same shared part. `false` says nothing.
    #[doc(hidden)]
    fn shares_key(&self, other: &Self, index: usize) -> bool {
        let _ = (other, index);
        false
    }

    /// The capacity of a store of these records, in records, unless its builder sets another.
    const DEFAULT_CAPACITY: usize = 10_000;

    /// Returns a description of a valid key, such as "a number", if no record can have the given
    /// key in the index with this number. Returns `None` for a valid key. Queries refuse an invalid
    /// key, because it would match nothing.
    fn wrong_key(index: usize, key: Key<'_>) -> Option<&'static str> {
        let _ = (index, key);
        None
    }

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

/// The array types allowed for [`Signal::Indexes`]: `[&'static str; N]` for any N.
pub trait Indexes: sealed::Indexes {}

impl<const N: usize> Indexes for [&'static str; N] {}

pub(crate) mod sealed {
    use super::{AtomicU32, AtomicU64};

    /// Maps the array of index names to other arrays of the same length. Stable Rust does not
    /// accept `[u64; T::N]`, so an associated array type stands in for it.
    pub trait Indexes: AsRef<[&'static str]> + Send + Sync + 'static {
        /// The number of indexes.
        const COUNT: usize;
        /// One fingerprint per index, as a producer carries them.
        type Prints: Copy + AsRef<[u64]> + AsMut<[u64]> + Send;
        /// One fingerprint per index, as a slot stores them.
        type PrintCells: AsRef<[AtomicU64]> + Send + Sync;
        /// One link per index, as a slot stores them.
        type LinkCells: AsRef<[AtomicU32]> + Send + Sync;

        fn prints() -> Self::Prints;
        fn print_cells() -> Self::PrintCells;
        fn link_cells() -> Self::LinkCells;
    }

    impl<const N: usize> Indexes for [&'static str; N] {
        const COUNT: usize = N;
        type Prints = [u64; N];
        type PrintCells = [AtomicU64; N];
        type LinkCells = [AtomicU32; N];

        fn prints() -> Self::Prints {
            [0; N]
        }
        fn print_cells() -> Self::PrintCells {
            std::array::from_fn(|_| AtomicU64::new(0))
        }
        fn link_cells() -> Self::LinkCells {
            std::array::from_fn(|_| AtomicU32::new(0))
        }
    }
}

/// Returns a description of a valid trace key if `key` is not an id.
fn no_trace(key: Key<'_>) -> Option<&'static str> {
    let is_id = matches!(key, Key::Id(_));
    (!is_id).then_some("a trace id: `TraceId::from(7)`, or a text's `parse::<TraceId>()?`")
}

/// Returns `instead`, a description of a valid key, if `key` is not a non-empty text.
fn no_text(key: Key<'_>, instead: &'static str) -> Option<&'static str> {
    let is_text = matches!(key, Key::Text(text) if !text.is_empty());
    (!is_text).then_some(instead)
}

const NO_SERVICE: &str = "a service's name; records without one are found by \"unknown_service\"";

/// Returns the number of the index with this name, or an error that lists the known names.
pub(crate) fn index_named<T: Signal>(name: &str) -> Result<usize, QueryError> {
    let names = T::INDEXES;
    let known: &[&'static str] = names.as_ref();
    known
        .iter()
        .position(|known| *known == name)
        .ok_or_else(|| QueryError::UnknownIndex { name: name.to_owned(), known: known.to_vec() })
}
