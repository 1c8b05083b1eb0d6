//! Routing: which shard a producer pushes to, and with which stamp.
//!
//! A producer stays on one shard for a run of pushes. Then it looks at one other shard, the next one each time, and goes
//! there if that one has fallen behind: by a run if it is at home there, by some runs if another is. So all shards fill
//! evenly, to within some runs, and all of the capacity serves even a single producer; while several keep to shards of
//! their own, whose lines stay with their cores, and the faster ones help out in the others'. A producer leaves a shard
//! early at the first sign of another one there; after a full circle of such failures it stays where it is. A full shard
//! it first tries to make room in; only if that fails it goes on, to shards of its own first.
//!
//! A run carries a **stamp** from one store-wide counter. Arrival order is (stamp, sequence). Within a shard stamps never
//! fall as sequences rise: a producer reads `claimed` first, takes its stamp then, and claims only if `claimed` has not
//! moved; so whoever claimed before it took a smaller stamp before. A run also takes a new stamp at each tick of the
//! indexer, so that a thread that pushes rarely is not filed under the time of its first push.
//!
//! Shards may belong to two **classes**, each with routes of its own. All have the same counter, and who goes from one class to the
//! other ends its run there, so that each thread's records keep their order.

use super::shard::Shard;
use super::share::Need;
use crate::notice::Notices;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::{AtomicU64, CachePadded, Count, Ordering, per_thread};
use std::cell::Cell;
use std::ops::Range;

/// The longest run. What is pushed together stays together, traces above all: their spans then have one entry in one
/// shard's index, not one in each.
pub(crate) const MAX_RUN: usize = if cfg!(loom) { 2 } else { 256 };

/// Runs by which another's shard must have fallen behind before a producer helps out there, in shards of some size.
const HELP_AFTER: u64 = 4;

/// Routes whose runs one thread remembers at a time: of those whose numbers are equal modulo this, the one that it took last.
const REMEMBERED: usize = 16;

/// A thread's run on one route. Fields are set one by one, so that a push touches only those that change.
struct Run {
    /// 0: none.
    route: Cell<u64>,
    /// Who this is to the route: see [`Home`](super::home::Home).
    producer: Cell<u64>,
    shard: Cell<usize>,
    /// Whether it has come to the shard and not yet claimed there.
    arriving: Cell<bool>,
    /// The shard that it looked at last, when a run ended.
    look: Cell<usize>,
    /// Records left until then.
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
}

/// Why nothing was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoClaim {
    /// No shard has room, and none could be made.
    Full,
    /// The store is closed.
    Closed,
}

/// Which shards a record may go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Class {
    #[default]
    Rest,
    /// What the builder's predicate has picked.
    Picked,
}

/// A store's routing: the counter of stamps, and a route for each class.
#[derive(Debug)]
pub(crate) struct Router {
    rest: Route,
    picked: Option<Route>,
    stamps: CachePadded<AtomicU64>,
}

/// The way to the shards of a class.
#[derive(Debug)]
pub(crate) struct Route {
    /// Unique in the process.
    number: u64,
    shards: Range<usize>,
    run: u64,
    /// Records by which a shard must have fallen behind: see [`HELP_AFTER`].
    help_after: u64,
    /// With less room than this in a shard, the indexer is woken from its nap.
    hurry_below: u64,
    /// Where threads begin.
    entrances: CachePadded<Count>,
}

impl Route {
    /// To these shards; `run` is how many records a producer pushes to one before it looks at another, `capacity` how many each
    /// keeps, `slack` for how many it has room beside.
    pub(crate) fn new(shards: Range<usize>, run: usize, capacity: usize, slack: usize) -> Self {
        static ROUTES: Count = Count::new();
        let run = run as u64;
        Self {
            number: ROUTES.next() + 1,
            shards,
            run,
            help_after: run * (capacity as u64 / 8 / run).clamp(1, HELP_AFTER),
            hurry_below: slack as u64 / 2,
            entrances: CachePadded::new(Count::default()),
        }
    }

    /// This thread's run here, or on a route that shares its place.
    #[inline(always)]
    fn run(&self) -> &Run {
        let runs: *const [Run; REMEMBERED] = RUNS.with(std::ptr::from_ref);
        // SAFETY: a thread-local without a destructor lives as long as its thread, which is here; and `Run` is not `Sync`, so
        // the reference stays here. Going on inside `with` would take the push's words through memory.
        unsafe { &(&*runs)[self.number as usize % REMEMBERED] }
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
    pub(crate) fn new(rest: Route, picked: Option<Route>) -> Self {
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
    fn route(&self, class: Class) -> &Route {
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
        need: &impl Need<T>,
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
        let count = need.take(shard, count);
        if count == 0 {
            return None;
        }
        if !shard.claim(next, count) {
            need.give_back(shard, count);
            return None;
        }
        self.end_other_run(class);
        Some(run.take(count, shard))
    }

    /// The same with a new stamp, and on another shard where that is called for. Lock-free while some shard has room.
    /// `make_room` is called with the number of a full shard and says whether it got anywhere.
    #[cold]
    #[inline(never)]
    pub(crate) fn claim_anew<T: Signal>(
        &self,
        shards: &[Shard<T>],
        class: Class,
        wanted: u64,
        need: &impl Need<T>,
        notices: &Notices,
        make_room: impl FnMut(usize) -> bool,
    ) -> Result<Claim, NoClaim> {
        let (route, tick) = (self.route(class), notices.tick());
        // Each thread once, whatever classes it pushes to.
        let has_entered = |route: &Route| route.run().route.get() == route.number && route.run().tick.get() == tick;
        if !has_entered(&self.rest) && !self.picked.as_ref().is_some_and(has_entered) {
            notices.enter();
        }
        let claim = self.claim_on_new_run(shards, route, wanted, need, notices, make_room);
        if claim.is_ok() {
            self.end_other_run(class);
        }
        claim
    }

    fn claim_on_new_run<T: Signal>(
        &self,
        shards: &[Shard<T>],
        route: &Route,
        wanted: u64,
        need: &impl Need<T>,
        notices: &Notices,
        mut make_room: impl FnMut(usize) -> bool,
    ) -> Result<Claim, NoClaim> {
        let (run, tick) = (route.run(), notices.tick());
        if run.route.get() == route.number && run.is_disturbed(&shards[run.shard.get()]) {
            run.move_on(shards, route, Whose::Own);
        }
        let (mut full, mut contended) = (0, 0);
        let count_of_shards = route.shards.len();
        while full < 2 * count_of_shards {
            // Looked at in each round: `make_room` runs drops, which are user code and may push, here or elsewhere.
            if run.route.get() != route.number {
                let number = route.entrances.next();
                run.route.set(route.number);
                run.producer.set(number + 1);
                run.room.set(u64::MAX);
                run.arrive(route.shards.start + number as usize % count_of_shards);
                run.look.set(run.shard.get());
                run.left.set(route.run);
            } else if run.left.get() == 0 {
                run.go_on(shards, route);
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
                    notices.wake();
                }
                continue;
            }
            let (next, limit) = (claimed.sequence(), shard.limit());
            // The run ends where another slot serves a place than its own; that one it claims alone. Which slot serves a place is
            // settled before the limit lets its sequence be claimed.
            let place = shard.slots.place(next);
            let own = shard.slots.own_from(place, limit.saturating_sub(next));
            let limit = limit.min(next + own.max(1));
            let count = wanted.min(run.left.get()).min(limit.saturating_sub(next));
            let count = if count == 0 { 0 } else { need.take(shard, count) };
            if count == 0 {
                if !make_room(number) {
                    full += 1;
                    if run.route.get() != route.number {
                        // User code in there has pushed to another store.
                        continue;
                    }
                    run.move_on(shards, route, if full < count_of_shards { Whose::Own } else { Whose::Any });
                }
                continue;
            }
            // What orders stamps against claims is in the module's text.
            // Release pairs with the Acquire in `stamps_given`. If this comes first, whoever looks there sees all that this thread
            // has published before, and may count this run in; if the look comes first, this run's stamp is not below what it
            // found, and the run is left out.
            let stamp = self.stamps.fetch_add(1, weaken(Ordering::Release, Fault::StampRelaxed));
            if shard.claim(next, count) {
                if run.arriving.replace(false) {
                    shard.home.enter(run.producer.get());
                } else {
                    shard.home.stay(run.producer.get());
                }
                run.next.set(next);
                run.slot.set(shard.slots.slot(place));
                run.limit.set(limit);
                run.room.set(limit - next);
                run.stamp.set(stamp);
                run.tick.set(tick);
                return Ok(run.take(count, shard));
            }
            need.give_back(shard, count);
            contended += 1;
            full = 0;
            if contended < count_of_shards {
                run.move_on(shards, route, Whose::Any);
            }
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
            producer: Cell::new(0),
            arriving: Cell::new(false),
            shard: Cell::new(0),
            look: Cell::new(0),
            left: Cell::new(0),
            next: Cell::new(0),
            slot: Cell::new(0),
            limit: Cell::new(NO_LIMIT),
            room: Cell::new(u64::MAX),
            stamp: Cell::new(0),
            tick: Cell::new(0),
        }
    }

    /// Whether somebody else has claimed in the run's shard since.
    fn is_disturbed<T: Signal>(&self, shard: &Shard<T>) -> bool {
        self.limit.get() != NO_LIMIT && shard.claimed() != self.next.get()
    }

    /// What has just been claimed.
    #[inline(always)]
    fn take<T: Signal>(&self, count: u64, shard: &Shard<T>) -> Claim {
        let (first, slot) = (self.next.get(), self.slot.get());
        self.next.set(first + count);
        self.left.set(self.left.get() - count);
        self.slot.set(shard.slots.forth(slot, count));
        Claim { shard: self.shard.get(), first, slot, count, stamp: self.stamp.get() }
    }

    /// Ends a run and begins the next: where it is, unless the other shard that it looks at, another one each time, has
    /// fallen behind.
    fn go_on<T: Signal>(&self, shards: &[Shard<T>], route: &Route) {
        let here = self.shard.get();
        let next = |shard| if shard + 1 == route.shards.end { route.shards.start } else { shard + 1 };
        let other = Some(next(self.look.get())).filter(|&other| other != here).unwrap_or(next(here));
        self.look.set(other);
        let behind = if shards[other].home.welcomes(self.producer.get()) { route.run } else { route.help_after };
        if shards[other].claimed() + behind <= shards[here].claimed() {
            self.arrive(other);
        }
        self.left.set(route.run);
    }

    /// Goes to the next of these shards; to the next of all if there is no other.
    fn move_on<T: Signal>(&self, shards: &[Shard<T>], route: &Route, whose: Whose) {
        let here = self.shard.get();
        let mut others = (here + 1..route.shards.end).chain(route.shards.start..here);
        let next = others.clone().next();
        let own = |&other: &usize| whose == Whose::Any || shards[other].home.welcomes(self.producer.get());
        if let Some(next) = others.find(own).or(next) {
            self.arrive(next);
        }
        self.left.set(route.run);
    }

    fn arrive(&self, shard: usize) {
        self.shard.set(shard);
        self.arriving.set(true);
    }
}

/// Which shards a producer considers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Those where it is at home.
    Own,
    Any,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::OnlySlots;
    use super::*;
    use crate::signal::LogRecord;

    type Shards = Vec<Shard<LogRecord>>;

    const TICK: u64 = 0;

    /// Shards with so many slots each, and a way to them in runs of so many.
    fn ring(run: usize, slots: &[usize]) -> (Shards, Router) {
        let shards = slots.iter().map(|slots| Shard::new(slots - 1, 1, 0, None).unwrap()).collect();
        let route = Route::new(0..slots.len(), run, slots[0] - 1, 1);
        (shards, Router::new(route, None))
    }

    /// As a push claims.
    fn claim(shards: &Shards, router: &Router, need: &impl Need<LogRecord>) -> Result<Claim, NoClaim> {
        let here = router.claim(shards, Class::Rest, 1, need, TICK);
        here.map_or_else(|| router.claim_anew(shards, Class::Rest, 1, need, &Notices::new(), |_| false), Ok)
    }

    /// Takes a sequence itself, just before the producer does, so many times.
    struct Rival(Cell<u64>);

    impl Need<LogRecord> for Rival {
        fn take(&self, shard: &Shard<LogRecord>, records: u64) -> u64 {
            if self.0.get() > 0 {
                self.0.set(self.0.get() - 1);
                assert!(shard.claim(shard.claimed(), 1));
            }
            records
        }

        fn give_back(&self, _: &Shard<LogRecord>, _: u64) {}
    }

    #[test]
    fn a_run_keeps_its_stamp_and_shards_fill_evenly() {
        let (shards, router) = ring(3, &[64, 64]);
        let claims: Vec<Claim> = (0..15).map(|_| claim(&shards, &router, &OnlySlots).unwrap()).collect();
        let stamped: Vec<_> = claims.iter().map(|claim| (claim.shard, claim.stamp)).collect();
        let expected: Vec<_> = [0, 1, 1, 0, 0].into_iter().zip(0..).flat_map(|run| [run; 3]).collect();
        assert_eq!(stamped, expected, "it helps out where a run is missing, and stays where none is");
        assert_eq!(router.stamps_given(), 5);
        assert!(!shards[0].home.welcomes(2), "it is at home where it came to");
    }

    #[test]
    fn who_finds_no_room_tries_shards_of_its_own_first_and_then_all() {
        let (shards, router) = ring(8, &[8, 8, 8]);
        shards.iter().for_each(|shard| assert!(shard.claim(0, 8)));
        shards[1].home.enter(99);
        let mut tried = Vec::new();
        let make_room = |shard| {
            tried.push(shard);
            false
        };
        let claim = router.claim_anew(&shards, Class::Rest, 1, &OnlySlots, &Notices::new(), make_room);
        assert_eq!((claim.unwrap_err(), tried), (NoClaim::Full, vec![0, 2, 0, 1, 2, 0]));
    }

    #[test]
    fn who_is_not_alone_goes_elsewhere_but_not_in_circles() {
        let (shards, router) = ring(3, &[64, 64]);
        let claims = |rivals| {
            let claim = claim(&shards, &router, &Rival(Cell::new(rivals))).unwrap();
            (claim.shard, [shards[0].claimed(), shards[1].claimed()])
        };
        assert_eq!(claims(1), (1, [1, 1]), "once: to the other shard");
        // On the run that has begun there, then on either shard, and then no further.
        assert_eq!(claims(3), (1, [2, 4]));
        // Without a race, but somebody has been there since.
        assert!(shards[1].claim(4, 1));
        assert_eq!(claims(0), (0, [3, 5]));
    }

    #[test]
    fn a_claim_that_user_code_left_behind_is_not_gone_on_from_in_another_shard() {
        let (shards, router) = ring(8, &[8, 9]);
        assert!((0..17).all(|_| claim(&shards, &router, &OnlySlots).is_ok()));
        let mut calls = 0;
        let inside = Cell::new(None);
        let make_room = |_| {
            calls += 1;
            // At the last try there is room in the smaller shard, and the record that is dropped there pushes.
            if calls == 4 {
                let owner = shards[0].try_own().unwrap();
                owner.index.set_indexed(8);
                assert!(owner.evict(0, 8) && owner.reclaim(0, 8));
                inside.set(claim(&shards, &router, &OnlySlots).ok());
            }
            false
        };
        let outside = router.claim_anew(&shards, Class::Rest, 1, &OnlySlots, &Notices::new(), make_room);
        assert_eq!(outside.unwrap_err(), NoClaim::Full);
        let inside = inside.get().expect("there was room");
        assert_eq!((calls, inside.shard, inside.first), (4, 0, 8));
        // The run is on the larger shard now, whose next sequence has the number of the smaller one's, and no slot.
        assert_eq!((shards[0].claimed(), shards[1].claimed(), shards[1].limit()), (9, 9, 9));
        assert!(router.claim(&shards, Class::Rest, 1, &OnlySlots, TICK).is_none());
    }

    #[test]
    fn a_thread_enters_once_in_a_tick_whatever_it_pushes() {
        let shards: Shards = (0..2).map(|_| Shard::new(63, 1, 0, None).unwrap()).collect();
        let route = |number| Route::new(number..number + 1, 2, 63, 1);
        let router = Router::new(route(0), Some(route(1)));
        let notices = Notices::new();
        let claim = |class| router.claim_anew(&shards, class, 1, &OnlySlots, &notices, |_| false).unwrap();
        let _ = (claim(Class::Rest), claim(Class::Picked), claim(Class::Rest));
        assert_eq!(notices.take_entered(), 1);
        notices.tick_on();
        let _ = (claim(Class::Picked), claim(Class::Rest));
        assert_eq!(notices.take_entered(), 1);
    }

    #[test]
    fn who_goes_to_the_other_class_has_a_new_stamp_there_and_back() {
        let shards: Shards = (0..2).map(|_| Shard::new(63, 1, 0, None).unwrap()).collect();
        let route = |number| Route::new(number..number + 1, 8, 63, 1);
        let router = Router::new(route(0), Some(route(1)));
        let classes = [Class::Rest, Class::Rest, Class::Picked, Class::Picked, Class::Rest, Class::Rest, Class::Picked];
        let claims = classes.map(|class| {
            let here = router.claim(&shards, class, 1, &OnlySlots, TICK);
            let anew = || router.claim_anew(&shards, class, 1, &OnlySlots, &Notices::new(), |_| false).unwrap();
            let claim = here.unwrap_or_else(anew);
            (claim.shard, claim.stamp)
        });
        assert_eq!(claims, [(0, 0), (0, 0), (1, 1), (1, 1), (0, 2), (0, 2), (1, 3)]);
    }

    #[test]
    fn room_is_short_where_this_thread_has_found_it_so() {
        let shards: Shards = vec![Shard::new(8, 8, 0, None).unwrap()];
        let [router, other] = [(); 2].map(|()| Router::new(Route::new(0..1, 1, 8, 8), None));
        let is_short = |router: &Router| router.is_short(&shards, Class::Rest);
        assert!(!is_short(&router), "it has not been here");
        let mut short = Vec::new();
        for _ in 0..16 {
            assert!(claim(&shards, &router, &OnlySlots).is_ok());
            short.push(is_short(&router));
        }
        assert_eq!(short.iter().position(|&short| short), Some(13), "with less than half of the slack");
        assert!(!is_short(&other));
    }

    #[test]
    fn a_thread_has_places_for_the_runs_of_any_number_of_routes() {
        let shards: Shards = vec![Shard::new(63, 1, 0, None).unwrap()];
        for _ in 0..=REMEMBERED * REMEMBERED {
            let router = Router::new(Route::new(0..1, 8, 63, 1), None);
            assert!(
                router.claim(&shards, Class::Rest, 1, &OnlySlots, TICK).is_none(),
                "another's run is none of its own"
            );
            let _ = router.route(Class::Rest).run();
        }
    }
}
