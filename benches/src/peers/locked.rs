//! A lock and a hash map: what an engineer would write in an afternoon, and write well.

use super::catalogue::Catalogue;
use super::{Peer, Producer, Record};
use parking_lot::Mutex;
use slipring::{Key, KeyBuf};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A ring of records, and for each key a queue of sequences: the oldest record is at the front of each of its keys'.
struct Ring<T> {
    records: VecDeque<(u64, T)>,
    catalogue: Catalogue<VecDeque<u64>>,
    capacity: usize,
    /// The sequence of the record at the front.
    first: u64,
}

impl<T: Record> Ring<T> {
    fn new(capacity: usize) -> Self {
        Self { records: VecDeque::with_capacity(capacity), catalogue: Catalogue::new::<T>(), capacity, first: 0 }
    }

    /// `stamp` is when the record came, for those who have several rings.
    #[inline]
    fn push(&mut self, stamp: u64, record: T) {
        if self.records.len() == self.capacity {
            let (_, oldest) = self.records.pop_front().expect("the capacity is not 0");
            self.first += 1;
            self.catalogue.leave(&oldest, |postings| {
                postings.pop_front();
                postings.is_empty()
            });
        }
        let sequence = self.first + self.records.len() as u64;
        self.catalogue.enter(&record, |postings| postings.push_back(sequence));
        self.records.push_back((stamp, record));
    }

    fn found(&self, index: usize, key: Key<'_>, limit: usize) -> impl Iterator<Item = (u64, T)> + '_ {
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
        ring.catalogue.of(index).map(|(key, postings)| (key.clone(), postings.len() as u64)).collect()
    }

    fn stall(&self, _: usize, _: Key<'_>, length: Duration) {
        let _ring = self.0.lock();
        std::thread::sleep(length);
    }
}

impl<T: Record> Producer<T> for &Locked<T> {
    #[inline]
    fn push(&mut self, record: T) {
        self.0.lock().push(0, record);
    }

    fn push_batch(&mut self, records: Vec<T>) {
        let mut ring = self.0.lock();
        records.into_iter().for_each(|record| ring.push(0, record));
    }
}

/// Eight such rings, each under its own lock; a producer stays on one for 64 records and goes on to the next.
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

impl<T> Run<'_, T> {
    #[inline]
    fn next(&mut self) {
        if self.left == 0 {
            self.shard = (self.shard + 1) % SHARDS;
            self.left = RUN;
            self.stamp = self.store.clock.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<T: Record> Peer<T> for Sharded<T> {
    const NAME: &'static str = "8 Mutexes";

    fn new(capacity: usize, _: usize) -> Self {
        let shard = |number| Shard(Mutex::new(Ring::new(capacity / SHARDS + usize::from(number < capacity % SHARDS))));
        Self { shards: (0..SHARDS).map(shard).collect(), clock: AtomicU64::new(0) }
    }

    fn producer(&self, number: usize) -> impl Producer<T> + '_ {
        Run { store: self, shard: number * 3 % SHARDS, left: 0, stamp: 0 }
    }

    fn lookup(&self, index: usize, key: Key<'_>, limit: usize) -> Vec<T> {
        let mut found = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let ring = shard.0.lock();
            found.extend(ring.found(index, key, limit).enumerate().map(|(age, hit)| (hit.0, age, number, hit.1)));
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
        self.next();
        self.store.shards[self.shard].0.lock().push(self.stamp, record);
        self.left -= 1;
    }

    fn push_batch(&mut self, records: Vec<T>) {
        let mut records = records.into_iter();
        while !records.as_slice().is_empty() {
            self.next();
            let (stamp, run) = (self.stamp, self.left.min(records.len()));
            let mut ring = self.store.shards[self.shard].0.lock();
            records.by_ref().take(run).for_each(|record| ring.push(stamp, record));
            drop(ring);
            self.left -= run;
        }
    }
}
