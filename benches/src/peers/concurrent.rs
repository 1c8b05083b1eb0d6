//! A store from existing crates: crossbeam's bounded queue as the ring, and a concurrent map for
//! each index.

use super::catalogue::{AsKey, INDEXES, Owned};
use super::{Peer, Producer, Record};
use crossbeam_queue::ArrayQueue;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use slipring::Indexes as _;
use slipring::{Key, KeyBuf, Signal};
use std::collections::VecDeque;
use std::sync::Arc;

/// Records behind `Arc`s, shared by an `ArrayQueue` that evicts the oldest and by one `DashMap` of
/// postings per index.
pub struct Concurrent<T> {
    queue: ArrayQueue<Arc<T>>,
    catalogue: Vec<DashMap<Owned, VecDeque<Arc<T>>, RandomState>>,
}

impl<T: Record> Peer<T> for Concurrent<T> {
    const NAME: &'static str = "ArrayQueue + DashMap";

    fn new(capacity: usize, _: usize) -> Self {
        let catalogue = (0..INDEXES).map(|_| DashMap::default()).collect();
        Self { queue: ArrayQueue::new(capacity), catalogue }
    }

    fn producer(&self, _: usize) -> impl Producer<T> + '_ {
        self
    }

    fn lookup(&self, index: usize, key: Key<'_>, limit: usize) -> Vec<T> {
        let Some(postings) = self.catalogue[index].get(&key as &dyn AsKey) else {
            return Vec::new();
        };
        postings.iter().rev().take(limit).map(|record| T::clone(record)).collect()
    }

    fn keys(&self, index: usize) -> Vec<(KeyBuf, u64)> {
        self.catalogue[index]
            .iter()
            .map(|entry| (entry.key().0.clone(), entry.value().len() as u64))
            .collect()
    }
}

impl<T: Record> Producer<T> for &Concurrent<T> {
    fn push(&mut self, record: T) {
        let record = Arc::new(record);
        enter(&self.catalogue, &record);
        if let Some(oldest) = self.queue.force_push(record) {
            leave(&self.catalogue, &oldest);
        }
    }
}

fn enter<T: Signal>(catalogue: &[DashMap<Owned, VecDeque<Arc<T>>, RandomState>], record: &Arc<T>) {
    for (index, postings) in catalogue.iter().enumerate() {
        let Some(key) = T::INDEXES.as_slice()[index].key(record) else { continue };
        match postings.get_mut(&key as &dyn AsKey) {
            Some(mut queue) => queue.push_back(Arc::clone(record)),
            None => {
                postings.entry(Owned(key.to_owned())).or_default().push_back(Arc::clone(record))
            }
        }
    }
}

fn leave<T: Signal>(catalogue: &[DashMap<Owned, VecDeque<Arc<T>>, RandomState>], oldest: &Arc<T>) {
    for (index, postings) in catalogue.iter().enumerate() {
        let Some(key) = T::INDEXES.as_slice()[index].key(oldest) else { continue };
        let Some(mut queue) = postings.get_mut(&key as &dyn AsKey) else { continue };
        // The record is at the front, unless producers overtook each other.
        if let Some(at) = queue.iter().position(|record| Arc::ptr_eq(record, oldest)) {
            queue.remove(at);
        }
        let empty = queue.is_empty();
        drop(queue);
        if empty {
            postings.remove_if(&key as &dyn AsKey, |_, queue| queue.is_empty());
        }
    }
}
