//! The low watermark of a shard: no record below it is visible.
//!
//! A shard raises its watermark to evict records for another reason than capacity.
//!
//! Raising the watermark makes the records below it invisible at once. The holder of the indexer
//! lock reports their reasons when it evicts them. Until then the reasons are kept as notes. A note
//! is one word, which names a reason and the sequence up to which it applies; it begins where the
//! note with the next lower sequence ends. Notes therefore need no order among each other, and no
//! thread waits here.

use crate::engine::reason::EvictReason;
use crate::engine::tuning::WATERMARK_NOTES;
use crate::sync::{AtomicU64, Count, Ordering, load_before_cas};
use std::ops::Range;

/// Numbers of evicted records by reason.
pub(crate) type EvictionCounts = [u64; EvictReason::ALL.len()];

/// The low watermark of one shard.
#[derive(Debug)]
pub(crate) struct LowWatermark {
    /// The watermark: no record below it is visible.
    watermark: AtomicU64,
    /// Records below this sequence were pushed before the store was last cleared.
    cleared: AtomicU64,
    /// Words of [`Note`]s. A note below `evicted` may be overwritten.
    notes: [AtomicU64; WATERMARK_NOTES],
    /// Numbers of evicted records by reason. Their total is the `evicted` cursor's.
    evicted: [Count; EvictReason::ALL.len()],
}

/// A reason and the sequence up to which it applies.
///
/// The lowest bits hold the reason's number, and those above them the sequence, which has 56 bits
/// (see [`Cursor`](super::Cursor)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Note(u64);

impl Note {
    const REASON_BITS: u32 = 2;

    fn new(end: u64, reason: EvictReason) -> Self {
        const { assert!(EvictReason::ALL.len() <= 1 << Self::REASON_BITS) };
        Self(end << Self::REASON_BITS | reason as u64)
    }

    fn end(self) -> u64 {
        self.0 >> Self::REASON_BITS
    }

    fn reason(self) -> EvictReason {
        EvictReason::numbered(self.0 as u8 & ((1 << Self::REASON_BITS) - 1))
    }
}

impl Default for LowWatermark {
    fn default() -> Self {
        Self {
            watermark: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            notes: std::array::from_fn(|_| AtomicU64::new(0)),
            evicted: Default::default(),
        }
    }
}

impl LowWatermark {
    /// Returns the watermark.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        // Acquire pairs with the Release in `raise`: the notes of the reasons are visible.
        self.watermark.load(Ordering::Acquire)
    }

    /// Returns the watermark, for a thread that is about to raise it.
    pub(crate) fn get_before_raise(&self) -> u64 {
        load_before_cas(&self.watermark)
    }

    /// Returns whether the store has been cleared since the record of this sequence was pushed.
    pub(crate) fn has_cleared(&self, sequence: u64) -> bool {
        sequence < self.cleared.load(Ordering::Relaxed)
    }

    /// Raises the watermark to a sequence.
    ///
    /// `low` is the beginning of the visible window before that, and `evicted` the eviction cursor.
    pub(crate) fn raise(&self, to: u64, reason: EvictReason, low: u64, evicted: u64) {
        if reason == EvictReason::Cleared {
            self.cleared.fetch_max(to, Ordering::Relaxed);
        }
        if to > low {
            if low > self.get().max(evicted) {
                self.put_note(Note::new(low, EvictReason::Capacity), None, evicted);
            }
            self.put_note(Note::new(to, reason), Some(Note::new(low, reason)), evicted);
        }
        // Release pairs with the Acquire in `get`.
        self.watermark.fetch_max(to, Ordering::Release);
    }

    /// Stores a note in place of `before`, if that is there, or of one that is below `evicted`.
    ///
    /// If there is no such place, the newest note is extended to the new note's end and keeps its
    /// own reason.
    fn put_note(&self, note: Note, before: Option<Note>, evicted: u64) {
        loop {
            let words = self.notes.each_ref().map(|word| Note(word.load(Ordering::Relaxed)));
            let find = |test: &dyn Fn(Note) -> bool| words.iter().position(|&word| test(word));
            let stale = || find(&|word| word.end() <= evicted);
            let free = before.and_then(|before| find(&|word| word == before)).or_else(stale);
            let (at, note) = match free {
                Some(at) => (at, note),
                None => {
                    let (at, last) = words
                        .iter()
                        .enumerate()
                        .max_by_key(|(_, word)| **word)
                        .expect("there are notes");
                    if last.end() >= note.end() {
                        return;
                    }
                    (at, Note::new(note.end(), last.reason()))
                }
            };
            // Relaxed: a thread that needs this note has acquired the watermark from `raise`. One
            // that has not finds another reason.
            let put = self.notes[at].compare_exchange(
                words[at].0,
                note.0,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if put.is_ok() {
                return;
            }
        }
    }

    /// Returns the reason that applies at this sequence, and where it ends.
    fn reason_at(&self, at: u64) -> (EvictReason, u64) {
        let notes = self.notes.iter().map(|word| Note(word.load(Ordering::Relaxed)));
        let next = notes.filter(|note| note.end() > at).min();
        next.map_or((EvictReason::Capacity, u64::MAX), |note| (note.reason(), note.end()))
    }

    /// Calls `visit` for each part of a range that is being evicted, with the part's reason.
    pub(crate) fn for_each_part(
        &self,
        range: Range<u64>,
        mut visit: impl FnMut(Range<u64>, EvictReason),
    ) {
        let mut at = range.start;
        while at < range.end {
            // Most records are above the watermark and are evicted for capacity.
            let (reason, end) = if self.get() <= at {
                (EvictReason::Capacity, u64::MAX)
            } else {
                self.reason_at(at)
            };
            let end = end.min(range.end);
            visit(at..end, reason);
            at = end;
        }
    }

    /// Counts evicted records. The caller has raised the `evicted` cursor past them.
    pub(crate) fn count_evicted(&self, reason: EvictReason, records: u64) {
        self.evicted[reason as usize].add(records);
    }

    /// Returns how many records were evicted by reason, with the range `due` counted as evicted.
    pub(crate) fn eviction_counts(&self, due: Range<u64>) -> EvictionCounts {
        let mut counts = EvictionCounts::default();
        counts.iter_mut().zip(&self.evicted).for_each(|(count, evicted)| *count = evicted.get());
        self.for_each_part(due, |part, reason| counts[reason as usize] += part.end - part.start);
        counts
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use EvictReason::{Age, Bytes, Capacity, Cleared};

    #[test]
    fn each_part_of_a_range_has_its_own_reason() {
        let watermark = LowWatermark::default();
        watermark.raise(4, Age, 0, 0);
        watermark.raise(6, Age, 4, 0);
        watermark.raise(8, Bytes, 6, 0);
        let parts = |range| {
            let mut parts = Vec::new();
            watermark.for_each_part(range, |part, reason| parts.push((part, reason)));
            parts
        };
        assert_eq!(parts(0..3), [(0..3, Age)]);
        assert_eq!(
            parts(3..10),
            [(3..6, Age), (6..8, Bytes), (8..10, Capacity)],
            "a range spans notes"
        );
        assert_eq!(watermark.eviction_counts(0..9), [1, 0, 6, 2]);
        watermark.count_evicted(Age, 6);
        watermark.count_evicted(Bytes, 2);
        assert_eq!(watermark.eviction_counts(8..9), [1, 0, 6, 2]);
        watermark.raise(12, Bytes, 10, 8);
        assert_eq!(parts(8..13), [(8..10, Capacity), (10..12, Bytes), (12..13, Capacity)]);
        watermark.raise(12, Cleared, 12, 8);
        assert_eq!(watermark.get(), 12);
    }

    #[test]
    fn records_between_two_raises_count_as_evicted_for_capacity() {
        let watermark = LowWatermark::default();
        watermark.raise(1, Cleared, 0, 0);
        watermark.raise(4, Cleared, 3, 0);
        assert_eq!(watermark.eviction_counts(0..4), [2, 2, 0, 0]);
    }

    #[test]
    fn a_raise_without_room_for_a_note_counts_under_the_last_reason() {
        let watermark = LowWatermark::default();
        let reasons = [Age, Cleared];
        for end in 1..=WATERMARK_NOTES as u64 + 9 {
            watermark.raise(end, reasons[(end % 2) as usize], end - 1, 0);
        }
        let counts = watermark.eviction_counts(0..WATERMARK_NOTES as u64 + 9);
        assert_eq!(counts.iter().sum::<u64>(), WATERMARK_NOTES as u64 + 9);
        assert_eq!(
            counts[Age as usize].max(counts[Cleared as usize]),
            WATERMARK_NOTES as u64 / 2 + 9
        );
        watermark.raise(100, Age, WATERMARK_NOTES as u64 + 9, 60);
        assert_eq!(
            watermark.eviction_counts(WATERMARK_NOTES as u64 + 9..100)[Age as usize],
            100 - WATERMARK_NOTES as u64 - 9,
            "there is room again"
        );
    }

    #[test]
    fn a_clear_is_remembered_beside_other_reasons() {
        let watermark = LowWatermark::default();
        watermark.raise(5, Age, 0, 0);
        assert!(!watermark.has_cleared(0));
        watermark.raise(3, Cleared, 5, 0);
        assert_eq!(watermark.get(), 5);
        assert!(watermark.has_cleared(2) && !watermark.has_cleared(3));
    }
}
