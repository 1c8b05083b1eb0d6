//! Records by a key.

use super::view::View;
use super::walk::Walk;
use crate::Position;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::ring::Shard;
use crate::signal::{Key, Signal};
use crate::sync::epoch;
use crate::sync::fault::{Fault, planted};

/// A question to a store, made by [`Store::query`](crate::Store::query).
///
/// It answers what was published before it began, newest arrival first, and only records that carry the key: the
/// records themselves are compared, not their hashes. It never waits, for writers or for other readers.
///
/// Cost: O(records with the key + records pushed since the indexer's last pass + shards), about a microsecond for a trace
/// of eight spans. Who finds many records that are not indexed yet indexes a small batch of them, unless somebody else is
/// at it: the next query then has less to look through. [`collect`](Query::collect) clones each record, which for spans with many attributes costs far more
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
    /// The records, newest arrival first.
    pub records: Vec<T>,
    /// Where each of them is.
    pub positions: Vec<Position>,
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

    /// The records alone.
    pub fn into_records(self) -> Vec<T> {
        self.records
    }

    /// The records, borrowed.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.records.iter()
    }
}

impl<T: Signal> std::fmt::Debug for Engine<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("signal", &T::NAME).field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl<T> IntoIterator for Answer<T> {
    type Item = (Position, T);
    type IntoIter = std::iter::Zip<std::vec::IntoIter<Position>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.positions.into_iter().zip(self.records)
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
        let search = self.search()?;
        if let [shard] = &*search.engine.shards {
            let (mut records, mut positions) = (Vec::new(), Vec::new());
            let cut = search.stream(shard, |position, record| {
                records.push(record.clone());
                positions.push(position);
            });
            return Ok(Answer { records, positions, cut });
        }
        let (found, cut) = search.find();
        let mut records = Vec::with_capacity(found.len());
        let mut positions = Vec::with_capacity(found.len());
        let cut_meanwhile = search.show(&found, |position, record| {
            records.push(record.clone());
            positions.push(position);
        });
        Ok(Answer { records, positions, cut: cut || cut_meanwhile })
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
    pub fn for_each(self, visit: impl FnMut(Position, &T)) -> Result<bool, QueryError> {
        let search = self.search()?;
        if let [shard] = &*search.engine.shards {
            return Ok(search.stream(shard, visit));
        }
        let (found, cut) = search.find();
        Ok(search.show(&found, visit) || cut)
    }

    fn search(self) -> Result<Search<'a, T>, QueryError> {
        let (index, key) = self.key?.ok_or(QueryError::NoKey)?;
        let print = self.engine.fingerprints.of(key);
        Ok(Search { engine: self.engine, index, key, print, limit: self.limit })
    }
}

/// A query that can be answered.
struct Search<'a, T: Signal> {
    engine: &'a Engine<T>,
    index: usize,
    key: Key<'a>,
    print: u64,
    limit: usize,
}

/// Records that are fetched ahead of the one being shown.
const AHEAD: usize = 8;

impl<'a, T: Signal> Search<'a, T> {
    /// The newest records with the fingerprint, as many as the limit says, newest first; and whether some were lost.
    ///
    /// Shards are walked one after the other, so that a reader holds back one at a time. With a limit, each gives its share
    /// first; then those give more whose oldest is newer than the last of all.
    fn find(&self) -> (Vec<Found>, bool) {
        let (limit, shards) = (self.limit, &self.engine.shards);
        let mut found = Vec::new();
        if limit == 0 {
            return (found, false);
        }
        // Before any view is open: whoever is inside does no work for others.
        (0..shards.len()).for_each(|number| self.engine.spare_a_tail(number));
        let begun: Vec<u64> = shards.iter().map(|shard| shard.low(shard.claimed())).collect();
        let mut share = limit.div_ceil(shards.len()).saturating_mul(5) / 4;
        let mut walks = Vec::with_capacity(shards.len());
        {
            // So that the walks' own pins cost nothing.
            let _pin = epoch::pin();
            for ((number, shard), since) in shards.iter().enumerate().zip(begun) {
                let mut walk = Walk::new(shard, since, self.index, self.print);
                let oldest = self.gather(number, &mut walk, share.min(limit), &mut found);
                walks.push((walk, oldest));
            }
        }
        loop {
            found.sort_unstable_by(|a, b| b.cmp(a));
            let last = found.get(limit - 1).copied();
            let mut more = false;
            share = share.saturating_mul(2);
            for (number, (walk, oldest)) in walks.iter_mut().enumerate() {
                if walk.goes_on() && last.is_none_or(|last| *oldest > Some(last)) {
                    *oldest = self.gather(number, walk, share, &mut found).or(*oldest);
                    more = true;
                }
            }
            if !more {
                break;
            }
        }
        // What a walk lost is older than all that it found, so it is missed only if the answer reaches that far.
        let last = found.get(limit - 1).copied();
        found.truncate(limit);
        let complete = |oldest: Option<Found>| last.is_some() && oldest <= last && oldest.is_some();
        let cut = walks.iter_mut().any(|(walk, oldest)| !walk.goes_on() && !complete(*oldest) && walk.is_cut());
        (found, cut)
    }

    /// Shows the records of a store's only shard as they are found; whether some were lost.
    fn stream(&self, shard: &'a Shard<T>, mut visit: impl FnMut(Position, &T)) -> bool {
        let mut left = self.limit;
        if left == 0 {
            return false;
        }
        self.engine.spare_a_tail(0);
        let mut walk = Walk::new(shard, shard.low(shard.claimed()), self.index, self.print);
        walk.find(left, |view, sequence| {
            let show = |record: &T| {
                // The tail is given as a whole.
                let shown = left > 0 && self.carries(record);
                if shown {
                    visit(Position::new(0, sequence), record);
                }
                shown
            };
            let shown = view.read(sequence, show) == Some(true);
            left -= usize::from(shown);
            shown
        });
        left > 0 && walk.is_cut()
    }

    /// Takes this many from a walk, or what there is; the oldest of them.
    fn gather(&self, shard: usize, walk: &mut Walk<'a, T>, wanted: usize, found: &mut Vec<Found>) -> Option<Found> {
        let before = found.len();
        let slots = &self.engine.shards[shard].slots;
        // With a limit, another key's record with the same fingerprint must not take a place.
        let check = self.limit < usize::MAX || self.engine.fingerprints.narrow();
        walk.find(wanted, |view, sequence| {
            let carries = !check || view.read(sequence, |record| self.carries(record)) == Some(true);
            if carries {
                if found.len() < AHEAD {
                    slots.prefetch_payload(sequence);
                }
                found.push(Found { stamp: slots.head(sequence).stamp(), sequence, shard });
            }
            carries
        });
        walk.rest();
        found[before..].last().copied()
    }

    /// Shows these records, those of them that carry the key; whether any was evicted meanwhile.
    fn show(&self, found: &[Found], mut visit: impl FnMut(Position, &T)) -> bool {
        let mut cut = false;
        let mut view: Option<(usize, View<'_, T>)> = None;
        let fetch =
            |Found { shard, sequence, .. }: &Found| self.engine.shards[*shard].slots.prefetch_payload(*sequence);
        for (number, &Found { shard, sequence, .. }) in found.iter().enumerate() {
            found.get(number + AHEAD).into_iter().for_each(fetch);
            if view.as_ref().is_none_or(|(open, _)| *open != shard) {
                // One mark at a time.
                drop(view.take());
                view = Some((shard, View::open_below(&self.engine.shards[shard], sequence)));
            }
            let (_, open) = view.as_mut().expect("it was opened above");
            let show = |record: &T| {
                if self.carries(record) {
                    visit(Position::new(shard, sequence), record);
                }
            };
            cut |= open.read(sequence, show).is_none() && !planted(Fault::GoneUnsaid);
        }
        cut
    }

    fn carries(&self, record: &T) -> bool {
        self.engine.guarded(|| record.key(self.index) == Some(self.key)).unwrap_or(false)
    }
}
