//! A shard's byte budget, in stores that bound the bytes of their records.
//!
//! Two limits apply:
//!
//! - The bytes of records that are indexed and not evicted. While they exceed the budget, the
//!   holder of the indexer lock evicts the oldest records. What a shard keeps is therefore decided
//!   when records are indexed, not when they are claimed.
//! - The bytes of records that are claimed and not reclaimed, indexed or not. This limit is a
//!   quarter higher. A producer reserves a record's bytes just before the claim, and they are
//!   released when the record is reclaimed.
//!
//! A producer that can't reserve bytes in a shard does what it does if no slot is free there. It
//! never waits while it holds a reservation.

use crate::engine::ring::RecordMeta;
use crate::signal::Signal;
use crate::sync::{AtomicU64, CachePadded, Ordering};

#[derive(Debug)]
pub(crate) struct ByteBudget {
    /// The bytes that records may keep.
    pub(crate) most: u64,
    /// The bytes of records that are claimed, or about to be, and not reclaimed.
    reserved: CachePadded<AtomicU64>,
}

impl ByteBudget {
    pub(super) fn new(most: u64) -> Self {
        Self { most, reserved: CachePadded::new(AtomicU64::new(0)) }
    }

    /// Returns the bytes that are reserved.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Relaxed)
    }

    /// Returns how many reserved bytes stop further reservations.
    fn reserve_limit(&self) -> u64 {
        self.most.saturating_add((self.most / 4).max(1))
    }

    /// Returns whether a reservation would succeed.
    pub(crate) fn has_room(&self) -> bool {
        self.reserved() < self.reserve_limit()
    }

    /// Returns whether few bytes are left to be reserved.
    pub(crate) fn is_short(&self) -> bool {
        self.reserved() >= self.most.saturating_add(self.most / 8)
    }

    /// Reserves bytes if any are left.
    ///
    /// One reservation may exceed the limit. Otherwise small records that leave only a few bytes
    /// would keep a large record out.
    pub(super) fn try_reserve(&self, bytes: u64) -> bool {
        // Relaxed: only the number counts, and a producer that finds no bytes left checks again
        // after a fence (`EventCount`). The bytes are not added and subtracted again on failure,
        // because other threads would count them in the meantime.
        let add = |reserved: u64| {
            (reserved < self.reserve_limit()).then(|| reserved.saturating_add(bytes))
        };
        self.reserved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Releases bytes, and returns whether that makes reservations possible again.
    pub(crate) fn release(&self, bytes: u64) -> bool {
        let before = self.reserved.fetch_sub(bytes, Ordering::Relaxed);
        before >= self.reserve_limit() && before - bytes < self.reserve_limit()
    }
}

/// What a claim needs beside slots.
pub(crate) trait Admission {
    /// Reserves what the first of at most `records` records need, and returns for how many.
    fn try_reserve(&self, budget: Option<&ByteBudget>, records: u64) -> u64;
    /// Releases what was reserved for this many records, none of which was claimed.
    fn release(&self, budget: Option<&ByteBudget>, records: u64);
}

/// Admission by slots alone.
pub(crate) struct NoBudget;

impl Admission for NoBudget {
    #[inline(always)]
    fn try_reserve(&self, _: Option<&ByteBudget>, records: u64) -> u64 {
        records
    }

    #[inline(always)]
    fn release(&self, _: Option<&ByteBudget>, _: u64) {}
}

/// Admission by the bytes of these records, in a store that bounds them.
pub(crate) struct MeteredBytes<'a, T: Signal, F> {
    pub(crate) metas: &'a [RecordMeta<T>],
    /// Called when a release makes reservations possible again.
    pub(crate) freed: F,
}

impl<T: Signal, F: Fn()> Admission for MeteredBytes<'_, T, F> {
    fn try_reserve(&self, budget: Option<&ByteBudget>, records: u64) -> u64 {
        let Some(budget) = budget else { return records };
        let wanted = self.metas.iter().take(records as usize);
        wanted.take_while(|meta| budget.try_reserve(meta.bytes())).count() as u64
    }

    fn release(&self, budget: Option<&ByteBudget>, records: u64) {
        let bytes = self.metas[..records as usize].iter().map(RecordMeta::bytes).sum();
        if budget.is_some_and(|budget| budget.release(bytes)) {
            (self.freed)();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::engine::state::Engine;
    use crate::signal::LogRecord;
    use crate::store::StoreBuilder;

    #[test]
    fn bytes_are_reserved_while_any_are_left_and_released_once() {
        let budget = ByteBudget::new(8);
        assert!(budget.has_room() && !budget.is_short());
        assert!(budget.try_reserve(9));
        assert!(budget.has_room() && budget.is_short(), "one of ten bytes is left");
        assert!(budget.try_reserve(5), "one reservation may exceed the limit");
        assert!(!budget.has_room() && !budget.try_reserve(1));
        assert_eq!(budget.reserved(), 14);
        assert!(!budget.release(4) && !budget.has_room(), "ten of ten bytes are reserved");
        assert!(budget.release(1) && budget.has_room(), "one byte is left again");
        assert!(!budget.release(1) && !budget.is_short());
        let empty = ByteBudget::new(0);
        assert!(empty.try_reserve(1) && !empty.try_reserve(1), "a budget of 0 admits one record");
    }

    #[test]
    fn bytes_reserved_for_a_failed_claim_are_released() {
        let engine = Engine::of(
            &StoreBuilder::<LogRecord>::new().capacity(8).shards(1).manual().max_bytes(1_024),
        );
        let shard = &engine.shards[0];
        let budget = shard.byte_budget.as_ref().unwrap();
        let metas: Vec<_> =
            (0..60).map(|_| engine.meta(&mut LogRecord::default()).unwrap()).collect();
        let freed = std::cell::Cell::new(0);
        let admission = MeteredBytes { metas: &metas, freed: || freed.set(freed.get() + 1) };
        let bytes = metas[0].bytes();
        assert_eq!(
            (admission.try_reserve(shard.byte_budget.as_ref(), 3), budget.reserved()),
            (3, 3 * bytes),
            "of those that are asked for"
        );
        admission.release(shard.byte_budget.as_ref(), 3);
        assert_eq!((budget.reserved(), freed.get()), (0, 0));
        let all = admission.try_reserve(shard.byte_budget.as_ref(), 60);
        assert!(all < 60 && !budget.has_room());
        admission.release(shard.byte_budget.as_ref(), all);
        assert_eq!((budget.reserved(), freed.get()), (0, 1));
        assert_eq!(NoBudget.try_reserve(None, 40), 40);
    }
}
