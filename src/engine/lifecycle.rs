//! Flushing, clearing and shutting down a store.

use crate::engine::evictions::Sinks;
use crate::engine::indexer::{Moved, Work};
use crate::engine::reentrancy;
use crate::engine::shard::Shard;
use crate::engine::state::Engine;
use crate::error::WaitError;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use crate::sync::{Ordering, thread};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl<T: Signal> Engine<T> {
    /// Indexes and evicts what can be indexed and evicted in a shard now, without running user
    /// code. Returns whether anything moved.
    fn catch_up(&self, shard: usize) -> bool {
        self.step(shard, Work::FLUSH).is_some_and(|moved| moved.any())
    }

    /// Waits until everything that was claimed before the call is indexed and every eviction due by
    /// then is applied.
    pub(crate) fn flush(&self, deadline: Option<Instant>) -> Result<(), WaitError> {
        if reentrancy::is_inside() {
            return Err(WaitError::Reentrant);
        }
        for (number, shard) in self.shards.iter().enumerate() {
            let claimed = shard.claimed();
            // Evaluated in each round: which records exceed the byte budget is known only once they
            // are indexed.
            let due =
                || shard.is_over_budget() || shard.evicted() < shard.low(claimed).min(claimed);
            let backoff = crossbeam_utils::Backoff::new();
            while shard.indexed() < claimed || due() {
                if self.catch_up(number) {
                    continue;
                }
                // Another thread holds the indexer lock, or a push has not finished.
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return Err(WaitError::Timeout);
                }
                if backoff.is_completed() || cfg!(loom) {
                    thread::park_timeout(Duration::from_micros(50));
                } else {
                    backoff.snooze();
                }
            }
        }
        Ok(())
    }

    /// Makes all records that are in the store now invisible at once, and due for eviction.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            shard.clear();
            if !planted(Fault::ClearWithoutNotice) && shard.take_parked_mark() {
                self.wakeups.wake();
            }
        }
    }

    /// Refuses all pushes from now on, and tells the indexer thread to finish.
    pub(crate) fn close(&self) {
        self.shards.iter().for_each(Shard::close);
        // After the shards are closed: the indexer thread ends the store once it sees this flag,
        // and no claim may follow. Release pairs with the Acquire in `is_stopping`.
        self.stopping.store(1, Ordering::Release);
        // An indexer that is about to park either sees the flag, or is woken through a mark: see
        // `Shard::take_parked_mark`.
        for shard in &self.shards {
            if shard.take_parked_mark() {
                self.wakeups.wake();
            }
        }
        self.wakeups.hurry();
        if !planted(Fault::ShutdownWithoutWake) {
            // Wakers always run inside the re-entrancy guard: they may push, but they may not wait.
            let _inside = reentrancy::enter();
            self.room.notify();
            self.arrivals.notify();
        }
    }

    /// Ends the store: applies all work that is due, removes hooks and stream, and drops every
    /// record that no reader has pinned. The remaining records are dropped with the last handle.
    pub(crate) fn finish(&self) {
        // The guard also covers the drop of what hooks have captured: it is user code, and must not
        // wait for this thread.
        let _inside = reentrancy::enter();
        self.step_until_idle();
        if self.sinks.load().drain_at_end {
            self.shards.iter().for_each(Shard::clear);
            self.step_until_idle();
        }
        let sinks = self.end_sinks();
        self.shards.iter().for_each(Shard::clear);
        self.step_until_idle();
        // This may drop user code's captures. No indexer lock is held here.
        self.guarded(|| drop(sinks));
    }

    /// Removes hooks and stream, refuses new ones, and returns those that were removed. The stream
    /// ends once they are dropped. The store is closed.
    pub(crate) fn end_sinks(&self) -> Arc<Sinks<T>> {
        loop {
            let sinks = Arc::clone(&self.sinks.load());
            if self.sinks.replace(&sinks, Sinks::closed()) {
                // Before `sinks` is dropped: the channel ends after that, and so whoever sees its end
                // sees this store.
                let taken_in = self.shards.iter().map(Shard::claimed).sum();
                sinks.stream.iter().for_each(|sender| sender.end(taken_in));
                return sinks;
            }
        }
    }

    /// Steps in every shard until nothing moves any more.
    fn step_until_idle(&self) {
        for number in 0..self.shards.len() {
            // `None` means that another thread holds the indexer lock. It releases the lock soon,
            // or is taken over.
            while self.step(number, Work::ALL).is_none_or(Moved::any) {
                thread::yield_now();
            }
        }
    }
}
