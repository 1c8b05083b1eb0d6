//! A directory: which place of the ring holds the newest record of a key. One writer at a time; readers never wait.
//!
//! Open addressing over atomic words that never move, in lines of eight. A word has the place, and above it what of the
//! fingerprint tells its key from the others in its line. So an entry changes in one store, and no reader sees half of one.
//! A ring has no more keys than slots, so the table has room for all of them from the start: it never grows, moves or is
//! freed. Its pages are zeroed by the system when they are first used.
//!
//! A key lives in its home line or, where that was full, in one of the lines after it. Each line counts the keys that have
//! passed it over. A search looks at whole lines and ends at the first that has an empty word. So a removed word becomes empty
//! only if no key has passed its line over; else it becomes a tombstone, until the last such key has left. A reader that is
//! searching meanwhile misses nothing in either case.

use super::fingerprint::NO_KEY;
use crate::engine::tuning::NEAR_LINES;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::reserve::{Reserved, Zeroed, reserve_zeroed};
use crate::sync::{AtomicU64, Ordering, Tally, own, prefetch_to_write};
use std::collections::TryReserveError;

const EMPTY: u64 = 0;
const TOMB: u64 = 1;

/// Words in a line.
const LINE: usize = if cfg!(loom) { 2 } else { 8 };

/// Keys for which there is a line. A line is full by chance where keys are many; at five in eight of its words one in fifteen is, at
/// four, which a ring that keeps up has, one in fifty.
const KEYS_A_LINE: usize = if cfg!(loom) { 1 } else { 5 };

#[derive(Debug)]
#[repr(align(64))]
struct Line([AtomicU64; LINE]);

// SAFETY: atomic integers, for which zero bytes are the value 0.
unsafe impl Zeroed for Line {
    fn zeroed() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(EMPTY)))
    }
}

#[derive(Debug)]
pub(crate) struct Directory {
    lines: Reserved<Line>,
    /// For each line, how many keys have passed it over; the writer's own notes. One that has reached the greatest number stays
    /// there: the line then keeps its tombstones.
    passed: Reserved<Tally>,
    /// Bits of a word that say the place.
    place_bits: u32,
}

/// The first of a line's words for which this holds. Nobody can foretell which one that is, so there is no branch for each.
#[inline(always)]
fn first(words: [u64; LINE], holds: impl Fn(u64) -> bool) -> Option<usize> {
    let mut hits = 0;
    for (at, &word) in words.iter().enumerate() {
        hits |= u32::from(holds(word)) << at;
    }
    (hits != 0).then(|| hits.trailing_zeros() as usize % LINE)
}

impl Line {
    #[inline(always)]
    fn words(&self, look: impl Fn(&AtomicU64) -> u64) -> [u64; LINE] {
        std::array::from_fn(|at| look(&self.0[at]))
    }
}

impl Directory {
    /// For a ring of so many places.
    pub(crate) fn new(places: usize) -> Result<Self, TryReserveError> {
        let lines = places.div_ceil(KEYS_A_LINE) + 1;
        Ok(Self {
            lines: reserve_zeroed(lines)?,
            passed: reserve_zeroed(lines)?,
            place_bits: usize::BITS - places.leading_zeros(),
        })
    }

    /// Bytes of the table, used or not.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.lines) + size_of_val(&*self.passed)
    }

    /// Forgets everything. For whoever takes an index into use.
    pub(super) fn clear(&self) {
        for word in self.lines.iter().flat_map(|line| &line.0).filter(|word| own(word) != EMPTY) {
            word.store(EMPTY, Ordering::Relaxed);
        }
        self.passed.iter().for_each(|passed| passed.set(0));
    }

    /// The part of a word that tells a fingerprint: never that of an empty word or a tombstone.
    #[inline(always)]
    fn tag(&self, print: u64) -> u64 {
        print >> self.place_bits << self.place_bits | 1 << 63
    }

    #[inline(always)]
    fn place(&self, word: u64) -> usize {
        (word & ((1 << self.place_bits) - 1)) as usize
    }

    /// The number of the fingerprint's home line: by those of its bits that the tag leaves out.
    #[inline(always)]
    fn home(&self, print: u64) -> usize {
        let bits = u128::from(print.rotate_right(self.place_bits));
        ((bits * self.lines.len() as u128) >> 64) as usize
    }

    /// What an entry is known by: its home line and its tag.
    pub(super) fn entry_of(&self, print: u64) -> (usize, u64) {
        (self.home(print), self.tag(print))
    }

    /// The line after this one.
    #[inline]
    fn after(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    /// Which word has the fingerprint's tag: the number of its line, its number there, and the word.
    #[inline(always)]
    fn find(&self, print: u64, look: impl Fn(&AtomicU64) -> u64) -> Option<(usize, usize, u64)> {
        let (tag, mut line) = (self.tag(print), self.home(print));
        for _ in 0..self.lines.len() {
            let words = self.lines[line].words(&look);
            if let Some(at) = first(words, |word| word >> self.place_bits == tag >> self.place_bits) {
                return Some((line, at, words[at]));
            }
            if first(words, |word| word == EMPTY).is_some() {
                return None;
            }
            line = self.after(line);
        }
        None
    }

    /// The place of the newest record with this fingerprint, or with another that has the same tag and line. What was indexed
    /// before the caller's Acquire look at `indexed` is found, unless it has been evicted since. Wait-free: at most one turn
    /// around the table.
    #[inline]
    pub(crate) fn newest(&self, print: u64) -> Option<usize> {
        // Acquire pairs with the Releases in `raise` and `add`: who sees a place here sees the link of the record there.
        self.find(print, |word| word.load(Ordering::Acquire)).map(|(_, _, word)| self.place(word))
    }

    /// The place of every entry.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        let words = self.lines.iter().flat_map(|line| &line.0).map(|word| word.load(Ordering::Acquire));
        words.filter(|&word| word > TOMB).map(|word| self.place(word))
    }

    /// Fetches the lines where searches for these fingerprints begin, if they are not near anyway.
    #[inline]
    pub(crate) fn prefetch(&self, prints: impl Iterator<Item = u64>) {
        if self.lines.len() > NEAR_LINES {
            prints.for_each(|print| prefetch_to_write(&self.lines[self.home(print)]));
        }
    }

    // --- the writer ---

    /// Enters the newest record of a fingerprint. The place of the one before it is handed to `link`, which runs before any
    /// reader can come to the new one by this directory; `None` if there is none.
    #[inline]
    pub(crate) fn enter(&self, print: u64, place: usize, link: impl FnOnce(Option<usize>)) {
        let word = self.tag(print) | place as u64;
        match self.find(print, own) {
            Some((line, at, before)) => {
                link(Some(self.place(before)));
                // Release pairs with the Acquire in `newest`: the link was written before.
                self.lines[line].0[at].store(word, weaken(Ordering::Release, Fault::RaisedRelaxed));
            }
            None => {
                link(None);
                self.add(print, word);
            }
        }
    }

    fn add(&self, print: u64, word: u64) {
        let mut line = self.home(print);
        for _ in 0..self.lines.len() {
            if let Some(at) = first(self.lines[line].words(own), |found| found <= TOMB) {
                // Release pairs with the Acquire in `newest`, as above.
                self.lines[line].0[at].store(word, weaken(Ordering::Release, Fault::RaisedRelaxed));
                return;
            }
            let passed = &self.passed[line];
            passed.set(passed.get().saturating_add(1));
            line = self.after(line);
        }
        // There are more words than places. Only a holder that was relieved, and does not know it yet, gets here: what it writes
        // is not used any more.
    }

    /// Takes a fingerprint out if the record at this place, which is being evicted, is its newest; whether it was.
    #[inline]
    pub(crate) fn remove(&self, print: u64, place: usize) -> bool {
        if print == NO_KEY {
            return false;
        }
        match self.find(print, own) {
            Some((line, at, word)) if self.place(word) == place => {
                if !planted(Fault::EntryNotRemoved) {
                    self.take_out(print, line, at);
                }
                true
            }
            _ => false,
        }
    }

    #[inline]
    fn take_out(&self, print: u64, line: usize, at: usize) {
        // Release: a reader that finds another key's record by a word that it has read looks again (`Index::newest`), and then
        // must see that the word is gone.
        let gone = if self.passed[line].get() == 0 { EMPTY } else { TOMB };
        self.lines[line].0[at].store(gone, Ordering::Release);
        let mut before = self.home(print);
        while before != line {
            self.unpass(before);
            before = self.after(before);
        }
    }

    /// A key that has passed the line over has left.
    #[cold]
    fn unpass(&self, line: usize) {
        let passed = &self.passed[line];
        if passed.get() == u8::MAX {
            return;
        }
        passed.set(passed.get() - 1);
        if passed.get() == 0 {
            for word in self.lines[line].0.iter().filter(|word| own(word) == TOMB) {
                // Release: as in `take_out`, for whoever finds this in place of the key that was there.
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

    /// What the table must be by its own description, whatever was done to it.
    fn check(directory: &Directory, model: &HashMap<u64, usize>, all: &[u64]) {
        for &print in all {
            assert_eq!(directory.newest(print), model.get(&print).copied(), "{print:#x}");
        }
        let mut places: Vec<usize> = directory.places().collect();
        let mut right: Vec<usize> = model.values().copied().collect();
        places.sort_unstable();
        right.sort_unstable();
        assert_eq!(places, right);
        let mut passed = vec![0; directory.lines.len()];
        for &print in model.keys() {
            let (mut line, end) = (directory.home(print), directory.find(print, own).unwrap().0);
            while line != end {
                passed[line] += 1;
                line = directory.after(line);
            }
        }
        for (line, &passed) in passed.iter().enumerate() {
            assert_eq!(directory.passed[line].get(), passed);
            let words = directory.lines[line].words(own);
            assert!(if passed > 0 { !words.contains(&EMPTY) } else { !words.contains(&TOMB) }, "{passed} {words:?}");
        }
    }

    proptest! {
        /// Few homes, the last ones of the table, so that keys flow over line after line and around its end.
        #[test]
        fn crowded_lines_flow_over_and_around_and_lose_no_key(
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
                    directory.enter(print, key, |found| assert_eq!(found, before));
                } else {
                    assert!(!directory.remove(print, places + 1), "another is its newest: it stays");
                    assert_eq!(directory.remove(print, key), model.remove(&print).is_some());
                }
                check(&directory, &model, &all);
            }
            directory.clear();
            check(&directory, &HashMap::new(), &all);
        }
    }

    #[test]
    fn every_key_of_a_full_ring_has_its_word() {
        for places in [1, 2, 7, 8, 100, 10_000] {
            let directory = Directory::new(places).unwrap();
            let print = |place: usize| (place as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 2;
            (0..places).for_each(|place| directory.enter(print(place), place, |before| assert_eq!(before, None)));
            assert!((0..places).all(|place| directory.newest(print(place)) == Some(place)));
            assert_eq!(directory.places().count(), places);
            assert!(directory.bytes() >= places * 8);
            assert!((0..places).all(|place| directory.remove(print(place), place)));
            assert_eq!(directory.places().count(), 0);
            assert!(directory.passed.iter().all(|passed| passed.get() == 0));
        }
    }
}
