//! A directory: a hash table from a key's fingerprint to the place of the newest record with that
//! key.
//!
//! It has one writer at a time, and readers never wait.
//!
//! The table uses open addressing over atomic words, in lines of eight. A word holds a place, and
//! above it the tag: the bits of the fingerprint that tell its key from others in the same line. An
//! entry therefore changes in one store, and no reader sees half of one. A ring has no more keys
//! than slots, and the table has room for that many from the start. It never grows, moves or is
//! freed before its index. The system zeroes its pages on first use.
//!
//! A key is in its home line or, if that was full, in one of the lines after it. Each line counts
//! the keys that have overflowed it, as in F14 (Nathan Bronson and Xiao Shi, *Open-sourcing F14 for
//! faster, more memory-efficient hash tables*, 2019). A search reads whole lines and ends at the
//! first line that has an empty word. A removed word may therefore become empty only if no key has
//! overflowed its line. Otherwise it becomes a tombstone until the last such key is removed. In
//! either case a concurrent search misses no key.
//!
//! A bit for each line tells whether it has entries. So a list of all keys costs little where the
//! keys are few, however large the ring is.

use super::fingerprint::NO_KEY;
use crate::engine::tuning::NEAR_LINES;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::reserve::{Reserved, Zeroed, reserve, reserve_zeroed};
use crate::sync::{AtomicU64, Ordering, Tally, load_as_writer, prefetch_to_write};
use std::collections::TryReserveError;

const EMPTY: u64 = 0;
const TOMBSTONE: u64 = 1;

/// Number of words in a line.
const LINE: usize = if cfg!(loom) { 2 } else { 8 };

/// Number of keys for each line of the table.
///
/// Where keys are many, a line is full by chance. With five keys for eight words, one line in
/// fifteen is full; with four, as in a ring whose indexer keeps up, one in fifty.
const KEYS_PER_LINE: usize = if cfg!(loom) { 1 } else { 5 };

#[derive(Debug)]
#[repr(align(64))]
struct Line([AtomicU64; LINE]);

// SAFETY: The only field is an array of atomic integers. Zero bytes are a valid value of it: all
// `EMPTY`, which is 0, as `zeroed` returns.
unsafe impl Zeroed for Line {
    fn zeroed() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(EMPTY)))
    }
}

#[derive(Debug)]
pub(crate) struct Directory {
    lines: Reserved<Line>,
    /// For each line, how many keys have overflowed it. Only the writer reads this. A counter that
    /// has reached its greatest value stays there, and its line keeps its tombstones.
    overflows: Reserved<Tally>,
    /// For each line, a bit that is set while the line has an entry.
    occupied: Box<[AtomicU64]>,
    /// Number of low bits of a word that hold the place.
    place_bits: u32,
}

impl Line {
    /// Returns the position of the first word for which `holds` is true.
    ///
    /// Which one that is can't be predicted, so the loop has no branches.
    #[inline(always)]
    fn first(&self, holds: impl Fn(&AtomicU64) -> bool) -> Option<usize> {
        let mut first = LINE;
        for (at, word) in self.0.iter().enumerate().rev() {
            first = if holds(word) { at } else { first };
        }
        (first < LINE).then_some(first)
    }
}

impl Directory {
    /// Creates a directory for a ring of this many places.
    pub(crate) fn new(places: usize) -> Result<Self, TryReserveError> {
        let lines = places.div_ceil(KEYS_PER_LINE) + 1;
        Ok(Self {
            lines: reserve_zeroed(lines)?,
            overflows: reserve_zeroed(lines)?,
            occupied: reserve(lines.div_ceil(u64::BITS as usize), || AtomicU64::new(0))?,
            place_bits: usize::BITS - places.leading_zeros(),
        })
    }

    /// Returns the bytes of the table, whether or not they have been touched.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.lines) + size_of_val(&*self.overflows) + size_of_val(&*self.occupied)
    }

    /// Removes all entries, before the index is put into use again.
    pub(super) fn clear(&self) {
        for word in
            self.lines.iter().flat_map(|line| &line.0).filter(|word| load_as_writer(word) != EMPTY)
        {
            // Relaxed: `IndexPool::replace` publishes the cleared index with Release, and its fence
            // makes readers of the former use notice.
            word.store(EMPTY, Ordering::Relaxed);
        }
        self.overflows.iter().for_each(|overflows| overflows.set(0));
        // Relaxed, for the same reason.
        self.occupied.iter().for_each(|lines| lines.store(0, Ordering::Relaxed));
    }

    /// Returns the bits of a word that hold the tag.
    #[inline(always)]
    fn tag_bits(&self) -> u64 {
        u64::MAX << self.place_bits
    }

    /// Returns the tag of a fingerprint, in its position. It differs from that of `EMPTY` and
    /// `TOMBSTONE`.
    #[inline(always)]
    fn tag(&self, print: u64) -> u64 {
        print & self.tag_bits() | 1 << 63
    }

    #[inline(always)]
    fn place(&self, word: u64) -> usize {
        (word & !self.tag_bits()) as usize
    }

    /// Returns the fingerprint's home line, which the bits that the tag leaves out select.
    #[inline(always)]
    fn home(&self, print: u64) -> usize {
        let bits = u128::from(print.rotate_right(self.place_bits));
        ((bits * self.lines.len() as u128) >> 64) as usize
    }

    /// Returns what identifies the fingerprint's entry: its home line and its tag.
    pub(super) fn entry_of(&self, print: u64) -> (usize, u64) {
        (self.home(print), self.tag(print))
    }

    /// Returns the line after this one, around the end of the table.
    #[inline]
    fn after(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    /// Finds the word with the fingerprint's tag, and returns its line and its position there.
    ///
    /// A line that does not have the tag is read a second time, to see whether it has an empty
    /// word. No key that stays is missed for that: a key in a later line counts here as overflowed,
    /// and as long as it does, no word of this line becomes empty.
    #[inline(always)]
    fn find(&self, print: u64, load: impl Fn(&AtomicU64) -> u64) -> Option<(usize, usize)> {
        let (tag, tag_bits, mut line) = (self.tag(print), self.tag_bits(), self.home(print));
        for _ in 0..self.lines.len() {
            let words = &self.lines[line];
            if let Some(at) = words.first(|word| load(word) & tag_bits == tag) {
                return Some((line, at));
            }
            if words.first(|word| load(word) == EMPTY).is_some() {
                return None;
            }
            line = self.after(line);
        }
        None
    }

    /// Returns the place of the newest record with this fingerprint, or with another one that has
    /// the same tag and home line.
    ///
    /// Finds what was indexed before the caller's Acquire load of `indexed`, unless it has been
    /// evicted since. Wait-free: at most one pass over the table.
    #[inline]
    pub(crate) fn newest(&self, print: u64) -> Option<usize> {
        // Acquire pairs with the Releases in `insert` and `add`: a reader that sees a place sees
        // the link of the record there. It also pairs with the Releases in `remove_word` and
        // `undo_overflow`.
        let load = |word: &AtomicU64| word.load(Ordering::Acquire);
        let (line, at) = self.find(print, load)?;
        // The word may have been overwritten since it was found. If it has another key's tag by
        // now, this key's last record has been evicted in between. A newer one, entered into
        // another word since, was indexed after the caller's load of `indexed`: the caller looks
        // through what follows that by itself.
        let word = load(&self.lines[line].0[at]);
        (word & self.tag_bits() == self.tag(print)).then(|| self.place(word))
    }

    /// Calls `visit` with the place of every entry that was indexed before the caller's Acquire
    /// load of `indexed` and has stayed since, and possibly of others. O(entries + lines / 64).
    #[inline]
    pub(crate) fn for_each_place(&self, mut visit: impl FnMut(usize)) {
        // Acquire pairs with the Releases in `insert` and `add`: a reader that sees a place sees
        // the head of the record there.
        let load = |word: &AtomicU64| word.load(weaken(Ordering::Acquire, Fault::ListedRelaxed));
        for (lines, occupied) in self.lines.chunks(u64::BITS as usize).zip(&self.occupied) {
            // Relaxed: the bit of a line was set before `indexed` was raised over the line's entry,
            // and stays while the line has an entry.
            let mut bits = occupied.load(Ordering::Relaxed);
            while bits != 0 {
                let line = &lines[bits.trailing_zeros() as usize];
                bits &= bits - 1;
                for word in line.0.iter().map(load).filter(|&word| word > TOMBSTONE) {
                    visit(self.place(word));
                }
            }
        }
    }

    /// Prefetches the home lines of these fingerprints, if the table is too large for near caches.
    #[inline]
    pub(crate) fn prefetch(&self, prints: impl Iterator<Item = u64>) {
        if self.lines.len() > NEAR_LINES {
            prints.for_each(|print| prefetch_to_write(&self.lines[self.home(print)]));
        }
    }

    // --- the writer ---

    /// Inserts the newest record of a fingerprint.
    ///
    /// `link` is called with the place of the former newest record, if there is one. It runs before
    /// any reader can find the new record in this directory.
    #[inline]
    pub(crate) fn insert(&self, print: u64, place: usize, link: impl FnOnce(Option<usize>)) {
        let word = self.tag(print) | place as u64;
        match self.find(print, load_as_writer) {
            Some((line, at)) => {
                let entry = &self.lines[line].0[at];
                link(Some(self.place(load_as_writer(entry))));
                // Release pairs with the Acquire in `newest`: the link is written before.
                entry.store(word, weaken(Ordering::Release, Fault::RaisedRelaxed));
            }
            None => {
                link(None);
                self.add(print, word);
            }
        }
    }
    /// Adds a word for a fingerprint that has none.
    fn add(&self, print: u64, word: u64) {
        let mut line = self.home(print);
        for _ in 0..self.lines.len() {
            if let Some(at) = self.lines[line].first(|found| load_as_writer(found) <= TOMBSTONE) {
                // Release pairs with the Acquire in `newest`, as in `insert`.
                self.lines[line].0[at].store(word, weaken(Ordering::Release, Fault::RaisedRelaxed));
                self.set_occupied(line, true);
                return;
            }
            let overflows = &self.overflows[line];
            overflows.set(overflows.get().saturating_add(1));
            line = self.after(line);
        }
        // There are more words than places, so the table is never full for the current holder of
        // the indexer lock. A holder whose lock was taken over can get here. What it writes is not
        // used.
    }

    /// Notes whether a line has entries.
    #[inline]
    fn set_occupied(&self, line: usize, occupied: bool) {
        let lines = &self.occupied[line / u64::BITS as usize];
        let (before, bit) = (load_as_writer(lines), 1 << (line % u64::BITS as usize));
        // Relaxed, as `for_each_place` explains.
        lines.store(if occupied { before | bit } else { before & !bit }, Ordering::Relaxed);
    }

    /// Removes a fingerprint if its newest record is the one at this place, which is being evicted.
    ///
    /// Returns whether it was.
    #[inline]
    pub(crate) fn remove(&self, print: u64, place: usize) -> bool {
        if print == NO_KEY {
            return false;
        }
        match self.find(print, load_as_writer) {
            Some((line, at)) if self.place(load_as_writer(&self.lines[line].0[at])) == place => {
                if !planted(Fault::EntryNotRemoved) {
                    self.remove_word(print, line, at);
                }
                true
            }
            _ => false,
        }
    }

    /// Removes a word, and the key from the counts of the lines that it has overflowed.
    #[inline]
    fn remove_word(&self, print: u64, line: usize, at: usize) {
        // Release pairs with the Acquire in `newest`. A reader may follow a word to a slot that
        // holds another key's record by now. It then searches again (`Index::newest`) and has to
        // see that the word is gone.
        let gone = if self.overflows[line].get() == 0 { EMPTY } else { TOMBSTONE };
        self.lines[line].0[at].store(gone, Ordering::Release);
        let has_others = |word: &AtomicU64| load_as_writer(word) > TOMBSTONE;
        if planted(Fault::LineGivenUp) || self.lines[line].first(has_others).is_none() {
            self.set_occupied(line, false);
        }
        let mut before = self.home(print);
        while before != line {
            self.undo_overflow(before);
            before = self.after(before);
        }
    }

    /// Counts that a key which has overflowed the line was removed.
    #[cold]
    fn undo_overflow(&self, line: usize) {
        let overflows = &self.overflows[line];
        if overflows.get() == u8::MAX {
            return;
        }
        overflows.set(overflows.get() - 1);
        if overflows.get() == 0 {
            for word in self.lines[line].0.iter().filter(|word| load_as_writer(word) == TOMBSTONE) {
                // Release pairs with the Acquire in `newest`, as in `remove_word`: a reader may
                // find this in place of the removed key.
                word.store(EMPTY, Ordering::Release);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn places_of(directory: &Directory) -> Vec<usize> {
        let mut places = Vec::new();
        directory.for_each_place(|place| places.push(place));
        places
    }

    /// Checks the table against a model and against the module documentation.
    fn check(directory: &Directory, model: &HashMap<u64, usize>, all: &[u64]) {
        for &print in all {
            assert_eq!(directory.newest(print), model.get(&print).copied(), "{print:#x}");
        }
        let mut places = places_of(directory);
        let mut expected: Vec<usize> = model.values().copied().collect();
        places.sort_unstable();
        expected.sort_unstable();
        assert_eq!(places, expected);
        let mut overflows = vec![0; directory.lines.len()];
        for &print in model.keys() {
            let (mut line, end) =
                (directory.home(print), directory.find(print, load_as_writer).unwrap().0);
            while line != end {
                overflows[line] += 1;
                line = directory.after(line);
            }
        }
        for (line, &overflows) in overflows.iter().enumerate() {
            assert_eq!(directory.overflows[line].get(), overflows);
            let bits = load_as_writer(&directory.occupied[line / 64]);
            let has_entries = directory.lines[line].first(|word| load_as_writer(word) > TOMBSTONE);
            assert_eq!(bits >> (line % 64) & 1 == 1, has_entries.is_some(), "line {line}");
            let words: Vec<u64> = directory.lines[line].0.iter().map(load_as_writer).collect();
            assert!(
                if overflows > 0 { !words.contains(&EMPTY) } else { !words.contains(&TOMBSTONE) },
                "{overflows} {words:?}"
            );
        }
    }

    proptest! {
        /// The keys have only the last three lines as homes, so that they overflow line after line
        /// and around the table's end.
        #[test]
        fn overflowing_lines_lose_no_key(
            steps in prop::collection::vec((0..60_usize, any::<bool>()), 1..400),
        ) {
            let places = 60;
            let directory = Directory::new(places).unwrap();
            let bits = directory.place_bits;
            let all: Vec<u64> = (0..60).map(|n: u64| n << bits | ((1 << bits) - 1 - n % 3)).collect();
            let mut model = HashMap::new();
            for (key, insert) in steps {
                let print = all[key];
                if insert {
                    let before = model.insert(print, key);
                    directory.insert(print, key, |found| assert_eq!(found, before));
                } else {
                    assert!(!directory.remove(print, places + 1), "another record is the newest: its entry stays");
                    assert_eq!(directory.remove(print, key), model.remove(&print).is_some());
                }
                check(&directory, &model, &all);
            }
            directory.clear();
            check(&directory, &HashMap::new(), &all);
        }
    }

    #[test]
    fn a_full_ring_has_an_entry_for_every_key() {
        for places in [1, 2, 7, 8, 100, 10_000] {
            let directory = Directory::new(places).unwrap();
            let print = |place: usize| (place as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 2;
            (0..places).for_each(|place| {
                directory.insert(print(place), place, |before| assert_eq!(before, None))
            });
            assert!((0..places).all(|place| directory.newest(print(place)) == Some(place)));
            assert_eq!(places_of(&directory).len(), places);
            assert!(directory.bytes() >= places * 8);
            assert!((0..places).all(|place| directory.remove(print(place), place)));
            assert_eq!(places_of(&directory).len(), 0);
            assert!(directory.overflows.iter().all(|overflows| overflows.get() == 0));
        }
    }
}
