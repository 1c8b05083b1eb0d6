//! Slots: a head of one cache line with what the engine needs, and the record apart from it.
//!
//! A shard hands out sequences. Sequence `s` belongs to *place* `s % P` of the ring of `P` places.
//! As a rule a place is served by the slot of the same number. While that slot is quarantined, a
//! spare slot serves the place; see [`SlotMap`].

use super::head::{Generation, Head};
use super::indexer_lock::{Cursor, Term};
use super::meta::RecordMeta;
use super::slot_map::{Quarantined, SlotMap};
use crate::engine::tuning::PREFETCHED_AHEAD;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::reserve::{Reserved, reserve, reserve_zeroed};
use crate::sync::{Cell, Ordering, Snapshot, fence, prefetch, prefetch_to_write};
use std::collections::TryReserveError;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

const LINE: usize = 64;

/// Returns how many cache lines of a record are prefetched: all.
const fn prefetched_lines(record: usize) -> usize {
    record.div_ceil(LINE)
}

/// Returns how many slots ahead of the current one a producer prefetches.
const fn prefetch_distance(record: usize) -> usize {
    1 + PREFETCHED_AHEAD / (record + LINE)
}

/// The result of an attempt to move a record out of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MoveOut {
    /// The record was moved out.
    Moved,
    /// Another thread has moved the record out before. The slot is free.
    AlreadyMoved,
    /// The record is not published yet, or another thread is moving it out.
    Unavailable,
}

/// The slots of one shard.
pub(crate) struct Slots<T: Signal> {
    heads: Reserved<Head<T::Indexes>>,
    payloads: Box<[Cell<MaybeUninit<T>>]>,
    /// Number of places of the ring. The slots beyond it are spare.
    places: usize,
    /// 1 while the slot map is not the identity, else 0.
    moved: Cursor,
    /// The slot map.
    map: Snapshot<SlotMap>,
}

/// All slots of a shard. A compiler loads their addresses from [`Slots`] anew after each load with
/// Acquire, and from here once.
pub(crate) struct AllSlots<'a, T: Signal> {
    heads: &'a [Head<T::Indexes>],
    payloads: &'a [Cell<MaybeUninit<T>>],
}

/// One slot, as a reader uses it.
pub(crate) struct Slot<'a, T: Signal> {
    head: &'a Head<T::Indexes>,
    payload: &'a Cell<MaybeUninit<T>>,
}

/// A slot whose record is written and not yet published.
#[must_use]
pub(crate) struct Filled<'a, T: Signal> {
    slots: &'a Slots<T>,
    slot: usize,
    head: &'a Head<T::Indexes>,
}

// SAFETY: Heads are atomics. The three accesses to a payload never overlap (invariants 1 and 3):
// the owner of a claim writes it while the slot is free (see `fill`), readers read it under a pin
// (see `Slot::read`), and one thread moves it out, which the generation word elects (see `move_out`).
// `engine::shard` upholds the callers' side. `T` is `Send` and `Sync`, so a record may cross
// threads in each of these ways.
unsafe impl<T: Signal> Sync for Slots<T> {}

// SAFETY: The slots own each of their records once (invariant 3), and `T` is `Send`.
unsafe impl<T: Signal> Send for Slots<T> {}

impl<T: Signal> Slots<T> {
    /// Creates a ring of `places` places, with `spares` spare slots.
    pub(crate) fn new(places: usize, spares: usize) -> Result<Self, TryReserveError> {
        let count = places + spares;
        Ok(Self {
            heads: reserve_zeroed(count)?,
            payloads: reserve(count, || Cell::new(MaybeUninit::uninit()))?,
            places,
            moved: Cursor::new(),
            map: Snapshot::new(SlotMap::new(places, spares)),
        })
    }

    /// Returns the number of places of the ring.
    #[inline]
    pub(crate) fn places(&self) -> u64 {
        self.places as u64
    }

    /// Returns the number of slots, spare ones included.
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

    /// Returns the place of a sequence. This divides; hot loops use [`Self::place_after`].
    #[inline]
    pub(crate) fn place(&self, sequence: u64) -> usize {
        (sequence % self.places()) as usize
    }

    /// Returns the place `places` places after this one. `places` is less than the ring's length.
    #[inline]
    pub(crate) fn place_after(&self, place: usize, places: u64) -> usize {
        let next = place + places as usize;
        if next >= self.places { next - self.places } else { next }
    }

    /// Returns the place `places` places before this one. `places` is less than the ring's length.
    #[inline]
    pub(crate) fn place_before(&self, place: usize, places: u64) -> usize {
        place.checked_sub(places as usize).unwrap_or_else(|| place + self.places - places as usize)
    }

    /// Returns whether a place may be served by another slot than its own.
    #[inline]
    pub(crate) fn any_moved(&self) -> bool {
        // Relaxed: a place moves before its next sequence can be claimed (see `Shard::limit`). A
        // thread that knows of that claim has acquired the limit, and so sees the move. For other
        // threads the result is of no consequence, because the slot's generation tells them that it
        // holds another sequence. The map itself is acquired when it is loaded.
        self.moved.get_relaxed() != 0
    }

    /// Returns the number of quarantined slots.
    pub(crate) fn count_quarantined(&self) -> usize {
        if self.any_moved() { self.map.load().quarantined().len() } else { 0 }
    }

    /// Returns whether any slot is quarantined.
    pub(crate) fn any_quarantined(&self) -> bool {
        self.count_quarantined() > 0
    }

    /// Returns the slot that serves a place now.
    #[inline]
    pub(crate) fn slot(&self, place: usize) -> usize {
        if self.any_moved() { self.mapped_slot(place) } else { place }
    }

    #[cold]
    fn mapped_slot(&self, place: usize) -> usize {
        self.map.load().slot(place)
    }

    /// Returns how many consecutive places from this one on, at most `most`, use their own slots.
    #[inline]
    pub(crate) fn own_slot_run(&self, place: usize, most: u64) -> u64 {
        if self.any_moved() { self.map.load().own_slot_run(place, most) } else { most }
    }

    /// Returns the current slot map, for the holder of the indexer lock.
    pub(crate) fn slot_map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.map.load())
    }

    /// Replaces the slot map if it still is `before`, and returns whether it was.
    ///
    /// The caller holds the indexer lock. It has not yet raised `reclaimed` over the moved places.
    pub(crate) fn replace_slot_map(&self, before: &Arc<SlotMap>, map: SlotMap, term: Term) -> bool {
        let (was_moved, is_moved) =
            (u64::from(!before.is_identity()), u64::from(!map.is_identity()));
        let replaced = self.map.replace(before, map);
        if replaced && was_moved != is_moved {
            // Relaxed, as in `any_moved`: the Release of `reclaimed` publishes the move. This fails
            // if the lock was taken over. The new holder has then updated the word.
            self.moved.advance(was_moved, is_moved, term, Ordering::Relaxed);
        }
        replaced
    }

    /// Renews the slot map, so that no holder of an earlier term can replace it any more. Returns
    /// `None` if `is_held` says that this term has ended too.
    pub(crate) fn adopt_slot_map(&self, term: Term, is_held: impl Fn() -> bool) -> Option<()> {
        self.map.update(SlotMap::clone);
        let adopted = self.moved.adopt(term, is_held)?;
        let moved = u64::from(!self.map.load().is_identity());
        if adopted != moved {
            // Relaxed, as in `replace_slot_map`.
            self.moved.advance(adopted, moved, term, Ordering::Relaxed);
        }
        Some(())
    }

    // --- heads ---

    /// Returns all slots, for a reader that looks at many.
    #[inline(always)]
    pub(crate) fn all(&self) -> AllSlots<'_, T> {
        AllSlots { heads: &self.heads, payloads: &self.payloads }
    }

    #[inline]
    pub(crate) fn head_at(&self, slot: usize) -> &Head<T::Indexes> {
        &self.heads[slot]
    }

    #[inline]
    pub(crate) fn head(&self, sequence: u64) -> &Head<T::Indexes> {
        &self.heads[self.slot(self.place(sequence))]
    }

    /// Returns the heads of a range of sequences in order, without a division for each.
    #[inline]
    pub(crate) fn heads(
        &self,
        range: std::ops::Range<u64>,
    ) -> impl Iterator<Item = (u64, &Head<T::Indexes>)> {
        let mut place = self.place(range.start);
        range.map(move |sequence| {
            let head = &self.heads[self.slot(place)];
            place = self.place_after(place, 1);
            (sequence, head)
        })
    }

    /// Returns the bytes of a record with this head, in its slot and on the heap.
    ///
    /// The result equals that of [`RecordMeta::bytes`] at the time of the push.
    pub(crate) fn bytes_of(head: &Head<T::Indexes>) -> u64 {
        size_of::<T>() as u64 + head.heap()
    }

    /// Returns the place of a sequence, and a slice of 1 to `most` heads from this sequence on.
    ///
    /// The slice ends where the slots of consecutive sequences are not adjacent.
    #[inline]
    pub(crate) fn adjacent_heads(&self, sequence: u64, most: u64) -> (usize, &[Head<T::Indexes>]) {
        let place = self.place(sequence);
        match self.own_slot_run(place, most.min((self.places - place) as u64)) as usize {
            0 => (place, std::slice::from_ref(&self.heads[self.slot(place)])),
            count => (place, &self.heads[place..place + count]),
        }
    }

    /// Prefetches, for writing, a slot at some distance behind this one. The distance does not wrap
    /// around the ring: beyond its end, the hint is wasted.
    #[inline(always)]
    pub(crate) fn prefetch_ahead(&self, slot: usize) {
        let slot = slot + const { prefetch_distance(size_of::<T>()) };
        prefetch_to_write(self.heads.as_ptr().wrapping_add(slot));
        let start: *const u8 = self.payloads.as_ptr().wrapping_add(slot).cast();
        for line in 0..const { prefetched_lines(size_of::<T>()) } {
            prefetch_to_write(start.wrapping_add(line * LINE));
        }
    }

    // --- records ---

    /// Copies a record to its slot, where the caller publishes it. Panics only before the copy, except
    /// that under loom the cell itself checks for races.
    ///
    /// # Safety
    /// The caller owns the record, and forgets it before it publishes. It owns a claim on a
    /// sequence, and calls this once for it. `slot` served the sequence's place when the limit
    /// allowed the claim. The slot is then free (`claimed ≤ reclaimed + P`), and no other thread
    /// accesses its payload before the generation is published.
    #[inline(always)]
    pub(crate) unsafe fn fill(&self, slot: usize, record: *const T) -> Filled<'_, T> {
        let (head, payload) = (&self.heads[slot], &self.payloads[slot]);
        // Release pairs with the Acquire in `Head::generation`: a thread that finds the slot busy
        // sees that its former record was evicted.
        head.generation.store(Generation::BUSY.0, weaken(Ordering::Release, Fault::BusyRelaxed));
        // Pairs with the Acquire fence in `Head::try_read`: a reader that sees one of the stores
        // below or in `publish` also sees the store above. On x86-64 this is no instruction.
        fence(Ordering::Release);
        payload.with_mut(|payload| {
            // SAFETY: By the contract only this thread accesses the payload. Its former record has
            // been moved out or needs no drop, and the caller gives up the copied record
            // (invariants 1 and 3). The caller's record is in no slot, so the two don't overlap.
            unsafe { payload.copy_from_nonoverlapping(record.cast(), 1) };
        });
        Filled { slots: self, slot, head }
    }

    /// Returns a slot, for a reader.
    #[inline(always)]
    pub(crate) fn at(&self, slot: usize) -> Slot<'_, T> {
        self.all().at(slot)
    }

    /// Moves the record of a sequence out of its slot and passes it to `take`, unless another thread
    /// does or has done so.
    ///
    /// # Safety
    /// `evicted` was raised past the sequence, and a scan of the pins after that did not find the
    /// slot. No thread therefore reads the record, now or later.
    #[inline]
    pub(crate) unsafe fn move_out(
        &self,
        slot: usize,
        sequence: u64,
        take: impl FnOnce(T),
    ) -> MoveOut {
        let generation = &self.heads[slot].generation;
        let (published, moving) =
            (Generation::published(sequence).0, Generation::moving(sequence).0);
        // Acquire pairs with the Release in `Filled::publish`, and on failure with the Release
        // below. Release pairs with the Acquire in `Head::generation`: a thread that finds the
        // record being moved out sees that its index entries are gone.
        match generation.compare_exchange(published, moving, Ordering::AcqRel, Ordering::Acquire) {
            result if result.is_ok() || planted(Fault::TakenTwice) => {
                let record = self.payloads[slot].with_mut(|payload| {
                    // SAFETY: The record was published, hence initialised. By the contract no
                    // thread reads it. The compare-and-swap has elected this thread as the only one
                    // that moves it out (invariants 1 and 3).
                    unsafe { (*payload).assume_init_read() }
                });
                // Release pairs with the Acquire in `Head::generation`: a thread that finds this
                // value may write the slot.
                generation.store(Generation::moved(sequence).0, Ordering::Release);
                take(record);
                MoveOut::Moved
            }
            Err(found) if found == Generation::moved(sequence).0 => MoveOut::AlreadyMoved,
            _ => MoveOut::Unavailable,
        }
    }

    /// Drops the published records of these sequences, and those in quarantined slots.
    pub(crate) fn clear(
        &mut self,
        sequences: std::ops::Range<u64>,
        mut guarded: impl FnMut(&mut dyn FnMut()),
    ) {
        let map = self.slot_map();
        let quarantined =
            map.quarantined().iter().map(|&Quarantined { slot, sequence, .. }| (slot, sequence));
        let within = sequences.map(|sequence| (self.slot(self.place(sequence)), sequence));
        for (slot, sequence) in within.chain(quarantined) {
            guarded(&mut || {
                // SAFETY: `&mut self` shows that no other thread has access to these slots.
                unsafe { self.move_out(slot, sequence, drop) };
            });
        }
    }

    /// Returns whether this sequence's slot is free once no reader has pinned it. For records that
    /// need no drop; others are moved out by [`Self::move_out`].
    pub(crate) fn is_free(&self, slot: usize, sequence: u64) -> bool {
        let generation = self.heads[slot].generation();
        generation == Generation::published(sequence) || generation == Generation::moved(sequence)
    }

    /// Returns whether this sequence's record is being moved out of its slot, or has been.
    pub(crate) fn is_moved_out(&self, slot: usize, sequence: u64) -> bool {
        let generation = self.heads[slot].generation();
        generation == Generation::moving(sequence) || generation == Generation::moved(sequence)
    }
}

impl<T: Signal> Filled<'_, T> {
    /// Publishes the record as the one of the sequence that it was written for, and prefetches a
    /// slot for a later one.
    #[inline(always)]
    pub(crate) fn publish(self, sequence: u64, stamp: u64, meta: &RecordMeta<T>) {
        let Self { slots, slot, head } = self;
        head.stamp.store(stamp, Ordering::Relaxed);
        head.time.store(meta.time, Ordering::Relaxed);
        head.heap.store(meta.heap, Ordering::Relaxed);
        for (cell, &print) in head.prints.as_ref().iter().zip(meta.prints.as_ref()) {
            cell.store(print, Ordering::Relaxed);
        }
        // Release pairs with the Acquire in `Head::generation`: record and head are visible.
        let release = weaken(Ordering::Release, Fault::PublishRelaxed);
        head.generation.store(Generation::published(sequence).0, release);
        slots.prefetch_ahead(slot);
    }
}

impl<'a, T: Signal> AllSlots<'a, T> {
    /// Returns the head of a slot.
    #[inline(always)]
    pub(crate) fn head(&self, slot: usize) -> &'a Head<T::Indexes> {
        &self.heads[slot]
    }

    /// Returns a slot.
    #[inline(always)]
    pub(crate) fn at(&self, slot: usize) -> Slot<'a, T> {
        Slot { head: &self.heads[slot], payload: &self.payloads[slot] }
    }
}

impl<T: Signal> Clone for Slot<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Signal> Copy for Slot<'_, T> {}

impl<T: Signal> Slot<'_, T> {
    /// Returns whether this slot holds the published record of exactly this sequence.
    #[inline(always)]
    pub(crate) fn holds(self, sequence: u64) -> bool {
        self.head.holds(sequence)
    }

    /// Prefetches the record for reading.
    #[inline(always)]
    pub(crate) fn prefetch_payload(self) {
        let start: *const u8 = ptr::from_ref(self.payload).cast();
        for line in 0..const { prefetched_lines(size_of::<T>()) } {
            prefetch(start.wrapping_add(line * LINE));
        }
    }

    /// Calls `f` with the record in this slot.
    ///
    /// # Safety
    /// The slot has shown that it [holds](Self::holds) a sequence, and the record can't be moved out
    /// while `f` runs. Either the caller has pinned the slot, confirmed the pin, and then read an
    /// `evicted` that is not above the sequence, or it has exclusive access to the ring.
    #[inline(always)]
    pub(crate) unsafe fn read<R>(self, f: impl FnOnce(&T) -> R) -> R {
        self.payload.with(|payload| {
            // SAFETY: The record is published, hence initialised and visible. By the contract it is
            // not moved out meanwhile, hence neither dropped nor overwritten (invariant 1).
            f(unsafe { (*payload).assume_init_ref() })
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
