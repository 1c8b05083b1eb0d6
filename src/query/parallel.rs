//! Queries that run on several threads at once.

use super::builder::Query;
use super::execute::Execution;
use super::result::Order;
use super::scan::Scan;
use super::view::View;
use crate::Position;
use crate::engine::tuning::PARALLEL_PORTION;
use crate::error::QueryError;
use crate::signal::Signal;
use rayon::prelude::*;
use std::ops::Range;

/// A range of one shard's sequences, scanned by one thread.
struct Portion {
    shard: usize,
    sequences: Range<u64>,
}

impl<T: Signal> Query<'_, T> {
    /// Calls `visit` with each record, in place, on all of rayon's threads at once and in no order.
    /// Returns the number of records. Meant for conditions that no index answers, over many
    /// records: it scans slot by slot, whatever keys the query names.
    ///
    /// Ignores the query's limit and order; where they matter, use [`for_each`](Query::for_each).
    /// Records that are evicted before a thread reaches them are skipped without being reported.
    /// Each thread pins up to eight records at a time.
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
        let execution = self.order(Order::Oldest).limit(usize::MAX).execution()?;
        Ok(portions(&execution)
            .into_par_iter()
            .map(|portion| scan(&execution, &portion, &visit))
            .sum())
    }

    /// Runs the query on all of rayon's threads and returns clones of the records: in order of
    /// arrival within each shard, one shard after the other. Otherwise like
    /// [`par_for_each`](Query::par_for_each).
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn par_collect(self) -> Result<Vec<T>, QueryError>
    where
        T: Clone,
    {
        let execution = self.order(Order::Oldest).limit(usize::MAX).execution()?;
        let copy = |portion: Portion| {
            let mut copies = Vec::new();
            scan(&execution, &portion, |_, record: &T| copies.push(record.clone()));
            copies
        };
        Ok(portions(&execution).into_par_iter().flat_map_iter(copy).collect())
    }
}

fn portions<T: Signal>(execution: &Execution<'_, T>) -> Vec<Portion> {
    let mut portions = Vec::new();
    for (number, shard) in execution.engine.shards.iter().enumerate() {
        let claimed = shard.claimed();
        let bounds = execution.bounds_of(number);
        let (mut at, end) = (shard.low(claimed).max(bounds.start), claimed.min(bounds.end));
        while at < end {
            let until = ((at / PARALLEL_PORTION + 1) * PARALLEL_PORTION).min(end);
            portions.push(Portion { shard: number, sequences: at..until });
            at = until;
        }
    }
    portions
}

fn scan<T: Signal>(
    execution: &Execution<'_, T>,
    portion: &Portion,
    visit: impl FnMut(Position, &T),
) -> usize {
    let view = View::open(&execution.engine.shards[portion.shard]);
    let mut scan = Scan::up(view, portion.sequences.start, &portion.sequences);
    execution.each(portion.shard, &mut scan, visit) as usize
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Store;
    use crate::signal::LogRecord;

    #[test]
    fn portions_end_at_multiples_of_their_size() {
        let capacity = (3 * PARALLEL_PORTION) as usize;
        let store: Store<LogRecord> =
            Store::builder().capacity(capacity).shards(1).manual().build().unwrap();
        let ranges = || {
            let execution = store.query().execution().unwrap();
            portions(&execution)
                .into_iter()
                .map(|portion| (portion.shard, portion.sequences))
                .collect::<Vec<_>>()
        };
        assert_eq!(ranges(), []);
        assert_eq!(
            PARALLEL_PORTION, 4_096,
            "a portion is whole blocks, enough to pay for a thread"
        );
        store.push_batch(vec![LogRecord::default(); capacity + 5]).unwrap();
        let ends = [
            5,
            PARALLEL_PORTION,
            2 * PARALLEL_PORTION,
            3 * PARALLEL_PORTION,
            3 * PARALLEL_PORTION + 5,
        ];
        assert_eq!(ranges(), ends.windows(2).map(|ends| (0, ends[0]..ends[1])).collect::<Vec<_>>());
    }
}
