//! What the benches share: full stores, and pushes timed without the making of what is pushed.

use slipring::{Signal, Store};
use std::time::{Duration, Instant};

/// Records made before each timed stretch: few enough to be in the cache, as a producer's own records are, and many
/// enough that reading the clock costs nothing beside pushing them.
const STRETCH: usize = 1_000;

/// A store of this capacity that is full, indexed and evicting.
pub fn full<T: Signal>(capacity: usize, records: &mut impl Iterator<Item = T>) -> Store<T> {
    let store = Store::builder().capacity(capacity).build().expect("the capacity is a fair one");
    (&store).extend(records.take(2 * capacity));
    store.flush().expect("nobody is inside a hook");
    store
}

/// How long it takes to push this many records one at a time.
pub fn push<T: Signal>(store: &Store<T>, records: &mut impl Iterator<Item = T>, count: u64) -> Duration {
    let mut left = count as usize;
    let mut spent = Duration::ZERO;
    while left > 0 {
        let stretch: Vec<T> = records.take(left.min(STRETCH)).collect();
        left -= stretch.len();
        spent += timed(store, || {
            for record in stretch {
                store.push(record).expect("a store that waits refuses nothing");
            }
        });
    }
    spent
}

/// How long it takes to push this many batches of `size` records.
pub fn push_batches<T: Signal>(
    store: &Store<T>,
    records: &mut impl Iterator<Item = T>,
    size: usize,
    count: u64,
) -> Duration {
    let mut left = count as usize;
    let mut spent = Duration::ZERO;
    while left > 0 {
        let stretch: Vec<Vec<T>> =
            (0..left.min(STRETCH / size)).map(|_| records.take(size).collect()).collect();
        left -= stretch.len();
        spent += timed(store, || {
            for batch in stretch {
                store.push_batch(batch).expect("a store that waits refuses nothing");
            }
        });
    }
    spent
}

fn timed<T: Signal>(store: &Store<T>, pushes: impl FnOnce()) -> Duration {
    let started = Instant::now();
    pushes();
    if std::env::var_os("FLUSH").is_some() {
    store.flush().expect("nobody is inside a hook");
    }
    started.elapsed()
}
