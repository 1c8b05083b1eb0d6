//! A bounded table of root operations.

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The number of entries among which the one that was not seen for longest is replaced. Redis does
/// the same, and comes close to replacing the oldest of all.
const SAMPLE: usize = 8;

/// State for each of the operations that were seen lately. An operation is known by a hash of 64
/// bits, so that its name takes no room: two of a million operations share one with a probability
/// of 1 in 37 million.
#[derive(Debug)]
pub(super) struct Operations<T> {
    most: usize,
    entries: Vec<Entry<T>>,
    index: HashTable<u32>,
    /// Where the search for an entry to replace goes on.
    cursor: usize,
    state: RandomState,
    pub(super) replaced: u64,
}

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    seen: u64,
    value: T,
}

impl<T: Default> Operations<T> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            entries: Vec::new(),
            index: HashTable::new(),
            cursor: 0,
            state: RandomState::default(),
            replaced: 0,
        }
    }

    /// Returns the state of an operation; of a new one, possibly in place of another's.
    pub(super) fn of(&mut self, operation: (&str, &str), now: u64) -> &mut T {
        let hash = self.state.hash_one(operation);
        let known = self.index.find(hash, |&at| self.entries[at as usize].hash == hash);
        let at = match known {
            Some(&at) => at as usize,
            None => self.place(hash),
        };
        let entry = &mut self.entries[at];
        entry.seen = now;
        &mut entry.value
    }

    fn place(&mut self, hash: u64) -> usize {
        let new = Entry { hash, seen: 0, value: T::default() };
        let at = if self.entries.len() < self.most {
            self.entries.push(new);
            self.entries.len() - 1
        } else {
            let count = self.entries.len();
            let near = (0..SAMPLE.min(count)).map(|step| (self.cursor + step) % count);
            let at = near.min_by_key(|&at| self.entries[at].seen).expect("there is an entry");
            self.cursor = (self.cursor + SAMPLE) % count;
            let old = self.entries[at].hash;
            if let Ok(entry) = self.index.find_entry(old, |&place| place as usize == at) {
                entry.remove();
            }
            self.entries[at] = new;
            self.replaced += 1;
            at
        };
        let entries = &self.entries;
        self.index.insert_unique(hash, at as u32, |&at| entries[at as usize].hash);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_operations_are_known_than_there_is_room_for() {
        let mut operations: Operations<u32> = Operations::new(16);
        for now in 0..10_000u64 {
            *operations.of(("cart", "GET /"), now) += 1;
            *operations.of(("cart", &format!("GET /{now}")), now) += 1;
        }
        assert_eq!((operations.entries.len(), operations.index.len()), (16, 16));
        assert_eq!(*operations.of(("cart", "GET /"), 10_000), 10_000, "it was seen all the time");
        assert_eq!(operations.replaced, 10_000 - 15);
    }
}
