//! A shard: its slots and the cursors over them.
//!
//! `reclaimed ≤ evicted ≤ indexed ≤ claimed ≤ reclaimed + P`, each only ever growing. Visible is what is published at or
//! above `max(evicted, floor, claimed − capacity)`.

use super::floor::{Departures, Floor};
use super::marks::Marks;
use super::share::Share;
use super::slot::{Head, Slots};
use super::token::{Token, TokenGuard};
use crate::index::{Blocks, Departed, Directory};
use crate::inside::caught;
use crate::reason::EvictReason;
use crate::reserve::reserve;
use crate::signal::Signal;
use crate::signal::sealed::Indexes as _;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::{AtomicU64, CachePadded, Count, Ordering, Tally, fence_after_seqcst_rmw, look_before_swap, own};
use std::collections::TryReserveError;

/// The word of the `claimed` cursor: sequences handed out, and in the top bit whether the shard is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claimed(u64);

impl Claimed {
    const CLOSED: u64 = 1 << 63;

    pub(super) fn sequence(self) -> u64 {
        self.0 & !Self::CLOSED
    }

    pub(super) fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }
}

/// What the token holder has got to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursors {
    pub(crate) indexed: u64,
    pub(crate) evicted: u64,
    pub(crate) reclaimed: u64,
}

/// One shard of a store.
pub(crate) struct Shard<T: Signal> {
    claimed: CachePadded<AtomicU64>,
    reclaimed: CachePadded<AtomicU64>,
    indexed: CachePadded<AtomicU64>,
    evicted: AtomicU64,
    floor: Floor,
    /// Own heap bytes of the records in `[reclaimed, indexed)`; written by the token holder.
    pub(crate) heap: Count,
    /// If bytes are bounded.
    pub(crate) share: Option<Share>,
    pub(crate) token: Token,
    pub(crate) marks: Marks,
    pub(crate) slots: Slots<T>,
    /// For each slot, of how many keys its record is the newest; once it has been evicted, the number of the
    /// [reason](EvictReason). The token holder's notes, apart from the slots' heads and small, so that entering a record does
    /// not touch the head of the one before it, nor evicting one its own.
    pub(crate) leads: Box<[Tally]>,
    /// One for each index; written by the token holder.
    pub(crate) directories: Box<[Directory]>,
    /// Written by the token holder.
    pub(crate) blocks: Blocks,
    /// Keys of the first index that have left; written by the token holder.
    pub(crate) departed: Departed,
    capacity: u64,
}

impl<T: Signal> Shard<T> {
    /// `bytes` is how many its records may keep, if that is bounded.
    pub(crate) fn new(capacity: usize, slack: usize, bytes: Option<u64>) -> Result<Self, TryReserveError> {
        const { assert!(T::Indexes::COUNT <= u8::MAX as usize, "a signal has at most 255 indexes") };
        let count = capacity + slack;
        Ok(Self {
            claimed: CachePadded::new(AtomicU64::new(0)),
            reclaimed: CachePadded::new(AtomicU64::new(0)),
            indexed: CachePadded::new(AtomicU64::new(0)),
            evicted: AtomicU64::new(0),
            floor: Floor::new(),
            heap: Count::default(),
            share: bytes.map(Share::new),
            token: Token::new(),
            marks: Marks::new(),
            slots: Slots::new(count)?,
            leads: reserve(count, Tally::default)?,
            directories: (0..T::Indexes::COUNT).map(|_| Directory::new()).collect(),
            blocks: Blocks::new(count)?,
            departed: Departed::new(count)?,
            capacity: capacity as u64,
        })
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    // --- producers ---

    #[inline]
    pub(super) fn claimed_word(&self) -> Claimed {
        // Acquire: whoever claimed before this has taken its stamp before; see `Router`.
        Claimed(look_before_swap(&self.claimed))
    }

    /// Hands out `[from, from + count)` if nothing was handed out since `from` and the shard is open. The caller knows
    /// that there is room: `from + count ≤ limit()`.
    #[inline]
    pub(super) fn claim(&self, from: u64, count: u64) -> bool {
        // SeqCst: a full barrier against the look at the notice word (`notice`), and Release-Acquire among claims, so
        // that stamps do not fall.
        let claimed = self.claimed.compare_exchange(from, from + count, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if claimed {
            fence_after_seqcst_rmw(Fault::ClaimWithoutBarrier);
        }
        claimed
    }

    /// Up to where sequences may be handed out. It only grows, so an old answer is a safe one.
    #[inline]
    pub(super) fn limit(&self) -> u64 {
        // Acquire pairs with the Release in `set_reclaimed`: the former records of these slots are gone.
        self.reclaimed.load(Ordering::Acquire) + self.slots.count()
    }

    /// Whether a claim would succeed or be refused for good.
    pub(crate) fn has_room_or_is_closed(&self) -> bool {
        let claimed = Claimed(self.claimed.load(Ordering::Acquire));
        claimed.is_closed() || claimed.sequence() < self.limit() && self.share.as_ref().is_none_or(Share::has_room)
    }

    // --- anyone ---

    /// Sequences handed out so far.
    #[inline]
    pub(crate) fn claimed(&self) -> u64 {
        Claimed(self.claimed.load(Ordering::Acquire)).sequence()
    }

    #[inline]
    pub(crate) fn indexed(&self) -> u64 {
        // Acquire pairs with the Release in `set_indexed`: what the directories hold up to there is seen.
        self.indexed.load(Ordering::Acquire)
    }

    /// The first sequence whose record is not in place yet, or of a run with this stamp or a later one. O(records not yet
    /// indexed).
    pub(crate) fn published_before(&self, stamp: u64) -> u64 {
        // A stamp is written over before its slot's generation is, so heads are looked at under a mark: from `evicted`, as it is
        // after the mark was set, they stay as they are.
        let _mark = self.marks.set(self.evicted());
        let evicted = self.evicted();
        let (mut from, claimed) = (self.indexed(), self.claimed());
        // What has been indexed while the caller was on its way here.
        while from > evicted && self.slots.head(from - 1).stamp() >= stamp {
            from -= 1;
        }
        let is_before = |(sequence, head): &(u64, &Head<T::Indexes>)| {
            (head.holds(*sequence) || planted(Fault::BookmarkAtClaimed)) && head.stamp() < stamp
        };
        let mut rest = self.slots.heads(from..claimed).skip_while(is_before);
        rest.next().map_or(claimed, |(sequence, _)| sequence)
    }

    #[inline]
    pub(crate) fn evicted(&self) -> u64 {
        // Acquire pairs with the Release in `set_evicted`. SeqCst, for readers that have just set a mark; see `Marks::set`.
        self.evicted.load(Ordering::SeqCst)
    }

    #[inline]
    pub(crate) fn reclaimed(&self) -> u64 {
        self.reclaimed.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn floor(&self) -> u64 {
        self.floor.get()
    }

    /// Whether the store has been cleared since this sequence was there.
    pub(crate) fn has_cleared(&self, sequence: u64) -> bool {
        self.floor.has_cleared(sequence)
    }

    /// Sequences handed out, and those of them that have left, by reason; of one moment.
    pub(crate) fn balance(&self) -> (u64, Departures) {
        let ((claimed, low), mut departures) = self.floor.balance(|| {
            let claimed = self.claimed();
            (claimed, self.low(claimed))
        });
        departures[EvictReason::Capacity as usize] = low - departures.iter().sum::<u64>();
        (claimed, departures)
    }

    pub(crate) fn floor_bytes(&self) -> usize {
        self.floor.bytes()
    }

    /// Below this, nothing is visible once `claimed` has been reached, however far the indexer lags.
    #[inline]
    pub(crate) fn low(&self, claimed: u64) -> u64 {
        let floor = if planted(Fault::FloorIgnored) { 0 } else { self.floor() };
        claimed.saturating_sub(self.capacity).max(floor)
    }

    /// How many records it may hold beyond its capacity, until they are reclaimed.
    pub(crate) fn slack(&self) -> u64 {
        self.slots.count() - self.capacity
    }

    /// Whether there are visible records, or some that are just being pushed.
    pub(crate) fn has_records(&self) -> bool {
        let claimed = self.claimed();
        self.low(claimed) < claimed
    }

    /// Whether few of its bytes are left, where these are bounded.
    pub(crate) fn is_short_of_bytes(&self) -> bool {
        self.share.as_ref().is_some_and(Share::is_short)
    }

    /// Whether what is indexed and not evicted takes more bytes than its share.
    pub(crate) fn is_over_share(&self) -> bool {
        self.share.as_ref().is_some_and(Share::is_exceeded)
    }

    /// Whether everything claimed is indexed, everything due is evicted, and everything evicted is reclaimed.
    pub(crate) fn is_settled(&self) -> bool {
        let claimed = self.claimed();
        self.indexed() == claimed
            && self.evicted() >= self.low(claimed)
            && self.reclaimed() == self.evicted()
            && !self.is_over_share()
    }

    /// Raises the floor to all that has been handed out: not visible any more, from now on.
    pub(crate) fn clear(&self) {
        self.raise_floor(self.claimed(), EvictReason::Cleared);
    }

    /// Makes what lies below this sequence invisible from now on, and due for eviction.
    pub(crate) fn raise_floor(&self, to: u64, reason: EvictReason) {
        debug_assert!(to <= self.claimed());
        self.floor.raise(to, reason, || self.low(self.claimed()));
    }

    /// Hands out nothing more.
    pub(crate) fn close(&self) {
        if planted(Fault::ShardNotClosed) {
            return;
        }
        self.claimed.fetch_or(Claimed::CLOSED, Ordering::SeqCst);
    }

    // --- the token holder ---

    /// The cursors that only the token holder moves.
    pub(crate) fn cursors(&self, _: &TokenGuard<'_>) -> Cursors {
        Cursors { indexed: own(&self.indexed), evicted: own(&self.evicted), reclaimed: own(&self.reclaimed) }
    }

    pub(crate) fn set_indexed(&self, indexed: u64) {
        debug_assert!(indexed >= own(&self.indexed));
        // Release pairs with the Acquire in `indexed`.
        self.indexed.store(indexed, weaken(Ordering::Release, Fault::IndexedRelaxed));
    }

    /// Notes for each record of a range that is being evicted, and leads no key any more, why it leaves.
    pub(crate) fn note_reasons(&self, range: std::ops::Range<u64>) {
        self.floor.tell(range, |part, reason| {
            part.for_each(|sequence| self.leads[self.slots.slot(sequence)].set(reason as u8));
        });
    }

    /// Why an evicted record has left; until its slot is written again.
    pub(crate) fn reason(&self, sequence: u64) -> EvictReason {
        EvictReason::numbered(self.leads[self.slots.slot(sequence)].get())
    }

    pub(crate) fn set_evicted(&self, evicted: u64) {
        debug_assert!(evicted >= own(&self.evicted) && evicted <= own(&self.indexed));
        // Release pairs with the Acquire in `evicted`; the barrier against marks is the fence in `Marks::lowest`.
        self.evicted.store(evicted, Ordering::Release);
    }

    pub(crate) fn set_reclaimed(&self, reclaimed: u64) {
        debug_assert!(reclaimed >= own(&self.reclaimed) && reclaimed <= own(&self.evicted));
        // Release pairs with the Acquire in `limit`.
        self.reclaimed.store(reclaimed, weaken(Ordering::Release, Fault::ReclaimedRelaxed));
    }
}

impl<T: Signal> Drop for Shard<T> {
    fn drop(&mut self) {
        if !std::mem::needs_drop::<T>() {
            return;
        }
        for sequence in self.reclaimed()..self.claimed() {
            if self.slots.published(sequence).is_some() {
                // A panicking drop must not keep the others from being dropped.
                let _ = caught(|| {
                    // SAFETY: nobody else has this shard any more; each published sequence from `reclaimed` on is still
                    // in its slot and visited once (invariant 3).
                    unsafe { self.slots.discard(sequence) }
                });
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::config::Builder;
    use crate::engine::Engine;
    use crate::signal::LogRecord;

    #[test]
    fn what_was_published_before_a_stamp_is_found_also_below_what_is_indexed() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(8).shards(1).manual());
        let shard = &engine.shards[0];
        let before = || [0, 1, 2].map(|stamp| shard.published_before(stamp));
        engine.push_some(3);
        engine.notices.tick_on();
        engine.push_some(2);
        assert_eq!(before(), [0, 3, 5]);
        engine.settle();
        assert_eq!((shard.indexed(), before()), (5, [0, 3, 5]));
        engine.push_some(7);
        engine.settle();
        assert_eq!((shard.evicted(), before()), (4, [4, 4, 8]), "as far as there is something; runs end by themselves");
    }

    #[test]
    fn who_awaits_room_is_told_of_slots_and_bytes_and_of_the_end() {
        let shard = Shard::<LogRecord>::new(2, 1, Some(8)).unwrap();
        assert!(shard.has_room_or_is_closed() && !shard.is_short_of_bytes());
        assert!(shard.claim(0, 2) && shard.has_room_or_is_closed());
        assert!(shard.claim(2, 1) && !shard.has_room_or_is_closed(), "no slot");
        shard.set_indexed(3);
        shard.set_evicted(1);
        shard.set_reclaimed(1);
        assert!(shard.has_room_or_is_closed());
        assert!(shard.share.as_ref().unwrap().take(10));
        assert!(!shard.has_room_or_is_closed() && shard.is_short_of_bytes(), "no byte");
        shard.close();
        assert!(shard.has_room_or_is_closed());
        assert_eq!(shard.floor_bytes(), 0);
        shard.clear();
        assert!(shard.floor_bytes() > 0);
    }

    #[test]
    fn a_shard_is_settled_once_nothing_is_left_to_be_done() {
        let shard = Shard::<LogRecord>::new(2, 2, Some(8)).unwrap();
        assert!(shard.is_settled());
        assert!(shard.claim(0, 3) && !shard.is_settled(), "not indexed");
        shard.set_indexed(3);
        assert!(!shard.is_settled(), "one is due");
        shard.set_evicted(2);
        assert!(!shard.is_settled(), "not reclaimed");
        shard.set_reclaimed(2);
        assert!(shard.is_settled(), "more than was due may have left");
        let share = shard.share.as_ref().unwrap();
        share.set_kept(9);
        assert!(!shard.is_settled(), "too many bytes");
        share.set_kept(8);
        assert!(shard.is_settled());
    }
}
