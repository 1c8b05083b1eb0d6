//! Routing: which shard a producer pushes to, and with which stamp.
//!
//! A producer stays on one shard for a **run** of pushes. Then it takes a **turn** from a counter that all producers of the route
//! share; turns go round the shards. So each shard gets the same number of runs, whoever pushes them, and all of the capacity
//! serves even a single producer.
//!
//! Not every run is as long as the others: a thread ends in the middle of one, or finds its shard full. So whoever takes a turn
//! also looks at one other shard, another one in each round. If that shard lacks a run or more against the shard whose turn it
//! is, the producer goes there instead. A shard that a sleeping reader kept full lacks much more. Only the last [`MOST_DEBT`]
//! runs of that are made up for, and the rest is **forgiven**: the store keeps the newest records, not equally many of all time.
//!
//! A producer that finds another one on its shard stays, with a new stamp: its run ends soon, and their next turns differ. A
//! producer that finds its shard full tries to make room there; if that fails it goes on to the next shard.
//!
//! A run carries a **stamp** from one store-wide counter. Arrival order is (stamp, sequence). Within a shard stamps never
//! fall as sequences rise: a producer reads `claimed` first, takes its stamp then, and claims only if `claimed` has not
//! moved; so whoever claimed before it took a smaller stamp before. A run also takes a new stamp at each tick of the
//! indexer, so that a thread that pushes rarely is not filed under the time of its first push.
//!
//! Shards may belong to two **classes**, each with routes of its own. All have the same counter, and who goes from one class to the
//! other ends its run there, so that each thread's records keep their order.

use crate::engine::ring::Class;
use crate::engine::shard::{Admission, Shard};
use crate::engine::tuning::{MOST_DEBT, REMEMBERED_RUNS};
use crate::engine::wakeups::Wakeups;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::{AtomicU64, CachePadded, Count, Ordering, per_thread};
use std::cell::Cell;
use std::ops::Range;

/// A thread's run on one route. Fields are set one by one, so that a push touches only those that change.
struct Run {
    /// 0: none.
    route: Cell<u64>,
    shard: Cell<usize>,
    /// Records until the run ends.
    left: Cell<u64>,
    /// The sequence after its last claim; if the shard's cursor is elsewhere, somebody else has been there.
    next: Cell<u64>,
    /// The slot of `next`.
    slot: Cell<usize>,
    /// An old answer of `Shard::limit`, which is a safe one; `NO_LIMIT` while there is no claim to go on from.
    limit: Cell<u64>,
    /// Room that its shard had when the run, or its stamp, began.
    room: Cell<u64>,
    stamp: Cell<u64>,
    tick: Cell<u64>,
}

const NO_LIMIT: u64 = 0;

per_thread!(RUNS: [Run; REMEMBERED_RUNS] = [const { Run::none() }; REMEMBERED_RUNS]);

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
}

/// Why nothing was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoClaim {
    /// No shard has room, and none could be made.
    Full,
    /// The store is closed.
    Closed,
}

/// A store's routing: the counter of stamps, and a route for each class.
#[derive(Debug)]
pub(crate) struct Router {
    rest: ShardGroup,
    picked: Option<ShardGroup>,
    stamps: CachePadded<AtomicU64>,
}

/// The way to the shards of a class.
#[derive(Debug)]
pub(crate) struct ShardGroup {
    /// Unique in the process.
    number: u64,
    shards: Range<usize>,
    run: u64,
    /// With less room than this in a shard, the indexer is woken from its nap.
    /// Half the slack. Never to wake it made no difference to rates on two busy cores, and to wake it each time cost 4 to 27 %.
    hurry_below: u64,
    /// For each shard, records that it lacks and that nobody makes up for.
    forgiven: Box<[Count]>,
    turns: CachePadded<Count>,
}

impl ShardGroup {
    /// To these shards; `run` is how many records a producer pushes to one before it takes its next turn, `slack` for how many
    /// each has room beside its capacity.
    pub(crate) fn new(shards: Range<usize>, run: usize, slack: usize) -> Self {
        static ROUTES: Count = Count::new();
        Self {
            number: ROUTES.next() + 1,
            forgiven: shards.clone().map(|_| Count::default()).collect(),
            shards,
            run: run as u64,
            hurry_below: slack as u64 / 2,
            turns: CachePadded::new(Count::default()),
        }
    }

    /// This thread's run here, or on a route that shares its place.
    #[inline(always)]
    fn run(&self) -> &Run {
        let runs: *const [Run; REMEMBERED_RUNS] = RUNS.with(std::ptr::from_ref);
        // SAFETY: a thread-local without a destructor lives as long as its thread, which is here; and `Run` is not `Sync`, so
        // the reference stays here. Going on inside `with` would take the push's words through memory.
        unsafe { &(&*runs)[self.number as usize % REMEMBERED_RUNS] }
    }

    /// Begins a run on the shard whose turn it is, or on another that lacks a run or more against it.
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
            // Set, not added: of two threads that forgive the same debt at once, each sets about the same.
            forgiven(other).set((level_here - most).saturating_sub(shards[other].claimed()));
        }
    }

    /// Ends this thread's run, if there is one: the next push has a new stamp.
    #[cold]
    fn end_run(&self) {
        let run = self.run();
        if run.route.get() == self.number && !planted(Fault::ClassKeepsStamp) {
            run.limit.set(NO_LIMIT);
        }
    }
}

impl Router {
    pub(crate) fn new(rest: ShardGroup, picked: Option<ShardGroup>) -> Self {
        Self { rest, picked, stamps: CachePadded::new(AtomicU64::new(0)) }
    }

    /// The shards of a class.
    pub(crate) fn shards_of(&self, class: Class) -> Range<usize> {
        match class {
            Class::Rest => self.rest.shards.clone(),
            Class::Picked => self.picked.as_ref().map_or(0..0, |route| route.shards.clone()),
        }
    }

    #[inline(always)]
    fn route(&self, class: Class) -> &ShardGroup {
        match (class, &self.picked) {
            (Class::Picked, Some(route)) => route,
            _ => &self.rest,
        }
    }

    /// After a claim of this class.
    #[inline(always)]
    fn end_other_run(&self, class: Class) {
        if let Some(picked) = &self.picked {
            let other = if class == Class::Rest { picked } else { &self.rest };
            other.end_run();
        }
    }

    /// Every run that has begun has a stamp below this. A thread's records below a stamp that was asked for here have all been
    /// published by then, but for those of its last run.
    pub(crate) fn stamps_given(&self) -> u64 {
        self.stamps.load(Ordering::Acquire)
    }

    /// Whether there was little room where this thread pushed last, when its run began, or is little now of bytes.
    pub(crate) fn is_short<T: Signal>(&self, shards: &[Shard<T>], class: Class) -> bool {
        let route = self.route(class);
        let run = route.run();
        run.route.get() == route.number
            && (run.room.get() < route.hurry_below || shards[run.shard.get()].is_short_of_bytes())
    }

    /// Claims up to `wanted` sequences on this thread's run, if nothing stands against it.
    #[inline(always)]
    pub(crate) fn claim<T: Signal>(
        &self,
        shards: &[Shard<T>],
        class: Class,
        wanted: u64,
        admission: &impl Admission,
        tick: u64,
    ) -> Option<Claim> {
        let route = self.route(class);
        let run = route.run();
        let next = run.next.get();
        let count = wanted.min(run.left.get()).min(run.limit.get().saturating_sub(next));
        if count == 0 || run.route.get() != route.number || run.tick.get() != tick {
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
        Some(run.take(count, shard))
    }

    /// The same with a new stamp, on the shard whose turn it is if the run has ended. Lock-free while some shard has room.
    /// `make_room` is called with the number of a full shard and says whether it got anywhere.
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
        let (route, tick) = (self.route(class), wakeups.tick());
        // Each thread once, whatever classes it pushes to.
        let has_entered =
            |route: &ShardGroup| route.run().route.get() == route.number && route.run().tick.get() == tick;
        if !has_entered(&self.rest) && !self.picked.as_ref().is_some_and(has_entered) {
            wakeups.enter();
        }
        let claim = self.claim_on_new_run(shards, route, wanted, admission, wakeups, make_room);
        if claim.is_ok() {
            self.end_other_run(class);
        }
        claim
    }

    fn claim_on_new_run<T: Signal>(
        &self,
        shards: &[Shard<T>],
        route: &ShardGroup,
        wanted: u64,
        admission: &impl Admission,
        wakeups: &Wakeups,
        mut make_room: impl FnMut(usize) -> bool,
    ) -> Result<Claim, NoClaim> {
        let (run, tick) = (route.run(), wakeups.tick());
        let mut full = 0;
        // Each shard twice: somebody else may have held the token at the first try.
        while full < 2 * route.shards.len() {
            // Looked at in each round: `make_room` runs drops, which are user code and may push, here or elsewhere.
            if run.route.get() != route.number {
                run.route.set(route.number);
                run.room.set(u64::MAX);
                route.take_turn(run, shards);
            } else if run.left.get() == 0 {
                route.take_turn(run, shards);
            }
            run.limit.set(NO_LIMIT);
            let number = run.shard.get();
            let shard = &shards[number];
            let claimed = shard.claimed_word();
            if claimed.is_closed() {
                return Err(NoClaim::Closed);
            }
            if claimed.is_parked() {
                // Not with a claim in hand: waking another thread may cost this one its core.
                if shard.take_parked_mark() && !planted(Fault::ClaimWithoutWake) {
                    wakeups.wake();
                }
                continue;
            }
            let (next, limit) = (claimed.sequence(), shard.limit());
            // The run ends where another slot serves a place than its own; that one it claims alone. Which slot serves a place is
            // settled before the limit lets its sequence be claimed.
            let place = shard.slots.place(next);
            let own = shard.slots.own_slot_run(place, limit.saturating_sub(next));
            let limit = limit.min(next + own.max(1));
            let count = wanted.min(run.left.get()).min(limit.saturating_sub(next));
            let count = if count == 0 { 0 } else { admission.try_reserve(shard.byte_budget.as_ref(), count) };
            if count == 0 {
                if !make_room(number) {
                    full += 1;
                    if run.route.get() != route.number {
                        // User code in there has pushed to another store.
                        continue;
                    }
                    // By the circle, not by turns: others take turns too, and then it might not come to every shard.
                    run.shard.set(if number + 1 == route.shards.end { route.shards.start } else { number + 1 });
                    run.left.set(route.run);
                }
                continue;
            }
            // What orders stamps against claims is in the module's text.
            // Release pairs with the Acquire in `stamps_given`. If this comes first, whoever looks there sees all that this thread
            // has published before, and may count this run in; if the look comes first, this run's stamp is not below what it
            // found, and the run is left out.
            let stamp = self.stamps.fetch_add(1, weaken(Ordering::Release, Fault::StampRelaxed));
            // Not after the claim: if this thread slept in between, another slot might serve the place by then.
            let slot = shard.slots.slot(place);
            if shard.claim(next, count) {
                run.next.set(next);
                run.slot.set(slot);
                run.limit.set(limit);
                run.room.set(limit - next);
                run.stamp.set(stamp);
                run.tick.set(tick);
                return Ok(run.take(count, shard));
            }
            admission.release(shard.byte_budget.as_ref(), count);
            full = 0;
        }
        if run.route.get() == route.number {
            // User code in `make_room` may have pushed here, before this went on to another shard.
            run.limit.set(NO_LIMIT);
        }
        Err(NoClaim::Full)
    }
}

impl Run {
    const fn none() -> Self {
        Self {
            route: Cell::new(0),
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

    /// What has just been claimed.
    #[inline(always)]
    fn take<T: Signal>(&self, count: u64, shard: &Shard<T>) -> Claim {
        let (first, slot) = (self.next.get(), self.slot.get());
        self.next.set(first + count);
        self.left.set(self.left.get() - count);
        self.slot.set(shard.slots.place_after(slot, count));
        Claim { shard: self.shard.get(), first, slot, count, stamp: self.stamp.get() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::engine::shard::{ByteBudget, NoBudget};
    use crate::signal::LogRecord;

    type Shards = Vec<Shard<LogRecord>>;

    const TICK: u64 = 0;

    /// Shards with so many slots each, and a way to them in runs of so many.
    fn ring(run: usize, slots: &[usize]) -> (Shards, Router) {
        let shards = slots.iter().map(|slots| Shard::new(slots - 1, 1, 0, None).unwrap()).collect();
        let route = ShardGroup::new(0..slots.len(), run, 1);
        (shards, Router::new(route, None))
    }

    /// As a push claims.
    fn claim(shards: &Shards, router: &Router, admission: &impl Admission) -> Result<Claim, NoClaim> {
        let here = router.claim(shards, Class::Rest, 1, admission, TICK);
        here.map_or_else(|| router.claim_slow(shards, Class::Rest, 1, admission, &Wakeups::new(), |_| false), Ok)
    }

    /// Takes a sequence of a shard itself, just before the producer does, so many times.
    struct Rival<'a>(&'a Shard<LogRecord>, Cell<u64>);

    impl Admission for Rival<'_> {
        fn try_reserve(&self, _: Option<&ByteBudget>, records: u64) -> u64 {
            if self.1.get() > 0 {
                self.1.set(self.1.get() - 1);
                assert!(self.0.claim(self.0.claimed(), 1));
            }
            records
        }

        fn release(&self, _: Option<&ByteBudget>, _: u64) {}
    }

    #[test]
    fn a_run_keeps_its_stamp_and_shards_fill_evenly() {
        let (shards, router) = ring(3, &[64, 64]);
        let claims: Vec<Claim> = (0..15).map(|_| claim(&shards, &router, &NoBudget).unwrap()).collect();
        let stamped: Vec<_> = claims.iter().map(|claim| (claim.shard, claim.stamp)).collect();
        let expected: Vec<_> = [0, 1, 0, 1, 0].into_iter().zip(0..).flat_map(|run| [run; 3]).collect();
        assert_eq!(stamped, expected);
        assert_eq!(router.stamps_given(), 5);
    }

    #[test]
    fn who_finds_no_room_tries_each_shard_twice() {
        let (shards, router) = ring(8, &[8, 8, 8]);
        shards.iter().for_each(|shard| assert!(shard.claim(0, 8)));
        let mut tried = Vec::new();
        let make_room = |shard| {
            tried.push(shard);
            false
        };
        let claim = router.claim_slow(&shards, Class::Rest, 1, &NoBudget, &Wakeups::new(), make_room);
        assert_eq!((claim.unwrap_err(), tried), (NoClaim::Full, vec![0, 1, 2, 0, 1, 2]));
    }

    #[test]
    fn who_is_not_alone_stays_with_a_new_stamp() {
        let (shards, router) = ring(4, &[64, 64]);
        let claims = |rivals| {
            let claim = claim(&shards, &router, &Rival(&shards[0], Cell::new(rivals))).unwrap();
            (claim.shard, claim.first, claim.stamp)
        };
        assert_eq!(claims(1), (0, 1, 1));
        // The fast way's failure takes no stamp, each later one does.
        assert_eq!(claims(3), (0, 5, 4));
        // Without a race, but somebody has been there since.
        assert!(shards[0].claim(6, 1));
        assert_eq!((claims(0), claims(0)), ((0, 7, 5), (0, 8, 5)));
        assert_eq!(claims(0), (1, 0, 6), "the run had four records");
    }

    #[test]
    fn a_shard_that_lacks_much_gets_some_runs_and_the_rest_is_forgiven() {
        let (shards, router) = ring(2, &[4_000, 4_000]);
        let run = || {
            let claims = [(); 2].map(|()| claim(&shards, &router, &NoBudget).unwrap().shard);
            assert_eq!(claims[0], claims[1]);
            claims[0]
        };
        assert!(shards[1].claim(0, 1_000));
        let runs: Vec<usize> = (0..12).map(|_| run()).collect();
        assert_eq!(runs, [0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1], "four more than its own");
        // The turn is that of shard 0, which now has a run and a half more than the other.
        assert!(shards[0].claim(shards[0].claimed(), 5));
        assert_eq!([run(), run(), run(), run()], [1, 1, 0, 1], "one more");
    }

    /// Threads that end after one push, and whose turns all fall to one shard.
    #[test]
    fn short_lives_starve_no_shard() {
        const RUN: usize = 4;
        for count in 2..=4 {
            let (shards, router) = ring(RUN, &vec![20_000; count]);
            let push = || assert!(claim(&shards, &router, &NoBudget).is_ok());
            for _ in 0..500 {
                (0..RUN * (count - 1)).for_each(|_| push());
                std::thread::scope(|scope| assert!(scope.spawn(push).join().is_ok()));
            }
            let claimed: Vec<u64> = shards.iter().map(Shard::claimed).collect();
            let [least, most] = [claimed.iter().min(), claimed.iter().max()].map(Option::unwrap);
            assert!(most - least <= (MOST_DEBT + 1) * RUN as u64, "{claimed:?}");
        }
    }

    #[test]
    fn a_claim_that_user_code_left_behind_is_not_gone_on_from_in_another_shard() {
        let (shards, router) = ring(8, &[8, 9]);
        assert!((0..17).all(|_| claim(&shards, &router, &NoBudget).is_ok()));
        let mut calls = 0;
        let inside = Cell::new(None);
        let make_room = |_| {
            calls += 1;
            // At the last try there is room in the smaller shard, and the record that is dropped there pushes.
            if calls == 4 {
                let owner = shards[0].try_lock_indexer().unwrap();
                owner.index.set_indexed(8);
                assert!(owner.evict(0, 8) && owner.reclaim(0, 8));
                inside.set(claim(&shards, &router, &NoBudget).ok());
            }
            false
        };
        let outside = router.claim_slow(&shards, Class::Rest, 1, &NoBudget, &Wakeups::new(), make_room);
        assert_eq!(outside.unwrap_err(), NoClaim::Full);
        let inside = inside.get().expect("there was room");
        assert_eq!((calls, inside.shard, inside.first), (4, 0, 8));
        // The run is on the larger shard now, whose next sequence has the number of the smaller one's, and no slot.
        assert_eq!((shards[0].claimed(), shards[1].claimed(), shards[1].limit()), (9, 9, 9));
        assert!(router.claim(&shards, Class::Rest, 1, &NoBudget, TICK).is_none());
    }

    #[test]
    fn a_thread_enters_once_in_a_tick_whatever_it_pushes() {
        let shards: Shards = (0..2).map(|_| Shard::new(63, 1, 0, None).unwrap()).collect();
        let route = |number| ShardGroup::new(number..number + 1, 2, 1);
        let router = Router::new(route(0), Some(route(1)));
        let wakeups = Wakeups::new();
        let claim = |class| router.claim_slow(&shards, class, 1, &NoBudget, &wakeups, |_| false).unwrap();
        let _ = (claim(Class::Rest), claim(Class::Picked), claim(Class::Rest));
        assert_eq!(wakeups.take_entered(), 1);
        wakeups.tick_on();
        let _ = (claim(Class::Picked), claim(Class::Rest));
        assert_eq!(wakeups.take_entered(), 1);
    }

    #[test]
    fn who_goes_to_the_other_class_has_a_new_stamp_there_and_back() {
        let shards: Shards = (0..2).map(|_| Shard::new(63, 1, 0, None).unwrap()).collect();
        let route = |number| ShardGroup::new(number..number + 1, 8, 1);
        let router = Router::new(route(0), Some(route(1)));
        let classes = [Class::Rest, Class::Rest, Class::Picked, Class::Picked, Class::Rest, Class::Rest, Class::Picked];
        let claims = classes.map(|class| {
            let here = router.claim(&shards, class, 1, &NoBudget, TICK);
            let anew = || router.claim_slow(&shards, class, 1, &NoBudget, &Wakeups::new(), |_| false).unwrap();
            let claim = here.unwrap_or_else(anew);
            (claim.shard, claim.stamp)
        });
        assert_eq!(claims, [(0, 0), (0, 0), (1, 1), (1, 1), (0, 2), (0, 2), (1, 3)]);
    }

    #[test]
    fn room_is_short_where_this_thread_has_found_it_so() {
        let shards: Shards = vec![Shard::new(8, 8, 0, None).unwrap()];
        let [router, other] = [(); 2].map(|()| Router::new(ShardGroup::new(0..1, 1, 8), None));
        let is_short = |router: &Router| router.is_short(&shards, Class::Rest);
        assert!(!is_short(&router), "it has not been here");
        let mut short = Vec::new();
        for _ in 0..16 {
            assert!(claim(&shards, &router, &NoBudget).is_ok());
            short.push(is_short(&router));
        }
        assert_eq!(short.iter().position(|&short| short), Some(13), "with less than half of the slack");
        assert!(!is_short(&other));
    }

    #[test]
    fn a_thread_has_places_for_the_runs_of_any_number_of_routes() {
        let shards: Shards = vec![Shard::new(63, 1, 0, None).unwrap()];
        for _ in 0..=REMEMBERED_RUNS * REMEMBERED_RUNS {
            let router = Router::new(ShardGroup::new(0..1, 8, 1), None);
            assert!(
                router.claim(&shards, Class::Rest, 1, &NoBudget, TICK).is_none(),
                "another's run is none of its own"
            );
            let _ = router.route(Class::Rest).run();
        }
    }
}
