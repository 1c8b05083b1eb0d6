//! Routing: which shard a producer pushes to, and with which stamp.
//!
//! A producer stays on one shard for a run of pushes and then moves to the next, so that producers do not meet on one
//! word and all of the capacity serves even a single one. It leaves a shard early at the first sign of another producer
//! there; after a full circle of such failures it stays where it is. A full shard it first tries to make room in, so that
//! the shards keep filling in turn; only if that fails it goes on to the next.
//!
//! A run carries a **stamp** from one store-wide counter. Arrival order is (stamp, sequence). Within a shard stamps never
//! fall as sequences rise: a producer reads `claimed` first, takes its stamp then, and claims only if `claimed` has not
//! moved; so whoever claimed before it took a smaller stamp before. A run also takes a new stamp at each tick of the
//! indexer, so that a thread that pushes rarely is not filed under the time of its first push.

use super::shard::Shard;
use crate::signal::Signal;
use crate::sync::{CachePadded, Count, per_thread};
use std::cell::Cell;

/// The longest run, and the most records that one claim takes.
pub(crate) const MAX_RUN: usize = if cfg!(loom) { 2 } else { 64 };

/// Stores whose runs one thread remembers at a time; one that is pushed to beside more others starts a run each time.
const REMEMBERED: usize = 8;

/// A thread's run in one store. Fields are set one by one, so that a push touches only those that change.
struct Run {
    /// 0: none.
    store: Cell<u64>,
    shard: Cell<usize>,
    /// Records left before it moves on.
    left: Cell<u64>,
    /// The sequence after its last claim; if the shard's cursor is elsewhere, somebody else has been there.
    next: Cell<u64>,
    /// The slot of `next`.
    slot: Cell<usize>,
    /// An old answer of `Shard::limit`, which is a safe one.
    limit: Cell<u64>,
    stamp: Cell<u64>,
    tick: Cell<u64>,
}

const NO_STAMP: u64 = u64::MAX;

per_thread!(RUNS: [Run; REMEMBERED] = [const { Run::none() }; REMEMBERED]);

/// Sequences that this thread owns and must publish, each once.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Claim {
    pub(crate) shard: usize,
    pub(crate) first: u64,
    /// The slot of `first`.
    pub(crate) slot: usize,
    pub(crate) count: u64,
    pub(crate) stamp: u64,
    /// Room that is left behind the claim, as far as this thread knows.
    pub(crate) room: u64,
}

/// Why nothing was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoClaim {
    /// No shard has room, and none could be made.
    Full,
    /// The store is closed.
    Closed,
}

/// A store's routing: the counter of stamps, and where threads begin.
#[derive(Debug)]
pub(crate) struct Router {
    store: u64,
    run: u64,
    stamps: CachePadded<Count>,
    entrances: CachePadded<Count>,
}

impl Router {
    /// `run` is how many records a producer pushes to a shard before it moves on.
    pub(crate) fn new(run: usize) -> Self {
        static STORES: Count = Count::new();
        Self {
            store: STORES.next() + 1,
            run: run as u64,
            stamps: CachePadded::new(Count::default()),
            entrances: CachePadded::new(Count::default()),
        }
    }

    /// Claims up to `wanted` sequences (at most `MAX_RUN`) in one shard, and says how many; `claimed` has the rest.
    /// Lock-free while some shard has room. `make_room` is called with the number of a full shard and says whether it got
    /// anywhere.
    #[inline(always)]
    pub(crate) fn claim<T: Signal>(
        &self,
        shards: &[Shard<T>],
        wanted: u64,
        tick: u64,
        make_room: impl FnMut(usize) -> bool,
    ) -> Result<u64, NoClaim> {
        self.with_run(|run| {
            let next = run.next.get();
            let count = wanted.min(run.left.get()).min(run.limit.get().saturating_sub(next));
            if run.store.get() == self.store
                && run.tick.get() == tick
                && run.stamp.get() != NO_STAMP
                && count > 0
                && shards[run.shard.get()].claim(next, count)
            {
                run.take(count, &shards[run.shard.get()]);
                return Ok(count);
            }
            self.claim_anew(shards, wanted, tick, run, make_room)
        })
    }

    /// What this thread's last `claim`, of so many sequences, has claimed.
    #[inline(always)]
    pub(crate) fn claimed<T: Signal>(&self, shards: &[Shard<T>], count: u64) -> Claim {
        self.with_run(|run| {
            let (shard, next) = (run.shard.get(), run.next.get());
            let slot = shards[shard].slots.back(run.slot.get(), count);
            Claim { shard, first: next - count, slot, count, stamp: run.stamp.get(), room: run.limit.get() - next }
        })
    }

    #[inline(always)]
    fn with_run<R>(&self, f: impl FnOnce(&Run) -> R) -> R {
        RUNS.with(|runs| f(&runs[self.store as usize % REMEMBERED]))
    }

    /// The same with a new stamp, and on another shard where that is called for.
    #[cold]
    #[inline(never)]
    fn claim_anew<T: Signal>(
        &self,
        shards: &[Shard<T>],
        wanted: u64,
        tick: u64,
        run: &Run,
        mut make_room: impl FnMut(usize) -> bool,
    ) -> Result<u64, NoClaim> {
        if run.store.get() == self.store && run.is_disturbed(&shards[run.shard.get()]) {
            run.move_on(shards.len(), self.run);
        }
        let (mut full, mut contended) = (0, 0);
        while full < shards.len() {
            // Looked at in each round: `make_room` runs drops, which are user code and may push, here or elsewhere.
            if run.store.get() != self.store {
                run.store.set(self.store);
                run.shard.set(self.entrances.next() as usize % shards.len());
                run.left.set(self.run);
            } else if run.left.get() == 0 {
                run.move_on(shards.len(), self.run);
            }
            run.stamp.set(NO_STAMP);
            let number = run.shard.get();
            let shard = &shards[number];
            let claimed = shard.claimed_word();
            if claimed.is_closed() {
                return Err(NoClaim::Closed);
            }
            let (next, limit) = (claimed.sequence(), shard.limit());
            let count = wanted.min(run.left.get()).min(limit.saturating_sub(next));
            if count == 0 {
                if !make_room(number) {
                    full += 1;
                    run.move_on(shards.len(), self.run);
                }
                continue;
            }
            // What orders stamps against claims is in the module's text.
            let stamp = self.stamps.next();
            if shard.claim(next, count) {
                run.next.set(next);
                run.slot.set(shard.slots.slot(next));
                run.limit.set(limit);
                run.stamp.set(stamp);
                run.tick.set(tick);
                run.take(count, shard);
                return Ok(count);
            }
            contended += 1;
            full = 0;
            if contended < shards.len() {
                run.move_on(shards.len(), self.run);
            }
        }
        Err(NoClaim::Full)
    }
}

impl Run {
    const fn none() -> Self {
        Self {
            store: Cell::new(0),
            shard: Cell::new(0),
            left: Cell::new(0),
            next: Cell::new(0),
            slot: Cell::new(0),
            limit: Cell::new(0),
            stamp: Cell::new(NO_STAMP),
            tick: Cell::new(0),
        }
    }

    /// Whether somebody else has claimed in the run's shard since.
    fn is_disturbed<T: Signal>(&self, shard: &Shard<T>) -> bool {
        self.stamp.get() != NO_STAMP && shard.claimed() != self.next.get()
    }

    #[inline(always)]
    fn take<T: Signal>(&self, count: u64, shard: &Shard<T>) {
        self.next.set(self.next.get() + count);
        self.left.set(self.left.get() - count);
        self.slot.set(shard.slots.forth(self.slot.get(), count));
    }

    fn move_on(&self, shards: usize, length: u64) {
        let next = self.shard.get() + 1;
        self.shard.set(if next == shards { 0 } else { next });
        self.left.set(length);
    }
}
