//! (b) A reader under its pin walks an index while its records are evicted, reclaimed and overwritten: it never sees
//! another key's record, a torn or a dropped one, nor more than the capacity.

use loom::thread;
use slipring::{Position, Store};
use slipring_loom_tests::{RACE, Record, assert_caught, explore, lookup, small};

#[test]
fn a_reader_sees_only_what_its_pin_protects() {
    explore("pins", 2, || {
        let store = small(1, 1).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.flush().unwrap();
        let writer = {
            let store = store.clone();
            thread::spawn(move || {
                // Each one evicts the record before it and, where no pin forbids it, is written over the one before that.
                for number in 1..3 {
                    let _ = store.try_push(Record::new(number % 2, number));
                    store.step();
                }
            })
        };
        let found = lookup(&store, 1);
        assert!(found.len() <= 1, "capacity is 1: {found:?}");
        writer.join().unwrap();
        store.audit().unwrap();
    });
}

#[test]
fn a_walk_moves_its_pin_down() {
    explore("moving pins", 2, || {
        let store = small(2, 1).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.push(Record::new(1, 1)).unwrap();
        store.flush().unwrap();
        let writer = {
            let store = store.clone();
            thread::spawn(move || {
                // The first evicts the older record, the second is written over it.
                store.push(Record::new(2, 0)).unwrap();
                store.step();
                let _ = store.try_push(Record::new(2, 1));
            })
        };
        let found = lookup(&store, 1);
        assert!(found.is_sorted_by(|a, b| a > b), "{found:?}");
        writer.join().unwrap();
        store.audit().unwrap();
    });
}

#[test]
fn a_walk_ends_at_the_window() {
    explore("window", 2, || {
        let store = small(1, 2).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.flush().unwrap();
        let writer = {
            let store = store.clone();
            thread::spawn(move || {
                store.push(Record::new(1, 1)).unwrap();
                store.push(Record::new(1, 2)).unwrap();
                store.flush().unwrap();
            })
        };
        let found = lookup(&store, 1);
        assert!(found.len() <= 1, "capacity is 1: {found:?}");
        writer.join().unwrap();
        assert_eq!(lookup(&store, 1), [2]);
    });
}

#[test]
fn a_scan_moves_its_pin_up() {
    explore("scan", 2, || {
        let store = small(2, 1).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.push(Record::new(2, 0)).unwrap();
        store.flush().unwrap();
        let writer = {
            let store = store.clone();
            thread::spawn(move || {
                store.push(Record::new(3, 0)).unwrap();
                store.step();
                let _ = store.try_push(Record::new(3, 1));
            })
        };
        let keys = store.keys("key").unwrap();
        assert!(keys.len() <= 2, "capacity is 2: {keys:?}");
        writer.join().unwrap();
        store.audit().unwrap();
    });
}

/// A store whose older record, of the key 1, is evicted by the third push and written over by the fourth, while somebody holds
/// the only pin there is room for, at the younger one.
fn under_the_first_pin(beside: impl FnOnce(&Store<Record>, Position)) {
    let store = small(2, 1).build().unwrap();
    store.push(Record::new(1, 0)).unwrap();
    let younger = store.push(Record::new(2, 0)).unwrap();
    store.flush().unwrap();
    store.visit(younger, |_| beside(&store, younger)).unwrap();
    store.audit().unwrap();
}

fn write_over_the_older(store: &Store<Record>) -> thread::JoinHandle<()> {
    let store = store.clone();
    thread::spawn(move || {
        let _ = store.try_push(Record::new(3, 0));
        store.step();
        let _ = store.try_push(Record::new(3, 1));
    })
}

#[test]
fn a_pin_in_a_new_block_protects_as_well() {
    explore("new block", 2, || {
        under_the_first_pin(|store, _| {
            let writer = write_over_the_older(store);
            lookup(store, 1);
            writer.join().unwrap();
        });
    });
}

#[test]
fn readers_that_make_blocks_at_once_are_all_seen() {
    explore("new blocks", 1, || {
        under_the_first_pin(|store, younger| {
            let writer = write_over_the_older(store);
            let reader = {
                let store = store.clone();
                thread::spawn(move || store.visit(younger, Record::check).is_ok())
            };
            lookup(store, 1);
            reader.join().unwrap();
            writer.join().unwrap();
        });
    });
}

#[test]
fn planted_faults_are_caught() {
    for fault in ["ReaderWithoutFence", "HolderWithoutFence", "PinClearedRelaxed"] {
        assert_caught(fault, "a_reader_sees_only_what_its_pin_protects", RACE);
    }
    for model in ["a_pin_in_a_new_block_protects_as_well", "readers_that_make_blocks_at_once_are_all_seen"] {
        assert_caught("FirstBlockOnly", model, RACE);
        assert_caught("LinkRelaxed", model, RACE);
    }
    assert_caught("ReaderWithoutReload", "a_walk_moves_its_pin_down", RACE);
    assert_caught("PinMovedRelaxed", "a_scan_moves_its_pin_up", RACE);
    assert_caught("ScanWithoutWindow", "a_walk_ends_at_the_window", "capacity is 1");
}
