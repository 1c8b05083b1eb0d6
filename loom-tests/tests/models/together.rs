//! A producer, an indexer and a pinned reader at once; hooks and streams that are added while
//! records are evicted; producers that compete for bytes.

use loom::thread;
use slipring::store::EvictReason;
use slipring_loom_tests::{DEADLOCK, Record, assert_caught, explore, lookup, small};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn a_producer_an_indexer_and_a_reader_run_at_once() {
    explore("roles", 1, || {
        let store = small(1, 1).spare_slots(1).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.flush().unwrap();
        let producer = {
            let store = store.clone();
            thread::spawn(move || {
                let _ = store.try_push(Record::new(1, 1));
                let _ = store.try_push(Record::new(1, 2));
            })
        };
        let indexer = {
            let store = store.clone();
            thread::spawn(move || {
                store.step();
            })
        };
        let found = lookup(&store, 1);
        assert!(found.len() <= 1, "capacity is 1: {found:?}");
        producer.join().unwrap();
        indexer.join().unwrap();
        store.flush().unwrap();
        store.audit().unwrap();
    });
}

#[test]
fn a_hook_and_a_stream_are_added_during_evictions() {
    explore("hooks come", 2, || {
        let store = small(1, 2).build().unwrap();
        (0..2).for_each(|number| store.push(Record::new(1, number)).map(drop).unwrap());
        let stepper = {
            let store = store.clone();
            thread::spawn(move || {
                store.step();
            })
        };
        let seen = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&seen);
        store.on_evict(move |_, record, reason| {
            record.check();
            assert_eq!(reason, EvictReason::Capacity);
            count.fetch_add(1, Ordering::Relaxed);
        });
        let stream = store.evictions(4).unwrap();
        store.push(Record::new(1, 2)).unwrap();
        stepper.join().unwrap();
        while store.step() {}
        // The first record may have been evicted before the hook and the stream were added. The
        // second is evicted after.
        let streamed = std::iter::from_fn(|| stream.try_recv()).count();
        assert!((1..=2).contains(&seen.load(Ordering::Relaxed)) && (1..=2).contains(&streamed));
        assert_eq!(stream.missed(), 0);
        store.audit().unwrap();
    });
}

#[test]
fn producers_compete_for_bytes() {
    explore("bytes", 2, || {
        let size = size_of::<Record>();
        // The store keeps one record, and admits one more until the first has been dropped.
        let store = small(2, 2).max_bytes(2 * size).build().unwrap();
        let producers: Vec<_> = (1..=2)
            .map(|key| {
                let store = store.clone();
                thread::spawn(move || u64::from(store.try_push(Record::new(key, 0)).is_ok()))
            })
            .collect();
        let mut accepted = u64::from(store.try_push(Record::new(3, 0)).is_ok());
        store.step();
        accepted += producers.into_iter().map(|producer| producer.join().unwrap()).sum::<u64>();
        assert!(accepted > 0);
        store.flush().unwrap();
        while store.step() {}
        store.audit().unwrap();
        let stats = store.stats();
        assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
        // All bytes of the budget have been given back: there is room for one more record.
        store.clear();
        while store.step() {}
        store.push(Record::new(4, 0)).unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught("BytesNotGivenBack", "producers_compete_for_bytes", DEADLOCK);
}
