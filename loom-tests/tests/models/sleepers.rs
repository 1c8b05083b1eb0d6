//! A thread that stalls with a claimed or pinned slot, or with the indexer lock, stops no other
//! thread, and loses at most what it holds. Other threads take over from it at every point where it
//! can be interrupted.

use loom::thread;
use slipring::Store;
use slipring::error::WaitError;
use slipring_loom_tests::{Dropped, LIVELOCK, Record, assert_caught, explore, lookup, small};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What loom says when a record is moved while another thread reads it.
const READING: &str = "currently reading from cell";

/// Checks that nothing is lost or counted twice, and that the indexes agree with the records.
fn check(store: &Store<Record>, offered: u64) {
    store.flush().unwrap();
    store.audit().unwrap();
    let stats = store.stats();
    assert_eq!(stats.offered, offered);
    assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
}

#[test]
fn a_producer_that_stalls_with_a_claim_is_passed_over() {
    explore("claims", 2, || {
        let store = small(1, 1).spare_slots(2).build().unwrap();
        let stalled = {
            let store = store.clone();
            thread::spawn(move || {
                let _ = store.try_push(Record::new(1, 0));
            })
        };
        let mut accepted = 0;
        for number in 0..2 {
            // There is room whatever the other thread does, unless it holds the indexer lock.
            accepted += u32::from(store.try_push(Record::new(2, number)).is_ok());
            store.step();
        }
        assert!(accepted > 0);
        stalled.join().unwrap();
        check(&store, 3);
        while store.step() {}
        assert_eq!(lookup(&store, 1).len() + lookup(&store, 2).len(), store.len());
    });
}

#[test]
fn a_stalled_reader_keeps_its_record_while_the_ring_advances() {
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

/// This thread steps. Another thread takes over from it, wherever this one stands.
#[test]
fn another_thread_takes_over_from_a_stalled_lock_holder() {
    explore("relief", 2, || {
        let store = small(1, 1).spare_slots(2).patience(Some(Duration::ZERO)).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.push(Record::new(1, 1)).unwrap();
        let other = {
            let store = store.clone();
            thread::spawn(move || {
                // The first step finds the indexer lock held, the next that its holder makes no
                // progress.
                (0..3).for_each(|_| _ = store.step());
                u64::from(store.try_push(Record::new(1, 2)).is_ok())
            })
        };
        store.step();
        let found = lookup(&store, 1);
        assert!(found.is_sorted_by(|a, b| a > b), "found twice or out of order: {found:?}");
        let newest = 1 + other.join().unwrap();
        store.flush().unwrap();
        store.audit().unwrap();
        assert_eq!(lookup(&store, 1), [newest]);
        check(&store, 3);
    });
}

/// Another thread takes over while this one moves a record out. The record may be dropped twice
/// without harm, so that its drops can be counted.
#[test]
fn a_record_is_moved_out_once_though_another_thread_takes_over() {
    explore("relief, drops", 2, || {
        let drops = Arc::new(AtomicUsize::new(0));
        let record = || Dropped(Arc::clone(&drops));
        // These are never dropped, so the count of owners does not fall to 0.
        (0..2).for_each(|_| std::mem::forget(record()));
        let store = small(1, 1).spare_slots(2).patience(Some(Duration::ZERO)).build().unwrap();
        store.push(record()).unwrap();
        store.push(record()).unwrap();
        let other = {
            let store = store.clone();
            thread::spawn(move || (0..3).for_each(|_| _ = store.step()))
        };
        store.step();
        other.join().unwrap();
        store.flush().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1, "one was evicted");
    });
}

/// Two threads step, and each may take over from the other, also while that one is taking over. A
/// term that has ended never comes back.
#[test]
fn threads_take_over_from_each_other() {
    explore("relief, both ways", 1, || {
        let store = small(1, 1).spare_slots(2).patience(Some(Duration::ZERO)).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.push(Record::new(1, 1)).unwrap();
        let other = {
            let store = store.clone();
            thread::spawn(move || (0..2).for_each(|_| _ = store.step()))
        };
        (0..3).for_each(|_| _ = store.step());
        other.join().unwrap();
        check(&store, 2);
        assert_eq!(lookup(&store, 1), [1]);
    });
}

/// A reader that never steps finds the record that stays, whichever index is in use.
#[test]
fn a_reader_finds_what_stays_during_a_takeover() {
    explore("relief under a reader", 1, || {
        let store = small(1, 1).spare_slots(2).patience(Some(Duration::ZERO)).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.push(Record::new(1, 1)).unwrap();
        let other = {
            let store = store.clone();
            thread::spawn(move || (0..3).for_each(|_| _ = store.step()))
        };
        let reader = {
            let store = store.clone();
            thread::spawn(move || assert_eq!(lookup(&store, 1), [1]))
        };
        store.step();
        other.join().unwrap();
        reader.join().unwrap();
        check(&store, 2);
    });
}

#[test]
fn a_reader_is_not_misled_by_a_reused_index() {
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
        let report =
            store.query().key("key", 2_u64).for_each(|_, record| found.push(*record.body)).unwrap();
        assert!(
            found == [200] || report.cut || report.partial,
            "lost without being reported: {found:?} {report:?}"
        );
        worker.join().unwrap();
        check(&store, 3);
    });
}

#[test]
fn a_store_shuts_down_while_a_reader_looks_at_its_record() {
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
    assert_caught(
        "TakenTwice",
        "a_record_is_moved_out_once_though_another_thread_takes_over",
        "one was evicted",
    );
    assert_caught(
        "CursorsNotAdopted",
        "another_thread_takes_over_from_a_stalled_lock_holder",
        LIVELOCK,
    );
    assert_caught(
        "PinsNotScanned",
        "a_stalled_reader_keeps_its_record_while_the_ring_advances",
        READING,
    );
    assert_caught(
        "PassedOverTooSoon",
        "a_producer_that_stalls_with_a_claim_is_passed_over",
        "left == right",
    );
}
