//! The index of a shard: for each index of the signal, a directory from a key's fingerprint to the newest record with it, and
//! links from each record to the one before. And for time, which has no directory, the range of each block of records.

mod blocks;
mod directory;
mod fingerprint;
mod ghost_filter;

pub(crate) use fingerprint::{Fingerprints, NO_KEY};

use crate::engine::ring::{Head, Slots};
use crate::signal::Signal;
use crate::signal::sealed::Indexes;
use crate::sync::fault::{Fault, planted, weaken};
use crate::sync::reserve::{Reserved, Zeroed, reserve_zeroed};
use crate::sync::{AtomicU32, AtomicU64, CachePadded, Count, Ordering, Tally, fence, own};
use blocks::Blocks;
use directory::Directory;
use ghost_filter::GhostFilter;
use std::collections::TryReserveError;

/// What an index notes of a record that was passed over; see [`Index::pass_over`].
pub(crate) const PASSED_OVER: u8 = u8::MAX;

/// For each index, how far back the record with the same key before this one lies; 0 if none was there.
#[derive(Debug)]
struct Links<I: Indexes>(I::LinkCells);

// SAFETY: atomic integers, for which zero bytes are the value 0.
unsafe impl<I: Indexes> Zeroed for Links<I> {
    fn zeroed() -> Self {
        Self(I::link_cells())
    }
}

/// What one thread at a time writes about the records of a shard, and any number read: whoever holds the shard's token.
///
/// A holder that falls asleep may be relieved. Its successor then works on an index of its own, and the sleeper's is not used
/// before that one has woken and left it: so what the sleeper still writes here does no harm.
pub(crate) struct Index<T: Signal> {
    /// Every record below has been entered.
    indexed: CachePadded<AtomicU64>,
    /// Own heap bytes of the records in `[evicted, indexed)`.
    pub(crate) heap: Count,
    /// Below this, sequences have been passed over that were not published when their turn came.
    pub(crate) passed_to: Count,
    /// Steps of the holder, so that others see that it gets on.
    beat: Count,
    links: Reserved<Links<T::Indexes>>,
    /// For each place, of how many keys its record is the newest; once it has been evicted, the number of the
    /// [reason](crate::EvictReason). Apart from the heads and small, so that entering a record does not touch the head of the one
    /// before it, nor evicting one its own.
    pub(crate) leads: Reserved<Tally>,
    directories: Box<[Directory]>,
    pub(crate) blocks: Blocks,
    /// Keys of the first index that have left.
    pub(crate) ghosts: GhostFilter,
}

impl<T: Signal> Index<T> {
    /// For a ring of so many places.
    pub(crate) fn new(places: usize) -> Result<Self, TryReserveError> {
        let mut directories = Vec::new();
        directories.try_reserve_exact(T::Indexes::COUNT)?;
        for _ in 0..T::Indexes::COUNT {
            directories.push(Directory::new(places)?);
        }
        Ok(Self {
            indexed: CachePadded::new(AtomicU64::new(0)),
            heap: Count::default(),
            passed_to: Count::default(),
            beat: Count::default(),
            links: reserve_zeroed(places)?,
            leads: reserve_zeroed(places)?,
            directories: directories.into_boxed_slice(),
            blocks: Blocks::new(places)?,
            ghosts: GhostFilter::new(places)?,
        })
    }

    /// Begins anew: nothing below this sequence is entered, or will be. For whoever takes the index into use; readers may still be
    /// looking at what it held before.
    pub(crate) fn begin(&self, from: u64) {
        self.directories.iter().for_each(Directory::clear);
        self.ghosts.clear();
        self.heap.set(0);
        self.passed_to.set(from);
        self.indexed.store(from, Ordering::Release);
    }

    #[inline]
    pub(crate) fn indexed(&self) -> u64 {
        // Acquire pairs with the Release in `set_indexed`: what the directories hold up to there is seen.
        self.indexed.load(Ordering::Acquire)
    }

    /// The same, for the token holder.
    pub(crate) fn own_indexed(&self) -> u64 {
        own(&self.indexed)
    }

    /// For the token holder, once everything below has been entered.
    pub(crate) fn set_indexed(&self, indexed: u64) {
        debug_assert!(indexed >= own(&self.indexed));
        // Release pairs with the Acquire in `indexed`.
        self.indexed.store(indexed, weaken(Ordering::Release, Fault::IndexedRelaxed));
        self.beat.set(self.beat.get() + 1);
    }

    /// How often the holder has got on.
    pub(crate) fn beats(&self) -> u64 {
        self.beat.get()
    }

    /// The holder gets on.
    pub(crate) fn beat(&self) {
        self.beat.set(self.beat.get() + 1);
    }

    /// Bytes of the directories of an index.
    pub(crate) fn directory_bytes(&self, index: usize) -> usize {
        self.directories[index].bytes()
    }

    /// Bytes of everything else.
    pub(crate) fn other_bytes(&self) -> usize {
        size_of_val(&*self.links) + size_of_val(&*self.leads) + self.blocks.bytes() + self.ghosts.bytes()
    }

    // --- readers ---

    /// The newest record with this fingerprint in an index; what was indexed before the caller's look at `indexed` is found,
    /// unless it has been evicted since. A later look at its [link](Self::link) finds what was written with the entry.
    /// Lock-free: it looks again if the entry has changed while it was followed.
    pub(crate) fn newest(&self, slots: &Slots<T>, index: usize, print: u64) -> Option<u64> {
        let directory = &self.directories[index];
        let mut place = directory.newest(print)?;
        loop {
            let sequence = slots.head_at(slots.slot(place)).sequence();
            // The entry leaves before its slot is written again. So if it is still there, after the look at the slot, this is the
            // record that it stands for.
            let again = if planted(Fault::EntryFollowedBlindly) { place } else { directory.newest(print)? };
            if let Some(sequence) = sequence.filter(|_| again == place) {
                return Some(sequence);
            }
            if again == place {
                // The slot is set aside, or its record is being taken: who does so has evicted it, and is about to say so.
                return None;
            }
            place = again;
        }
    }

    /// How far back the record with the same key lies, as this one's entry said; 0 if none was there.
    #[inline]
    pub(crate) fn link(&self, place: usize, index: usize) -> u64 {
        u64::from(self.link_cell(place, index).load(Ordering::Relaxed))
    }

    #[inline]
    fn link_cell(&self, place: usize, index: usize) -> &AtomicU32 {
        &self.links[place].0.as_ref()[index]
    }

    /// The newest record of each key of an index. With a writer at work, some come twice.
    pub(crate) fn newest_of_all(&self, slots: &Slots<T>, index: usize) -> impl Iterator<Item = u64> {
        self.directories[index].places().filter_map(|place| slots.head_at(slots.slot(place)).sequence())
    }

    /// For the audit: what stands for a fingerprint in a directory. Two fingerprints that are so alike share an entry.
    pub(crate) fn entry_of(&self, index: usize, print: u64) -> (usize, u64) {
        self.directories[index].entry_of(print)
    }

    /// For the audit: the place of every entry.
    pub(crate) fn places(&self, index: usize) -> impl Iterator<Item = usize> {
        self.directories[index].places()
    }

    // --- the token holder ---

    /// Enters records, from this place and sequence on, into every index, one index after the other, and into their blocks.
    pub(crate) fn enter(&self, slots: &Slots<T>, place: usize, heads: &[Head<T::Indexes>], first: u64) {
        // Pairs with the Acquire fences in `Head::look` and of walks. The heads have been acquired, and so has that the records
        // before these have left: who reads a link or a block that is written from here on, and fences, sees it too.
        fence(Ordering::Release);
        let places = slots.places();
        let leads = &self.leads[place..place + heads.len()];
        leads.iter().for_each(|leads| leads.set(T::Indexes::COUNT as u8));
        for (index, directory) in self.directories.iter().enumerate() {
            directory.prefetch(heads.iter().map(|head| head.print(index)));
            for (at, head) in (place..).zip(heads) {
                let print = head.print(index);
                let leads_no_more = |place: usize| {
                    // Of a holder that was relieved in the middle of this, heads may be other records' by now.
                    let leads = &self.leads[place];
                    leads.set(leads.get().wrapping_sub(1));
                };
                if print == NO_KEY {
                    leads_no_more(at);
                    continue;
                }
                directory.enter(print, at, |before| {
                    let distance = before.map_or(0, |before| {
                        leads_no_more(before);
                        if before < at { at - before } else { at + places as usize - before }
                    });
                    // Relaxed: readers get here through the word that `Directory::enter` stores with Release.
                    self.link_cell(at, index).store(distance as u32, Ordering::Relaxed);
                });
            }
        }
        self.blocks.enter(first, heads.iter().map(Head::time));
    }

    /// Passes over a sequence that was not published when its turn came.
    pub(crate) fn pass_over(&self, place: usize, sequence: u64) {
        self.leads[place].set(PASSED_OVER);
        self.blocks.enter(sequence, std::iter::once(0));
        self.passed_to.set(sequence + 1);
    }

    /// Takes the keys out of which these records, from this place and sequence on, are the newest. Most are not, and are not
    /// even looked at.
    pub(crate) fn leave(&self, place: usize, heads: &[Head<T::Indexes>]) {
        const MOST: usize = 64;
        debug_assert!(heads.len() <= MOST);
        // Whether a record leads a key nobody can foretell, so they are picked out without a branch for each.
        let (mut leading, mut count) = ([0; MOST], 0);
        for (number, leads) in self.leads[place..].iter().take(heads.len()).enumerate() {
            leading[count] = number;
            count += usize::from(leads.get() > 0 && leads.get() != PASSED_OVER);
        }
        let leading = &leading[..count];
        for (index, directory) in self.directories.iter().enumerate() {
            directory.prefetch(leading.iter().map(|&number| heads[number].print(index)));
        }
        for &number in leading {
            let leads = &self.leads[place + number];
            let mut left = leads.get();
            for (index, directory) in self.directories.iter().enumerate() {
                let print = heads[number].print(index);
                if left > 0 && directory.remove(print, place + number) {
                    left -= 1;
                    if index == 0 {
                        self.ghosts.note(print);
                    }
                }
            }
        }
    }
}
