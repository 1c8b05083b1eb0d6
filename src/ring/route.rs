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
const REMEMBERED: usize = 4;

/// A thread's run in one store.
#[derive(Clone, Copy)]
struct Run {
    /// 0: none.
    store: u64,
    shard: usize,
    /// Records left before it moves on.
    left: u64,
    /// The sequence after its last claim; if the shard's cursor is elsewhere, somebody else has been there.
    next: u64,
    /// An old answer of `Shard::limit`, which is a safe one.
    limit: u64,
    stamp: u64,
    tick: u64,
}

const NO_RUN: Run = Run { store: 0, shard: 0, left: 0, next: 0, limit: 0, stamp: NO_STAMP, tick: 0 };

const NO_STAMP: u64 = u64::MAX;

per_thread!(RUNS: [Cell<Run>; REMEMBERED] = [const { Cell::new(NO_RUN) }; REMEMBERED]);

/// Sequences that this thread owns and must publish, each once.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Claim {
    pub(crate) shard: usize,
    pub(crate) first: u64,
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

    /// Claims up to `wanted` sequences (at most `MAX_RUN`) in one shard. Lock-free while some shard has room. `make_room`
    /// is called with the number of a full shard and says whether it got anywhere.
    #[inline]
    pub(crate) fn claim<T: Signal>(
        &self,
        shards: &[Shard<T>],
        wanted: u64,
        tick: u64,
        make_room: impl FnMut(usize) -> bool,
    ) -> Result<Claim, NoClaim> {
        RUNS.with(|runs| {
            let remembered = &runs[self.store as usize % REMEMBERED];
            let mut run = remembered.get();
            let count = wanted.min(run.left).min(run.limit.saturating_sub(run.next));
            if run.store == self.store && run.tick == tick && count > 0 && shards[run.shard].claim(run.next, count) {
                let claim = run.take(count);
                remembered.set(run);
                return Ok(claim);
            }
            if run.store != self.store {
                let entrance = self.entrances.next() as usize;
                run = Run { store: self.store, shard: entrance % shards.len(), left: self.run, ..NO_RUN };
            }
            let claim = self.claim_anew(shards, wanted, tick, &mut run, make_room);
            remembered.set(run);
            claim
        })
    }

    /// The same with a new stamp, and on another shard where that is called for.
    #[cold]
    fn claim_anew<T: Signal>(
        &self,
        shards: &[Shard<T>],
        wanted: u64,
        tick: u64,
        run: &mut Run,
        mut make_room: impl FnMut(usize) -> bool,
    ) -> Result<Claim, NoClaim> {
        if run.left == 0 || (run.stamp != NO_STAMP && shards[run.shard].claimed() != run.next) {
            run.move_on(shards.len(), self.run);
        }
        let mut full = 0;
        let mut contended = 0;
        while full < shards.len() {
            let shard = &shards[run.shard];
            let claimed = shard.claimed_word();
            if claimed.is_closed() {
                return Err(NoClaim::Closed);
            }
            (run.next, run.limit) = (claimed.sequence(), shard.limit());
            let count = wanted.min(run.left).min(run.limit.saturating_sub(run.next));
            if count == 0 {
                if !make_room(run.shard) {
                    full += 1;
                    run.move_on(shards.len(), self.run);
                }
                continue;
            }
            // What orders stamps against claims is in the module's text.
            (run.stamp, run.tick) = (self.stamps.next(), tick);
            if shard.claim(run.next, count) {
                return Ok(run.take(count));
            }
            contended += 1;
            full = 0;
            if contended < shards.len() {
                run.move_on(shards.len(), self.run);
            }
        }
        run.stamp = NO_STAMP;
        Err(NoClaim::Full)
    }
}

impl Run {
    fn take(&mut self, count: u64) -> Claim {
        let claim = Claim {
            shard: self.shard,
            first: self.next,
            count,
            stamp: self.stamp,
            room: self.limit - self.next - count,
        };
        self.next += count;
        self.left -= count;
        claim
    }

    fn move_on(&mut self, shards: usize, length: u64) {
        self.shard = if self.shard + 1 == shards { 0 } else { self.shard + 1 };
        self.left = length;
    }
}
