//! What producers and readers do of the indexer's work.

use super::reclaim::owns_heap;
use super::work::Work;
use crate::engine::reentrancy;
use crate::engine::state::Engine;
use crate::engine::tuning::{RECLAIM_BATCH, RECLAIM_EVERY, UNINDEXED_TAIL};
use crate::signal::Signal;

impl<T: Signal> Engine<T> {
    /// Lets go of some evicted records of a shard, for a producer that has pushed so many there, up to a sequence. Where
    /// records own memory, who pushes frees some: often in the thread that allocated it, which is what allocators are fast
    /// at. Never waits; does nothing where hooks or a stream see records.
    #[inline(always)]
    pub(crate) fn reclaim_after_push(&self, number: usize, pushed_to: u64, pushed: u64) {
        // Whether a multiple of `RECLAIM_EVERY` was passed.
        if owns_heap::<T>() && pushed_to % RECLAIM_EVERY < pushed {
            self.reclaim_some(number, RECLAIM_BATCH * pushed.div_ceil(RECLAIM_EVERY));
        }
    }

    #[cold]
    #[inline(never)]
    fn reclaim_some(&self, number: usize, most: u64) {
        let shard = &self.shards[number];
        if shard.reclaimed() < shard.evicted() && !reentrancy::is_inside() {
            self.step(number, Work::reclaim_some(most));
        }
    }

    /// Lets go of what has been evicted in every shard, before hooks or a stream see what is evicted from then on. Guard, where
    /// drops would run within others' code, it does nothing.
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

    /// Indexes some records of a shard for a reader, who would have to look through all that are not. To look through a few
    /// costs less. Never waits; does nothing if somebody else is at it.
    pub(crate) fn spare_a_tail(&self, number: usize) {
        let shard = &self.shards[number];
        if shard.indexed() + UNINDEXED_TAIL < shard.claimed() && !reentrancy::is_inside() {
            self.step(number, Work::READ);
        }
    }
}
