//! The parts of the indexer's work that producers and readers do.

use super::reclaim::owns_heap;
use super::work::Work;
use crate::engine::reentrancy;
use crate::engine::state::Engine;
use crate::engine::tuning::{DROP_BATCH, HELP_EVERY, STEP_BATCH, UNINDEXED_TAIL};
use crate::signal::Signal;

impl<T: Signal> Engine<T> {
    /// Does some of the indexer's work in a shard, for a producer that has just pushed `pushed`
    /// records there, up to the sequence `pushed_to`. Never waits.
    ///
    /// - While the shard has little room, it indexes and evicts a few records. So the ring does not
    ///   fill up, and no push has to do a large batch.
    /// - If records own memory, it drops some evicted ones: often on the thread that allocated
    ///   them, which allocators are fast at. Not while hooks or a stream receive evicted records.
    #[inline(always)]
    pub(crate) fn help_after_push(&self, number: usize, pushed_to: u64, pushed: u64) {
        // Whether the push has passed a multiple.
        if pushed_to % HELP_EVERY < pushed {
            self.help(number, pushed.div_ceil(HELP_EVERY));
        }
    }

    #[cold]
    #[inline(never)]
    fn help(&self, number: usize, times: u64) {
        let shard = &self.shards[number];
        let evict = if shard.room() < shard.slack() / 4 { HELP_EVERY * times } else { 0 };
        let has_drops = owns_heap::<T>() && shard.reclaimed() < shard.evicted();
        let drops = if has_drops { DROP_BATCH * times } else { 0 };
        if evict + drops > 0 && !reentrancy::is_inside() {
            self.step(number, Work::help(evict, drops));
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
            let most = Work { takes_over: true, ..Work::help(0, STEP_BATCH) };
            while self.step(number, most).is_none_or(|moved| moved.reclaimed > 0) {
                crate::sync::thread::yield_now();
            }
        }
    }

    /// Indexes some records of a shard for a reader, if more than [`UNINDEXED_TAIL`] are not
    /// indexed. The reader would have to look through all of those; looking through a few costs
    /// less than indexing them. Never waits. Does nothing if another thread holds the indexer lock.
    #[inline]
    pub(crate) fn index_long_tail(&self, number: usize) {
        let shard = &self.shards[number];
        if shard.indexed() + UNINDEXED_TAIL < shard.claimed() {
            self.index_for_reader(number);
        }
    }

    #[cold]
    #[inline(never)]
    fn index_for_reader(&self, number: usize) {
        if !reentrancy::is_inside() {
            self.step(number, Work::READ);
        }
    }
}
