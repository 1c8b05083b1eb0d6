//! Records by a key.

use super::view::View;
use super::walk::{Reach, walk};
use crate::Position;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::signal::{Key, Signal};
use crate::sync::epoch;
use std::ops::ControlFlow;

/// A question to a store, made by [`Store::query`](crate::Store::query).
///
/// It answers what was published before it began, newest arrival first, and only records that carry the key: the
/// records themselves are compared, not their hashes. It never waits, for writers or for other readers.
///
/// Cost: O(records with the key + records pushed since the indexer's last pass + shards), about a microsecond for a trace
/// of eight spans. [`collect`](Query::collect) clones each record, which for spans with many attributes costs far more
/// than finding it: prefer [`for_each`](Query::for_each).
/// While it runs it holds back the reuse of slots in one shard at a time, from the record in hand (and a margin below
/// it) upwards.
#[derive(Debug)]
#[must_use]
pub struct Query<'a, T: Signal> {
    engine: &'a Engine<T>,
    key: Result<Option<(usize, Key<'a>)>, QueryError>,
    limit: usize,
}

/// What a query found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer<T> {
    /// The records with their positions, newest arrival first.
    pub records: Vec<(Position, T)>,
    /// Whether records that belong here were, or may have been, evicted before the query came to them.
    pub cut: bool,
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

    /// The records without their positions.
    pub fn into_records(self) -> Vec<T> {
        self.records.into_iter().map(|(_, record)| record).collect()
    }

    /// The records, borrowed.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.records.iter().map(|(_, record)| record)
    }
}

impl<T: Signal> std::fmt::Debug for Engine<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("signal", &T::NAME).field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl<T> IntoIterator for Answer<T> {
    type Item = (Position, T);
    type IntoIter = std::vec::IntoIter<(Position, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

/// A record that a walk has found, to be shown in the order of arrival over all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    stamp: u64,
    sequence: u64,
    shard: usize,
}

impl<'a, T: Signal> Query<'a, T> {
    pub(crate) fn new(engine: &'a Engine<T>) -> Self {
        Self { engine, key: Ok(None), limit: usize::MAX }
    }

    /// Only records with this key in the index of this name, exactly. Given twice, the last one counts. Numbers are `u64`:
    /// `.key("worker", 2_u64)`.
    pub fn key(mut self, index: &str, key: impl Into<Key<'a>>) -> Self {
        self.key = crate::signal::index_named::<T>(index).map(|index| Some((index, key.into())));
        self
    }

    /// At most this many records, the newest.
    pub fn limit(mut self, records: usize) -> Self {
        self.limit = records;
        self
    }

    /// The records, copied out.
    ///
    /// # Errors
    /// [`QueryError`] if the query names an index that the signal has not, or no key.
    pub fn collect(self) -> Result<Answer<T>, QueryError>
    where
        T: Clone,
    {
        if self.limit == usize::MAX && self.engine.shards.len() > 1 {
            return self.collect_all();
        }
        let mut records = Vec::new();
        let cut = self.for_each(|position, record| records.push((position, record.clone())))?;
        Ok(Answer { records, cut })
    }

    /// The same without a limit, over several shards: each record is copied when it is found, which spares a second look.
    fn collect_all(self) -> Result<Answer<T>, QueryError>
    where
        T: Clone,
    {
        let (index, key) = self.key?.ok_or(QueryError::NoKey)?;
        let engine = self.engine;
        let print = engine.fingerprints.of(key);
        let begun: Vec<u64> = engine.shards.iter().map(|shard| shard.low(shard.claimed())).collect();
        let mut cut = false;
        let mut walked = Vec::with_capacity(begun.len());
        // So that the walks' own pins cost nothing. Of user code, only keys and clones run under it.
        let pin = epoch::pin();
        for ((number, shard), since) in engine.shards.iter().enumerate().zip(begun) {
            let mut found = Vec::new();
            let reach = walk(&mut View::open(shard), since, index, print, |view, sequence| {
                let carries = |record: &T| engine.guarded(|| record.key(index) == Some(key)).unwrap_or(false);
                let copy = view.read(sequence, |record| carries(record).then(|| record.clone())).flatten();
                let stamp = shard.slots.head(sequence).stamp();
                found.extend(copy.map(|copy| (Found { stamp, sequence, shard: number }, copy)));
                ControlFlow::Continue(())
            });
            cut |= reach == Reach::Cut;
            walked.push(found.into_iter());
        }
        drop(pin);
        let mut records = Vec::with_capacity(walked.iter().map(|found| found.len()).sum());
        // Each walk went from the newest down.
        while let Some(newest) = walked.iter_mut().max_by_key(|found| found.as_slice().first().map(|&(found, _)| found))
            && let Some((found, copy)) = newest.next()
        {
            records.push((Position::new(found.shard, found.sequence), copy));
        }
        Ok(Answer { records, cut })
    }

    /// How many there are.
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn count(self) -> Result<usize, QueryError> {
        let mut count = 0;
        self.for_each(|_, _| count += 1)?;
        Ok(count)
    }

    /// Shows each record to `visit`, in place, and says whether records were, or may have been, evicted before it came to
    /// them.
    ///
    /// `visit` should be quick: while it runs, slots of one shard are not reused. It may push (a push does not wait there)
    /// but not flush or shut down. If it panics, so does this call.
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn for_each(self, mut visit: impl FnMut(Position, &T)) -> Result<bool, QueryError> {
        let (index, key) = self.key?.ok_or(QueryError::NoKey)?;
        let engine = self.engine;
        let print = engine.fingerprints.of(key);
        let carries = |record: &T| engine.guarded(|| record.key(index) == Some(key)).unwrap_or(false);
        let mut left = self.limit;
        if left == 0 {
            return Ok(false);
        }
        if let [shard] = &*engine.shards {
            let mut view = View::open(shard);
            let since = view.low;
            let reach = walk(&mut view, since, index, print, |view, sequence| {
                let shown = view.read(sequence, |record| {
                    let shown = carries(record);
                    if shown {
                        visit(Position::new(0, sequence), record);
                    }
                    shown
                });
                left -= usize::from(shown == Some(true));
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            return Ok(reach == Reach::Cut);
        }
        // Shards are walked one after the other, so that a reader holds back one at a time; then what was found is shown
        // in the order over all.
        let begun: Vec<u64> = engine.shards.iter().map(|shard| shard.low(shard.claimed())).collect();
        let mut found = Vec::new();
        let mut cut = false;
        for ((number, shard), since) in engine.shards.iter().enumerate().zip(begun) {
            let mut left = self.limit;
            let reach = walk(&mut View::open(shard), since, index, print, |view, sequence| {
                if view.read(sequence, carries) == Some(true) {
                    let stamp = shard.slots.head(sequence).stamp();
                    found.push(Found { stamp, sequence, shard: number });
                    left -= 1;
                }
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            cut |= reach == Reach::Cut;
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        let mut view: Option<(usize, View<'_, T>)> = None;
        for Found { shard, sequence, .. } in found {
            if view.as_ref().is_none_or(|(open, _)| *open != shard) {
                // One mark at a time.
                drop(view.take());
                view = Some((shard, View::open_at(&engine.shards[shard], sequence)));
            }
            let (_, open) = view.as_mut().expect("it was opened above");
            match open.read(sequence, |record| visit(Position::new(shard, sequence), record)) {
                Some(()) => left -= 1,
                None => cut = true,
            }
            if left == 0 {
                break;
            }
        }
        Ok(cut)
    }
}
