//! A list of an index's keys that readers share, and what tells whether it still is true.
//!
//! To list the keys of an index, a reader looks at every entry of its directories and reads a
//! record for each key. Most stores have a few services that do not change, so the next reader
//! would find the same. The list therefore stays, with two things that go out of date as soon as it
//! does:
//!
//! - For each shard, how many keys had been **added** to the directory. A key that appears adds
//!   one; a record of a known key does not. So no push but that of a new key ends the list.
//! - For each key a **witness**: a record that carries it. While its witness is visible, so is the
//!   key. Eviction need not end the list, and whoever uses it compares a sequence for each key.
//!
//! `query::keys` says why an answer from such a list is as good as one from the directories.

use crate::engine::tuning::LIST_BYTES;
use crate::signal::KeyBuf;

/// A key, and where a record was found that carries it.
#[derive(Debug)]
pub(crate) struct ListedKey {
    pub(crate) key: KeyBuf,
    pub(crate) print: u64,
    /// The witness.
    pub(crate) shard: usize,
    pub(crate) sequence: u64,
}

/// What a shard's directory was when it was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListedShard {
    /// The index pool's word: which index was in use.
    pub(crate) word: u64,
    /// How many keys had been added to the directory before it was read.
    pub(crate) additions: u64,
}

/// The keys of an index.
#[derive(Debug, Default)]
pub(crate) struct KeyList {
    /// Empty if there is no list.
    pub(crate) shards: Box<[ListedShard]>,
    /// Sorted by key.
    pub(crate) keys: Vec<ListedKey>,
    /// The keys' fingerprints, sorted.
    prints: Box<[u64]>,
    bytes: usize,
}

impl KeyList {
    /// Makes a list of these keys, which are sorted. Returns the keys themselves if the list would
    /// take more than [`LIST_BYTES`].
    pub(crate) fn new(
        shards: Vec<ListedShard>,
        keys: Vec<ListedKey>,
    ) -> Result<Self, Vec<ListedKey>> {
        let length = |listed: &ListedKey| match &listed.key {
            KeyBuf::Int(_) | KeyBuf::Id(_) => 0,
            KeyBuf::Text(text) => text.len(),
            KeyBuf::Bytes(bytes) => bytes.len(),
        };
        let bytes = keys.iter().map(length).sum::<usize>()
            + keys.len() * size_of::<u64>()
            + keys.capacity() * size_of::<ListedKey>()
            + shards.len() * size_of::<ListedShard>();
        if bytes > LIST_BYTES {
            return Err(keys);
        }
        let mut prints: Box<[u64]> = keys.iter().map(|listed| listed.print).collect();
        prints.sort_unstable();
        Ok(Self { shards: shards.into(), keys, prints, bytes })
    }

    /// Returns whether a key with this fingerprint is listed.
    #[inline]
    pub(crate) fn has(&self, print: u64) -> bool {
        self.prints.binary_search(&print).is_ok()
    }

    /// Returns the bytes that the list takes, its keys included.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn keys(count: usize, length: usize) -> Vec<ListedKey> {
        let listed = |number: usize| ListedKey {
            key: KeyBuf::Text(format!("{number:0length$}").into()),
            print: (count - number) as u64 * 10,
            shard: 0,
            sequence: number as u64,
        };
        (0..count).map(listed).collect()
    }

    #[test]
    fn a_list_knows_its_keys_and_its_bytes() {
        let shards = vec![ListedShard { word: 1, additions: 2 }];
        let list = KeyList::new(shards, keys(12, 8)).unwrap();
        assert!(list.has(10) && list.has(120) && !list.has(0) && !list.has(11));
        assert!(list.bytes() >= 12 * (size_of::<ListedKey>() + 8 + 8));
    }

    #[test]
    fn many_or_long_keys_are_not_kept() {
        let each = size_of::<ListedKey>() + size_of::<u64>();
        for length in [8, 1_000] {
            let most = LIST_BYTES / (each + length);
            let list = KeyList::new(Vec::new(), keys(most, length)).unwrap();
            assert!(list.bytes() <= size_of::<KeyList>() + LIST_BYTES);
            let refused = KeyList::new(Vec::new(), keys(most + 1, length)).unwrap_err();
            assert_eq!(refused.len(), most + 1);
        }
    }
}
