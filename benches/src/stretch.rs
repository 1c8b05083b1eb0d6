//! For benches that repeat one operation in one thread: full stores, and work that is timed without
//! the making of what it takes.

use slipring::{Signal, Store};
use std::time::{Duration, Instant};

/// A store of this capacity that is full, indexed and evicting.
pub fn full<T: Signal>(capacity: usize, records: &mut impl Iterator<Item = T>) -> Store<T> {
    let store = Store::builder().capacity(capacity).build().expect("the capacity is a fair one");
    (&store).extend(records.take(2 * capacity));
    store.flush().expect("nobody is inside a hook");
    store
}

/// How long `work` takes for this many inputs, stretch by stretch; making the inputs of each
/// stretch is not timed.
///
/// A stretch should be so short that its inputs are still in the cache, and so long that reading
/// the clock costs nothing beside it.
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
