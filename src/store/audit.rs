//! The audit: every index and slot of a store, held against its records.

use crate::engine::index::{Index, NO_KEY, SKIPPED};
use crate::engine::reentrancy;
use crate::engine::shard::{IndexerGuard, Shard};
use crate::engine::state::Engine;
use crate::query::Reader;
use crate::signal::Signal;
use std::collections::{HashMap, HashSet};
use thiserror::Error;

/// What an audit without a breach has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Audit {
    /// Records whose slots, keys and links were checked.
    pub records: u64,
    /// Directory entries that were checked.
    pub entries: u64,
}

impl std::ops::Add for Audit {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { records: self.records + other.records, entries: self.entries + other.entries }
    }
}

/// The first place where a store's content contradicts an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("shard {shard}: {what} (invariant {invariant})")]
#[non_exhaustive]
pub struct Breach {
    /// The invariant's number in `docs/DESIGN.md`.
    pub invariant: u8,
    /// The shard.
    pub shard: usize,
    /// What is wrong there.
    pub what: String,
}

/// Why an audit did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The store is broken: a defect of slipring's, or a record whose keys change while it is stored.
    #[error(transparent)]
    Breach(#[from] Breach),
    /// Called inside a hook or a visit.
    #[error("called from inside a hook or a visit, which the audit would have to wait for; call it elsewhere")]
    Reentrant,
}

/// What one directory should hold for each entry that fingerprints may have: the newest sequence with it.
type Expected = HashMap<(usize, u64), u64>;

pub(crate) fn audit<T: Signal>(engine: &Engine<T>) -> Result<Audit, AuditError> {
    if reentrancy::is_inside() {
        return Err(AuditError::Reentrant);
    }
    let mut audit = Audit::default();
    for number in 0..engine.shards.len() {
        loop {
            let inside = reentrancy::enter();
            let owner = engine.lock_indexer(number);
            let checked = Auditor { engine, shard: owner.shard(), index: owner.index, owner: &owner, number }.check();
            // Whoever was relieved has looked at what others were changing.
            let is_current = owner.is_current();
            // The token goes back before this thread leaves.
            drop((owner, inside));
            if is_current {
                audit = audit + checked?;
                break;
            }
        }
    }
    Ok(audit)
}

struct Auditor<'a, T: Signal> {
    engine: &'a Engine<T>,
    shard: &'a Shard<T>,
    index: &'a Index<T>,
    owner: &'a IndexerGuard<'a, T>,
    number: usize,
}

impl<T: Signal> Auditor<'_, T> {
    /// With the token in hand, everything but `claimed`, the floor and what is published beyond `indexed` stands still.
    fn check(&self) -> Result<Audit, Breach> {
        let mut leads = HashMap::new();
        self.cursors()?;
        self.slots()?;
        let mut entries = 0;
        for index in 0..T::INDEXES.as_ref().len() {
            entries += self.index(index, &mut leads)?;
        }
        self.leads(&leads)?;
        // Whoever was relieved counts for nothing.
        Ok(Audit { records: self.indexed().saturating_sub(self.owner.evicted()), entries })
    }

    fn indexed(&self) -> u64 {
        self.index.indexed_as_writer()
    }

    fn is_passed_over(&self, sequence: u64) -> bool {
        self.index.entry_counts[self.shard.slots.place(sequence)].get() == SKIPPED
    }

    fn breach(&self, invariant: u8, what: String) -> Breach {
        Breach { invariant, shard: self.number, what }
    }

    fn cursors(&self) -> Result<(), Breach> {
        let shard = self.shard;
        let (reclaimed, evicted, indexed) = (self.owner.reclaimed(), self.owner.evicted(), self.indexed());
        let claimed = shard.claimed();
        let end = reclaimed + shard.slots.places();
        if !(reclaimed <= evicted && evicted <= indexed && indexed <= claimed && claimed <= end) {
            let what = format!("cursors out of order: {reclaimed} ≤ {evicted} ≤ {indexed} ≤ {claimed} ≤ {end}");
            return Err(self.breach(4, what));
        }
        let live = claimed - shard.low(claimed).min(claimed);
        if live > shard.capacity() {
            return Err(self.breach(4, format!("{live} records are visible, capacity is {}", shard.capacity())));
        }
        Ok(())
    }

    fn slots(&self) -> Result<(), Breach> {
        let shard = self.shard;
        let evicted = self.owner.evicted();
        let mut heap = 0;
        for (sequence, head) in shard.slots.heads(evicted..self.indexed()) {
            if self.is_passed_over(sequence) {
                continue;
            }
            if !head.holds(sequence) {
                return Err(self.breach(1, format!("sequence {sequence} is indexed, and its slot holds another")));
            }
            heap += head.heap();
            if !self.index.blocks.times(sequence).contains(&head.time()) {
                return Err(self.breach(2, format!("the block of record {sequence} does not reach to its time")));
            }
            if sequence.is_multiple_of(64) {
                self.index.heartbeat();
            }
        }
        let counted = self.index.heap.get();
        if (std::mem::needs_drop::<T>() || shard.byte_budget.is_some()) && heap != counted {
            return Err(self.breach(4, format!("{counted} heap bytes are counted, records have {heap}")));
        }
        if let Some(budget) = &shard.byte_budget {
            let (kept, taken) = (shard.kept_bytes(), budget.reserved());
            if kept > taken {
                return Err(self.breach(4, format!("records keep {kept} bytes, {taken} are counted as taken")));
            }
        }
        Ok(())
    }

    fn index(&self, index: usize, leads: &mut HashMap<u64, u8>) -> Result<u64, Breach> {
        let shard = self.shard;
        let names = T::INDEXES;
        let name = names.as_ref()[index];
        let evicted = self.owner.evicted();
        let reader = Reader::new(self.engine);
        let mut expected = Expected::new();
        for (sequence, head) in shard.slots.heads(evicted..self.indexed()) {
            if self.is_passed_over(sequence) {
                continue;
            }
            if sequence.is_multiple_of(64) {
                self.index.heartbeat();
            }
            let print = head.print(index);
            let print_of = |record: &T| record.key(index).map_or(NO_KEY, |key| self.engine.fingerprints.of(key));
            let key = self.engine.guarded(|| reader.read_one(self.number, sequence, print_of)).flatten();
            if key.is_some_and(|key| key != print) {
                let what = format!("index {name}: the key of record {sequence} is not the one it was indexed by");
                return Err(self.breach(2, what));
            }
            if print == NO_KEY {
                continue;
            }
            let link = self.index.link(shard.slots.place(sequence), index);
            let before = expected.insert(self.index.entry_of(index, print), sequence);
            let wanted = before.map_or(0, |before| sequence - before);
            // The first one's predecessor has been evicted: its link leads out of the window, or nowhere.
            let leads_out = before.is_none() && link <= sequence && sequence - link < evicted;
            if link != wanted && !leads_out {
                let what = format!("index {name}: record {sequence} links back by {link}, not by {wanted}");
                return Err(self.breach(2, what));
            }
        }
        expected.values().for_each(|&newest| *leads.entry(newest).or_default() += 1);
        self.directory(index, name, expected)
    }

    /// Checks of how many keys each record says that it is the newest.
    fn leads(&self, right: &HashMap<u64, u8>) -> Result<(), Breach> {
        for sequence in self.owner.evicted()..self.indexed() {
            let said = self.index.entry_counts[self.shard.slots.place(sequence)].get();
            let right = right.get(&sequence).copied().unwrap_or(0);
            if said != right && said != SKIPPED {
                let what = format!("record {sequence} counts as the newest of {said} keys, it is that of {right}");
                return Err(self.breach(1, what));
            }
        }
        Ok(())
    }

    fn directory(&self, index: usize, name: &str, expected: Expected) -> Result<u64, Breach> {
        let mut expected: HashSet<usize> =
            expected.into_values().map(|newest| self.shard.slots.place(newest)).collect();
        let mut entries = 0;
        for place in self.index.places(index) {
            entries += 1;
            if !expected.remove(&place) {
                let what = format!("index {name}: the entry for place {place} leads to no key's newest record");
                return Err(self.breach(1, what));
            }
        }
        if !expected.is_empty() {
            return Err(self.breach(2, format!("index {name}: {} keys of live records have no entry", expected.len())));
        }
        Ok(entries)
    }
}
