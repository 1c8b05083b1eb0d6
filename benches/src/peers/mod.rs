//! The stores that slipring is compared with, which a good engineer would write, or build from
//! existing crates, for the same purpose.
//!
//! Every peer keeps the newest records up to its capacity, finds them by each of their keys, newest
//! first, and lists the keys of an index with their counts. The two limits do less on purpose, to
//! show what the machine can do.

mod catalogue;
mod concurrent;
mod copying;
mod evicting;
mod limits;
mod locked;
mod ours;
mod sqlite;

pub use concurrent::Concurrent;
pub use copying::Copying;
pub use evicting::Evicting;
pub use limits::{Private, copying_alone};
pub use locked::{Locked, Sharded};
pub use sqlite::{Plain, Sqlite};

use slipring::{Key, KeyBuf, Signal};
use std::time::Duration;

/// A record that every peer can hold, except for SQLite, which needs the bytes of a [`Plain`]
/// record.
pub trait Record: Signal + Clone {}

impl<T: Signal + Clone> Record for T {}

/// A store under comparison.
pub trait Peer<T>: Sync + Sized {
    /// The name in tables.
    const NAME: &'static str;

    /// Whether lookups work. They do not in the limits.
    const ANSWERS: bool = true;

    /// Whether the store is so slow that it is filled only once before it is timed, and left out of
    /// the longer comparisons.
    const SLOW: bool = false;

    /// Creates a store of this capacity for this many producers.
    fn new(capacity: usize, producers: usize) -> Self;

    /// Returns the handle through which the producer with this number pushes.
    fn producer(&self, number: usize) -> impl Producer<T> + '_;

    /// Waits until all records pushed before are in the indexes.
    fn settle(&self) {}

    /// Returns up to `limit` records with this key, newest first.
    fn lookup(&self, index: usize, key: Key<'_>, limit: usize) -> Vec<T>;

    /// Returns the keys of an index, each with its number of records.
    fn keys(&self, index: usize) -> Vec<(KeyBuf, u64)>;

    /// Simulates a lookup of this key whose thread is descheduled: holds what a lookup holds for
    /// `length`. Does nothing for stores whose lookups hold nothing.
    fn stall(&self, index: usize, key: Key<'_>, length: Duration) {
        let _ = (index, key, length);
    }

    /// Returns the keys of an index, without counts.
    fn list(&self, index: usize) -> Vec<KeyBuf> {
        self.keys(index).into_iter().map(|(key, _)| key).collect()
    }

    /// Returns the distance, in records, by which the oldest record kept may deviate if one thread
    /// has pushed.
    fn tolerance(&self) -> usize {
        0
    }

    /// Panics if the store's own audit finds a breach.
    fn audit(&self) {}
}

/// The handle through which one thread pushes.
pub trait Producer<T> {
    /// Adds a record. If the store is full, it evicts the oldest one.
    fn push(&mut self, record: T);

    /// Adds records, in this order.
    fn push_batch(&mut self, records: Vec<T>) {
        records.into_iter().for_each(|record| self.push(record));
    }
}
