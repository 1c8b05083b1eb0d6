//! A shard's share of a store's bytes, where these are bounded.
//!
//! Of the bytes of indexed records the token holder evicts the oldest for as long as they are too many. So what is kept is known when
//! it is indexed, not when it is claimed. What has been claimed and not reclaimed yet, indexed or not, has a bound of its own, a
//! quarter more: its bytes are taken just before the claim and given back when it is reclaimed. A producer that finds none left
//! in a shard does what it does where no slot is left. It never waits with bytes in hand.

use crate::engine::ring::RecordMeta;
use crate::signal::Signal;
use crate::sync::{AtomicU64, CachePadded, Ordering};

#[derive(Debug)]
pub(crate) struct ByteBudget {
    /// Bytes that records may keep.
    pub(crate) most: u64,
    /// Bytes of records that have been, or are just being, claimed, and are not reclaimed.
    taken: CachePadded<AtomicU64>,
}

impl ByteBudget {
    pub(super) fn new(most: u64) -> Self {
        Self { most, taken: CachePadded::new(AtomicU64::new(0)) }
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// From here on nothing more is taken.
    fn end(&self) -> u64 {
        self.most.saturating_add((self.most / 4).max(1))
    }

    /// Whether anything can be taken.
    pub(crate) fn has_room(&self) -> bool {
        self.taken() < self.end()
    }

    /// Whether there is little left to be taken.
    pub(crate) fn is_short(&self) -> bool {
        self.taken() >= self.most.saturating_add(self.most / 8)
    }

    /// Takes these bytes if any are left at all: then it may go beyond the end, once, so that a large record is not kept out by
    /// what others leave.
    pub(super) fn try_reserve(&self, bytes: u64) -> bool {
        // Relaxed: only the number counts, and whoever finds none left looks again after a fence (`EventCount`). Not added and taken
        // away again, which others would see as bytes that are there.
        let take = |taken: u64| (taken < self.end()).then(|| taken.saturating_add(bytes));
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Gives bytes back; whether there were none left before.
    pub(crate) fn release(&self, bytes: u64) -> bool {
        let before = self.taken.fetch_sub(bytes, Ordering::Relaxed);
        before >= self.end() && before - bytes < self.end()
    }
}

/// What a claim has to have beside slots.
pub(crate) trait Admission {
    /// Takes what the first of the records need, of so many at the most; for how many there was enough.
    fn try_reserve(&self, budget: Option<&ByteBudget>, records: u64) -> u64;
    /// Gives back what was taken for so many, none of which was claimed.
    fn release(&self, budget: Option<&ByteBudget>, records: u64);
}

/// Slots alone.
pub(crate) struct NoBudget;

impl Admission for NoBudget {
    #[inline(always)]
    fn try_reserve(&self, _: Option<&ByteBudget>, records: u64) -> u64 {
        records
    }

    #[inline(always)]
    fn release(&self, _: Option<&ByteBudget>, _: u64) {}
}

/// The bytes of these records, in a store that bounds them.
pub(crate) struct MeteredBytes<'a, T: Signal, F> {
    pub(crate) metas: &'a [RecordMeta<T>],
    /// Called when bytes were given back where none had been left.
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
    use crate::store::Builder;

    #[test]
    fn bytes_are_taken_while_any_are_left_and_given_back_once() {
        let budget = ByteBudget::new(8);
        assert!(budget.has_room() && !budget.is_short());
        assert!(budget.try_reserve(9));
        assert!(budget.has_room() && budget.is_short(), "one of ten is left");
        assert!(budget.try_reserve(5), "it may go beyond, once");
        assert!(!budget.has_room() && !budget.try_reserve(1));
        assert_eq!(budget.taken(), 14);
        assert!(!budget.release(4) && !budget.has_room(), "ten of ten are taken");
        assert!(budget.release(1) && budget.has_room(), "some are left again");
        assert!(!budget.release(1) && !budget.is_short());
        let least = ByteBudget::new(0);
        assert!(least.try_reserve(1) && !least.try_reserve(1), "at least one record is let in");
    }

    #[test]
    fn what_was_taken_for_a_claim_that_failed_is_given_back() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(8).shards(1).manual().max_bytes(1_024));
        let shard = &engine.shards[0];
        let budget = shard.byte_budget.as_ref().unwrap();
        let metas: Vec<_> = (0..40).map(|_| engine.meta(&mut LogRecord::default()).unwrap()).collect();
        let freed = std::cell::Cell::new(0);
        let admission = MeteredBytes { metas: &metas, freed: || freed.set(freed.get() + 1) };
        let bytes = metas[0].bytes();
        assert_eq!(
            (admission.try_reserve(shard.byte_budget.as_ref(), 3), budget.taken()),
            (3, 3 * bytes),
            "of those that are asked for"
        );
        admission.release(shard.byte_budget.as_ref(), 3);
        assert_eq!((budget.taken(), freed.get()), (0, 0));
        let all = admission.try_reserve(shard.byte_budget.as_ref(), 40);
        assert!(all < 40 && !budget.has_room());
        admission.release(shard.byte_budget.as_ref(), all);
        assert_eq!((budget.taken(), freed.get()), (0, 1));
        assert_eq!(NoBudget.try_reserve(None, 40), 40);
    }
}
