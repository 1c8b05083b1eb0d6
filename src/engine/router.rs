//! Routing: chooses the shard that a producer pushes to, and the stamp of its records.
//!
//! A producer stays on one shard for a **run** of pushes. Then it takes a **turn** from a counter
//! that all producers of the shard group share. Turns go round the shards. So each shard receives
//! the same number of runs, whichever thread pushes them, and the whole capacity serves even a
//! single producer.
//!
//! Runs are not all equally long: a thread may end in the middle of one, or find its shard full. So
//! a producer that takes a turn also compares its shard with one other shard, a different one in
//! each round. If the other shard lacks at least one run against the shard whose turn it is, the
//! producer goes there instead. A shard that a suspended reader kept full lacks much more. Only the
//! last [`MOST_DEBT`] runs of that lack are made up for, and the rest is **forgiven**: the store
//! keeps the newest records, not equally many of all time.
//!
//! A producer that finds that another one has claimed on its shard stays there, with a new stamp:
//! its run ends soon, and the two producers' next turns differ. A producer that finds its shard
//! full tries to make room there. If that fails, it goes on to the next shard.
//!
//! A run carries a **stamp** from one store-wide counter. Arrival order is (stamp, sequence).
//! Within a shard, stamps never fall as sequences rise. A producer reads `claimed` first, then
//! takes its stamp, and its claim succeeds only if `claimed` has not moved since. So the producer
//! of the claim before it had taken its own, smaller, stamp earlier. A run also takes a new stamp
//! at each tick of the indexer, so that the records of a thread that pushes rarely are not filed
//! under the time of its first push.
//!
//! Shards may belong to two **classes**, each with a shard group of its own. Both draw their stamps
//! from the same counter. A thread that changes from one class to the other ends its run in the
//! first, so that its records keep their order.

use crate::engine::ring::Class;
use crate::engine::shard::{Admission, Shard};
use crate::engine::tuning::{MOST_DEBT, REMEMBERED_RUNS};
use crate::engine::wakeups::Wakeups;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::{AtomicU64, CachePadded, Count, Ordering, per_thread};
use std::cell::Cell;
use std::ops::Range;

/// A thread's run in one shard group. Each field is a cell of its own, so that a push writes only
/// those that change.
struct Run {
    /// The number of the shard group, or 0 for no run.
    group: Cell<u64>,
    shard: Cell<usize>,
    /// Records until the run ends.
    left: Cell<u64>,
    /// The sequence after the run's last claim. If the shard's cursor is elsewhere, another
    /// producer has claimed there since.
    next: Cell<u64>,
    /// The slot of `next`.
    slot: Cell<usize>,
    /// An earlier result of `Shard::limit`. The limit only grows, so an old one is safe. `NO_LIMIT`
    /// while there is no claim to continue from.
    limit: Cell<u64>,
    /// The room that the shard had when the run, or its current stamp, began.
    room: Cell<u64>,
    stamp: Cell<u64>,
    tick: Cell<u64>,
}

const NO_LIMIT: u64 = 0;

per_thread!(RUNS: [Run; REMEMBERED_RUNS] = [const { Run::none() }; REMEMBERED_RUNS]);

/// Sequences that belong to this thread, which must publish each of them once.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Claim {
    pub(crate) shard: usize,
    pub(crate) first: u64,
    /// The slot of `first`.
    pub(crate) slot: usize,
    pub(crate) count: u64,
    pub(crate) stamp: u64,
}

/// Why a claim failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoClaim {
    /// No shard has room, and none could be made.
    Full,
    /// The store is closed.
    Closed,
}

/// A store's routing: the counter of stamps, and a shard group for each class.
#[derive(Debug)]
pub(crate) struct Router {
    rest: ShardGroup,
    picked: Option<ShardGroup>,
    stamps: CachePadded<AtomicU64>,
}

/// The shards of one class, and how producers take turns on them.
#[derive(Debug)]
pub(crate) struct ShardGroup {
    /// Unique in the process, and never 0.
    number: u64,
    shards: Range<usize>,
    run: u64,
    /// A producer whose shard has less room than this ends the indexer's nap.
    ///
    /// Half the slack. Measured: never to end the nap early made no difference to rates on two busy
    /// cores, and a single producer took 0.73 times as many points. To end it each time cost 4 to 27 %.
    hurry_below: u64,
    /// For each shard, the records that it lacks and that are not made up for.
    forgiven: Box<[Count]>,
    turns: CachePadded<Count>,
}

impl ShardGroup {
    /// Creates a group of these shards. `run` is the number of records that a producer pushes to
    /// one shard before it takes its next turn. `slack` is the room that each shard has beside its
    /// capacity.
    pub(crate) fn new(shards: Range<usize>, run: usize, slack: usize) -> Self {
        static GROUPS: Count = Count::new();
        Self {
            number: GROUPS.next() + 1,
            forgiven: shards.clone().map(|_| Count::default()).collect(),
            shards,
            run: run as u64,
            hurry_below: slack as u64 / 2,
            turns: CachePadded::new(Count::default()),
        }
    }

    /// Returns this thread's remembered run at this group's place. It may belong to another group
    /// that shares the place.
    #[inline(always)]
    fn run(&self) -> &Run {
        let runs: *const [Run; REMEMBERED_RUNS] = RUNS.with(std::ptr::from_ref);
        // SAFETY: a thread-local without a destructor lives as long as its thread, which is the
        // calling one. `Run` is not `Sync`, so the reference stays on this thread. Continuing
        // inside `with` instead would move the push's words through memory.
        unsafe { &(&*runs)[self.number as usize % REMEMBERED_RUNS] }
    }

    /// Begins a run on the shard whose turn it is, or on the compared shard if that lacks a run or
    /// more.
    fn take_turn<T: Signal>(&self, run: &Run, shards: &[Shard<T>]) {
        let (turn, count) = (self.turns.next() as usize, self.shards.len());
        let shard_at = |place: usize| self.shards.start + place % count;
        let here = shard_at(turn);
        run.left.set(self.run);
        run.shard.set(here);
        if count == 1 {
            return;
        }
        let other = shard_at(turn + 1 + turn / count % (count - 1));
        let forgiven = |shard: usize| &self.forgiven[shard - self.shards.start];
        let level = |shard: usize| shards[shard].claimed() + forgiven(shard).get();
        let (level_here, most) = (level(here), MOST_DEBT * self.run);
        let lacks = level_here.saturating_sub(level(other));
        if lacks >= self.run {
            run.shard.set(other);
        }
        if lacks > most {
            // Set, not added: two threads that forgive the same debt at once set about the same
            // value.
            forgiven(other).set((level_here - most).saturating_sub(shards[other].claimed()));
        }
    }

    /// Ends this thread's run in this group, if there is one, so that its next push here takes a
    /// new stamp.
    #[cold]
    fn end_run(&self) {
        let run = self.run();
        if run.group.get() == self.number && !planted(Fault::ClassKeepsStamp) {
            run.limit.set(NO_LIMIT);
        }
    }
}

impl Router {
    pub(crate) fn new(rest: ShardGroup, picked: Option<ShardGroup>) -> Self {
        Self { rest, picked, stamps: CachePadded::new(AtomicU64::new(0)) }
    }

    /// Returns the shards of a class.
    pub(crate) fn shards_of(&self, class: Class) -> Range<usize> {
        match class {
            Class::Rest => self.rest.shards.clone(),
            Class::Picked => self.picked.as_ref().map_or(0..0, |group| group.shards.clone()),
        }
    }

    /// Returns the shard group of a class.
    #[inline(always)]
    fn group(&self, class: Class) -> &ShardGroup {
        match (class, &self.picked) {
            (Class::Picked, Some(group)) => group,
            _ => &self.rest,
        }
    }

    /// Ends this thread's run in the other class, after a claim of this class.
    #[inline(always)]
    fn end_other_run(&self, class: Class) {
        if let Some(picked) = &self.picked {
            let other = if class == Class::Rest { picked } else { &self.rest };
            other.end_run();
        }
    }

    /// Returns the next stamp. Every run that has begun has a stamp below it. All that a thread
    /// pushed before the last of its runs with a stamp below this value is published and visible to
    /// the caller.
    pub(crate) fn next_stamp(&self) -> u64 {
        self.stamps.load(Ordering::Acquire)
    }

    /// Returns whether the shard that this thread pushed to last had little room when the run
    /// began, or is short of bytes now.
    pub(crate) fn is_short<T: Signal>(&self, shards: &[Shard<T>], class: Class) -> bool {
        let group = self.group(class);
        let run = group.run();
        run.group.get() == group.number
            && (run.room.get() < group.hurry_below || shards[run.shard.get()].is_short_of_bytes())
    }

    /// Claims up to `wanted` sequences on this thread's current run. Returns `None` if that takes
    /// the slow path.
    #[inline(always)]
    pub(crate) fn claim<T: Signal>(
        &self,
        shards: &[Shard<T>],
        class: Class,
        wanted: u64,
        admission: &impl Admission,
        tick: u64,
    ) -> Option<Claim> {
        let group = self.group(class);
        let run = group.run();
        let next = run.next.get();
        let count = wanted.min(run.left.get()).min(run.limit.get().saturating_sub(next));
        if count == 0 || run.group.get() != group.number || run.tick.get() != tick {
            return None;
        }
        let shard = &shards[run.shard.get()];
        let count = admission.try_reserve(shard.byte_budget.as_ref(), count);
        if count == 0 {
            return None;
        }
        if !shard.claim(next, count) {
            admission.release(shard.byte_budget.as_ref(), count);
            return None;
        }
        self.end_other_run(class);
        Some(run.advance(count, shard))
    }

    /// Claims with a new stamp. If the run has ended, claims on the shard whose turn it is.
    /// Lock-free while some shard has room. Calls `make_room` with the number of a full shard; it
    /// returns whether it made room.
    #[cold]
    #[inline(never)]
    pub(crate) fn claim_slow<T: Signal>(
        &self,
        shards: &[Shard<T>],
        class: Class,
        wanted: u64,
        admission: &impl Admission,
        wakeups: &Wakeups,
        make_room: impl FnMut(usize) -> bool,
    ) -> Result<Claim, NoClaim> {
        let group = self.group(class);
        let claim = self.claim_on_new_run(shards, group, wanted, admission, wakeups, make_room);
        if claim.is_ok() {
            self.end_other_run(class);
        }
        claim
    }

    fn claim_on_new_run<T: Signal>(
        &self,
        shards: &[Shard<T>],
        group: &ShardGroup,
        wanted: u64,
        admission: &impl Admission,
        wakeups: &Wakeups,
        mut make_room: impl FnMut(usize) -> bool,
    ) -> Result<Claim, NoClaim> {
        let (run, tick) = (group.run(), wakeups.tick());
        let mut full = 0;
        // Tries each shard twice: another thread may have held the indexer lock at the first try.
        while full < 2 * group.shards.len() {
            // Checked in each round: `make_room` runs drops, which are user code and may push, to
            // this store or another.
            if run.group.get() != group.number {
                run.group.set(group.number);
                run.room.set(u64::MAX);
                group.take_turn(run, shards);
            } else if run.left.get() == 0 {
                group.take_turn(run, shards);
            }
            run.limit.set(NO_LIMIT);
            let number = run.shard.get();
            let shard = &shards[number];
            let claimed = shard.claimed_word();
            if claimed.is_closed() {
                return Err(NoClaim::Closed);
            }
            if claimed.is_parked() {
                // Wakes before the claim: waking another thread may cost this one its core.
                if shard.take_parked_mark() && !planted(Fault::ClaimWithoutWake) {
                    wakeups.wake();
                }
                continue;
            }
            let (next, limit) = (claimed.sequence(), shard.limit());
            // The run ends before a place that is served by another slot than its own. A claim at
            // such a place takes that place alone. Which slot serves a place is settled before the
            // limit lets its sequence be claimed.
            let place = shard.slots.place(next);
            let until_moved = shard.slots.own_slot_run(place, limit.saturating_sub(next));
            let limit = limit.min(next + until_moved.max(1));
            let count = wanted.min(run.left.get()).min(limit.saturating_sub(next));
            let count = if count == 0 {
                0
            } else {
                admission.try_reserve(shard.byte_budget.as_ref(), count)
            };
            if count == 0 {
                if !make_room(number) {
                    full += 1;
                    if run.group.get() != group.number {
                        // User code in `make_room` has pushed to another store.
                        continue;
                    }
                    // Goes round the shards instead of taking a turn: other threads take turns too,
                    // and this thread might never reach some shard.
                    run.shard.set(if number + 1 == group.shards.end {
                        group.shards.start
                    } else {
                        number + 1
                    });
                    run.left.set(group.run);
                }
                continue;
            }
            // The module's text says why stamps never fall as sequences rise.
            //
            // Release pairs with the Acquire in `next_stamp`. If this increment comes first, a
            // thread that reads the counter sees all that this thread has published before, and may
            // count this run in. If the read comes first, this run's stamp is not below the value
            // read, and the run is left out.
            let stamp = self.stamps.fetch_add(1, weaken(Ordering::Release, Fault::StampRelaxed));
            // Reads the slot before the claim: if this thread were suspended in between, another
            // slot might serve the place by then.
            let slot = shard.slots.slot(place);
            if shard.claim(next, count) {
                run.next.set(next);
                run.slot.set(slot);
                run.limit.set(limit);
                run.room.set(limit - next);
                run.stamp.set(stamp);
                run.tick.set(tick);
                return Ok(run.advance(count, shard));
            }
            admission.release(shard.byte_budget.as_ref(), count);
            full = 0;
        }
        if run.group.get() == group.number {
            // User code in `make_room` may have pushed to this store before this thread went on to
            // another shard. The run's limit belongs to that claim.
            run.limit.set(NO_LIMIT);
        }
        Err(NoClaim::Full)
    }
}

impl Run {
    const fn none() -> Self {
        Self {
            group: Cell::new(0),
            shard: Cell::new(0),
            left: Cell::new(0),
            next: Cell::new(0),
            slot: Cell::new(0),
            limit: Cell::new(NO_LIMIT),
            room: Cell::new(u64::MAX),
            stamp: Cell::new(0),
            tick: Cell::new(0),
        }
    }

    /// Moves the run past `count` sequences that have just been claimed, and returns them as a
    /// claim.
    #[inline(always)]
    fn advance<T: Signal>(&self, count: u64, shard: &Shard<T>) -> Claim {
        let (first, slot) = (self.next.get(), self.slot.get());
        self.next.set(first + count);
        self.left.set(self.left.get() - count);
        self.slot.set(shard.slots.place_after(slot, count));
        Claim { shard: self.shard.get(), first, slot, count, stamp: self.stamp.get() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
