//! One directory table: open addressing over atomic cells that never move.
//!
//! Linear probing with tombstones that are cleaned up at the end of a cluster (Knuth, TAOCP 3, 6.4, algorithm R's
//! lazy cousin): a removed cell whose neighbour is empty becomes empty, and so do the tombstones before it. No live
//! key's probe passes over such a cell, so a reader that is probing meanwhile misses nothing.

use super::fingerprint::RESERVED;
use crate::sync::epoch::Atomic;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::{AtomicU64, Count, Ordering, own};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

const EMPTY: u64 = 0;
const TOMB: u64 = 1;
const _: () = assert!(RESERVED > EMPTY && RESERVED > TOMB);

/// Cells in the smallest table, and cells that one insert moves from a table that is being replaced.
pub(super) const MIN_CELLS: usize = if cfg!(loom) { 4 } else { 32 };
pub(super) const MOVED_AT_ONCE: usize = if cfg!(loom) { 2 } else { 8 };

/// A key's newest sequence and its number of records, in one word: bits 63..32 the sequence's low half, 31..0 the count.
///
/// The low half is enough: a shard has less than 2³¹ slots, so the sequence is the one with that low half that lies
/// nearest to any other sequence in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest(u64);

impl Newest {
    fn new(sequence: u64, count: u32) -> Self {
        Self((sequence << 32) | u64::from(count))
    }

    /// The sequence, given one that was in the ring at the same time.
    pub(crate) fn sequence(self, near: u64) -> u64 {
        let distance = ((self.0 >> 32) as u32).wrapping_sub(near as u32) as i32;
        near.wrapping_add_signed(i64::from(distance))
    }

    pub(crate) fn count(self) -> u32 {
        self.0 as u32
    }
}

#[derive(Debug)]
struct Cell {
    /// EMPTY, TOMB, or the key's fingerprint.
    print: AtomicU64,
    newest: AtomicU64,
}

/// Written by the holder of the shard's token only; read by anyone.
#[derive(Debug)]
pub(super) struct Table {
    cells: Box<[Cell]>,
    /// Cells with a key, and cells that are not empty: the writer's own notes.
    live: Count,
    used: Count,
    /// Cells below this have been moved to `next`.
    pub(super) moved: Count,
    /// The table that replaces this one; null while none does.
    pub(super) next: Atomic<Table>,
    census: Arc<Census>,
}

/// Counts a directory's tables, retired ones included until they are freed.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) tables: AtomicUsize,
    pub(super) bytes: AtomicUsize,
}

impl Table {
    pub(super) fn new(cells: usize, census: &Arc<Census>) -> Self {
        debug_assert!(cells.is_power_of_two());
        let table = Self {
            cells: empty_cells(cells),
            live: Count::default(),
            used: Count::default(),
            moved: Count::default(),
            next: Atomic::null(),
            census: Arc::clone(census),
        };
        census.tables.fetch_add(1, Ordering::Relaxed);
        census.bytes.fetch_add(table.bytes(), Ordering::Relaxed);
        table
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.cells)
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn live(&self) -> usize {
        self.live.get() as usize
    }

    pub(super) fn used(&self) -> usize {
        self.used.get() as usize
    }

    /// The cell after `step` cells from the fingerprint's home.
    #[inline]
    fn probe(&self, print: u64, step: usize) -> usize {
        (print as usize).wrapping_add(step) & (self.cells.len() - 1)
    }

    /// The cell that holds the fingerprint. Wait-free: at most one turn around the table.
    #[inline]
    pub(super) fn find(&self, print: u64) -> Option<usize> {
        // Acquire pairs with the Release in `fill`: who sees the fingerprint sees the word that came with it.
        self.find_by(print, |cell| cell.load(Ordering::Acquire))
    }

    /// Writer: the same, by its own look.
    #[inline]
    pub(super) fn find_own(&self, print: u64) -> Option<usize> {
        self.find_by(print, own)
    }

    #[inline]
    fn find_by(&self, print: u64, look: impl Fn(&AtomicU64) -> u64) -> Option<usize> {
        for step in 0..self.cells.len() {
            let at = self.probe(print, step);
            match look(&self.cells[at].print) {
                found if found == print => return Some(at),
                EMPTY => return None,
                _ => {}
            }
        }
        None
    }

    #[inline]
    pub(super) fn newest(&self, at: usize) -> Newest {
        // Acquire pairs with the Release in `raise`: who sees a sequence here sees that slot's link.
        Newest(self.cells[at].newest.load(Ordering::Acquire))
    }

    /// Writer: the same, by its own look.
    #[inline]
    pub(super) fn newest_own(&self, at: usize) -> Newest {
        Newest(own(&self.cells[at].newest))
    }

    /// What the cell holds now, if anything.
    pub(super) fn entry(&self, at: usize) -> Option<(u64, Newest)> {
        let print = self.cells[at].print.load(Ordering::Acquire);
        (print >= RESERVED).then(|| (print, self.newest(at)))
    }

    /// Writer: a record with this cell's key came.
    #[inline]
    pub(super) fn raise(&self, at: usize, sequence: u64) {
        let count = self.newest_own(at).count() + 1;
        // Release pairs with the Acquire in `newest`: the slot's link was written before.
        self.cells[at].newest.store(Newest::new(sequence, count).0, weaken(Ordering::Release, Fault::RaisedRelaxed));
    }

    /// Writer: the first record with this fingerprint came. The fingerprint must not be in the table.
    pub(super) fn add(&self, print: u64, sequence: u64) {
        self.fill(print, Newest::new(sequence, 1));
    }

    fn fill(&self, print: u64, newest: Newest) {
        for step in 0..self.cells.len() {
            let at = self.probe(print, step);
            let cell = &self.cells[at];
            let before = own(&cell.print);
            if before >= RESERVED {
                continue;
            }
            if before == EMPTY {
                self.used.set(self.used.get() + 1);
            }
            self.live.set(self.live.get() + 1);
            // Release: a reader may hold this cell for its former key; the link of the new one was written before.
            cell.newest.store(newest.0, Ordering::Release);
            // Pairs with the Acquire in `find`.
            cell.print.store(print, Ordering::Release);
            return;
        }
        unreachable!("the directory keeps an empty cell in every table");
    }

    /// Writer: a record of this cell's key was evicted; the last one takes the key with it. Whether it did.
    #[inline]
    pub(super) fn lower(&self, at: usize) -> bool {
        let newest = self.newest_own(at);
        if newest.count() > 1 {
            self.cells[at].newest.store(newest.0 - 1, Ordering::Release);
            return false;
        }
        if !planted(Fault::EntryNotRemoved) {
            self.remove(at);
        }
        true
    }

    fn remove(&self, at: usize) {
        self.live.set(self.live.get() - 1);
        let mask = self.cells.len() - 1;
        if own(&self.cells[(at + 1) & mask].print) != EMPTY {
            self.cells[at].print.store(TOMB, Ordering::Release);
            return;
        }
        let (mut at, mut emptied) = (at, 0);
        // The table has an empty cell, so this ends.
        loop {
            self.cells[at].print.store(EMPTY, Ordering::Release);
            emptied += 1;
            at = at.wrapping_sub(1) & mask;
            if own(&self.cells[at].print) != TOMB {
                break;
            }
        }
        self.used.set(self.used.get() - emptied);
    }

    /// Writer: moves what the cell holds to the table that replaces this one.
    pub(super) fn move_to(&self, at: usize, next: &Self) {
        let print = own(&self.cells[at].print);
        if print < RESERVED {
            return;
        }
        let newest = self.newest_own(at);
        if planted(Fault::MovedTooEarly) {
            self.cells[at].print.store(TOMB, Ordering::Release);
            next.fill(print, newest);
            return;
        }
        // First in, then out. A reader looks here first: if it still finds the entry, its word was current when the
        // reader began; if it finds the tombstone, the Release below has made the copy visible.
        next.fill(print, newest);
        self.cells[at].print.store(TOMB, Ordering::Release);
        self.live.set(self.live.get() - 1);
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.census.tables.fetch_sub(1, Ordering::Relaxed);
        self.census.bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

#[cfg(not(loom))]
fn empty_cells(cells: usize) -> Box<[Cell]> {
    use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};

    let layout = Layout::array::<Cell>(cells).expect("a table is smaller than the address space");
    assert!(layout.size() > 0);
    // SAFETY: the layout is not of size zero. A `Cell` is two `AtomicU64`, for which zero bytes are a valid value
    // (EMPTY), and the slice takes over the allocation with the layout it was made with. Zeroed pages come from the
    // system untouched, so a table of millions of cells is no pause.
    unsafe {
        let start = alloc_zeroed(layout).cast::<Cell>();
        if start.is_null() {
            handle_alloc_error(layout);
        }
        Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, cells))
    }
}

#[cfg(loom)]
fn empty_cells(cells: usize) -> Box<[Cell]> {
    (0..cells).map(|_| Cell { print: AtomicU64::new(EMPTY), newest: AtomicU64::new(0) }).collect()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_word_gives_its_sequence_back_across_the_wrap_of_its_low_half() {
        for near in [0u64, 5, u64::from(u32::MAX) - 1, 1 << 40] {
            for distance in [0u64, 1, 3, (1 << 31) - 1] {
                assert_eq!(Newest::new(near + distance, 9).sequence(near), near + distance);
                assert_eq!(Newest::new(near, 9).sequence(near + distance), near);
            }
        }
        assert_eq!(Newest::new(1 << 40, 9).count(), 9);
    }

    #[test]
    fn churn_leaves_few_tombstones_and_finds_every_key() {
        let table = Table::new(64, &Arc::default());
        let mut model: HashMap<u64, u64> = HashMap::new();
        let mut order = std::collections::VecDeque::new();
        for sequence in 0..10_000u64 {
            let print = (sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20).max(RESERVED);
            table.add(print, sequence);
            model.insert(print, sequence);
            order.push_back(print);
            if order.len() > 24 {
                let gone = order.pop_front().unwrap();
                model.remove(&gone);
                table.lower(table.find(gone).unwrap());
                assert_eq!(table.find(gone), None);
            }
            for (&print, &newest) in &model {
                assert_eq!(table.newest(table.find(print).unwrap()).sequence(sequence), newest);
            }
            assert_eq!(table.live(), model.len());
            assert!(table.used() < 64, "an empty cell ends every probe");
        }
    }
}
