//! Errors: each says what was wrong and what to do, and hands back what it would not take.

use std::fmt;
use thiserror::Error;

/// Why [`Builder::build`](crate::Builder::build) made no store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A store holds at least one record.
    #[error("capacity is 0; give the number of records to keep, at least 1")]
    NoCapacity,
    /// Who names the second could not be told from who names the first.
    #[error("the signal {signal:?} has two indexes {name:?}; give each a name of its own in `Signal::INDEXES`")]
    TwoIndexes {
        /// What one record is called.
        signal: &'static str,
        /// The name.
        name: &'static str,
    },
    /// Each shard holds at least one record.
    #[error("{shards} shards for a capacity of {capacity} records; give 1 to {capacity} shards (at most {most})")]
    Shards {
        /// What was asked for.
        shards: usize,
        /// The store's capacity, in records.
        capacity: usize,
        /// The most shards that a store may have.
        most: usize,
    },
    /// A class of its own leaves at least one record for the rest.
    #[error("a class of {records} records in a capacity of {capacity}; give it 1 to {} of them", .capacity - 1)]
    Class {
        /// What was asked for.
        records: usize,
        /// The store's capacity, in records.
        capacity: usize,
    },
    /// Each shard keeps at least the bytes of one record.
    #[error("{bytes} bytes would not hold one record in each shard; give at least {least}, or fewer shards")]
    NoBytes {
        /// What was asked for.
        bytes: usize,
        /// What would do.
        least: usize,
    },
    /// No record would stay.
    #[error("a record may stay for no time at all; give `max_age` a time, or leave it out")]
    NoAge,
    /// The slots would not fit into the address space, or a shard would have 2³¹ slots or more.
    #[error(
        "capacity {capacity} with records of {record_bytes} bytes is too large; lower it, or spread it over more shards"
    )]
    TooLarge {
        /// The store's capacity, in records.
        capacity: usize,
        /// Bytes of one record in its slot.
        record_bytes: usize,
    },
    /// The system gave no memory for the slots.
    #[error(
        "there is no memory for {capacity} records of {record_bytes} bytes and what the engine notes of each; lower the capacity"
    )]
    Memory {
        /// The store's capacity, in records.
        capacity: usize,
        /// Bytes of one record in its slot.
        record_bytes: usize,
    },
    /// The system gave no thread for the indexer.
    #[error("the indexer's thread could not be started: {0}; free some threads, or build the store with `manual()`")]
    Thread(String),
}

/// Why a push put nothing into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// No slot was free, or no bytes were where these are bounded, and the push may not wait: the store rejects when full, or the
    /// caller holds what others wait for (it is inside a hook or a visit).
    #[error(
        "no slot is free, or no bytes are; push again later, let the store wait (`OnFull::Wait`), or look for a reader that sleeps"
    )]
    Full,
    /// The store was shut down.
    #[error("the store is shut down; nothing enters it any more")]
    Closed,
    /// A method of the record's [`Signal`](crate::Signal) implementation panicked, or the predicate of a class.
    #[error("the record's `key`, `timestamp`, `heap_bytes` or `charge`, or the class's predicate, panicked; mend that")]
    Panicked,
    /// The record alone takes more bytes than the store was told that one may.
    #[error(
        "the record takes {bytes} bytes, at most {most} are allowed; make it smaller, or raise `max_record_bytes` or `max_bytes`"
    )]
    TooLarge {
        /// Bytes in its slot and on the heap.
        bytes: u64,
        /// What the builder was told, or, of `max_bytes`, the share of a shard.
        most: u64,
    },
}

/// A push that put nothing into the store, and the record that it would not take.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushError<T> {
    /// The record, untouched.
    pub record: T,
    /// Why it was not taken.
    pub reason: Rejection,
}

impl<T> PushError<T> {
    /// The record back.
    pub fn into_record(self) -> T {
        self.record
    }
}

/// A batch of which some records were not taken.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchError<T> {
    /// How many records of the batch are in the store.
    pub accepted: usize,
    /// The others, in their order.
    pub rejected: Vec<T>,
    /// Why the last of them was not taken.
    pub reason: Rejection,
}

impl<T> From<PushError<T>> for Rejection {
    /// Drops the record and keeps the reason.
    fn from(error: PushError<T>) -> Self {
        error.reason
    }
}

impl<T> From<BatchError<T>> for Rejection {
    /// Drops the records and keeps the reason.
    fn from(error: BatchError<T>) -> Self {
        error.reason
    }
}

macro_rules! without_record {
    ($name:ident, $self:ident, $f:ident, $text:expr) => {
        // By hand: a record need not be `Debug` for its error to be one.
        impl<T> fmt::Debug for $name<T> {
            fn fmt(&$self, $f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $text
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }

        impl<T> std::error::Error for $name<T> {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.reason)
            }
        }
    };
}

without_record!(PushError, self, f, write!(f, "the record was not taken: {}", self.reason));
without_record!(
    BatchError,
    self,
    f,
    write!(
        f,
        "{} of {} records in the batch were not taken: {}",
        self.rejected.len(),
        self.accepted + self.rejected.len(),
        self.reason
    )
);

/// Why a position gave no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GetError {
    /// The record was there and has been evicted.
    #[error("the record has been evicted")]
    Evicted,
    /// The store has been cleared or shut down since that record, or one before it, was there.
    #[error("the store has been cleared since")]
    Cleared,
    /// The position is handed out, its record not in place yet: its push is still running.
    #[error("the record's push has not finished")]
    Pending,
    /// No record ever had this position in this store.
    #[error("no record had this position in this store")]
    Unknown,
}

/// Why a query can't mean anything.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The signal has no such index.
    #[error("there is no index {name:?}; this signal has {known:?}")]
    UnknownIndex {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// No record can have such a key in this index: it is of another kind, or names nothing that there is.
    #[error("no {signal} has the key {key} in the index {index:?}; give {instead}")]
    WrongKey {
        /// What one record is called.
        signal: &'static str,
        /// The index.
        index: &'static str,
        /// What was asked for.
        key: String,
        /// What to give instead.
        instead: &'static str,
    },
    /// The range is the wrong way round.
    #[error("a range of {what}s from {start} to {end} ends before it starts; exchange the two")]
    EndsBeforeStart {
        /// Of what it is one: `time`, `duration`.
        what: &'static str,
        /// Where it starts, in nanoseconds.
        start: u64,
        /// Where it ends, in nanoseconds.
        end: u64,
    },
    /// A `\` stands before a character that needs none, or before nothing.
    #[error(
        "the pattern {pattern:?} has a backslash {}; only `*`, `?` and the backslash itself are to be escaped",
        .found.map_or("at its end".to_owned(), |found| format!("before {found:?}"))
    )]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What comes after the backslash.
        found: Option<char>,
    },
    /// What ends at a bookmark, goes on from a cursor, or has a limit of 0 can't be followed.
    #[error("a query with `until`, `after` or a limit of 0 can't be followed; leave that out")]
    EndsSomewhere,
    /// No number is above or below NaN.
    #[error("a number is compared with NaN, which is neither above nor below any; give a number")]
    NotANumber,
    /// The bookmark or the cursor was made by another store, or by one that is gone.
    #[error("the bookmark or cursor belongs to another store; use one that this store gave")]
    OtherStore,
}

/// Why a bookmark was not kept under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BookmarkError {
    /// So many names are kept already.
    #[error("{most} bookmarks have names already; forget one first")]
    TooMany {
        /// How many names are kept at the most.
        most: usize,
    },
}

/// Why a call that waits for the engine did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The caller holds what the engine needs to go on: it is inside a hook, a visit, or another call of the engine's.
    #[error("called from inside a hook or a visit, which the engine itself would have to wait for; call it elsewhere")]
    Reentrant,
    /// The time given is over.
    #[error("the time is over, and what was waited for has not come; a push that stalls half-way can be in the way")]
    Timeout,
}

/// Why [`Store::evictions`](crate::Store::evictions) gave no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A store has one stream of evicted records at a time.
    #[error("this store's evictions have a stream already; drop that one first")]
    Taken,
    /// The store was shut down.
    #[error("the store is shut down; nothing is evicted any more")]
    Closed,
    /// The buffer would not fit into the address space.
    #[error("a stream with room for {0} records would not fit into memory; give fewer")]
    TooLarge(usize),
    /// The caller holds what the store's end would wait for: it is inside a hook or a visit.
    #[error("called from inside a hook or a visit, which the store's end would have to wait for; call it elsewhere")]
    Reentrant,
    /// A stream buffers at least one record.
    #[error("a stream of 0 records could carry none; give at least 1")]
    NoCapacity,
}
