//! Flushing, clearing and shutting down a store.

use crate::engine::evictions::Sinks;
use crate::engine::indexer::{Moved, Work};
use crate::engine::reentrancy;
use crate::engine::shard::Shard;
use crate::engine::state::Engine;
use crate::engine::tuning::{FLUSH_LOOKS_AFTER, STALLED_AFTER};
use crate::error::WaitError;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use crate::sync::{Ordering, thread};
use std::sync::Arc;
use std::time::Instant;

impl<T: Signal> Engine<T> {
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
                if self.step(number, Work::FLUSH).is_some_and(Moved::any) {
                    continue;
                }
                // Another thread holds the indexer lock, or a push has not finished.
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return Err(WaitError::Timeout);
                }
                if backoff.is_completed() || cfg!(loom) {
                    thread::park_timeout(FLUSH_LOOKS_AFTER);
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
    ///
    /// Waits some milliseconds for pushes that have begun, and then passes over those that have not
    /// finished, as far as there are spare slots. The store is closed, so none begins meanwhile.
    pub(crate) fn finish(&self) {
        // The guard also covers the drop of what hooks have captured: it is user code, and must not
        // wait for this thread.
        let _inside = reentrancy::enter();
        let patience = Instant::now() + STALLED_AFTER;
        self.step_until_idle(patience);
        if self.sinks.load().drain_at_end {
            self.shards.iter().for_each(Shard::clear);
            self.step_until_idle(patience);
        }
        let sinks = self.end_sinks();
        self.shards.iter().for_each(Shard::clear);
        self.step_until_idle(patience);
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

    /// Steps in every shard until nothing moves any more, and passes over pushes that have not
    /// finished when `patience` ends.
    fn step_until_idle(&self, patience: Instant) {
        for (number, shard) in self.shards.iter().enumerate() {
            loop {
                // loom has no time.
                let is_over = !cfg!(loom) && Instant::now() >= patience;
                let work = if is_over { Work::END } else { Work::ALL };
                // `None` means that another thread holds the indexer lock. It releases the lock
                // soon, or is taken over.
                if self.step(number, work).is_none_or(Moved::any) {
                    thread::yield_now();
                    continue;
                }
                let claimed = shard.claimed();
                let is_done = shard.evicted() >= shard.low(claimed).min(claimed);
                if is_done || is_over || cfg!(loom) {
                    break;
                }
                // What is due lies behind a push that has not finished.
                thread::park_timeout(FLUSH_LOOKS_AFTER);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::LogRecord;
    use crate::engine::evictions::stream;
    use crate::engine::settings::OnFull;
    use crate::store::StoreBuilder;

    /// The records behind it were missed, too.
    #[test]
    fn an_end_passes_over_a_push_that_does_not_finish() {
        let builder = StoreBuilder::<LogRecord>::new().capacity(100).shards(2).manual();
        let engine = Engine::of(&builder);
        let (sender, evictions) = stream(200, &engine.streamed);
        sender.begin(0);
        engine.sinks.update(|_| Sinks {
            stream: Some(sender.clone()),
            drain_at_end: true,
            ..Sinks::default()
        });
        drop(sender);
        engine.push_some(30);
        let metas = [(); 2].map(|()| engine.meta(&mut LogRecord::default()).unwrap());
        let claim = engine.claim(&metas, OnFull::Reject).unwrap();
        assert_eq!(claim.count, 2);
        engine.push_some(60);
        engine.close();
        engine.finish();
        assert_eq!((evictions.missed(), (&evictions).into_iter().count()), (2, 90));
        engine.publish_all(claim, &mut vec![LogRecord::default(); 2].into_iter(), &metas);
        let shard = &engine.shards[claim.shard];
        assert_eq!((shard.evicted(), shard.reclaimed()), (shard.claimed(), shard.claimed()));
    }
}
