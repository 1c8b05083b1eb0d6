//! (c) Notices: whatever producers, the indexer and an assister with the token do to each other, after the last push
//! everything gets indexed, every due eviction is applied, and a parked indexer wakes.
//!
//! The store has a thread, and the main thread sleeps until its hook has run: an indexer that sleeps through a notice is
//! a deadlock, one that gives a shard up spins until loom has had enough.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use slipring::{Builder, Store};
use slipring_loom_tests::{DEADLOCK, Record, assert_caught, assert_caught_at, explore};
use std::sync::Arc;

fn threaded(capacity: usize, slack: usize) -> Builder<Record> {
    Store::builder().capacity(capacity).shards(1).slack(slack)
}

/// Makes the store's hook count evictions, and gives the wait for so many of them.
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
fn the_last_notice_is_not_lost() {
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
fn a_shard_whose_token_is_taken_is_not_given_up() {
    explore("refused", 1, || {
        let store = threaded(1, 2).build().unwrap();
        let wait_for = evictions(&store);
        store.push(Record::new(1, 0)).unwrap();
        store.push(Record::new(2, 0)).unwrap();
        // Takes the token, indexes and evicts, and leaves the reclaim, which runs the hook, to the indexer.
        store.step();
        wait_for(1);
        store.shutdown().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught("ClaimWithoutWake", "the_last_notice_is_not_lost", DEADLOCK);
    assert_caught_at(2, "ParkWithoutLook", "the_last_notice_is_not_lost", DEADLOCK);
}
