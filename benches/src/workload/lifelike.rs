//! Records of the shop, which own texts, attributes and points on the heap.
//!
//! The shop needs a microsecond or more to create one, and as many allocations as the record has
//! parts. So a pool of records is created beforehand for each seed, and each push clones the next
//! one. The clone is part of every figure, for every store alike, as decoding would be in a
//! collector. After the last record of a pool, the pool starts again with other trace ids, so that
//! traces keep their length.

use super::Workload;
use shop::Shop;
use slipring::{LogRecord, MetricPoint, Span, TraceId};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The number of records in a pool.
const POOL: usize = 4096;

/// The shop's spans.
#[derive(Debug)]
pub struct ShopSpans;

/// The shop's log records.
#[derive(Debug)]
pub struct ShopLogs;

/// The shop's metric points.
#[derive(Debug)]
pub struct ShopPoints;

impl Workload for ShopSpans {
    const NAME: &'static str = "shop's spans, 10K";
    const CAPACITY: usize = 10_000;
    type Record = Span;

    fn records(seed: u64) -> impl Iterator<Item = Span> + Send {
        laps(pool(seed, |shop| shop.spans().take(POOL).collect()), |span, lap| {
            *span = span.to_builder().trace_id(renamed(span.trace_id(), lap)).build();
        })
    }
}

impl Workload for ShopLogs {
    const NAME: &'static str = "shop's logs, 50K";
    const CAPACITY: usize = 50_000;
    type Record = LogRecord;

    fn records(seed: u64) -> impl Iterator<Item = LogRecord> + Send {
        laps(pool(seed, |shop| shop.logs().take(POOL).collect()), |log, lap| {
            if let Some(id) = log.trace_id() {
                *log = log.to_builder().trace_id(renamed(id, lap)).build();
            }
        })
    }
}

impl Workload for ShopPoints {
    const NAME: &'static str = "shop's points, 100K";
    const CAPACITY: usize = 100_000;
    type Record = MetricPoint;

    fn records(seed: u64) -> impl Iterator<Item = MetricPoint> + Send {
        laps(pool(seed, |shop| shop.points().take(POOL).collect()), |_, _| ())
    }
}

/// Repeats the records of a pool, and changes them from lap to lap.
fn laps<T: Clone + Send + Sync>(
    pool: Arc<Vec<T>>,
    change: impl Fn(&mut T, u64) + Send,
) -> impl Iterator<Item = T> + Send {
    let (mut next, mut lap) = (0, 0);
    std::iter::repeat_with(move || {
        let mut record = pool[next].clone();
        change(&mut record, lap);
        next += 1;
        if next == pool.len() {
            (next, lap) = (0, lap + 1);
        }
        record
    })
}

/// Returns a different id in each lap. The shop's ids share their upper half, which this changes.
fn renamed(id: TraceId, lap: u64) -> TraceId {
    TraceId::from(u128::from(id) ^ u128::from(lap) << 64)
}

/// Returns this seed's pool of such records, and creates it if it does not exist.
fn pool<T: Any + Send + Sync>(seed: u64, make: impl FnOnce(&mut Shop) -> Vec<T>) -> Arc<Vec<T>> {
    type Pools = HashMap<(TypeId, u64), Arc<dyn Any + Send + Sync>>;
    static POOLS: Mutex<Option<Pools>> = Mutex::new(None);
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let pool = pools
        .get_or_insert_default()
        .entry((TypeId::of::<T>(), seed))
        .or_insert_with(|| Arc::new(make(&mut Shop::new(seed))));
    Arc::downcast(Arc::clone(pool)).expect("the pool is of this type")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn laps_differ_in_their_traces_only() {
        let spans: Vec<Span> = ShopSpans::records(1).take(2 * POOL).collect();
        let (first, second) = spans.split_at(POOL);
        assert!(
            first.iter().zip(second).all(
                |(one, other)| one.name() == other.name() && one.trace_id() != other.trace_id()
            )
        );
        let ids = |spans: &[Span]| spans.iter().map(|span| span.trace_id()).collect::<HashSet<_>>();
        assert!(ids(first).is_disjoint(&ids(second)));
    }
}
