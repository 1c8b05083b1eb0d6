//! A query's results: answers, reports and cursors.

use crate::Position;
use crate::engine::bookmark::Bookmark;

/// The order in which a query shows records. A limit keeps the first ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Order {
    /// By arrival, newest first.
    #[default]
    Newest,
    /// By arrival, oldest first. If an index drives the query, it finds all matches before it shows
    /// the first.
    Oldest,
    /// By timestamp, latest first; among equal timestamps, newest first. The query finds all
    /// matches before it shows the first.
    Latest,
    /// By timestamp, earliest first; among equal timestamps, oldest first. The query finds all
    /// matches before it shows the first.
    Earliest,
}

impl Order {
    pub(super) fn is_upward(self) -> bool {
        matches!(self, Order::Oldest | Order::Earliest)
    }

    pub(super) fn is_by_time(self) -> bool {
        matches!(self, Order::Latest | Order::Earliest)
    }
}

/// The records that a query found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Answer<T> {
    /// The records, in the query's order.
    pub records: Vec<T>,
    /// The position of each record.
    pub positions: Vec<Position>,
    /// How the query went.
    pub report: Report,
}

/// How a query went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Report {
    /// The number of records shown.
    pub shown: u64,
    /// Whether matching records were, or may have been, evicted while the query ran, before it
    /// reached them.
    pub cut: bool,
    /// For a query that continues from a bookmark or a cursor: the number of records in its range,
    /// matching or not, that were evicted after the bookmark or cursor was made and before the
    /// query reached them. Exact for orders by arrival. For orders by time, records that earlier
    /// pages have shown count too. 0 for other queries.
    pub missed: u64,
    /// The cursor of the next page, if the limit may have left records.
    pub next: Option<Cursor>,
    /// For a query since a bookmark, [oldest](Order::Oldest) first: the bookmark from which to
    /// continue.
    pub bookmark: Option<Bookmark>,
    /// Whether records with a key that the query asks for are known to have been evicted before the
    /// query began. Whether they met the query's other conditions is not known. The driving index
    /// knows of them if the oldest record that it led to links to an evicted one. For the signal's
    /// first index, a shard also remembers keys whose records were all evicted. False where nothing
    /// is known: no index drove the query, it ended at the limit before, or it began at a bookmark
    /// or a page before which all that has left lies.
    pub partial: bool,
    /// The index that drove the query; `None` if it scanned slot by slot.
    pub led_by: Option<&'static str>,
    /// How many slot heads the query looked at: its cost, apart from the records that it showed. A
    /// query for the records of one key begins again if the index leads it to more than 64 of them,
    /// or to more than 16 with a limit above 16. The heads that it looked at before do not count.
    pub looked_at: u64,
}

/// The place where a query's next page begins.
///
/// A cursor belongs to the store, conditions and order of the query that returned it; pass it to
/// [`Query::after`](crate::Query::after) on the same query. Pages do not include records that
/// arrived after the first page was read. A cursor is small, holds nothing back, and stays valid:
/// records that were evicted meanwhile are counted as missed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Cursor {
    pub(super) store: u64,
    pub(super) order: Order,
    /// For each shard, the sequences that are left to look at.
    pub(super) left: Box<[(u64, u64)]>,
    /// For orders by time: the last record shown.
    pub(super) last: Option<Found>,
}

/// A record that a scan has found. Its order is the query's: by time, or by arrival alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Found {
    /// The record's timestamp, or 0 in orders by arrival.
    pub(super) time: u64,
    pub(super) stamp: u64,
    pub(super) sequence: u64,
    pub(super) shard: usize,
}

impl<T> Answer<T> {
    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns whether the answer holds no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the records without their positions.
    pub fn into_records(self) -> Vec<T> {
        self.records
    }

    /// Iterates over the records with their positions, and hands them over.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// let position = logs.push(LogRecord::default())?;
    /// let found: Vec<_> = logs.query().collect()?.into_positioned().collect();
    /// assert_eq!(found, [(position, LogRecord::default())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_positioned(self) -> impl Iterator<Item = (Position, T)> {
        self.positions.into_iter().zip(self.records)
    }

    /// Iterates over the records.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.records.iter()
    }
}

/// Iterates over the records, as [`iter`](Answer::iter) and `for record in &answer` do.
impl<T> IntoIterator for Answer<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Answer<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
