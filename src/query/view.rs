//! A reader's view of one shard, and the right to look at records in place.

use crate::engine::index::Index;
use crate::engine::reentrancy::{self, Guard};
use crate::engine::ring::{Head, Pinner};
use crate::engine::shard::Shard;
use crate::engine::state::Engine;
use crate::engine::tuning::{LOOK_AT_MOST, PINS_PER_READER};
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use std::ops::Range;

/// What a reader sees of a shard, fixed when it is opened, but for what is evicted meanwhile. It holds nothing back.
pub(crate) struct View<'a, T: Signal> {
    shard: &'a Shard<T>,
    pub(crate) index: &'a Index<T>,
    /// Tells whether `index` is still in use.
    word: u64,
    /// Visible were `[low, claimed)`; of these the directories knew `[low, indexed)` at least.
    pub(crate) low: u64,
    /// `low`, whatever bounds were set.
    pub(crate) oldest: u64,
    pub(crate) indexed: u64,
    pub(crate) claimed: u64,
}

impl<'a, T: Signal> View<'a, T> {
    pub(crate) fn open(shard: &'a Shard<T>) -> Self {
        // In this order: `indexed` before `claimed`, so that the tail [indexed, claimed) leaves no gap; and both before any
        // directory, so that what lies below `indexed` is in it.
        let (index, word) = shard.index();
        let evicted = shard.evicted();
        let indexed = index.indexed();
        let claimed = shard.claimed();
        let low = shard.low(claimed).max(evicted);
        Self { shard, index, word, low, oldest: low, indexed, claimed }
    }

    /// Leaves out what lies beyond these bounds.
    pub(crate) fn narrow(&mut self, bounds: &Range<u64>) {
        self.claimed = self.claimed.min(bounds.end);
        self.low = self.low.max(bounds.start);
    }

    pub(crate) fn shard(&self) -> &'a Shard<T> {
        self.shard
    }

    /// Whether the index was in use all the time. Asked after looks at it.
    pub(crate) fn is_current(&self) -> bool {
        self.shard.is_current(self.word)
    }

    /// Where the window begins by now. Asked after a directory has been read, it is above every eviction that the
    /// directory reflected: the evictor read `claimed` and the floor before it took the entry out.
    pub(crate) fn low_now(&self) -> u64 {
        self.shard.low(self.shard.claimed()).min(self.claimed)
    }

    /// The newest record with this fingerprint, by the index.
    pub(crate) fn newest(&self, index: usize, print: u64) -> Option<u64> {
        self.index.newest(&self.shard.slots, index, print)
    }

    /// What `look` finds in the head of a sequence; `None` if it is not published, or not there any more.
    #[inline]
    pub(crate) fn look<R>(&self, sequence: u64, look: impl FnOnce(&Head<T::Indexes>) -> R) -> Option<R> {
        self.shard.slots.head(sequence).try_read(sequence, look)
    }

    /// Whether one of these records has a head like that, or can't be looked at any more and may have had. O(1): of many
    /// records it says so unseen.
    pub(crate) fn admitted_one(&self, range: Range<u64>, admits: impl Fn(&Head<T::Indexes>) -> bool) -> bool {
        if range.is_empty() {
            return false;
        }
        range.end - range.start > LOOK_AT_MOST
            || range.into_iter().any(|sequence| match self.look(sequence, &admits) {
                Some(admitted) => admitted,
                // What was never published has not been there.
                None => sequence < self.shard.evicted(),
            })
    }
}

/// The right to look at records of a store in place, a few at a time. While it lives, this thread is inside.
pub(crate) struct Reader<'a, T: Signal> {
    engine: &'a Engine<T>,
    pinner: Pinner<'a>,
    _inside: Guard,
}

/// A record that a reader has pinned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pin {
    word: usize,
    shard: usize,
    slot: usize,
    sequence: u64,
}

impl<'a, T: Signal> Reader<'a, T> {
    pub(crate) fn new(engine: &'a Engine<T>) -> Self {
        let inside = reentrancy::enter();
        Self { engine, pinner: engine.pins.register(), _inside: inside }
    }

    /// Pins a record that has been claimed, in place of what this word pinned. There are [`PINS_PER_READER`] words. It counts once it is
    /// [confirmed](Self::confirm).
    #[inline]
    pub(crate) fn pin(&self, word: usize, shard: usize, sequence: u64) -> Pin {
        debug_assert!(word < PINS_PER_READER);
        let slots = &self.engine.shards[shard].slots;
        let slot = slots.slot(slots.place(sequence));
        self.pinner.pin(word, shard, slot);
        Pin { word, shard, slot, sequence }
    }

    /// To be called after pins, and before looks at what they pin.
    #[inline]
    pub(crate) fn confirm(&self) {
        self.pinner.confirm();
    }

    /// Shows a record to `f`, in place, if it is published and was not evicted before it was pinned; and lets go of it.
    #[inline]
    pub(crate) fn read<R>(&self, pin: Pin, f: impl FnOnce(&T) -> R) -> Option<R> {
        let Pin { word, shard, slot, sequence } = pin;
        let shard = &self.engine.shards[shard];
        let is_there = (planted(Fault::ReaderWithoutReload) || sequence >= shard.evicted())
            && shard.slots.head_at(slot).holds(sequence);
        // SAFETY: published; pinned, and not evicted at a moment after that: whoever evicts it finds the pin, and does not move the
        // record out of its slot (invariant 1).
        let result = is_there.then(|| unsafe { shard.slots.read(slot, f) });
        self.pinner.unpin(word);
        result
    }

    /// Pins and shows one record.
    #[inline]
    pub(crate) fn read_one<R>(&self, shard: usize, sequence: u64, f: impl FnOnce(&T) -> R) -> Option<R> {
        let pin = self.pin(0, shard, sequence);
        self.confirm();
        self.read(pin, f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::signal::LogRecord;
    use crate::store::Builder;

    #[test]
    fn whether_one_was_lost_is_found_out_by_looking_at_few_and_assumed_of_many() {
        let config = Builder::<LogRecord>::new().capacity(600).slack(8).shards(1).manual();
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
        assert!(!view.admitted_one(100..100, |_| true), "there is none");
        assert!(!view.admitted_one(100..356, |_| false));
        assert!(view.admitted_one(100..357, |_| false), "who knows");
        assert!(view.admitted_one(100..200, |head| head.time() == 199));
        assert!(!view.admitted_one(100..199, |head| head.time() == 199));
        assert!(!view.admitted_one(7..12, |_| false), "it has left, but is still there to be asked");
        push(608..612);
        assert!(view.admitted_one(3..12, |_| false), "one is written over");
        assert!(!view.admitted_one(608..620, |_| false), "what is not there has not been lost");
    }

    #[test]
    fn records_are_read_while_they_are_pinned_and_not_after_they_were_evicted() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(8).slack(8).shards(1).manual());
        engine.push_some(8);
        let reader = Reader::new(&engine);
        let pins = [0, 1].map(|sequence| reader.pin(sequence as usize, 0, sequence));
        reader.confirm();
        engine.push_some(4);
        assert_eq!(reader.read(pins[0], |_| engine.pins.scan(0).len()), Some(2));
        assert_eq!(engine.pins.scan(0).len(), 1);
        engine.settle();
        assert!(reader.read(pins[1], |_| ()).is_none(), "evicted before it was looked at");
        assert!(reader.read_one(0, 20, |_| ()).is_none(), "not published");
        assert!(reader.read_one(0, 11, |_| ()).is_some() && engine.pins.scan(0).is_empty());
    }
}
