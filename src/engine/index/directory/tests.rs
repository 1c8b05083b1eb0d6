use super::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;

/// A directory, with the fingerprint of the record at each place.
struct Ring {
    directory: Directory,
    prints: RefCell<Vec<u64>>,
}

impl Ring {
    fn new(places: usize) -> Self {
        Self { directory: Directory::new(places).unwrap(), prints: vec![0; places].into() }
    }

    /// Indexes a record, and returns the place before.
    fn insert(&self, print: u64, place: usize) -> Option<usize> {
        self.prints.borrow_mut()[place] = print;
        let mut found = None;
        self.directory.writer(self).insert(print, place, |before| found = before);
        found
    }

    fn remove(&self, print: u64, place: usize) -> bool {
        self.directory.writer(self).remove(print, place)
    }

    fn places(&self) -> Vec<usize> {
        let mut places = Vec::new();
        self.directory.for_each_place(|place| places.push(place));
        places.sort_unstable();
        places
    }

    fn tables(&self) -> usize {
        1 + self.directory.larger.iter().filter(|table| table.get().is_some()).count()
    }
}

impl Prints for &Ring {
    fn at(&self, place: usize) -> u64 {
        self.prints.borrow()[place]
    }

    fn progress(&self) {}
}

fn print_of(number: usize) -> u64 {
    (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 2
}

#[test]
fn a_directory_is_as_large_as_its_keys_want() {
    let ring = Ring::new(10_000);
    let least = ring.directory.bytes();
    assert!(least < 10_000, "{least} bytes");
    for place in 0..10_000 {
        ring.insert(print_of(place % 12), place);
    }
    assert_eq!((ring.directory.bytes(), ring.tables()), (least, 1), "12 keys need no more");
    for key in 0..10_000 {
        ring.insert(print_of(key), key);
        let keys = (key + 1).max(12);
        let lines = ring.directory.table_as_writer().lines();
        assert!(keys <= lines * KEYS_PER_LINE || lines == ring.directory.most_lines);
        assert!(ring.tables() == 1 || keys > lines * KEYS_PER_LINE / (GROWTH + 1), "{keys} keys");
    }
    assert_eq!(ring.places().len(), 10_000);
    assert!((0..10_000).all(|key| ring.directory.newest(print_of(key)) == Some(key)));
    let last = ring.directory.table_as_writer().bytes();
    assert!(ring.directory.bytes() * 2 < last * 3, "former tables take a third of the last");
}

#[test]
fn small_rings_have_one_table_for_all_their_places() {
    for places in [1, 2, 7, 8, 100, 300] {
        let ring = Ring::new(places);
        assert!((0..places).all(|place| ring.insert(print_of(place), place).is_none()));
        assert!((0..places).all(|place| ring.directory.newest(print_of(place)) == Some(place)));
        assert_eq!((ring.places().len(), ring.tables()), (places, 1));
        assert!((0..places).all(|place| ring.remove(print_of(place), place)));
        assert_eq!((ring.places().len(), ring.directory.keys.get()), (0, 0));
    }
}

/// The two fingerprints have the same tag. In the first table they also have the same home line.
#[test]
fn keys_that_a_small_table_cannot_tell_apart_have_entries_of_their_own() {
    let ring = Ring::new(10_000);
    let bits = ring.directory.place_bits;
    let (one, other) = (7 << bits | 1, 7 << bits | 1 << (bits - 6));
    assert_eq!(ring.directory.entry_of(one), ring.directory.entry_of(other));
    assert_eq!(ring.insert(one, 1), None);
    assert_eq!(ring.insert(other, 2), None, "the record of another key is not the one before");
    assert_ne!(ring.directory.entry_of(one), ring.directory.entry_of(other));
    assert_eq!(ring.insert(one, 3), Some(1));
    assert_eq!(ring.insert(other, 4), Some(2));
    assert_eq!(ring.places(), [3, 4]);
}

#[test]
fn has_room_grows_before_the_words_run_out() {
    let ring = Ring::new(10_000);
    let words = ring.directory.table_as_writer().words();
    assert!(ring.directory.writer(&ring).has_room(words));
    assert_eq!(ring.tables(), 1);
    assert!(ring.directory.writer(&ring).has_room(words + 1));
    assert_eq!(ring.tables(), 2);
}

#[test]
fn a_directory_that_is_used_again_keeps_its_size_and_no_key() {
    let ring = Ring::new(10_000);
    for key in 0..2_000 {
        ring.insert(print_of(key), key);
    }
    let bytes = ring.directory.bytes();
    ring.directory.clear();
    assert_eq!((ring.places().len(), ring.directory.bytes()), (0, bytes));
    assert!((0..2_000).all(|key| ring.directory.newest(print_of(key)).is_none()));
    assert_eq!(ring.insert(print_of(5), 7), None);
    assert_eq!(ring.places(), [7]);
}

proptest! {
    #[test]
    fn a_directory_that_grows_loses_no_key(
        steps in prop::collection::vec((0..900_usize, any::<bool>()), 1..2_000),
    ) {
        let ring = Ring::new(1_000);
        let mut model = HashMap::new();
        let mut free: Vec<usize> = (0..1_000).collect();
        for (key, insert) in steps {
            let print = print_of(key);
            if insert {
                let Some(place) = free.pop() else { break };
                let before = model.insert(print, place);
                prop_assert_eq!(ring.insert(print, place), before);
                free.extend(before);
            } else if let Some(place) = model.remove(&print) {
                prop_assert!(!ring.remove(print, 1_001));
                prop_assert!(ring.remove(print, place));
                free.push(place);
            }
            prop_assert_eq!(ring.directory.keys.get(), model.len() as u64);
        }
        for key in 0..900 {
            prop_assert_eq!(ring.directory.newest(print_of(key)), model.get(&print_of(key)).copied());
        }
        let mut expected: Vec<usize> = model.into_values().collect();
        expected.sort_unstable();
        prop_assert_eq!(ring.places(), expected);
    }
}
