//! The indexes of a shard: the one in use, and those of stalled holders of the indexer lock.
//!
//! Readers may look at any index, so an index is freed only with its shard. The index of a holder
//! whose lock was taken over is used again once that holder has left it.

use crate::engine::index::Index;
use crate::engine::ring::Term;
use crate::engine::tuning::INDEXES_PER_SHARD;
use crate::signal::Signal;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use std::collections::TryReserveError;
use std::ptr;

/// Bits of an index's number in the word that says which index is in use.
///
/// The bits above hold the term that put the index into use.
const NUMBER_BITS: u32 = 8;
/// The number of the blank index.
const BLANK: usize = (1 << NUMBER_BITS) - 1;

/// The indexes of one shard.
pub(super) struct IndexPool<T: Signal> {
    /// Which index is in use: its number, and above it the term that put it into use.
    current: AtomicU64,
    first: Box<Index<T>>,
    /// An index without entries, for readers that come while another index is put into use. To them
    /// all records are unindexed.
    blank: Box<Index<T>>,
    /// The indexes after the first, null until they are needed.
    others: [AtomicPtr<Index<T>>; INDEXES_PER_SHARD - 1],
    /// For each index, 1 while it is in use or a stalled holder may still write it.
    leased: [AtomicU32; INDEXES_PER_SHARD],
}

/// Allocates an index.
///
/// Not inlined, so that the index does not pass through the callers' stack frames.
#[inline(never)]
fn new_index<T: Signal>(places: usize) -> Result<Box<Index<T>>, TryReserveError> {
    Index::new(places).map(Box::new)
}

impl<T: Signal> IndexPool<T> {
    pub(super) fn new(places: usize) -> Result<Self, TryReserveError> {
        Ok(Self {
            current: AtomicU64::new(0),
            first: new_index(places)?,
            blank: new_index(1)?,
            others: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            leased: std::array::from_fn(|number| AtomicU32::new(u32::from(number == 0))),
        })
    }

    /// Returns the index of a number that this pool has handed out.
    #[inline]
    pub(super) fn get(&self, number: usize) -> &Index<T> {
        match number {
            0 => &self.first,
            BLANK => &self.blank,
            // Relaxed: a thread has the number from `current`, from the indexer lock's word, or
            // from `lease`. It has acquired these, and they were released after the index was
            // allocated.
            // SAFETY: The pool hands out only numbers of indexes that were allocated, so the
            // pointer is not null. Indexes are freed by `IndexPool::drop` alone, which has `&mut
            // self` (bounded memory, invariant 4).
            _ => unsafe { &*self.others[number - 1].load(Ordering::Relaxed) },
        }
    }

    /// Returns the index in use, and the word that identifies it for
    /// [`is_current`](Self::is_current).
    #[inline]
    pub(super) fn current(&self) -> (&Index<T>, u64) {
        // Acquire pairs with the Release in `replace`: the index as its holder has initialised it.
        let word = self.current.load(Ordering::Acquire);
        (self.get(word as usize & BLANK), word)
    }

    /// Returns whether the index in use is still the one that was in use when `word` was read.
    ///
    /// A reader asks this after it has read that index. If the index was recycled in the meantime,
    /// the word differs, because its term does.
    #[inline]
    pub(super) fn is_current(&self, word: u64) -> bool {
        // Pairs with the Release fence in `replace`: a reader that has read what a later term wrote
        // to the index sees that term's word.
        fence(Ordering::Acquire);
        self.current.load(Ordering::Relaxed) == word
    }

    /// Returns an unused index and its number, and allocates the index if need be.
    ///
    /// Returns `None` if all indexes are in use or there is no memory for another.
    pub(super) fn lease(&self, places: usize) -> Option<(&Index<T>, usize)> {
        let take = |leased: &AtomicU32| {
            // Acquire pairs with the Release in `retire`: the former holder writes no more.
            leased.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let number = self.leased.iter().position(take)?;
        if number > 0 && self.others[number - 1].load(Ordering::Acquire).is_null() {
            let Ok(index) = new_index(places) else {
                self.retire(number);
                return None;
            };
            // Release pairs with the Acquire in `for_each`. Other threads get the index's number by
            // words that are released later.
            self.others[number - 1].store(Box::into_raw(index), Ordering::Release);
        }
        Some((self.get(number), number))
    }

    /// Returns an index to the pool. Its former user writes it no more.
    pub(super) fn retire(&self, number: usize) {
        // Release pairs with the Acquire in `lease`.
        self.leased[number].store(0, Ordering::Release);
    }

    /// Puts an index into use, after `begin` has initialised it from the former index.
    ///
    /// Returns `None` if the term has ended.
    pub(super) fn replace(
        &self,
        term: Term,
        number: usize,
        is_held: impl Fn() -> bool,
        begin: impl FnOnce(&Index<T>),
    ) -> Option<()> {
        let blank = term.number() << NUMBER_BITS | BLANK as u64;
        let before = loop {
            // Acquire pairs with the Release of the former term's `replace`: `begin` may read the
            // former index. It also pairs with the Release of a later term's: `is_held` then says
            // that this term has ended.
            let before = self.current.load(Ordering::Acquire);
            if !is_held() {
                return None;
            }
            if self
                .current
                .compare_exchange(before, blank, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                break before;
            }
        };
        // Pairs with the Acquire fence in `is_current`.
        fence(Ordering::Release);
        begin(self.get(before as usize & BLANK));
        // Release pairs with the Acquire in `current`. This fails if the lock was taken over in the
        // meantime.
        let word = term.number() << NUMBER_BITS | number as u64;
        self.current
            .compare_exchange(blank, word, Ordering::AcqRel, Ordering::Relaxed)
            .ok()
            .map(drop)
    }

    /// Calls `visit` for each index that was allocated.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&Index<T>)) {
        visit(&self.first);
        for (number, other) in self.others.iter().enumerate() {
            // Acquire pairs with the Release in `lease`.
            if !other.load(Ordering::Acquire).is_null() {
                visit(self.get(number + 1));
            }
        }
    }
}

impl<T: Signal> Drop for IndexPool<T> {
    fn drop(&mut self) {
        for other in &self.others {
            // Relaxed: `&mut self` has ordered everything before.
            let other = other.load(Ordering::Relaxed);
            if !other.is_null() {
                // SAFETY: The pointer comes from `Box::into_raw` in `lease`, and `&mut self` shows
                // that no other thread has this shard any more (invariant 4). `others` holds each
                // pointer once.
                drop(unsafe { Box::from_raw(other) });
            }
        }
    }
}
