//! The indexer thread: it naps on a timer while there is traffic, parks when there is none, and
//! ends with the store.
//!
//! To wake it for every record would take a producer's core for a scheduler slice each time.
//! Answers do not lag without that, because readers look through records that are not indexed. So
//! the thread is woken early only when it is parked, or when a ring is nearly full.

use super::{Moved, Work};
use crate::engine::shard::Shard;
use crate::engine::state::Engine;
use crate::engine::tuning::{IDLE_NAPS, NAP, NAP_DOUBLINGS, ROUNDS};
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use crate::sync::thread;
use std::time::{Duration, Instant};

/// Runs rounds until the store stops, then ends the store.
pub(crate) fn run<T: Signal>(engine: &Engine<T>) {
    engine.wakeups.attach();
    let mut rounds = Rounds { idle: 0 };
    run_until_stopped(engine, || rounds.next(engine));
    // A panic is caught as in a round. The second attempt does not repeat what the first has done.
    let _ = engine.guarded(|| engine.finish()).or_else(|| engine.guarded(|| engine.finish()));
}

/// Runs round after round until the store stops. User code's panics are caught where it is called,
/// so no round should unwind. If one does, the panic is counted, and the thread sleeps for the
/// longest nap, which nothing cuts short, because the next round may do the same.
fn run_until_stopped<T: Signal>(engine: &Engine<T>, mut round: impl FnMut()) {
    while !engine.is_stopping() {
        if engine.guarded(&mut round).is_none() {
            thread::sleep(nap_after(u32::MAX));
        }
    }
}

/// What the thread carries from one round to the next.
struct Rounds {
    /// Consecutive rounds without work.
    idle: u32,
}

impl Rounds {
    /// Makes a pass over the shards, then naps or parks.
    fn next<T: Signal>(&mut self, engine: &Engine<T>) {
        engine.wakeups.advance_tick();
        engine.age_out(Instant::now);
        if pass(engine, self.idle > 0) {
            self.idle = 0;
            if engine.shared_parts_over_limit() {
                // A step evicts only few records for shared parts, so the next round begins at
                // once.
                return;
            }
        } else {
            self.idle = self.idle.saturating_add(1);
        }
        if self.idle > IDLE_NAPS && park(engine) {
            return;
        }
        engine.wakeups.nap(nap_after(self.idle));
    }
}

/// Sleeps until there is something to do. If there is already, returns false at once.
fn park<T: Signal>(engine: &Engine<T>) -> bool {
    engine.wakeups.prepare_to_park();
    let marked = engine.shards.iter().all(Shard::mark_parked);
    // Look for work only after the marks are set: see `Shard::take_parked_mark`.
    let settled =
        || !engine.is_stopping() && engine.shards.iter().all(|shard| engine.is_settled(shard));
    let parks = marked && (planted(Fault::ParkWithoutLook) || settled());
    if parks {
        engine.wakeups.park(engine.next_age_deadline());
    }
    for shard in &engine.shards {
        shard.take_parked_mark();
    }
    parks
}

/// Returns the length of the nap after `idle` passes without work.
fn nap_after(idle: u32) -> Duration {
    NAP * (1 << idle.saturating_sub(IDLE_NAPS).min(NAP_DOUBLINGS))
}

/// Steps in every shard that is not settled. Returns whether there was anything to do.
///
/// Records that take time to drop are dropped by producers as they push. This thread drops them
/// only if it had nothing to do in its last pass, or if they take half of the slack.
fn pass<T: Signal>(engine: &Engine<T>, was_idle: bool) -> bool {
    let mut any_moved = false;
    for round in 0..ROUNDS {
        let mut moved = false;
        // One step for each shard in turn, so that a shard with slow hooks does not delay the
        // others.
        for (number, shard) in engine.shards.iter().enumerate() {
            if !engine.is_settled(shard) {
                if round > 0 {
                    // Hooks in the earlier rounds may have taken long.
                    engine.age_out(Instant::now);
                }
                let drops = was_idle || engine.is_short_of_room(shard);
                moved |= engine
                    .step(number, if drops { Work::ALL } else { Work::NO_DROPS })
                    .is_some_and(Moved::any);
            }
        }
        if !moved {
            break;
        }
        any_moved = true;
    }
    any_moved
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::signal::LogRecord;
    use crate::store::StoreBuilder;

    #[test]
    fn naps_grow_with_the_number_of_idle_passes() {
        let naps = [0, 1, 16, 17, 18, 20, 21, 22, u32::MAX].map(|idle| nap_after(idle).as_micros());
        assert_eq!(naps, [500, 500, 500, 1_000, 2_000, 8_000, 16_000, 16_000, 16_000]);
    }

    #[test]
    fn a_round_that_unwinds_is_counted_and_more_rounds_follow() {
        let engine = Engine::of(&StoreBuilder::<LogRecord>::new().capacity(100).shards(1));
        let mut rounds = 0;
        run_until_stopped(&engine, || {
            rounds += 1;
            if rounds == 4 {
                engine.close();
            } else {
                std::panic::resume_unwind(Box::new("a round unwinds"));
            }
        });
        assert_eq!((rounds, engine.caught_panics()), (4, 3));
    }

    #[test]
    fn a_pass_takes_rounds_until_nothing_moves() {
        let engine = Engine::of(&StoreBuilder::<LogRecord>::new().capacity(5_000).shards(1));
        engine.push_some(2_000);
        let pass = || pass(&engine, false);
        assert!(pass());
        assert_eq!(engine.shards[0].indexed(), 2_000);
        assert!(!pass());
    }

    #[test]
    fn the_thread_drops_records_when_it_was_idle_or_room_is_short() {
        let engine =
            Engine::of(&StoreBuilder::<LogRecord>::new().capacity(100).slack(40).shards(1));
        let shard = &engine.shards[0];
        engine.push_some(110);
        assert!(pass(&engine, false));
        assert_eq!(
            (shard.evicted(), shard.reclaimed()),
            (10, 0),
            "the drops are left to producers"
        );
        assert!(!pass(&engine, false) && pass(&engine, true));
        assert_eq!(shard.reclaimed(), 10);
        engine.push_some(20);
        assert!(pass(&engine, false));
        assert_eq!(
            (shard.evicted(), shard.reclaimed()),
            (30, 30),
            "they take half of the slack, so the thread drops them"
        );
    }

    #[test]
    fn the_thread_parks_without_traffic_and_a_push_or_the_end_wakes_it() {
        let engine = Engine::of(&StoreBuilder::<LogRecord>::new().capacity(100).shards(1));
        let happens = |condition: &dyn Fn() -> bool| {
            let deadline = Instant::now() + Duration::from_secs(60);
            while !condition() && Instant::now() < deadline {
                std::thread::yield_now();
            }
            condition()
        };
        std::thread::scope(|scope| {
            let indexer = scope.spawn(|| run(&engine));
            let parked = happens(&|| engine.shards[0].is_parked());
            engine.push_some(1);
            let indexed =
                happens(&|| engine.shards[0].indexed() == 1 && engine.shards[0].is_parked());
            engine.close();
            indexer.join().unwrap();
            assert!(parked && indexed);
        });
    }
}
