//! Slots: a head for the engine, one cache line, and the record itself apart from it.

use super::route::Class;
use crate::reserve::reserve;
use crate::signal::{Indexes, Signal};
use crate::sync::fault::{Fault, weaken};
use crate::sync::{AtomicU32, AtomicU64, Cell, Ordering, prefetch, prefetch_to_write};
use std::collections::TryReserveError;
use std::mem::MaybeUninit;

/// A slot's generation word: which sequence is published there. 0 says that none ever was, anything else is that
/// sequence plus one; in slot `i` of `P`, sequence `s` with `s % P == i` is of generation `s / P`.
///
/// It only grows. A claim's owner moves it from `s - P + 1` to `s + 1`, when the record is in place; nothing moves it
/// back. It says what was published last, not that it may be read: that licence comes from the cursors and a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Generation(u64);

impl Generation {
    fn of(sequence: u64) -> Self {
        Self(sequence + 1)
    }
}

/// What the engine needs to know of a record, in one line of 64 bytes for up to three indexes.
///
/// All fields are atomics, so that whoever looks at a slot without a licence reads stale words at worst. Only the
/// generation orders anything: the producer writes the others before it, the token holder writes the links.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Head<I: Indexes> {
    generation: AtomicU64,
    /// Arrival: the stamp of the run in which the record was pushed.
    stamp: AtomicU64,
    /// The record's own timestamp.
    time: AtomicU64,
    /// Fingerprints of its keys, 0 where it has none.
    prints: I::PrintCells,
    /// How far back the record with the same fingerprint before this one lies, 0 if none was there.
    links: I::LinkCells,
    /// The record's own heap bytes, at most `u32::MAX`.
    heap: AtomicU32,
}

impl<I: Indexes> Head<I> {
    fn new() -> Self {
        Self {
            generation: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
            time: AtomicU64::new(0),
            prints: I::print_cells(),
            links: I::link_cells(),
            heap: AtomicU32::new(0),
        }
    }

    /// Whether this very sequence is published here.
    #[inline]
    pub(crate) fn holds(&self, sequence: u64) -> bool {
        // Acquire pairs with the Release in `write`: who sees the generation sees the record and the head's other words.
        Generation(self.generation.load(Ordering::Acquire)) == Generation::of(sequence)
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
    pub(crate) fn link(&self, index: usize) -> &AtomicU32 {
        &self.links.as_ref()[index]
    }

    #[inline]
    pub(crate) fn heap(&self) -> u64 {
        u64::from(self.heap.load(Ordering::Relaxed))
    }
}

/// What is computed from a record before the claim, so that no user code runs between claim and publish.
pub(crate) struct Sketch<T: Signal> {
    pub(crate) class: Class,
    pub(crate) prints: <T::Indexes as crate::signal::sealed::Indexes>::Prints,
    pub(crate) time: u64,
    pub(crate) heap: u32,
}

impl<T: Signal> Sketch<T> {
    pub(crate) fn new() -> Self {
        Self { class: Class::Rest, prints: <T::Indexes as crate::signal::sealed::Indexes>::prints(), time: 0, heap: 0 }
    }

    /// Bytes of its slot and its own heap.
    pub(crate) fn bytes(&self) -> u64 {
        size_of::<T>() as u64 + u64::from(self.heap)
    }
}

const LINE: usize = 64;

/// Lines of a record that are fetched ahead.
const fn lines(record: usize) -> usize {
    let lines = record.div_ceil(LINE);
    if lines < 8 { lines } else { 8 }
}

/// How many slots ahead of the one being filled: about a kibibyte.
const fn ahead(record: usize) -> usize {
    1 + 1024 / (record + LINE)
}

/// The slots of one shard.
pub(crate) struct Slots<T: Signal> {
    heads: Box<[Head<T::Indexes>]>,
    payloads: Box<[Cell<MaybeUninit<T>>]>,
}

// SAFETY: heads are atomics. A payload is written by the one owner of its claim, read under a licence (see `read`) and
// taken by the token holder, and `ring::shard` keeps these apart (invariants 1 and 3); `T` is `Send` and `Sync`, so it may
// cross threads in each of these ways.
unsafe impl<T: Signal> Sync for Slots<T> {}

// SAFETY: the slots own their records, each once (invariant 3), and `T` is `Send`.
unsafe impl<T: Signal> Send for Slots<T> {}

impl<T: Signal> Slots<T> {
    pub(crate) fn new(count: usize) -> Result<Self, TryReserveError> {
        let heads = reserve(count, Head::new)?;
        Ok(Self { heads, payloads: reserve(count, || Cell::new(MaybeUninit::uninit()))? })
    }

    pub(crate) fn count(&self) -> u64 {
        self.heads.len() as u64
    }

    pub(crate) fn head_bytes(&self) -> usize {
        size_of_val(&*self.heads)
    }

    pub(crate) fn payload_bytes(&self) -> usize {
        self.payloads.len() * size_of::<T>()
    }

    /// The slot of a sequence. A division; walk with care in hot loops.
    #[inline]
    pub(crate) fn slot(&self, sequence: u64) -> usize {
        (sequence % self.count()) as usize
    }

    /// The slot after this one.
    #[inline]
    pub(crate) fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.heads.len() { 0 } else { slot + 1 }
    }

    /// The slot before this one.
    #[inline]
    pub(crate) fn before(&self, slot: usize) -> usize {
        slot.checked_sub(1).unwrap_or(self.heads.len() - 1)
    }

    /// The slot so many slots on; fewer than there are.
    #[inline]
    pub(crate) fn forth(&self, slot: usize, slots: u64) -> usize {
        let on = slot + slots as usize;
        if on >= self.heads.len() { on - self.heads.len() } else { on }
    }

    /// The heads of a range of sequences, in order, without a division for each.
    #[inline]
    pub(crate) fn heads(&self, range: std::ops::Range<u64>) -> impl Iterator<Item = (u64, &Head<T::Indexes>)> {
        let mut slot = self.slot(range.start);
        range.map(move |sequence| {
            let head = &self.heads[slot];
            slot = self.after(slot);
            (sequence, head)
        })
    }

    /// Bytes of a record with this head, in its slot and on the heap; as [`Sketch::bytes`] had them.
    pub(crate) fn bytes_of(head: &Head<T::Indexes>) -> u64 {
        size_of::<T>() as u64 + head.heap()
    }

    /// Bytes of a range of records.
    pub(crate) fn bytes(&self, range: std::ops::Range<u64>) -> u64 {
        self.heads(range).map(|(_, head)| Self::bytes_of(head)).sum()
    }

    /// The slot of a sequence and the heads of that one and of those after it that lie behind one another, at most so
    /// many.
    #[inline]
    pub(crate) fn run(&self, sequence: u64, most: u64) -> (usize, &[Head<T::Indexes>]) {
        let slot = self.slot(sequence);
        let rest = &self.heads[slot..];
        (slot, &rest[..rest.len().min(most as usize)])
    }

    #[inline]
    pub(crate) fn head_at(&self, slot: usize) -> &Head<T::Indexes> {
        &self.heads[slot]
    }

    #[inline]
    pub(crate) fn head(&self, sequence: u64) -> &Head<T::Indexes> {
        &self.heads[self.slot(sequence)]
    }

    /// The head, if this very sequence is published there.
    #[inline]
    pub(crate) fn published(&self, sequence: u64) -> Option<&Head<T::Indexes>> {
        let head = self.head(sequence);
        head.holds(sequence).then_some(head)
    }

    /// Fetches heads that the caller is about to change, from this slot on, as far as the ring goes.
    #[inline]
    pub(crate) fn prefetch_heads(&self, slot: usize, count: usize) {
        self.heads.iter().skip(slot).take(count).for_each(|head| prefetch_to_write(head));
    }

    /// Fetches a slot some way on from this one, which the caller is going to fill soon. Where the ring begins again, some
    /// slots are left out, and what lies behind it is fetched for nothing.
    #[inline(always)]
    pub(crate) fn prefetch_ahead(&self, slot: usize) {
        let slot = slot + const { ahead(size_of::<T>()) };
        prefetch_to_write(self.heads.as_ptr().wrapping_add(slot));
        let start: *const u8 = self.payloads.as_ptr().wrapping_add(slot).cast();
        for line in 0..const { lines(size_of::<T>()) } {
            prefetch_to_write(start.wrapping_add(line * LINE));
        }
    }

    /// Fetches a record's first lines, to be read.
    #[inline]
    pub(crate) fn prefetch_payload(&self, sequence: u64) {
        let start: *const u8 = (&raw const self.payloads[self.slot(sequence)]).cast();
        for line in 0..const { lines(size_of::<T>()) } {
            prefetch(start.wrapping_add(line * LINE));
        }
    }

    /// Puts a record in its slot and publishes it.
    ///
    /// # Safety
    /// The caller owns the claim on `sequence`, `slot` is its slot, and it calls this once: then the slot's former record
    /// is reclaimed (`claimed ≤ reclaimed + P`), and nobody else touches the payload until the generation says so.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, slot: usize, sequence: u64, stamp: u64, record: T, sketch: &Sketch<T>) {
        debug_assert_eq!(slot, self.slot(sequence));
        let (head, payload) = (&self.heads[slot], &self.payloads[slot]);
        payload.with_mut(|payload| {
            // SAFETY: by the contract above this thread alone may touch the payload, and what it held has been dropped
            // (invariants 1 and 3).
            unsafe { (*payload).write(record) };
        });
        head.stamp.store(stamp, Ordering::Relaxed);
        head.time.store(sketch.time, Ordering::Relaxed);
        head.heap.store(sketch.heap, Ordering::Relaxed);
        for (cell, &print) in head.prints.as_ref().iter().zip(sketch.prints.as_ref()) {
            cell.store(print, Ordering::Relaxed);
        }
        // Release pairs with the Acquire in `Head::holds`.
        let release = weaken(Ordering::Release, Fault::PublishRelaxed);
        head.generation.store(Generation::of(sequence).0, release);
    }

    /// Reads a record in place.
    ///
    /// # Safety
    /// `published(sequence)` has answered, and the sequence can't be reclaimed while `f` runs: the caller's mark lies at
    /// or below it and a look at `evicted` after the mark was set found it at or below it too, or the caller holds the
    /// token and has not raised `reclaimed` past it.
    #[inline]
    pub(crate) unsafe fn read<R>(&self, sequence: u64, f: impl FnOnce(&T) -> R) -> R {
        self.payloads[self.slot(sequence)].with(|payload| {
            // SAFETY: published, so initialised and visible; not reclaimed, so neither dropped nor written (invariant 1).
            f(unsafe { (*payload).assume_init_ref() })
        })
    }

    /// Moves a record out of its slot.
    ///
    /// # Safety
    /// `published(sequence)` has answered, the caller holds the token (or the whole ring), no mark lies at or below the
    /// sequence, `reclaimed` has not been raised past it, and the caller does so before it gives the token back: each
    /// record is taken once (invariant 3).
    #[inline]
    pub(crate) unsafe fn take(&self, sequence: u64) -> T {
        self.payloads[self.slot(sequence)].with_mut(|payload| {
            // SAFETY: initialised, and by the contract above neither read, written nor taken by anybody else (invariants 1
            // and 3).
            unsafe { (*payload).assume_init_read() }
        })
    }

    /// Drops a record in its slot; the same as `take` without moving it.
    ///
    /// # Safety
    /// As for `take`. The record counts as dropped even if its drop panics.
    #[inline]
    pub(crate) unsafe fn discard(&self, sequence: u64) {
        self.payloads[self.slot(sequence)].with_mut(|payload| {
            // SAFETY: as in `take` (invariants 1 and 3).
            unsafe { (*payload).assume_init_drop() };
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_fetched_whole_unless_it_is_large_and_about_a_kibibyte_ahead() {
        assert_eq!([1, 64, 65, 184, 448, 512, 513, 4_096].map(lines), [1, 1, 2, 3, 7, 8, 8, 8]);
        assert_eq!([0, 64, 184, 960, 4_096].map(ahead), [17, 9, 5, 2, 1]);
    }
}
