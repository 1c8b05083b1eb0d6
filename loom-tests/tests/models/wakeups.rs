//! Wake-ups of the indexer. However producers, the indexer and an assisting thread with the indexer
//! lock interleave, after the last push everything is indexed, every due eviction is applied, and a
//! parked indexer wakes.
//!
//! The store has a thread, and the main thread sleeps until its eviction hook has run. An indexer
//! that misses a wake-up is a deadlock. An indexer that gives a shard up spins until loom's branch
//! limit ends the model.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use slipring::{Store, StoreBuilder};
use slipring_loom_tests::{DEADLOCK, Record, assert_caught, assert_caught_at, explore};
use std::sync::Arc;

fn threaded(capacity: usize, slack: usize) -> StoreBuilder<Record> {
    Store::builder().capacity(capacity).shards(1).slack(slack)
}

/// Adds a hook that counts evictions, and returns a function that waits for a number of them.
fn evictions(store: &Store<Record>) -> impl Fn(usize) {
    let count = Arc::new(AtomicUsize::new(0));
    let (seen, waiter) = (Arc::clone(&count), thread::current());
    store.on_evict(move |_, record, _| {
        record.check();
        seen.fetch_add(1, Ordering::Release);
        waiter.unpark();
    });
    move |wanted| {
        while count.load(Ordering::Acquire) < wanted {
            thread::park();
        }
    }
}

#[test]
fn the_wakeup_after_the_last_push_is_not_lost() {
    explore("notices", 1, || {
        let store = threaded(1, 2).build().unwrap();
        let wait_for = evictions(&store);
        let producer = {
            let store = store.clone();
            thread::spawn(move || store.push(Record::new(2, 0)).unwrap())
        };
        store.push(Record::new(1, 0)).unwrap();
        wait_for(1);
        producer.join().unwrap();
        assert_eq!(store.len(), 1);
        assert_eq!(store.stats().evicted.capacity, 1);
        store.shutdown().unwrap();
    });
}

#[test]
fn a_shard_whose_indexer_lock_is_held_is_visited_again() {
    explore("refused", 1, || {
        let store = threaded(1, 2).build().unwrap();
        let wait_for = evictions(&store);
        store.push(Record::new(1, 0)).unwrap();
        store.push(Record::new(2, 0)).unwrap();
        // Takes the indexer lock, indexes and evicts, and leaves the reclaim, which runs the hook,
        // to the indexer's thread.
        store.step();
        wait_for(1);
        store.shutdown().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught("ClaimWithoutWake", "the_wakeup_after_the_last_push_is_not_lost", DEADLOCK);
    assert_caught_at(2, "ParkWithoutLook", "the_wakeup_after_the_last_push_is_not_lost", DEADLOCK);
}
