//! The background thread: it naps on a timer while there is traffic, parks when there is none, and ends with the store.
//!
//! Waking it for every record would take a producer's core for a scheduler slice each time, and answers do not lag
//! anyway; so it is woken early only when parked, or when a ring is nearly full.

use super::{Moved, Work};
use crate::engine::shard::Shard;
use crate::engine::state::Engine;
use crate::engine::tuning::{CROWDED_NAP, IDLE_NAPS, NAP, NAP_DOUBLINGS, ROUNDS};
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use crate::sync::thread;
use std::time::{Duration, Instant};

/// Runs until the store stops, and ends it.
pub(crate) fn run<T: Signal>(engine: &Engine<T>) {
    engine.wakeups.attach();
    let mut rounds = Rounds { idle: 0, pace: Pace::new(), hurried: false };
    until_stopped(engine, || rounds.next(engine));
    // As for a round. What the first try has done is not done again.
    let _ = engine.guarded(|| engine.finish()).or_else(|| engine.guarded(|| engine.finish()));
}

/// Takes round after round until the store stops. Foreign code is caught where it is called, so that no round should unwind; one
/// that does all the same is counted, and costs a nap that nobody cuts short, because the next may do the same.
fn until_stopped<T: Signal>(engine: &Engine<T>, mut round: impl FnMut()) {
    while !engine.is_stopping() {
        if engine.guarded(&mut round).is_none() {
            thread::sleep(nap_after(u32::MAX));
        }
    }
}

/// What the thread keeps from one round to the next.
struct Rounds {
    /// Rounds without work.
    idle: u32,
    pace: Pace,
    /// Whether the last nap was cut short.
    hurried: bool,
}

impl Rounds {
    /// Makes a pass, and naps or parks as is called for.
    fn next<T: Signal>(&mut self, engine: &Engine<T>) {
        engine.wakeups.tick_on();
        engine.age_out(Instant::now);
        if self.pace.leaves(engine) && !self.hurried {
            // Not idle, and nothing to do for it.
            self.idle = 0;
            self.hurried = engine.wakeups.nap(CROWDED_NAP);
            return;
        } else if pass(engine, self.idle > 0) {
            self.idle = 0;
            if engine.shares_too_much() {
                // Few records go at a time: on to the next.
                return;
            }
        } else {
            self.idle = self.idle.saturating_add(1);
        }
        if self.idle > IDLE_NAPS && park(engine) {
            return;
        }
        self.hurried = engine.wakeups.nap(nap_after(self.idle));
    }
}

/// Sleeps until there is something to do; false, and at once, if there is.
fn park<T: Signal>(engine: &Engine<T>) -> bool {
    engine.wakeups.begin_to_park();
    let marked = engine.shards.iter().all(Shard::mark_parked);
    // Not before the marks: see `Shard::take_parked_mark`.
    let settled = || !engine.is_stopping() && engine.shards.iter().all(|shard| engine.is_settled(shard));
    let parks = marked && (planted(Fault::ParkWithoutLook) || settled());
    if parks {
        engine.wakeups.park(engine.ages_next());
    }
    for shard in &engine.shards {
        shard.take_parked_mark();
    }
    parks
}

/// The nap after so many passes without work.
fn nap_after(idle: u32) -> Duration {
    NAP * (1 << idle.saturating_sub(IDLE_NAPS).min(NAP_DOUBLINGS))
}

/// Whether the indexer should take a core.
///
/// While producers keep all of them busy and fill the rings faster than naps pass, they do its work when they find a ring
/// full, and do it better: what they index is in their own core's caches, and a core that this thread took would be one
/// of theirs. The rings are full then, but what producers index stays close behind what they push.
struct Pace {
    cores: u64,
    claimed: u64,
}

impl Pace {
    fn new() -> Self {
        Self { cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64), claimed: 0 }
    }

    /// Whether to leave the work of this pass to producers. They see that it does.
    fn leaves<T: Signal>(&mut self, engine: &Engine<T>) -> bool {
        let claimed = engine.shards.iter().map(Shard::claimed).sum();
        let arrived = claimed - std::mem::replace(&mut self.claimed, claimed);
        let crowded = engine.wakeups.take_entered() >= self.cores
            && arrived >= engine.shards.iter().map(Shard::slack).sum::<u64>() / 4
            && engine.sinks.load().is_empty()
            // Producers evict for want of slots, not for what records share.
            && !engine.shares_too_much();
        engine.wakeups.set_crowded(crowded);
        crowded
    }
}

/// Works off every shard that is not settled; whether there was anything to do.
///
/// Records that take time to drop are dropped by producers as they push. This thread drops them if it had nothing to do in its last
/// pass, or if they take half of the slack.
fn pass<T: Signal>(engine: &Engine<T>, was_idle: bool) -> bool {
    let mut any = false;
    for round in 0..ROUNDS {
        let mut moved = false;
        // One step each in turn, so that a shard whose hooks take long does not keep the others waiting.
        for (number, shard) in engine.shards.iter().enumerate() {
            if !engine.is_settled(shard) {
                if round > 0 {
                    // Hooks may take long.
                    engine.age_out(Instant::now);
                }
                let drops = was_idle || engine.is_short_of_room(shard);
                moved |= engine.step(number, if drops { Work::ALL } else { Work::NO_DROPS }).is_some_and(Moved::any);
            }
        }
        if !moved {
            break;
        }
        any = true;
    }
    any
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::signal::LogRecord;
    use crate::store::Builder;
    use crate::{Resource, Scope, Source};

    #[test]
    fn work_is_left_to_producers_on_every_core_who_fill_the_rings() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(400).slack(40).shards(2).max_bytes(1 << 20));
        let enough = engine.shards.iter().map(Shard::slack).sum::<u64>() / 4;
        let mut pace = Pace { cores: 2, claimed: 0 };
        let mut leaves = |threads: u64, records| {
            engine.push_some(records);
            engine.wakeups.take_entered();
            (0..threads).for_each(|_| engine.wakeups.enter());
            let leaves = pace.leaves(&engine);
            assert_eq!(engine.wakeups.is_crowded(), leaves, "they are told");
            leaves
        };
        assert!(leaves(2, enough));
        assert!(!leaves(2, enough - 1), "what came before does not count again");
        assert!(!leaves(1, enough));
        assert!(leaves(3, enough));
        assert!(!leaves(2, 0));
        let large = Source::new(&Resource::new([("name", "x".repeat(2 << 20))]), &Scope::default());
        large.charge(&engine.ledger);
        assert!(!leaves(2, enough), "they do not evict for what records share");
        drop(large);
        assert!(leaves(2, enough));
        engine.hook();
        assert!(!leaves(2, enough), "hooks run on the indexer's thread");
    }

    #[test]
    fn naps_grow_while_something_holds_a_shard_up() {
        let naps = [0, 1, 16, 17, 18, 20, 21, 22, u32::MAX].map(|idle| nap_after(idle).as_micros());
        assert_eq!(naps, [500, 500, 500, 1_000, 2_000, 8_000, 16_000, 16_000, 16_000]);
    }

    #[test]
    fn a_round_that_unwinds_is_counted_and_others_follow() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(100).shards(1));
        let mut rounds = 0;
        until_stopped(&engine, || {
            rounds += 1;
            if rounds == 4 {
                engine.close();
            } else {
                std::panic::resume_unwind(Box::new("whatever it is"));
            }
        });
        assert_eq!((rounds, engine.caught_panics()), (4, 3));
    }

    #[test]
    fn a_pass_takes_rounds_until_nothing_moves() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(5_000).shards(1));
        engine.push_some(2_000);
        let pass = || pass(&engine, false);
        assert!(pass());
        assert_eq!(engine.shards[0].indexed(), 2_000);
        assert!(!pass());
    }

    #[test]
    fn records_are_dropped_when_there_is_nothing_else_to_do_or_little_room() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(100).slack(40).shards(1));
        let shard = &engine.shards[0];
        engine.push_some(110);
        assert!(pass(&engine, false));
        assert_eq!((shard.evicted(), shard.reclaimed()), (10, 0), "a producer may drop them");
        assert!(!pass(&engine, false) && pass(&engine, true));
        assert_eq!(shard.reclaimed(), 10);
        engine.push_some(20);
        assert!(pass(&engine, false));
        assert_eq!((shard.evicted(), shard.reclaimed()), (30, 30), "they take half of the slack");
    }

    #[test]
    fn without_traffic_it_parks_and_a_push_or_the_end_wakes_it() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(100).shards(1));
        let comes = |what: &dyn Fn() -> bool| {
            let given_up = Instant::now() + Duration::from_secs(60);
            while !what() && Instant::now() < given_up {
                std::thread::yield_now();
            }
            what()
        };
        std::thread::scope(|scope| {
            let indexer = scope.spawn(|| run(&engine));
            let parked = comes(&|| engine.shards[0].is_parked());
            engine.push_some(1);
            let indexed = comes(&|| engine.shards[0].indexed() == 1 && engine.shards[0].is_parked());
            engine.close();
            indexer.join().unwrap();
            assert!(parked && indexed);
        });
    }
}
