//! The indexer lock: the right to index, evict and reclaim in a shard.
//!
//! There is one holder at a time, and no thread ever waits for the lock. A thread may take it over
//! from a stalled holder. That starts the next [`Term`]. A stalled holder that wakes up can't do
//! harm: it changes shared words by compare-and-swaps that name its own term, or that expect a
//! value which its successor has replaced. These fail.

use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::{AtomicU64, Ordering};

/// The number of a holder's term, which starts when the lock is taken over.
///
/// It is counted modulo 256 where it shares a word with a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term(u64);

impl Term {
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// The lock's word.
///
/// The lowest bit says whether the lock is held. The next eight bits hold the number of the index
/// that the holder writes, and the rest the term. A thread that acquires the lock therefore learns
/// in the same step which index it writes.
#[derive(Debug)]
pub(crate) struct IndexerLock(AtomicU64);

/// A value of the lock's word that was read while the lock was held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldWord(u64);

impl IndexerLock {
    const HELD: u64 = 1;
    const INDEX_BITS: u32 = 8;

    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn word(term: Term, index: usize) -> u64 {
        (term.0 << Self::INDEX_BITS | index as u64) << 1
    }

    fn term(word: u64) -> Term {
        Term(word >> (1 + Self::INDEX_BITS))
    }

    /// Acquires the lock if it is free, and returns the term and the number of its index.
    /// Wait-free.
    pub(crate) fn try_lock(&self) -> Option<(Term, usize)> {
        let word = self.0.load(Ordering::Relaxed);
        // Acquire pairs with the Release in `unlock`: the next holder sees all that the last one
        // has done. It also pairs with the Release in `take_over`: the index of the number in the
        // word is allocated.
        let taken = word & Self::HELD == 0
            && self
                .0
                .compare_exchange(word, word | Self::HELD, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        taken.then_some((Self::term(word), (word >> 1) as usize & ((1 << Self::INDEX_BITS) - 1)))
    }

    /// Returns the lock's word if the lock is held.
    pub(crate) fn held_word(&self) -> Option<HeldWord> {
        let word = self.0.load(Ordering::Relaxed);
        (word & Self::HELD != 0).then_some(HeldWord(word))
    }

    /// Takes the lock over from a stalled holder, for a thread that writes the index of this
    /// number.
    ///
    /// Returns `None` if the lock's word has changed since `from` was read.
    pub(crate) fn take_over(&self, from: HeldWord, index: usize) -> Option<Term> {
        let next = Term(Self::term(from.0).0 + 1);
        let word = Self::word(next, index) | Self::HELD;
        // Release pairs with the Acquire in `is_held_by`. Acquire pairs with the Releases of
        // earlier holders.
        self.0
            .compare_exchange(from.0, word, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
            .then_some(next)
    }

    /// Returns whether the lock is held in this term.
    pub(crate) fn is_held_by(&self, term: Term) -> bool {
        // Acquire pairs with the Release in `take_over`.
        let word = self.0.load(Ordering::Acquire);
        word & Self::HELD != 0 && Self::term(word) == term
    }

    /// Unlocks. Returns false if another thread has taken the lock over.
    pub(crate) fn unlock(&self, term: Term, index: usize) -> bool {
        let free = Self::word(term, index);
        // Release pairs with the Acquire in `try_lock`.
        self.0
            .compare_exchange(free | Self::HELD, free, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }
}

/// A cursor that only the holder of the indexer lock moves.
///
/// The word holds a sequence, and above it the term that may move it.
#[derive(Debug)]
pub(crate) struct Cursor(AtomicU64);

impl Cursor {
    /// Bits of a sequence. At a hundred million records a second, 56 bits last for twenty years.
    const BITS: u32 = 56;

    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn word(sequence: u64, term: Term) -> u64 {
        term.0 << Self::BITS | sequence
    }

    fn sequence(word: u64) -> u64 {
        word & ((1 << Self::BITS) - 1)
    }

    /// Returns the sequence that the cursor has reached.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        // Acquire pairs with the Release in `advance`.
        Self::sequence(self.0.load(Ordering::Acquire))
    }

    /// Returns the cursor's sequence without ordering, for the holder of the indexer lock and where
    /// an outdated value suffices.
    #[inline]
    pub(crate) fn get_relaxed(&self) -> u64 {
        Self::sequence(self.0.load(Ordering::Relaxed))
    }

    /// Moves the cursor from one sequence to another, in the order that the caller names.
    ///
    /// Returns false if the term has ended.
    pub(crate) fn advance(&self, from: u64, to: u64, term: Term, order: Ordering) -> bool {
        self.0
            .compare_exchange(
                Self::word(from, term),
                Self::word(to, term),
                order,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Makes the cursor this term's and returns its sequence. Holders of earlier terms can't move
    /// it any more.
    ///
    /// Returns `None` if `is_current` says that this term has ended too.
    pub(crate) fn adopt(&self, term: Term, is_current: impl Fn() -> bool) -> Option<u64> {
        loop {
            // Acquire pairs with the Release in `advance`: what the stalled holder had done by then
            // is visible. It also pairs with the Release below: if a later term has adopted the
            // cursor, this thread sees that the lock was taken over, and `is_current` says so.
            let word = self.0.load(Ordering::Acquire);
            if !is_current() {
                return None;
            }
            let sequence = Self::sequence(word);
            if planted(Fault::CursorsNotAdopted) {
                return Some(sequence);
            }
            let adopted = Self::word(sequence, term);
            // Release pairs with the Acquire above, in a holder of an earlier term.
            let order = weaken(Ordering::AcqRel, Fault::AdoptRelaxed);
            if self.0.compare_exchange(word, adopted, order, Ordering::Relaxed).is_ok() {
                return Some(sequence);
            }
        }
    }
}

/// An indexer lock and a cursor by themselves, for the loom models.
#[cfg(all(loom, feature = "__for_tests"))]
#[derive(Debug)]
pub struct ModelTerms {
    lock: IndexerLock,
    cursor: Cursor,
}

#[cfg(all(loom, feature = "__for_tests"))]
#[allow(missing_docs, reason = "these methods are those of `IndexerLock` and `Cursor`")]
impl ModelTerms {
    /// Creates a lock whose holder has stalled.
    #[allow(clippy::new_without_default, reason = "only models create one")]
    pub fn held() -> Self {
        let terms = Self { lock: IndexerLock::new(), cursor: Cursor::new() };
        assert!(terms.lock.try_lock().is_some());
        terms
    }

    /// Takes the lock over, adopts the cursor, calls `next` with its sequence, and moves it by one in
    /// this order. Returns whether it moved.
    ///
    /// Panics if the cursor does not move although the lock has not been taken over from this
    /// thread.
    pub fn take_over(&self, order: Ordering, next: impl FnOnce(u64)) -> bool {
        let Some(term) = self.lock.held_word().and_then(|held| self.lock.take_over(held, 0)) else {
            return false;
        };
        let is_held = || self.lock.is_held_by(term);
        let Some(sequence) = self.cursor.adopt(term, is_held) else { return false };
        next(sequence);
        let moved = self.cursor.advance(sequence, sequence + 1, term, order);
        // The unlocking reads the newest value, which a load need not.
        assert!(moved || !self.lock.unlock(term, 0), "a term that has ended has come back");
        moved
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_holder_whose_term_has_ended_moves_no_cursor() {
        let (lock, cursor) = (IndexerLock::new(), Cursor::new());
        let (first, _) = lock.try_lock().unwrap();
        assert!(lock.try_lock().is_none() && lock.is_held_by(first));
        assert!(cursor.advance(0, 5, first, Ordering::Release));
        let seen = lock.held_word().unwrap();
        let second = lock.take_over(seen, 3).unwrap();
        assert!(
            lock.take_over(seen, 4).is_none() && !lock.is_held_by(first) && lock.is_held_by(second)
        );
        assert!(cursor.advance(5, 6, first, Ordering::Release), "the cursor is not adopted yet");
        assert_eq!(cursor.adopt(second, || true), Some(6));
        assert!(!cursor.advance(6, 7, first, Ordering::Release) && cursor.get() == 6);
        assert_eq!(cursor.adopt(first, || lock.is_held_by(first)), None);
        assert!(cursor.advance(6, 7, second, Ordering::Release) && cursor.get_relaxed() == 7);
        assert!(!lock.unlock(first, 0) && lock.unlock(second, 3) && lock.held_word().is_none());
        assert_eq!(lock.try_lock(), Some((second, 3)), "a term ends only by a takeover");
    }
}
