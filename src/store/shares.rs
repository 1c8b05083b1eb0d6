//! Shares: a bounded part of the store for each key of an index.
//!
//! A store with shares has a class of its own for **overflow**, a quarter of a share. A key has at
//! most three quarters of a share in the rest, the **common** part: a record beyond goes to the
//! overflow, where noisy keys evict each other. A record counts from before it is pushed until it
//! is handed to the hooks of evicted records, or back to its pusher. So a key has never more in the
//! common part than it may, and for as long as evicted records wait to be reclaimed, somewhat less.
//!
//! Keys are counted in a table of fixed size. An entry is one word: half of the key's hash, and its
//! records. An entry without records is free. The records of a key for which there is no free one
//! go to the overflow, and are counted: what lay in the common part uncounted could not be told from
//! what is counted, when it leaves. All accesses are relaxed, since a word stands for nothing but itself. Two threads
//! that push a new key at once may make two entries for it: then it has two limits until one of
//! them is empty.

use crate::engine::settings::ShareStats;
use crate::signal::Key;
use crate::sync::Count;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Entries, and in how many of them a key may have its own.
const ENTRIES: usize = 1024;
const BUCKET: usize = 8;

/// How often an entry is looked for again that other threads have changed meanwhile.
const TRIES: usize = 8;

/// An entry's word: the upper half of the key's hash, and the number of its records.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry(u64);

impl Entry {
    fn of(hash: u64, count: u32) -> Self {
        // A free entry is all zero.
        if count == 0 { Self(0) } else { Self(hash >> 32 << 32 | u64::from(count)) }
    }

    fn count(self) -> u32 {
        self.0 as u32
    }

    fn is_of(self, hash: u64) -> bool {
        self.count() > 0 && self.0 >> 32 == hash >> 32
    }
}

pub(super) struct Shares {
    state: RandomState,
    entries: Box<[AtomicU64]>,
    /// The records that a key may have in the common part.
    limit: u32,
    /// The capacity of the overflow, in records.
    overflow: usize,
    diverted: Count,
    beyond: Count,
}

impl Shares {
    /// Returns `None` if a share of this many percent is too small to be split, or leaves nothing
    /// for others.
    pub(super) fn new(capacity: usize, percent: u8) -> Option<Self> {
        let share = (capacity as u128 * u128::from(percent) / 100) as usize;
        let overflow = share / 4;
        if overflow == 0 || !(1..=99).contains(&percent) {
            return None;
        }
        Some(Self {
            state: RandomState::new(),
            entries: (0..ENTRIES).map(|_| AtomicU64::new(0)).collect(),
            limit: u32::try_from(share - overflow).unwrap_or(u32::MAX),
            overflow,
            diverted: Count::default(),
            beyond: Count::default(),
        })
    }

    pub(super) fn overflow(&self) -> usize {
        self.overflow
    }

    /// Returns whether a record with this key goes to the overflow, and counts it if not. Records
    /// without a key have a share together.
    pub(super) fn diverts(&self, key: Option<Key<'_>>) -> bool {
        let hash = self.state.hash_one(key);
        for _ in 0..TRIES {
            let Some((word, seen)) = self.find(hash, true) else { break };
            let count = if seen.is_of(hash) { seen.count() } else { 0 };
            if count >= self.limit {
                self.diverted.add(1);
                return true;
            }
            let next = Entry::of(hash, count + 1);
            if word.compare_exchange(seen.0, next.0, Relaxed, Relaxed).is_ok() {
                return false;
            }
        }
        self.beyond.add(1);
        true
    }

    /// Counts that a record with this key has left the common part, or never got there.
    pub(super) fn leaves(&self, key: Option<Key<'_>>) {
        let hash = self.state.hash_one(key);
        // There is an entry, since whatever is in the common part was counted when it came.
        while let Some((word, seen)) = self.find(hash, false) {
            let next = Entry::of(hash, seen.count() - 1);
            if word.compare_exchange(seen.0, next.0, Relaxed, Relaxed).is_ok() {
                return;
            }
        }
    }

    /// Finds the entry of a key, or else a free one if that is wanted.
    fn find(&self, hash: u64, or_free: bool) -> Option<(&AtomicU64, Entry)> {
        let first = hash as usize % (ENTRIES / BUCKET) * BUCKET;
        let mut free = None;
        for word in &self.entries[first..first + BUCKET] {
            let seen = Entry(word.load(Relaxed));
            if seen.is_of(hash) {
                return Some((word, seen));
            }
            if or_free && free.is_none() && seen == Entry(0) {
                free = Some((word, seen));
            }
        }
        free
    }

    pub(super) fn stats(&self) -> ShareStats {
        let keys = self.entries.iter().filter(|word| word.load(Relaxed) != 0).count();
        ShareStats {
            keys: keys as u64,
            most_keys: ENTRIES as u64,
            diverted: self.diverted.get(),
            beyond: self.beyond.get(),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn keys_beyond_the_table_are_counted_and_gone_ones_make_room() {
        let shares = Shares::new(100_000, 50).unwrap();
        let key = |number| Some(Key::Int(number));
        let came = |number| shares.diverts(key(number));
        let common: Vec<u64> = (0..10_000).filter(|&number| !came(number)).collect();
        let full = shares.stats();
        assert!((1_000..=1_024).contains(&full.keys), "{full:?}");
        assert_eq!((common.len() as u64, full.beyond), (full.keys, 10_000 - full.keys));
        common.into_iter().for_each(|number| shares.leaves(key(number)));
        assert_eq!(shares.stats().keys, 0);
        assert!((0..100).all(|number| !came(number)));
        assert_eq!((shares.stats().keys, shares.stats().beyond), (100, full.beyond));
    }

    #[test]
    fn a_key_has_its_limit_and_no_more() {
        let shares = Shares::new(1_000, 40).unwrap();
        assert_eq!((shares.overflow(), shares.limit), (100, 300));
        let diverted = (0..500).filter(|_| shares.diverts(None)).count();
        assert_eq!((diverted, shares.stats().diverted), (200, 200));
        shares.leaves(None);
        assert_eq!([0; 3].map(|_| shares.diverts(None)), [false, true, true]);
        assert!(!shares.diverts(Some(Key::Int(0))), "another key has a share of its own");
    }

    #[test]
    fn a_share_leaves_room_for_others_and_can_be_split() {
        assert!(Shares::new(100, 0).is_none() && Shares::new(100, 100).is_none());
        assert!(Shares::new(39, 10).is_none() && Shares::new(40, 10).is_some());
    }
}
