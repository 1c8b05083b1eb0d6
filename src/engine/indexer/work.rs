//! How much a step may do, depending on who takes it, and how much it did.

use crate::engine::tuning::{ASSIST_BATCH, DROP_BATCH, STEP_BATCH};

/// The most that a step may do, in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Records to evict. A step indexes up to twice as many. So a producer that keeps a full ring
    /// going also catches up with indexing. Otherwise the lag would stay what it was when the ring
    /// filled up, and lookups would have a long tail of records to look through.
    pub(crate) evict: u64,
    /// Records to reclaim, if that runs user code: their drops, hooks, or a stream. Otherwise
    /// records are only passed, [`STEP_BATCH`] at a time.
    pub(super) drops: u64,
    /// Whether this step may hand records to hooks and the stream.
    pub(super) runs_hooks: bool,
    /// Whether this step may take over from a suspended holder of the indexer lock.
    pub(super) takes_over: bool,
    /// Whether this step passes over each push that has begun, is due for eviction and has not
    /// finished, also if nobody needs its room.
    pub(super) passes_over: bool,
}

impl Work {
    /// Everything, in large batches: for the indexer thread, and for a caller that steps a store
    /// without one.
    pub(crate) const ALL: Self = Self {
        evict: STEP_BATCH,
        drops: DROP_BATCH,
        runs_hooks: true,
        takes_over: true,
        passes_over: false,
    };
    /// Everything, and what lies behind a suspended push: at the end of a store.
    pub(crate) const END: Self = Self { passes_over: true, ..Self::ALL };
    /// Everything except drops, which are left to producers. An allocator is fastest where the
    /// thread that allocated a record frees it.
    pub(crate) const NO_DROPS: Self = Self { drops: 0, ..Self::ALL };
    /// Nothing that runs user code.
    pub(crate) const FLUSH: Self = Self { drops: 0, runs_hooks: false, ..Self::ALL };
    /// Some indexing, by a reader that would otherwise have to look through the records not yet
    /// indexed.
    pub(crate) const READ: Self = Self::help(ASSIST_BATCH, 0);
    /// A small batch, by a producer that has found no room.
    pub(crate) const ASSIST: Self =
        Self { evict: ASSIST_BATCH, drops: DROP_BATCH, runs_hooks: false, ..Self::ALL };
    /// The same as [`ASSIST`](Self::ASSIST), including hooks: for when the indexer thread is
    /// suspended or does not exist.
    pub(crate) const ASSIST_ALL: Self = Self { runs_hooks: true, ..Self::ASSIST };

    /// A few records, by a producer that has pushed, while room is short: so that no push has to do
    /// much at a time.
    pub(crate) const fn help(evict: u64, drops: u64) -> Self {
        Self { evict, drops, runs_hooks: false, takes_over: false, passes_over: false }
    }
}

/// How many records a step has moved past each cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) indexed: u64,
    pub(crate) evicted: u64,
    pub(crate) reclaimed: u64,
}

impl Moved {
    /// Returns whether any cursor has moved.
    pub(crate) fn any(self) -> bool {
        self != Self::default()
    }
}
