//! Slots: a head for the engine, one cache line, and the record itself apart from it.
//!
//! A shard hands out sequences. Sequence `s` belongs to *place* `s % P` of the ring. As a rule the slot of that number
//! serves the place. While somebody sleeps over a slot, a spare one serves its place: see [`SlotMap`].

use super::indexer_lock::{Cursor, Term};
use super::meta::RecordMeta;
use super::slot_map::{Quarantined, SlotMap};
use crate::signal::{Indexes, Signal};
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::reserve::{Reserved, Zeroed, reserve, reserve_zeroed};
use crate::sync::{AtomicU32, AtomicU64, Cell, Ordering, Snapshot, fence, prefetch, prefetch_to_write};
use std::collections::TryReserveError;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// A slot's generation word: which sequence it holds, and what has become of that record.
///
/// | word | meaning | who writes it |
/// |---|---|---|
/// | 0 | nothing yet, or a record is being written | the claim's owner |
/// | `s + 1` | sequence `s` is published | the claim's owner |
/// | `s + 1`, `TAKEN` | its record is being moved out | whoever reclaims it, by a compare-and-swap |
/// | `s + 1`, `DONE` | its record has been moved out | the same |
///
/// The compare-and-swap decides who takes a record, so it is taken once, also if a sleeper wakes up and goes on with work that
/// others have done meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Generation(u64);

impl Generation {
    const TAKEN: u64 = 1 << 63;
    const DONE: u64 = 1 << 62;
    const BUSY: Self = Self(0);

    fn published(sequence: u64) -> Self {
        Self(sequence + 1)
    }

    fn taken(sequence: u64) -> Self {
        Self((sequence + 1) | Self::TAKEN)
    }

    fn done(sequence: u64) -> Self {
        Self((sequence + 1) | Self::DONE)
    }

    /// The sequence that is published, if one is.
    fn sequence(self) -> Option<u64> {
        if self.0 & (Self::TAKEN | Self::DONE) == 0 { self.0.checked_sub(1) } else { None }
    }
}

/// What the engine needs to know of a record, in one line of 64 bytes for up to four indexes.
///
/// A seqlock: the producer sets the generation to 0, writes the other words, and stores the generation. Whoever reads them
/// without a pin reads the generation before and after ([`look`](Head::look)).
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
    /// The record's own heap bytes, at most `u32::MAX`.
    heap: AtomicU32,
}

// SAFETY: atomic integers, for which zero bytes are the value 0.
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
    fn generation(&self) -> Generation {
        // Acquire pairs with the Release in `Slots::write`: who sees the generation sees the record and the head's other words.
        // It also pairs with the Release in `Slots::take`: who sees `DONE` may write the slot.
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Whether this very sequence is published here.
    #[inline]
    pub(crate) fn holds(&self, sequence: u64) -> bool {
        self.generation() == Generation::published(sequence)
    }

    /// The sequence that is published here now, if one is.
    #[inline]
    pub(crate) fn sequence(&self) -> Option<u64> {
        self.generation().sequence()
    }

    /// What `look` finds in the head of this very sequence; `None` if the slot does not hold it, or not any more.
    #[inline]
    pub(crate) fn look<R>(&self, sequence: u64, look: impl FnOnce(&Self) -> R) -> Option<R> {
        if !self.holds(sequence) {
            return None;
        }
        let found = look(self);
        // Pairs with the Release fence in `Slots::write`: if `look` has read a word of the slot's next record, this thread
        // sees the 0, or a later generation, below.
        fence(Ordering::Acquire);
        let still = self.generation.load(Ordering::Relaxed) == Generation::published(sequence).0;
        if still || planted(Fault::HeadLookedAtOnce) {
            return Some(found);
        }
        // Acquires what `generation` would have: the caller finds that the record has been evicted.
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

/// What came of an attempt to take a record out of its slot.
pub(crate) enum Taken<T> {
    /// The record.
    Record(T),
    /// Somebody else has taken it, and is done: the slot is free.
    Before,
    /// It is not published yet, or is being moved out by somebody else.
    NotYet,
}

/// The slots of one shard.
pub(crate) struct Slots<T: Signal> {
    heads: Reserved<Head<T::Indexes>>,
    payloads: Box<[Cell<MaybeUninit<T>>]>,
    /// SlotMap of the ring. What is left of the slots is spare.
    places: usize,
    /// 1 while some place is served by another slot than its own, or somebody sleeps over a slot.
    moved: Cursor,
    serving: Snapshot<SlotMap>,
}

// SAFETY: heads are atomics. A payload is written by the one owner of its claim, read under a pin (see `read`) and
// moved out by whoever wins its generation, and `ring::shard` keeps these apart (invariants 1 and 3); `T` is `Send` and `Sync`,
// so it may cross threads in each of these ways.
unsafe impl<T: Signal> Sync for Slots<T> {}

// SAFETY: the slots own their records, each once (invariant 3), and `T` is `Send`.
unsafe impl<T: Signal> Send for Slots<T> {}

impl<T: Signal> Slots<T> {
    /// A ring of so many places, and as many spare slots beside it as is said.
    pub(crate) fn new(places: usize, spares: usize) -> Result<Self, TryReserveError> {
        let count = places + spares;
        Ok(Self {
            heads: reserve_zeroed(count)?,
            payloads: reserve(count, || Cell::new(MaybeUninit::uninit()))?,
            places,
            moved: Cursor::new(),
            serving: Snapshot::new(SlotMap::new(places, spares)),
        })
    }

    /// How many places the ring has.
    #[inline]
    pub(crate) fn places(&self) -> u64 {
        self.places as u64
    }

    /// How many slots there are, the spare ones included.
    pub(crate) fn count(&self) -> usize {
        self.heads.len()
    }

    pub(crate) fn head_bytes(&self) -> usize {
        size_of_val(&*self.heads)
    }

    pub(crate) fn payload_bytes(&self) -> usize {
        self.payloads.len() * size_of::<T>()
    }

    // --- places and slots ---

    /// The place of a sequence. A division; walk with care in hot loops.
    #[inline]
    pub(crate) fn place(&self, sequence: u64) -> usize {
        (sequence % self.places()) as usize
    }

    /// The place so many places on; fewer than there are.
    #[inline]
    pub(crate) fn forth(&self, place: usize, places: u64) -> usize {
        let on = place + places as usize;
        if on >= self.places { on - self.places } else { on }
    }

    /// The place so many places back; fewer than there are.
    #[inline]
    pub(crate) fn back(&self, place: usize, places: u64) -> usize {
        place.checked_sub(places as usize).unwrap_or_else(|| place + self.places - places as usize)
    }

    /// Whether some place may be served by another slot than its own.
    #[inline]
    pub(crate) fn any_moved(&self) -> bool {
        // Relaxed would do: a place moves before the sequence that it then serves may be claimed (`Shard::limit`). Whoever knows that
        // this sequence was claimed has acquired that, and sees the move. What others see here is of no consequence: the slot's
        // generation tells them that it holds another sequence.
        self.moved.get() != 0
    }

    /// How many slots somebody sleeps over.
    pub(crate) fn count_quarantined(&self) -> usize {
        if self.any_moved() { self.serving.load().quarantined().len() } else { 0 }
    }

    /// Whether somebody sleeps over a slot.
    pub(crate) fn any_quarantined(&self) -> bool {
        self.count_quarantined() > 0
    }

    /// The slot that serves a place now.
    #[inline]
    pub(crate) fn slot(&self, place: usize) -> usize {
        if self.any_moved() { self.moved_to(place) } else { place }
    }

    #[cold]
    fn moved_to(&self, place: usize) -> usize {
        self.serving.load().slot(place)
    }

    /// How many places from this one on, at most so many, are served by their own slots.
    #[inline]
    pub(crate) fn own_from(&self, place: usize, most: u64) -> u64 {
        if self.any_moved() { self.serving.load().own_from(place, most) } else { most }
    }

    /// Who serves which place now; for the token holder.
    pub(crate) fn serving(&self) -> Arc<SlotMap> {
        Arc::clone(&self.serving.load())
    }

    /// Replaces who serves which place, if that is still what it was; whether it was. For the token holder, before it raises the
    /// limit.
    pub(crate) fn serve(&self, before: &Arc<SlotMap>, places: SlotMap, term: Term) -> bool {
        let (was_moved, is_moved) = (u64::from(!before.is_plain()), u64::from(!places.is_plain()));
        let replaced = self.serving.replace(before, places);
        if replaced && was_moved != is_moved {
            // Where this fails, the holder has been relieved, and its successor has noted it.
            self.moved.advance(was_moved, is_moved, term, Ordering::Release);
        }
        replaced
    }

    /// Makes sure that whoever has looked at who serves which place before this, in an earlier term, can't replace it any more.
    pub(crate) fn adopt_places(&self, term: Term, is_held: impl Fn() -> bool) -> Option<()> {
        self.serving.update(SlotMap::clone);
        let noted = self.moved.adopt(term, is_held)?;
        let moved = u64::from(!self.serving.load().is_plain());
        if noted != moved {
            self.moved.advance(noted, moved, term, Ordering::Release);
        }
        Some(())
    }

    // --- heads ---

    #[inline]
    pub(crate) fn head_at(&self, slot: usize) -> &Head<T::Indexes> {
        &self.heads[slot]
    }

    #[inline]
    pub(crate) fn head(&self, sequence: u64) -> &Head<T::Indexes> {
        &self.heads[self.slot(self.place(sequence))]
    }

    /// The heads of a range of sequences, in order, without a division for each.
    #[inline]
    pub(crate) fn heads(&self, range: std::ops::Range<u64>) -> impl Iterator<Item = (u64, &Head<T::Indexes>)> {
        let mut place = self.place(range.start);
        range.map(move |sequence| {
            let head = &self.heads[self.slot(place)];
            place = self.forth(place, 1);
            (sequence, head)
        })
    }

    /// Bytes of a record with this head, in its slot and on the heap; as [`RecordMeta::bytes`] had them.
    pub(crate) fn bytes_of(head: &Head<T::Indexes>) -> u64 {
        size_of::<T>() as u64 + head.heap()
    }

    /// The place of a sequence, and the heads of that one and of those after it whose slots lie behind one another, at most so
    /// many; one at least.
    #[inline]
    pub(crate) fn run(&self, sequence: u64, most: u64) -> (usize, &[Head<T::Indexes>]) {
        let place = self.place(sequence);
        match self.own_from(place, most.min((self.places - place) as u64)) as usize {
            0 => (place, std::slice::from_ref(&self.heads[self.slot(place)])),
            count => (place, &self.heads[place..place + count]),
        }
    }

    /// Fetches heads that the caller is about to read, from this place on, as far as the ring goes.
    #[inline]
    pub(crate) fn prefetch_heads(&self, place: usize, count: usize) {
        self.heads.iter().skip(place).take(count).for_each(|head| prefetch(head));
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
    pub(crate) fn prefetch_payload(&self, slot: usize) {
        let start: *const u8 = (&raw const self.payloads[slot]).cast();
        for line in 0..const { lines(size_of::<T>()) } {
            prefetch(start.wrapping_add(line * LINE));
        }
    }

    // --- records ---

    /// Puts a record in its slot and publishes it.
    ///
    /// # Safety
    /// The caller owns the claim on `sequence`. `slot` served the sequence's place when the limit let it claim. It calls this
    /// once. Then the slot is free (`claimed ≤ reclaimed + P`), and nobody else touches the payload until the generation says so.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, slot: usize, sequence: u64, stamp: u64, record: T, meta: &RecordMeta<T>) {
        let (head, payload) = (&self.heads[slot], &self.payloads[slot]);
        // Release pairs with the Acquire in `Head::generation`: who finds the slot busy sees that its former record was evicted.
        head.generation.store(Generation::BUSY.0, weaken(Ordering::Release, Fault::BusyRelaxed));
        // Pairs with the Acquire fence in `Head::look`, which says why. On x86-64 it is no instruction.
        fence(Ordering::Release);
        payload.with_mut(|payload| {
            // SAFETY: by the contract above this thread alone may touch the payload, and what it held has been dropped
            // (invariants 1 and 3).
            unsafe { (*payload).write(record) };
        });
        head.stamp.store(stamp, Ordering::Relaxed);
        head.time.store(meta.time, Ordering::Relaxed);
        head.heap.store(meta.heap, Ordering::Relaxed);
        for (cell, &print) in head.prints.as_ref().iter().zip(meta.prints.as_ref()) {
            cell.store(print, Ordering::Relaxed);
        }
        // Release pairs with the Acquire in `Head::generation`.
        let release = weaken(Ordering::Release, Fault::PublishRelaxed);
        head.generation.store(Generation::published(sequence).0, release);
    }

    /// Reads a record in place.
    ///
    /// # Safety
    /// The slot's head has said that it holds the sequence, and the record can't be moved out while `f` runs: the caller has
    /// pinned the slot, and a look at `evicted` after that found it at or below the sequence; or the caller has the whole ring.
    #[inline]
    pub(crate) unsafe fn read<R>(&self, slot: usize, f: impl FnOnce(&T) -> R) -> R {
        self.payloads[slot].with(|payload| {
            // SAFETY: published, so initialised and visible; not moved out, so neither dropped nor written (invariant 1).
            f(unsafe { (*payload).assume_init_ref() })
        })
    }

    /// Moves the record of this sequence out of its slot, unless somebody else has, or does.
    ///
    /// # Safety
    /// `evicted` has been raised past the sequence, and a scan of the pins after that did not find the slot: so nobody reads it,
    /// or ever will.
    #[inline]
    pub(crate) unsafe fn take(&self, slot: usize, sequence: u64) -> Taken<T> {
        let generation = &self.heads[slot].generation;
        let (published, taken) = (Generation::published(sequence).0, Generation::taken(sequence).0);
        // Acquire pairs with the Release in `write`, and on failure with the one below. Release pairs with the Acquire in
        // `Head::generation`: who finds the record being taken knows that its entries have left.
        match generation.compare_exchange(published, taken, Ordering::AcqRel, Ordering::Acquire) {
            result if result.is_ok() || planted(Fault::TakenTwice) => {
                let record = self.payloads[slot].with_mut(|payload| {
                    // SAFETY: initialised, because published; by the contract above nobody reads it, and the swap has made
                    // this thread the only one that moves it out (invariants 1 and 3).
                    unsafe { (*payload).assume_init_read() }
                });
                // Release pairs with the Acquire in `Head::generation`: whoever finds this may write the slot.
                generation.store(Generation::done(sequence).0, Ordering::Release);
                Taken::Record(record)
            }
            Err(found) if found == Generation::done(sequence).0 => Taken::Before,
            _ => Taken::NotYet,
        }
    }

    /// Drops what is published of these sequences, and in slots that were set aside.
    pub(crate) fn clear(&mut self, sequences: std::ops::Range<u64>, mut guarded: impl FnMut(&mut dyn FnMut())) {
        let places = self.serving();
        let aside = places.quarantined().iter().map(|&Quarantined { slot, sequence, .. }| (slot, sequence));
        let within = sequences.map(|sequence| (self.slot(self.place(sequence)), sequence));
        for (slot, sequence) in within.chain(aside) {
            guarded(&mut || {
                // SAFETY: nobody else has these slots any more.
                let record = unsafe { self.take(slot, sequence) };
                drop(record);
            });
        }
    }

    /// Whether the slot of this sequence is free once nobody reads it, where records need no drop; see [`take`](Self::take).
    pub(crate) fn is_free(&self, slot: usize, sequence: u64) -> bool {
        let generation = self.heads[slot].generation();
        generation == Generation::published(sequence) || generation == Generation::done(sequence)
    }

    /// Whether the record of this sequence has been moved out of its slot, or is being.
    pub(crate) fn is_taken(&self, slot: usize, sequence: u64) -> bool {
        let generation = self.heads[slot].generation();
        generation == Generation::taken(sequence) || generation == Generation::done(sequence)
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
