//! Decisions that late spans follow.

use crate::threshold::Threshold;
use foldhash::quality::RandomState;
use hashbrown::HashTable;
use slipring::TraceId;
use std::hash::BuildHasher;

/// The last decisions of one kind, exactly: a ring of trace ids, and an index of it. It confuses no
/// trace with another. It forgets a trace after as many newer decisions as it has room for.
#[derive(Debug)]
pub(super) struct Decisions {
    most: usize,
    ring: Vec<Decision>,
    /// The oldest decision, once the ring is full.
    oldest: usize,
    index: HashTable<u32>,
    state: RandomState,
}

/// Two bytes of alignment, so that an entry takes 26 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision {
    id: TraceId,
    threshold: [u8; 8],
    /// The number of the policy that decided, plus one; 0 if none matched.
    by: u16,
}

/// The threshold of a kept trace whose probability is unknown.
const UNKNOWN: u64 = u64::MAX;

impl Decision {
    pub(super) fn new(id: TraceId, by: Option<u16>, threshold: Option<Threshold>) -> Self {
        let threshold = threshold.map_or(UNKNOWN, Threshold::number).to_le_bytes();
        Self { id, threshold, by: by.map_or(0, |by| by + 1) }
    }

    pub(super) fn by(&self) -> Option<u16> {
        self.by.checked_sub(1)
    }

    pub(super) fn threshold(&self) -> Option<Threshold> {
        let number = u64::from_le_bytes(self.threshold);
        (number != UNKNOWN).then(|| Threshold::of_number(number))
    }
}

impl Decisions {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            ring: Vec::new(),
            oldest: 0,
            index: HashTable::new(),
            state: RandomState::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(super) fn get(&self, id: TraceId) -> Option<&Decision> {
        let hash = self.state.hash_one(id);
        let at = self.index.find(hash, |&at| self.ring[at as usize].id == id)?;
        self.ring.get(*at as usize)
    }

    /// Remembers a decision about a trace that is not remembered. Forgets the oldest if there is no
    /// room.
    pub(super) fn remember(&mut self, decision: Decision) {
        if self.most == 0 {
            return;
        }
        let at = if self.ring.len() < self.most {
            // In steps, so that no growth takes half as much again as there is.
            if self.ring.len() == self.ring.capacity() {
                let step = (self.ring.len() / 8).max(64).min(self.most - self.ring.len());
                self.ring.reserve_exact(step);
            }
            self.ring.push(decision);
            self.ring.len() - 1
        } else {
            let at = self.oldest;
            let old = std::mem::replace(&mut self.ring[at], decision).id;
            let hash = self.state.hash_one(old);
            if let Ok(entry) = self.index.find_entry(hash, |&place| place as usize == at) {
                entry.remove();
            }
            self.oldest = (at + 1) % self.most;
            at
        };
        let (ring, state) = (&self.ring, &self.state);
        let rehash = |&at: &u32| state.hash_one(ring[at as usize].id);
        self.index.insert_unique(state.hash_one(decision.id), at as u32, rehash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_decisions_are_known_and_no_others() {
        let mut decisions = Decisions::new(100);
        for number in 1..=1_000u128 {
            decisions.remember(Decision::new(TraceId::from(number), Some(7), "c".parse().ok()));
            let from = number.saturating_sub(99).max(1);
            assert!((from..=number).all(|id| decisions.get(id.into()).is_some()));
            assert!(decisions.get((number + 1).into()).is_none());
            assert!(number <= 100 || decisions.get((number - 100).into()).is_none());
        }
        let decision = decisions.get(1_000.into()).unwrap();
        assert_eq!((decision.by(), decision.threshold()), (Some(7), "c".parse().ok()));
        assert!(size_of::<Decision>() <= 26);
    }
}
