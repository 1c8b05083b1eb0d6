//! The design that slipring replaces: a list of positions for each key. Each eviction copies the
//! list without the evicted position.

use super::catalogue::Catalogue;
use super::{Peer, Producer, Record};
use parking_lot::Mutex;
use slipring::{Key, KeyBuf};
use std::time::Duration;

/// A ring under a lock. Whenever a record is overwritten, the lists of its keys are filtered into
/// new lists.
pub struct Copying<T>(Mutex<Ring<T>>);

struct Ring<T> {
    records: Vec<T>,
    catalogue: Catalogue<Vec<usize>>,
    capacity: usize,
    /// The position of the next record.
    next: usize,
}

impl<T: Record> Peer<T> for Copying<T> {
    const NAME: &'static str = "the replaced design";
    const SLOW: bool = true;

    fn new(capacity: usize, _: usize) -> Self {
        let records = Vec::with_capacity(capacity);
        Self(Mutex::new(Ring { records, catalogue: Catalogue::new::<T>(), capacity, next: 0 }))
    }

    fn producer(&self, _: usize) -> impl Producer<T> + '_ {
        self
    }

    fn lookup(&self, index: usize, key: Key<'_>, limit: usize) -> Vec<T> {
        let ring = self.0.lock();
        let positions = ring.catalogue.get(index, key).into_iter().flatten().rev().take(limit);
        positions.map(|&position| ring.records[position].clone()).collect()
    }

    fn keys(&self, index: usize) -> Vec<(KeyBuf, u64)> {
        let ring = self.0.lock();
        ring.catalogue
            .of(index)
            .map(|(key, positions)| (key.clone(), positions.len() as u64))
            .collect()
    }

    fn stall(&self, _: usize, _: Key<'_>, length: Duration) {
        let _ring = self.0.lock();
        std::thread::sleep(length);
    }
}

impl<T: Record> Producer<T> for &Copying<T> {
    fn push(&mut self, record: T) {
        let ring = &mut *self.0.lock();
        let next = ring.next;
        if let Some(oldest) = ring.records.get(next) {
            ring.catalogue.leave(oldest, |positions| {
                *positions =
                    positions.iter().copied().filter(|&position| position != next).collect();
                positions.is_empty()
            });
        }
        ring.catalogue.enter(&record, |positions| positions.push(next));
        if next < ring.records.len() {
            ring.records[next] = record;
        } else {
            ring.records.push(record);
        }
        ring.next = (next + 1) % ring.capacity;
    }
}
