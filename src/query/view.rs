//! A reader's view of one shard, and pinned reads of records in place.

use crate::engine::index::Index;
use crate::engine::reentrancy::{self, Guard};
use crate::engine::ring::{Head, Pinner};
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
pub(crate) struct Reader<'a, T: Signal> {
    engine: &'a Engine<T>,
    pinner: Pinner<'a>,
    _inside: Guard,
}

/// A record that a reader has pinned.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pin {
    word: usize,
    pub(crate) shard: usize,
    slot: usize,
    pub(crate) sequence: u64,
}

impl<'a, T: Signal> Reader<'a, T> {
    pub(crate) fn new(engine: &'a Engine<T>) -> Self {
        let inside = reentrancy::enter();
        Self { engine, pinner: engine.pins.register(), _inside: inside }
    }

    /// Pins the slot of a claimed sequence in this word, replacing what the word pinned. There are
    /// [`PINS_PER_READER`] words. The pin takes effect with [`confirm`](Self::confirm).
    #[inline]
    pub(crate) fn pin(&self, word: usize, shard: usize, sequence: u64) -> Pin {
        let slots = &self.engine.shards[shard].slots;
        self.pin_slot(word, shard, slots.slot(slots.place(sequence)), sequence)
    }

    /// Does what [`pin`](Self::pin) does, for a sequence that this slot has held.
    #[inline]
    pub(crate) fn pin_slot(&self, word: usize, shard: usize, slot: usize, sequence: u64) -> Pin {
        debug_assert!(word < PINS_PER_READER);
        self.pinner.pin(word, shard, slot);
        Pin { word, shard, slot, sequence }
    }

    /// Makes the pins set so far effective, with one fence. Call it after `pin` and before `read`.
    #[inline]
    pub(crate) fn confirm(&self) {
        self.pinner.confirm();
    }

    /// Does what [`look`](Self::look) does, and then unpins the record.
    #[inline(always)]
    pub(crate) fn read<R>(&self, pin: Pin, f: impl FnOnce(&T) -> R) -> Option<R> {
        let result = self.look(pin, f);
        self.pinner.unpin(pin.word);
        result
    }

    /// Calls `f` with the pinned record, in place, if it is published and was not evicted before
    /// the pin took effect.
    #[inline(always)]
    pub(crate) fn look<R>(&self, pin: Pin, f: impl FnOnce(&T) -> R) -> Option<R> {
        let Pin { shard, slot, sequence, .. } = pin;
        let shard = &self.engine.shards[shard];
        let is_there = (planted(Fault::ReaderWithoutReload) || sequence >= shard.evicted())
            && shard.slots.head_at(slot).holds(sequence);
        // SAFETY: invariant 1. `holds` saw the record published. It was not evicted at a moment
        // after the pin had taken effect, so a thread that evicts it later scans the pins, finds
        // this one, and leaves the record in its slot.
        is_there.then(|| unsafe { shard.slots.read(slot, f) })
    }

    /// Pins one record and calls `f` with it.
    #[inline]
    pub(crate) fn read_one<R>(
        &self,
        shard: usize,
        sequence: u64,
        f: impl FnOnce(&T) -> R,
    ) -> Option<R> {
        let pin = self.pin(0, shard, sequence);
        self.confirm();
        self.read(pin, f)
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
        let reader = Reader::new(&engine);
        let pins = [0, 1].map(|sequence| reader.pin(sequence as usize, 0, sequence));
        reader.confirm();
        engine.push_some(4);
        assert_eq!(reader.read(pins[0], |_| engine.pins.scan(0).len()), Some(2));
        assert_eq!(engine.pins.scan(0).len(), 1);
        engine.settle();
        assert!(reader.read(pins[1], |_| ()).is_none(), "evicted before it was read");
        assert!(reader.read_one(0, 20, |_| ()).is_none(), "not published");
        assert!(reader.read_one(0, 11, |_| ()).is_some() && engine.pins.scan(0).is_empty());
    }
}
