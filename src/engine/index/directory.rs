//! A directory: finds the newest record with a key by the key's fingerprint, in a table that grows
//! with the number of keys.
//!
//! Most indexes of a full store have few keys: services, names, types. A table for as many keys as
//! the ring has places would take 13 bytes for each record and index. So a directory begins with a
//! small table. When that is full, the holder of the indexer lock enters all keys into one four
//! times as large, and puts it into use by one store. The last table has room for as many keys as
//! the ring has places. Former tables stay as they were, since readers may still search them, until
//! the index is freed. They take a third of the last one at most.
//!
//! A reader that searches a former table finds what the directory held when the next one was put
//! into use. It loads which table is in use once more when it has followed the entry, as it does for
//! an entry that may have changed ([`Index::newest`](super::Index::newest)). If the entry's slot had
//! been written again by then, that load would find a later table: the larger table was put into use
//! before the record was evicted, and the record was evicted before its slot was written.
//!
//! **Which keys share an entry.** A word stands for every fingerprint with the same tag and home
//! line. In a small table, the line says less of the fingerprint than in a large one, and two keys
//! that share an entry there would have two entries later, of which one would be missing. So the
//! writer compares whole fingerprints while the table can still grow, and goes to the last table if
//! they differ.

use super::fingerprint::NO_KEY;
use super::table::Table;
use crate::engine::tuning::{FEWEST_LINES, GROWTH, KEYS_PER_LINE};
use crate::sync::fault::{Fault, weaken};
use crate::sync::reserve::reserve;
use crate::sync::{AtomicU64, CachePadded, Count, Ordering, load_as_writer};
use std::collections::TryReserveError;
use std::sync::OnceLock;

#[derive(Debug)]
pub(crate) struct Directory {
    first: Table,
    /// The tables after the first, empty until they are needed.
    larger: Box<[OnceLock<Table>]>,
    /// The number of the table in use. Only grows.
    current: AtomicU64,
    /// The number of entries. Only the writer reads this.
    keys: Count,
    /// Number of keys that were ever added. Readers look at it where they read little else.
    additions: CachePadded<AtomicU64>,
    /// The number of lines of the last table.
    most_lines: usize,
    /// Number of low bits of a word that hold the place.
    place_bits: u32,
}

/// An entry as a reader has found it.
pub(super) struct Entry<'a> {
    directory: &'a Directory,
    /// The number of the table that has it.
    table: u64,
    word: &'a AtomicU64,
    found: u64,
}

impl Entry<'_> {
    /// Returns whether the entry has not changed since, and is in the table that is in use.
    #[inline]
    pub(super) fn is_same(&self) -> bool {
        // Relaxed: the caller has read the generation of the entry's slot with Acquire. If the slot
        // had been written again by then, its former record was evicted before, and so this entry
        // was removed or changed before, or a larger table was put into use. The load finds that.
        self.word.load(Ordering::Relaxed) == self.found && self.directory.current() == self.table
    }
}

/// The fingerprints of the records that have entries in one directory.
pub(super) trait Prints {
    /// Returns the fingerprint of the record at this place.
    fn at(&self, place: usize) -> u64;
    /// Called now and then during long work.
    fn progress(&self);
}

/// What the holder of the indexer lock enters records into a directory with. Exists while the
/// holder enters one batch, so that the table in use is looked up once.
#[derive(Debug)]
pub(super) struct DirectoryWriter<'a, P> {
    directory: &'a Directory,
    table: &'a Table,
    can_grow: bool,
    prints: P,
}

impl Directory {
    /// Creates a directory for a ring of this many places.
    pub(crate) fn new(places: usize) -> Result<Self, TryReserveError> {
        let most_lines = places.div_ceil(KEYS_PER_LINE) + 1;
        let (mut lines, mut larger) = (most_lines, 0);
        while lines / GROWTH >= FEWEST_LINES {
            (lines, larger) = (lines / GROWTH, larger + 1);
        }
        let place_bits = usize::BITS - places.leading_zeros();
        Ok(Self {
            first: Table::new(lines, place_bits)?,
            larger: reserve(larger, OnceLock::new)?,
            current: AtomicU64::new(0),
            keys: Count::default(),
            additions: CachePadded::new(AtomicU64::new(0)),
            most_lines,
            place_bits,
        })
    }

    /// Returns the bytes of the tables, whether or not they have been touched.
    pub(crate) fn bytes(&self) -> usize {
        let tables = (0..=self.current()).map(|number| self.table(number).bytes());
        size_of_val(&*self.larger) + tables.sum::<usize>()
    }

    /// Removes all entries, before the index is put into use again.
    pub(super) fn clear(&self) {
        self.table_as_writer().clear();
        self.keys.set(0);
    }

    /// Returns the table of this number, which has been in use.
    #[inline(always)]
    fn table(&self, number: u64) -> &Table {
        let larger = (number as usize).checked_sub(1).and_then(|at| self.larger.get(at)?.get());
        larger.unwrap_or(&self.first)
    }

    /// Returns the number of the table in use.
    #[inline(always)]
    fn current(&self) -> u64 {
        // Acquire pairs with the Release in `grow`: the table's entries are visible.
        self.current.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn table_as_writer(&self) -> &Table {
        self.table(load_as_writer(&self.current))
    }

    /// Returns what identifies the fingerprint's entry: its home line and its tag.
    pub(super) fn entry_of(&self, print: u64) -> (usize, u64) {
        self.table(self.current()).entry_of(print)
    }

    /// Returns the place of the newest record with this fingerprint, or with another one that has
    /// the same tag and home line, and what tells whether the entry is still the same.
    ///
    /// Finds what was indexed before the caller's Acquire load of `indexed`, unless it has been
    /// evicted since. Wait-free: at most one pass over a table.
    #[inline(always)]
    pub(super) fn entry(&self, print: u64) -> Option<(usize, Entry<'_>)> {
        let table = self.current();
        let (place, word, found) = self.table(table).entry(print)?;
        Some((place, Entry { directory: self, table, word, found }))
    }

    /// Calls `visit` with the place of every entry that was indexed before the caller's Acquire
    /// load of `indexed` and has stayed since, and possibly of others. O(entries + lines / 64).
    #[inline]
    pub(crate) fn for_each_place(&self, visit: impl FnMut(usize)) {
        // A table that has been replaced meanwhile has the newest record that each key had then.
        // If that was evicted since, so were the key's older records.
        self.table(self.current()).for_each_place(visit);
    }

    /// Calls `look` with the place of every entry, as [`for_each_place`](Self::for_each_place) does.
    /// It returns the fingerprint of the record there. If that is not the entry's, the entry has
    /// changed since, and is looked at again. If the table has been replaced since, all entries are.
    ///
    /// Returns whether each entry led to a record of its key.
    #[inline]
    pub(super) fn for_each_newest(&self, mut look: impl FnMut(usize) -> Option<u64>) -> bool {
        loop {
            let number = self.current();
            // An entry of a former table stays as it was, so it may lead to another key's record
            // though its own key has stayed. The table is replaced a few times at most.
            let all = self.table(number).for_each_newest(&mut look);
            if all || self.current() == number {
                return all;
            }
        }
    }

    /// Returns how many keys were ever added. The entries of those that are still there are visible
    /// to the caller.
    ///
    /// A caller that has loaded `indexed` with Acquire finds each addition counted that was made for
    /// a record below.
    #[inline]
    pub(crate) fn additions(&self) -> u64 {
        // Acquire pairs with the Release in `DirectoryWriter::insert`.
        self.additions.load(Ordering::Acquire)
    }

    // --- the writer ---

    /// Returns what the holder of the indexer lock enters records with. `prints` are the
    /// fingerprints of this index.
    #[inline]
    pub(super) fn writer<P>(&self, prints: P) -> DirectoryWriter<'_, P> {
        let number = load_as_writer(&self.current);
        let table = self.table(number);
        let can_grow = (number as usize) < self.larger.len();
        DirectoryWriter { directory: self, table, can_grow, prints }
    }

    /// Enters all keys into the table of this number, and puts it into use. Returns false if there
    /// is no memory for it. O(keys), and once for each table.
    #[cold]
    #[inline(never)]
    fn grow(&self, number: u64, prints: &impl Prints) -> bool {
        let Some(larger) = self.larger.get(number as usize - 1) else { return false };
        if larger.get().is_none() {
            let lines = self.most_lines / GROWTH.pow((self.larger.len() - number as usize) as u32);
            let Ok(table) = Table::new(lines, self.place_bits) else { return false };
            // The index has one writer, so no other thread has set it.
            let _ = larger.set(table);
        }
        let table = self.table(number);
        self.table_as_writer().for_each_place(|place| {
            let print = prints.at(place);
            prints.progress();
            table.add(print, place);
        });
        // Release pairs with the Acquire in `current`.
        self.current.store(number, weaken(Ordering::Release, Fault::GrownRelaxed));
        true
    }
}

impl<P> DirectoryWriter<'_, P> {
    /// Prefetches the home lines of these fingerprints, if the table is too large for near caches.
    #[inline]
    pub(super) fn prefetch(&self, prints: impl Iterator<Item = u64>) {
        self.table.prefetch(prints);
    }

    /// Removes a fingerprint if its newest record is the one at this place, which is being evicted.
    ///
    /// Returns whether it was.
    #[inline]
    pub(super) fn remove(&self, print: u64, place: usize) -> bool {
        let removed = print != NO_KEY && self.table.remove(print, place);
        if removed {
            let keys = &self.directory.keys;
            keys.set(keys.get().saturating_sub(1));
        }
        removed
    }
}

impl<'a, P: Prints> DirectoryWriter<'a, P> {
    /// Returns whether this many keys find room, and grows if need be. False only if there is no
    /// memory for a larger table.
    #[inline]
    pub(super) fn has_room(&mut self, keys: usize) -> bool {
        !self.can_grow
            || self.directory.keys.get() as usize + keys <= self.table.words()
            || self.grow_to(load_as_writer(&self.directory.current) + 1)
    }

    /// Inserts the newest record of a fingerprint.
    ///
    /// `link` is called with the place of the former newest record, if there is one. It runs before
    /// any reader can find the new record in this directory.
    #[inline(always)]
    pub(super) fn insert(&mut self, print: u64, place: usize, link: impl FnOnce(Option<usize>)) {
        let mut found = self.table.find(print);
        if self.can_grow && self.has_to_grow(print, found) {
            found = self.grown(print, found);
        }
        match found {
            Some(word) => {
                link(Some(self.table.place_in(word)));
                self.table.raise(word, print, place);
            }
            None => {
                link(None);
                self.table.add(print, place);
                let Directory { keys, additions, .. } = self.directory;
                keys.set(keys.get() + 1);
                // Release pairs with the Acquire in `Directory::additions`: a reader that finds the
                // key counted finds its entry.
                let release = weaken(Ordering::Release, Fault::AdditionRelaxed);
                additions.store(load_as_writer(additions) + 1, release);
            }
        }
    }

    /// Returns whether the directory has to grow before the fingerprint is entered, for which this
    /// word was found.
    #[inline(always)]
    fn has_to_grow(&self, print: u64, found: Option<&AtomicU64>) -> bool {
        match found {
            Some(word) => self.prints.at(self.table.place_in(word)) != print,
            None => self.directory.keys.get() as usize >= self.table.lines() * KEYS_PER_LINE,
        }
    }

    /// Grows: to the next table, or to the last one if a fingerprint has found the word of another
    /// one. Returns the word of the fingerprint then.
    #[cold]
    #[inline(never)]
    fn grown(&mut self, print: u64, found: Option<&'a AtomicU64>) -> Option<&'a AtomicU64> {
        let number = match found {
            Some(_) => self.directory.larger.len() as u64,
            None => load_as_writer(&self.directory.current) + 1,
        };
        if self.grow_to(number) { self.table.find(print) } else { found }
    }

    #[cold]
    fn grow_to(&mut self, number: u64) -> bool {
        let grown = self.directory.grow(number, &self.prints);
        if grown {
            self.table = self.directory.table(number);
            self.can_grow = (number as usize) < self.directory.larger.len();
        }
        grown
    }
}

#[cfg(all(test, not(loom)))]
impl Directory {
    fn newest(&self, print: u64) -> Option<usize> {
        self.entry(print).map(|(place, _)| place)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
