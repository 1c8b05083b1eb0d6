//! The eviction-notice channel: tells the indexer that a shard has moved.
//!
//! Wakeups coalesce, and the cursors say how far a shard has moved. So the channel never fills, and a producer never waits on
//! it. While there is traffic the indexer naps on a timer, and needs no notice. Before it parks it marks the `claimed` word of
//! every shard. A producer's claim finds the mark in the word that it changes anyway, so a push pays nothing for the channel.
//! Why no notice is lost is said at [`Shard::take_parked_mark`](crate::engine::ring::Shard::take_parked_mark).

use crate::sync::thread::{self, Thread};
use crate::sync::{AtomicU32, Count, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Wakeups {
    /// Passes of the indexer over its shards; a coarse clock for producers.
    tick: Count,
    /// Threads that have pushed since the last tick, each counted once, at least.
    entered: Count,
    /// 1 while the indexer leaves its work to producers.
    crowded: Count,
    /// How often the indexer was woken.
    sent: Count,
    /// 1 once somebody has woken the indexer that is parked, or about to be.
    woken: AtomicU32,
    /// 1 while the indexer naps.
    napping: AtomicU32,
    sleeper: OnceLock<Thread>,
}

impl Wakeups {
    pub(crate) fn new() -> Self {
        Self {
            tick: Count::default(),
            entered: Count::default(),
            crowded: Count::default(),
            sent: Count::default(),
            woken: AtomicU32::new(0),
            napping: AtomicU32::new(0),
            sleeper: OnceLock::new(),
        }
    }

    #[inline]
    pub(crate) fn tick(&self) -> u64 {
        self.tick.get()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// A thread pushes for the first time since the last tick.
    pub(crate) fn enter(&self) {
        self.entered.add(1);
    }

    /// Whether producers keep every core busy, so that the indexer leaves its work to them.
    #[inline]
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded.get() != 0
    }

    /// Wakes the indexer; for whoever has taken the mark of a shard away.
    #[cold]
    pub(crate) fn wake(&self) {
        self.sent.add(1);
        // Release pairs with the Acquire in `park`.
        self.woken.store(1, Ordering::Release);
        self.unpark();
    }

    fn unpark(&self) {
        if let Some(sleeper) = self.sleeper.get() {
            sleeper.unpark();
        }
    }

    /// Ends the indexer's nap: a ring is nearly full, or somebody waits for the indexer. If this misses a nap that is just
    /// beginning, the nap's own end does.
    #[inline]
    pub(crate) fn hurry(&self) {
        if self.napping.load(Ordering::Relaxed) != 0 && self.napping.swap(0, Ordering::Relaxed) != 0 {
            self.unpark();
        }
    }

    // --- the indexer's side ---

    /// Lets the coarse clock go on. One thread at a time, or a tick is lost, which does no harm.
    pub(crate) fn tick_on(&self) {
        self.tick.set(self.tick.get() + 1);
    }

    /// How many threads have pushed since this was asked last.
    pub(crate) fn take_entered(&self) -> u64 {
        let entered = self.entered.get();
        self.entered.set(0);
        entered
    }

    pub(crate) fn set_crowded(&self, crowded: bool) {
        self.crowded.set(u64::from(crowded));
    }

    /// Makes the calling thread the one that wakeups wake.
    pub(crate) fn attach(&self) {
        let _ = self.sleeper.set(thread::current());
    }

    /// Sleeps for this long, or until hurried; whether it was.
    pub(crate) fn nap(&self, length: Duration) -> bool {
        self.napping.store(1, Ordering::Relaxed);
        thread::park_timeout(length);
        self.napping.swap(0, Ordering::Relaxed) == 0
    }

    /// Before the shards are marked.
    pub(crate) fn begin_to_park(&self) {
        // Relaxed: who wakes has taken a mark that is set after this.
        self.woken.store(0, Ordering::Relaxed);
    }

    /// Sleeps until somebody wakes this thread, or until then.
    pub(crate) fn park(&self, until: Option<Instant>) {
        // Acquire pairs with the Release in `wake`.
        while self.woken.load(Ordering::Acquire) == 0 {
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
