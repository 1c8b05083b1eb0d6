//! Measures ingest: records per second until the indexes have settled, with producers in a closed
//! loop.

use crate::peers::{Peer, Producer, Record};
use crate::workload::Workload;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The producers of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The number of producers, each a thread.
    pub producers: usize,
    /// The number of records in a batch. With 1, records are pushed one by one.
    pub batch: usize,
    /// The time for which they push.
    pub length: Duration,
}

/// Measures records per second into a full store, from the first push until the indexes have
/// settled.
pub fn ingest<W: Workload, P: Peer<W::Record>>(load: Load) -> f64 {
    ingest_into::<W::Record, P, _>(W::CAPACITY, load, W::records)
}

/// Measures the same for any records and any capacity.
///
/// Every producer creates its records as it pushes, so creating them is part of the figure for
/// every peer alike. All producers fill the store before the clock starts. The store is audited
/// after the clock has stopped.
pub fn ingest_into<T, P, I>(capacity: usize, load: Load, records: impl Fn(u64) -> I + Sync) -> f64
where
    T: Record,
    P: Peer<T>,
    I: Iterator<Item = T>,
{
    let store = P::new(capacity, load.producers);
    let (warm, start) = (Barrier::new(load.producers + 1), Barrier::new(load.producers + 1));
    let over = AtomicBool::new(false);
    let (store, warm, start, over, records) = (&store, &warm, &start, &over, &records);
    let runs: Vec<(u64, Instant)> = std::thread::scope(|scope| {
        let produce = move |number: usize| {
            let mut records = records(number as u64 + 1);
            let mut producer = store.producer(number);
            records
                .by_ref()
                .take(filling::<T, P>(capacity) / load.producers + 1)
                .for_each(|record| producer.push(record));
            warm.wait();
            start.wait();
            // Each producer reads the clock itself: on few cores, another thread may run long after
            // the start.
            let started = Instant::now();
            (push_until(over, load.batch, &mut records, &mut producer), started)
        };
        let producers: Vec<_> =
            (0..load.producers).map(|number| scope.spawn(move || produce(number))).collect();
        warm.wait();
        store.settle();
        start.wait();
        std::thread::sleep(load.length);
        over.store(true, Ordering::Relaxed);
        producers.into_iter().map(|producer| producer.join().expect("producers end well")).collect()
    });
    store.settle();
    let ended = Instant::now();
    store.audit();
    let pushed: u64 = runs.iter().map(|(pushed, _)| pushed).sum();
    let started =
        runs.iter().map(|(_, started)| *started).min().expect("there is at least one producer");
    pushed as f64 / (ended - started).as_secs_f64()
}

/// Returns the number of records after which a store of this capacity is full in all its parts.
pub fn filling<T, P: Peer<T>>(capacity: usize) -> usize {
    capacity + if P::SLOW { capacity / 50 } else { capacity / 2 }
}

/// Pushes until `over` is set. Returns the number of records pushed.
fn push_until<T>(
    over: &AtomicBool,
    batch: usize,
    records: &mut impl Iterator<Item = T>,
    producer: &mut impl Producer<T>,
) -> u64 {
    let mut pushed = 0;
    while !over.load(Ordering::Relaxed) {
        // Checks `over` rarely enough that the check costs nothing, and often enough for the
        // slowest peers.
        if batch == 1 {
            records.take(16).for_each(|record| producer.push(record));
            pushed += 16;
        } else {
            producer.push_batch(records.take(batch).collect());
            pushed += batch as u64;
        }
    }
    pushed
}
