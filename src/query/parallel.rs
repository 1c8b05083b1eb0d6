//! Scans by several threads at once.

use super::builder::Query;
use super::execute::Execution;
use super::result::Order;
use super::scan::Scan;
use crate::Position;
use crate::engine::tuning::PARALLEL_PORTION;
use crate::error::QueryError;
use crate::signal::Signal;
use rayon::prelude::*;
use std::ops::Range;

/// A part of one shard.
struct Portion {
    shard: usize,
    sequences: Range<u64>,
}

impl<T: Signal> Query<'_, T> {
    /// Shows each record to `visit`, in place, on all of rayon's threads at once and in no order; how many there were. For
    /// conditions that no index answers, over many records: slot after slot is looked at, whatever keys are asked for.
    ///
    /// Where a query's limit or order matters, use [`for_each`](Query::for_each): here they are not looked at. What is evicted
    /// before a thread comes to it is not shown, and not told. Each thread keeps the slots of
    /// a few records from being reused at a time.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.push(LogRecord::builder().event_name("late").build())?;
    ///
    /// let bytes = AtomicUsize::new(0);
    /// let late = logs.query().filter(|log| log.event_name().contains("late"));
    /// let shown = late.par_for_each(|_, log| drop(bytes.fetch_add(log.event_name().len(), Ordering::Relaxed)))?;
    /// assert_eq!((shown, bytes.into_inner()), (1, 4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn par_for_each(self, visit: impl Fn(Position, &T) + Sync) -> Result<usize, QueryError> {
        let search = self.order(Order::Oldest).limit(usize::MAX).execution()?;
        Ok(portions(&search).into_par_iter().map(|portion| scan(&search, &portion, &visit)).sum())
    }

    /// The records, copied out by all of rayon's threads, in the order of arrival in each shard, one shard after the other. As
    /// [`par_for_each`](Query::par_for_each) otherwise.
    ///
    /// # Errors
    /// As there.
    pub fn par_collect(self) -> Result<Vec<T>, QueryError>
    where
        T: Clone,
    {
        let search = self.order(Order::Oldest).limit(usize::MAX).execution()?;
        let copy = |portion: Portion| {
            let mut copies = Vec::new();
            scan(&search, &portion, |_, record: &T| copies.push(record.clone()));
            copies
        };
        Ok(portions(&search).into_par_iter().flat_map_iter(copy).collect())
    }
}

fn portions<T: Signal>(search: &Execution<'_, T>) -> Vec<Portion> {
    let mut portions = Vec::new();
    for (number, shard) in search.engine.shards.iter().enumerate() {
        let claimed = shard.claimed();
        let bounds = search.bounds_of(number);
        let (mut at, end) = (shard.low(claimed).max(bounds.start), claimed.min(bounds.end));
        while at < end {
            let until = ((at / PARALLEL_PORTION + 1) * PARALLEL_PORTION).min(end);
            portions.push(Portion { shard: number, sequences: at..until });
            at = until;
        }
    }
    portions
}

fn scan<T: Signal>(search: &Execution<'_, T>, portion: &Portion, visit: impl FnMut(Position, &T)) -> usize {
    let shard = &search.engine.shards[portion.shard];
    let mut scan = Scan::up(shard, portion.sequences.start, &portion.sequences);
    search.each(portion.shard, &mut scan, visit) as usize
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Store;
    use crate::signal::LogRecord;

    #[test]
    fn shards_are_cut_where_their_portions_meet() {
        let capacity = (3 * PARALLEL_PORTION) as usize;
        let store: Store<LogRecord> = Store::builder().capacity(capacity).shards(1).manual().build().unwrap();
        let cut = || {
            let search = store.query().execution().unwrap();
            portions(&search).into_iter().map(|portion| (portion.shard, portion.sequences)).collect::<Vec<_>>()
        };
        assert_eq!(cut(), []);
        assert_eq!(PARALLEL_PORTION, 4_096, "whole blocks, and enough of them for a thread to go there");
        store.push_batch(vec![LogRecord::default(); capacity + 5]).unwrap();
        let ends = [5, PARALLEL_PORTION, 2 * PARALLEL_PORTION, 3 * PARALLEL_PORTION, 3 * PARALLEL_PORTION + 5];
        assert_eq!(cut(), ends.windows(2).map(|ends| (0, ends[0]..ends[1])).collect::<Vec<_>>());
    }
}
