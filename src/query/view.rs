//! A reader's view of one shard: a mark, and what was visible when it was set.

use crate::inside::{self, Inside};
use crate::ring::{Head, Mark, Shard};
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use std::ops::Range;

/// How far below the record in hand the mark is set: far enough that moving it costs little, near enough that a sleeping
/// reader holds back little.
fn span(capacity: u64) -> u64 {
    if cfg!(loom) { 0 } else { (capacity / 8).max(1024) }
}

/// What a reader sees of a shard, fixed when it is opened, but for what is evicted meanwhile.
pub(crate) struct View<'a, T: Signal> {
    shard: &'a Shard<T>,
    /// None while nothing is looked at.
    mark: Option<Mark<'a>>,
    /// `evicted`, looked at after the mark was last moved down: what lies at or above both may be read.
    evicted: u64,
    /// Visible were `[low, claimed)`; of these the directories knew `[low, indexed)` at least.
    pub(crate) low: u64,
    /// `low`, whatever bounds were set.
    pub(crate) oldest: u64,
    pub(crate) indexed: u64,
    pub(crate) claimed: u64,
    _inside: Inside,
}

impl<'a, T: Signal> View<'a, T> {
    /// For walking down from the newest. Where everything is indexed, which is seen without looking at slots, the first
    /// record that is looked at sets the mark.
    pub(crate) fn open(shard: &'a Shard<T>) -> Self {
        let inside = inside::enter();
        let view = Self::fixed(shard, None, inside);
        if view.indexed == view.claimed {
            return view;
        }
        let mark = shard.marks.set(view.indexed.saturating_sub(span(shard.capacity())));
        Self::fixed(shard, Some(mark), view._inside)
    }

    /// For reading from this sequence upwards.
    pub(crate) fn open_at(shard: &'a Shard<T>, lowest: u64) -> Self {
        let inside = inside::enter();
        let mark = shard.marks.set(lowest);
        Self::fixed(shard, Some(mark), inside)
    }

    /// For reading from this sequence downwards.
    pub(crate) fn open_below(shard: &'a Shard<T>, sequence: u64) -> Self {
        Self::open_at(shard, sequence.saturating_sub(span(shard.capacity())))
    }

    fn fixed(shard: &'a Shard<T>, mark: Option<Mark<'a>>, inside: Inside) -> Self {
        // In this order. `evicted` after the mark's fence: the licence. Then `indexed` before `claimed`, so that the tail
        // [indexed, claimed) leaves no gap; and both before any directory, so that what lies below `indexed` is in it.
        let evicted = shard.evicted();
        let indexed = shard.indexed();
        let claimed = shard.claimed();
        let low = shard.low(claimed).max(evicted);
        Self { shard, mark, evicted, low, oldest: low, indexed, claimed, _inside: inside }
    }

    /// Takes the mark away until something is looked at again.
    pub(crate) fn rest(&mut self) {
        self.mark = None;
    }

    /// Leaves out what lies beyond these bounds.
    pub(crate) fn narrow(&mut self, bounds: &Range<u64>) {
        self.claimed = self.claimed.min(bounds.end);
        self.low = self.low.max(bounds.start);
    }

    /// What has been evicted by now, as far as this view has looked.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(crate) fn shard(&self) -> &'a Shard<T> {
        self.shard
    }

    /// Whether the sequence may be read; sets the mark, or moves it down to it, if need be. False if it has been evicted.
    #[inline]
    pub(crate) fn license(&mut self, sequence: u64) -> bool {
        if self.mark.as_ref().is_none_or(|mark| sequence < mark.at()) {
            self.protect(sequence.saturating_sub(span(self.shard.capacity())));
        }
        sequence >= self.evicted
    }

    fn protect(&mut self, lowest: u64) {
        match &mut self.mark {
            Some(mark) => mark.move_to(lowest),
            None => self.mark = Some(self.shard.marks.set(lowest)),
        }
        if !planted(Fault::ReaderWithoutReload) {
            self.evicted = self.shard.evicted();
        }
    }

    /// Lets go of what lies below the sequence.
    pub(crate) fn raise(&mut self, sequence: u64) {
        if let Some(mark) = self.mark.as_mut().filter(|mark| sequence > mark.at()) {
            mark.move_to(sequence);
        }
    }

    /// The head of a sequence that may be read, if it is published.
    #[inline]
    pub(crate) fn head(&mut self, sequence: u64) -> Option<&'a Head<T::Indexes>> {
        if !self.license(sequence) {
            return None;
        }
        self.shard.slots.published(sequence)
    }

    /// Shows the record to `f`, in place, if it is published and may be read.
    #[inline]
    pub(crate) fn read<R>(&mut self, sequence: u64, f: impl FnOnce(&T) -> R) -> Option<R> {
        self.head(sequence)?;
        // SAFETY: published, at or above the mark, and at or above `evicted` as it was after the mark had been set
        // there: `reclaimed` stays at or below the mark until it moves, which takes `&mut self` (invariant 1).
        Some(unsafe { self.shard.slots.read(sequence, f) })
    }

    /// Where the window begins by now. Asked after a directory has been read, it is above every eviction that the
    /// directory reflected: the evictor read `claimed` and the floor before it took the entry out.
    pub(crate) fn low_now(&self) -> u64 {
        self.shard.low(self.shard.claimed()).min(self.claimed)
    }

    /// Whether one of these records has a head like that, or can't be looked at any more and may have had. O(1): of many
    /// records it says so unseen.
    pub(crate) fn admitted_one(&mut self, range: Range<u64>, admits: impl Fn(&Head<T::Indexes>) -> bool) -> bool {
        if planted(Fault::CutNotSeen) || range.is_empty() {
            return false;
        }
        range.end - range.start > LOOK_AT_MOST
            || range
                .into_iter()
                .any(|sequence| !self.license(sequence) || self.shard.slots.published(sequence).is_some_and(&admits))
    }
}

/// Records that are looked through to find out whether an answer was cut.
const LOOK_AT_MOST: u64 = 256;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::config::Builder;
    use crate::engine::Engine;
    use crate::signal::LogRecord;

    #[test]
    fn whether_one_was_lost_is_found_out_by_looking_at_few_and_assumed_of_many() {
        let config = Builder::<LogRecord>::new().capacity(600).shards(1).manual();
        let engine = Engine::of(&config);
        for time_unix_nanos in 0..610 {
            engine.push(LogRecord { time_unix_nanos, ..LogRecord::default() });
        }
        engine.settle();
        let mut view = View::open(&engine.shards[0]);
        assert_eq!((view.evicted(), view.low, view.claimed), (10, 10, 610));
        assert!(!view.admitted_one(100..100, |_| true), "there is none");
        assert!(!view.admitted_one(100..356, |_| false));
        assert!(view.admitted_one(100..357, |_| false), "who knows");
        assert!(view.admitted_one(100..200, |head| head.time() == 199));
        assert!(!view.admitted_one(100..199, |head| head.time() == 199));
        assert!(view.admitted_one(9..12, |_| false), "one is gone");
        assert!(!view.admitted_one(10..12, |_| false));
    }

    #[test]
    fn a_mark_lies_some_way_below_what_is_looked_at_until_the_view_rests() {
        let config = Builder::<LogRecord>::new().capacity(16_000).shards(1).manual();
        let engine = Engine::of(&config);
        let shard = &engine.shards[0];
        let marked = || shard.marks.lowest(u64::MAX);
        engine.push_some(6_000);
        let view = View::open(shard);
        assert_eq!((view.indexed, view.claimed, marked()), (0, 6_000, 0), "what is not indexed is looked at");
        drop(view);
        engine.settle();
        let mut view = View::open(shard);
        assert_eq!((view.indexed, marked()), (6_000, u64::MAX), "nothing is, so far");
        assert!(view.license(5_000));
        assert_eq!(marked(), 3_000, "an eighth of the capacity below");
        assert!(view.license(3_000));
        assert_eq!(marked(), 3_000);
        assert!(view.license(2_999));
        assert_eq!(marked(), 999);
        view.raise(999);
        view.raise(4_000);
        view.raise(3_500);
        assert_eq!(marked(), 4_000, "up, and not down");
        view.rest();
        assert_eq!(marked(), u64::MAX);
        drop(view);
        let view = View::open_below(shard, 2_500);
        assert_eq!(marked(), 500);
        drop(view);
        assert_eq!(marked(), u64::MAX);
    }
}
