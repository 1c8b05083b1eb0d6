//! Unit tests of the module above.

use super::*;
use crate::engine::shard::{ByteBudget, NoBudget};
use crate::signal::LogRecord;

type Shards = Vec<Shard<LogRecord>>;

const TICK: u64 = 0;

/// Creates one shard for each entry of `slots`, with that many slots, and a router over them
/// with runs of `run` records.
fn ring(run: usize, slots: &[usize]) -> (Shards, Router) {
    let shards = slots.iter().map(|slots| Shard::new(slots - 1, 1, 0, None).unwrap()).collect();
    let group = ShardGroup::new(0..slots.len(), run, 1);
    (shards, Router::new(group, None))
}

/// Claims one sequence, as a push does.
fn claim(shards: &Shards, router: &Router, admission: &impl Admission) -> Result<Claim, NoClaim> {
    let here = router.claim(shards, Class::Rest, 1, admission, TICK);
    here.map_or_else(
        || router.claim_slow(shards, Class::Rest, 1, admission, &Wakeups::new(), |_| false),
        Ok,
    )
}

/// An admission that claims a sequence of the shard itself, just before the producer does. It
/// does so as often as its count says.
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
    assert_eq!(router.next_stamp(), 5);
}

#[test]
fn a_claim_that_finds_no_room_tries_each_shard_twice() {
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
fn a_producer_with_a_rival_stays_on_its_shard_with_a_new_stamp() {
    let (shards, router) = ring(4, &[64, 64]);
    let claims = |rivals| {
        let claim = claim(&shards, &router, &Rival(&shards[0], Cell::new(rivals))).unwrap();
        (claim.shard, claim.first, claim.stamp)
    };
    assert_eq!(claims(1), (0, 1, 1));
    // A failed claim on the fast path takes no stamp, each later attempt takes one.
    assert_eq!(claims(3), (0, 5, 4));
    // No race, but another producer has claimed since.
    assert!(shards[0].claim(6, 1));
    assert_eq!((claims(0), claims(0)), ((0, 7, 5), (0, 8, 5)));
    assert_eq!(claims(0), (1, 0, 6), "a run has four records");
}

#[test]
fn a_shard_that_lacks_much_gets_the_most_debt_in_runs_and_the_rest_is_forgiven() {
    let (shards, router) = ring(2, &[4_000, 4_000]);
    let run = || {
        let claims = [(); 2].map(|()| claim(&shards, &router, &NoBudget).unwrap().shard);
        assert_eq!(claims[0], claims[1]);
        claims[0]
    };
    assert!(shards[1].claim(0, 1_000));
    let runs: Vec<usize> = (0..12).map(|_| run()).collect();
    assert_eq!(runs, [0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1], "four runs more than its own turns");
    // It is the turn of shard 0, which now has one and a half runs more than shard 1.
    assert!(shards[0].claim(shards[0].claimed(), 5));
    assert_eq!([run(), run(), run(), run()], [1, 1, 0, 1], "one run more than its own turns");
}

/// Threads that end after one push, and whose turns all fall to one shard.
#[test]
fn threads_that_end_after_one_push_starve_no_shard() {
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
fn a_run_does_not_continue_in_another_shard_from_a_claim_made_inside_make_room() {
    let (shards, router) = ring(8, &[8, 9]);
    assert!((0..17).all(|_| claim(&shards, &router, &NoBudget).is_ok()));
    let mut calls = 0;
    let inside = Cell::new(None);
    let make_room = |_| {
        calls += 1;
        // At the last try the smaller shard gets room, and a record that is dropped there
        // pushes.
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
    let inside = inside.get().expect("the nested push finds room");
    assert_eq!((calls, inside.shard, inside.first), (4, 0, 8));
    // The run is on the larger shard now. Its next sequence equals the smaller shard's, and it
    // is at its limit.
    assert_eq!((shards[0].claimed(), shards[1].claimed(), shards[1].limit()), (9, 9, 9));
    assert!(router.claim(&shards, Class::Rest, 1, &NoBudget, TICK).is_none());
}

#[test]
fn changing_the_class_takes_a_new_stamp_in_each_direction() {
    let shards: Shards = (0..2).map(|_| Shard::new(63, 1, 0, None).unwrap()).collect();
    let group = |number| ShardGroup::new(number..number + 1, 8, 1);
    let router = Router::new(group(0), Some(group(1)));
    let classes = [
        Class::Rest,
        Class::Rest,
        Class::Picked,
        Class::Picked,
        Class::Rest,
        Class::Rest,
        Class::Picked,
    ];
    let claims = classes.map(|class| {
        let here = router.claim(&shards, class, 1, &NoBudget, TICK);
        let slow =
            || router.claim_slow(&shards, class, 1, &NoBudget, &Wakeups::new(), |_| false).unwrap();
        let claim = here.unwrap_or_else(slow);
        (claim.shard, claim.stamp)
    });
    assert_eq!(claims, [(0, 0), (0, 0), (1, 1), (1, 1), (0, 2), (0, 2), (1, 3)]);
}

#[test]
fn room_counts_as_short_only_if_this_thread_has_found_it_so() {
    let shards: Shards = vec![Shard::new(8, 8, 0, None).unwrap()];
    let [router, other] = [(); 2].map(|()| Router::new(ShardGroup::new(0..1, 1, 8), None));
    let is_short = |router: &Router| router.is_short(&shards, Class::Rest);
    assert!(!is_short(&router), "the thread has not pushed here yet");
    let mut short = Vec::new();
    for _ in 0..16 {
        assert!(claim(&shards, &router, &NoBudget).is_ok());
        short.push(is_short(&router));
    }
    assert_eq!(
        short.iter().position(|&short| short),
        Some(13),
        "less than half of the slack is left"
    );
    assert!(!is_short(&other));
}

#[test]
fn groups_that_share_a_place_do_not_use_each_others_runs() {
    let shards: Shards = vec![Shard::new(63, 1, 0, None).unwrap()];
    for _ in 0..=REMEMBERED_RUNS * REMEMBERED_RUNS {
        let router = Router::new(ShardGroup::new(0..1, 8, 1), None);
        assert!(
            router.claim(&shards, Class::Rest, 1, &NoBudget, TICK).is_none(),
            "the remembered run belongs to another group"
        );
        let _ = router.group(Class::Rest).run();
    }
}
