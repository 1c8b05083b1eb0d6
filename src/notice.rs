//! The eviction-notice channel: says which shard has moved, and wakes the indexer.
//!
//! Notices coalesce. One bit says that a shard (of those that share the bit) has moved; the cursors say how far. So the
//! channel never fills, a producer never waits on it, and a notice that is sent twice costs nothing.
//!
//! Publish against park is a store-load race. It is decided on the *claim*: the indexer stores `PARKED`, fences, and
//! looks whether every shard is settled; a producer claims (a full barrier), publishes, and looks at the word. If the
//! claim comes first, the indexer sees a shard that is not settled and stays awake, even if the record is not published
//! yet. If the fence comes first, the producer sees `PARKED` and wakes the indexer.

use crate::sync::fault::{self, Fault, planted};
use crate::sync::thread::{self, Thread};
use crate::sync::{AtomicU64, Count, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The notice word: bit 63 `PARKED`, bit 62 `NAPPING`, bits 31..0 one for each shard number modulo 32.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Notices {
    word: AtomicU64,
    /// Passes of the indexer over its shards; a coarse clock for producers.
    tick: Count,
    /// Threads that have pushed since the last tick, each counted once, at least.
    entered: Count,
    /// 1 while the indexer leaves its work to producers.
    crowded: Count,
    /// Notices that were sent and did not find one under way.
    sent: Count,
    sleeper: OnceLock<Thread>,
}

const PARKED: u64 = 1 << 63;
const NAPPING: u64 = 1 << 62;
const SHARDS: u64 = (1 << 32) - 1;

#[inline]
fn bit(shard: usize) -> u64 {
    1 << (shard % 32)
}

impl Notices {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            tick: Count::default(),
            entered: Count::default(),
            crowded: Count::default(),
            sent: Count::default(),
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

    /// Says that a shard has moved: after a claim and its publishing, or after a floor was raised.
    #[inline]
    pub(crate) fn send(&self, shard: usize) {
        // SeqCst, after the claim's SeqCst read-modify-write: see the module's text.
        let word = self.word.load(Ordering::SeqCst);
        // Also if another's notice is there and the indexer still parked: that one may be asleep between the two.
        if word & bit(shard) == 0 || word & PARKED != 0 {
            self.send_anew(shard);
        }
    }

    #[cold]
    fn send_anew(&self, shard: usize) {
        self.sent.add(1);
        // Release pairs with the Acquire in `take`.
        let before = self.word.fetch_or(bit(shard), Ordering::AcqRel);
        if before & PARKED != 0 {
            self.wake(PARKED);
        }
    }

    /// Wakes the indexer from a nap too: a ring is nearly full, or somebody waits for the indexer.
    #[inline]
    pub(crate) fn hurry(&self) {
        if self.word.load(Ordering::SeqCst) & (PARKED | NAPPING) != 0 {
            self.wake(PARKED | NAPPING);
        }
    }

    #[cold]
    fn wake(&self, from: u64) {
        // Only who takes the bit away unparks, so that a burst of notices costs one system call.
        if self.word.fetch_and(!from, Ordering::AcqRel) & from != 0
            && let Some(sleeper) = self.sleeper.get()
        {
            sleeper.unpark();
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

    /// Makes the calling thread the one that notices wake.
    pub(crate) fn attach(&self) {
        let _ = self.sleeper.set(thread::current());
    }

    /// Begins a pass: takes the notices sent so far. What they announce is seen by looks at the cursors after this.
    pub(crate) fn take(&self) -> Taken {
        self.tick_on();
        Taken(self.word.fetch_and(!SHARDS, Ordering::SeqCst) & SHARDS)
    }

    /// Sleeps for this long, or until hurried; whether it was.
    pub(crate) fn nap(&self, length: Duration) -> bool {
        self.word.fetch_or(NAPPING, Ordering::SeqCst);
        thread::park_timeout(length);
        self.word.fetch_and(!NAPPING, Ordering::Relaxed) & NAPPING == 0
    }

    /// Sleeps until the next notice, or until then. It does not, and says so, if one is there or `settled` finds work after all.
    pub(crate) fn park(&self, until: Option<Instant>, settled: impl FnOnce() -> bool) -> bool {
        if self.word.compare_exchange(0, PARKED, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            return false;
        }
        fault::fence(Fault::ParkWithoutFence);
        if !planted(Fault::ParkWithoutLook) && !settled() {
            self.word.fetch_and(!PARKED, Ordering::Relaxed);
            return false;
        }
        while self.word.load(Ordering::Acquire) & PARKED != 0 {
            let Some(until) = until else {
                thread::park();
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // Whoever took the bit away before has unparked this thread, which then wakes once too often. Relaxed: the next
                // pass begins with a read-modify-write of this word.
                self.word.fetch_and(!PARKED, Ordering::Relaxed);
                break;
            }
            thread::park_timeout(left);
        }
        true
    }
}

/// Notices taken for one pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken(u64);

impl Taken {
    pub(crate) fn names(self, shard: usize) -> bool {
        self.0 & bit(shard) != 0
    }
}

#[cfg(all(test, not(loom)))]
impl Notices {
    pub(crate) fn is_parked(&self) -> bool {
        self.word.load(Ordering::Relaxed) & PARKED != 0
    }
}
