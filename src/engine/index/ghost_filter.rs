//! Keys that have lately left a shard: so that what is still in other shards can be called a part.

use crate::sync::reserve::reserve;
use std::collections::TryReserveError;
use std::sync::atomic::{AtomicU32, Ordering};

/// Remembers fingerprints of keys whose last record in the shard was evicted, each in the one place that it may have, until
/// another one takes that place. So it forgets, and never grows; that it knows a key that did not leave has a chance of 2⁻³¹.
///
/// A note that orders nothing, like `sync::Count`: std's atomics also under loom.
#[derive(Debug)]
pub(crate) struct GhostFilter(Box<[AtomicU32]>);

impl GhostFilter {
    /// For a ring of so many slots.
    pub(crate) fn new(slots: usize) -> Result<Self, TryReserveError> {
        reserve((slots / 2).next_power_of_two(), || AtomicU32::new(0)).map(Self)
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.0.iter().for_each(|place| place.store(0, Ordering::Relaxed));
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// Where the fingerprint belongs, and what of it is kept there: other bits, and never 0.
    fn place(&self, print: u64) -> (&AtomicU32, u32) {
        (&self.0[print as usize & (self.0.len() - 1)], (print >> 32) as u32 | 1)
    }

    /// For the token holder.
    #[inline]
    pub(crate) fn note(&self, print: u64) {
        let (place, rest) = self.place(print);
        place.store(rest, Ordering::Relaxed);
    }

    pub(crate) fn knows(&self, print: u64) -> bool {
        let (place, rest) = self.place(print);
        place.load(Ordering::Relaxed) == rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_what_left_lately_and_nothing_else() {
        let departed = GhostFilter::new(1_000).unwrap();
        let print = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (1..=10_000).for_each(|number| departed.note(print(number)));
        assert!(departed.knows(print(10_000)));
        let known = (9_900..=10_000).filter(|&number| departed.knows(print(number))).count();
        assert!(known > 80, "{known}");
        assert!((10_001..20_000).all(|number| !departed.knows(print(number))));
    }

    #[test]
    fn nothing_is_known_of_what_never_left_and_its_bytes_are_told() {
        let departed = GhostFilter::new(1_000).unwrap();
        assert_eq!(departed.bytes(), 512 * 4);
        // Whatever is kept of a fingerprint, it is not what an empty place has.
        assert!((0..8).all(|high| !departed.knows(high << 32 | 5)));
        departed.note(1 << 32 | 5);
        assert!(departed.knows(1 << 32 | 5) && !departed.knows(3 << 32 | 5) && !departed.knows(1 << 32 | 6));
    }
}
