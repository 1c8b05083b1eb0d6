//! Stores with locks and hash maps, as a good engineer would write them first.

use super::catalogue::Catalogue;
use super::{Peer, Producer, Record};
use parking_lot::{Mutex, MutexGuard};
use slipring::{Key, KeyBuf};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A ring of records, and a queue of sequences for each key. The oldest record is at the front of
/// the queue of each of its keys.
struct Ring<T> {
    records: VecDeque<(u64, T)>,
    catalogue: Catalogue<VecDeque<u64>>,
    capacity: usize,
    /// The sequence of the record at the front.
    first: u64,
}

impl<T: Record> Ring<T> {
    fn new(capacity: usize) -> Self {
        Self {
            records: VecDeque::with_capacity(capacity),
            catalogue: Catalogue::new::<T>(),
            capacity,
            first: 0,
        }
    }

    /// Adds a record. `stamp` is the logical time of its arrival, for stores with several rings.
    /// Returns the evicted record if it needs to be dropped, so that the caller drops it after it
    /// has released the lock.
    #[inline]
    fn push(&mut self, stamp: u64, record: T) -> Option<T> {
        let mut evicted = None;
        if self.records.len() == self.capacity {
            // Move the record out as a whole, which loads its cache lines together. Reading one key
            // after the other would wait for each line.
            let (_, oldest) = self.records.pop_front().expect("the capacity is not 0");
            self.first += 1;
            self.catalogue.leave(&oldest, |postings| {
                postings.pop_front();
                postings.is_empty()
            });
            if std::mem::needs_drop::<T>() {
                evicted = Some(oldest);
            }
        }
        let sequence = self.first + self.records.len() as u64;
        self.catalogue.enter(&record, |postings| postings.push_back(sequence));
        self.records.push_back((stamp, record));
        evicted
    }

    fn found(
        &self,
        index: usize,
        key: Key<'_>,
        limit: usize,
    ) -> impl Iterator<Item = (u64, T)> + '_ {
        let postings = self.catalogue.get(index, key).into_iter().flatten().rev().take(limit);
        postings.map(|sequence| self.records[(sequence - self.first) as usize].clone())
    }
}

/// One `parking_lot::Mutex` around everything.
pub struct Locked<T>(Mutex<Ring<T>>);

impl<T: Record> Peer<T> for Locked<T> {
    const NAME: &'static str = "Mutex";

    fn new(capacity: usize, _: usize) -> Self {
        Self(Mutex::new(Ring::new(capacity)))
    }

    fn producer(&self, _: usize) -> impl Producer<T> + '_ {
        self
    }

    fn lookup(&self, index: usize, key: Key<'_>, limit: usize) -> Vec<T> {
        self.0.lock().found(index, key, limit).map(|(_, record)| record).collect()
    }

    fn keys(&self, index: usize) -> Vec<(KeyBuf, u64)> {
        let ring = self.0.lock();
        ring.catalogue
            .of(index)
            .map(|(key, postings)| (key.clone(), postings.len() as u64))
            .collect()
    }

    fn stall(&self, _: usize, _: Key<'_>, length: Duration) {
        let _ring = self.0.lock();
        std::thread::sleep(length);
    }
}

impl<T: Record> Producer<T> for &Locked<T> {
    #[inline]
    fn push(&mut self, record: T) {
        // This is a separate statement, so that the lock is released before the evicted record is
        // dropped.
        let evicted = self.0.lock().push(0, record);
        drop(evicted);
    }

    fn push_batch(&mut self, records: Vec<T>) {
        let mut ring = self.0.lock();
        let evicted: Vec<T> =
            records.into_iter().filter_map(|record| ring.push(0, record)).collect();
        drop(ring);
        drop(evicted);
    }
}

/// Eight rings, each under its own lock. A producer pushes 64 records to one ring, then moves on to
/// the next.
pub struct Sharded<T> {
    shards: Vec<Shard<T>>,
    clock: AtomicU64,
}

#[repr(align(128))]
struct Shard<T>(Mutex<Ring<T>>);

const SHARDS: usize = 8;
const RUN: usize = 64;

struct Run<'a, T> {
    store: &'a Sharded<T>,
    shard: usize,
    left: usize,
    stamp: u64,
}

impl<'a, T> Run<'a, T> {
    /// Locks the shard whose turn it is. If another producer holds it, tries the next ones, and
    /// waits only if all are taken.
    #[inline]
    fn lock(&mut self) -> MutexGuard<'a, Ring<T>> {
        if self.left == 0 {
            self.move_on();
        }
        for _ in 1..SHARDS {
            if let Some(ring) = self.store.shards[self.shard].0.try_lock() {
                return ring;
            }
            self.move_on();
        }
        self.store.shards[self.shard].0.lock()
    }

    fn move_on(&mut self) {
        self.shard = (self.shard + 1) % SHARDS;
        self.left = RUN;
        self.stamp = self.store.clock.fetch_add(1, Ordering::Relaxed);
    }
}

impl<T: Record> Peer<T> for Sharded<T> {
    const NAME: &'static str = "8 Mutexes";

    fn new(capacity: usize, _: usize) -> Self {
        let shard = |number| {
            Shard(Mutex::new(Ring::new(
                capacity / SHARDS + usize::from(number < capacity % SHARDS),
            )))
        };
        Self { shards: (0..SHARDS).map(shard).collect(), clock: AtomicU64::new(0) }
    }

    fn producer(&self, number: usize) -> impl Producer<T> + '_ {
        Run { store: self, shard: number * 3 % SHARDS, left: 0, stamp: 0 }
    }

    fn lookup(&self, index: usize, key: Key<'_>, limit: usize) -> Vec<T> {
        let mut found = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let ring = shard.0.lock();
            found.extend(
                ring.found(index, key, limit)
                    .enumerate()
                    .map(|(age, hit)| (hit.0, age, number, hit.1)),
            );
        }
        found.sort_by_key(|&(stamp, age, shard, _)| (std::cmp::Reverse(stamp), shard, age));
        found.truncate(limit);
        found.into_iter().map(|(_, _, _, record)| record).collect()
    }

    fn keys(&self, index: usize) -> Vec<(KeyBuf, u64)> {
        let mut sums: hashbrown::HashMap<KeyBuf, u64> = hashbrown::HashMap::new();
        for shard in &self.shards {
            let ring = shard.0.lock();
            for (key, postings) in ring.catalogue.of(index) {
                *sums.entry(key.clone()).or_default() += postings.len() as u64;
            }
        }
        sums.into_iter().collect()
    }

    fn stall(&self, _: usize, _: Key<'_>, length: Duration) {
        let _ring = self.shards[0].0.lock();
        std::thread::sleep(length);
    }
}

impl<T: Record> Producer<T> for Run<'_, T> {
    #[inline]
    fn push(&mut self, record: T) {
        let mut ring = self.lock();
        let evicted = ring.push(self.stamp, record);
        drop(ring);
        drop(evicted);
        self.left -= 1;
    }

    fn push_batch(&mut self, records: Vec<T>) {
        let mut records = records.into_iter();
        while !records.as_slice().is_empty() {
            let mut ring = self.lock();
            let (stamp, run) = (self.stamp, self.left.min(records.len()));
            let evicted: Vec<T> =
                records.by_ref().take(run).filter_map(|record| ring.push(stamp, record)).collect();
            drop(ring);
            drop(evicted);
            self.left -= run;
        }
    }
}
