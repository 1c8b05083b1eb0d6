//! Time blocks: the range of times of neighbouring records.
//!
//! A scan for a range of time skips the blocks whose range does not overlap it.
//!
//! Block `b` covers the sequences `b × BLOCK` to `(b + 1) × BLOCK - 1`, whatever slots they are in.
//! The holder of the indexer lock begins and extends a block's range as it indexes records. There
//! are so many blocks that a range is overwritten only after all records of its block were
//! reclaimed. A reader that may read any record of a block may therefore read the block's range.

use crate::engine::tuning::BLOCK;
use crate::sync::reserve::reserve;
use crate::sync::{AtomicU64, Ordering};
use std::collections::TryReserveError;
use std::ops::RangeInclusive;

#[derive(Debug, Default)]
struct Block {
    earliest: AtomicU64,
    latest: AtomicU64,
}

/// The time blocks of one shard.
#[derive(Debug)]
pub(crate) struct Blocks(Box<[Block]>);

impl Blocks {
    pub(crate) fn new(slots: usize) -> Result<Self, TryReserveError> {
        // A ring may contain its first and its last block in part, and one more is being begun.
        reserve(slots.div_ceil(BLOCK as usize) + 2, Block::default).map(Self)
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// Returns the block of a sequence.
    fn of(&self, sequence: u64) -> &Block {
        &self.0[(sequence / BLOCK % self.0.len() as u64) as usize]
    }

    /// Adds the times of consecutive records, from sequence `first` on.
    ///
    /// Only the holder of the indexer lock calls this, before it raises `indexed`.
    pub(crate) fn add(&self, first: u64, times: impl ExactSizeIterator<Item = u64>) {
        let mut times = times;
        let mut sequence = first;
        while times.len() > 0 {
            let block = self.of(sequence);
            // Relaxed: readers see these by the Release of `indexed`, and no other thread writes
            // them.
            let (mut earliest, mut latest) = match sequence % BLOCK {
                0 => (u64::MAX, 0),
                _ => (block.earliest.load(Ordering::Relaxed), block.latest.load(Ordering::Relaxed)),
            };
            let until = (sequence / BLOCK + 1) * BLOCK;
            for time in times.by_ref().take((until - sequence) as usize) {
                (earliest, latest) = (earliest.min(time), latest.max(time));
                sequence += 1;
            }
            block.earliest.store(earliest, Ordering::Relaxed);
            block.latest.store(latest, Ordering::Relaxed);
        }
    }

    /// Returns whether the block of this sequence may hold a record of these times.
    ///
    /// The block must lie below an `indexed` that the caller has acquired, and the caller must be
    /// allowed to read one of its records.
    pub(crate) fn may_hold(&self, sequence: u64, times: &RangeInclusive<u64>) -> bool {
        let block = self.of(sequence);
        block.earliest.load(Ordering::Relaxed) <= *times.end()
            && block.latest.load(Ordering::Relaxed) >= *times.start()
    }

    /// Returns the number of blocks.
    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Estimates how many of these records lie in blocks that may hold such a time.
    ///
    /// The result is an estimate, because blocks that the caller may not read can be overwritten
    /// meanwhile.
    pub(crate) fn records_in(&self, from: u64, to: u64, times: &RangeInclusive<u64>) -> u64 {
        (from / BLOCK..to.div_ceil(BLOCK))
            .filter(|block| self.may_hold(block * BLOCK, times))
            .count() as u64
            * BLOCK
    }

    /// Returns the range of times of this sequence's block, for the audit.
    pub(crate) fn times(&self, sequence: u64) -> RangeInclusive<u64> {
        let block = self.of(sequence);
        block.earliest.load(Ordering::Relaxed)..=block.latest.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_range_of_its_times_however_they_are_batched() {
        let blocks = Blocks::new(100).unwrap();
        let times: Vec<u64> =
            (0..10_000).map(|n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).collect();
        let (mut at, mut portion) = (0, 1);
        while at < times.len() {
            let until = (at + portion).min(times.len());
            blocks.add(at as u64, times[at..until].iter().copied());
            (at, portion) = (until, portion % 97 + 1);
            let last = (at - 1) as u64 / BLOCK;
            for block in last.saturating_sub(1)..=last {
                let all =
                    &times[(block * BLOCK) as usize..((block + 1) * BLOCK).min(at as u64) as usize];
                let range = *all.iter().min().unwrap()..=*all.iter().max().unwrap();
                assert_eq!(blocks.times(block * BLOCK), range);
                assert!(blocks.may_hold(block * BLOCK, &range));
                assert!(!blocks.may_hold(block * BLOCK, &(range.end() + 1..=u64::MAX)));
            }
        }
    }

    #[test]
    fn records_in_counts_whole_blocks_whose_range_overlaps() {
        let blocks = Blocks::new(640).unwrap();
        assert_eq!(blocks.count(), 12);
        assert_eq!(blocks.bytes(), 12 * 16);
        // One time for each block.
        blocks.add(0, (0..640_u32).map(|sequence| u64::from(sequence) / BLOCK * 10));
        let in_blocks = |from, to, times| blocks.records_in(from, to, &times);
        assert_eq!(in_blocks(0, 640, 0..=u64::MAX), 640);
        assert_eq!(in_blocks(0, 640, 30..=49), 2 * BLOCK);
        assert_eq!(in_blocks(0, 640, 31..=39), 0);
        // Blocks are counted as a whole, also if the range of sequences covers them in part.
        assert_eq!(in_blocks(63, 65, 0..=u64::MAX), 2 * BLOCK);
        assert_eq!(in_blocks(64, 128, 0..=u64::MAX), BLOCK);
        assert_eq!(in_blocks(130, 600, 20..=60), 5 * BLOCK);
        // A block is used again.
        blocks.add(768, [7].into_iter());
        assert_eq!(blocks.times(0), 7..=7);
    }
}
