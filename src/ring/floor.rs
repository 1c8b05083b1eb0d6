//! The floor of a shard: what lies below it has left before newer records alone would have had it leave, and why.

use crate::reason::EvictReason;
use crate::sync::fault::{Fault, planted};
use crate::sync::{AtomicU64, Count, Mutex, Ordering, fence_after_seqcst_rmw, lock};
use std::collections::VecDeque;
use std::ops::Range;

/// Records that left before their turn, by reason.
pub(crate) type Departures = [u64; EvictReason::ALL.len()];

#[derive(Debug)]
pub(super) struct Floor {
    /// Nothing below it is visible.
    at: AtomicU64,
    /// Nothing below it came after the store was last cleared.
    cleared: Count,
    /// Whoever raises the floor, evicts or counts holds this for a moment; queries do not, and pushes only when they evict.
    raises: Mutex<Raises>,
}

#[derive(Debug, Default)]
struct Raises {
    departures: Departures,
    /// What the raises have made invisible and the token holder has not yet evicted, in order. Ranges that do not overlap, in one
    /// ring: there can't be more of them than slots.
    due: VecDeque<(Range<u64>, EvictReason)>,
}

impl Floor {
    pub(super) fn new() -> Self {
        Self { at: AtomicU64::new(0), cleared: Count::default(), raises: Mutex::new(Raises::default()) }
    }

    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.at.load(Ordering::Acquire)
    }

    /// Whether the store has been cleared since this sequence was there.
    pub(super) fn has_cleared(&self, sequence: u64) -> bool {
        sequence < self.cleared.get()
    }

    /// Raises the floor; `low` says where the visible window begins without that.
    pub(super) fn raise(&self, to: u64, reason: EvictReason, low: impl FnOnce() -> u64) {
        let mut raises = lock(&self.raises);
        if reason == EvictReason::Cleared {
            self.cleared.set(self.cleared.get().max(to));
        }
        let from = low();
        if from >= to {
            return;
        }
        // SeqCst RMW and the fence after it: as in `Shard::claim`, against the notice word.
        self.at.fetch_max(to, Ordering::SeqCst);
        fence_after_seqcst_rmw(Fault::ClaimWithoutBarrier);
        if planted(Fault::RaisedBeforeDue) {
            drop(raises);
            raises = lock(&self.raises);
        }
        raises.departures[reason as usize] += to - from;
        match raises.due.back_mut() {
            Some((range, last)) if *last == reason && range.end == from => range.end = to,
            _ => raises.due.push_back((from..to, reason)),
        }
    }

    /// What `look` finds while the floor stays where it is, and how many have left before their turn by then.
    pub(super) fn balance<R>(&self, look: impl FnOnce() -> R) -> (R, Departures) {
        let raises = lock(&self.raises);
        (look(), raises.departures)
    }

    /// For the token holder, who evicts this range: tells the parts of it that leave before their turn.
    pub(super) fn tell(&self, range: Range<u64>, mut tell: impl FnMut(Range<u64>, EvictReason)) {
        // Under the lock also where the floor has nothing to say: whoever raises it later knows by that what has been claimed, and so
        // does not count what has left by capacity.
        if planted(Fault::ToldWithoutLock) && self.get() <= range.start {
            return;
        }
        let mut raises = lock(&self.raises);
        while let Some((due, reason)) = raises.due.front() {
            if due.start < range.end {
                tell(due.start.max(range.start)..due.end.min(range.end), *reason);
            }
            if due.end > range.end {
                break;
            }
            raises.due.pop_front();
        }
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        lock(&self.raises).due.capacity() * size_of::<(Range<u64>, EvictReason)>()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use EvictReason::{Age, Bytes, Capacity, Cleared};

    #[test]
    fn each_part_is_told_once_and_with_its_own_reason() {
        let floor = Floor::new();
        assert_eq!(floor.bytes(), 0);
        floor.raise(4, Age, || 0);
        floor.raise(6, Age, || 4);
        floor.raise(8, Bytes, || 6);
        floor.raise(8, Cleared, || 8);
        floor.raise(12, Bytes, || 10);
        let (found, left) = floor.balance(|| "looked");
        assert_eq!((found, left[Capacity as usize], left[Cleared as usize]), ("looked", 0, 0));
        assert_eq!((left[Age as usize], left[Bytes as usize]), (6, 4));
        assert!(floor.bytes() >= 3 * size_of::<(Range<u64>, EvictReason)>());
        let told = |range| {
            let mut told = Vec::new();
            floor.tell(range, |part, reason| told.push((part, reason)));
            told
        };
        assert_eq!(told(0..3), [(0..3, Age)]);
        assert_eq!(told(3..6), [(3..6, Age)], "ranges that meet, of one reason, are one");
        assert_eq!(told(6..11), [(6..8, Bytes), (10..11, Bytes)], "what left by capacity is not told");
        assert_eq!(told(11..12), [(11..12, Bytes)]);
        assert_eq!(told(12..20), []);
    }

    #[test]
    fn clearing_is_remembered_beside_other_reasons() {
        let floor = Floor::new();
        floor.raise(5, Age, || 0);
        assert!(!floor.has_cleared(0));
        floor.raise(3, Cleared, || 5);
        assert_eq!(floor.get(), 5);
        assert!(floor.has_cleared(2) && !floor.has_cleared(3));
    }
}
