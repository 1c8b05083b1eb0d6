//! The right to index, evict and reclaim in a shard: one holder at a time, and nobody waits for it.
//!
//! A holder that falls asleep can be relieved: somebody else takes the token over, under the next number. Whatever the
//! sleeper still does to what the shard shares, it does by a compare-and-swap that names its own number, or a word that its
//! successor has replaced; so it fails.

use crate::sync::fault::{Fault, planted};
use crate::sync::{AtomicU64, Ordering};

/// A number of tenures, counted modulo 256 where it shares a word with a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term(u64);

impl Term {
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// One word: in the lowest bit whether the token is held, above it the number of the index that its holder writes, above that how
/// often it has been taken over. So whoever takes the token knows in the same instant which index is its own.
#[derive(Debug)]
pub(crate) struct IndexerLock(AtomicU64);

/// A token that was seen in somebody's hands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held(u64);

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

    /// Takes the token if it is free, with the number of its index. Wait-free.
    pub(crate) fn try_take(&self) -> Option<(Term, usize)> {
        let word = if cfg!(loom) { self.0.load(Ordering::Acquire) } else { self.0.load(Ordering::Relaxed) };
        // Acquire pairs with the Release in `give_back`: the next holder sees all that the last one did.
        let taken = word & Self::HELD == 0
            && self.0.compare_exchange(word, word | Self::HELD, Ordering::Acquire, Ordering::Relaxed).is_ok();
        taken.then_some((Self::term(word), (word >> 1) as usize & ((1 << Self::INDEX_BITS) - 1)))
    }

    /// The token as it is, if somebody holds it.
    pub(crate) fn held(&self) -> Option<Held> {
        let word = self.0.load(Ordering::Relaxed);
        (word & Self::HELD != 0).then_some(Held(word))
    }

    /// Takes the token away from its holder, who sleeps, for somebody who writes the index of this number.
    pub(crate) fn take_over(&self, from: Held, index: usize) -> Option<Term> {
        let next = Term(Self::term(from.0).0 + 1);
        let word = Self::word(next, index) | Self::HELD;
        // Release pairs with the Acquire in `is_held_by`; Acquire: with the Releases of earlier holders.
        self.0.compare_exchange(from.0, word, Ordering::AcqRel, Ordering::Relaxed).is_ok().then_some(next)
    }

    /// Whether this term has not ended.
    pub(crate) fn is_held_by(&self, term: Term) -> bool {
        let word = self.0.load(Ordering::Acquire);
        word & Self::HELD != 0 && Self::term(word) == term
    }

    /// Gives the token back; false if somebody has taken it over.
    pub(crate) fn give_back(&self, term: Term, index: usize) -> bool {
        let free = Self::word(term, index);
        // Release pairs with the Acquire in `try_take`.
        self.0.compare_exchange(free | Self::HELD, free, Ordering::Release, Ordering::Relaxed).is_ok()
    }
}

/// A cursor that only the token holder moves: a sequence, and above it the number of the term that may move it.
#[derive(Debug)]
pub(crate) struct Cursor(AtomicU64);

impl Cursor {
    /// Sequences have 56 bits: at a hundred million records a second they last for twenty years.
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

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        // Acquire pairs with the Release in `advance`.
        Self::sequence(self.0.load(Ordering::Acquire))
    }

    /// For the token holder, and where an old answer does.
    pub(crate) fn own(&self) -> u64 {
        Self::sequence(self.0.load(Ordering::Relaxed))
    }

    /// Moves the cursor on; false if the term has ended.
    pub(crate) fn advance(&self, from: u64, to: u64, term: Term, order: Ordering) -> bool {
        self.0.compare_exchange(Self::word(from, term), Self::word(to, term), order, Ordering::Relaxed).is_ok()
    }

    /// Makes the cursor this term's, so that no earlier one moves it any more, and says where it stands; `None` if `is_current`
    /// says that this term has ended too.
    pub(crate) fn adopt(&self, term: Term, is_current: impl Fn() -> bool) -> Option<u64> {
        loop {
            // Acquire pairs with the Release in `advance`: what the sleeper had done by then is seen.
            let word = self.0.load(Ordering::Acquire);
            if !is_current() {
                return None;
            }
            let sequence = Self::sequence(word);
            if planted(Fault::CursorsNotAdopted) {
                return Some(sequence);
            }
            let adopted = Self::word(sequence, term);
            if self.0.compare_exchange(word, adopted, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(sequence);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_was_relieved_moves_nothing_any_more() {
        let (token, cursor) = (IndexerLock::new(), Cursor::new());
        let (first, _) = token.try_take().unwrap();
        assert!(token.try_take().is_none() && token.is_held_by(first));
        assert!(cursor.advance(0, 5, first, Ordering::Release));
        let seen = token.held().unwrap();
        let second = token.take_over(seen, 3).unwrap();
        assert!(token.take_over(seen, 4).is_none() && !token.is_held_by(first) && token.is_held_by(second));
        assert!(cursor.advance(5, 6, first, Ordering::Release), "until its successor adopts it");
        assert_eq!(cursor.adopt(second, || true), Some(6));
        assert!(!cursor.advance(6, 7, first, Ordering::Release) && cursor.get() == 6);
        assert_eq!(cursor.adopt(first, || token.is_held_by(first)), None);
        assert!(cursor.advance(6, 7, second, Ordering::Release) && cursor.own() == 7);
        assert!(!token.give_back(first, 0) && token.give_back(second, 3) && token.held().is_none());
        assert_eq!(token.try_take(), Some((second, 3)), "the same term: nobody was relieved");
    }
}
