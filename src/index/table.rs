//! One directory table: open addressing over atomic cells that never move.
//!
//! A fingerprint lives in its home line or, where that was full, in one of the lines after it; a search looks at whole
//! lines and ends at the first that has an empty cell. So a removed cell becomes empty if its line has another empty one:
//! searches ended there before. In a full line it becomes a tombstone, unless all keys of the next line are at home and
//! that one ends searches: then nothing has flowed over from here, and the line's tombstones become empty too. A reader
//! that is searching meanwhile misses nothing in either case.

use super::fingerprint::RESERVED;
use crate::sync::epoch::Atomic;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::{AtomicU64, Count, Ordering, own, prefetch_to_write};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

const EMPTY: u64 = 0;
const TOMB: u64 = 1;
const _: () = assert!(RESERVED > EMPTY && RESERVED > TOMB);

/// Cells in the smallest table: so many that it always takes a chunk of records whose keys are all new. And cells that one
/// insert moves from a table that is being replaced.
pub(super) const MIN_CELLS: usize = if cfg!(loom) { 4 } else { 256 };
pub(super) const MOVED_AT_ONCE: usize = if cfg!(loom) { 2 } else { 8 };

/// Cells in a cache line.
const LINE: usize = if cfg!(loom) { 1 } else { 4 };

/// A key: where its newest record is.
#[derive(Debug)]
pub(super) struct Cell {
    /// EMPTY, TOMB, or the key's fingerprint.
    print: AtomicU64,
    /// The newest sequence with that fingerprint.
    newest: AtomicU64,
}

/// The cells of a cache line.
#[derive(Debug)]
#[repr(C, align(64))]
struct Line([Cell; LINE]);

/// A table's lines, to search in.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a>(&'a [Line]);

impl Line {
    #[inline(always)]
    fn prints(&self, look: impl Fn(&AtomicU64) -> u64) -> [u64; LINE] {
        std::array::from_fn(|at| look(&self.0[at].print))
    }
}

/// The first for which this holds. Nobody can foretell which one that is, so there is no branch for each.
#[inline(always)]
fn first(prints: [u64; LINE], holds: impl Fn(u64) -> bool) -> Option<usize> {
    let mut hits = 0;
    for (at, &print) in prints.iter().enumerate() {
        hits |= u32::from(holds(print)) << at;
    }
    (hits != 0).then(|| hits.trailing_zeros() as usize % LINE)
}

impl Cell {
    /// Writer: the newest sequence with this cell's fingerprint, by its own look.
    #[inline]
    pub(super) fn newest_own(&self) -> u64 {
        own(&self.newest)
    }

    /// Writer: a newer record with this cell's fingerprint came.
    #[inline]
    pub(super) fn raise(&self, sequence: u64) {
        // Release pairs with the Acquire in `Table::newest`: the slot's link was written before.
        self.newest.store(sequence, weaken(Ordering::Release, Fault::RaisedRelaxed));
    }
}

/// Written by the holder of the shard's token only; read by anyone.
#[derive(Debug)]
pub(super) struct Table {
    lines: Box<[Line]>,
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
    /// `None` if there is no memory for it.
    pub(super) fn new(cells: usize, census: &Arc<Census>) -> Option<Self> {
        debug_assert!(cells.is_power_of_two());
        let table = Self {
            lines: empty_lines(cells / LINE)?,
            live: Count::default(),
            used: Count::default(),
            moved: Count::default(),
            next: Atomic::null(),
            census: Arc::clone(census),
        };
        census.tables.fetch_add(1, Ordering::Relaxed);
        census.bytes.fetch_add(table.bytes(), Ordering::Relaxed);
        Some(table)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.lines)
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len() * LINE
    }

    pub(super) fn live(&self) -> usize {
        self.live.get() as usize
    }

    pub(super) fn used(&self) -> usize {
        self.used.get() as usize
    }

    #[inline]
    fn cell(&self, at: usize) -> &Cell {
        &self.lines[at / LINE].0[at % LINE]
    }

    /// The table's lines, for searches one after the other: whoever holds them need not look them up each time.
    #[inline]
    pub(super) fn lines(&self) -> Lines<'_> {
        Lines(&self.lines)
    }

    /// What the cells hold now: fingerprint and newest sequence.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, u64)> {
        self.lines.iter().flat_map(|line| &line.0).filter_map(|cell| {
            let print = cell.print.load(Ordering::Acquire);
            (print >= RESERVED).then(|| (print, cell.newest.load(Ordering::Acquire)))
        })
    }

    /// Writer: the first record with this fingerprint came. The fingerprint must not be in the table.
    #[inline]
    pub(super) fn add(&self, print: u64, newest: u64) {
        let mut line = self.lines().home(print);
        let at = loop {
            if let Some(at) = first(self.lines[line].prints(own), |found| found < RESERVED) {
                break at;
            }
            // The directory keeps room in every table, so this ends.
            line = self.lines().after(line);
        };
        let cell = &self.lines[line].0[at];
        self.used.set(self.used.get() + u64::from(own(&cell.print) == EMPTY));
        self.live.set(self.live.get() + 1);
        // Release: a reader may hold this cell for its former key; the link of the new one was written before.
        cell.newest.store(newest, Ordering::Release);
        // Pairs with the Acquire in `newest`.
        cell.print.store(print, Ordering::Release);
    }

    /// Writer: removes the fingerprint if this is its newest sequence; which one is, if the table has it.
    #[inline]
    pub(super) fn remove(&self, print: u64, sequence: u64) -> Option<u64> {
        let (line, at) = self.lines().find_by(print, own)?;
        let newest = self.lines[line].0[at].newest_own();
        if newest == sequence && !planted(Fault::EntryNotRemoved) {
            self.live.set(self.live.get() - 1);
            if self.lines[line].prints(own).contains(&EMPTY) {
                self.used.set(self.used.get() - 1);
                self.lines[line].0[at].print.store(EMPTY, Ordering::Release);
            } else {
                self.bury(line, at);
            }
        }
        Some(newest)
    }

    /// Takes a key out of a full line.
    #[cold]
    fn bury(&self, line: usize, at: usize) {
        self.lines[line].0[at].print.store(TOMB, Ordering::Release);
        let next = self.lines().after(line);
        let beyond = self.lines[next].prints(own);
        let at_home = |&print: &u64| print < RESERVED || self.lines().home(print) == next;
        if next != line && beyond.contains(&EMPTY) && beyond.iter().all(at_home) {
            let tombs = self.lines[line].0.iter().filter(|cell| own(&cell.print) == TOMB);
            let emptied = tombs.map(|cell| cell.print.store(EMPTY, Ordering::Release)).count();
            self.used.set(self.used.get() - emptied as u64);
        }
    }

    /// Writer: moves what the cell holds to the table that replaces this one.
    pub(super) fn move_to(&self, at: usize, next: &Self) {
        let print = own(&self.cell(at).print);
        if print < RESERVED {
            return;
        }
        let newest = self.cell(at).newest_own();
        if planted(Fault::MovedTooEarly) {
            self.cell(at).print.store(TOMB, Ordering::Release);
            next.add(print, newest);
            return;
        }
        // First in, then out. A reader looks here first: if it still finds the entry, its word was current when the
        // reader began; if it finds the tombstone, the Release below has made the copy visible.
        next.add(print, newest);
        self.cell(at).print.store(TOMB, Ordering::Release);
        self.live.set(self.live.get() - 1);
    }
}

impl<'a> Lines<'a> {
    /// The number of the fingerprint's home line.
    #[inline]
    fn home(self, print: u64) -> usize {
        print as usize & (self.0.len() - 1)
    }

    /// The line after this one.
    #[inline]
    fn after(self, line: usize) -> usize {
        (line + 1) & (self.0.len() - 1)
    }

    /// Fetches the line where a search begins.
    #[inline]
    pub(super) fn prefetch(self, print: u64) {
        prefetch_to_write(&self.0[self.home(print)]);
    }

    /// The newest sequence with the fingerprint. Wait-free: at most one turn around the table.
    #[inline]
    pub(super) fn newest(self, print: u64) -> Option<u64> {
        // Acquire pairs with the Release in `add`: who sees the fingerprint sees the word that came with it.
        let (line, at) = self.find_by(print, |cell| cell.load(Ordering::Acquire))?;
        // Acquire pairs with the Release in `raise`: who sees a sequence here sees that slot's link.
        Some(self.0[line].0[at].newest.load(Ordering::Acquire))
    }

    /// Writer: the fingerprint's cell, by its own look.
    #[inline]
    pub(super) fn find_own(self, print: u64) -> Option<&'a Cell> {
        self.find_by(print, own).map(|(line, at)| &self.0[line].0[at])
    }

    /// Which cell has the fingerprint: the number of its line, and its number there.
    #[inline(always)]
    fn find_by(self, print: u64, look: impl Fn(&AtomicU64) -> u64) -> Option<(usize, usize)> {
        let home = self.home(print);
        let prints = self.0[home].prints(&look);
        match first(prints, |found| found == print) {
            Some(at) => Some((home, at)),
            None if first(prints, |found| found == EMPTY).is_some() => None,
            None => self.find_beyond(print, look),
        }
    }

    #[cold]
    fn find_beyond(self, print: u64, look: impl Fn(&AtomicU64) -> u64) -> Option<(usize, usize)> {
        let mut line = self.home(print);
        for _ in 1..self.0.len() {
            line = self.after(line);
            let prints = self.0[line].prints(&look);
            if let Some(at) = first(prints, |found| found == print) {
                return Some((line, at));
            }
            if prints.contains(&EMPTY) {
                return None;
            }
        }
        None
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.census.tables.fetch_sub(1, Ordering::Relaxed);
        self.census.bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

#[cfg(not(loom))]
fn empty_lines(lines: usize) -> Option<Box<[Line]>> {
    use std::alloc::{Layout, alloc_zeroed};

    let layout = Layout::array::<Line>(lines).expect("a table is smaller than the address space");
    assert!(layout.size() > 0);
    // SAFETY: the layout is not of size zero. A `Line` is made of `AtomicU64`, for which zero bytes are a valid value
    // (EMPTY), and the slice takes over the allocation with the layout it was made with. Zeroed pages come from the
    // system untouched, so a table of millions of cells is no pause.
    unsafe {
        let start = alloc_zeroed(layout).cast::<Line>();
        (!start.is_null()).then(|| Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, lines)))
    }
}

#[cfg(loom)]
fn empty_lines(lines: usize) -> Option<Box<[Line]>> {
    let cell = |_| Cell { print: AtomicU64::new(EMPTY), newest: AtomicU64::new(0) };
    Some((0..lines).map(|_| Line(std::array::from_fn(cell))).collect())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// The least fingerprint there may be is one like any other.
    #[test]
    fn the_least_fingerprint_is_found_beyond_its_line_and_moved() {
        let table = Table::new(64, &Arc::default()).unwrap();
        let home = table.lines().home(RESERVED);
        let others: Vec<u64> = (1..=LINE as u64).map(|turn| RESERVED + turn * table.lines.len() as u64).collect();
        assert!(others.iter().all(|&print| table.lines().home(print) == home));
        others.iter().for_each(|&print| table.add(print, 1));
        table.add(RESERVED, 7);
        assert!(table.remove(others[0], 1).is_some());
        assert_eq!(table.lines().newest(RESERVED), Some(7), "its own line must not look as if it had never been full");
        let next = Table::new(64, &Arc::default()).unwrap();
        (0..table.len()).for_each(|at| table.move_to(at, &next));
        assert_eq!((next.lines().newest(RESERVED), next.live(), table.live()), (Some(7), LINE, 0));
    }

    #[test]
    fn churn_leaves_few_tombstones_and_finds_every_key() {
        let table = Table::new(64, &Arc::default()).unwrap();
        let mut model: HashMap<u64, u64> = HashMap::new();
        let mut order = std::collections::VecDeque::new();
        for sequence in 0..10_000u64 {
            let print = (sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20).max(RESERVED);
            table.add(print, sequence);
            model.insert(print, sequence);
            order.push_back(print);
            if order.len() > 24 {
                let gone = order.pop_front().unwrap();
                assert!(table.remove(gone, model[&gone]).is_some());
                assert_eq!(table.lines().newest(gone), None);
                model.remove(&gone);
            }
            for (&print, &newest) in &model {
                assert_eq!(table.lines().newest(print), Some(newest));
            }
            assert_eq!(table.live(), model.len());
            assert!(table.used() < 64, "an empty cell ends every probe");
        }
    }

    /// What the table must be by its own description, whatever was done to it.
    fn check(table: &Table, model: &HashMap<u64, u64>, all: &[u64]) {
        assert_eq!(table.entries().collect::<HashMap<_, _>>(), *model);
        let prints = |line: usize| table.lines[line].prints(own);
        let used: usize = (0..table.lines.len()).map(|line| prints(line).iter().filter(|&&p| p != EMPTY).count()).sum();
        assert_eq!((table.live(), table.used()), (model.len(), used));
        for &print in all {
            assert_eq!(table.lines().newest(print), model.get(&print).copied(), "{print:#x}");
            assert_eq!(table.lines().find_own(print).map(Cell::newest_own), model.get(&print).copied());
        }
    }

    /// Few homes, the last ones of the table, so that keys flow over line after line and around its end.
    #[test]
    fn crowded_lines_flow_over_and_around_and_lose_no_key() {
        const LINES: u64 = 8;
        let all: Vec<u64> = (1..=14).flat_map(|n| [5, 6, 7].map(|home| n * LINES + home)).collect();
        let mut random = 1_u64;
        let mut below = |most: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % most
        };
        let (mut buried, mut dug_up) = (0, 0);
        for round in 0..60 {
            let table = Table::new(LINES as usize * LINE, &Arc::default()).unwrap();
            let mut model = HashMap::new();
            let most = [6, 12, 20, 27][round % 4];
            for sequence in 1..150 {
                let print = all[below(all.len())];
                if let Some(&newest) = model.get(&print) {
                    assert_eq!(table.remove(print, newest + 1), Some(newest), "another is its newest: it stays");
                    let (line, _) = table.lines().find_by(print, own).unwrap();
                    let was_full = !table.lines[line].prints(own).contains(&EMPTY);
                    assert_eq!(table.remove(print, newest), Some(newest));
                    model.remove(&print);
                    // A full line keeps tombstones only if something may have flowed over from it.
                    let next = (line + 1) % LINES as usize;
                    let beyond = table.lines[next].prints(own);
                    let at_home = |&p: &u64| p < RESERVED || p % LINES == next as u64;
                    let none_flowed = beyond.contains(&EMPTY) && beyond.iter().all(at_home);
                    let tombs = table.lines[line].prints(own).contains(&TOMB);
                    assert_eq!(tombs, was_full && !none_flowed);
                    buried += u32::from(tombs);
                    dug_up += u32::from(was_full && none_flowed);
                } else if table.used() < most {
                    assert_eq!(table.remove(print, sequence), None);
                    table.add(print, sequence);
                    model.insert(print, sequence);
                }
                check(&table, &model, &all);
            }
            // To the table that replaces it, cell by cell: each key is in one of them, and in no third place.
            let next = Table::new(2 * table.len(), &Arc::default()).unwrap();
            for at in 0..table.len() {
                table.move_to(at, &next);
                assert_eq!(table.live() + next.live(), model.len());
                for print in &all {
                    let found = table.lines().newest(*print).or_else(|| next.lines().newest(*print));
                    assert_eq!(found, model.get(print).copied());
                }
            }
            assert_eq!((table.live(), table.entries().count()), (0, 0));
            check(&next, &model, &all);
        }
        assert!(buried > 100 && dug_up > 100, "{buried} tombstones stayed, {dug_up} times they were cleared away");
    }

    #[test]
    fn homes_and_bytes_are_as_told() {
        let census = Arc::default();
        let table = Table::new(64, &census).unwrap();
        let lines = table.lines();
        assert_eq!((table.len(), table.lines.len()), (64, 16));
        assert_eq!([0, 5, 15, 16, 21].map(|print| lines.home(print)), [0, 5, 15, 0, 5]);
        assert_eq!([0, 1, 14, 15].map(|line| lines.after(line)), [1, 2, 15, 0]);
        assert_eq!(table.bytes(), size_of::<Table>() + 64 * 16);
        let bytes = || census.bytes.load(Ordering::Relaxed);
        assert_eq!((bytes(), census.tables.load(Ordering::Relaxed)), (table.bytes(), 1));
        drop(table);
        assert_eq!((bytes(), census.tables.load(Ordering::Relaxed)), (0, 0));
    }
}
