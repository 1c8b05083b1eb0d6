//! A table of a directory: a hash table from a key's fingerprint to the place of the newest record
//! with that key.
//!
//! It has one writer at a time, and readers never wait.
//!
//! The table uses open addressing over atomic words, in lines of eight. A word holds a place, and
//! above it the tag: the bits of the fingerprint that tell its key from others in the same line. An
//! entry therefore changes in one store, and no reader sees half of one. A table never grows, moves
//! or is freed before its index; see [`Directory`](super::directory::Directory) for how a directory
//! grows. The system zeroes its pages on first use.
//!
//! A key is in its home line or, if that was full, in one of the lines after it. Each line counts
//! the keys that have overflowed it, as in F14 (Nathan Bronson and Xiao Shi, *Open-sourcing F14 for
//! faster, more memory-efficient hash tables*, 2019). A search reads whole lines and ends at the
//! first line that has an empty word. A removed word may therefore become empty only if no key has
//! overflowed its line. Otherwise it becomes a tombstone until the last such key is removed. In
//! either case a concurrent search misses no key.
//!
//! A bit for each line tells whether it has entries. So a list of all keys costs little where the
//! keys are few, however large the table is.

use crate::engine::tuning::NEAR_LINES;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::reserve::{Reserved, Zeroed, reserve, reserve_zeroed};
use crate::sync::{AtomicU64, Ordering, Tally, load_as_writer, prefetch_to_write};
use std::collections::TryReserveError;

const EMPTY: u64 = 0;
const TOMBSTONE: u64 = 1;

/// Number of words in a line.
pub(super) const LINE: usize = if cfg!(loom) { 2 } else { 8 };

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
pub(super) struct Table {
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

impl Table {
    /// Creates a table of this many lines, whose words hold places of this many bits.
    pub(super) fn new(lines: usize, place_bits: u32) -> Result<Self, TryReserveError> {
        Ok(Self {
            lines: reserve_zeroed(lines)?,
            overflows: reserve_zeroed(lines)?,
            occupied: reserve(lines.div_ceil(u64::BITS as usize), || AtomicU64::new(0))?,
            place_bits,
        })
    }

    /// Returns the bytes of the table, whether or not they have been touched.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.lines) + size_of_val(&*self.overflows) + size_of_val(&*self.occupied)
    }

    /// Returns the number of words.
    #[inline]
    pub(super) fn words(&self) -> usize {
        self.lines.len() * LINE
    }

    /// Returns the number of lines.
    #[inline]
    pub(super) fn lines(&self) -> usize {
        self.lines.len()
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

    /// Returns the place in one of the table's words, for the writer.
    #[inline(always)]
    pub(super) fn place_in(&self, word: &AtomicU64) -> usize {
        self.place(load_as_writer(word))
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

    /// Finds the word with the fingerprint's tag, and returns it with the number of its line.
    ///
    /// A line that does not have the tag is read a second time, to see whether it has an empty
    /// word. No key that stays is missed for that: a key in a later line counts here as overflowed,
    /// and as long as it does, no word of this line becomes empty.
    #[inline(always)]
    fn find_with(
        &self,
        print: u64,
        load: impl Fn(&AtomicU64) -> u64,
    ) -> Option<(usize, &AtomicU64)> {
        let (tag, tag_bits, mut line) = (self.tag(print), self.tag_bits(), self.home(print));
        for _ in 0..self.lines.len() {
            let words = &self.lines[line];
            if let Some(at) = words.first(|word| load(word) & tag_bits == tag) {
                return Some((line, &words.0[at]));
            }
            if words.first(|word| load(word) == EMPTY).is_some() {
                return None;
            }
            line = self.after(line);
        }
        None
    }

    /// Returns the place of the newest record with this fingerprint, or with another one that has
    /// the same tag and home line, and the word that led there, as it was found.
    ///
    /// Finds what was indexed before the caller's Acquire load of `indexed`, unless it has been
    /// evicted since. Wait-free: at most one pass over the table.
    #[inline(always)]
    pub(super) fn entry(&self, print: u64) -> Option<(usize, &AtomicU64, u64)> {
        // Acquire pairs with the Releases in `raise` and `add`: a reader that sees a place sees
        // the link of the record there. It also pairs with the Releases in `remove_word` and
        // `undo_overflow`.
        let load = |word: &AtomicU64| word.load(Ordering::Acquire);
        // A compiler loads this anew after each load with Acquire, and it does not change.
        let (tag, tag_bits) = (self.tag(print), self.tag_bits());
        let (_, word) = self.find_with(print, load)?;
        // The word may have been overwritten since it was found. If it has another key's tag by
        // now, this key's last record has been evicted in between. A newer one, entered into
        // another word since, was indexed after the caller's load of `indexed`: the caller looks
        // through what follows that by itself.
        let found = load(word);
        (found & tag_bits == tag).then_some(((found & !tag_bits) as usize, word, found))
    }

    /// Calls `visit` with the place of every entry that was indexed before the caller's Acquire
    /// load of `indexed` and has stayed since, and possibly of others. O(entries + lines / 64).
    #[inline]
    pub(super) fn for_each_place(&self, mut visit: impl FnMut(usize)) {
        self.for_each_word(|_, found| visit(self.place(found)));
    }

    /// Calls `visit` with every word that has an entry, and with that entry.
    #[inline]
    fn for_each_word(&self, mut visit: impl FnMut(&AtomicU64, u64)) {
        // Acquire pairs with the Releases in `raise` and `add`: a reader that sees a place sees
        // the head of the record there.
        let load = |word: &AtomicU64| word.load(weaken(Ordering::Acquire, Fault::ListedRelaxed));
        for (lines, occupied) in self.lines.chunks(u64::BITS as usize).zip(&self.occupied) {
            // Relaxed: the bit of a line was set before `indexed` was raised over the line's entry,
            // and stays while the line has an entry.
            let mut bits = occupied.load(Ordering::Relaxed);
            while bits != 0 {
                let line = &lines[bits.trailing_zeros() as usize];
                bits &= bits - 1;
                for word in &line.0 {
                    let found = load(word);
                    if found > TOMBSTONE {
                        visit(word, found);
                    }
                }
            }
        }
    }

    /// Calls `look` with the place of every entry, as [`for_each_place`](Self::for_each_place) does.
    /// It returns the fingerprint of the record there. If that is not the entry's, the entry has
    /// changed since, and is looked at again. So it is if it is the same again: the key's newest
    /// record may have come to the same place once more, a turn of the ring later.
    ///
    /// Returns whether each entry led to a record of its key.
    #[inline]
    pub(super) fn for_each_newest(&self, mut look: impl FnMut(usize) -> Option<u64>) -> bool {
        let mut all = true;
        self.for_each_word(|word, mut found| {
            let mut unchanged = 0;
            while found > TOMBSTONE {
                let print = look(self.place(found));
                if print.is_some_and(|print| self.tag(print) == found & self.tag_bits()) {
                    return;
                }
                // Acquire, as in `for_each_word`. It also pairs with the Release in `remove_word`:
                // the slot was written again after the entry had been removed or changed.
                let again = word.load(weaken(Ordering::Acquire, Fault::ListedRelaxed));
                unchanged = if again == found { unchanged + 1 } else { 0 };
                if unchanged == 2 || planted(Fault::EntryListedOnce) {
                    all = false;
                    return;
                }
                found = again;
            }
        });
        all
    }

    /// Prefetches the home lines of these fingerprints, if the table is too large for near caches.
    #[inline]
    pub(super) fn prefetch(&self, prints: impl Iterator<Item = u64>) {
        if self.lines.len() > NEAR_LINES {
            prints.for_each(|print| prefetch_to_write(&self.lines[self.home(print)]));
        }
    }

    // --- the writer ---

    /// Finds the word with the fingerprint's tag, for the writer.
    #[inline(always)]
    pub(super) fn find(&self, print: u64) -> Option<&AtomicU64> {
        self.find_with(print, load_as_writer).map(|(_, word)| word)
    }

    /// Overwrites a word that was found, when a newer record of its key is indexed.
    #[inline(always)]
    pub(super) fn raise(&self, found: &AtomicU64, print: u64, place: usize) {
        // Release pairs with the Acquire in `entry`: the link is written before.
        let word = self.tag(print) | place as u64;
        found.store(word, weaken(Ordering::Release, Fault::RaisedRelaxed));
    }

    /// Adds a word for a fingerprint that has none, whose newest record is at this place.
    pub(super) fn add(&self, print: u64, place: usize) {
        let word = self.tag(print) | place as u64;
        let mut line = self.home(print);
        for _ in 0..self.lines.len() {
            if let Some(at) = self.lines[line].first(|found| load_as_writer(found) <= TOMBSTONE) {
                // Release pairs with the Acquire in `entry`, as in `raise`.
                self.lines[line].0[at].store(word, weaken(Ordering::Release, Fault::RaisedRelaxed));
                self.set_occupied(line, true);
                return;
            }
            let overflows = &self.overflows[line];
            overflows.set(overflows.get().saturating_add(1));
            line = self.after(line);
        }
        // The directory keeps a word free for each key, so the table is never full for the current
        // holder of the indexer lock. A holder whose lock was taken over can get here. What it
        // writes is not used.
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
    pub(super) fn remove(&self, print: u64, place: usize) -> bool {
        match self.find_with(print, load_as_writer) {
            Some((line, word)) if self.place_in(word) == place => {
                if !planted(Fault::EntryNotRemoved) {
                    self.remove_word(print, line, word);
                }
                true
            }
            _ => false,
        }
    }

    /// Removes a word, and the key from the counts of the lines that it has overflowed.
    #[inline]
    fn remove_word(&self, print: u64, line: usize, word: &AtomicU64) {
        // Release pairs with the Acquire in `entry`. A reader may follow a word to a slot that
        // holds another key's record by now. It then searches again (`Index::newest`) and has to
        // see that the word is gone.
        let gone = if self.overflows[line].get() == 0 { EMPTY } else { TOMBSTONE };
        word.store(gone, Ordering::Release);
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
                // Release pairs with the Acquire in `entry`, as in `remove_word`: a reader may
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

    fn of_places(places: usize) -> Table {
        Table::new(places.div_ceil(5) + 1, usize::BITS - places.leading_zeros()).unwrap()
    }

    /// Inserts or raises, and returns the place before.
    fn insert(table: &Table, print: u64, place: usize) -> Option<usize> {
        let Some(word) = table.find(print) else {
            table.add(print, place);
            return None;
        };
        let before = table.place_in(word);
        table.raise(word, print, place);
        Some(before)
    }

    fn places_of(table: &Table) -> Vec<usize> {
        let mut places = Vec::new();
        table.for_each_place(|place| places.push(place));
        places
    }

    fn newest(table: &Table, print: u64) -> Option<usize> {
        table.entry(print).map(|(place, ..)| place)
    }

    /// Checks the table against a model and against the module documentation.
    fn check(table: &Table, model: &HashMap<u64, usize>, all: &[u64]) {
        for &print in all {
            assert_eq!(newest(table, print), model.get(&print).copied(), "{print:#x}");
        }
        let mut places = places_of(table);
        let mut expected: Vec<usize> = model.values().copied().collect();
        places.sort_unstable();
        expected.sort_unstable();
        assert_eq!(places, expected);
        let mut overflows = vec![0; table.lines.len()];
        for &print in model.keys() {
            let (mut line, end) =
                (table.home(print), table.find_with(print, load_as_writer).unwrap().0);
            while line != end {
                overflows[line] += 1;
                line = table.after(line);
            }
        }
        for (line, &overflows) in overflows.iter().enumerate() {
            assert_eq!(table.overflows[line].get(), overflows);
            let bits = load_as_writer(&table.occupied[line / 64]);
            let has_entries = table.lines[line].first(|word| load_as_writer(word) > TOMBSTONE);
            assert_eq!(bits >> (line % 64) & 1 == 1, has_entries.is_some(), "line {line}");
            let words: Vec<u64> = table.lines[line].0.iter().map(load_as_writer).collect();
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
            let table = of_places(places);
            let bits = table.place_bits;
            let all: Vec<u64> = (0..60).map(|n: u64| n << bits | ((1 << bits) - 1 - n % 3)).collect();
            let mut model = HashMap::new();
            for (key, enters) in steps {
                let print = all[key];
                if enters {
                    let before = model.insert(print, key);
                    assert_eq!(insert(&table, print, key), before);
                } else {
                    assert!(!table.remove(print, places + 1), "another record is the newest: its entry stays");
                    assert_eq!(table.remove(print, key), model.remove(&print).is_some());
                }
                check(&table, &model, &all);
            }
            table.clear();
            check(&table, &HashMap::new(), &all);
        }
    }

    #[test]
    fn a_full_ring_has_an_entry_for_every_key() {
        for places in [1, 2, 7, 8, 100, 10_000] {
            let table = of_places(places);
            let print = |place: usize| (place as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 2;
            assert!((0..places).all(|place| insert(&table, print(place), place).is_none()));
            assert!((0..places).all(|place| newest(&table, print(place)) == Some(place)));
            assert_eq!(places_of(&table).len(), places);
            assert!(table.bytes() >= places * 8);
            assert!((0..places).all(|place| table.remove(print(place), place)));
            assert_eq!(places_of(&table).len(), 0);
            assert!(table.overflows.iter().all(|overflows| overflows.get() == 0));
        }
    }
}
