//! Signals: what a record must tell the engine, and the three built-in kinds.

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
/// Implementing it makes a user's own type a signal. The methods run on the pushing thread before
/// the record enters the ring, on reading threads when a lookup compares keys, and in
/// [`Store::audit`](crate::Store::audit). They should be cheap, must not block, and must give the
/// same answer for the same record every time: a key that changes while its record is stored is not
/// found (the audit names it). A panic in one of them is caught and counted; a push whose record
/// panics hands the record back.
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
    /// What one record is called, in the singular; statistics count `span`s as `span_count`.
    const NAME: &'static str;

    /// The array type of [`INDEXES`](Signal::INDEXES): `[&'static str; N]`. Slots hold N
    /// fingerprints inline.
    type Indexes: Indexes;

    /// The names of the indexes, in the order of [`key`](Signal::key)'s argument. If one of them is
    /// of groups that belong together, such as traces, let it be the first:
    /// [`Report::partial`](crate::query::Report::partial) then knows more.
    const INDEXES: Self::Indexes;

    /// Returns the record's key in the index with this number (below N), or `None` if it has none
    /// there.
    fn key(&self, index: usize) -> Option<Key<'_>>;

    /// How many records a store of them keeps unless its builder is told.
    const DEFAULT_CAPACITY: usize = 10_000;

    /// Returns what to give instead of a key that no record can have in the index with this number,
    /// such as "a number"; `None` for other keys. Queries refuse such a key, which would find
    /// nothing.
    fn wrong_key(index: usize, key: Key<'_>) -> Option<&'static str> {
        let _ = (index, key);
        None
    }

    /// Returns the time at which it happened, in nanoseconds since the Unix epoch; 0 if unknown.
    fn timestamp(&self) -> u64;

    /// Returns the heap bytes that this record alone owns, as requested from the allocator
    /// (capacities, not lengths). What lies in [`Shared`] parts is not its own.
    fn heap_bytes(&self) -> usize {
        0
    }

    /// Returns whether it is about something that went wrong;
    /// [`StoreBuilder::error_class`](crate::StoreBuilder::error_class) keeps what is.
    fn is_error(&self) -> bool {
        false
    }

    /// Drops what the record keeps only because of how it came, such as the request that it is a
    /// range of. The pushing thread calls it before a record enters a class of its own
    /// ([`StoreBuilder::class`](crate::StoreBuilder::class)), which keeps few of many for long.
    fn detach(&mut self) {}

    /// Calls [`Shared::charge`] with this ledger for each shared part that the record holds, so
    /// that the store's statistics count the part's bytes once.
    fn charge(&self, ledger: &Ledger) {
        let _ = ledger;
    }
}

/// The arrays that [`Signal::Indexes`] may be: `[&'static str; N]` for any N.
pub trait Indexes: sealed::Indexes {}

impl<const N: usize> Indexes for [&'static str; N] {}

pub(crate) mod sealed {
    use super::{AtomicU32, AtomicU64};

    /// Arrays of the same length as the names: stable Rust has no `[u64; T::N]`, an associated
    /// array type has.
    pub trait Indexes: AsRef<[&'static str]> + Send + Sync + 'static {
        /// How many indexes there are.
        const COUNT: usize;
        /// One fingerprint for each index, as a producer carries them.
        type Prints: Copy + AsRef<[u64]> + AsMut<[u64]> + Send;
        /// One fingerprint for each index, as a slot keeps them.
        type PrintCells: AsRef<[AtomicU64]> + Send + Sync;
        /// One link for each index, as a slot keeps them.
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

/// Returns what to give for a trace instead of a key of another kind.
fn no_trace(key: Key<'_>) -> Option<&'static str> {
    let is_id = matches!(key, Key::Id(_));
    (!is_id).then_some("a trace id: `TraceId::from(7)`, or a text's `parse::<TraceId>()?`")
}

/// Returns what to give for a service or a name instead of a key of another kind, or of nothing.
fn no_text(key: Key<'_>, instead: &'static str) -> Option<&'static str> {
    let is_text = matches!(key, Key::Text(text) if !text.is_empty());
    (!is_text).then_some(instead)
}

const NO_SERVICE: &str = "a service's name; records without one are found by \"unknown_service\"";

/// Returns the number of the index with this name.
pub(crate) fn index_named<T: Signal>(name: &str) -> Result<usize, QueryError> {
    let names = T::INDEXES;
    let known: &[&'static str] = names.as_ref();
    known
        .iter()
        .position(|known| *known == name)
        .ok_or_else(|| QueryError::UnknownIndex { name: name.to_owned(), known: known.to_vec() })
}
