//! Pins: what a reader looks at is not moved out of its slot.
//!
//! Hazard pointers (Michael, 2004). A reader stores the slot's number in a word of its own, fences, and looks at `evicted`.
//! Whoever reclaims raises `evicted`, fences, and scans the words. If the reader's fence comes first, the scan finds the pin,
//! and the slot is set aside. If the other's comes first, the reader sees that the record has been evicted, and leaves it alone.
//!
//! A reader may pin up to [`PINS_PER_READER`] slots, with one fence for all of them. Walking an index takes no pins: heads are atomics,
//! and are validated by their generation.

use crate::engine::tuning::{FIRST_PIN_BLOCK, PINS_PER_READER};
use crate::sync::fault::{self, Fault, planted, weaken};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, per_thread};
use smallvec::SmallVec;
use std::cell::Cell;
use std::ptr;

/// A word that pins nothing, of a reader that is there.
const IDLE: u64 = 1;

/// The words of a reader; the first is 0 while there is none.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Words([AtomicU64; PINS_PER_READER]);

/// The pins of one store. Blocks are added when more readers come at once than ever before, and freed with the store: memory is
/// bounded by the most readers that ever looked at the store at one time. Whoever reclaims passes over blocks without readers.
#[derive(Debug)]
pub(crate) struct Pins {
    readers: Box<[Words]>,
    /// Readers that are, or are about to be, in this block; not counted in the first.
    busy: AtomicU32,
    next: AtomicPtr<Pins>,
}

/// A reader's words, its own until dropped.
#[derive(Debug)]
pub(crate) struct Pinner<'a> {
    words: &'a Words,
    /// The count of the words' block, if it has one.
    busy: Option<&'a AtomicU32>,
}

/// Slots of one shard that are pinned.
pub(crate) type Pinned = SmallVec<[usize; 8]>;

per_thread!(BEGIN: Cell<usize> = Cell::new(usize::MAX));

/// Where this thread begins to look for words, so that threads do not meet there.
fn begin() -> usize {
    static THREADS: crate::sync::Count = crate::sync::Count::new();
    if cfg!(loom) {
        // Each execution of a model must be like the one before.
        return 0;
    }
    BEGIN.with(|begin| {
        if begin.get() == usize::MAX {
            begin.set(THREADS.next() as usize);
        }
        begin.get()
    })
}

fn word_of(shard: usize, slot: usize) -> u64 {
    (shard as u64 + 1) << 32 | slot as u64
}

impl Pins {
    pub(crate) fn new() -> Self {
        Self::with(FIRST_PIN_BLOCK)
    }

    fn with(readers: usize) -> Self {
        Self {
            readers: (0..readers).map(|_| Words::default()).collect(),
            busy: AtomicU32::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Takes words that nobody has. Lock-free; allocates if all are taken.
    pub(crate) fn enter(&self) -> Pinner<'_> {
        if let Some(words) = self.free_words() {
            return Pinner { words, busy: None };
        }
        let mut block = self;
        loop {
            block = block.following();
            // The fence in `Pinner::confirm` orders this, as it does the pins, against the look at `evicted`: who passes over
            // this block has fenced before, and then `evicted` is seen raised.
            block.busy.fetch_add(1, Ordering::AcqRel);
            if let Some(words) = block.free_words() {
                return Pinner { words, busy: Some(&block.busy) };
            }
            block.busy.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn free_words(&self) -> Option<&Words> {
        let (before, behind) = self.readers.split_at(begin() % self.readers.len());
        behind.iter().chain(before).find(|words| {
            let first = &words.0[0];
            // Acquire pairs with the Release in `drop`: the former owner's reads come before this one's.
            (cfg!(loom) || first.load(Ordering::Relaxed) == 0)
                && first.compare_exchange(0, IDLE, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })
    }

    /// The block after this one, made now if there is none.
    fn following(&self) -> &Self {
        // Acquire pairs with the Release below: the block's words are set up.
        let mut next = self.next.load(Ordering::Acquire);
        if next.is_null() {
            let made = Box::into_raw(Box::new(Self::with(2 * self.readers.len())));
            // Release pairs with the Acquire loads of `next`. That whoever reclaims sees the link in time is due to the fences
            // that the module's text names: the link comes before the reader's fence.
            let linked = weaken(Ordering::AcqRel, Fault::LinkRelaxed);
            match self.next.compare_exchange(ptr::null_mut(), made, linked, Ordering::Acquire) {
                Ok(_) => next = made,
                Err(other) => {
                    // SAFETY: it comes from `Box::into_raw` above, and nobody else has seen it.
                    drop(unsafe { Box::from_raw(made) });
                    next = other;
                }
            }
        }
        // SAFETY: a linked block is freed only by `drop`, which has `&mut self`: there are as many as readers at once need, and
        // they stay (invariant 4).
        unsafe { &*next }
    }

    /// The slots of this shard that are pinned, for whoever has raised `evicted` before: others are not read any more.
    pub(crate) fn scan(&self, shard: usize) -> Pinned {
        // Pairs with the fence in `Pinner::confirm`.
        fault::fence(Fault::HolderWithoutFence);
        let mut pinned = Pinned::new();
        if planted(Fault::PinsNotScanned) {
            return pinned;
        }
        self.find(shard, &mut pinned);
        let mut block = self;
        loop {
            // Acquire pairs with the Release in `following`.
            // SAFETY: as there (invariant 4); null while there is no further block.
            let next = unsafe { block.next.load(Ordering::Acquire).as_ref() };
            let Some(next) = next.filter(|_| !planted(Fault::FirstBlockOnly)) else { return pinned };
            block = next;
            // Acquire pairs with the Release in `Pinner::drop`: the reads of those who have left are over.
            if block.busy.load(Ordering::Acquire) > 0 {
                block.find(shard, &mut pinned);
            }
        }
    }

    fn find(&self, shard: usize, pinned: &mut Pinned) {
        for words in &self.readers {
            // Acquire, here and below, pairs with the Releases in `Pinner`: reads under a pin that is gone are over.
            let mut word = words.0[0].load(Ordering::Acquire);
            if word == 0 {
                continue;
            }
            for next in words.0[1..].iter().map(Some).chain([None]) {
                if word >> 32 == shard as u64 + 1 {
                    pinned.push(word as u32 as usize);
                }
                if let Some(next) = next {
                    word = next.load(Ordering::Acquire);
                }
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        // SAFETY: as in `following` (invariant 4).
        let next = unsafe { self.next.load(Ordering::Acquire).as_ref() };
        size_of_val(&*self.readers) + next.map_or(0, |block| size_of::<Self>() + block.bytes())
    }
}

impl Pinner<'_> {
    /// Pins a slot in place of what this word pinned. It counts once it is [confirmed](Self::confirm).
    #[inline]
    pub(crate) fn pin(&self, word: usize, shard: usize, slot: usize) {
        // Release pairs with the Acquire in `find`: what was read under the former pin was read before.
        let release = weaken(Ordering::Release, Fault::PinMovedRelaxed);
        self.words.0[word].store(word_of(shard, slot), release);
    }

    /// Orders the pins before the looks at `evicted` that follow.
    #[inline]
    pub(crate) fn confirm(&self) {
        // Pairs with the fence in `scan`.
        fault::fence(Fault::ReaderWithoutFence);
    }

    /// Lets go of what this word pinned.
    #[inline]
    pub(crate) fn unpin(&self, word: usize) {
        // Release: as in `pin`.
        self.words.0[word].store(IDLE, weaken(Ordering::Release, Fault::PinClearedRelaxed));
    }
}

impl Drop for Pinner<'_> {
    fn drop(&mut self) {
        // The first word last: while it is 0, nobody looks at the others.
        for word in self.words.0[1..].iter().filter(|word| word.load(Ordering::Relaxed) != 0) {
            word.store(0, Ordering::Release);
        }
        // Release pairs with the Acquire in `free_words`, and in `find`.
        self.words.0[0].store(0, weaken(Ordering::Release, Fault::PinClearedRelaxed));
        if let Some(busy) = self.busy {
            // Release pairs with the Acquire in `scan`.
            busy.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut next = std::mem::replace(&mut self.next, AtomicPtr::new(ptr::null_mut()));
        loop {
            let block = next.load(Ordering::Relaxed);
            if block.is_null() {
                return;
            }
            // SAFETY: linked blocks come from `Box::into_raw` and nobody else has this chain any more (invariant 4). Taking each
            // one's successor out first keeps the drop from recursing.
            let mut block = unsafe { Box::from_raw(block) };
            next = std::mem::replace(&mut block.next, AtomicPtr::new(ptr::null_mut()));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn pins_are_found_in_their_shard_until_they_are_let_go() {
        let pins = Pins::new();
        assert!(pins.scan(0).is_empty());
        let reader = pins.enter();
        reader.pin(0, 3, 7);
        reader.pin(5, 3, 0);
        reader.pin(2, 1, 9);
        reader.confirm();
        assert_eq!((&pins.scan(3)[..], &pins.scan(1)[..]), (&[7, 0][..], &[9][..]));
        reader.unpin(0);
        assert_eq!(pins.scan(3)[..], [0]);
        drop(reader);
        assert!(pins.scan(3).is_empty() && pins.scan(1).is_empty());
    }

    #[test]
    fn blocks_grow_with_the_most_readers_at_once_and_are_passed_over_when_they_are_empty() {
        let pins = Pins::new();
        let before = pins.bytes();
        let many = |readers: usize| {
            let enter = |slot| {
                let reader = pins.enter();
                reader.pin(0, 0, slot);
                reader
            };
            (0..readers).map(enter).collect::<Vec<_>>()
        };
        let readers = many(FIRST_PIN_BLOCK);
        assert_eq!((pins.scan(0).len(), pins.bytes()), (FIRST_PIN_BLOCK, before));
        let more = many(3 * FIRST_PIN_BLOCK);
        assert_eq!(pins.scan(0).len(), 4 * FIRST_PIN_BLOCK);
        let grown = pins.bytes();
        assert!(grown > before);
        drop((readers, more));
        assert!(pins.scan(0).is_empty());
        drop(many(4 * FIRST_PIN_BLOCK));
        assert_eq!(pins.bytes(), grown, "those that were there are taken again");
    }
}
