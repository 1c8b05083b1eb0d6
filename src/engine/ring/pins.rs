//! Pins: a record whose slot a reader has pinned is not moved out of that slot.
//!
//! Pins are hazard pointers (Maged Michael, *Hazard Pointers: Safe Memory Reclamation for Lock-Free
//! Objects*, 2004). A reader stores the slot's number in a word that it owns, executes a `SeqCst`
//! fence, and reads `evicted`. The thread that reclaims raises `evicted`, executes a `SeqCst`
//! fence, and scans the words. This is the store-buffering (Dekker) pattern, so one side sees the
//! other's store. If the reader's fence comes first, the scan finds the pin, and the slot is
//! quarantined. If the reclaimer's fence comes first, the reader sees that the record was evicted
//! and does not read it.
//!
//! A reader pins up to [`PINS_PER_READER`] slots with one fence. Walking an index takes no pins:
//! heads are atomics, and their generation validates what was read.

use crate::engine::tuning::{FIRST_PIN_BLOCK, PINS_PER_READER};
use crate::sync::fault::{self, Fault, planted, weaken};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, per_thread};
use smallvec::SmallVec;
use std::cell::Cell;
use std::ptr;

/// The word of a registered reader that pins nothing.
const IDLE: u64 = 1;

/// The words of one reader. The first is 0 while no reader owns them.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Words([AtomicU64; PINS_PER_READER]);

/// The pins of one store: a linked list of blocks.
///
/// A block is appended when more readers are registered at once than ever before. Blocks are freed
/// with the store, so memory is bounded by the greatest number of readers at one time. A scan skips
/// blocks without readers.
#[derive(Debug)]
pub(crate) struct Pins {
    readers: Box<[Words]>,
    /// Number of readers that are in this block or are about to be. Not counted in the first block.
    busy: AtomicU32,
    next: AtomicPtr<Pins>,
}

/// A registered reader, which owns its words until it is dropped.
#[derive(Debug)]
pub(crate) struct Pinner<'a> {
    words: &'a Words,
    /// The reader count of the words' block, unless that is the first.
    busy: Option<&'a AtomicU32>,
}

/// The pinned slots of one shard.
pub(crate) type Pinned = SmallVec<[usize; 8]>;

per_thread!(FIRST_WORDS: Cell<usize> = Cell::new(usize::MAX));

/// Returns where this thread begins its search for free words, so that threads do not contend.
fn first_words() -> usize {
    static THREADS: crate::sync::Count = crate::sync::Count::new();
    if cfg!(loom) {
        // Each execution of a model has to repeat the one before.
        return 0;
    }
    FIRST_WORDS.with(|first| {
        if first.get() == usize::MAX {
            first.set(THREADS.next() as usize);
        }
        first.get()
    })
}

fn word_of(shard: usize, slot: usize) -> u64 {
    (shard as u64 + 1) << 32 | slot as u64
}

impl Pins {
    pub(crate) fn new() -> Self {
        Self::with_readers(FIRST_PIN_BLOCK)
    }

    fn with_readers(readers: usize) -> Self {
        Self {
            readers: (0..readers).map(|_| Words::default()).collect(),
            busy: AtomicU32::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Registers a reader. Lock-free. Allocates a block if the existing ones are full.
    pub(crate) fn register(&self) -> Pinner<'_> {
        if let Some(words) = self.free_words() {
            return Pinner { words, busy: None };
        }
        let mut block = self;
        loop {
            block = block.next_block();
            // Relaxed: the SeqCst fence in `Pinner::confirm` orders this increment, as it orders
            // the pins, before the reader's load of `evicted`. It pairs with the fence in `scan`: a
            // scan that finds the count 0 and skips this block has fenced before, so the reader
            // then sees `evicted` raised. As a read-modify-write this continues the Releases of the
            // readers that have left the block.
            block.busy.fetch_add(1, Ordering::Relaxed);
            if let Some(words) = block.free_words() {
                return Pinner { words, busy: Some(&block.busy) };
            }
            // This block is full. The reader has pinned nothing here, so there is nothing to order.
            block.busy.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn free_words(&self) -> Option<&Words> {
        let (before, after) = self.readers.split_at(first_words() % self.readers.len());
        after.iter().chain(before).find(|words| {
            let first = &words.0[0];
            // Acquire pairs with the Release in `Pinner::drop`: a scan that finds this owner's pin
            // in place of the former owner's also sees the end of the former owner's reads.
            (cfg!(loom) || first.load(Ordering::Relaxed) == 0)
                && first
                    .compare_exchange(
                        0,
                        IDLE,
                        weaken(Ordering::Acquire, Fault::PinOwnerRelaxed),
                        Ordering::Relaxed,
                    )
                    .is_ok()
        })
    }

    /// Returns the next block, and appends one if there is none.
    fn next_block(&self) -> &Self {
        // Acquire pairs with the Release below: the block is initialised.
        let mut next = self.next.load(Ordering::Acquire);
        if next.is_null() {
            let new_block = Box::into_raw(Box::new(Self::with_readers(2 * self.readers.len())));
            // Release pairs with the Acquire loads of `next`. That a scan sees the link in time
            // follows from the SeqCst fences in `Pinner::confirm` and `scan`: the link precedes the
            // reader's fence. Acquire on failure pairs with the Release of the thread that was
            // faster.
            let linked = weaken(Ordering::Release, Fault::LinkRelaxed);
            match self.next.compare_exchange(ptr::null_mut(), new_block, linked, Ordering::Acquire)
            {
                Ok(_) => next = new_block,
                Err(other) => {
                    // SAFETY: `new_block` comes from `Box::into_raw` above. It was not linked, so
                    // no other thread has seen it.
                    drop(unsafe { Box::from_raw(new_block) });
                    next = other;
                }
            }
        }
        // SAFETY: A block that was linked is freed only by `Pins::drop`, which has `&mut self`
        // (bounded memory, invariant 4), so it lives as long as this borrow. The Acquire that
        // loaded the pointer makes its content visible.
        unsafe { &*next }
    }

    /// Returns the slots of a shard that are pinned.
    ///
    /// The caller has raised `evicted` before. Slots of evicted records that are not returned here
    /// are not read any more.
    pub(crate) fn scan(&self, shard: usize) -> Pinned {
        // SeqCst. Pairs with the fence in `Pinner::confirm`.
        fault::fence(Fault::HolderWithoutFence);
        let mut pinned = Pinned::new();
        if planted(Fault::PinsNotScanned) {
            return pinned;
        }
        self.scan_block(shard, &mut pinned);
        let mut block = self;
        loop {
            // Acquire pairs with the Release in `next_block`.
            // SAFETY: As in `next_block`, a linked block lives until `Pins::drop`. The pointer is
            // null while there is no further block.
            let next = unsafe { block.next.load(Ordering::Acquire).as_ref() };
            let Some(next) = next.filter(|_| !planted(Fault::FirstBlockOnly)) else {
                return pinned;
            };
            block = next;
            // Acquire pairs with the Release in `Pinner::drop`: the reads of readers that have left
            // this block happen before the scan returns.
            if block.busy.load(Ordering::Acquire) > 0 {
                block.scan_block(shard, &mut pinned);
            }
        }
    }

    fn scan_block(&self, shard: usize, pinned: &mut Pinned) {
        for words in &self.readers {
            // Acquire, here and below, pairs with the Releases in `Pinner`: reads under a pin that
            // was moved or cleared happen before the scan returns.
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
        // SAFETY: As in `next_block`, a linked block lives until `Pins::drop`.
        let next = unsafe { self.next.load(Ordering::Acquire).as_ref() };
        size_of_val(&*self.readers) + next.map_or(0, |block| size_of::<Self>() + block.bytes())
    }
}

impl Pinner<'_> {
    /// Pins a slot, and releases the slot that this word pinned before.
    ///
    /// The pin takes effect once it is [confirmed](Self::confirm).
    #[inline]
    pub(crate) fn pin(&self, word: usize, shard: usize, slot: usize) {
        // Release pairs with the Acquire in `scan_block`: what was read under the former pin is
        // read before a scan finds the word changed.
        let release = weaken(Ordering::Release, Fault::PinMovedRelaxed);
        self.words.0[word].store(word_of(shard, slot), release);
    }

    /// Orders the pins before the loads of `evicted` that follow.
    #[inline]
    pub(crate) fn confirm(&self) {
        // SeqCst. Pairs with the fence in `Pins::scan`.
        fault::fence(Fault::ReaderWithoutFence);
    }

    /// Releases the slot that this word pins.
    #[inline]
    pub(crate) fn unpin(&self, word: usize) {
        // Release pairs with the Acquire in `scan_block`, as in `pin`.
        self.words.0[word].store(IDLE, weaken(Ordering::Release, Fault::PinClearedRelaxed));
    }
}

impl Drop for Pinner<'_> {
    fn drop(&mut self) {
        // The first word is cleared last: while it is 0, a scan does not read the others.
        for word in self.words.0[1..].iter().filter(|word| word.load(Ordering::Relaxed) != 0) {
            word.store(0, Ordering::Release);
        }
        // Release pairs with the Acquire in `free_words` and in `scan_block`.
        self.words.0[0].store(0, weaken(Ordering::Release, Fault::PinClearedRelaxed));
        if let Some(busy) = self.busy {
            // Release pairs with the Acquire in `scan`.
            busy.fetch_sub(1, weaken(Ordering::Release, Fault::BlockLeftRelaxed));
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
            // SAFETY: Linked blocks come from `Box::into_raw`, and `&mut self` shows that no other
            // thread has this list any more. Each block is unlinked from its predecessor before it
            // is freed, so it is freed once. Unlinking also keeps this drop from recursing.
            let mut block = unsafe { Box::from_raw(block) };
            next = std::mem::replace(&mut block.next, AtomicPtr::new(ptr::null_mut()));
        }
    }
}

/// The pins of one slot's readers by themselves, for the loom models.
#[cfg(all(loom, feature = "__for_tests"))]
#[derive(Debug)]
pub struct ModelPins(Pins);

/// A registered reader of a [`ModelPins`].
#[cfg(all(loom, feature = "__for_tests"))]
#[derive(Debug)]
pub struct ModelPinner<'a>(Pinner<'a>);

#[cfg(all(loom, feature = "__for_tests"))]
#[allow(missing_docs, reason = "these methods are those of `Pins` and `Pinner`")]
impl ModelPins {
    #[allow(clippy::new_without_default, reason = "only models create one")]
    pub fn new() -> Self {
        Self(Pins::new())
    }

    pub fn register(&self) -> ModelPinner<'_> {
        ModelPinner(self.0.register())
    }

    /// Returns whether a scan finds a pin on this slot.
    pub fn finds(&self, slot: usize) -> bool {
        self.0.scan(0).contains(&slot)
    }

    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

#[cfg(all(loom, feature = "__for_tests"))]
#[allow(missing_docs, reason = "these methods are those of `Pinner`")]
impl ModelPinner<'_> {
    pub fn pin(&self, word: usize, slot: usize) {
        self.0.pin(word, 0, slot);
    }

    pub fn confirm(&self) {
        self.0.confirm();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_scan_finds_the_pins_of_its_shard_until_they_are_released() {
        let pins = Pins::new();
        assert!(pins.scan(0).is_empty());
        let reader = pins.register();
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
    fn blocks_grow_with_the_most_readers_at_once_and_are_reused() {
        let pins = Pins::new();
        let before = pins.bytes();
        let many = |readers: usize| {
            let register = |slot| {
                let reader = pins.register();
                reader.pin(0, 0, slot);
                reader
            };
            (0..readers).map(register).collect::<Vec<_>>()
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
        assert_eq!(pins.bytes(), grown, "existing blocks are used again");
    }
}
