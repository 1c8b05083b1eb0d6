//! The floor of a shard: what lies below it has left before newer records alone would have had it leave, and why.
//!
//! Raising the floor makes records invisible at once. Their reasons are told by the token holder as it evicts them, from
//! three ranges, one for each reason: what was cleared last, what grew too old last, what went for its bytes last. Nobody
//! waits here.

use crate::reason::EvictReason;
use crate::sync::{AtomicU64, Count, Ordering};
use std::ops::Range;

/// Records that left, by reason.
pub(crate) type Departures = [u64; EvictReason::ALL.len()];

/// Reasons that raise the floor, in the order in which a record's is told where several apply.
const RAISING: [EvictReason; 3] = [EvictReason::Cleared, EvictReason::Age, EvictReason::Bytes];

#[derive(Debug, Default)]
pub(super) struct Floor {
    /// Nothing below it is visible.
    at: AtomicU64,
    /// What was raised last for each of [`RAISING`].
    raised: [Raised; RAISING.len()],
    /// What has been evicted, by reason. The total is the cursor's.
    departed: [Count; EvictReason::ALL.len()],
}

/// The records that became invisible for one reason.
#[derive(Debug, Default)]
struct Raised {
    from: Count,
    to: AtomicU64,
}

impl Raised {
    fn range(&self) -> Range<u64> {
        // Acquire pairs with the Release in `raise`: where it begins.
        let to = self.to.load(Ordering::Acquire);
        self.from.get().min(to)..to
    }
}

impl Floor {
    #[inline]
    pub(super) fn get(&self) -> u64 {
        // Acquire pairs with the Release in `raise`.
        self.at.load(Ordering::Acquire)
    }

    /// Whether the store has been cleared since this sequence was there.
    pub(super) fn has_cleared(&self, sequence: u64) -> bool {
        sequence < self.raised[0].to.load(Ordering::Relaxed)
    }

    /// Raises the floor. `low` is where the visible window begins without that, `evicted` how far eviction has got.
    pub(super) fn raise(&self, to: u64, reason: EvictReason, low: u64, evicted: u64) {
        let raised = RAISING.iter().zip(&self.raised).find(|(raising, _)| **raising == reason);
        if let Some((_, raised)) = raised {
            // A range that is not all evicted goes on, so that what lies in it keeps its reason. What lies between the two
            // counts with them.
            if raised.to.load(Ordering::Relaxed) <= evicted {
                raised.from.set(low);
            }
            // Release pairs with the Acquire in `range`.
            raised.to.fetch_max(to, Ordering::Release);
        }
        // Release pairs with the Acquire in `get`.
        self.at.fetch_max(to, Ordering::Release);
    }

    /// Where a reason begins or ends to apply, next after this sequence, and which one applies until then.
    fn next(&self, at: u64) -> (EvictReason, u64) {
        let mut end = u64::MAX;
        for (reason, raised) in RAISING.iter().zip(&self.raised) {
            let range = raised.range();
            if range.contains(&at) {
                return (*reason, range.end.min(end));
            }
            if at < range.start {
                end = end.min(range.start);
            }
        }
        (EvictReason::Capacity, end)
    }

    /// Tells the parts of a range that is being evicted, and why each leaves.
    pub(super) fn tell(&self, range: Range<u64>, mut tell: impl FnMut(Range<u64>, EvictReason)) {
        let mut at = range.start;
        while at < range.end {
            let (reason, end) = self.next(at);
            let end = end.min(range.end);
            tell(at..end, reason);
            at = end;
        }
    }

    /// Counts records that have been evicted; for whoever has raised the cursor past them.
    pub(super) fn depart(&self, reason: EvictReason, records: u64) {
        self.departed[reason as usize].add(records);
    }

    /// What has left: what has been evicted, and this range, which is due.
    pub(super) fn departures(&self, due: Range<u64>) -> Departures {
        let mut departures = Departures::default();
        departures.iter_mut().zip(&self.departed).for_each(|(count, departed)| *count = departed.get());
        self.tell(due, |part, reason| departures[reason as usize] += part.end - part.start);
        departures
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use EvictReason::{Age, Bytes, Capacity, Cleared};

    #[test]
    fn each_part_is_told_with_its_own_reason() {
        let floor = Floor::default();
        floor.raise(4, Age, 0, 0);
        floor.raise(6, Age, 4, 0);
        floor.raise(8, Bytes, 6, 0);
        let told = |range| {
            let mut told = Vec::new();
            floor.tell(range, |part, reason| told.push((part, reason)));
            told
        };
        assert_eq!(told(0..3), [(0..3, Age)]);
        assert_eq!(told(3..10), [(3..6, Age), (6..8, Bytes), (8..10, Capacity)], "a range goes on");
        assert_eq!(floor.departures(0..9), [1, 0, 6, 2]);
        floor.depart(Age, 6);
        floor.depart(Bytes, 2);
        assert_eq!(floor.departures(8..9), [1, 0, 6, 2]);
        floor.raise(12, Bytes, 10, 8);
        assert_eq!(told(8..13), [(8..10, Capacity), (10..12, Bytes), (12..13, Capacity)]);
        floor.raise(12, Cleared, 12, 8);
        assert_eq!(floor.get(), 12);
    }

    #[test]
    fn clearing_is_remembered_beside_other_reasons() {
        let floor = Floor::default();
        floor.raise(5, Age, 0, 0);
        assert!(!floor.has_cleared(0));
        floor.raise(3, Cleared, 5, 0);
        assert_eq!(floor.get(), 5);
        assert!(floor.has_cleared(2) && !floor.has_cleared(3));
    }
}
