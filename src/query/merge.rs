//! Sorting of records that come in runs that are sorted already: usually one or two runs per shard.

use super::result::Found;
use crate::engine::tuning::FEW_SHARDS;
use std::collections::BinaryHeap;

/// Sorts the records, greatest first. Takes three comparisons per record, plus a few whenever the
/// merge switches to another run, and temporarily as much memory again.
pub(super) fn sort_down(found: &mut Vec<Found>) {
    let runs = 1 + found.windows(2).filter(|pair| pair[0] < pair[1]).count();
    if runs == 1 {
        return;
    }
    if found.len() / runs < FEW_SHARDS.max(runs) {
        return found.sort_unstable_by(|one, other| other.cmp(one));
    }
    // Slices are ordered by their first elements.
    let mut runs: BinaryHeap<&[Found]> = found.chunk_by(|one, next| one >= next).collect();
    let mut merged = Vec::with_capacity(found.len());
    while let Some(run) = runs.pop() {
        let overtaken = runs.peek().and_then(|other| run.iter().position(|one| *one < other[0]));
        let (ahead, behind) = run.split_at(overtaken.unwrap_or(run.len()));
        merged.extend_from_slice(ahead);
        if !behind.is_empty() {
            runs.push(behind);
        }
    }
    *found = merged;
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(times: &[u64]) -> Vec<Found> {
        let found = |(sequence, &time): (usize, &u64)| Found {
            time,
            stamp: 0,
            sequence: sequence as u64,
            shard: 0,
        };
        times.iter().enumerate().map(found).collect()
    }

    fn is_sorted(times: &[u64]) {
        let (mut found, mut sorted) = (all(times), all(times));
        sort_down(&mut found);
        sorted.sort_by(|one, other| other.cmp(one));
        assert_eq!(found, sorted);
    }

    #[test]
    fn few_and_many_runs_are_sorted() {
        is_sorted(&[]);
        is_sorted(&[1]);
        is_sorted(&[1, 2]);
        is_sorted(&[7; 100]);
        is_sorted(&(0..100).collect::<Vec<_>>());
        is_sorted(&(0..100).rev().collect::<Vec<_>>());
        let interleaved = |shards: u64| {
            (0..shards).flat_map(move |shard| (0..50).rev().map(move |one| one * shards + shard))
        };
        is_sorted(&interleaved(2).collect::<Vec<_>>());
        is_sorted(&interleaved(7).collect::<Vec<_>>());
        is_sorted(&interleaved(64).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn any_input_is_sorted(
            runs in prop::collection::vec(prop::collection::vec(0..1_000_u64, 0..100), 0..8),
            goes_down: bool,
        ) {
            let ordered = runs.into_iter().flat_map(|mut run| {
                if goes_down {
                    run.sort_unstable_by(|one, other| other.cmp(one));
                }
                run
            });
            is_sorted(&ordered.collect::<Vec<_>>());
        }
    }
}
