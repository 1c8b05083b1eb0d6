//! Positions: the names of records.

use std::fmt;

/// The permanent name of one record in a store. After the record has left, a lookup by its position
/// returns an error, never another record.
///
/// A position takes 16 bytes. It is meaningful only in the store that returned it.
///
/// Positions have no order. Within a shard, [`sequence`](Position::sequence) is the order of
/// arrival. Between shards there is no such number: a query's [order](crate::Order) knows when a
/// record arrived, its position does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Position {
    shard: u32,
    sequence: u64,
}

impl Position {
    /// Names the record with this sequence in this shard.
    pub(crate) fn new(shard: usize, sequence: u64) -> Self {
        Self { shard: shard as u32, sequence }
    }

    /// Returns the number of the record's shard.
    pub fn shard(self) -> usize {
        self.shard as usize
    }

    /// Returns the record's number in its shard. Numbers count from 0, in the order of arrival
    /// there.
    pub fn sequence(self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.shard, self.sequence)
    }
}
