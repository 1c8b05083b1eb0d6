//! Ingest: records a second until the indexes have settled, by producers in a closed loop.

use crate::peers::{Peer, Producer, Record};
use crate::workload::Workload;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How producers push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Threads that push.
    pub producers: usize,
    /// Records in a batch; 1: pushed one by one.
    pub batch: usize,
    /// How long they push.
    pub length: Duration,
}

/// Records a second into a full store of this kind, from the first push to settled indexes.
pub fn ingest<W: Workload, P: Peer<W::Record>>(load: Load) -> f64 {
    ingest_into::<W::Record, P, _>(W::CAPACITY, load, W::records)
}

/// The same, for records of one's own and any capacity.
///
/// Every producer makes its records as it goes, so the making is part of the figure, for every peer
/// alike. The store is filled before the clock starts, by all producers, and its books are checked
/// after it has stopped.
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
            // Its own clock: on few cores, another thread may be told of the start long after.
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
    let started = runs.iter().map(|(_, started)| *started).min().expect("somebody pushes");
    pushed as f64 / (ended - started).as_secs_f64()
}

/// Records after which a store of this capacity is full in all its parts.
pub fn filling<T, P: Peer<T>>(capacity: usize) -> usize {
    capacity + if P::SLOW { capacity / 50 } else { capacity / 2 }
}

/// Pushes until told that it is over; how many.
fn push_until<T>(
    over: &AtomicBool,
    batch: usize,
    records: &mut impl Iterator<Item = T>,
    producer: &mut impl Producer<T>,
) -> u64 {
    let mut pushed = 0;
    while !over.load(Ordering::Relaxed) {
        // The clock is asked for seldom enough not to count, often enough for the slowest peers.
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
