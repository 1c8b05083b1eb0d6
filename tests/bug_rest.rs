//! Records that own memory rest evicted for a while, so that producers may drop them: that must not show hooks what was evicted
//! before they came. (That it costs no push its room is tested in `src/engine/indexer/step.rs`.)

use slipring::{Key, Signal, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Clone)]
struct Boxed(Box<u64>);

impl Signal for Boxed {
    const NAME: &'static str = "boxed";
    type Indexes = [&'static str; 1];
    const INDEXES: Self::Indexes = ["key"];

    fn key(&self, _: usize) -> Option<Key<'_>> {
        Some(Key::Int(*self.0 % 9))
    }

    fn timestamp(&self) -> u64 {
        0
    }
}

#[test]
fn a_hook_sees_nothing_that_was_evicted_before() {
    let store: Store<Boxed> = Store::builder().capacity(100).shards(1).build().unwrap();
    for number in 0..120 {
        store.push(Boxed(Box::new(number))).map_err(|error| error.reason).unwrap();
    }
    store.flush().unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&seen);
    store.on_evict(move |_, _, _| _ = counted.fetch_add(1, Ordering::Relaxed));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(seen.load(Ordering::Relaxed), 0);
}
