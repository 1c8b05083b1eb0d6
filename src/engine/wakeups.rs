//! The eviction-notice channel: tells the indexer that a shard has moved.
//!
//! Wakeups coalesce, and the cursors say how far a shard has moved. So the channel never fills up,
//! and a producer never waits on it. While there is traffic, the indexer naps on a timer and needs
//! no notice. Before it parks, it marks the `claimed` word of every shard. A producer's claim finds
//! the mark in the word that it changes anyway, so a push pays nothing for the channel.
//! [`Shard::take_parked_mark`](crate::engine::shard::Shard::take_parked_mark) says why no notice is
//! lost.

use crate::sync::thread::{self, Thread};
use crate::sync::{AtomicU32, Count, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The state of the indexer thread's sleep, and its coarse clock.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Wakeups {
    /// Passes of the indexer over its shards. Producers read it as a coarse clock.
    tick: Count,
    /// How often the indexer was woken from parking.
    sent: Count,
    /// 1 once a thread has woken the indexer that is parked, or about to be.
    woken: AtomicU32,
    /// 1 while the indexer naps.
    napping: AtomicU32,
    /// The indexer thread.
    sleeper: OnceLock<Thread>,
}

impl Wakeups {
    pub(crate) fn new() -> Self {
        Self {
            tick: Count::default(),
            sent: Count::default(),
            woken: AtomicU32::new(0),
            napping: AtomicU32::new(0),
            sleeper: OnceLock::new(),
        }
    }

    /// Returns the coarse clock's current tick.
    #[inline]
    pub(crate) fn tick(&self) -> u64 {
        self.tick.get()
    }

    /// Returns how often the indexer was woken from parking.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Wakes the parked indexer. The caller has taken away a shard's parked mark.
    #[cold]
    pub(crate) fn wake(&self) {
        self.sent.add(1);
        // Relaxed: the mark orders what the caller has changed. The caller has taken it by a
        // read-modify-write with Release. The indexer takes the marks by one with Acquire when it
        // wakes, before it looks for work.
        self.woken.store(1, Ordering::Relaxed);
        self.unpark();
    }

    fn unpark(&self) {
        if let Some(sleeper) = self.sleeper.get() {
            sleeper.unpark();
        }
    }

    /// Ends the indexer's nap, because a ring is nearly full or a thread waits for the indexer. A
    /// nap that is just beginning may be missed; it ends by its timer.
    #[inline]
    pub(crate) fn hurry(&self) {
        if self.napping.load(Ordering::Relaxed) != 0 && self.napping.swap(0, Ordering::Relaxed) != 0
        {
            self.unpark();
        }
    }

    // --- the indexer's side ---

    /// Advances the coarse clock. Two threads that do this at once may lose a tick, which is
    /// harmless.
    pub(crate) fn advance_tick(&self) {
        self.tick.set(self.tick.get() + 1);
    }

    /// Makes the calling thread the one that wakeups wake.
    pub(crate) fn attach(&self) {
        let _ = self.sleeper.set(thread::current());
    }

    /// Sleeps for `length`, or until [`hurry`](Self::hurry) ends the nap.
    pub(crate) fn nap(&self, length: Duration) {
        self.napping.store(1, Ordering::Relaxed);
        thread::park_timeout(length);
        self.napping.store(0, Ordering::Relaxed);
    }

    /// Forgets earlier wakeups. The indexer calls this before it marks the shards.
    pub(crate) fn prepare_to_park(&self) {
        // Relaxed: a thread that wakes the indexer has first taken a mark that is set after this
        // store. The mark's release/acquire pair orders the two stores.
        self.woken.store(0, Ordering::Relaxed);
    }

    /// Sleeps until another thread wakes the indexer, or until the given time.
    pub(crate) fn park(&self, until: Option<Instant>) {
        // Relaxed, as in `wake`.
        while self.woken.load(Ordering::Relaxed) == 0 {
            let Some(until) = until else {
                thread::park();
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }
}
