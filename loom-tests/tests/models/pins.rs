//! A reader with a pin walks an index while records are evicted, reclaimed and overwritten. It
//! never sees another key's record, a torn or dropped one, or more records than the capacity.

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
                // Each push evicts the record before it and, unless a pin forbids it, overwrites
                // the one before that.
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
                // The first push evicts the older record, the second overwrites it.
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
fn a_walk_ends_at_the_visible_window() {
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
        let keys = store.key_counts("key").unwrap();
        assert!(keys.len() <= 2, "capacity is 2: {keys:?}");
        writer.join().unwrap();
        store.audit().unwrap();
    });
}

/// Runs `beside` while this thread holds the only pin of the first block, on the younger of two
/// records. The older one has the key 1; the third push evicts it and the fourth overwrites it.
fn while_holding_the_first_pin(beside: impl FnOnce(&Store<Record>, Position)) {
    let store = small(2, 1).build().unwrap();
    store.push(Record::new(1, 0)).unwrap();
    let younger = store.push(Record::new(2, 0)).unwrap();
    store.flush().unwrap();
    store.visit(younger, |_| beside(&store, younger)).unwrap();
    store.audit().unwrap();
}

fn overwrite_the_older_record(store: &Store<Record>) -> thread::JoinHandle<()> {
    let store = store.clone();
    thread::spawn(move || {
        let _ = store.try_push(Record::new(3, 0));
        store.step();
        let _ = store.try_push(Record::new(3, 1));
    })
}

#[test]
fn a_pin_in_a_new_block_protects_its_record() {
    explore("new block", 2, || {
        while_holding_the_first_pin(|store, _| {
            let writer = overwrite_the_older_record(store);
            lookup(store, 1);
            writer.join().unwrap();
        });
    });
}

#[test]
fn pins_in_blocks_added_concurrently_are_all_seen() {
    explore("new blocks", 1, || {
        while_holding_the_first_pin(|store, younger| {
            let writer = overwrite_the_older_record(store);
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
    for model in [
        "a_pin_in_a_new_block_protects_its_record",
        "pins_in_blocks_added_concurrently_are_all_seen",
    ] {
        assert_caught("FirstBlockOnly", model, RACE);
        assert_caught("LinkRelaxed", model, RACE);
    }
    assert_caught("ReaderWithoutReload", "a_walk_moves_its_pin_down", RACE);
    assert_caught("PinMovedRelaxed", "a_scan_moves_its_pin_up", RACE);
    assert_caught("ScanWithoutWindow", "a_walk_ends_at_the_visible_window", "capacity is 1");
}
