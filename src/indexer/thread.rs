//! The background thread: it naps on a timer while there is traffic, parks when there is none, and ends with the store.
//!
//! Waking it for every record would take a producer's core for a scheduler slice each time, and answers do not lag
//! anyway; so it is woken early only when parked, or when a ring is nearly full.

use super::{Moved, Role};
use crate::engine::Engine;
use crate::notice::Taken;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use std::time::Duration;

const NAP: Duration = Duration::from_micros(500);

/// Naps without work after which it parks: some milliseconds.
const IDLE_NAPS: u32 = if cfg!(loom) { 0 } else { 8 };

/// Rounds over the shards in one pass, that is, between two ticks of the coarse clock.
const ROUNDS: u32 = 16;

/// How often the nap doubles while something holds a shard up: a push that stalls, a reader that sleeps.
const LONGER_NAPS: u32 = 5;

/// Runs until the store stops.
pub(crate) fn run<T: Signal>(engine: &Engine<T>) {
    engine.notices.attach();
    let mut idle = 0;
    while !engine.is_stopping() {
        let taken = engine.notices.take();
        if pass(engine, taken) {
            idle = 0;
        } else {
            idle = u32::saturating_add(idle, 1);
        }
        if idle > IDLE_NAPS {
            let parked = engine.notices.park(|| !engine.is_stopping() && engine.shards.iter().all(|s| s.is_settled()));
            if parked {
                continue;
            }
        }
        engine.notices.nap(NAP * (1 << idle.saturating_sub(IDLE_NAPS).min(LONGER_NAPS)));
    }
    engine.finish();
}

/// Works off every shard that has sent a notice or is not settled; whether there was anything to do.
///
/// The cursors alone would do: a notice can be taken while somebody else holds the token and has looked past the end
/// already, or before the claim it stands for is seen. A shard that is not settled is looked at in every pass, so nothing
/// depends on who was refused what.
fn pass<T: Signal>(engine: &Engine<T>, taken: Taken) -> bool {
    let mut any = false;
    for round in 0..ROUNDS {
        let mut moved = false;
        // One step each in turn, so that a shard whose hooks take long does not keep the others waiting.
        for (number, shard) in engine.shards.iter().enumerate() {
            let named = round == 0 && taken.names(number);
            let overlooked = round == 0 && planted(Fault::NoticedOnly);
            if named || !(overlooked || shard.is_settled()) {
                moved |= engine.step(number, Role::Indexer).is_some_and(Moved::any);
            }
        }
        if !moved {
            break;
        }
        any = true;
    }
    any
}
