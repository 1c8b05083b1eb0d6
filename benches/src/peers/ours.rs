//! The peer implementation of slipring.

use super::{Peer, Producer, Record};
use slipring::Indexes as _;
use slipring::{Key, KeyBuf, Store};
use std::time::Duration;

/// The number of records after which a stalling reader stalls.
const STALLS_AFTER: usize = 50;

impl<T: Record> Peer<T> for Store<T> {
    const NAME: &'static str = "slipring";

    fn new(capacity: usize, _: usize) -> Self {
        Self::builder().capacity(capacity).build().expect("the capacity is valid")
    }

    fn producer(&self, _: usize) -> impl Producer<T> + '_ {
        self
    }

    fn settle(&self) {
        self.flush().expect("flush is not called inside a hook");
    }

    fn lookup(&self, index: usize, key: Key<'_>, limit: usize) -> Vec<T> {
        let query = self.query().key(name::<T>(index), key).limit(limit);
        query.collect().expect("the index exists").into_records()
    }

    fn keys(&self, index: usize) -> Vec<(KeyBuf, u64)> {
        let keys = Store::key_counts(self, name::<T>(index)).expect("the index exists");
        keys.into_iter().map(|key| (key.key, key.count)).collect()
    }

    fn stall(&self, index: usize, key: Key<'_>, length: Duration) {
        let mut shown = 0;
        let query = self.query().key(name::<T>(index), key).limit(2 * STALLS_AFTER);
        let shown = query.for_each(|_, _| {
            shown += 1;
            if shown == STALLS_AFTER {
                std::thread::sleep(length);
            }
        });
        shown.expect("the index exists");
    }

    fn list(&self, index: usize) -> Vec<KeyBuf> {
        self.keys(name::<T>(index)).expect("the index exists")
    }

    /// Returns three runs of 64 records for each of the other shards.
    fn tolerance(&self) -> usize {
        3 * 64 * (self.shards() - 1)
    }

    fn audit(&self) {
        Store::audit(self).expect("the audit finds no breach");
    }
}

impl<T: Record> Producer<T> for &Store<T> {
    #[inline]
    fn push(&mut self, record: T) {
        Store::push(self, record).expect("a store that waits when full rejects nothing");
    }

    fn push_batch(&mut self, records: Vec<T>) {
        Store::push_batch(self, records).expect("a store that waits when full rejects nothing");
    }
}

fn name<T: Record>(index: usize) -> &'static str {
    T::INDEXES.as_slice()[index].name()
}
