//! Records that a scan has found and that are not shown yet.

use crate::engine::tuning::PINS_PER_READER;

/// A record that a scan has found by its head. It may have been evicted since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) sequence: u64,
    pub(super) stamp: u64,
    pub(super) time: u64,
    /// The slot that held the record when it was found. A record never moves to another slot.
    pub(super) slot: usize,
}

/// The next records of a scan, in its order: as many as a reader pins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ahead {
    steps: [Step; PINS_PER_READER],
    /// The records in `steps[first..end]` are not shown yet.
    first: usize,
    end: usize,
}

impl Ahead {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end - self.first
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first == self.end
    }

    /// Returns the next record.
    #[inline]
    pub(super) fn first(&self) -> Option<Step> {
        if self.is_empty() { None } else { self.steps.get(self.first).copied() }
    }

    /// Removes and returns the next record.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Step> {
        let step = self.first()?;
        self.first += 1;
        if self.is_empty() {
            (self.first, self.end) = (0, 0);
        }
        Some(step)
    }

    /// Adds a record behind the others. Since it was last empty, at most [`PINS_PER_READER`] were
    /// added.
    #[inline]
    pub(super) fn push(&mut self, step: Step) {
        self.steps[self.end] = step;
        self.end += 1;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_in_the_order_in_which_they_went_in() {
        let step = |sequence| Step { sequence, ..Step::default() };
        let mut ahead = Ahead::default();
        for round in 0..3 {
            assert!(ahead.is_empty() && ahead.pop().is_none() && ahead.first().is_none());
            for number in 0..PINS_PER_READER as u64 {
                ahead.push(step(100 * round + number));
                assert_eq!(ahead.len() as u64, number + 1);
            }
            for number in 0..PINS_PER_READER as u64 {
                let next = Some(step(100 * round + number));
                assert_eq!((ahead.first(), ahead.pop()), (next, next));
            }
        }
    }
}
