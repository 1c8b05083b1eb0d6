//! The audit: checks every index and slot of a store against its records.

use crate::engine::index::{Index, NO_KEY, SKIPPED};
use crate::engine::reentrancy;
use crate::engine::shard::{IndexerGuard, Shard};
use crate::engine::state::Engine;
use crate::query::{Reader, View};
use crate::signal::{Indexes as _, Signal, index_at, key_of};
use std::collections::{HashMap, HashSet};
use thiserror::Error;

/// What a successful audit has checked.
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

/// The first place where a store's content violates an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("shard {shard}: {what} (invariant {invariant})")]
#[non_exhaustive]
pub struct Breach {
    /// The invariant's number in the README's list.
    pub invariant: u8,
    /// The number of the shard.
    pub shard: usize,
    /// What is wrong there.
    pub what: String,
}

/// Why an audit failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The store is broken. Either slipring has a defect, or a record's keys changed while it was
    /// stored.
    #[error(transparent)]
    Breach(#[from] Breach),
    /// The audit was called inside a hook or a visit.
    #[error(
        "called inside a hook or a visit, which the audit would have to wait for; call it elsewhere"
    )]
    Reentrant,
}

/// What one directory should hold: for each entry that fingerprints may have, the newest sequence
/// with that entry.
type Expected = HashMap<(usize, u64), u64>;

/// Checks one shard after the other: first the records' keys, which are user code, and then the rest
/// under the shard's indexer lock.
pub(crate) fn audit<T: Signal>(engine: &Engine<T>) -> Result<Audit, AuditError> {
    if reentrancy::is_inside() {
        return Err(AuditError::Reentrant);
    }
    let mut audit = Audit::default();
    for number in 0..engine.shards.len() {
        check_keys(engine, number)?;
        loop {
            let inside = reentrancy::enter();
            let guard = engine.lock_indexer(number);
            let checked =
                Auditor { shard: guard.shard(), index: guard.index, guard: &guard, number }.check();
            // If the lock was taken over meanwhile, the check has looked at words that another
            // thread was changing, and counts for nothing.
            let is_current = guard.is_current();
            // The lock is released before this thread leaves the re-entrancy guard.
            drop((guard, inside));
            if is_current {
                audit = audit + checked?;
                break;
            }
        }
    }
    Ok(audit)
}

/// Checks that each record which is indexed now carries the keys that it was indexed by. Pins one
/// record at a time and holds no lock, because keys are user code.
fn check_keys<T: Signal>(engine: &Engine<T>, shard: usize) -> Result<(), Breach> {
    let mut reader = Reader::new(engine);
    let View { low, indexed, .. } = View::open(&engine.shards[shard]);
    for sequence in low..indexed {
        for index in 0..T::INDEXES.as_slice().len() {
            let head = engine.shards[shard].slots.head(sequence);
            let Some(print) = head.try_read(sequence, |head| head.print(index)) else { break };
            let print_of = |record: &T| {
                key_of(record, index).map_or(NO_KEY, |key| engine.fingerprints.of(key))
            };
            let key = engine.guarded(|| reader.read_one(shard, sequence, print_of)).flatten();
            if key.is_some_and(|key| key != print) {
                let name = index_at::<T>(index).name();
                let what = format!(
                    "index {name}: the key of record {sequence} is not the one it was indexed by"
                );
                return Err(Breach { invariant: 2, shard, what });
            }
        }
    }
    Ok(())
}

/// Checks one shard. Runs no user code.
struct Auditor<'a, T: Signal> {
    shard: &'a Shard<T>,
    index: &'a Index<T>,
    guard: &'a IndexerGuard<'a, T>,
    number: usize,
}

impl<T: Signal> Auditor<'_, T> {
    /// Checks everything. While this thread holds the indexer lock, only `claimed`, the low
    /// watermark, and what is published beyond `indexed` change.
    fn check(&self) -> Result<Audit, Breach> {
        let mut newest_counts = HashMap::new();
        self.check_cursors()?;
        self.check_slots()?;
        let mut entries = 0;
        for index in 0..T::INDEXES.as_slice().len() {
            entries += self.check_index(index, &mut newest_counts)?;
        }
        self.check_newest_counts(&newest_counts)?;
        // The cursors may be in any order if the lock was taken over. The result is discarded then.
        Ok(Audit { records: self.indexed().saturating_sub(self.guard.evicted()), entries })
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

    /// Checks the order of the cursors, and that no more records are visible than the capacity.
    fn check_cursors(&self) -> Result<(), Breach> {
        let shard = self.shard;
        let (reclaimed, evicted, indexed) =
            (self.guard.reclaimed(), self.guard.evicted(), self.indexed());
        let claimed = shard.claimed();
        let end = reclaimed + shard.slots.places();
        if !(reclaimed <= evicted && evicted <= indexed && indexed <= claimed && claimed <= end) {
            let what = format!(
                "cursors out of order: {reclaimed} ≤ {evicted} ≤ {indexed} ≤ {claimed} ≤ {end}"
            );
            return Err(self.breach(4, what));
        }
        let live = claimed - shard.low(claimed).min(claimed);
        if live > shard.capacity() {
            return Err(self.breach(
                4,
                format!("{live} records are visible, capacity is {}", shard.capacity()),
            ));
        }
        Ok(())
    }

    /// Checks that each indexed record is in its slot, and that blocks and byte counts agree with
    /// the records.
    fn check_slots(&self) -> Result<(), Breach> {
        let shard = self.shard;
        let evicted = self.guard.evicted();
        let mut heap = 0;
        for (sequence, head) in shard.slots.heads(evicted..self.indexed()) {
            if self.is_passed_over(sequence) {
                continue;
            }
            if !head.holds(sequence) {
                return Err(self.breach(
                    1,
                    format!("sequence {sequence} is indexed, but its slot holds another"),
                ));
            }
            heap += head.heap();
            if !self.index.blocks.times(sequence).contains(&head.time()) {
                return Err(self.breach(
                    2,
                    format!("the time of record {sequence} lies outside its block's range"),
                ));
            }
            if sequence.is_multiple_of(64) {
                self.index.heartbeat();
            }
        }
        let counted = self.index.heap.get();
        if (std::mem::needs_drop::<T>() || shard.byte_budget.is_some()) && heap != counted {
            return Err(self.breach(
                4,
                format!("{counted} heap bytes are counted, but the records have {heap}"),
            ));
        }
        if let Some(budget) = &shard.byte_budget {
            let (kept, taken) = (shard.kept_bytes(), budget.reserved());
            if kept > taken {
                return Err(self.breach(
                    4,
                    format!("records keep {kept} bytes, but only {taken} are reserved"),
                ));
            }
        }
        Ok(())
    }

    /// Checks the keys and the links of one index. Counts in `newest_counts` for how many keys each
    /// record is the newest.
    fn check_index(
        &self,
        index: usize,
        newest_counts: &mut HashMap<u64, u8>,
    ) -> Result<u64, Breach> {
        let shard = self.shard;
        let name = index_at::<T>(index).name();
        let evicted = self.guard.evicted();
        let mut expected = Expected::new();
        for (sequence, head) in shard.slots.heads(evicted..self.indexed()) {
            if self.is_passed_over(sequence) {
                continue;
            }
            if sequence.is_multiple_of(64) {
                self.index.heartbeat();
            }
            let print = head.print(index);
            if print == NO_KEY {
                continue;
            }
            let link = self.index.links()[shard.slots.place(sequence)].distance(index);
            let before = expected.insert(self.index.entry_of(index, print), sequence);
            let expected_link = before.map_or(0, |before| sequence - before);
            // The predecessor of the first record of a key has been evicted: the link leads out of
            // the window, or nowhere.
            let leads_outside = before.is_none() && link <= sequence && sequence - link < evicted;
            if link != expected_link && !leads_outside {
                let what = format!(
                    "index {name}: record {sequence} links back by {link}, not by {expected_link}"
                );
                return Err(self.breach(2, what));
            }
        }
        expected.values().for_each(|&newest| *newest_counts.entry(newest).or_default() += 1);
        self.check_directory(index, name, expected)
    }

    /// Checks the number of keys for which each record counts as the newest.
    fn check_newest_counts(&self, expected: &HashMap<u64, u8>) -> Result<(), Breach> {
        for sequence in self.guard.evicted()..self.indexed() {
            let counted = self.index.entry_counts[self.shard.slots.place(sequence)].get();
            let expected = expected.get(&sequence).copied().unwrap_or(0);
            if counted != expected && counted != SKIPPED {
                let what = format!(
                    "record {sequence} counts as the newest of {counted} keys, but is the newest of {expected}"
                );
                return Err(self.breach(1, what));
            }
        }
        Ok(())
    }

    /// Checks that each directory entry leads to the newest record of a key, and that no key lacks
    /// an entry.
    fn check_directory(&self, index: usize, name: &str, expected: Expected) -> Result<u64, Breach> {
        let mut expected: HashSet<usize> =
            expected.into_values().map(|newest| self.shard.slots.place(newest)).collect();
        let (mut entries, mut stale) = (0, None);
        self.index.for_each_place(index, |place| {
            entries += 1;
            if !expected.remove(&place) {
                stale = Some(place);
            }
        });
        if let Some(place) = stale {
            let what = format!(
                "index {name}: the entry for place {place} leads to no key's newest record"
            );
            return Err(self.breach(1, what));
        }
        if !expected.is_empty() {
            return Err(self.breach(
                2,
                format!("index {name}: {} keys of live records have no entry", expected.len()),
            ));
        }
        Ok(entries)
    }
}
