//! The audit: every index and slot of a store, held against its records.

use crate::engine::Engine;
use crate::index::NO_KEY;
use crate::inside;
use crate::ring::Shard;
use crate::signal::Signal;
use crate::sync::{Ordering, epoch};
use std::collections::HashMap;
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
    /// The invariant's number in the README's list.
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

/// What one directory should hold for a fingerprint: the newest sequence with it.
type Expected = HashMap<u64, u64>;

pub(crate) fn audit<T: Signal>(engine: &Engine<T>) -> Result<Audit, AuditError> {
    if inside::is_inside() {
        return Err(AuditError::Reentrant);
    }
    let mut audit = Audit::default();
    for (number, shard) in engine.shards.iter().enumerate() {
        let inside = inside::enter();
        let token = shard.token.take();
        // With the token in hand, everything but `claimed`, `floor` and what is published beyond `indexed` stands still.
        let auditor = Auditor { engine, shard, number };
        let mut leads = HashMap::new();
        auditor.cursors()?;
        auditor.slots()?;
        for index in 0..shard.directories.len() {
            audit.entries += auditor.index(index, &mut leads)?;
        }
        auditor.leads(&leads)?;
        audit.records += shard.indexed() - shard.evicted();
        drop((token, inside));
    }
    Ok(audit)
}

struct Auditor<'a, T: Signal> {
    engine: &'a Engine<T>,
    shard: &'a Shard<T>,
    number: usize,
}

impl<T: Signal> Auditor<'_, T> {
    fn breach(&self, invariant: u8, what: String) -> Breach {
        Breach { invariant, shard: self.number, what }
    }

    fn cursors(&self) -> Result<(), Breach> {
        let shard = self.shard;
        let (reclaimed, evicted, indexed) = (shard.reclaimed(), shard.evicted(), shard.indexed());
        let claimed = shard.claimed();
        let end = reclaimed + shard.slots.count();
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
        let mut heap = 0;
        for (sequence, head) in shard.slots.heads(shard.reclaimed()..shard.indexed()) {
            if !head.holds(sequence) {
                return Err(self.breach(1, format!("sequence {sequence} is indexed, and its slot holds another")));
            }
            heap += head.heap();
            // A block that reaches into what is being written over may be of other records by now.
            let block = shard.blocks.times(sequence);
            if sequence >= shard.evicted() && !block.contains(&head.time()) {
                return Err(self.breach(2, format!("the block of record {sequence} does not reach to its time")));
            }
        }
        if let Some(share) = &shard.share {
            let bytes = |from: u64| shard.slots.bytes(from..shard.indexed());
            let (kept, taken) = (bytes(shard.evicted()), bytes(shard.reclaimed()));
            if kept != share.kept() || taken > share.taken() {
                let (said, held) = (share.kept(), share.taken());
                let what = format!("records keep {kept} bytes and hold {taken}, counted are {said} and {held}");
                return Err(self.breach(4, what));
            }
        }
        let counted = shard.heap.get();
        if std::mem::needs_drop::<T>() && heap != counted {
            return Err(self.breach(4, format!("{counted} heap bytes are counted, records have {heap}")));
        }
        Ok(())
    }

    fn index(&self, index: usize, leads: &mut HashMap<u64, u8>) -> Result<u64, Breach> {
        let shard = self.shard;
        let names = T::INDEXES;
        let name = names.as_ref()[index];
        let evicted = shard.evicted();
        let mut expected = Expected::new();
        for (sequence, head) in shard.slots.heads(evicted..shard.indexed()) {
            let print = head.print(index);
            // SAFETY: indexed, so published; this thread holds the token, so `reclaimed` stays where it is (invariant 1).
            let key = self.engine.guarded(|| unsafe {
                shard
                    .slots
                    .read(sequence, |record| record.key(index).map_or(NO_KEY, |key| self.engine.fingerprints.of(key)))
            });
            if key.is_some_and(|key| key != print) {
                let what = format!("index {name}: the key of record {sequence} is not the one it was indexed by");
                return Err(self.breach(2, what));
            }
            if print == NO_KEY {
                continue;
            }
            let link = u64::from(head.link(index).load(Ordering::Relaxed));
            let before = expected.insert(print, sequence);
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
        let shard = self.shard;
        for sequence in shard.evicted()..shard.indexed() {
            let (said, right) =
                (shard.leads[shard.slots.slot(sequence)].get(), right.get(&sequence).copied().unwrap_or(0));
            if said != right {
                let what = format!("record {sequence} counts as the newest of {said} keys, it is that of {right}");
                return Err(self.breach(1, what));
            }
        }
        Ok(())
    }

    fn directory(&self, index: usize, name: &str, mut expected: Expected) -> Result<u64, Breach> {
        let guard = epoch::pin();
        let mut entries = 0;
        let mut breach = None;
        self.shard.directories[index].for_each(&guard, |print, found| {
            entries += 1;
            match expected.remove(&print) {
                Some(right) if right == found => {}
                Some(right) => {
                    let what = format!("index {name}: an entry says that {found} is the newest, records say {right}");
                    breach.get_or_insert((2, what));
                }
                None => {
                    let what = format!("index {name}: an entry for {found} leads to no live record");
                    breach.get_or_insert((1, what));
                }
            }
        });
        if breach.is_none() && !expected.is_empty() {
            breach = Some((2, format!("index {name}: {} keys of live records have no entry", expected.len())));
        }
        match breach {
            Some((invariant, what)) => Err(self.breach(invariant, what)),
            None => Ok(entries),
        }
    }
}
