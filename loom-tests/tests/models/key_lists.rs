//! A list of keys that one reader leaves for the next contains each key that is in the store
//! throughout, and none that has left before the next reader began.

use loom::thread;
use slipring::{KeyBuf, OnFull, Store};
use slipring_loom_tests::{Record, assert_caught, explore, small};

fn keys(store: &Store<Record>) -> Vec<u64> {
    let number = |key| match key {
        KeyBuf::Int(number) => number,
        other => panic!("a key that no record has: {other}"),
    };
    store.keys("key").unwrap().into_iter().map(number).collect()
}

fn push(store: &Store<Record>, keys: &[u64]) {
    keys.iter().for_each(|&key| store.push(Record::new(key, 0)).map(drop).unwrap());
}

/// Starts a thread that pushes records with these keys and steps until nothing is left to do.
fn push_and_step(store: &Store<Record>, keys: &'static [u64]) -> thread::JoinHandle<()> {
    let store = store.clone();
    thread::spawn(move || {
        push(&store, keys);
        while store.step() {}
    })
}

#[test]
fn a_key_that_appears_while_a_list_is_made_is_in_the_next() {
    explore("appears", 2, || {
        let store = small(4, 1).build().unwrap();
        push(&store, &[1]);
        store.flush().unwrap();
        let producer = push_and_step(&store, &[2]);
        let meanwhile = keys(&store);
        assert!(meanwhile == [1] || meanwhile == [1, 2], "meanwhile: {meanwhile:?}");
        producer.join().unwrap();
        assert_eq!(keys(&store), [1, 2], "the next list");
    });
}

#[test]
fn a_key_that_appears_after_a_list_was_made_is_found_at_once() {
    explore("found at once", 2, || {
        let store = small(4, 1).build().unwrap();
        push(&store, &[1]);
        store.flush().unwrap();
        assert_eq!(keys(&store), [1]);
        let indexer = {
            let store = store.clone();
            push(&store, &[2]);
            thread::spawn(move || while store.step() {})
        };
        assert_eq!(keys(&store), [1, 2], "the next list");
        indexer.join().unwrap();
    });
}

#[test]
fn a_key_that_leaves_is_not_in_the_next_list() {
    explore("leaves", 2, || {
        let store = small(2, 2).build().unwrap();
        push(&store, &[1, 2]);
        store.flush().unwrap();
        assert_eq!(keys(&store), [1, 2]);
        let producer = push_and_step(&store, &[2]);
        assert!(keys(&store).contains(&2), "meanwhile");
        producer.join().unwrap();
        assert_eq!(keys(&store), [2], "the next list");
    });
}

/// The list is made while the directory still leads to a record that is no longer visible. Then a
/// record comes that changes that entry, so that no key is added.
#[test]
fn a_key_that_returns_before_it_was_evicted_is_in_the_next_list() {
    explore("returns", 1, || {
        let store = small(2, 4).build().unwrap();
        push(&store, &[2, 1]);
        store.flush().unwrap();
        push(&store, &[0, 2]);
        let producer = push_and_step(&store, &[1]);
        assert!(keys(&store).contains(&2), "meanwhile");
        producer.join().unwrap();
        assert_eq!(keys(&store), [1, 2], "the next list");
    });
}

/// The ring laps the reader, so that the place to which an entry led holds another key's record.
#[test]
fn a_key_that_stays_is_listed_while_the_ring_turns() {
    explore("turns", 1, || {
        let store = small(3, 1).on_full(OnFull::Reject).build().unwrap();
        push(&store, &[1, 2]);
        store.flush().unwrap();
        let producer = {
            let store = store.clone();
            thread::spawn(move || {
                for key in [1, 2, 2] {
                    // Handed back if the reader indexes just then and the ring is full.
                    let _ = store.push(Record::new(key, 0));
                    while store.step() {}
                }
            })
        };
        let meanwhile = keys(&store);
        assert!(meanwhile.contains(&1), "a key that stays: {meanwhile:?}");
        producer.join().unwrap();
        assert_eq!(keys(&store), [1, 2], "the next list");
    });
}

/// The ring laps the reader, and the key's newest record comes to the same place again.
#[test]
fn a_key_that_stays_is_listed_though_its_entry_is_the_same_again() {
    explore("same again", 1, || {
        let store = small(3, 1).on_full(OnFull::Reject).build().unwrap();
        push(&store, &[1]);
        store.flush().unwrap();
        let producer = {
            let store = store.clone();
            thread::spawn(move || {
                for _ in 0..4 {
                    let _ = store.push(Record::new(1, 0));
                    while store.step() {}
                }
            })
        };
        let meanwhile = keys(&store);
        assert!(meanwhile.contains(&1), "a key that stays: {meanwhile:?}");
        producer.join().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    let appears = "a_key_that_appears_while_a_list_is_made_is_in_the_next";
    assert_caught("AdditionRelaxed", appears, "the next list");
    let found = "a_key_that_appears_after_a_list_was_made_is_found_at_once";
    assert_caught("AdditionsIgnored", found, "the next list");
    assert_caught("WitnessesIgnored", "a_key_that_leaves_is_not_in_the_next_list", "the next list");
    let returns = "a_key_that_returns_before_it_was_evicted_is_in_the_next_list";
    assert_caught("ListKeptIncomplete", returns, "the next list");
    assert_caught(
        "EntryListedOnce",
        "a_key_that_stays_is_listed_while_the_ring_turns",
        "a key that stays",
    );
    assert_caught(
        "EntryListedOnce",
        "a_key_that_stays_is_listed_though_its_entry_is_the_same_again",
        "a key that stays",
    );
}
