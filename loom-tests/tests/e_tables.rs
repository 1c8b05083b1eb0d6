//! (e) A directory's table is replaced under a reader: every key that stays is found, in the old table or the new, and no
//! table is freed under it.

use loom::thread;
use slipring_loom_tests::{Record, assert_caught, explore, lookup, small};

#[test]
fn a_key_is_found_while_its_table_is_replaced() {
    slipring::model_pins();
    explore("tables", 2, || {
        let store = small(8, 1).build().unwrap();
        // A table of four cells takes three keys; the fourth calls for a larger one.
        (1..=3).for_each(|key| store.push(Record::new(key, 0)).map(drop).unwrap());
        store.flush().unwrap();
        (4..=7).for_each(|key| store.push(Record::new(key, 0)).map(drop).unwrap());
        let indexer = {
            let store = store.clone();
            thread::spawn(move || {
                // The first step begins the new table, the second moves the rest and retires the old one.
                store.step();
                store.step();
            })
        };
        assert_eq!(lookup(&store, 1), [0]);
        assert_eq!(lookup(&store, 3), [0]);
        indexer.join().unwrap();
        store.flush().unwrap();
        store.audit().unwrap();
        (1..=7).for_each(|key| assert_eq!(lookup(&store, key), [0]));
    });
}

#[test]
fn planted_faults_are_caught() {
    for fault in ["OldTableOnly", "MovedTooEarly"] {
        assert_caught(fault, "a_key_is_found_while_its_table_is_replaced", "left == right");
    }
    // What happens then is up to the allocator: a wrong answer or a fault of the processor's.
    assert_caught("TableFreedAtOnce", "a_key_is_found_while_its_table_is_replaced", "");
}
