//! A directory: fingerprint → newest sequence, with one writer and readers that never wait.
//!
//! A table that has grown too full or too empty is replaced step by step: each insert moves a few cells, updates go to
//! wherever the key is, new keys to the new table. Readers follow the chain of tables from the one that was current when
//! they looked; keys move along that chain in one direction only, so none is missed (the scheme of Cliff Click's
//! hash table and of papaya). The old table is retired through crossbeam-epoch.

use super::fingerprint::NO_KEY;
use super::table::{Census, MIN_CELLS, MOVED_AT_ONCE, Table};
use crate::sync::epoch::{Atomic, Guard, Owned, Shared};
use crate::sync::fault::{Fault, planted};
use crate::sync::{AtomicU32, Ordering};
use std::sync::Arc;

/// Cells of a table that stays in the nearer caches by itself: 32 KiB.
const NEAR: usize = 2048;

#[derive(Debug)]
pub(crate) struct Directory {
    /// Never null.
    current: Atomic<Table>,
    census: Arc<Census>,
}

/// Whether the writer may allocate a new table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    Allowed,
    Forbidden,
}

impl Directory {
    pub(crate) fn new() -> Self {
        let census = Arc::default();
        let first = Table::new(MIN_CELLS, &census).expect("there is memory for some cells");
        Self { current: Atomic::new(first), census }
    }

    /// Bytes of all tables, retired ones included until they are freed.
    pub(crate) fn bytes(&self) -> usize {
        self.census.bytes.load(Ordering::Relaxed)
    }

    #[inline]
    fn current<'g>(&self, guard: &'g Guard) -> &'g Table {
        // Acquire pairs with the Release in `Writer::replace`, so that the table's cells are seen as the writer made them.
        let table = self.current.load(Ordering::Acquire, guard);
        // SAFETY: `current` is never null, and a table is retired only after it was unlinked from here and from the
        // chain's head, through the epoch that `guard` holds; so it outlives the guard (invariant 4's garbage rule).
        unsafe { table.deref() }
    }

    /// The newest record with this fingerprint. What was indexed before the caller's Acquire look at `indexed` is found,
    /// unless it has been evicted since. Wait-free but for the tables that are replaced meanwhile.
    #[inline]
    pub(crate) fn newest(&self, print: u64, guard: &Guard) -> Option<u64> {
        let mut table = Some(self.current(guard));
        while let Some(here) = table {
            if let Some(newest) = here.lines().newest(print) {
                return Some(newest);
            }
            table = if planted(Fault::OldTableOnly) { None } else { following(here, guard) };
        }
        None
    }

    /// Every entry: fingerprint and newest. With a writer at work, an entry that moves may show twice.
    pub(crate) fn for_each(&self, guard: &Guard, mut visit: impl FnMut(u64, u64)) {
        let mut table = Some(self.current(guard));
        while let Some(here) = table {
            here.entries().for_each(|(print, newest)| visit(print, newest));
            table = following(here, guard);
        }
    }

    /// Takes a key out if this record, which is being evicted, is its newest; whether it was. For the holder of the
    /// shard's token.
    pub(crate) fn remove(&self, print: u64, sequence: u64, guard: &Guard) -> bool {
        let mut table = Some(self.current(guard)).filter(|_| print != NO_KEY);
        while let Some(here) = table {
            if let Some(newest) = here.remove(print, sequence) {
                return newest == sequence;
            }
            table = following(here, guard);
        }
        false
    }

    /// The writer's access; only the holder of the shard's token may have one.
    pub(crate) fn writer<'a>(&'a self, guard: &'a Guard) -> Writer<'a> {
        let table = self.current(guard);
        Writer { directory: self, guard, table, next: following(table, guard) }
    }
}

#[inline]
fn following<'g>(table: &Table, guard: &'g Guard) -> Option<&'g Table> {
    // Acquire pairs with the Release in `Writer::start`.
    let next = table.next.load(Ordering::Acquire, guard);
    // SAFETY: `next` is null or a table that is, or was under this guard, reachable from `current`; see `current` (invariant 4).
    unsafe { next.as_ref() }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let mut table = std::mem::replace(&mut self.current, Atomic::null());
        loop {
            // SAFETY: nobody else has this directory any more, so its chain can be taken apart without a guard; each
            // table in it is owned by the pointer before it (invariant 4).
            let Some(owned) = (unsafe { table.try_into_owned() }) else { break };
            let mut owned = *owned.into_box();
            table = std::mem::replace(&mut owned.next, Atomic::null());
        }
    }
}

/// The one writer's access to a directory, for one batch.
pub(crate) struct Writer<'a> {
    directory: &'a Directory,
    guard: &'a Guard,
    table: &'a Table,
    next: Option<&'a Table>,
}

impl<'a> Writer<'a> {
    /// Makes sure that keys fit, as many as `wanted` at best, and says how many do: 0 if that takes a new table and none
    /// may be made now, or there is no memory for it. Moves some cells of a table that is being replaced for each: O(wanted), and at most one
    /// allocation.
    pub(crate) fn prepare(&mut self, wanted: u64, growth: Growth) -> u64 {
        if let Some(next) = self.next {
            self.advance(next, wanted as usize);
        }
        if self.next.is_none()
            && let Some(cells) = self.size_wanted()
            && growth == Growth::Allowed
            && self.garbage_is_gone()
        {
            self.start(cells);
        }
        // What is still to be moved needs its places too, and some cells stay empty: they end the probes.
        let (target, coming) = match self.next {
            Some(next) => (next, self.table.live()),
            None => (self.table, 0),
        };
        wanted.min((target.len() - 1 - target.len() / 8).saturating_sub(target.used() + coming) as u64)
    }

    /// The size of the table that should replace the current one, if one should.
    fn size_wanted(&self) -> Option<usize> {
        let (len, live) = (self.table.len(), self.table.live());
        // While the old table is moved, len / MOVED_AT_ONCE keys may come; afterwards at most half is to be in use.
        let room_for = |live: usize| (2 * (live + len / MOVED_AT_ONCE + 1)).next_power_of_two().max(MIN_CELLS);
        if self.table.used() * 2 >= len {
            Some(room_for(live))
        } else if len > MIN_CELLS && live * 8 < len {
            // By half at a time: a smaller table could be full before the old one is moved.
            Some((len / 2).max(MIN_CELLS))
        } else {
            None
        }
    }

    /// Whether no retired table is still waiting to be freed. One may be, never more (invariant 4): a reader that sleeps
    /// inside a lookup delays the next replacement, it does not let tables pile up.
    fn garbage_is_gone(&self) -> bool {
        if self.directory.census.tables.load(Ordering::Relaxed) == 1 {
            return true;
        }
        self.guard.flush();
        false
    }

    fn start(&mut self, cells: usize) {
        let Some(next) = Table::new(cells, &self.directory.census) else { return };
        let next = Owned::new(next).into_shared(self.guard);
        // Release pairs with the Acquire in `following`: the new table's cells are set up.
        self.table.next.store(next, Ordering::Release);
        self.next = following(self.table, self.guard);
    }

    fn advance(&mut self, next: &'a Table, inserts: usize) {
        let from = self.table.moved.get() as usize;
        let to = (from + inserts * MOVED_AT_ONCE).min(self.table.len());
        (from..to).for_each(|at| self.table.move_to(at, next));
        self.table.moved.set(to as u64);
        if to == self.table.len() {
            self.replace();
        }
    }

    fn replace(&mut self) {
        let next = self.table.next.load(Ordering::Relaxed, self.guard);
        // Release pairs with the Acquire in `Directory::current`. A reader that still has the old table finds the new
        // one behind it; a reader that comes later starts at the new one, which holds every key by now.
        let old = self.directory.current.swap(next, Ordering::AcqRel, self.guard);
        self.retire(old);
        self.table = self.next.take().expect("a table is replaced by another");
    }

    fn retire(&self, old: Shared<'_, Table>) {
        if planted(Fault::TableFreedAtOnce) {
            // SAFETY: none; this is the fault that model (e) has to find.
            drop(unsafe { old.into_owned() });
            return;
        }
        // SAFETY: the table is unlinked: `current` no longer leads to it, and no table ever points back. Who still has
        // it holds a guard, and this writer reads it no more after its own guard (invariant 4).
        unsafe { self.guard.defer_destroy(old) };
        // Not into this thread's bag, where it could strand if the thread never pins again.
        self.guard.flush();
    }

    /// Fetches the lines where the searches for these fingerprints begin, if they are not near anyway.
    #[inline]
    pub(crate) fn prefetch(&self, prints: impl Iterator<Item = u64>) {
        if self.table.len() > NEAR {
            let lines = self.table.lines();
            prints.for_each(|print| lines.prefetch(print));
        }
    }

    /// Enters records with these fingerprints, from this sequence on. Each one's link is told how far back the one before
    /// it with the same fingerprint lies (0: there is none) before a reader can come to it by way of this directory.
    /// `leads_no_more` is told of each record that is not its key's newest from now on: the one before, or one without a key
    /// (fingerprint 0), which enters nowhere. `prepare` must have promised all of them a place.
    #[inline]
    pub(crate) fn insert<'h>(
        &self,
        records: impl Iterator<Item = (u64, &'h AtomicU32)>,
        first: u64,
        leads_no_more: impl Fn(u64),
    ) {
        let (lines, next) = (self.table.lines(), self.next);
        for ((print, link), sequence) in records.zip(first..) {
            if print == NO_KEY {
                leads_no_more(sequence);
                continue;
            }
            match lines.find_own(print).or_else(|| next.and_then(|next| next.lines().find_own(print))) {
                Some(cell) => {
                    let before = cell.newest_own();
                    // Relaxed: readers get here through the word that `raise` stores with Release.
                    link.store((sequence - before) as u32, Ordering::Relaxed);
                    cell.raise(sequence);
                    leads_no_more(before);
                }
                None => {
                    link.store(0, Ordering::Relaxed);
                    next.unwrap_or(self.table).add(print, sequence);
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::epoch::pin;
    use std::collections::HashMap;

    /// Distinct keys come and go; the directory grows, shrinks, and answers throughout.
    #[test]
    fn tables_follow_the_number_of_keys_and_lose_none() {
        let directory = Directory::new();
        let small = directory.bytes();
        let link = AtomicU32::new(0);
        let mut model: HashMap<u64, u64> = HashMap::new();
        let (mut sequence, mut oldest) = (0u64, 0u64);
        let print = |sequence: u64| (sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 2).max(2);
        let mut largest = 0;
        for target in [3usize, 5_000, 40, 2_000, 1] {
            for _ in 0..40_000 {
                let guard = pin();
                let mut writer = directory.writer(&guard);
                assert_eq!(writer.prepare(1, Growth::Allowed), 1, "no reader delays a replacement here");
                writer.insert([(print(sequence), &link)].into_iter(), sequence, |_| ());
                model.insert(print(sequence), sequence);
                sequence += 1;
                while model.len() > target {
                    assert!(directory.remove(print(oldest), oldest, &guard));
                    model.remove(&print(oldest));
                    oldest += 1;
                }
                largest = largest.max(directory.bytes());
            }
            let guard = pin();
            for (&print, &newest) in &model {
                assert_eq!(directory.newest(print, &guard), Some(newest));
            }
            let mut seen = HashMap::new();
            directory.for_each(&guard, |print, newest| {
                seen.insert(print, newest);
            });
            assert_eq!(seen, model);
        }
        assert!(largest > 5_000 * 16, "{largest}");
        assert!(directory.bytes() < small * 4, "{} after {largest}", directory.bytes());
    }

    /// Sizes and places exactly, where the rest only sees that there are enough.
    #[test]
    fn a_table_is_replaced_when_it_is_half_used_or_nearly_empty_and_never_fills_up() {
        const MUCH: u64 = 1 << 40;
        let directory = Directory::new();
        let link = AtomicU32::new(0);
        let print = |key: u64| (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 2;
        let enter = |keys: std::ops::Range<u64>, guard: &Guard| {
            directory.writer(guard).insert(keys.clone().map(|key| (print(key), &link)), keys.start, |_| ());
        };
        let guard = pin();
        // An eighth of a table stays empty, and one cell.
        assert_eq!(directory.writer(&guard).prepare(MUCH, Growth::Allowed), 256 - 1 - 32);
        assert_eq!(directory.writer(&guard).prepare(7, Growth::Allowed), 7);
        assert!(directory.writer(&guard).next.is_none(), "the smallest table is not replaced for being empty");
        enter(0..127, &guard);
        assert_eq!(directory.writer(&guard).prepare(MUCH, Growth::Allowed), 223 - 127);
        assert!(directory.writer(&guard).next.is_none());
        enter(127..128, &guard);
        assert_eq!(directory.writer(&guard).prepare(MUCH, Growth::Forbidden), 223 - 128);
        assert!(directory.writer(&guard).next.is_none());
        // Half used: twice what lives and may come while it is moved, 2 × (128 + 256 / 8 + 1), as a power of two.
        assert_eq!(directory.writer(&guard).prepare(MUCH, Growth::Allowed), 512 - 1 - 64 - 128);
        assert_eq!(directory.writer(&guard).next.map(Table::len), Some(512));
        // Eight cells are moved for each key.
        let _ = directory.writer(&guard).prepare(3, Growth::Forbidden);
        let moved = || directory.writer(&guard).table.moved.get();
        assert_eq!(moved(), 24);
        let _ = directory.writer(&guard).prepare(5, Growth::Forbidden);
        assert_eq!(moved(), 64);
        let _ = directory.writer(&guard).prepare(24, Growth::Forbidden);
        assert_eq!((directory.writer(&guard).table.len(), directory.writer(&guard).next.is_none()), (512, true));
        // The old table is still there, because of this guard, and so no other one is begun.
        enter(128..300, &guard);
        assert_eq!(directory.writer(&guard).prepare(MUCH, Growth::Allowed), 512 - 1 - 64 - 300);
        assert!(directory.writer(&guard).next.is_none());
        drop(guard);
        while directory.census.tables.load(Ordering::Relaxed) > 1 {
            pin().flush();
        }
        // Less than an eighth of it used: half the size.
        let guard = pin();
        (64..300).for_each(|key| assert!(directory.remove(print(key), key, &guard)));
        let sparse = || directory.writer(&guard).size_wanted();
        let used = directory.writer(&guard).table.used();
        assert!(used < 256, "{used}");
        assert_eq!(sparse(), None, "64 of 512 are an eighth");
        assert!(directory.remove(print(63), 63, &guard));
        assert_eq!(sparse(), Some(256));
        drop(guard);
        let census = Arc::clone(&directory.census);
        drop(directory);
        assert_eq!(census.tables.load(Ordering::Relaxed), 0);
        assert_eq!(census.bytes.load(Ordering::Relaxed), 0);
    }
}
