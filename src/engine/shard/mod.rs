//! A shard: its slots, its index, and the cursors over them.
//!
//! `reclaimed ≤ evicted ≤ indexed ≤ claimed ≤ reclaimed + P`, each only ever growing. Visible is what is published at or
//! above `max(evicted, floor, claimed − capacity)`.

mod byte_budget;
mod index_pool;

pub(crate) use byte_budget::{Admission, ByteBudget, MeteredBytes, NoBudget};

use crate::engine::index::Index;
use crate::engine::reason::EvictReason;
use crate::engine::reentrancy::caught;
use crate::engine::ring::{Cursor, Departures, Head, IndexerLock, LowWatermark, SlotMap, Slots, Term};
use crate::signal::Signal;
use crate::signal::sealed::Indexes as _;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::{AtomicU64, CachePadded, Ordering, look_before_swap};
use index_pool::IndexPool;
use std::collections::TryReserveError;
use std::sync::Arc;

/// The word of the `claimed` cursor: sequences handed out; and in the top bits whether the shard is closed, and whether the
/// indexer sleeps until somebody claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claimed(u64);

impl Claimed {
    const CLOSED: u64 = 1 << 63;
    const PARKED: u64 = 1 << 62;

    pub(crate) fn sequence(self) -> u64 {
        self.0 & !(Self::CLOSED | Self::PARKED)
    }

    pub(crate) fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    pub(crate) fn is_parked(self) -> bool {
        self.0 & Self::PARKED != 0
    }
}

/// One shard of a store.
pub(crate) struct Shard<T: Signal> {
    claimed: CachePadded<AtomicU64>,
    reclaimed: CachePadded<Cursor>,
    evicted: CachePadded<Cursor>,
    low_watermark: LowWatermark,
    /// If bytes are bounded.
    pub(crate) byte_budget: Option<ByteBudget>,
    token: CachePadded<IndexerLock>,
    indexes: IndexPool<T>,
    pub(crate) slots: Slots<T>,
    capacity: u64,
}

impl<T: Signal> Shard<T> {
    /// `bytes` is how many its records may keep, if that is bounded.
    pub(crate) fn new(
        capacity: usize,
        slack: usize,
        spares: usize,
        bytes: Option<u64>,
    ) -> Result<Self, TryReserveError> {
        const { assert!(T::Indexes::COUNT < u8::MAX as usize, "a signal has at most 254 indexes") };
        let places = capacity + slack;
        Ok(Self {
            claimed: CachePadded::new(AtomicU64::new(0)),
            reclaimed: CachePadded::new(Cursor::new()),
            evicted: CachePadded::new(Cursor::new()),
            low_watermark: LowWatermark::default(),
            byte_budget: bytes.map(ByteBudget::new),
            token: CachePadded::new(IndexerLock::new()),
            indexes: IndexPool::new(places)?,
            slots: Slots::new(places, spares)?,
            capacity: capacity as u64,
        })
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    // --- producers ---

    #[inline]
    pub(crate) fn claimed_word(&self) -> Claimed {
        // Acquire: whoever claimed before this has taken its stamp before; see `Router`.
        Claimed(look_before_swap(&self.claimed))
    }

    /// Hands out `[from, from + count)` if nothing was handed out since `from`, the shard is open, and the indexer is awake. The
    /// caller knows that there is room: `from + count ≤ limit()`.
    #[inline]
    pub(crate) fn claim(&self, from: u64, count: u64) -> bool {
        // Release pairs with the Acquire of later claims and of `claimed`: stamps do not fall, and whoever sees a claim sees
        // what its owner had seen of the limit. Acquire: see `claimed_word`.
        self.claimed.compare_exchange(from, from + count, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Up to where sequences may be handed out. It only grows, so an old answer is a safe one.
    #[inline]
    pub(crate) fn limit(&self) -> u64 {
        // It acquires: the former records of these slots are gone, and which slots serve their places is settled.
        self.reclaimed.get() + self.slots.places()
    }

    /// Whether a claim would succeed or be refused for good.
    pub(crate) fn has_room_or_is_closed(&self) -> bool {
        let claimed = Claimed(self.claimed.load(Ordering::Acquire));
        claimed.is_closed()
            || claimed.sequence() < self.limit() && self.byte_budget.as_ref().is_none_or(ByteBudget::has_room)
    }

    /// Lets the indexer know that there is something to do; whether it sleeps, and has to be woken.
    ///
    /// The indexer marks this word and then looks whether there is anything to do. Both are read-modify-writes of one word, so
    /// one comes first. If this does, the indexer's acquires it, and finds the work. If the mark does, this finds it.
    pub(crate) fn take_parked_mark(&self) -> bool {
        Claimed(self.claimed.fetch_and(!Claimed::PARKED, Ordering::AcqRel)).is_parked()
    }

    // --- anyone ---

    /// Sequences handed out so far.
    #[inline]
    pub(crate) fn claimed(&self) -> u64 {
        // Acquire pairs with the Release in `claim`.
        Claimed(self.claimed.load(Ordering::Acquire)).sequence()
    }

    /// The index that is in use now, and a word that changes when another is.
    #[inline]
    pub(crate) fn index(&self) -> (&Index<T>, u64) {
        self.indexes.current()
    }

    /// Whether the index that was in use then still is, after looks at it.
    pub(crate) fn is_current(&self, word: u64) -> bool {
        self.indexes.is_current(word)
    }

    #[inline]
    pub(crate) fn indexed(&self) -> u64 {
        self.index().0.indexed()
    }

    /// The first sequence whose record is not in place yet, or of a run with this stamp or a later one. O(records not yet
    /// indexed).
    pub(crate) fn published_before(&self, stamp: u64) -> u64 {
        let (mut from, claimed) = (self.indexed(), self.claimed());
        let evicted = self.evicted();
        let stamp_of = |sequence: u64| self.slots.head(sequence).look(sequence, Head::stamp);
        // What has been indexed while the caller was on its way here.
        while from > evicted && stamp_of(from - 1).is_some_and(|found| found >= stamp) {
            from -= 1;
        }
        // What has left does not hold the cut back.
        from = from.max(self.low(claimed).min(claimed));
        let is_before = |(sequence, head): &(u64, &Head<T::Indexes>)| match head.look(*sequence, Head::stamp) {
            Some(found) => found < stamp,
            None => *sequence < self.evicted() || planted(Fault::BookmarkAtClaimed),
        };
        let mut rest = self.slots.heads(from..claimed.max(from)).skip_while(is_before);
        rest.next().map_or(claimed.max(from), |(sequence, _)| sequence)
    }

    #[inline]
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.get()
    }

    #[inline]
    pub(crate) fn reclaimed(&self) -> u64 {
        self.reclaimed.get()
    }

    /// Whether the store has been cleared since this sequence was there.
    pub(crate) fn has_cleared(&self, sequence: u64) -> bool {
        self.low_watermark.has_cleared(sequence)
    }

    /// Sequences handed out, those of them that have left, and these by reason. The total is of one moment. While records are
    /// evicted, some may not count by their own reason yet, and count as gone for the capacity.
    pub(crate) fn balance(&self) -> (u64, Departures) {
        let evicted = self.evicted();
        let claimed = self.claimed();
        let low = self.low(claimed).min(claimed);
        let mut departures = self.low_watermark.departures(evicted.min(low)..low);
        let capacity = EvictReason::Capacity as usize;
        departures[capacity] = 0;
        let mut left = low;
        for departures in &mut departures {
            *departures = left.min(*departures);
            left -= *departures;
        }
        departures[capacity] = left;
        (claimed, departures)
    }

    /// Below this, nothing is visible once `claimed` has been reached, however far the indexer lags.
    #[inline]
    pub(crate) fn low(&self, claimed: u64) -> u64 {
        let floor = if planted(Fault::WatermarkIgnored) { 0 } else { self.low_watermark.get() };
        claimed.saturating_sub(self.capacity).max(floor)
    }

    /// How many records it may hold beyond its capacity, until they are reclaimed.
    pub(crate) fn slack(&self) -> u64 {
        self.slots.places() - self.capacity
    }

    /// Whether there are visible records, or some that are just being pushed.
    pub(crate) fn has_records(&self) -> bool {
        let claimed = self.claimed();
        self.low(claimed) < claimed
    }

    /// Whether few of its bytes are left, where these are bounded.
    pub(crate) fn is_short_of_bytes(&self) -> bool {
        self.byte_budget.as_ref().is_some_and(ByteBudget::is_short)
    }

    /// Bytes of the records that are indexed and not evicted, in their slots and on the heap.
    pub(crate) fn kept(&self) -> u64 {
        let (index, _) = self.index();
        index.heap.get() + index.indexed().saturating_sub(self.evicted()) * size_of::<T>() as u64
    }

    /// Own heap bytes of the records that are in their slots. O(records that are evicted and not reclaimed, or not indexed).
    pub(crate) fn heap(&self, claimed: u64) -> u64 {
        if !std::mem::needs_drop::<T>() {
            return 0;
        }
        let (index, _) = self.index();
        let (evicted, indexed) = (self.evicted(), index.indexed().min(claimed));
        let heap_of =
            |range| self.slots.heads(range).filter_map(|(sequence, head)| head.look(sequence, Head::heap)).sum::<u64>();
        heap_of(self.reclaimed()..evicted) + index.heap.get() + heap_of(indexed.max(evicted).min(claimed)..claimed)
    }

    /// Bytes of the directories of an index.
    pub(crate) fn directory_bytes(&self, number: usize) -> usize {
        let mut bytes = 0;
        self.indexes.for_each(|index| bytes += index.directory_bytes(number));
        bytes
    }

    /// Bytes of what else the indexes are made of.
    pub(crate) fn other_index_bytes(&self) -> usize {
        let mut bytes = 0;
        self.indexes.for_each(|index| bytes += index.other_bytes());
        bytes
    }

    /// Whether what is indexed and not evicted takes more bytes than its share.
    pub(crate) fn is_over_share(&self) -> bool {
        self.byte_budget.as_ref().is_some_and(|budget| self.kept() > budget.most)
    }

    /// Whether everything claimed is indexed, everything due is evicted, and everything evicted is reclaimed.
    pub(crate) fn is_settled(&self) -> bool {
        let claimed = self.claimed();
        self.indexed() == claimed
            && self.evicted() >= self.low(claimed)
            && self.reclaimed() == self.evicted()
            && !self.slots.any_quarantined()
            && !self.is_over_share()
    }

    /// Raises the floor to all that has been handed out: not visible any more, from now on.
    pub(crate) fn clear(&self) {
        self.raise_low_watermark(self.claimed(), EvictReason::Cleared);
    }

    /// Makes what lies below this sequence invisible from now on, and due for eviction.
    pub(crate) fn raise_low_watermark(&self, to: u64, reason: EvictReason) {
        let evicted = self.evicted();
        self.low_watermark.raise(to, reason, self.low(self.claimed()).max(evicted), evicted);
    }

    /// Hands out nothing more; whether the indexer sleeps, and has to be woken.
    pub(crate) fn close(&self) -> bool {
        if planted(Fault::ShardNotClosed) {
            return false;
        }
        // The indexer is woken as by `take_parked_mark`, and for the same reason.
        self.claimed.fetch_or(Claimed::CLOSED, Ordering::AcqRel);
        self.take_parked_mark()
    }

    // --- the indexer ---

    /// Marks the shard: whoever claims, raises the floor or closes it from now on wakes the indexer. False if there is something
    /// to do. The caller looks again whether there is before it sleeps; see [`take_parked_mark`](Self::take_parked_mark).
    pub(crate) fn mark_parked(&self) -> bool {
        let claimed = self.claimed.load(Ordering::Acquire);
        self.indexed() == Claimed(claimed).sequence()
            && self
                .claimed
                .compare_exchange(claimed, claimed | Claimed::PARKED, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    // --- the token holder ---

    /// Takes the token if it is free. Wait-free.
    pub(crate) fn try_lock_indexer(&self) -> Option<IndexerGuard<'_, T>> {
        let (term, number) = self.token.try_take()?;
        Some(IndexerGuard { shard: self, index: self.indexes.get(number), number, term })
    }

    /// The beats of whoever holds the token, if somebody does: two that are equal tell that it does not get on.
    pub(crate) fn beats(&self) -> Option<u64> {
        self.token.held()?;
        let (index, word) = self.index();
        Some(index.beats().wrapping_add(word << 32))
    }

    /// Takes the token over from a holder that sleeps. `None` if it has woken, or if there is no memory for another index, or if
    /// as many sleep as there may be. O(places of the ring).
    pub(crate) fn take_over(&self) -> Option<IndexerGuard<'_, T>> {
        let held = self.token.held()?;
        let (index, number) = self.indexes.lease(self.slots.places() as usize)?;
        let Some(term) = self.token.take_over(held, number) else {
            self.indexes.retire(number);
            return None;
        };
        // It is given back, or the index is, whatever happens.
        let owner = IndexerGuard { shard: self, index, number, term };
        let is_held = || self.token.is_held_by(term);
        let evicted = self.evicted.adopt(term, is_held)?;
        let reclaimed = self.reclaimed.adopt(term, is_held)?;
        self.slots.adopt_places(term, is_held)?;
        self.indexes.replace(term, number, is_held, |before| {
            index.begin(evicted);
            for sequence in reclaimed..evicted {
                let place = self.slots.place(sequence);
                index.leads[place].set(before.leads.get(place).map_or(0, crate::sync::Tally::get));
            }
        })?;
        Some(owner)
    }
}

/// The right to index, evict and reclaim in a shard; given back when dropped, also by a panic.
pub(crate) struct IndexerGuard<'a, T: Signal> {
    shard: &'a Shard<T>,
    pub(crate) index: &'a Index<T>,
    number: usize,
    term: Term,
}

impl<'a, T: Signal> IndexerGuard<'a, T> {
    pub(crate) fn shard(&self) -> &'a Shard<T> {
        self.shard
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.shard.evicted.own()
    }

    pub(crate) fn reclaimed(&self) -> u64 {
        self.shard.reclaimed.own()
    }

    /// Whether nobody has taken the token over.
    pub(crate) fn is_current(&self) -> bool {
        self.shard.token.is_held_by(self.term)
    }

    /// Replaces who serves which place, if that is still what it was and nobody has taken the token over; whether it did. Before the
    /// cursor is moved.
    pub(crate) fn serve(&self, before: &Arc<SlotMap>, places: SlotMap) -> bool {
        // Not before `before` was looked at: whoever takes the token over renews the places after that.
        self.is_current() && self.shard.slots.serve(before, places, self.term)
    }

    /// Notes for each record of a range that is being evicted, and leads no key any more, why it leaves; and moves the cursor.
    /// False if the token has been taken over.
    pub(crate) fn evict(&self, from: u64, to: u64) -> bool {
        debug_assert!(to <= self.index.own_indexed());
        let shard = self.shard;
        let mut departed = Departures::default();
        let mut place = shard.slots.place(from);
        shard.low_watermark.tell(from..to, |part, reason| {
            departed[reason as usize] += part.end - part.start;
            for _ in part {
                self.index.leads[place].set(reason as u8);
                place = shard.slots.forth(place, 1);
            }
        });
        // Release pairs with the Acquire in `Shard::evicted`; the barrier against pins is the fence in `Pins::scan`.
        let evicted = shard.evicted.advance(from, to, self.term, Ordering::Release);
        if evicted {
            let counted = EvictReason::ALL.into_iter().zip(departed).filter(|&(_, records)| records > 0);
            counted.for_each(|(reason, records)| shard.low_watermark.depart(reason, records));
        }
        evicted
    }

    /// Why an evicted record has left; until its place is entered again.
    pub(crate) fn reason(&self, place: usize) -> EvictReason {
        EvictReason::numbered(self.index.leads[place].get())
    }

    /// Moves the cursor: what lies below is free. False if the token has been taken over.
    pub(crate) fn reclaim(&self, from: u64, to: u64) -> bool {
        debug_assert!(to <= self.evicted());
        // Release pairs with the Acquire in `Shard::limit`.
        let release = weaken(Ordering::Release, Fault::ReclaimedRelaxed);
        self.shard.reclaimed.advance(from, to, self.term, release)
    }
}

impl<T: Signal> Drop for IndexerGuard<'_, T> {
    fn drop(&mut self) {
        if !self.shard.token.give_back(self.term, self.number) {
            self.shard.indexes.retire(self.number);
        }
    }
}

impl<T: Signal> Drop for Shard<T> {
    fn drop(&mut self) {
        if std::mem::needs_drop::<T>() {
            let left = self.reclaimed()..self.claimed();
            // A panicking drop must not keep the others from being dropped.
            self.slots.clear(left, |drop| {
                let _ = caught(drop);
            });
        }
    }
}

#[cfg(all(test, not(loom)))]
impl<T: Signal> Shard<T> {
    pub(crate) fn is_parked(&self) -> bool {
        self.claimed_word().is_parked()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::engine::state::Engine;
    use crate::signal::LogRecord;
    use crate::store::Builder;

    #[test]
    fn what_was_published_before_a_stamp_is_found_also_below_what_is_indexed() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(8).shards(1).manual());
        let shard = &engine.shards[0];
        let before = || [0, 1, 2].map(|stamp| shard.published_before(stamp));
        engine.push_some(3);
        engine.wakeups.advance_tick();
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
        let shard = Shard::<LogRecord>::new(2, 1, 0, Some(8)).unwrap();
        assert!(shard.has_room_or_is_closed() && !shard.is_short_of_bytes());
        assert!(shard.claim(0, 2) && shard.has_room_or_is_closed());
        assert!(shard.claim(2, 1) && !shard.has_room_or_is_closed(), "no slot");
        let owner = shard.try_lock_indexer().unwrap();
        owner.index.set_indexed(3);
        assert!(owner.evict(0, 1) && owner.reclaim(0, 1));
        assert!(shard.has_room_or_is_closed());
        assert!(shard.byte_budget.as_ref().unwrap().try_reserve(10));
        assert!(!shard.has_room_or_is_closed() && shard.is_short_of_bytes(), "no byte");
        assert!(!shard.close(), "nobody sleeps");
        assert!(shard.has_room_or_is_closed());
    }

    #[test]
    fn a_shard_is_settled_once_nothing_is_left_to_be_done() {
        let size = size_of::<LogRecord>() as u64;
        let shard = Shard::<LogRecord>::new(2, 2, 0, Some(2 * size + 8)).unwrap();
        assert!(shard.is_settled());
        assert!(shard.claim(0, 3) && !shard.is_settled(), "not indexed");
        let owner = shard.try_lock_indexer().unwrap();
        owner.index.set_indexed(3);
        assert!(!shard.is_settled(), "one is due");
        assert!(owner.evict(0, 1) && !shard.is_settled(), "not reclaimed");
        assert!(owner.reclaim(0, 1) && shard.is_settled());
        owner.index.heap.set(9);
        assert!(!shard.is_settled(), "too many bytes");
        owner.index.heap.set(8);
        assert!(shard.is_settled());
    }

    #[test]
    fn whoever_finds_the_indexer_parked_is_told_once() {
        let shard = Shard::<LogRecord>::new(2, 2, 0, None).unwrap();
        assert!(!shard.take_parked_mark());
        assert!(shard.mark_parked() && !shard.claim(0, 1), "a claim finds the mark");
        assert!(shard.take_parked_mark() && !shard.take_parked_mark() && shard.claim(0, 1));
        assert!(!shard.mark_parked(), "one is not indexed");
        shard.try_lock_indexer().unwrap().index.set_indexed(1);
        assert!(shard.mark_parked() && shard.close() && !shard.close());
    }

    #[test]
    fn a_token_is_taken_over_from_a_sleeper_whose_work_counts_no_more() {
        let shard = Shard::<LogRecord>::new(4, 4, 2, None).unwrap();
        assert!(shard.claim(0, 4) && shard.take_over().is_none(), "nobody has it");
        let sleeper = shard.try_lock_indexer().unwrap();
        sleeper.index.set_indexed(3);
        assert!(sleeper.evict(0, 2) && sleeper.reclaim(0, 1));
        let other = shard.take_over().unwrap();
        assert!(shard.try_lock_indexer().is_none() && !sleeper.is_current() && other.is_current());
        assert_eq!((other.reclaimed(), other.evicted(), shard.indexed()), (1, 2, 2));
        sleeper.index.set_indexed(4);
        assert!(!sleeper.evict(2, 3) && !sleeper.reclaim(1, 2));
        other.index.set_indexed(4);
        assert!(other.evict(2, 3) && other.reclaim(1, 3));
        drop(sleeper);
        assert!(shard.try_lock_indexer().is_none());
        drop(other);
        let again = shard.try_lock_indexer().unwrap();
        assert_eq!((again.index.own_indexed(), again.evicted(), again.reclaimed()), (4, 3, 3));
        assert!(shard.take_over().is_some(), "the sleeper's index is free again");
    }
}
