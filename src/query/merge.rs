//! Putting in order what comes in stretches that are in order already: as a rule, one or two for each shard.

use super::result::Found;
use crate::engine::tuning::FEW_SHARDS;
use std::collections::BinaryHeap;

/// Puts these in order, the greatest first. Costs three comparisons each, and some for every time that another stretch's turn
/// comes; and as much memory again, until it is done.
pub(super) fn sort_down(found: &mut Vec<Found>) {
    let stretches = 1 + found.windows(2).filter(|pair| pair[0] < pair[1]).count();
    if stretches == 1 {
        return;
    }
    if found.len() / stretches < FEW_SHARDS.max(stretches) {
        return found.sort_unstable_by(|one, other| other.cmp(one));
    }
    // Slices are ordered by their first elements.
    let mut stretches: BinaryHeap<&[Found]> = found.chunk_by(|one, next| one >= next).collect();
    let mut merged = Vec::with_capacity(found.len());
    while let Some(stretch) = stretches.pop() {
        let overtaken = stretches.peek().and_then(|other| stretch.iter().position(|one| *one < other[0]));
        let (ahead, behind) = stretch.split_at(overtaken.unwrap_or(stretch.len()));
        merged.extend_from_slice(ahead);
        if !behind.is_empty() {
            stretches.push(behind);
        }
    }
    *found = merged;
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(times: &[u64]) -> Vec<Found> {
        let found = |(sequence, &time): (usize, &u64)| Found { time, stamp: 0, sequence: sequence as u64, shard: 0 };
        times.iter().enumerate().map(found).collect()
    }

    fn is_sorted(times: &[u64]) {
        let (mut found, mut sorted) = (all(times), all(times));
        sort_down(&mut found);
        sorted.sort_by(|one, other| other.cmp(one));
        assert_eq!(found, sorted);
    }

    #[test]
    fn few_and_many_stretches_are_put_in_order() {
        is_sorted(&[]);
        is_sorted(&[1]);
        is_sorted(&[1, 2]);
        is_sorted(&[7; 100]);
        is_sorted(&(0..100).collect::<Vec<_>>());
        is_sorted(&(0..100).rev().collect::<Vec<_>>());
        let interleaved =
            |shards: u64| (0..shards).flat_map(move |shard| (0..50).rev().map(move |one| one * shards + shard));
        is_sorted(&interleaved(2).collect::<Vec<_>>());
        is_sorted(&interleaved(7).collect::<Vec<_>>());
        is_sorted(&interleaved(64).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_put_in_order(
            stretches in prop::collection::vec(prop::collection::vec(0..1_000_u64, 0..100), 0..8),
            goes_down: bool,
        ) {
            let ordered = stretches.into_iter().flat_map(|mut stretch| {
                if goes_down {
                    stretch.sort_unstable_by(|one, other| other.cmp(one));
                }
                stretch
            });
            is_sorted(&ordered.collect::<Vec<_>>());
        }
    }
}
