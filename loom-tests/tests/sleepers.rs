//! Whoever sleeps over a slot, or with a shard's token, stops nobody, and loses at most what it holds. The sleeper's work is
//! taken over at every point where it can be interrupted.

use loom::thread;
use slipring::{Store, WaitError};
use slipring_loom_tests::{LIVELOCK, Record, assert_caught, explore, lookup, small};
use std::time::Duration;

/// What loom says when a record is moved that somebody looks at.
const READING: &str = "currently reading from cell";

/// Nothing is lost or counted twice, and the indexes agree with what is held.
fn check(store: &Store<Record>, offered: u64) {
    store.flush().unwrap();
    store.audit().unwrap();
    let stats = store.stats();
    assert_eq!(stats.offered, offered);
    assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
}

#[test]
fn a_producer_that_sleeps_with_a_claim_is_passed_over() {
    explore("claims", 2, || {
        let store = small(1, 1).spare_slots(2).build().unwrap();
        let sleeper = {
            let store = store.clone();
            thread::spawn(move || {
                let _ = store.try_push(Record::new(1, 0));
            })
        };
        let mut accepted = 0;
        for number in 0..2 {
            // Whatever the other does, there is room, unless it holds the token.
            accepted += u32::from(store.try_push(Record::new(2, number)).is_ok());
            store.step();
        }
        assert!(accepted > 0);
        sleeper.join().unwrap();
        check(&store, 3);
        while store.step() {}
        assert_eq!(lookup(&store, 1).len() + lookup(&store, 2).len(), store.len());
    });
}

#[test]
fn a_reader_that_sleeps_keeps_its_record_while_the_ring_goes_on() {
    explore("visits", 2, || {
        let store = small(1, 1).spare_slots(1).build().unwrap();
        let first = store.push(Record::new(1, 0)).unwrap();
        let reader = {
            let store = store.clone();
            thread::spawn(move || {
                let _ = store.visit(first, |record| {
                    record.check();
                    thread::yield_now();
                    record.check();
                });
            })
        };
        for number in 1..4 {
            store.push(Record::new(2, number)).unwrap();
            store.step();
        }
        reader.join().unwrap();
        check(&store, 4);
    });
}

/// This thread takes a step. Another one takes the work over wherever this one stands.
#[test]
fn a_holder_that_sleeps_is_relieved() {
    explore("relief", 2, || {
        let store = small(1, 1).spare_slots(2).patience(Some(Duration::ZERO)).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.push(Record::new(1, 1)).unwrap();
        let other = {
            let store = store.clone();
            thread::spawn(move || {
                // The first finds that somebody has the token, the next that he does not get on.
                (0..3).for_each(|_| _ = store.step());
                u64::from(store.try_push(Record::new(1, 2)).is_ok())
            })
        };
        store.step();
        let found = lookup(&store, 1);
        assert!(found.is_sorted_by(|a, b| a > b), "twice or out of order: {found:?}");
        let newest = 1 + other.join().unwrap();
        store.flush().unwrap();
        store.audit().unwrap();
        assert_eq!(lookup(&store, 1), [newest]);
        check(&store, 3);
    });
}

#[test]
fn a_reader_is_not_misled_by_an_index_that_is_used_again() {
    explore("index used again", 1, || {
        let store = small(2, 1).spare_slots(2).patience(Some(Duration::ZERO)).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.push(Record::new(2, 0)).unwrap();
        let worker = {
            let store = store.clone();
            thread::spawn(move || {
                store.step();
                let _ = store.try_push(Record::new(3, 0));
                store.step();
            })
        };
        store.step();
        store.step();
        let mut found = Vec::new();
        let report = store.query().key("key", 2_u64).for_each(|_, record| found.push(*record.body)).unwrap();
        assert!(found == [200] || report.cut || report.partial, "lost without a word: {found:?} {report:?}");
        worker.join().unwrap();
        check(&store, 3);
    });
}

#[test]
fn a_store_ends_while_a_reader_looks_at_its_record() {
    explore("end", 2, || {
        let store = small(1, 1).spare_slots(1).build().unwrap();
        let first = store.push(Record::new(1, 0)).unwrap();
        let reader = {
            let store = store.clone();
            thread::spawn(move || {
                let _ = store.visit(first, |record| {
                    record.check();
                    assert_eq!(store.shutdown(), Err(WaitError::Reentrant));
                    record.check();
                });
            })
        };
        store.push(Record::new(1, 1)).unwrap();
        store.shutdown().unwrap();
        assert!(store.is_empty() && store.push(Record::new(1, 2)).is_err());
        reader.join().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught("TakenTwice", "a_holder_that_sleeps_is_relieved", "double free");
    assert_caught("CursorsNotAdopted", "a_holder_that_sleeps_is_relieved", LIVELOCK);
    assert_caught("PinsNotScanned", "a_reader_that_sleeps_keeps_its_record_while_the_ring_goes_on", READING);
    assert_caught("PassedOverTooSoon", "a_producer_that_sleeps_with_a_claim_is_passed_over", "left == right");
}
