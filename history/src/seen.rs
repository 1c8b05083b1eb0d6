//! What of a shard the history has been handed.

use std::ops::Range;

/// The most gaps that are remembered of a shard. Gaps are rare: a reader had pinned a record, or a
/// push had stalled.
const MOST_GAPS: usize = 1_024;

/// The sequences of one shard that the history has been handed: all below `below`, but for those
/// that it no longer waits for, and these ranges above it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    below: u64,
    /// In order, neither empty nor adjacent.
    above: Vec<Range<u64>>,
    /// What is missing below `below` and is no longer waited for, but may still come. In order.
    late: Vec<Range<u64>>,
}

impl Seen {
    pub(crate) fn from(below: u64) -> Self {
        Self { below, ..Self::default() }
    }

    /// Notes that the record of this sequence has been handed over.
    pub(crate) fn add(&mut self, sequence: u64) {
        if sequence < self.below {
            self.arrived_late(sequence);
            return;
        }
        if sequence == self.below && self.above.is_empty() {
            self.below += 1;
            return;
        }
        let next = self.above.partition_point(|range| range.end < sequence);
        match self.above.get_mut(next) {
            Some(range) if range.contains(&sequence) => return,
            Some(range) if range.end == sequence => range.end += 1,
            Some(range) if range.start == sequence + 1 => range.start = sequence,
            _ => self.above.insert(next, sequence..sequence + 1),
        }
        if let [one, other] = self.above.get(next..next + 2).unwrap_or_default()
            && one.end == other.start
        {
            self.above[next].end = other.end;
            self.above.remove(next + 1);
        }
        self.join();
        if self.above.len() > MOST_GAPS {
            self.give_up_below(self.above[0].start);
        }
    }

    fn arrived_late(&mut self, sequence: u64) {
        let at = self.late.partition_point(|range| range.end <= sequence);
        let Some(range) = self.late.get_mut(at).filter(|range| range.contains(&sequence)) else {
            return;
        };
        let after = sequence + 1..range.end;
        range.end = sequence;
        if range.is_empty() {
            self.late.remove(at);
            if !after.is_empty() {
                self.late.insert(at, after);
            }
        } else if !after.is_empty() {
            self.late.insert(at + 1, after);
        }
        self.forget_some();
    }

    /// Stops waiting for what is missing below this sequence, which may still come.
    pub(crate) fn give_up_below(&mut self, sequence: u64) {
        let mut from = self.below;
        for range in &self.above {
            if from < range.start.min(sequence) {
                self.late.push(from..range.start.min(sequence));
            }
            from = from.max(range.end);
        }
        if from < sequence {
            self.late.push(from..sequence);
        }
        self.forget_some();
        self.skip_below(sequence);
    }

    fn forget_some(&mut self) {
        let more = self.late.len().saturating_sub(MOST_GAPS);
        self.late.drain(..more);
    }

    /// Stops waiting for what is missing below this sequence, which does not come.
    pub(crate) fn skip_below(&mut self, sequence: u64) {
        self.below = self.below.max(sequence);
        self.join();
    }

    /// Returns whether something below this sequence is missing that was given up and may come.
    pub(crate) fn lacks_below(&self, sequence: u64) -> bool {
        self.late.first().is_some_and(|range| range.start < sequence)
    }

    /// Returns whether nothing below this sequence is missing.
    pub(crate) fn reaches(&self, sequence: u64) -> bool {
        self.below >= sequence
    }

    /// Takes in the ranges that `below` has reached.
    fn join(&mut self) {
        let reached = self.above.iter().take_while(|range| range.start <= self.below).count();
        for range in self.above.drain(..reached) {
            self.below = self.below.max(range.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn all_below_have_been_seen_in_any_order(order in Just((0..60_u64).collect::<Vec<_>>()).prop_shuffle(), most in 0..60_usize) {
            let (mut seen, mut model) = (Seen::default(), BTreeSet::new());
            for &sequence in &order[..most] {
                seen.add(sequence);
                model.insert(sequence);
                let missing = (0..).find(|sequence| !model.contains(sequence)).unwrap();
                assert_eq!(seen.below, missing);
                assert!(seen.above.iter().all(|range| range.start > missing && range.start < range.end));
                assert_eq!(seen.above.iter().map(|range| range.end - range.start).sum::<u64>() + missing, model.len() as u64);
            }
        }
    }

    #[test]
    fn gaps_are_given_up_when_asked_and_when_there_are_many() {
        let mut seen = Seen::from(5);
        seen.add(7);
        assert!(seen.reaches(5) && !seen.reaches(6));
        seen.give_up_below(6);
        assert!(seen.reaches(6) && !seen.reaches(7));
        seen.give_up_below(7);
        assert!(seen.reaches(8));
        assert!(seen.lacks_below(6) && !seen.lacks_below(5));
        seen.add(5);
        assert!(seen.lacks_below(7) && !seen.lacks_below(6));
        seen.add(6);
        assert!(!seen.lacks_below(8));
        (0..3_000).for_each(|gap| seen.add(10 + 2 * gap));
        assert!(seen.above.len() <= MOST_GAPS && seen.reaches(10 + 2 * 1_000));
    }

    #[test]
    fn what_was_given_up_is_missing_until_it_has_come() {
        let mut seen = Seen::default();
        [3, 4, 8].into_iter().for_each(|sequence| seen.add(sequence));
        seen.give_up_below(10);
        assert_eq!(seen.late, [0..3, 5..8, 9..10]);
        [1, 7, 5, 9, 0, 6].into_iter().for_each(|sequence| seen.add(sequence));
        assert_eq!(seen.late, std::slice::from_ref(&(2..3)));
        seen.add(4);
        seen.add(2);
        assert!(seen.late.is_empty() && seen.below == 10);
    }
}
