//! A shard by itself, for loom models of what takes too many steps with a store around it.
//!
//! Each method is one or a few calls of the shipped code. A model's threads stand for producers,
//! holders of the indexer lock, and readers.

#![allow(missing_docs, reason = "only models call these")]

use super::{IndexerGuard, Shard};
use crate::engine::ring::{MoveOut, RecordMeta};
use crate::{Index, Key, Signal};
use std::ops::Range;

/// A record with one key.
#[derive(Debug)]
pub struct ModelRecord {
    /// Owned memory, so that a second drop would show.
    _body: Box<u64>,
}

impl Signal for ModelRecord {
    const NAME: &'static str = "model";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes = [Index::new("key", |_| Some(Key::Int(1)))];

    fn timestamp(&self) -> u64 {
        0
    }
}

/// A shard by itself.
pub struct ModelShard(pub(crate) Shard<ModelRecord>);

/// The indexer lock of a [`ModelShard`], held.
pub struct ModelGuard<'a>(IndexerGuard<'a, ModelRecord>);

/// A fingerprint whose entry goes to the first line of a table.
pub const fn model_print(key: u64) -> u64 {
    key << 8
}

impl ModelShard {
    /// Creates an empty shard.
    pub fn new(capacity: usize, slack: usize) -> Self {
        Self(Shard::new(capacity, slack, 1, None).expect("there is memory"))
    }

    // --- producers ---

    pub fn claim(&self, from: u64, count: u64) -> bool {
        self.0.claim(from, count)
    }

    pub fn claimed(&self) -> u64 {
        self.0.claimed()
    }

    /// Returns the next sequence, for a thread that is about to claim it.
    pub fn sequence_before_claim(&self) -> u64 {
        self.0.claimed_word().sequence()
    }

    /// Publishes a record for a sequence whose slot is free.
    pub fn publish(&self, sequence: u64, key: u64, time: u64) {
        let mut meta = RecordMeta::new();
        (meta.prints, meta.time) = ([model_print(key)], time);
        let slot = self.0.slots.place(sequence);
        let record = ModelRecord { _body: Box::new(sequence) };
        // SAFETY: The model owns the claim on this sequence, and publishes it once. It has moved the
        // slot's former record out (invariant 1). loom checks that nobody else accesses the slot.
        let filled = unsafe { self.0.slots.fill(slot, &record) };
        std::mem::forget(record);
        filled.publish(sequence, 0, &meta);
    }

    /// Claims and publishes a record.
    pub fn push(&self, key: u64, time: u64) {
        let sequence = self.0.claimed();
        assert!(self.claim(sequence, 1));
        self.publish(sequence, key, time);
    }

    pub fn clear(&self) {
        self.0.clear();
    }

    pub fn take_parked_mark(&self) -> bool {
        self.0.take_parked_mark()
    }

    pub fn mark_parked(&self) -> bool {
        self.0.mark_parked()
    }

    pub fn is_settled(&self) -> bool {
        self.0.is_settled()
    }

    // --- holders of the indexer lock ---

    pub fn lock(&self) -> Option<ModelGuard<'_>> {
        self.0.try_lock_indexer().map(ModelGuard)
    }

    pub fn take_over(&self) -> Option<ModelGuard<'_>> {
        self.0.take_over().map(ModelGuard)
    }

    /// Moves a record out of its slot. Returns whether the slot is free now, and whether this call
    /// has moved the record.
    pub fn move_out(&self, sequence: u64) -> (bool, bool) {
        let slot = self.0.slots.place(sequence);
        // SAFETY: The model's readers read no record in place (invariant 1). loom checks that.
        let moved = unsafe { self.0.slots.move_out(slot, sequence, drop) };
        (moved != MoveOut::Unavailable, moved == MoveOut::Moved)
    }

    /// Takes the indexer lock over and puts the first index into use, as a term of its own.
    ///
    /// Panics if that does not succeed although the lock has not been taken over from this thread.
    pub fn replace_index(&self) -> Option<u64> {
        let held = self.0.indexer_lock.held_word()?;
        let term = self.0.indexer_lock.take_over(held, 0)?;
        let is_held = || self.0.indexer_lock.is_held_by(term);
        let replaced = self.0.indexes.replace(term, 0, is_held, |_| ()).is_some();
        // The unlocking reads the newest value, which a load need not.
        assert!(
            replaced || !self.0.indexer_lock.unlock(term, 0),
            "a term that has ended has come back"
        );
        replaced.then_some(term.number())
    }

    /// Returns the term that has put the index in use into use.
    pub fn index_term(&self) -> u64 {
        self.0.indexes.current().1 >> 8
    }

    /// Leases an unused index and initialises it. Returns its number.
    pub fn lease(&self, begin: u64) -> Option<usize> {
        let (index, number) = self.0.indexes.lease(self.0.slots.places() as usize)?;
        index.begin(begin);
        Some(number)
    }

    /// Enters a record that is published into the index of this number.
    pub fn insert_into(&self, number: usize, sequence: u64) {
        let (place, heads) = self.0.slots.adjacent_heads(sequence, 1);
        assert!(heads[0].holds(sequence));
        assert!(self.0.indexes.get(number).insert(&self.0.slots, place, heads, sequence));
    }

    pub fn retire(&self, number: usize) {
        self.0.indexes.retire(number);
    }

    /// Takes the lock over once more and again, and puts the second index into use and then the
    /// first one again, which is initialised to begin at this sequence.
    pub fn reuse_first_index(&self, begin: u64) {
        for number in [1, 0] {
            let held = self.0.indexer_lock.held_word().expect("the lock is held");
            let term = self.0.indexer_lock.take_over(held, number).expect("nobody else does");
            let index = match number {
                0 => self.0.indexes.get(0),
                _ => self.0.indexes.lease(self.0.slots.places() as usize).expect("one is unused").0,
            };
            let begun = self.0.indexes.replace(term, number, || true, |_| index.begin(begin));
            assert!(begun.is_some());
        }
    }

    // --- readers ---

    /// Returns whether the index in use has an entry for a key.
    pub fn finds(&self, key: u64) -> bool {
        self.0.index().0.newest(&self.0.slots, 0, model_print(key)).is_some()
    }

    /// Returns the number of entries of the first index, if that is in use before and after.
    pub fn entries_of_first_index(&self) -> Option<usize> {
        let (index, word) = self.0.index();
        let mut entries = 0;
        index.for_each_place(0, |_| entries += 1);
        (word == 0 && self.0.is_current(word)).then_some(entries)
    }

    /// Returns whether the slot of this sequence's place holds a record.
    pub fn holds_one(&self, sequence: u64) -> bool {
        self.0.slots.head(sequence).sequence().is_some()
    }

    /// Returns whether the record of this sequence is published and in its slot.
    pub fn holds(&self, sequence: u64) -> bool {
        self.0.slots.head(sequence).holds(sequence)
    }

    /// Returns the link of a record, if the record is in its slot before and after.
    pub fn link(&self, sequence: u64) -> Option<u64> {
        let (place, links) = (self.0.slots.place(sequence), self.0.index().0.links());
        self.0.slots.head(sequence).try_read(sequence, |_| links[place].distance(0))
    }

    /// Returns how far the index in use is, unless that is the blank one.
    pub fn indexed(&self) -> Option<u64> {
        let (index, word) = self.0.index();
        (word & 0xFF != 0xFF).then(|| index.indexed())
    }

    pub fn evicted(&self) -> u64 {
        self.0.evicted()
    }

    pub fn directory_bytes(&self) -> usize {
        self.0.directory_bytes(0)
    }
}

impl ModelGuard<'_> {
    /// Enters published records into the index.
    pub fn insert(&self, range: Range<u64>) {
        for sequence in range {
            let (place, heads) = self.0.shard().slots.adjacent_heads(sequence, 1);
            assert!(heads[0].holds(sequence));
            assert!(self.0.index.insert(&self.0.shard().slots, place, heads, sequence));
            self.0.index.set_indexed(sequence + 1);
        }
    }

    /// Removes the entries of records.
    pub fn remove(&self, range: Range<u64>) {
        for sequence in range {
            let (place, heads) = self.0.shard().slots.adjacent_heads(sequence, 1);
            self.0.index.remove(place, heads);
        }
    }

    pub fn skip(&self, sequence: u64) {
        self.0.index.skip(self.0.shard().slots.place(sequence), sequence);
    }

    pub fn evict(&self, from: u64, to: u64) -> bool {
        self.0.evict(from, to)
    }

    /// Returns the `evicted` cursor, as its only writer.
    pub fn evicted(&self) -> u64 {
        self.0.evicted()
    }
}
