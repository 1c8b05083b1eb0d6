//! Positions: names of records.

use std::fmt;

/// Names one record of a store for good: asked for after the record has gone, it answers so, and never with another.
///
/// It costs 16 bytes and is meaningful in the store that gave it only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Position {
    shard: u32,
    sequence: u64,
}

impl Position {
    pub(crate) fn new(shard: usize, sequence: u64) -> Self {
        Self { shard: shard as u32, sequence }
    }

    /// Which shard the record went to.
    pub fn shard(self) -> usize {
        self.shard as usize
    }

    /// The record's number in its shard, from 0, in the order of arrival there.
    pub fn sequence(self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.shard, self.sequence)
    }
}
