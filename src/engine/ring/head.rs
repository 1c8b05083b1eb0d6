//! The head of a slot: what the engine needs to know of the record in it.

use crate::signal::sealed::Indexes;
use crate::sync::fault::{Fault, planted};
use crate::sync::reserve::Zeroed;
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// A slot's generation word: the sequence that the slot holds, and the state of that record.
///
/// | word | meaning | writer |
/// |---|---|---|
/// | 0 | no record yet, or one is being written | the claim's owner |
/// | `s + 1` | sequence `s` is published | the claim's owner |
/// | `s + 1`, `MOVING` | the record is being moved out | the thread that reclaims it |
/// | `s + 1`, `MOVED` | the record has been moved out | the same thread |
///
/// The reclaiming thread sets `MOVING` by a compare-and-swap. A record is therefore moved out once,
/// even if a stalled thread wakes up and goes on with work that others have done in the meantime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(pub(super) u64);

impl Generation {
    pub(super) const MOVING: u64 = 1 << 63;
    pub(super) const MOVED: u64 = 1 << 62;
    pub(super) const BUSY: Self = Self(0);

    pub(super) fn published(sequence: u64) -> Self {
        Self(sequence + 1)
    }

    pub(super) fn moving(sequence: u64) -> Self {
        Self((sequence + 1) | Self::MOVING)
    }

    pub(super) fn moved(sequence: u64) -> Self {
        Self((sequence + 1) | Self::MOVED)
    }

    /// Returns the sequence that is published, if any.
    pub(super) fn sequence(self) -> Option<u64> {
        if self.0 & (Self::MOVING | Self::MOVED) == 0 { self.0.checked_sub(1) } else { None }
    }
}

/// What the engine knows of a record: one cache line of 64 bytes for up to four indexes.
///
/// The head is a seqlock (Hans Boehm, *Can Seqlocks Get Along with Programming Language Memory
/// Models?*, 2012). The producer stores generation 0, writes the other words, and stores the new
/// generation. A reader without a pin reads the generation before and after the other words; see
/// [`try_read`](Head::try_read).
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Head<I: Indexes> {
    pub(super) generation: AtomicU64,
    /// The record's arrival: the stamp of the run in which it was pushed.
    pub(super) stamp: AtomicU64,
    /// The record's own timestamp.
    pub(super) time: AtomicU64,
    /// The fingerprints of the record's keys, 0 for an index in which it has none.
    pub(super) prints: I::PrintCells,
    /// The record's own heap bytes, at most `u32::MAX`.
    pub(super) heap: AtomicU32,
}

// SAFETY: All fields are atomic integers, whose zero bytes are the value 0, as `zeroed` returns.
unsafe impl<I: Indexes> Zeroed for Head<I> {
    fn zeroed() -> Self {
        Self {
            generation: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
            time: AtomicU64::new(0),
            prints: I::print_cells(),
            heap: AtomicU32::new(0),
        }
    }
}

impl<I: Indexes> Head<I> {
    #[inline]
    pub(super) fn generation(&self) -> Generation {
        // Acquire pairs with the Release in `Filled::publish`: a thread that sees the generation sees
        // the record and the head's other words. It also pairs with the Release in
        // `Slots::move_out`: a thread that sees `MOVED` may write the slot.
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Returns whether this slot holds the published record of exactly this sequence.
    #[inline]
    pub(crate) fn holds(&self, sequence: u64) -> bool {
        self.generation() == Generation::published(sequence)
    }

    /// Returns the sequence that is published in this slot now, if any.
    #[inline]
    pub(crate) fn sequence(&self) -> Option<u64> {
        self.generation().sequence()
    }

    /// Returns what `read` loads from the head, if the slot holds this sequence before and after.
    #[inline]
    pub(crate) fn try_read<R>(&self, sequence: u64, read: impl FnOnce(&Self) -> R) -> Option<R> {
        if !self.holds(sequence) {
            return None;
        }
        let found = read(self);
        // Pairs with the Release fence in `Slots::fill`: if `read` has loaded a word of the slot's
        // next record, this thread sees generation 0, or a later one, below.
        fence(Ordering::Acquire);
        let still = self.generation.load(Ordering::Relaxed) == Generation::published(sequence).0;
        if still || planted(Fault::HeadLookedAtOnce) {
            return Some(found);
        }
        // Acquire, as in `generation`: the caller is to see that the record was evicted.
        fence(Ordering::Acquire);
        None
    }

    #[inline]
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn time(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn print(&self, index: usize) -> u64 {
        self.prints.as_ref()[index].load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn heap(&self) -> u64 {
        u64::from(self.heap.load(Ordering::Relaxed))
    }
}
