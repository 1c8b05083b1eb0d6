//! The right to index, evict and reclaim in a shard.

use super::Shard;
use crate::engine::index::Index;
use crate::engine::reason::EvictReason;
use crate::engine::ring::{EvictionCounts, SlotMap, Term};
use crate::signal::Signal;
use crate::sync::Ordering;
use crate::sync::fault::{Fault, weaken};
use std::sync::Arc;

/// The indexer lock, held: the right to index, evict and reclaim in a shard.
///
/// Dropping the guard unlocks, also when a panic unwinds.
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

    /// Returns the `evicted` cursor, which only this holder moves.
    pub(crate) fn evicted(&self) -> u64 {
        self.shard.evicted.get_relaxed()
    }

    /// Returns the `reclaimed` cursor, which only this holder moves.
    pub(crate) fn reclaimed(&self) -> u64 {
        self.shard.reclaimed.get_relaxed()
    }

    /// Returns whether the lock has not been taken over.
    pub(crate) fn is_current(&self) -> bool {
        self.shard.indexer_lock.is_held_by(self.term)
    }

    /// Replaces the slot map if it still is `before` and the lock has not been taken over, and
    /// returns whether it did. The caller moves the `reclaimed` cursor afterwards.
    pub(crate) fn replace_slot_map(&self, before: &Arc<SlotMap>, map: SlotMap) -> bool {
        // The check comes after `before` was read: a thread that takes the lock over renews the
        // slot map after that, and the replacement then fails.
        self.is_current() && self.shard.slots.replace_slot_map(before, map, self.term)
    }

    /// Notes for each record of a range why it is evicted, and moves the `evicted` cursor past
    /// them.
    ///
    /// The caller has removed the records' directory entries. Returns false if the lock was taken
    /// over.
    pub(crate) fn evict(&self, from: u64, to: u64) -> bool {
        debug_assert!(to <= self.index.indexed_as_writer());
        let shard = self.shard;
        let mut counts = EvictionCounts::default();
        let mut place = shard.slots.place(from);
        shard.low_watermark.for_each_part(from..to, |part, reason| {
            counts[reason as usize] += part.end - part.start;
            for _ in part {
                self.index.entry_counts[place].set(reason as u8);
                place = shard.slots.place_after(place, 1);
            }
        });
        // Release pairs with the Acquire in `Shard::evicted`. Against pins, the SeqCst fence in
        // `Pins::scan` orders this store.
        let evicted = shard.evicted.advance(from, to, self.term, Ordering::Release);
        if evicted {
            let counted =
                EvictReason::ALL.into_iter().zip(counts).filter(|&(_, records)| records > 0);
            counted
                .for_each(|(reason, records)| shard.low_watermark.count_evicted(reason, records));
        }
        evicted
    }

    /// Returns why an evicted record was evicted. Valid until its place is indexed again.
    pub(crate) fn reason(&self, place: usize) -> EvictReason {
        EvictReason::numbered(self.index.entry_counts[place].get())
    }

    /// Moves the `reclaimed` cursor: the slots of sequences below it are free.
    ///
    /// Returns false if the lock was taken over.
    pub(crate) fn reclaim(&self, from: u64, to: u64) -> bool {
        debug_assert!(to <= self.evicted());
        // Release pairs with the Acquire in `Shard::limit`.
        let release = weaken(Ordering::Release, Fault::ReclaimedRelaxed);
        self.shard.reclaimed.advance(from, to, self.term, release)
    }
}

impl<T: Signal> Drop for IndexerGuard<'_, T> {
    fn drop(&mut self) {
        if !self.shard.indexer_lock.unlock(self.term, self.number) {
            self.shard.indexes.retire(self.number);
        }
    }
}

impl<T: Signal> Shard<T> {
    /// Acquires the indexer lock if it is free. Wait-free.
    pub(crate) fn try_lock_indexer(&self) -> Option<IndexerGuard<'_, T>> {
        let (term, number) = self.indexer_lock.try_lock()?;
        Some(IndexerGuard { shard: self, index: self.indexes.get(number), number, term })
    }

    /// Takes the indexer lock over from a stalled holder. O(places of the ring).
    ///
    /// Returns `None` if the holder has woken up, if there is no memory for another index, or if as
    /// many holders are stalled as the pool has indexes for.
    pub(crate) fn take_over(&self) -> Option<IndexerGuard<'_, T>> {
        let held = self.indexer_lock.held_word()?;
        let (index, number) = self.indexes.lease(self.slots.places() as usize)?;
        let Some(term) = self.indexer_lock.take_over(held, number) else {
            self.indexes.retire(number);
            return None;
        };
        // From here on dropping the guard unlocks, or returns the index to the pool.
        let guard = IndexerGuard { shard: self, index, number, term };
        let is_held = || self.indexer_lock.is_held_by(term);
        let evicted = self.evicted.adopt(term, is_held)?;
        let reclaimed = self.reclaimed.adopt(term, is_held)?;
        self.slots.adopt_slot_map(term, is_held)?;
        self.indexes.replace(term, number, is_held, |before| {
            index.begin(evicted);
            for sequence in reclaimed..evicted {
                let place = self.slots.place(sequence);
                index.entry_counts[place]
                    .set(before.entry_counts.get(place).map_or(0, crate::sync::Tally::get));
            }
        })?;
        Some(guard)
    }
}
