//! The index of a shard.
//!
//! For each index of the signal there is a directory, from a key's fingerprint to the newest record
//! with that key, and a link from each record to the one before it with the same key. Time has no
//! directory: there each block of records has a range of times.

mod blocks;
mod directory;
mod fingerprint;
mod ghost_filter;
mod table;

pub(crate) use fingerprint::{Fingerprints, NO_KEY};

use crate::engine::ring::{Head, Slots};
use crate::engine::tuning::INDEX_CHUNK;
use crate::signal::Signal;
use crate::signal::sealed::Indexes;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::reserve::{Reserved, Zeroed, reserve_zeroed};
use crate::sync::{
    AtomicU32, AtomicU64, CachePadded, Count, Ordering, Tally, fence, load_as_writer,
};
use blocks::Blocks;
use directory::{Directory, Prints};
use ghost_filter::GhostFilter;
use smallvec::SmallVec;
use std::collections::TryReserveError;

/// The most records that are entered or removed at a time.
const MOST_HEADS: usize = INDEX_CHUNK as usize;

/// Marks the place of a sequence that was skipped; see [`Index::skip`].
pub(crate) const SKIPPED: u8 = u8::MAX;

/// For each index, the distance back to the record before this one with the same key. 0 if there
/// was none.
#[derive(Debug)]
pub(crate) struct Links<I: Indexes>(I::LinkCells);

impl<I: Indexes> Links<I> {
    /// Returns the distance back to the record with the same key that was the newest before this
    /// one, or 0 if there was none.
    #[inline(always)]
    pub(crate) fn distance(&self, index: usize) -> u64 {
        u64::from(self.0.as_ref()[index].load(Ordering::Relaxed))
    }
}

// SAFETY: The only field is an array of atomic integers. Zero bytes are a valid value of it: all 0,
// as `link_cells` returns.
unsafe impl<I: Indexes> Zeroed for Links<I> {
    fn zeroed() -> Self {
        Self(I::link_cells())
    }
}

/// What the holder of the indexer lock writes about a shard's records, and any number of threads
/// reads.
///
/// When the lock is taken over from a stalled holder, the new holder works on an index of its own.
/// The former holder's is not used again before that holder has woken up and left it, so what it
/// still writes there does no harm.
pub(crate) struct Index<T: Signal> {
    /// Every record below this sequence is indexed.
    indexed: CachePadded<AtomicU64>,
    /// Heap bytes of the records in `[evicted, indexed)`.
    pub(crate) heap: Count,
    /// The end of the last sequence that was skipped, because it was unpublished when its turn
    /// came.
    pub(crate) skipped_to: Count,
    /// Counts the holder's steps, so that other threads can tell whether it makes progress.
    heartbeats: Count,
    links: Reserved<Links<T::Indexes>>,
    /// For each place, how many directory entries point to its record. Once the record was evicted,
    /// the number of its [reason](crate::store::EvictReason).
    ///
    /// Kept apart from the heads and small: indexing a record then does not touch the head of the
    /// record before it, and evicting a record does not touch its own.
    pub(crate) entry_counts: Reserved<Tally>,
    directories: Box<[Directory]>,
    pub(crate) blocks: Blocks,
    /// Keys of the first index whose last record was evicted lately.
    pub(crate) ghosts: GhostFilter,
}

impl<T: Signal> Index<T> {
    /// Creates an index for a ring of this many places.
    pub(crate) fn new(places: usize) -> Result<Self, TryReserveError> {
        let mut directories = Vec::new();
        directories.try_reserve_exact(T::Indexes::COUNT)?;
        for _ in 0..T::Indexes::COUNT {
            directories.push(Directory::new(places)?);
        }
        Ok(Self {
            indexed: CachePadded::new(AtomicU64::new(0)),
            heap: Count::default(),
            skipped_to: Count::default(),
            heartbeats: Count::default(),
            links: reserve_zeroed(places)?,
            entry_counts: reserve_zeroed(places)?,
            directories: directories.into_boxed_slice(),
            blocks: Blocks::new(places)?,
            ghosts: GhostFilter::new(places)?,
        })
    }

    /// Initialises the index: nothing below this sequence is indexed, or ever will be.
    ///
    /// Called before the index is put into use. Readers of its former use may still be looking at
    /// it.
    pub(crate) fn begin(&self, from: u64) {
        self.directories.iter().for_each(Directory::clear);
        self.ghosts.clear();
        self.heap.set(0);
        self.skipped_to.set(from);
        // Relaxed: readers get the index by the word that `IndexPool::replace` stores with Release
        // after this. Those of its former use discard what they have read, because the Release
        // fence in `replace` precedes this: see `IndexPool::is_current`.
        self.indexed.store(from, Ordering::Relaxed);
    }

    /// Returns the sequence below which every record is indexed.
    #[inline]
    pub(crate) fn indexed(&self) -> u64 {
        // Acquire pairs with the Release in `set_indexed`: the directories' entries up to there are
        // visible.
        self.indexed.load(Ordering::Acquire)
    }

    /// Returns the same as [`indexed`](Self::indexed), for the holder of the indexer lock.
    pub(crate) fn indexed_as_writer(&self) -> u64 {
        load_as_writer(&self.indexed)
    }

    /// Raises `indexed`. The holder of the indexer lock has indexed everything below.
    pub(crate) fn set_indexed(&self, indexed: u64) {
        debug_assert!(indexed >= load_as_writer(&self.indexed));
        // Release pairs with the Acquire in `indexed`.
        self.indexed.store(indexed, weaken(Ordering::Release, Fault::IndexedRelaxed));
        self.heartbeat();
    }

    /// Returns the number of heartbeats.
    pub(crate) fn heartbeats(&self) -> u64 {
        self.heartbeats.get()
    }

    /// Shows that the holder of the indexer lock makes progress.
    pub(crate) fn heartbeat(&self) {
        self.heartbeats.set(self.heartbeats.get() + 1);
    }

    /// Returns the bytes of the directory of an index.
    pub(crate) fn directory_bytes(&self, index: usize) -> usize {
        self.directories[index].bytes()
    }

    /// Returns the bytes of everything but the directories.
    pub(crate) fn other_bytes(&self) -> usize {
        size_of_val(&*self.links)
            + size_of_val(&*self.entry_counts)
            + self.blocks.bytes()
            + self.ghosts.bytes()
    }

    // --- readers ---

    /// Returns the sequence and the place of the newest record with this fingerprint in an index.
    /// Lock-free: it searches again if the directory entry has changed while it was followed.
    ///
    /// Finds what was indexed before the caller's load of `indexed`, unless it has been evicted
    /// since. A later load of the record's [links](Self::links) finds what was written with the
    /// entry.
    #[inline(always)]
    pub(crate) fn newest(
        &self,
        slots: &Slots<T>,
        index: usize,
        print: u64,
    ) -> Option<(u64, usize)> {
        let directory = &self.directories[index];
        loop {
            let (place, entry) = directory.entry(print)?;
            let sequence = slots.head_at(slots.slot(place)).sequence();
            // The writer removes an entry before the slot that it points to is written again. If
            // the entry is still there after the slot was read, the slot held the entry's record.
            // If it is not, the key's entry may have moved to another record, or be gone.
            if planted(Fault::EntryFollowedBlindly) || entry.is_same() {
                // Without a sequence, the slot is quarantined, or its record is being moved out.
                // The thread that did so has evicted the record.
                return sequence.map(|sequence| (sequence, place));
            }
        }
    }

    /// Returns the links of each place.
    #[inline]
    pub(crate) fn links(&self) -> &[Links<T::Indexes>] {
        &self.links
    }

    #[inline]
    fn link_cell(&self, place: usize, index: usize) -> &AtomicU32 {
        &self.links[place].0.as_ref()[index]
    }

    /// Calls `visit` with the fingerprint and sequence of the newest record of each key of an index.
    /// Concurrent indexing can make a key come twice.
    ///
    /// Returns whether each entry led to a record of its key. A key that does not is leaving.
    #[inline]
    pub(crate) fn for_each_newest(
        &self,
        slots: &Slots<T>,
        index: usize,
        mut visit: impl FnMut(u64, u64),
    ) -> bool {
        self.directories[index].for_each_newest(|place| {
            let head = slots.head_at(slots.slot(place));
            let sequence = head.sequence()?;
            let print = head.try_read(sequence, |head| head.print(index))?;
            visit(print, sequence);
            Some(print)
        })
    }

    /// Returns how many keys were ever added to the directory of an index; see
    /// [`Directory::additions`].
    #[inline]
    pub(crate) fn additions(&self, index: usize) -> u64 {
        self.directories[index].additions()
    }

    /// Returns what identifies a fingerprint's entry in a directory, for the audit.
    ///
    /// Fingerprints for which this is equal share an entry.
    pub(crate) fn entry_of(&self, index: usize, print: u64) -> (usize, u64) {
        self.directories[index].entry_of(print)
    }

    /// Calls `visit` with the place of every entry, for the audit.
    pub(crate) fn for_each_place(&self, index: usize, visit: impl FnMut(usize)) {
        self.directories[index].for_each_place(visit);
    }

    // --- the holder of the indexer lock ---

    /// Indexes records from this place and sequence on, one index after the other, and adds them to
    /// their time blocks.
    ///
    /// Neighbours with the same fingerprint are linked with each other, and only the last of them
    /// is entered into the directory: the records that a source sends together share a service, a
    /// metric or a trace.
    ///
    /// Returns false, and does nothing, if a directory has to grow and there is no memory for it.
    pub(crate) fn insert(
        &self,
        slots: &Slots<T>,
        place: usize,
        heads: &[Head<T::Indexes>],
        first: u64,
    ) -> bool {
        let any_moved = slots.any_moved();
        let prints = |number| SlotPrints { index: self, slots, any_moved, number };
        let has_room = |(number, directory): (usize, &Directory)| {
            directory.writer(prints(number)).has_room(heads.len())
        };
        if !self.directories.iter().enumerate().all(has_room) {
            return false;
        }
        // Pairs with the Acquire fences in `Head::try_read` and in scans. The caller has acquired
        // the heads, and through them that the former records of these slots were evicted. A reader
        // that reads a link or a block written below, and then fences, sees that too.
        fence(Ordering::Release);
        let places = slots.places() as usize;
        // For each of the records, how many entries point to it. Stored at the end, since that of a
        // run of records changes with each index.
        let mut counts = [T::Indexes::COUNT as u8; MOST_HEADS];
        let counts = &mut counts[..heads.len()];
        // If the lock was taken over in the middle of this, the heads may be those of other records
        // by now, so a count may wrap.
        let lower = |count: &mut u8| *count = count.wrapping_sub(1);
        for (index, directory) in self.directories.iter().enumerate() {
            let runs = || heads.chunk_by(|head, next| head.print(index) == next.print(index));
            let mut writer = directory.writer(prints(index));
            writer.prefetch(runs().map(|run| run[0].print(index)));
            let mut at = place;
            for run in runs() {
                let (begin, end) = (at, at + run.len());
                at = end;
                let print = run[0].print(index);
                if print == NO_KEY {
                    counts[begin - place..end - place].iter_mut().for_each(lower);
                    continue;
                }
                counts[begin - place..end - 1 - place].iter_mut().for_each(lower);
                writer.insert(print, end - 1, |before| {
                    let distance = before.map_or(0, |before| {
                        // The record before may be one of these.
                        match before.checked_sub(place).and_then(|number| counts.get_mut(number)) {
                            Some(count) => lower(count),
                            None => {
                                let count = &self.entry_counts[before];
                                count.set(count.get().wrapping_sub(1));
                            }
                        }
                        if before < begin { begin - before } else { begin + places - before }
                    });
                    // Relaxed, as for the links of the run below: readers get here through the word
                    // that `Directory::insert` stores with Release after this.
                    self.link_cell(begin, index).store(distance as u32, Ordering::Relaxed);
                    for links in &self.links[begin + 1..end] {
                        links.0.as_ref()[index].store(1, Ordering::Relaxed);
                    }
                });
            }
        }
        let stored = &self.entry_counts[place..place + heads.len()];
        stored.iter().zip(counts).for_each(|(stored, count)| stored.set(*count));
        self.blocks.add(first, heads.iter().map(Head::time));
        true
    }

    /// Skips a sequence that was not published when its turn came, or for which there was no memory.
    pub(crate) fn skip(&self, place: usize, sequence: u64) {
        // Pairs with the Acquire fence in scans, as the one in `insert`: the block may have been
        // that of records which another thread has evicted.
        fence(Ordering::Release);
        self.entry_counts[place].set(SKIPPED);
        self.blocks.add(sequence, std::iter::once(0));
        self.skipped_to.set(sequence + 1);
    }

    /// Removes the directory entries that point to these records, from this place and sequence on.
    ///
    /// Most records have no such entry, and their heads are not read.
    pub(crate) fn remove(&self, place: usize, heads: &[Head<T::Indexes>]) {
        debug_assert!(heads.len() <= MOST_HEADS);
        // Which records have entries can't be predicted, so they are selected without branches.
        let (mut with_entries, mut count) = ([0; MOST_HEADS], 0);
        for (number, entries) in self.entry_counts[place..].iter().take(heads.len()).enumerate() {
            with_entries[count] = number;
            count += usize::from(entries.get() > 0 && entries.get() != SKIPPED);
        }
        let with_entries = &with_entries[..count];
        let directories: SmallVec<[_; 4]> =
            self.directories.iter().map(|directory| directory.writer(())).collect();
        for (index, directory) in directories.iter().enumerate() {
            directory.prefetch(with_entries.iter().map(|&number| heads[number].print(index)));
        }
        for &number in with_entries {
            let mut entries = self.entry_counts[place + number].get();
            for (index, directory) in directories.iter().enumerate() {
                let print = heads[number].print(index);
                if entries > 0 && directory.remove(print, place + number) {
                    entries -= 1;
                    if index == 0 {
                        self.ghosts.insert(print);
                    }
                }
            }
        }
    }
}

/// The fingerprints of one index, in the heads of the slots.
struct SlotPrints<'a, T: Signal> {
    index: &'a Index<T>,
    slots: &'a Slots<T>,
    /// Whether a place may be served by another slot than its own. Only the holder of the indexer
    /// lock changes that.
    any_moved: bool,
    number: usize,
}

impl<T: Signal> Prints for SlotPrints<'_, T> {
    #[inline(always)]
    fn at(&self, place: usize) -> u64 {
        let slot = if self.any_moved { self.slots.slot(place) } else { place };
        self.slots.head_at(slot).print(self.number)
    }

    fn progress(&self) {
        self.index.heartbeat();
    }
}
