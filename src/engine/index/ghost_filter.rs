//! The ghost filter: fingerprints of keys whose last record in a shard was evicted lately.
//!
//! With it, a query can report that the records it finds in other shards may be only a part of a
//! key's. It is named after the ghost entries of caches, which remember evicted keys without their
//! values, as in ARC (Nimrod Megiddo and Dharmendra Modha, *ARC: A Self-Tuning, Low Overhead
//! Replacement Cache*, 2003).

use crate::sync::reserve::reserve;
use std::collections::TryReserveError;
use std::sync::atomic::{AtomicU32, Ordering};

/// A fixed-size filter of evicted keys.
///
/// Each fingerprint has one place, where it stays until another one overwrites it. The filter
/// therefore forgets keys and never grows. It reports a key that was not evicted with a probability
/// of 2⁻³¹.
///
/// Its words order no other access. Like those of `sync::Count`, they are std's atomics under loom
/// too.
#[derive(Debug)]
pub(crate) struct GhostFilter(Box<[AtomicU32]>);

impl GhostFilter {
    /// Creates a filter for a ring of this many slots.
    pub(crate) fn new(slots: usize) -> Result<Self, TryReserveError> {
        reserve((slots / 2).next_power_of_two(), || AtomicU32::new(0)).map(Self)
    }

    /// Removes all fingerprints.
    pub(super) fn clear(&self) {
        self.0.iter().for_each(|place| place.store(0, Ordering::Relaxed));
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// Returns the fingerprint's place, and the value that stands for it there.
    ///
    /// The value consists of other bits than the place, and is never 0.
    #[inline]
    fn place(&self, print: u64) -> (&AtomicU32, u32) {
        (&self.0[print as usize & (self.0.len() - 1)], (print >> 32) as u32 | 1)
    }

    /// Adds a fingerprint. Only the holder of the indexer lock calls this.
    #[inline]
    pub(crate) fn insert(&self, print: u64) {
        let (place, value) = self.place(print);
        place.store(value, Ordering::Relaxed);
    }

    /// Returns whether the fingerprint was added and not overwritten since.
    #[inline]
    pub(crate) fn contains(&self, print: u64) -> bool {
        let (place, value) = self.place(print);
        place.load(Ordering::Relaxed) == value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_contains_recent_keys_and_no_others() {
        let filter = GhostFilter::new(1_000).unwrap();
        let print = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (1..=10_000).for_each(|number| filter.insert(print(number)));
        assert!(filter.contains(print(10_000)));
        let known = (9_900..=10_000).filter(|&number| filter.contains(print(number))).count();
        assert!(known > 80, "{known}");
        assert!((10_001..20_000).all(|number| !filter.contains(print(number))));
    }

    #[test]
    fn an_empty_filter_contains_no_key() {
        let filter = GhostFilter::new(1_000).unwrap();
        assert_eq!(filter.bytes(), 512 * 4);
        // No fingerprint's value equals that of an empty place.
        assert!((0..8).all(|high| !filter.contains(high << 32 | 5)));
        filter.insert(1 << 32 | 5);
        assert!(
            filter.contains(1 << 32 | 5)
                && !filter.contains(3 << 32 | 5)
                && !filter.contains(1 << 32 | 6)
        );
    }
}
