//! A hook does not see records that were evicted before it was added. Evicted records that own
//! memory stay in their slots for a while, so that producers may drop them.
//! `src/engine/indexer/step.rs` tests that this costs no push its room.

use slipring::{Index, Key, Signal, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Clone)]
struct Boxed(Box<u64>);

impl Signal for Boxed {
    const NAME: &'static str = "boxed";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes = [Index::new("key", |boxed| Some(Key::Int(*boxed.0 % 9)))];

    fn timestamp(&self) -> u64 {
        0
    }
}

#[test]
fn a_hook_does_not_see_records_evicted_before_it_was_added() {
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
