//! Hash maps from keys to postings, for the peers.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slipring::Indexes as _;
use slipring::{Key, KeyBuf, Signal};
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, Hasher};

/// The postings of one index, by key. Lookups take a borrowed key, so that only new keys are
/// copied.
#[derive(Debug)]
struct Postings<P> {
    table: HashTable<(KeyBuf, P)>,
    state: RandomState,
    /// Emptied postings, for reuse by the next new key. The postings of a new trace then need no
    /// allocation.
    spare: Vec<P>,
}

/// The maximum number of spare postings.
const SPARE: usize = 64;

impl<P: Default> Postings<P> {
    /// Adds a key. Not inlined, since most keys are known.
    #[inline(never)]
    fn admit(&mut self, hashed: u64, key: Key<'_>) -> &mut P {
        let Self { table, state, spare } = self;
        let rehash = |(known, _): &(KeyBuf, P)| hash(state, known.as_key());
        &mut table
            .insert_unique(hashed, (key.to_owned(), spare.pop().unwrap_or_default()), rehash)
            .into_mut()
            .1
    }
}

/// One map of postings for each index. Every measured record has three indexes, and the fixed
/// number saves a check for each key.
#[derive(Debug)]
pub struct Catalogue<P>([Postings<P>; INDEXES]);

/// The number of indexes of every measured record.
pub const INDEXES: usize = 3;

impl<P: Default> Catalogue<P> {
    pub fn new<T: Signal>() -> Self {
        assert_eq!(T::INDEXES.as_slice().len(), INDEXES);
        Self(std::array::from_fn(|_| Postings {
            table: HashTable::new(),
            state: RandomState::default(),
            spare: Vec::new(),
        }))
    }

    /// Calls `enter` with the postings of each of the record's keys.
    #[inline]
    pub fn enter<T: Signal>(&mut self, record: &T, mut enter: impl FnMut(&mut P)) {
        for (index, postings) in self.0.iter_mut().enumerate() {
            let Some(key) = T::INDEXES.as_slice()[index].key(record) else { continue };
            let hashed = hash(&postings.state, key);
            match postings.table.find_mut(hashed, |(known, _)| known.as_key() == key) {
                Some((_, known)) => enter(known),
                None => enter(postings.admit(hashed, key)),
            }
        }
    }

    /// Calls `leave` with the postings of each of the record's keys. If it returns true, the
    /// postings are empty, and the key is removed.
    #[inline]
    pub fn leave<T: Signal>(&mut self, record: &T, mut leave: impl FnMut(&mut P) -> bool) {
        for (index, Postings { table, state, spare }) in self.0.iter_mut().enumerate() {
            let Some(key) = T::INDEXES.as_slice()[index].key(record) else { continue };
            if let Ok(mut entry) =
                table.find_entry(hash(state, key), |(known, _)| known.as_key() == key)
                && leave(&mut entry.get_mut().1)
            {
                let ((_, emptied), _) = entry.remove();
                if spare.len() < SPARE {
                    spare.push(emptied);
                }
            }
        }
    }

    #[inline]
    pub fn get(&self, index: usize, key: Key<'_>) -> Option<&P> {
        let Postings { table, state, .. } = &self.0[index];
        table
            .find(hash(state, key), |(known, _)| known.as_key() == key)
            .map(|(_, postings)| postings)
    }

    /// Iterates over the keys of an index, with their postings.
    pub fn of(&self, index: usize) -> impl Iterator<Item = &(KeyBuf, P)> {
        self.0[index].table.iter()
    }
}

#[inline(always)]
fn hash(state: &RandomState, key: Key<'_>) -> u64 {
    let mut hasher = state.build_hasher();
    write(key, &mut hasher);
    hasher.finish()
}

#[inline(always)]
fn write(key: Key<'_>, hasher: &mut impl Hasher) {
    match key {
        Key::Int(number) => hasher.write_u64(number),
        Key::Id(id) => hasher.write_u128(id),
        Key::Text(text) => hasher.write(text.as_bytes()),
        Key::Bytes(bytes) => hasher.write(bytes),
        other => panic!("a key of a new kind: {other:?}"),
    }
}

/// A key, borrowed or owned. A map of owned keys can be queried by `dyn AsKey` without an owned
/// key, which `Borrow` alone would not allow, since it only lends references.
pub trait AsKey {
    fn as_key(&self) -> Key<'_>;
}

impl AsKey for KeyBuf {
    #[inline]
    fn as_key(&self) -> Key<'_> {
        KeyBuf::as_key(self)
    }
}

impl AsKey for Key<'_> {
    #[inline]
    fn as_key(&self) -> Key<'_> {
        *self
    }
}

/// An owned key in a map that is queried with borrowed keys.
#[derive(Clone, Debug)]
pub struct Owned(pub KeyBuf);

impl<'a> Borrow<dyn AsKey + 'a> for Owned {
    #[inline]
    fn borrow(&self) -> &(dyn AsKey + 'a) {
        &self.0
    }
}

impl Hash for dyn AsKey + '_ {
    #[inline]
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        write(self.as_key(), hasher);
    }
}

impl PartialEq for dyn AsKey + '_ {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.as_key() == other.as_key()
    }
}

impl Eq for dyn AsKey + '_ {}

impl Hash for Owned {
    #[inline]
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        write(self.0.as_key(), hasher);
    }
}

impl PartialEq for Owned {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Owned {}
