//! A store from existing crates: a cache that reports evictions, and a concurrent map for each
//! index.

use super::catalogue::{AsKey, INDEXES, Owned};
use super::{Peer, Producer, Record};
use dashmap::DashMap;
use foldhash::fast::RandomState;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use slipring::Indexes as _;
use slipring::{Key, KeyBuf};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

type Postings = DashMap<Owned, BTreeSet<u64>, RandomState>;

/// A moka cache from sequence to record that evicts the oldest record. Its eviction listener
/// removes the record from the postings.
pub struct Evicting<T> {
    cache: Cache<u64, Arc<T>, RandomState>,
    catalogue: Arc<[Postings]>,
    sequences: AtomicU64,
}

impl<T: Record> Peer<T> for Evicting<T> {
    const NAME: &'static str = "moka + DashMap";
    const SLOW: bool = true;

    fn new(capacity: usize, _: usize) -> Self {
        let catalogue: Arc<[Postings]> = (0..INDEXES).map(|_| DashMap::default()).collect();
        let listened = Arc::clone(&catalogue);
        let cache = Cache::builder()
            .max_capacity(capacity as u64)
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |sequence: Arc<u64>, record: Arc<T>, _| {
                for (index, postings) in listened.iter().enumerate() {
                    let Some(key) = T::INDEXES.as_slice()[index].key(&record) else { continue };
                    let Some(mut set) = postings.get_mut(&key as &dyn AsKey) else { continue };
                    set.remove(&*sequence);
                    let empty = set.is_empty();
                    drop(set);
                    if empty {
                        postings.remove_if(&key as &dyn AsKey, |_, set| set.is_empty());
                    }
                }
            })
            .build_with_hasher(RandomState::default());
        Self { cache, catalogue, sequences: AtomicU64::new(0) }
    }

    fn producer(&self, _: usize) -> impl Producer<T> + '_ {
        self
    }

    fn settle(&self) {
        self.cache.run_pending_tasks();
    }

    fn lookup(&self, index: usize, key: Key<'_>, limit: usize) -> Vec<T> {
        let Some(set) = self.catalogue[index].get(&key as &dyn AsKey) else { return Vec::new() };
        let newest: Vec<u64> = set.iter().rev().take(limit).copied().collect();
        drop(set);
        newest
            .iter()
            .filter_map(|sequence| self.cache.get(sequence))
            .map(|record| T::clone(&record))
            .collect()
    }

    fn keys(&self, index: usize) -> Vec<(KeyBuf, u64)> {
        self.catalogue[index]
            .iter()
            .map(|entry| (entry.key().0.clone(), entry.value().len() as u64))
            .collect()
    }

    /// Returns 2 % of the capacity, because the cache's policy is approximate.
    fn tolerance(&self) -> usize {
        self.cache.policy().max_capacity().map_or(0, |capacity| capacity as usize / 50)
    }
}

impl<T: Record> Producer<T> for &Evicting<T> {
    fn push(&mut self, record: T) {
        let sequence = self.sequences.fetch_add(1, Ordering::Relaxed);
        for (index, postings) in self.catalogue.iter().enumerate() {
            let Some(key) = T::INDEXES.as_slice()[index].key(&record) else { continue };
            match postings.get_mut(&key as &dyn AsKey) {
                Some(mut set) => _ = set.insert(sequence),
                None => _ = postings.entry(Owned(key.to_owned())).or_default().insert(sequence),
            }
        }
        self.cache.insert(sequence, Arc::new(record));
    }
}
