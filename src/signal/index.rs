//! [`Index`]: one row of a signal's table of indexes.

use super::key::Key;
use crate::sync::{AtomicU32, AtomicU64};

/// An index of a [`Signal`](super::Signal): its name, how it extracts a record's key, and which
/// keys it can hold.
///
/// ```
/// use slipring::{Index, Key};
///
/// struct Job { queue: String, worker: u64 }
///
/// const WORKER: Index<Job> =
///     Index::new("worker", |job: &Job| (job.worker != 0).then_some(Key::Int(job.worker)))
///         .accepting(|key| matches!(key, Key::Int(1..)), "a worker's number, from 1 on");
///
/// let job = Job { queue: "mails".to_owned(), worker: 3 };
/// assert_eq!((WORKER.name(), WORKER.key(&job)), ("worker", Some(Key::Int(3))));
/// # let _ = job.queue;
/// ```
pub struct Index<T> {
    name: &'static str,
    key: fn(&T) -> Option<Key<'_>>,
    shares: fn(&T, &T) -> bool,
    accepts: Option<Accepts>,
}

/// Which keys an index can hold, and what to give instead of another.
#[derive(Clone, Copy)]
struct Accepts {
    is_valid: fn(Key<'_>) -> bool,
    expected: &'static str,
}

impl<T> Index<T> {
    /// Declares an index of this name. `key` returns the record's key in it, or `None` if the
    /// record has none.
    ///
    /// `key` is called as the methods of [`Signal`](super::Signal) are: it should be cheap, must not
    /// block, and must return the same key for the same record every time.
    pub const fn new(name: &'static str, key: fn(&T) -> Option<Key<'_>>) -> Self {
        Self { name, key, shares: |_, _| false, accepts: None }
    }

    /// Says when two records have the same key for a reason that is cheaper to see than the key is
    /// to compare, such as that both have it from the same shared part. `false` says nothing. If it
    /// returns true for records whose keys differ, the later one is not found by its key.
    ///
    /// Of records pushed in one batch, each is asked about the one before it. If it shares the key,
    /// the key is not read and not hashed again.
    pub const fn sharing(self, shares: fn(&T, &T) -> bool) -> Self {
        Self { shares, ..self }
    }

    /// Says which keys records can have in this index. Queries refuse any other key, because it
    /// would match nothing, and tell the caller to give `expected`, such as "a number".
    ///
    /// A closure before this call has to name its parameter's type: `Index::new("worker", |job:
    /// &Job| …).accepting(…)`.
    pub const fn accepting(self, accepts: fn(Key<'_>) -> bool, expected: &'static str) -> Self {
        Self { accepts: Some(Accepts { is_valid: accepts, expected }), ..self }
    }

    /// Returns the index's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the record's key in this index, if it has one.
    #[inline(always)]
    pub fn key<'r>(&self, record: &'r T) -> Option<Key<'r>> {
        (self.key)(record)
    }

    /// Returns whether the two records are seen to have the same key without looking at it.
    #[inline(always)]
    pub(crate) fn shares(&self, record: &T, other: &T) -> bool {
        (self.shares)(record, other)
    }

    /// Returns what to give instead of this key, if no record can have it.
    pub fn wrong_key(&self, key: Key<'_>) -> Option<&'static str> {
        let accepts = self.accepts?;
        (!(accepts.is_valid)(key)).then_some(accepts.expected)
    }
}

impl<T> Clone for Index<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Index<T> {}

impl<T> std::fmt::Debug for Index<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The array types allowed for [`Signal::Indexes`](super::Signal::Indexes): `[Index<T>; N]` for any
/// N.
pub trait Indexes<T>: sealed::Indexes {
    /// Returns the rows of the table.
    fn as_slice(&self) -> &[Index<T>];
}

impl<T: 'static, const N: usize> Indexes<T> for [Index<T>; N] {
    #[inline(always)]
    fn as_slice(&self) -> &[Index<T>] {
        self
    }
}

pub(crate) mod sealed {
    use super::{AtomicU32, AtomicU64, Index};

    /// Maps the array of indexes to other arrays of the same length. Stable Rust does not accept
    /// `[u64; T::N]`, so an associated array type stands in for it.
    pub trait Indexes: Send + Sync + 'static {
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

    impl<T: 'static, const N: usize> Indexes for [Index<T>; N] {
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
