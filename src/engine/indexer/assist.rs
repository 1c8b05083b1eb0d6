//! The parts of the indexer's work that producers and readers do.

use super::reclaim::owns_heap;
use super::work::Work;
use crate::engine::reentrancy;
use crate::engine::state::Engine;
use crate::engine::tuning::{RECLAIM_BATCH, RECLAIM_EVERY, UNINDEXED_TAIL};
use crate::signal::Signal;

impl<T: Signal> Engine<T> {
    /// Drops some evicted records of a shard, for a producer that has just pushed `pushed` records
    /// there, up to the sequence `pushed_to`. If records own memory, producers free some of it:
    /// often on the thread that allocated it, which allocators are fast at. Never waits. Does
    /// nothing while hooks or a stream receive evicted records.
    #[inline(always)]
    pub(crate) fn reclaim_after_push(&self, number: usize, pushed_to: u64, pushed: u64) {
        // Whether the push has passed a multiple of `RECLAIM_EVERY`.
        if owns_heap::<T>() && pushed_to % RECLAIM_EVERY < pushed {
            self.reclaim_some(number, RECLAIM_BATCH * pushed.div_ceil(RECLAIM_EVERY));
        }
    }

    /// Reclaims up to `most` evicted records of a shard.
    #[cold]
    #[inline(never)]
    fn reclaim_some(&self, number: usize, most: u64) {
        let shard = &self.shards[number];
        if shard.reclaimed() < shard.evicted() && !reentrancy::is_inside() {
            self.step(number, Work::reclaim_some(most));
        }
    }

    /// Reclaims everything that has been evicted in every shard, so that a new hook or stream sees
    /// only what is evicted from then on. Inside the re-entrancy guard it does nothing, because
    /// drops would run inside other code.
    pub(crate) fn reclaim_everywhere(&self) {
        if reentrancy::is_inside() {
            return;
        }
        for number in 0..self.shards.len() {
            let most = Work { takes_over: true, reclaim: u64::MAX, ..Work::reclaim_some(u64::MAX) };
            while self.step(number, most).is_none_or(|moved| moved.reclaimed > 0) {
                crate::sync::thread::yield_now();
            }
        }
    }

    /// Indexes some records of a shard for a reader, if more than [`UNINDEXED_TAIL`] are not
    /// indexed. The reader would have to look through all of those; looking through a few costs
    /// less than indexing them. Never waits. Does nothing if another thread holds the indexer lock.
    pub(crate) fn index_long_tail(&self, number: usize) {
        let shard = &self.shards[number];
        if shard.indexed() + UNINDEXED_TAIL < shard.claimed() && !reentrancy::is_inside() {
            self.step(number, Work::READ);
        }
    }
}
