//! What slipring is compared with: stores that a good engineer would write, or take off the shelf,
//! for the same job.
//!
//! Every peer keeps the newest records up to its capacity, finds them by each of their keys, newest
//! first, and lists the keys of an index with their counts. The two limits at the end do less on
//! purpose: they show what the machine can do.

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

/// A record that every peer can hold, but for SQLite, which takes the bytes of a [`Plain`] one.
pub trait Record: Signal + Clone {}

impl<T: Signal + Clone> Record for T {}

/// A store under comparison.
pub trait Peer<T>: Sync + Sized {
    /// What tables call it.
    const NAME: &'static str;

    /// Whether lookups work: not in the limits.
    const ANSWERS: bool = true;

    /// Whether it is so slow that it is filled just once before it is timed, and spared the longer
    /// comparisons.
    const SLOW: bool = false;

    /// A store of this capacity for this many producers.
    fn new(capacity: usize, producers: usize) -> Self;

    /// What the producer with this number pushes through.
    fn producer(&self, number: usize) -> impl Producer<T> + '_;

    /// Returns once everything pushed before is in the indexes.
    fn settle(&self) {}

    /// Up to so many records with this key, newest first.
    fn lookup(&self, index: usize, key: Key<'_>, limit: usize) -> Vec<T>;

    /// The keys of an index with the number of records that carry each.
    fn keys(&self, index: usize) -> Vec<(KeyBuf, u64)>;

    /// As a lookup of this key whose thread is descheduled in the middle of it: whatever the lookup
    /// holds, it holds for this long. Nothing in stores whose lookups hold nothing.
    fn stall(&self, index: usize, key: Key<'_>, length: Duration) {
        let _ = (index, key, length);
    }

    /// The keys of an index, without counts.
    fn list(&self, index: usize) -> Vec<KeyBuf> {
        self.keys(index).into_iter().map(|(key, _)| key).collect()
    }

    /// By how many records the oldest one kept may be off, either way, when one thread has pushed.
    fn tolerance(&self) -> usize {
        0
    }

    /// Fails if the store's own books are wrong.
    fn audit(&self) {}
}

/// One thread's way in.
pub trait Producer<T> {
    /// Puts a record in; once the store is full, the oldest one goes.
    fn push(&mut self, record: T);

    /// Puts records in, in this order.
    fn push_batch(&mut self, records: Vec<T>) {
        records.into_iter().for_each(|record| self.push(record));
    }
}
