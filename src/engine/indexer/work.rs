//! How much a step may do, by who takes it, and how much it did.
use crate::engine::tuning::{ASSIST_BATCH, DROP_BATCH, RECLAIM_BATCH, STEP_BATCH};

/// What a step may do at most, in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Indexes twice as many as it evicts, so that whoever keeps a full ring going also catches up: otherwise the lag would stay
    /// what it was when the ring filled up, and lookups would have a long tail to look through.
    pub(crate) evict: u64,
    /// Reclaims so many, where that takes no code of users: records need no drop, and no hook or stream sees them.
    pub(super) reclaim: u64,
    /// The same where it takes such code.
    pub(super) drops: u64,
    /// Whether hooks and a stream may see records here.
    pub(super) shows: bool,
    /// Whether it takes_over a holder that sleeps.
    pub(super) takes_over: bool,
}

impl Work {
    /// Everything, in large batches: for the indexer's thread, and for whoever steps where there is none.
    pub(crate) const ALL: Self =
        Self { evict: STEP_BATCH, reclaim: STEP_BATCH, drops: DROP_BATCH, shows: true, takes_over: true };
    /// All but drops, which are left to producers: allocators are fast where the thread that allocated a record frees it.
    pub(crate) const NO_DROPS: Self = Self { drops: 0, ..Self::ALL };
    /// Nothing that takes code of users.
    pub(crate) const FLUSH: Self = Self { drops: 0, shows: false, ..Self::ALL };
    /// Some indexing, by a reader that would have to look through what is not indexed.
    pub(crate) const READ: Self = Self { evict: ASSIST_BATCH, reclaim: 0, drops: 0, shows: false, takes_over: false };
    /// A small batch, by a producer that has found no room.
    pub(crate) const ASSIST: Self =
        Self { evict: ASSIST_BATCH, reclaim: STEP_BATCH, drops: RECLAIM_BATCH, shows: false, takes_over: true };
    /// The same where the indexer's thread sleeps, or does not exist.
    pub(crate) const ASSIST_ALL: Self = Self { shows: true, ..Self::ASSIST };

    /// Lets go of so many records that have been evicted.
    pub(crate) const fn reclaim_some(drops: u64) -> Self {
        Self { evict: 0, reclaim: 0, drops, shows: false, takes_over: false }
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
    pub(crate) fn any(self) -> bool {
        self != Self::default()
    }
}
