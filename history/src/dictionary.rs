//! The dictionary: values by keys of bytes, each with a number.
//!
//! A key is kept as its fingerprint, a keyed hash of 128 bits. So a look-up reads one place in
//! memory and not the key's bytes as well, and an entry takes 16 bytes where keys of series take
//! some hundred. Two of `n` keys have the same fingerprint with a probability of at most
//! `n²/2¹²⁹`: with a million series, 2⁻⁸⁹. Senders choose keys but do not know the hash's own, which
//! is random for each dictionary.

use hashbrown::HashTable;
use siphasher::sip128::SipHasher13;
use std::hash::{BuildHasher, RandomState};

/// Values by keys. Numbers are small and are used again.
pub(crate) struct Dictionary<V> {
    table: HashTable<u32>,
    slots: Vec<Option<Slot<V>>>,
    free: Vec<u32>,
    hasher: SipHasher13,
}

struct Slot<V> {
    key: Key,
    value: V,
}

/// What stands for a key in one dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u128);

impl Key {
    /// Returns the bits by which the table finds its place.
    fn hash(self) -> u64 {
        self.0 as u64
    }
}

impl<V> Dictionary<V> {
    pub(crate) fn new() -> Self {
        // A random state does not tell its keys, but a keyed hash of two constants is as hard to
        // predict.
        let state = RandomState::new();
        Self {
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hasher: SipHasher13::new_with_keys(state.hash_one(0), state.hash_one(1)),
        }
    }

    /// Returns what stands for these bytes here. O(bytes).
    pub(crate) fn key(&self, bytes: &[u8]) -> Key {
        Key(self.hasher.hash(bytes).into())
    }

    /// Returns how many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns one more than the greatest number that was given.
    pub(crate) fn numbers(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn find(&self, key: Key) -> Option<u32> {
        let is_it = |&number: &u32| self.key_of(number) == Some(key);
        self.table.find(key.hash(), is_it).copied()
    }

    /// Adds a key that is not there yet.
    pub(crate) fn insert(&mut self, key: Key, value: V) -> u32 {
        let number = self.free.pop().unwrap_or(self.slots.len() as u32);
        if number as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[number as usize] = Some(Slot { key, value });
        let Self { table, slots, .. } = self;
        let hash_of =
            |number: &u32| slots[*number as usize].as_ref().map_or(0, |slot| slot.key.hash());
        table.insert_unique(key.hash(), number, hash_of);
        number
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<V> {
        let slot = self.slots.get_mut(number as usize)?.take()?;
        if let Ok(entry) = self.table.find_entry(slot.key.hash(), |&other| other == number) {
            entry.remove();
        }
        self.free.push(number);
        Some(slot.value)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut V> {
        Some(&mut self.slots.get_mut(number as usize)?.as_mut()?.value)
    }

    fn key_of(&self, number: u32) -> Option<Key> {
        Some(self.slots.get(number as usize)?.as_ref()?.key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.iter().flatten().map(|slot| &slot.value)
    }

    /// Returns the bytes of the tables, without what values own.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Slot<V>>>()
            + self.free.capacity() * size_of::<u32>()
            + self.table.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries_hash_by_keys_of_their_own() {
        let [one, other] = [Dictionary::<()>::new(), Dictionary::new()];
        assert_eq!(one.key(b"a"), one.key(b"a"));
        assert_ne!(one.key(b"a"), one.key(b"b"));
        assert_ne!(one.key(b"a"), other.key(b"a"));
    }

    #[test]
    fn keys_are_found_until_they_are_removed_and_numbers_come_back() {
        let mut all = Dictionary::new();
        let numbers: Vec<u32> =
            (0..1_000_u32).map(|at| all.insert(all.key(&at.to_le_bytes()), at)).collect();
        assert_eq!((all.len(), all.numbers()), (1_000, 1_000));
        for (at, number) in (0..1_000_u32).zip(&numbers) {
            assert_eq!(all.find(all.key(&at.to_le_bytes())), Some(*number));
            if at % 2 == 0 {
                assert_eq!(all.remove(*number), Some(at));
            }
        }
        assert_eq!((all.find(all.key(&4_u32.to_le_bytes())), all.len()), (None, 500));
        assert_eq!(all.remove(numbers[4]), None);
        for at in 0..500_u32 {
            all.insert(all.key(&(at + 5_000).to_le_bytes()), at);
        }
        assert_eq!((all.len(), all.numbers(), all.values().count()), (1_000, 1_000, 1_000));
        for &number in &numbers {
            all.remove(number);
        }
        assert_eq!(all.len(), 0);
    }
}
