//! What the engine knows of a record before it claims a slot for it.

use crate::signal::Signal;

/// Selects the group of shards that a record may go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Class {
    /// Records that the builder's predicate has not selected.
    #[default]
    Rest,
    /// Records that the builder's predicate has selected.
    Picked,
}

/// What is computed from a record before the claim, so that no user code runs between the claim and
/// the publication (invariant 5).
pub(crate) struct RecordMeta<T: Signal> {
    pub(crate) class: Class,
    /// The fingerprints of the record's keys, 0 for an index in which it has none.
    pub(crate) prints: <T::Indexes as crate::signal::sealed::Indexes>::Prints,
    /// The record's own timestamp.
    pub(crate) time: u64,
    /// The record's own heap bytes, at most `u32::MAX`.
    pub(crate) heap: u32,
}

impl<T: Signal> RecordMeta<T> {
    pub(crate) fn new() -> Self {
        Self {
            class: Class::Rest,
            prints: <T::Indexes as crate::signal::sealed::Indexes>::prints(),
            time: 0,
            heap: 0,
        }
    }

    /// Returns the bytes that the record takes: those of its slot and its own on the heap.
    pub(crate) fn bytes(&self) -> u64 {
        size_of::<T>() as u64 + u64::from(self.heap)
    }
}
