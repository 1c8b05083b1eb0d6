//! A clear concurrent with a push and a lookup. Records that were there before are gone at once for
//! the clearing thread, no record is counted twice, and the indexer is woken.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use slipring::Store;
use slipring::error::GetError;
use slipring_loom_tests::{
    DEADLOCK, Record, assert_caught, assert_caught_at, explore, lookup, small,
};
use std::sync::Arc;

#[test]
fn cleared_records_are_gone_at_once() {
    explore("clear", 1, || {
        let store = small(2, 1).build().unwrap();
        let before = store.push(Record::new(1, 0)).unwrap();
        store.flush().unwrap();
        let producer = {
            let store = store.clone();
            thread::spawn(move || store.push(Record::new(1, 1)).unwrap())
        };
        let reader = {
            let store = store.clone();
            thread::spawn(move || {
                let found = lookup(&store, 1);
                assert!(found.is_sorted_by(|a, b| a > b), "{found:?}");
            })
        };
        store.clear();
        assert!(!lookup(&store, 1).contains(&0));
        assert_eq!(store.get(before).unwrap_err(), GetError::Cleared);
        producer.join().unwrap();
        reader.join().unwrap();
        store.flush().unwrap();
        store.audit().unwrap();
        let stats = store.stats();
        assert_eq!(stats.offered, stats.count + stats.evicted.total());
        assert_eq!(stats.count as usize, lookup(&store, 1).len());
        assert_eq!(stats.evicted.cleared, 2 - stats.count);
    });
}

#[test]
fn a_clear_wakes_the_indexer() {
    explore("clear, with a thread", 2, || {
        let store: Store<Record> = Store::builder().capacity(2).shards(1).slack(1).build().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let (seen, waiter) = (Arc::clone(&count), thread::current());
        store.on_evict(move |_, _, _| {
            seen.fetch_add(1, Ordering::Release);
            waiter.unpark();
        });
        store.push(Record::new(1, 0)).unwrap();
        store.clear();
        while count.load(Ordering::Acquire) == 0 {
            thread::park();
        }
        store.shutdown().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught("WatermarkIgnored", "cleared_records_are_gone_at_once", "contains(&0)");
    assert_caught_at(3, "ClearWithoutNotice", "a_clear_wakes_the_indexer", DEADLOCK);
}
