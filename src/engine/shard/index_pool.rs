//! The indexes of a shard: the one in use, and those of token holders that fell asleep and were relieved.
//!
//! An index is not freed before its shard is: readers may look at it. One that its sleeper has left is used again.

use crate::engine::index::Index;
use crate::engine::ring::Term;
use crate::engine::tuning::INDEXES_PER_SHARD;
use crate::signal::Signal;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use std::collections::TryReserveError;
use std::ptr;

/// Which index is in use: its number below [`BLANK`], and above it the term that took it into use.
const NUMBER_BITS: u32 = 8;
const BLANK: usize = (1 << NUMBER_BITS) - 1;

pub(super) struct IndexPool<T: Signal> {
    current: AtomicU64,
    first: Box<Index<T>>,
    /// Without an entry, for readers that come while one index takes another's place: all that they ask for is not indexed.
    blank: Box<Index<T>>,
    /// Those after the first: null until they are needed.
    others: [AtomicPtr<Index<T>>; INDEXES_PER_SHARD - 1],
    /// For each, 1 while it is in use or a sleeper may write it.
    taken: [AtomicU32; INDEXES_PER_SHARD],
}

/// Not inlined, so that the index is not on the stack of those who hold on to it.
#[inline(never)]
fn made<T: Signal>(places: usize) -> Result<Box<Index<T>>, TryReserveError> {
    Index::new(places).map(Box::new)
}

impl<T: Signal> IndexPool<T> {
    pub(super) fn new(places: usize) -> Result<Self, TryReserveError> {
        Ok(Self {
            current: AtomicU64::new(0),
            first: made(places)?,
            blank: made(1)?,
            others: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            taken: std::array::from_fn(|number| AtomicU32::new(u32::from(number == 0))),
        })
    }

    pub(super) fn get(&self, number: usize) -> &Index<T> {
        match number {
            0 => &self.first,
            BLANK => &self.blank,
            // Acquire pairs with the Release in `lease`.
            // SAFETY: only numbers of indexes that have been made get about; they are freed by `drop` alone, which has
            // `&mut self` (invariant 4).
            _ => unsafe { &*self.others[number - 1].load(Ordering::Acquire) },
        }
    }

    #[inline]
    pub(super) fn current(&self) -> (&Index<T>, u64) {
        // Acquire pairs with the Release in `replace`: the index as its holder began it.
        let word = self.current.load(Ordering::Acquire);
        (self.get(word as usize & BLANK), word)
    }

    /// Whether the index is in use that was when this word was read. Asked after looks at that index: if it was used again
    /// meanwhile, it is not.
    pub(super) fn is_current(&self, word: u64) -> bool {
        // Pairs with the Release fence in `replace`: who has read what a later term wrote sees its word.
        fence(Ordering::Acquire);
        self.current.load(Ordering::Relaxed) == word
    }

    /// An index that nobody uses, made if need be.
    pub(super) fn lease(&self, places: usize) -> Option<(&Index<T>, usize)> {
        let take = |taken: &AtomicU32| {
            // Acquire pairs with the Release in `retire`: the sleeper writes no more.
            taken.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let number = self.taken.iter().position(take)?;
        if number > 0 && self.others[number - 1].load(Ordering::Acquire).is_null() {
            let Ok(index) = made(places) else {
                self.retire(number);
                return None;
            };
            // Release pairs with the Acquire in `get`.
            self.others[number - 1].store(Box::into_raw(index), Ordering::Release);
        }
        Some((self.get(number), number))
    }

    /// Nobody writes this index any more.
    pub(super) fn retire(&self, number: usize) {
        self.taken[number].store(0, Ordering::Release);
    }

    /// Takes an index into use, after `begin` has set it up; `begin` is shown the one before. `None` if the term has ended.
    pub(super) fn replace(
        &self,
        term: Term,
        number: usize,
        is_held: impl Fn() -> bool,
        begin: impl FnOnce(&Index<T>),
    ) -> Option<()> {
        let blank = term.number() << NUMBER_BITS | BLANK as u64;
        let before = loop {
            let before = self.current.load(Ordering::Acquire);
            if !is_held() {
                return None;
            }
            if self.current.compare_exchange(before, blank, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                break before;
            }
        };
        // Pairs with the Acquire fence in `is_current`.
        fence(Ordering::Release);
        begin(self.get(before as usize & BLANK));
        // Release pairs with the Acquire in `current`. It fails if this holder has been relieved meanwhile.
        let word = term.number() << NUMBER_BITS | number as u64;
        self.current.compare_exchange(blank, word, Ordering::AcqRel, Ordering::Relaxed).ok().map(drop)
    }

    /// Bytes of the indexes that have been made.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&Index<T>)) {
        visit(&self.first);
        for (number, other) in self.others.iter().enumerate() {
            if !other.load(Ordering::Acquire).is_null() {
                visit(self.get(number + 1));
            }
        }
    }
}

impl<T: Signal> Drop for IndexPool<T> {
    fn drop(&mut self) {
        for other in &self.others {
            let other = other.load(Ordering::Relaxed);
            if !other.is_null() {
                // SAFETY: it comes from `Box::into_raw` in `lease`, and nobody else has this shard any more (invariant 4).
                drop(unsafe { Box::from_raw(other) });
            }
        }
    }
}
