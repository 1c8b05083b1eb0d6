//! Pins without a store around them: a slot is written only when no reader reads it, whichever words
//! and blocks the readers have.

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use slipring::{ModelPinner, ModelPins};
use slipring_loom_tests::{RACE, assert_caught, explore};
use std::sync::Arc;

/// Slots with the numbers 0 and 1, the pins of their readers, and how many slots were evicted.
struct Slots {
    pins: ModelPins,
    evicted: AtomicU64,
    slots: [UnsafeCell<u64>; 2],
}

impl Slots {
    #[allow(clippy::arc_with_non_send_sync, reason = "models run on one thread at a time")]
    fn new() -> Arc<Self> {
        let slots = [UnsafeCell::new(0), UnsafeCell::new(0)];
        Arc::new(Self { pins: ModelPins::new(), evicted: AtomicU64::new(0), slots })
    }

    /// Reads the slots that a reader has pinned, each in the word of the same number.
    fn read(&self, reader: &ModelPinner<'_>, slots: &[usize]) {
        slots.iter().for_each(|&slot| reader.pin(slot, slot));
        reader.confirm();
        for &slot in slots {
            if self.evicted.load(Ordering::Relaxed) <= slot as u64 {
                // SAFETY: The slot is pinned. loom checks that nobody writes it.
                self.slots[slot].with(|value| unsafe { *value });
            }
        }
    }

    /// Evicts this slot and those before it, and writes the slot if no reader has pinned it.
    fn evict(&self, slot: usize) {
        self.evicted.store(slot as u64 + 1, Ordering::Relaxed);
        if !self.pins.finds(slot) {
            // SAFETY: The slot is not pinned. loom checks that nobody reads it.
            self.slots[slot].with_mut(|value| unsafe { *value += 1 });
        }
    }
}

fn spawn(slots: &Arc<Slots>, run: impl Fn(&Slots) + Send + 'static) -> thread::JoinHandle<()> {
    let slots = Arc::clone(slots);
    thread::spawn(move || run(&slots))
}

/// A reader's words are used again by another reader, which pins another slot.
#[test]
fn the_words_of_a_reader_are_used_again() {
    explore("words", 2, || {
        let slots = Slots::new();
        let readers = [0, 1].map(|slot| {
            spawn(&slots, move |slots| {
                let reader = slots.pins.register();
                reader.pin(0, slot);
                reader.confirm();
                if slots.evicted.load(Ordering::Relaxed) <= slot as u64 {
                    // SAFETY: The slot is pinned.
                    slots.slots[slot].with(|value| unsafe { *value });
                }
            })
        });
        slots.evict(0);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

/// A reader leaves while it still pins two slots.
#[test]
fn a_reader_leaves_with_its_pins() {
    explore("two words", 3, || {
        let slots = Slots::new();
        let reader = spawn(&slots, |slots| {
            let reader = slots.pins.register();
            slots.read(&reader, &[0, 1]);
        });
        slots.evict(1);
        reader.join().unwrap();
    });
}

/// The first block of words is full, so that the reader appends one or finds one.
#[test]
fn a_reader_comes_and_leaves_in_a_later_block() {
    explore("later block", 3, || {
        let slots = Slots::new();
        let first = slots.pins.register();
        let reader = spawn(&slots, |slots| slots.read(&slots.pins.register(), &[0]));
        slots.evict(0);
        reader.join().unwrap();
        drop(first);
    });
}

/// Two readers need a further block at once, and a third thread asks for the bytes of all.
#[test]
fn readers_append_a_block_at_once() {
    explore("further block", 2, || {
        let slots = Slots::new();
        let first = slots.pins.register();
        let before = slots.pins.bytes();
        let readers = [0, 1]
            .map(|slot| spawn(&slots, move |slots| slots.read(&slots.pins.register(), &[slot])));
        assert!(slots.pins.bytes() >= before);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert!(slots.pins.bytes() > before);
        drop(first);
    });
}

/// A thread that asks for the bytes of all blocks finds one that is just being appended whole, or not
/// at all.
#[test]
fn a_new_block_is_seen_whole() {
    explore("new block", 3, || {
        let slots = Slots::new();
        let first = slots.pins.register();
        let before = slots.pins.bytes();
        let other = spawn(&slots, move |slots| assert!(slots.pins.bytes() >= before));
        slots.read(&slots.pins.register(), &[0]);
        other.join().unwrap();
        drop(first);
    });
}

#[test]
fn planted_faults_are_caught() {
    for fault in ["ReaderWithoutFence", "HolderWithoutFence", "PinClearedRelaxed"] {
        assert_caught(fault, "a_reader_leaves_with_its_pins", RACE);
        assert_caught(fault, "a_reader_comes_and_leaves_in_a_later_block", RACE);
    }
    assert_caught("PinOwnerRelaxed", "the_words_of_a_reader_are_used_again", RACE);
    assert_caught("FirstBlockOnly", "a_reader_comes_and_leaves_in_a_later_block", RACE);
    assert_caught("BlockLeftRelaxed", "a_reader_comes_and_leaves_in_a_later_block", RACE);
    assert_caught("LinkRelaxed", "readers_append_a_block_at_once", RACE);
}
