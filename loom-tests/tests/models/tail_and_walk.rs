//! A lookup while records are being indexed returns each published record once. The scan of the
//! unindexed tail and the walk over the index miss nothing and repeat nothing.

use loom::thread;
use slipring_loom_tests::{
    RACE, Record, assert_caught, explore, lookup, push_and_step_once, small,
};

#[test]
fn each_published_record_is_found_once() {
    explore("tail and walk", 3, || {
        let store = small(4, 1).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.push(Record::new(1, 1)).unwrap();
        let indexer = {
            let store = store.clone();
            thread::spawn(move || store.step())
        };
        let producer = {
            let store = store.clone();
            thread::spawn(move || store.push(Record::new(1, 2)).unwrap())
        };
        let found = lookup(&store, 1);
        assert!(found == [2, 1, 0] || found == [1, 0], "found: {found:?}");
        indexer.join().unwrap();
        producer.join().unwrap();
        assert_eq!(lookup(&store, 1), [2, 1, 0]);
        assert_eq!(store.key_counts("key").unwrap()[0].count, 3);
    });
}

#[test]
fn a_walk_passes_through_newer_entries() {
    explore("newer entries", 3, || {
        let store = small(4, 1).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.flush().unwrap();
        store.push(Record::new(1, 1)).unwrap();
        let indexer = {
            let store = store.clone();
            thread::spawn(move || store.step())
        };
        assert_eq!(lookup(&store, 1), [1, 0]);
        indexer.join().unwrap();
    });
}

/// The walk begins at a record that was pushed and indexed after the query began.
#[test]
fn a_walk_begins_at_a_newer_record() {
    explore("newer record", 2, || {
        let store = small(4, 1).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.flush().unwrap();
        let other = push_and_step_once(&store, 1, 1);
        let found = lookup(&store, 1);
        assert!(found == [1, 0] || found == [0], "found: {found:?}");
        other.join().unwrap();
    });
}

#[test]
fn a_key_is_listed_while_a_newer_record_of_it_is_pushed_and_indexed() {
    explore("keys listed", 3, || {
        let store = small(4, 1).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.flush().unwrap();
        let other = push_and_step_once(&store, 1, 1);
        assert_eq!(store.keys("key").unwrap().len(), 1, "keys listed");
        other.join().unwrap();
    });
}

/// Some of these pairs share a line of the directory.
#[test]
fn a_key_is_listed_while_another_key_of_its_line_leaves() {
    for leaves in 2..6 {
        explore(&format!("beside {leaves}"), 2, move || {
            let store = small(2, 2).build().unwrap();
            store.push(Record::new(leaves, 0)).unwrap();
            store.push(Record::new(1, 0)).unwrap();
            store.flush().unwrap();
            let other = push_and_step_once(&store, 6, 0);
            let keys = store.keys("key").unwrap();
            assert!(keys.contains(&slipring::KeyBuf::Int(1)), "keys listed: {keys:?}");
            other.join().unwrap();
        });
    }
}

/// A key comes for the first time, into a place whose former record has a link. The walk for the new
/// key does not follow that link.
#[test]
fn a_new_key_does_not_lead_to_earlier_records() {
    explore("new key", 2, || {
        let store = small(2, 2).build().unwrap();
        for key in [1, 2, 1, 2, 2, 2] {
            store.push(Record::new(key, 0)).unwrap();
            while store.step() {}
        }
        let other = push_and_step_once(&store, 3, 0);
        let report = store.query().key("key", 3u64).for_each(|_, record| record.check()).unwrap();
        assert!(!report.partial, "nothing of this key was evicted: {report:?}");
        other.join().unwrap();
    });
}

/// The fourth key makes the directory grow. It was indexed into a table of three lines, which hold
/// one key each before the table counts as full.
#[test]
fn a_lookup_finds_a_key_while_its_directory_grows() {
    explore("directory grows", 2, || {
        let store = small(5, 1).build().unwrap();
        (1..4).for_each(|key| store.push(Record::new(key, 0)).map(drop).unwrap());
        store.flush().unwrap();
        let other = push_and_step_once(&store, 4, 0);
        assert_eq!(lookup(&store, 2), [0]);
        other.join().unwrap();
    });
}

/// As above. Then the record to which the former table leads leaves, and another key's record takes
/// its slot.
#[test]
fn a_lookup_in_a_former_table_shows_no_other_keys_records() {
    explore("former table", 1, || {
        let store = small(4, 1).spare_slots(2).build().unwrap();
        (1..4).for_each(|key| store.push(Record::new(key, 0)).map(drop).unwrap());
        store.flush().unwrap();
        let other = {
            let store = store.clone();
            thread::spawn(move || {
                for key in [4, 1, 4] {
                    store.push(Record::new(key, 1)).unwrap();
                    while store.step() {}
                }
            })
        };
        let found = lookup(&store, 1);
        assert!(found.iter().all(|number| *number < 2) && found.is_sorted_by(|one, two| one > two));
        other.join().unwrap();
        assert_eq!(lookup(&store, 1), [1]);
    });
}

#[test]
fn planted_faults_are_caught() {
    for fault in ["DirectoryBeforeIndexed", "ScanRepeatsTail", "IndexedRelaxed"] {
        assert_caught(fault, "each_published_record_is_found_once", "found: [");
    }
    assert_caught("RaisedRelaxed", "a_walk_passes_through_newer_entries", "left == right");
    assert_caught("GrownRelaxed", "a_lookup_finds_a_key_while_its_directory_grows", RACE);
    assert_caught("RaisedRelaxed", "a_walk_begins_at_a_newer_record", "found: [");
    let new = "a_new_key_does_not_lead_to_earlier_records";
    assert_caught("RaisedRelaxed", new, "nothing of this key was evicted");
    assert_caught(
        "ListedRelaxed",
        "a_key_is_listed_while_a_newer_record_of_it_is_pushed_and_indexed",
        "keys listed",
    );
    assert_caught(
        "LineGivenUp",
        "a_key_is_listed_while_another_key_of_its_line_leaves",
        "keys listed",
    );
}
