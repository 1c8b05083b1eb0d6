//! A shard: its slots, its index, and the cursors over them.
//!
//! `reclaimed ≤ evicted ≤ indexed ≤ claimed ≤ reclaimed + P`, where `P` is the number of places in
//! the ring. Each cursor only grows. A record is visible if it is published and its sequence is not
//! below `max(evicted, low watermark, claimed − capacity)`.

mod byte_budget;
mod index_pool;

mod guard;
#[cfg(all(loom, feature = "__for_tests"))]
mod models;

pub(crate) use byte_budget::{Admission, ByteBudget, MeteredBytes, NoBudget};
pub(crate) use guard::IndexerGuard;
#[cfg(all(loom, feature = "__for_tests"))]
pub use models::{ModelGuard, ModelRecord, ModelShard};

use crate::engine::index::Index;
use crate::engine::reason::EvictReason;
use crate::engine::reentrancy::caught;
use crate::engine::ring::{Cursor, EvictionCounts, Head, IndexerLock, LowWatermark, Slots};
use crate::signal::Signal;
use crate::signal::sealed::Indexes as _;
use crate::sync::fault::{Fault, planted};
use crate::sync::{AtomicU64, CachePadded, Ordering, load_before_cas};
use index_pool::IndexPool;
use std::collections::TryReserveError;

/// The word of the `claimed` cursor.
///
/// It holds the number of sequences handed out. The two top bits say whether the shard is closed,
/// and whether the indexer is parked until a producer claims.
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
    /// The byte budget, in stores that bound the bytes of their records.
    pub(crate) byte_budget: Option<ByteBudget>,
    indexer_lock: CachePadded<IndexerLock>,
    indexes: IndexPool<T>,
    pub(crate) slots: Slots<T>,
    capacity: u64,
}

impl<T: Signal> Shard<T> {
    /// Creates a shard. Its records may keep `bytes` bytes, if that is bounded.
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
            indexer_lock: CachePadded::new(IndexerLock::new()),
            indexes: IndexPool::new(places)?,
            slots: Slots::new(places, spares)?,
            capacity: capacity as u64,
        })
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    // --- producers ---

    /// Returns the claimed word, for a producer that is about to claim.
    #[inline]
    pub(crate) fn claimed_word(&self) -> Claimed {
        // Acquire pairs with the Release in `claim`: the producers of earlier claims took their
        // stamps before; see `Router`.
        Claimed(load_before_cas(&self.claimed))
    }

    /// Claims the sequences `[from, from + count)`.
    ///
    /// Fails if sequences from `from` on were claimed already, if the shard is closed, or if the
    /// indexer is parked. The caller has checked that there is room: `from + count ≤ limit()`.
    #[inline]
    pub(crate) fn claim(&self, from: u64, count: u64) -> bool {
        // Release pairs with the Acquire of later claims and of `claimed`. Stamps therefore never
        // decrease along sequences, and a thread that sees a claim sees what its producer has seen
        // of the limit. This thread has acquired the value that it replaces in `claimed_word`, or
        // has stored it itself.
        self.claimed
            .compare_exchange(from, from + count, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Returns the sequence up to which claims are allowed. It only grows, so an outdated value is
    /// safe.
    #[inline]
    pub(crate) fn limit(&self) -> u64 {
        // `Cursor::get` acquires: the former records of the slots below the limit are gone, and
        // their places' slots are final.
        self.reclaimed.get() + self.slots.places()
    }

    /// Returns whether a claim would succeed, or would be refused for good.
    pub(crate) fn has_room_or_is_closed(&self) -> bool {
        // Relaxed: only a hint. The claim that follows decides. A producer that sleeps instead
        // looks after the SeqCst fence of `EventCount::wait`, which orders this load against the
        // reclaim or the shutdown that notifies.
        let claimed = Claimed(self.claimed.load(Ordering::Relaxed));
        claimed.is_closed()
            || claimed.sequence() < self.limit()
                && self.byte_budget.as_ref().is_none_or(ByteBudget::has_room)
    }

    /// Clears the parked mark, and returns whether it was set: the caller then has to wake the
    /// indexer.
    ///
    /// Called after a change that gives the indexer work. The indexer sets the mark and then looks
    /// for work. Both are read-modify-writes of one word, so one comes first. If this one does, the
    /// indexer's acquires it, and the indexer finds the work. If the indexer's does, this one finds
    /// the mark.
    pub(crate) fn take_parked_mark(&self) -> bool {
        Claimed(self.claimed.fetch_and(!Claimed::PARKED, Ordering::AcqRel)).is_parked()
    }

    // --- any thread ---

    /// Returns the number of sequences handed out so far.
    #[inline]
    pub(crate) fn claimed(&self) -> u64 {
        // Acquire pairs with the Release in `claim`.
        Claimed(self.claimed.load(Ordering::Acquire)).sequence()
    }

    /// Returns the index in use, and a word that identifies it for
    /// [`is_current`](Self::is_current).
    #[inline]
    pub(crate) fn index(&self) -> (&Index<T>, u64) {
        self.indexes.current()
    }

    /// Returns whether the index in use is still the one of this word. Called after reading that
    /// index.
    #[inline]
    pub(crate) fn is_current(&self, word: u64) -> bool {
        self.indexes.is_current(word)
    }

    #[inline]
    pub(crate) fn indexed(&self) -> u64 {
        self.index().0.indexed()
    }

    /// Returns the first sequence whose record is unpublished, or whose stamp is `stamp` or later.
    ///
    /// Sequences that are no longer visible are skipped. O(records not yet indexed).
    pub(crate) fn published_before(&self, stamp: u64) -> u64 {
        let (mut from, claimed) = (self.indexed(), self.claimed());
        let evicted = self.evicted();
        let stamp_of = |sequence: u64| self.slots.head(sequence).try_read(sequence, Head::stamp);
        // Records may have been indexed since the caller took the stamp.
        while from > evicted && stamp_of(from - 1).is_some_and(|found| found >= stamp) {
            from -= 1;
        }
        // An unpublished record that is not visible any more is no obstacle.
        from = from.max(self.low(claimed).min(claimed));
        let is_before = |(sequence, head): &(u64, &Head<T::Indexes>)| match head
            .try_read(*sequence, Head::stamp)
        {
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

    /// Returns whether the store has been cleared since the record of this sequence was pushed.
    pub(crate) fn has_cleared(&self, sequence: u64) -> bool {
        self.low_watermark.has_cleared(sequence)
    }

    /// Returns how many sequences were handed out, and how many of their records are no longer
    /// visible, by reason.
    ///
    /// The total is exact for one moment. While records are being evicted, some that left for
    /// another reason may still count as evicted for capacity.
    pub(crate) fn claimed_and_evicted(&self) -> (u64, EvictionCounts) {
        let evicted = self.evicted();
        let claimed = self.claimed();
        let low = self.low(claimed).min(claimed);
        let mut counts = self.low_watermark.eviction_counts(evicted.min(low)..low);
        let capacity = EvictReason::Capacity as usize;
        counts[capacity] = 0;
        let mut left = low;
        for count in &mut counts {
            *count = left.min(*count);
            left -= *count;
        }
        counts[capacity] = left;
        (claimed, counts)
    }

    /// Returns the sequence below which nothing is visible once the claimed cursor has reached
    /// `claimed`, however far the indexer lags.
    #[inline]
    pub(crate) fn low(&self, claimed: u64) -> u64 {
        let watermark = if planted(Fault::WatermarkIgnored) { 0 } else { self.low_watermark.get() };
        claimed.saturating_sub(self.capacity).max(watermark)
    }

    /// Returns how many records the shard can hold beyond its capacity until they are reclaimed.
    pub(crate) fn slack(&self) -> u64 {
        self.slots.places() - self.capacity
    }

    /// Returns how many records can be claimed before more are reclaimed.
    pub(crate) fn room(&self) -> u64 {
        self.limit().saturating_sub(self.claimed())
    }

    /// Returns whether any records are visible or just being pushed.
    pub(crate) fn has_records(&self) -> bool {
        let claimed = self.claimed();
        self.low(claimed) < claimed
    }

    /// Returns whether little of the byte budget is left, if there is one.
    pub(crate) fn is_short_of_bytes(&self) -> bool {
        self.byte_budget.as_ref().is_some_and(ByteBudget::is_short)
    }

    /// Returns the bytes of indexed records that are not evicted, in their slots and on the heap.
    pub(crate) fn kept_bytes(&self) -> u64 {
        let (index, _) = self.index();
        index.heap.get() + index.indexed().saturating_sub(self.evicted()) * size_of::<T>() as u64
    }

    /// Returns the heap bytes of all records that are in their slots.
    ///
    /// O(records that are evicted and not reclaimed, or not indexed).
    pub(crate) fn heap(&self, claimed: u64) -> u64 {
        if !std::mem::needs_drop::<T>() {
            return 0;
        }
        let (index, _) = self.index();
        let (evicted, indexed) = (self.evicted(), index.indexed().min(claimed));
        let heap_of = |range| {
            self.slots
                .heads(range)
                .filter_map(|(sequence, head)| head.try_read(sequence, Head::heap))
                .sum::<u64>()
        };
        heap_of(self.reclaimed()..evicted)
            + index.heap.get()
            + heap_of(indexed.max(evicted).min(claimed)..claimed)
    }

    /// Returns the bytes of the directories of the index with this number, in all copies.
    pub(crate) fn directory_bytes(&self, number: usize) -> usize {
        let mut bytes = 0;
        self.indexes.for_each(|index| bytes += index.directory_bytes(number));
        bytes
    }

    /// Returns the bytes of everything in the indexes that is not a directory.
    pub(crate) fn other_index_bytes(&self) -> usize {
        let mut bytes = 0;
        self.indexes.for_each(|index| bytes += index.other_bytes());
        bytes
    }

    /// Returns whether the indexed records that are not evicted exceed the byte budget.
    pub(crate) fn is_over_budget(&self) -> bool {
        self.byte_budget.as_ref().is_some_and(|budget| self.kept_bytes() > budget.most)
    }

    /// Returns whether everything claimed is indexed, everything due is evicted, and everything
    /// evicted is reclaimed.
    pub(crate) fn is_settled(&self) -> bool {
        let claimed = self.claimed();
        self.indexed() == claimed
            && self.evicted() >= self.low(claimed)
            && self.reclaimed() == self.evicted()
            && !self.slots.any_quarantined()
            && !self.is_over_budget()
    }

    /// Makes all records invisible that were claimed so far, and due for eviction.
    pub(crate) fn clear(&self) {
        self.raise_low_watermark(self.claimed(), EvictReason::Cleared);
    }

    /// Makes the records below this sequence invisible, and due for eviction for `reason`.
    pub(crate) fn raise_low_watermark(&self, to: u64, reason: EvictReason) {
        let (evicted, watermark) = (self.evicted(), self.low_watermark.get_before_raise());
        let low = self.claimed().saturating_sub(self.capacity).max(watermark).max(evicted);
        self.low_watermark.raise(to, reason, low, evicted);
    }

    /// Closes the shard to claims.
    pub(crate) fn close(&self) {
        if !planted(Fault::ShardNotClosed) {
            // Relaxed: no claim succeeds after this, so the cursor is final. As a read-modify-write
            // this continues the Releases of the claims. The thread that ends the store is this
            // one, or learns of the end from `Engine::close`, which releases after this.
            self.claimed.fetch_or(Claimed::CLOSED, Ordering::Relaxed);
        }
    }

    // --- the indexer ---

    /// Sets the parked mark: a thread that claims, raises the low watermark or closes the shard
    /// from now on wakes the indexer.
    ///
    /// Returns false if there is something to index. The caller looks for other work once more
    /// before it sleeps; see [`take_parked_mark`](Self::take_parked_mark).
    pub(crate) fn mark_parked(&self) -> bool {
        // Relaxed: the compare-and-swap succeeds only on this value, and acquires it. Its AcqRel
        // pairs with that in `take_parked_mark`.
        let claimed = self.claimed.load(Ordering::Relaxed);
        self.indexed() == Claimed(claimed).sequence()
            && self
                .claimed
                .compare_exchange(
                    claimed,
                    claimed | Claimed::PARKED,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    // --- the holder of the indexer lock ---

    /// Returns the heartbeats of the holder of the indexer lock, if it is held.
    ///
    /// A holder that has the same count on two calls has made no progress between them.
    pub(crate) fn heartbeats(&self) -> Option<u64> {
        self.indexer_lock.held_word()?;
        let (index, word) = self.index();
        Some(index.heartbeats().wrapping_add(word << 32))
    }
}

impl<T: Signal> Drop for Shard<T> {
    fn drop(&mut self) {
        if std::mem::needs_drop::<T>() {
            let left = self.reclaimed()..self.claimed();
            // A panic in one record's drop must not leak the others.
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
mod tests;
