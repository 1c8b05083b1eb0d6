//! Records that a scan has found and that are not shown yet.

use super::result::Order;
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

/// The next records of one shard's scan, in its order: as many as a reader pins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    pub(super) shard: usize,
    /// The higher, the earlier the next record comes among those of all shards. 0 if there is none.
    pub(super) rank: u64,
    steps: [Step; PINS_PER_READER],
    /// The records in `steps[first..end]` are not shown yet.
    first: usize,
    end: usize,
}

impl Ahead {
    #[inline(always)]
    pub(super) fn of(shard: usize) -> Self {
        Self { shard, rank: 0, steps: [Step::default(); PINS_PER_READER], first: 0, end: 0 }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.end - self.first
    }

    /// Returns the next record.
    #[inline(always)]
    pub(super) fn first(&self) -> Option<&Step> {
        if self.first < self.end { self.steps.get(self.first) } else { None }
    }

    /// Removes and returns the next record.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<Step> {
        let step = *self.first()?;
        self.first += 1;
        if self.first == self.end {
            (self.first, self.end) = (0, 0);
        }
        Some(step)
    }

    /// Adds a record behind the others. Since there was none, at most [`PINS_PER_READER`] were added.
    #[inline(always)]
    pub(super) fn push(&mut self, step: Step) {
        self.steps[self.end] = step;
        self.end += 1;
    }
}

/// Ranks records of different shards by their stamps. A stamp belongs to one run, so no two shards
/// have records with the same one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranking {
    mask: u64,
    flip: u64,
    add: u64,
}

impl Ranking {
    pub(super) fn new(order: Order, unordered: bool) -> Self {
        match order.is_upward() {
            // All have the same rank, and the first shard that has records comes first.
            _ if unordered => Self { mask: 0, flip: 0, add: 1 },
            true => Self { mask: u64::MAX, flip: u64::MAX, add: 0 },
            false => Self { mask: u64::MAX, flip: 0, add: 1 },
        }
    }

    /// Returns a number above 0 that is higher the earlier a record with this stamp comes.
    #[inline(always)]
    pub(super) fn of(self, stamp: u64) -> u64 {
        ((stamp & self.mask) ^ self.flip) + self.add
    }

    /// Returns the rank of a shard's next record, or 0 if it has none.
    #[inline(always)]
    pub(super) fn of_next(self, ahead: &Ahead) -> u64 {
        ahead.first().map_or(0, |step| self.of(step.stamp))
    }
}

/// Returns which of these has the record that comes first, and the highest rank among the others:
/// 0 if there is none. Which one that is can't be predicted, so the loop has no branches.
#[inline(always)]
pub(super) fn first_two(aheads: &[Ahead]) -> Option<(usize, u64)> {
    let (mut first, mut highest, mut rival) = (0, 0, 0);
    for (number, &Ahead { rank, .. }) in aheads.iter().enumerate() {
        rival = rival.max(rank.min(highest));
        first = if rank > highest { number } else { first };
        highest = highest.max(rank);
    }
    (highest > 0).then_some((first, rival))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_in_the_order_in_which_they_went_in() {
        let mut ahead = Ahead::of(3);
        for round in 0..3 {
            assert!(ahead.first().is_none() && ahead.pop().is_none());
            let steps: Vec<Step> = (100 * round..)
                .take(PINS_PER_READER)
                .map(|sequence| Step { sequence, ..Step::default() })
                .collect();
            for (number, &step) in steps.iter().enumerate() {
                ahead.push(step);
                assert_eq!((ahead.len(), ahead.first()), (number + 1, steps.first()));
            }
            for (number, &step) in steps.iter().enumerate() {
                assert_eq!((ahead.len(), ahead.pop()), (steps.len() - number, Some(step)));
            }
        }
    }
}
