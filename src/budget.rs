//! A bound on the bytes of records, for stores that have one.
//!
//! Each shard may keep its share of the bytes; the token holder evicts the oldest for as long as the indexed ones take more. So what
//! is kept is known when it is indexed, not when it is claimed. What has been claimed and not reclaimed yet, indexed or
//! not, has a bound of its own, a quarter more: its bytes are taken before the claim and given back when a record is reclaimed,
//! and a push that finds none left finds the store full.

use crate::config::OnFull;
use crate::engine::Engine;
use crate::error::Rejection;
use crate::ring::{Claim, NoClaim, Sketch};
use crate::signal::Signal;
use crate::sync::{AtomicU64, CachePadded, Ordering};

#[derive(Debug)]
pub(crate) struct Budget {
    /// From here on pushes find the store full; one of them may have gone beyond it.
    most: u64,
    /// From here on the indexer is to hurry.
    hurry: u64,
    /// Bytes of records that have been, or are being, claimed, and are not reclaimed.
    taken: CachePadded<AtomicU64>,
}

impl Budget {
    /// For a store that keeps so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let most = bytes.saturating_add((bytes / 4).max(1));
        Self { most, hurry: bytes.saturating_add(bytes / 8), taken: CachePadded::new(AtomicU64::new(0)) }
    }

    /// Takes these bytes if any are left at all: then it may go beyond the bound, once, so that a large record is not kept out by
    /// what others leave.
    fn take(&self, bytes: u64) -> bool {
        // Relaxed: only the number counts, and whoever finds none left looks again after a fence (`Event`). Not added and taken
        // away again, which others would see as bytes that are there.
        let take = |taken: u64| (taken < self.most).then(|| taken.saturating_add(bytes));
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn has_room(&self) -> bool {
        self.taken.load(Ordering::Relaxed) < self.most
    }

    fn is_short(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.hurry
    }
}

impl<T: Signal> Engine<T> {
    /// Claims for the first of these records, and for those behind it as far as there are bytes for them.
    #[cold]
    pub(crate) fn claim_within(
        &self,
        budget: &Budget,
        sketches: &[Sketch<T>],
        on_full: OnFull,
    ) -> Result<Claim, Rejection> {
        let (first, class) = (sketches[0].bytes(), sketches[0].class);
        // It waits for the first one's bytes only, with none in hand that somebody else may wait for.
        let take = || self.take_bytes(budget, first);
        take().or_else(|refused| self.wait_for_room(refused, on_full, || self.may_have_room(class), take))?;
        if budget.is_short() {
            self.hurry();
        }
        let with_bytes = 1 + sketches[1..].iter().take_while(|sketch| budget.take(sketch.bytes())).count();
        let claim = self.claim_slots(class, with_bytes, on_full);
        let claimed = claim.as_ref().map_or(0, |claim| claim.count as usize);
        let rest: u64 = sketches[claimed..with_bytes].iter().map(Sketch::bytes).sum();
        if rest > 0 {
            budget.give_back(rest);
            self.room.notify();
        }
        claim
    }

    /// Takes bytes, and makes room for them if need be.
    fn take_bytes(&self, budget: &Budget, bytes: u64) -> Result<(), NoClaim> {
        loop {
            if self.is_stopping() {
                return Err(NoClaim::Closed);
            }
            if budget.take(bytes) {
                return Ok(());
            }
            if !(0..self.shards.len()).fold(false, |any, shard| self.assist(shard) | any) {
                return Err(NoClaim::Full);
            }
        }
    }
}
