//! Helpers for benches that repeat one operation in one thread: full stores, and timed work whose
//! inputs are created untimed.

use slipring::{Signal, Store};
use std::time::{Duration, Instant};

/// Creates a store of this capacity that is full, indexed and evicting.
pub fn full<T: Signal>(capacity: usize, records: &mut impl Iterator<Item = T>) -> Store<T> {
    let store = Store::builder().capacity(capacity).build().expect("the capacity is valid");
    (&store).extend(records.take(2 * capacity));
    store.flush().expect("flush is not called inside a hook");
    store
}

/// Measures the time that `work` takes for `count` inputs. Creates the inputs in stretches of
/// `stretch`, and times only the work on each stretch.
///
/// A stretch should be short enough that its inputs are still in the cache, and long enough that
/// reading the clock costs nothing beside it.
pub fn timed<I>(
    count: u64,
    stretch: usize,
    mut make: impl FnMut() -> I,
    mut work: impl FnMut(Vec<I>),
) -> Duration {
    let mut left = count as usize;
    let mut spent = Duration::ZERO;
    while left > 0 {
        let inputs: Vec<I> = (0..left.min(stretch)).map(|_| make()).collect();
        left -= inputs.len();
        let started = Instant::now();
        work(inputs);
        spent += started.elapsed();
    }
    spent
}
