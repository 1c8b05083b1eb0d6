//! Faults planted for the loom models. Each weakens one ordering or skips one step, to show that a
//! model notices.
//!
//! They exist under `--cfg loom`, and for the stress program under `--cfg slipring_faults`
//! (`ci/planted`). In a normal build [`planted`] is a constant `false`, which the compiler removes.

use super::Ordering;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        #[allow(dead_code, reason = "a normal build plants no fault")]
        pub(crate) enum Fault {
            $($(#[$doc])* $name,)*
        }

        #[cfg(any(loom, slipring_faults))]
        impl Fault {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

faults! {
    /// A producer publishes a slot's generation word without Release.
    PublishRelaxed,
    /// A producer marks a slot as busy without Release.
    BusyRelaxed,
    /// A reader does not fence between pinning slots and reading `evicted`.
    ReaderWithoutFence,
    /// A reader does not read `evicted` again after it has pinned a slot.
    ReaderWithoutReload,
    /// A reader moves a pin to another slot without Release.
    PinMovedRelaxed,
    /// A reader clears a pin without Release.
    PinClearedRelaxed,
    /// A reader takes the words of a former reader without Acquire.
    PinOwnerRelaxed,
    /// A reader leaves a block of pins without Release.
    BlockLeftRelaxed,
    /// The indexer lock's holder does not fence between raising `evicted` and scanning the pins.
    HolderWithoutFence,
    /// The indexer lock's holder scans the first block of pins only.
    FirstBlockOnly,
    /// A reader links a new block of pins without Release.
    LinkRelaxed,
    /// The indexer lock's holder raises `reclaimed` without Release.
    ReclaimedRelaxed,
    /// A scan goes on below the visible window.
    ScanWithoutWindow,
    /// Evicting the last record of a key leaves its directory entry behind.
    EntryNotRemoved,
    /// The indexer parks without checking the cursors once more.
    ParkWithoutLook,
    /// A query reads a directory before it reads `indexed`.
    DirectoryBeforeIndexed,
    /// The indexer lock's holder enters a key's newer record in the directory without Release.
    RaisedRelaxed,
    /// The indexer lock's holder puts a directory's larger table into use without Release.
    GrownRelaxed,
    /// A reader lists the entries of a directory without Acquire.
    ListedRelaxed,
    /// A query does not report that a record was evicted after the query had found its head.
    GoneUnsaid,
    /// A query from a bookmark does not count what was evicted before it read the directory.
    LeftUncounted,
    /// A bookmark is placed at the claimed cursor, whether or not the claims are published.
    BookmarkAtClaimed,
    /// A producer that changes to another class keeps the stamp of its former class.
    ClassKeepsStamp,
    /// Records are evicted for the byte limit without being made invisible first.
    ByteLimitUnseen,
    /// A producer takes a stamp without Release.
    StampRelaxed,
    /// A scan returns records that the scan of the unindexed tail has already returned.
    ScanRepeatsTail,
    /// The indexer lock's holder raises `indexed` without Release.
    IndexedRelaxed,
    /// A lookup ignores the low watermark that `clear` raised.
    WatermarkIgnored,
    /// `clear` does not notify the indexer.
    ClearWithoutNotice,
    /// A producer that claims in a shard with a parked indexer does not wake the indexer.
    ClaimWithoutWake,
    /// Reclaiming does not scan the pins.
    PinsNotScanned,
    /// A record is moved out although another thread has already moved it out.
    TakenTwice,
    /// A thread that takes over the indexer lock does not adopt the cursors from the stalled
    /// holder.
    CursorsNotAdopted,
    /// A thread that takes over the indexer lock adopts a cursor without Release.
    AdoptRelaxed,
    /// The indexer skips an unpublished sequence before that sequence is due for eviction.
    PassedOverTooSoon,
    /// A reader does not check whether a directory entry has changed while it followed the entry.
    EntryFollowedBlindly,
    /// A key is added to a directory without Release.
    AdditionRelaxed,
    /// A list of keys that was kept is used although keys have been added since.
    AdditionsIgnored,
    /// A list of keys that was kept is used although one of its keys may have left.
    WitnessesIgnored,
    /// A list of keys that missed a key which was just changing is kept.
    ListKeptIncomplete,
    /// A reader of a directory's entries does not look again at an entry that led elsewhere.
    EntryListedOnce,
    /// A line of a directory is marked as empty while it has an entry left.
    LineGivenUp,
    /// A reader does not check a slot's generation again after it has read the head.
    HeadLookedAtOnce,
    /// The bytes of a dropped record are not returned to the byte budget.
    BytesNotGivenBack,
    /// Shutdown leaves the shards open.
    ShardNotClosed,
    /// A waiter does not check its condition again after it has registered.
    WaitWithoutLook,
    /// A waiter does not fence between registering and checking its condition.
    WaitWithoutFence,
    /// A notifier does not fence between its change and reading the number of waiters.
    NotifyWithoutFence,
    /// A notifier does not advance the epoch.
    EpochStands,
    /// A panic of a waker is not caught.
    WakeUnguarded,
    /// A waker is woken under the event count's lock.
    WakeUnderLock,
    /// A waker is cloned under the event count's lock.
    CloneUnderLock,
    /// A thread that raises `reclaimed` does not notify waiting producers.
    ReclaimWithoutWake,
    /// A thread that indexes records does not notify followers.
    IndexWithoutWake,
    /// Shutdown does not notify waiters.
    ShutdownWithoutWake,
    /// A stream of evictions does not wake its task.
    StreamWithoutWake,
    /// A record for which a stream's buffer has no room is not counted as missed.
    MissUncounted,
    /// Whoever opens a stream counts records that wait in their slots as if they had left.
    WaitingCountedGone,
    /// A record that is on its way to a stream when the store ends stays counted as missed.
    MissesFixedAtEnd,
}

/// Returns whether the process runs with this fault, which `SLIPRING_FAULT` names.
#[cfg(any(loom, slipring_faults))]
pub(crate) fn planted(fault: Fault) -> bool {
    use std::sync::OnceLock;

    /// The fault that the whole process runs with, if any.
    static PLANTED: OnceLock<Option<Fault>> = OnceLock::new();
    let planted = PLANTED.get_or_init(|| {
        let name = std::env::var("SLIPRING_FAULT").ok()?;
        Some(
            Fault::named(&name)
                .unwrap_or_else(|| panic!("SLIPRING_FAULT={name}: there is no fault of this name")),
        )
    });
    *planted == Some(fault)
}

/// Returns false: a normal build plants no fault.
#[cfg(not(any(loom, slipring_faults)))]
#[inline(always)]
pub(crate) const fn planted(_: Fault) -> bool {
    false
}

/// Returns `ordering`, or Relaxed if the fault is planted.
#[inline(always)]
pub(crate) fn weaken(ordering: Ordering, fault: Fault) -> Ordering {
    if planted(fault) { Ordering::Relaxed } else { ordering }
}

/// Executes a `SeqCst` fence, unless the fault is planted.
#[inline(always)]
pub(crate) fn fence(fault: Fault) {
    if !planted(fault) {
        super::fence(Ordering::SeqCst);
    }
}
