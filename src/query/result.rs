//! What queries answer, and how they go on.

use crate::Position;
use crate::engine::bookmark::Bookmark;

/// In which order a query shows records, and which of them a limit keeps: the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Order {
    /// By arrival, the newest first.
    #[default]
    Newest,
    /// By arrival, the oldest first. Where an index leads, all that it leads to is found before the first is shown.
    Oldest,
    /// By timestamp, the latest first; of one time, the newest. All matches are found before the first is shown.
    Latest,
    /// By timestamp, the earliest first; of one time, the oldest. All matches are found before the first is shown.
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

/// What a query found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Answer<T> {
    /// The records, in the query's order.
    pub records: Vec<T>,
    /// Where each of them is.
    pub positions: Vec<Position>,
    /// How the query went.
    pub report: Report,
}

/// How a query went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Report {
    /// Records that were shown.
    pub shown: u64,
    /// Whether records that belong here were, or may have been, evicted while the query ran, before it came to them.
    pub cut: bool,
    /// For a query from a bookmark or a cursor on: how many records of what it covers have been evicted since the bookmark
    /// or the cursor was made and before this query came to them, asked for or not. Exact by arrival; by time, those that
    /// pages before this one have shown count too. 0 for other queries.
    pub missed: u64,
    /// Where the next page begins, if the limit may have left something.
    pub next: Option<Cursor>,
    /// For a query from a bookmark on, [oldest](Order::Oldest) first: the bookmark from which to go on.
    pub bookmark: Option<Bookmark>,
    /// Whether records that the query asks for are known to have been evicted before it began, by the index that led: the oldest
    /// that it found leads to one that is gone, or, if that is the signal's first index, a shard remembers that all of its records
    /// with the key have left. False where nothing is known, as when no index led or the limit was reached before.
    pub partial: bool,
    /// The index that led; `None` if slot after slot was looked at.
    pub led_by: Option<&'static str>,
    /// How many records were looked at, that is, their slots' heads: the query's cost, apart from what it showed.
    pub looked_at: u64,
}

/// Where a query's next page begins.
///
/// It belongs to the store, the conditions and the order of the query that gave it; give the same query to
/// [`Query::after`](crate::Query::after). What has come in since the first page does not show. It is small, holds nothing back, and
/// can be kept for as long as one likes: what was evicted meanwhile is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Cursor {
    pub(super) store: u64,
    pub(super) order: Order,
    /// For each shard, the sequences that are left.
    pub(super) left: Box<[(u64, u64)]>,
    /// By time: the last record that was shown.
    pub(super) last: Option<Found>,
}

/// A record that a walk has found, ordered as it is to be shown: by time, or by arrival alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Found {
    /// 0 in orders by arrival.
    pub(super) time: u64,
    pub(super) stamp: u64,
    pub(super) sequence: u64,
    pub(super) shard: usize,
}

impl<T> Answer<T> {
    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records alone.
    pub fn into_records(self) -> Vec<T> {
        self.records
    }

    /// The records, borrowed.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.records.iter()
    }
}

impl<T> IntoIterator for Answer<T> {
    type Item = (Position, T);
    type IntoIter = std::iter::Zip<std::vec::IntoIter<Position>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.positions.into_iter().zip(self.records)
    }
}
