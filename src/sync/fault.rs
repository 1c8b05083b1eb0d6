//! Faults planted for the loom models: each weakens one ordering or skips one check, to show that a model notices.
//!
//! They exist under `--cfg loom` only, and for the stress program under `--cfg slipring_faults` (`ci/planted`); in a normal build
//! `planted` is a constant `false` and the code folds away.

use super::Ordering;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        #[allow(dead_code, reason = "a normal build plants none")]
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
    /// The generation word is published without Release.
    PublishRelaxed,
    /// A slot is said to be busy without Release.
    BusyRelaxed,
    /// A reader does not fence between its pins and its look at `evicted`.
    ReaderWithoutFence,
    /// A reader does not look at `evicted` again after it has pinned a record.
    ReaderWithoutReload,
    /// A reader moves a pin without Release.
    PinMovedRelaxed,
    /// A reader clears a pin without Release.
    PinClearedRelaxed,
    /// The token holder does not fence between `evicted` and its look at the pins.
    HolderWithoutFence,
    /// The token holder looks at the first block of pins only.
    FirstBlockOnly,
    /// A new block of pins is linked without Release.
    LinkRelaxed,
    /// `reclaimed` is raised without Release.
    ReclaimedRelaxed,
    /// A walk goes on below the visible window.
    ScanWithoutWindow,
    /// The last record of a key leaves its directory entry behind.
    EntryNotRemoved,
    /// The indexer parks without a last look at the cursors.
    ParkWithoutLook,
    /// A query reads its directory before `indexed`.
    DirectoryBeforeIndexed,
    /// A newer record of a key is entered in the directory without Release.
    RaisedRelaxed,
    /// A query does not say that a record was evicted after it had found its head.
    GoneUnsaid,
    /// A query from a bookmark on does not count what left before it looked into the directory.
    LeftUncounted,
    /// A bookmark stands at the claims, be they published or not.
    BookmarkAtClaimed,
    /// Who goes to another class keeps the stamp that he had here.
    ClassKeepsStamp,
    /// What goes for its bytes is evicted without being made invisible before.
    ByteLimitUnseen,
    /// Taking a stamp publishes nothing.
    StampRelaxed,
    /// A walk shows what the tail has shown.
    ScanRepeatsTail,
    /// `indexed` is raised without Release.
    IndexedRelaxed,
    /// A lookup does not look at the floor that `clear` raised.
    WatermarkIgnored,
    /// `clear` sends no notice.
    ClearWithoutNotice,
    /// Who claims in a shard that is marked wakes nobody.
    ClaimWithoutWake,
    /// Whoever reclaims does not look for pins.
    PinsNotScanned,
    /// A record is moved out without looking whether somebody else has.
    TakenTwice,
    /// Whoever takes a token over leaves the cursors to the sleeper.
    CursorsNotAdopted,
    /// What is not published is passed over before its turn to leave has come.
    PassedOverTooSoon,
    /// A reader does not look whether an entry has changed while it was followed.
    EntryFollowedBlindly,
    /// A reader does not look at a slot's generation again after it has read the head.
    HeadLookedAtOnce,
    /// What a record's bytes took is not given back.
    BytesNotGivenBack,
    /// Shutdown leaves the shards open.
    ShardNotClosed,
    /// Who waits does not look again after registering.
    WaitWithoutLook,
    /// Who waits does not fence between registering and its look.
    WaitWithoutFence,
    /// Who changes what others wait for does not fence before it looks whether anybody does.
    NotifyWithoutFence,
    /// Who wakes does not advance the epoch.
    EpochStands,
    /// A waker that panics is not caught.
    WakeUnguarded,
    /// A waker is woken under the event's lock.
    WakeUnderLock,
    /// A waker is cloned under the event's lock.
    CloneUnderLock,
    /// Who raises `reclaimed` wakes nobody.
    ReclaimWithoutWake,
    /// Who indexes wakes nobody.
    IndexWithoutWake,
    /// Shutdown wakes no waiter.
    ShutdownWithoutWake,
}

#[cfg(any(loom, slipring_faults))]
pub(crate) fn planted(fault: Fault) -> bool {
    use std::sync::OnceLock;

    /// The whole process runs with one fault, or with none.
    static PLANTED: OnceLock<Option<Fault>> = OnceLock::new();
    let planted = PLANTED.get_or_init(|| {
        let name = std::env::var("SLIPRING_FAULT").ok()?;
        Some(Fault::named(&name).unwrap_or_else(|| panic!("SLIPRING_FAULT={name}: there is no such fault")))
    });
    *planted == Some(fault)
}

#[cfg(not(any(loom, slipring_faults)))]
#[inline(always)]
pub(crate) const fn planted(_: Fault) -> bool {
    false
}

/// The ordering, or Relaxed where the fault is planted.
#[inline(always)]
pub(crate) fn weaken(ordering: Ordering, fault: Fault) -> Ordering {
    if planted(fault) { Ordering::Relaxed } else { ordering }
}

/// A `SeqCst` fence, or none where the fault is planted.
#[inline(always)]
pub(crate) fn fence(fault: Fault) {
    if !planted(fault) {
        super::fence(Ordering::SeqCst);
    }
}
