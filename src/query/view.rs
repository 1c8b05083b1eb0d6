//! A reader's view of one shard, and pinned reads of records in place.

use crate::Position;
use crate::engine::index::Index;
use crate::engine::reentrancy::{self, Guard};
use crate::engine::ring::{Head, Pinner, Slot};
use crate::engine::shard::Shard;
use crate::engine::state::Engine;
use crate::engine::tuning::{LOOK_AT_MOST, PINS_PER_READER};
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use std::ops::Range;

/// A snapshot of a shard's cursors: the range of sequences that a reader sees. The range is fixed
/// when the view is opened; records in it may be evicted meanwhile. A view pins nothing.
pub(crate) struct View<'a, T: Signal> {
    shard: &'a Shard<T>,
    pub(crate) index: &'a Index<T>,
    /// The index pool's word when the view was opened; tells whether `index` is still in use.
    word: u64,
    /// The visible range was `[low, claimed)`. The directories covered at least `[low, indexed)`.
    pub(crate) low: u64,
    /// `low` before any bounds were applied.
    pub(crate) oldest: u64,
    pub(crate) indexed: u64,
    pub(crate) claimed: u64,
}

impl<T: Signal> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Signal> Copy for View<'_, T> {}

impl<'a, T: Signal> View<'a, T> {
    #[inline(always)]
    pub(crate) fn open(shard: &'a Shard<T>) -> Self {
        // The order of these loads matters. `indexed` comes before `claimed`, so that the unindexed
        // tail `[indexed, claimed)` has no gap. Both come before any read of a directory, so that
        // everything below `indexed` is in it.
        let (index, word) = shard.index();
        let evicted = shard.evicted();
        let indexed = index.indexed();
        let claimed = shard.claimed();
        let low = shard.low(claimed).max(evicted);
        Self { shard, index, word, low, oldest: low, indexed, claimed }
    }

    /// Restricts the view to these bounds.
    pub(crate) fn narrow(&mut self, bounds: &Range<u64>) {
        self.claimed = self.claimed.min(bounds.end);
        self.low = self.low.max(bounds.start);
    }

    pub(crate) fn shard(&self) -> &'a Shard<T> {
        self.shard
    }

    /// Returns the index pool's word when the view was opened: which index was in use.
    pub(crate) fn word(&self) -> u64 {
        self.word
    }

    /// Returns whether the view's index is still in use. If so after reads of the index, it was in
    /// use during all of them.
    pub(crate) fn is_current(&self) -> bool {
        self.shard.is_current(self.word)
    }

    /// Returns where the visible window begins now. Called after a directory was read, it is above
    /// every eviction that the read reflected: the evictor loaded `claimed` and the low watermark
    /// before it removed the entry.
    pub(crate) fn low_now(&self) -> u64 {
        self.shard.low(self.shard.claimed()).min(self.claimed)
    }

    /// Returns the sequence and the place of the newest record with this fingerprint that the index
    /// holds.
    #[inline(always)]
    pub(crate) fn newest(&self, index: usize, print: u64) -> Option<(u64, usize)> {
        self.index.newest(&self.shard.slots, index, print)
    }

    /// Returns what `look` reads from the head of a sequence; `None` if the sequence is not
    /// published, or no longer in its slot.
    #[inline]
    pub(crate) fn look<R>(
        &self,
        sequence: u64,
        look: impl FnOnce(&Head<T::Indexes>) -> R,
    ) -> Option<R> {
        self.shard.slots.head(sequence).try_read(sequence, look)
    }

    /// Returns whether `admits` accepts the head of one of these records, or may have accepted one
    /// that can no longer be read. O(1): for a long range it returns true unseen.
    pub(crate) fn admitted_one(
        &self,
        range: Range<u64>,
        admits: impl Fn(&Head<T::Indexes>) -> bool,
    ) -> bool {
        if range.is_empty() {
            return false;
        }
        range.end - range.start > LOOK_AT_MOST
            || range.into_iter().any(|sequence| match self.look(sequence, &admits) {
                Some(admitted) => admitted,
                // A sequence that was never published held no record to lose.
                None => sequence < self.shard.evicted(),
            })
    }
}

/// The right to read records of a store in place, a few at a time. While it lives, this thread
/// counts as inside the engine.
///
/// A reader [pins](Self::pin) records, [confirms](Self::confirm) all pins with one fence, and then
/// [reads](Self::read) them by their numbers, in the order in which they were pinned.
pub(crate) struct Reader<'a, T: Signal> {
    engine: &'a Engine<T>,
    pinner: Pinner<'a>,
    /// The records that are pinned, `count` of them. The pin of each is in the word of its number.
    pins: [Located<'a, T>; PINS_PER_READER],
    count: usize,
    /// A bit for each record that was in its slot when its pin had taken effect, and is pinned.
    there: u32,
    _inside: Guard,
}

/// A record, and the slot in which it was found.
pub(crate) struct Located<'a, T: Signal> {
    pub(crate) sequence: u64,
    shard: u32,
    number: u32,
    slot: Slot<'a, T>,
}

impl<T: Signal> Clone for Located<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Signal> Copy for Located<'_, T> {}

impl<'a, T: Signal> Located<'a, T> {
    /// Locates a sequence that this slot of this shard, which has this number, has held.
    #[inline(always)]
    pub(crate) fn new(slot: Slot<'a, T>, shard: usize, number: usize, sequence: u64) -> Self {
        Self { sequence, shard: shard as u32, number: number as u32, slot }
    }

    #[inline(always)]
    pub(crate) fn shard(self) -> usize {
        self.shard as usize
    }

    #[inline(always)]
    pub(crate) fn position(self) -> Position {
        Position::new(self.shard(), self.sequence)
    }
}

impl<'a, T: Signal> Reader<'a, T> {
    #[inline]
    pub(crate) fn new(engine: &'a Engine<T>) -> Self {
        const { assert!(PINS_PER_READER < u32::BITS as usize) };
        let inside = reentrancy::enter();
        let pinner = engine.pins.register();
        // None of these counts.
        let pins = [Located::new(engine.shards[0].slots.at(0), 0, 0, 0); PINS_PER_READER];
        Self { engine, pinner, pins, count: 0, there: 0, _inside: inside }
    }

    /// Begins anew: the next record has number 0. Its pin replaces the one that had this number.
    #[inline(always)]
    pub(crate) fn restart(&mut self) {
        (self.count, self.there) = (0, 0);
    }

    /// Returns the pinned records.
    #[inline(always)]
    pub(crate) fn pinned(&self) -> &[Located<'a, T>] {
        self.pins.get(..self.count).unwrap_or_default()
    }

    /// Pins a claimed sequence. The pin takes effect with [`confirm`](Self::confirm).
    #[inline]
    pub(crate) fn pin(&mut self, shard: usize, sequence: u64) {
        let slots = &self.engine.shards[shard].slots;
        let slot = slots.slot(slots.place(sequence));
        self.pin_one(Located::new(slots.at(slot), shard, slot, sequence));
    }

    /// Pins these records, as many as there are pins left. A reader has [`PINS_PER_READER`].
    #[inline(always)]
    pub(crate) fn pin_all(&mut self, records: impl IntoIterator<Item = Located<'a, T>>) {
        for (number, record) in (self.count..PINS_PER_READER).zip(records) {
            self.pins[number] = record;
            self.pinner.pin(number, record.shard(), record.number as usize);
            self.count = number + 1;
        }
    }

    /// Pins a record.
    ///
    /// # Panics
    /// If there is no pin left.
    #[inline(always)]
    pub(crate) fn pin_one(&mut self, record: Located<'a, T>) {
        assert!(self.count < PINS_PER_READER, "no pin is left");
        self.pin_all([record]);
    }

    /// Makes all pins effective, with one fence, and looks which of the records are still there.
    #[inline(always)]
    pub(crate) fn confirm(&mut self) {
        self.pinner.confirm();
        let (shards, mut there) = (&self.engine.shards[..], 0);
        for pin in self.pinned().iter().rev() {
            let evicted = shards[pin.shard()].evicted();
            let is_there = (planted(Fault::ReaderWithoutReload) || pin.sequence >= evicted)
                && pin.slot.holds(pin.sequence);
            there = there << 1 | u32::from(is_there);
        }
        self.there = there;
    }

    /// Returns a bit for each pinned record that can be read.
    #[inline(always)]
    pub(crate) fn there(&self) -> u32 {
        self.there
    }

    /// Calls `f` with the record of this number, in place, if it is published and was not evicted
    /// before its pin took effect.
    #[inline(always)]
    pub(crate) fn look<R>(&self, number: usize, f: impl FnOnce(&T) -> R) -> Option<R> {
        let record = self.pins.get(number).filter(|_| self.there >> number & 1 == 1)?;
        // SAFETY: invariant 1. `confirm` saw the record published, and not evicted at a moment
        // after the pin had taken effect. A thread that evicts it later scans the pins, finds this
        // one, and leaves the record in its slot. The pin is still there: `restart` and `read`,
        // after which it may not be, clear the bit.
        Some(unsafe { record.slot.read(f) })
    }

    /// Takes those of the pinned records out of `records` that `accepts` refuses, from the one with
    /// the number `next` on. If `accepts` panics, `next` is the number after that record's.
    #[inline(always)]
    pub(crate) fn keep(&self, records: &mut u32, next: &mut usize, accepts: impl Fn(&T) -> bool) {
        for number in *next..self.count.min(PINS_PER_READER) {
            *next = number + 1;
            if self.look(number, &accepts) == Some(false) {
                *records &= !(1 << number);
            }
        }
    }

    /// Does what [`look`](Self::look) does, and then unpins the record.
    #[inline(always)]
    pub(crate) fn read<R>(&mut self, number: usize, f: impl FnOnce(&T) -> R) -> Option<R> {
        let result = self.look(number, f);
        self.there &= !(1 << number);
        self.pinner.unpin(number);
        result
    }

    /// Reads those of the pinned records for which `records` has a bit, and unpins all.
    #[inline(always)]
    pub(crate) fn read_all(&mut self, records: u32, mut f: impl FnMut(Located<'a, T>, &T)) {
        for number in 0..self.count.min(PINS_PER_READER) {
            let pin = self.pins[number];
            self.read(number, |record| {
                if records >> number & 1 == 1 {
                    f(pin, record);
                }
            });
        }
    }

    /// Pins one record and calls `f` with it.
    #[inline]
    pub(crate) fn read_one<R>(
        &mut self,
        shard: usize,
        sequence: u64,
        f: impl FnOnce(&T) -> R,
    ) -> Option<R> {
        self.restart();
        self.pin(shard, sequence);
        self.confirm();
        self.read(0, f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::signal::LogRecord;
    use crate::store::StoreBuilder;

    #[test]
    fn a_lost_record_is_looked_for_in_short_ranges_and_assumed_in_long_ones() {
        let config = StoreBuilder::<LogRecord>::new().capacity(600).slack(8).shards(1).manual();
        let engine = Engine::of(&config);
        let push = |times: Range<u64>| {
            for time_unix_nanos in times {
                engine.push(LogRecord::builder().time_unix_nanos(time_unix_nanos).build());
            }
        };
        push(0..608);
        engine.settle();
        let view = View::open(&engine.shards[0]);
        assert_eq!((view.low, view.claimed), (8, 608));
        assert!(!view.admitted_one(100..100, |_| true), "the range is empty");
        assert!(!view.admitted_one(100..356, |_| false));
        assert!(view.admitted_one(100..357, |_| false), "the range is too long to look at");
        assert!(view.admitted_one(100..200, |head| head.time() == 199));
        assert!(!view.admitted_one(100..199, |head| head.time() == 199));
        assert!(
            !view.admitted_one(7..12, |_| false),
            "7 was evicted, but its head can still be read"
        );
        push(608..612);
        assert!(view.admitted_one(3..12, |_| false), "a slot of the range was overwritten");
        assert!(
            !view.admitted_one(608..620, |_| false),
            "sequences that were never published were not lost"
        );
    }

    #[test]
    fn a_pinned_record_is_read_unless_it_was_evicted() {
        let engine =
            Engine::of(&StoreBuilder::<LogRecord>::new().capacity(8).slack(8).shards(1).manual());
        engine.push_some(8);
        let mut reader = Reader::new(&engine);
        [0, 1].into_iter().for_each(|sequence| reader.pin(0, sequence));
        reader.confirm();
        engine.push_some(4);
        assert_eq!(reader.read(0, |_| engine.pins.scan(0).len()), Some(2));
        assert!(reader.look(0, |_| ()).is_none(), "it is not pinned any more");
        assert_eq!(engine.pins.scan(0).len(), 1);
        engine.settle();
        assert_eq!(reader.look(1, |_| ()), Some(()), "a pinned record stays");
        assert_eq!(reader.read(1, |_| ()), Some(()));
        reader.restart();
        reader.pin(0, 1);
        reader.confirm();
        assert!(reader.read(0, |_| ()).is_none(), "evicted before it was pinned");
        assert!(reader.read_one(0, 20, |_| ()).is_none(), "not published");
        assert!(reader.read_one(0, 11, |_| ()).is_some() && engine.pins.scan(0).is_empty());
    }
}
