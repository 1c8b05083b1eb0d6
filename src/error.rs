//! Errors: each says what was wrong and what to do, and returns what was rejected.
//!
//! ```
//! use slipring::error::{GetError, PushError, QueryError, Rejection};
//! use slipring::{LogRecord, Store};
//!
//! let logs: Store<LogRecord> = Store::builder().capacity(1).build()?;
//! let position = logs.push(LogRecord::default())?;
//! logs.push(LogRecord::default())?;
//! assert_eq!(logs.get(position), Err(GetError::Evicted));
//!
//! let unknown = logs.query().key("name", "GET /").count().unwrap_err();
//! assert!(matches!(&unknown, QueryError::UnknownIndex { known, .. } if known.len() == 3));
//! assert!(unknown.to_string().starts_with("there is no index \"name\""));
//!
//! logs.shutdown()?;
//! let PushError { record, reason, .. } = logs.push(LogRecord::default()).unwrap_err();
//! assert_eq!((record, reason), (LogRecord::default(), Rejection::Closed));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::signal::ParseIdError;
use std::fmt;
use thiserror::Error;

/// Why [`StoreBuilder::build`](crate::StoreBuilder::build) failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The capacity is 0. A store holds at least one record.
    #[error("capacity is 0; give the number of records to keep, at least 1")]
    NoCapacity,
    /// Two indexes have the same name, so a query could not address the second.
    #[error(
        "the signal {signal:?} has two indexes {name:?}; give each a name of its own in `Signal::INDEXES`"
    )]
    TwoIndexes {
        /// The signal's name for one record.
        signal: &'static str,
        /// The name that occurs twice.
        name: &'static str,
    },
    /// There are no shards, or more than records, or too many. Each shard holds at least one
    /// record.
    #[error(
        "{shards} shards for a capacity of {capacity} records; give 1 to {capacity} shards (at most {most})"
    )]
    Shards {
        /// The number of shards asked for.
        shards: usize,
        /// The store's capacity, in records.
        capacity: usize,
        /// The most shards that a store may have.
        most: usize,
    },
    /// The class of its own is empty, or leaves nothing of the capacity for the other records.
    #[error("a class of {records} records does not fit into a capacity of {capacity}; give it 1 to {} records", .capacity - 1)]
    Class {
        /// The number of records asked for.
        records: usize,
        /// The store's capacity, in records.
        capacity: usize,
    },
    /// The share of a key takes nothing of the capacity, or leaves nothing of it.
    #[error(
        "a share of {percent} % of a capacity of {capacity} is no share; give it 1 to 99 % that are 4 records at least"
    )]
    Share {
        /// The percentage asked for.
        percent: u8,
        /// The store's capacity, in records.
        capacity: usize,
    },
    /// The shares are of an index that the signal does not have.
    #[error(
        "the signal {signal:?} has no index {index:?} whose keys could have shares; it has {known:?}"
    )]
    ShareOfNoIndex {
        /// The signal's name for one record.
        signal: &'static str,
        /// The name asked for.
        index: String,
        /// The names of its indexes.
        known: Vec<&'static str>,
    },
    /// Shares take the class of its own that a store may have.
    #[error(
        "shares of keys and a class of its own, such as one for errors, can not both be; leave one of them out"
    )]
    ShareAndClass,
    /// The builder was told of two classes, by `class` or `error_class`. A store has one at most.
    #[error(
        "a store has one class of its own, and two were given; leave one out, or give one whose predicate picks the records of both"
    )]
    TwoClasses,
    /// The builder was told of two shares. A store has shares of the keys of one index at most.
    #[error("a store has shares of one index, and `share` was called twice; leave one call out")]
    TwoShares,
    /// The limit for one record is below what each record takes in its slot, so no record fits.
    #[error(
        "`max_record_bytes` is {bytes}, but each record takes {least} bytes, and its heap beside; give at least that, or leave it out"
    )]
    NoRecordBytes {
        /// The number of bytes asked for.
        bytes: usize,
        /// Bytes of a record that owns no heap.
        least: usize,
    },
    /// There are more spare slots than a shard can have beside its own.
    #[error(
        "{slots} spare slots are too many beside the {own} slots that a shard has anyway; give at most {most}"
    )]
    SpareSlots {
        /// The number of spare slots asked for.
        slots: usize,
        /// The slots of a shard that are not spare.
        own: usize,
        /// The most spare slots that a shard may have.
        most: usize,
    },
    /// The byte limit is too small. Each shard keeps at least the bytes of one record.
    #[error(
        "{bytes} bytes do not hold one record in each shard; give at least {least}, or use fewer shards"
    )]
    NoBytes {
        /// The number of bytes asked for.
        bytes: usize,
        /// The fewest bytes that suffice.
        least: usize,
    },
    /// The greatest age of a record is zero, so no record would stay.
    #[error("`max_age` is zero, so no record would stay; give it a longer time, or leave it out")]
    NoAge,
    /// The slots would not fit into the address space, or a shard would have 2³¹ slots or more.
    #[error(
        "capacity {capacity} with records of {record_bytes} bytes is too large; lower it, or use more shards"
    )]
    TooLarge {
        /// The store's capacity, in records.
        capacity: usize,
        /// Bytes of one record in its slot.
        record_bytes: usize,
    },
    /// The system has no memory for the slots.
    #[error(
        "there is no memory for {capacity} records of {record_bytes} bytes and their indexes; lower the capacity"
    )]
    Memory {
        /// The store's capacity, in records.
        capacity: usize,
        /// Bytes of one record in its slot.
        record_bytes: usize,
    },
    /// The system could not start the indexer thread.
    #[error(
        "the indexer's thread could not be started: {0}; free some threads, or build the store with `manual()`"
    )]
    Thread(String),
}

/// Why a push put no record into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// No slot was free, or the byte limit was reached, and the push may not wait: the store
    /// rejects when full, the call was `try_push`, or it was made inside a hook or a visit.
    #[error(
        "no slot is free, or the byte limit is reached; push again later, let the store wait (`OnFull::Wait`), or look for a suspended reader"
    )]
    Full,
    /// The store was shut down.
    #[error("the store is shut down and accepts no more records")]
    Closed,
    /// A method or an extractor of keys of the record's [`Signal`](crate::Signal) panicked, or the
    /// predicate of a class.
    #[error(
        "the record's `timestamp`, `heap_bytes` or `charge`, the extractor of a key, or the class's predicate panicked; fix that one"
    )]
    Panicked,
    /// The record alone takes more bytes than the store allows for one record.
    #[error(
        "the record takes {bytes} bytes, but at most {most} are allowed; make it smaller, or raise `max_record_bytes` or `max_bytes`"
    )]
    TooLarge {
        /// Bytes of the record, in its slot and on the heap.
        bytes: u64,
        /// The most bytes allowed: `max_record_bytes`, or one shard's part of `max_bytes`.
        most: u64,
    },
}

/// A push that put nothing into the store, and the rejected record.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushError<T> {
    /// The rejected record, unchanged except for what [`Signal::detach`](crate::Signal::detach) and
    /// [`Signal::charge`](crate::Signal::charge) did.
    pub record: T,
    /// Why the record was rejected.
    pub reason: Rejection,
}

impl<T> PushError<T> {
    /// Returns the rejected record.
    pub fn into_record(self) -> T {
        self.record
    }
}

/// A batch of which some records were rejected.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchError<T> {
    /// How many records of the batch are in the store.
    pub accepted: usize,
    /// The rejected records, in their order.
    pub rejected: Vec<T>,
    /// Why the last of them was rejected.
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
        // Not derived, because a record need not be `Debug` for its error to be.
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

without_record!(PushError, self, f, write!(f, "the record was rejected: {}", self.reason));
without_record!(
    BatchError,
    self,
    f,
    write!(
        f,
        "{} of {} records in the batch were rejected: {}",
        self.rejected.len(),
        self.accepted + self.rejected.len(),
        self.reason
    )
);

/// Why there is no record at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GetError {
    /// The record was there and has been evicted.
    #[error("the record has been evicted")]
    Evicted,
    /// The store was cleared or shut down after the record was pushed.
    #[error("the record was in the store before it was cleared")]
    Cleared,
    /// The position is claimed, but its record is not in place yet: its push is still running.
    #[error("the record's push has not finished")]
    Pending,
    /// No record ever had this position in this store.
    #[error("no record had this position in this store")]
    Unknown,
}

/// Why a query is invalid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The signal has no such index.
    #[error("there is no index {name:?}; this signal has {known:?}")]
    UnknownIndex {
        /// The name asked for.
        name: String,
        /// The names of the signal's indexes.
        known: Vec<&'static str>,
    },
    /// No record can have such a key in this index: the key has another type, or is not one of the
    /// index's values.
    #[error("no {signal} has the key {key} in the index {index:?}; give {instead}")]
    WrongKey {
        /// The signal's name for one record.
        signal: &'static str,
        /// The name of the index.
        index: &'static str,
        /// The key asked for.
        key: String,
        /// What to give instead.
        instead: &'static str,
    },
    /// The range ends before it starts.
    #[error("a range of {what}s from {start} to {end} ends before it starts; exchange the two")]
    EndsBeforeStart {
        /// What the range is of: `time`, `duration`.
        what: &'static str,
        /// The range's start, in nanoseconds.
        start: u64,
        /// The range's end, in nanoseconds.
        end: u64,
    },
    /// A `\` in the pattern stands before a character that needs no escape, or at the end.
    #[error(
        "the pattern {pattern:?} has a backslash {}; only `*`, `?` and the backslash itself are to be escaped",
        .found.map_or("at its end".to_owned(), |found| format!("before {found:?}"))
    )]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// The character after the backslash.
        found: Option<char>,
    },
    /// The query cannot be followed, because it ends at a bookmark, continues from a cursor, or has
    /// a limit of 0.
    #[error("a query with `until`, `after` or a limit of 0 cannot be followed; leave that out")]
    EndsSomewhere,
    /// A number is compared with NaN. No number is above or below it.
    #[error(
        "a number is compared with NaN, which is neither above nor below any number; give a number"
    )]
    NotANumber,
    /// The bookmark or the cursor was made by another store, or by one that is gone.
    #[error("the bookmark or cursor belongs to another store; use one that this store returned")]
    OtherStore,
}

/// Why a bookmark was not kept under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BookmarkError {
    /// The greatest number of names is in use already.
    #[error("{most} bookmarks have names already; forget one first")]
    TooMany {
        /// The greatest number of names.
        most: usize,
    },
}

/// Why a call that waits for the engine did not wait, or gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The caller holds what the engine needs to make progress: it is inside a hook, a visit, or
    /// another call of the engine's.
    #[error(
        "called inside a hook or a visit, which the engine would have to wait for; call it elsewhere"
    )]
    Reentrant,
    /// The time limit is over.
    #[error(
        "the time limit is over; a push that has stalled before it published its record may be the cause"
    )]
    Timeout,
}

/// Why [`Store::evictions`](crate::Store::evictions) returned no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The store has a stream already. A store has one stream of evicted records at a time.
    #[error("this store has a stream of evictions already; drop that one first")]
    Taken,
    /// The store was shut down.
    #[error("the store is shut down; it evicts nothing any more")]
    Closed,
    /// The buffer would not fit into the address space, or the system has no memory for it.
    #[error("a stream that buffers {0} records does not fit into memory; give a smaller buffer")]
    TooLarge(usize),
    /// The caller is inside a hook or a visit, where no call waits: `drain` would wait for the store's
    /// end, and `evictions` for another thread that is indexing.
    #[error(
        "called inside a hook or a visit, where it would have to wait for another thread; call it elsewhere"
    )]
    Reentrant,
    /// The buffer size is 0. A stream buffers at least one record.
    #[error("a stream that buffers 0 records delivers none; give at least 1")]
    NoCapacity,
}
