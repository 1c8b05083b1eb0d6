//! The dictionary: keys of bytes, each stored once, with a value and a number.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// What an allocation takes beside its bytes.
const ALLOCATION: usize = 16;

/// Values by keys. Numbers are small and are used again.
pub(crate) struct Dictionary<V> {
    table: HashTable<u32>,
    slots: Vec<Option<Slot<V>>>,
    free: Vec<u32>,
    hasher: RandomState,
    key_bytes: usize,
}

struct Slot<V> {
    key: Box<[u8]>,
    value: V,
}

impl<V> Dictionary<V> {
    pub(crate) fn new() -> Self {
        Self {
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hasher: RandomState::default(),
            key_bytes: 0,
        }
    }

    /// Returns how many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns one more than the greatest number that was given.
    pub(crate) fn numbers(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        let is_it = |&number: &u32| self.key(number) == Some(key);
        self.table.find(self.hasher.hash_one(key), is_it).copied()
    }

    /// Adds a key that is not there yet.
    pub(crate) fn insert(&mut self, key: &[u8], value: V) -> u32 {
        let number = self.free.pop().unwrap_or(self.slots.len() as u32);
        if number as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.key_bytes += key.len() + ALLOCATION;
        self.slots[number as usize] = Some(Slot { key: key.into(), value });
        let Self { table, slots, hasher, .. } = self;
        let hash_of = |number: &u32| {
            slots[*number as usize].as_ref().map_or(0, |slot| hasher.hash_one(&*slot.key))
        };
        table.insert_unique(hasher.hash_one(key), number, hash_of);
        number
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<V> {
        let slot = self.slots.get_mut(number as usize)?.take()?;
        let hash = self.hasher.hash_one(&*slot.key);
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == number) {
            entry.remove();
        }
        self.free.push(number);
        self.key_bytes -= slot.key.len() + ALLOCATION;
        Some(slot.value)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut V> {
        Some(&mut self.slots.get_mut(number as usize)?.as_mut()?.value)
    }

    fn key(&self, number: u32) -> Option<&[u8]> {
        Some(&self.slots.get(number as usize)?.as_ref()?.key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.iter().flatten().map(|slot| &slot.value)
    }

    /// Returns the bytes of the tables and of the keys, without what values own.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Slot<V>>>()
            + self.free.capacity() * size_of::<u32>()
            + self.table.allocation_size()
            + self.key_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_until_they_are_removed_and_numbers_come_back() {
        let mut all = Dictionary::new();
        let numbers: Vec<u32> =
            (0..1_000_u32).map(|at| all.insert(&at.to_le_bytes(), at)).collect();
        assert_eq!((all.len(), all.numbers()), (1_000, 1_000));
        for (at, number) in (0..1_000_u32).zip(&numbers) {
            assert_eq!(all.find(&at.to_le_bytes()), Some(*number));
            if at % 2 == 0 {
                assert_eq!(all.remove(*number), Some(at));
            }
        }
        assert_eq!((all.find(&4_u32.to_le_bytes()), all.len()), (None, 500));
        assert_eq!(all.remove(numbers[4]), None);
        for at in 0..500_u32 {
            all.insert(&(at + 5_000).to_le_bytes(), at);
        }
        assert_eq!((all.len(), all.numbers(), all.values().count()), (1_000, 1_000, 1_000));
        let bytes = all.heap_bytes();
        for &number in &numbers {
            all.remove(number);
        }
        assert!(all.len() == 0 && all.key_bytes == 0 && all.heap_bytes() < bytes);
    }
}
