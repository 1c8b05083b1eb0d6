//! Flushing, clearing and ending a store.

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
    /// Applies all work that can be done in a shard now, without running user code; whether any was.
    fn catch_up(&self, shard: usize) -> bool {
        self.step(shard, Work::FLUSH).is_some_and(|moved| moved.any())
    }

    /// Waits until everything claimed before is indexed and every eviction due by then is applied.
    pub(crate) fn flush(&self, deadline: Option<Instant>) -> Result<(), WaitError> {
        if reentrancy::is_inside() {
            return Err(WaitError::Reentrant);
        }
        for (number, shard) in self.shards.iter().enumerate() {
            let claimed = shard.claimed();
            // Asked anew each time: what goes for its bytes is known once it is indexed.
            let due = || shard.is_over_budget() || shard.evicted() < shard.low(claimed).min(claimed);
            let backoff = crossbeam_utils::Backoff::new();
            while shard.indexed() < claimed || due() {
                if self.catch_up(number) {
                    continue;
                }
                // Somebody else has the token, or a push has not finished.
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

    /// Makes everything that is in the store now invisible at once, and due for eviction.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            shard.clear();
            if !planted(Fault::ClearWithoutNotice) && shard.take_parked_mark() {
                self.wakeups.wake();
            }
        }
    }

    /// No push enters from now on; the indexer is told to finish.
    pub(crate) fn close(&self) {
        // Release pairs with the Acquire in `is_stopping`. The indexer that parks sees it, or is woken by the first shard that
        // closes: see `Shard::take_parked_mark`.
        self.stopping.store(1, Ordering::Release);
        for shard in &self.shards {
            if shard.close() {
                self.wakeups.wake();
            }
        }
        self.wakeups.hurry();
        if !planted(Fault::ShutdownWithoutWake) {
            // Wakers run inside, wherever they do: they may push, and not wait.
            let _inside = reentrancy::enter();
            self.room.notify();
            self.arrivals.notify();
        }
    }

    /// The end: applies what is due, ends hooks and streams, and drops every record that no reader is looking at. The
    /// rest goes with the last handle.
    pub(crate) fn finish(&self) {
        // Also for what hooks have captured: its drop is user code, and must not wait for this thread.
        let _inside = reentrancy::enter();
        self.work_off();
        if self.sinks.load().drains {
            self.shards.iter().for_each(Shard::clear);
            self.work_off();
        }
        // All tokens together, so that nobody hands on what is counted as missed here.
        let owners: Vec<_> = (0..self.shards.len()).map(|number| self.lock_indexer(number)).collect();
        self.count_missed_in_quarantine();
        let sinks = Arc::clone(&self.sinks.load());
        self.end_sinks();
        drop(owners);
        let gone = || self.shards.iter().map(|shard| shard.claimed_and_evicted().1.iter().sum::<u64>()).sum::<u64>();
        let before = gone();
        self.shards.iter().for_each(Shard::clear);
        self.work_off();
        // The stream does not get what was left. Counted before it ends, so that who sees its end sees the count.
        sinks.stream.iter().for_each(|outlet| outlet.miss_many(gone() - before));
        // Users' code, and no token is held.
        self.guarded(|| drop(sinks));
    }

    /// Lets go of hooks and stream, for good.
    pub(crate) fn end_sinks(&self) {
        self.guarded(|| self.sinks.update(|_| Sinks::closed()));
    }

    /// Steps until nothing moves any more.
    fn work_off(&self) {
        for number in 0..self.shards.len() {
            // Whoever has the token now will not keep it.
            while self.step(number, Work::ALL).is_none_or(Moved::any) {
                thread::yield_now();
            }
        }
    }
}
