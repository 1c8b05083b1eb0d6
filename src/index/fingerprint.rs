//! Keyed 64-bit hashes that stand for keys in slots and directories.

use crate::signal::Key;
use foldhash::quality::FixedState;
use std::hash::{BuildHasher, Hash, Hasher};

/// The store's hash function. A fingerprint only narrows a search down: lookups compare the keys themselves.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprints {
    state: FixedState,
    mask: u64,
}

/// Stands where a record has no key.
pub(crate) const NO_KEY: u64 = 0;

/// Values that are no fingerprint: `NO_KEY`, and directory cells use 1 for "was here once".
pub(crate) const RESERVED: u64 = 2;

impl Fingerprints {
    /// `bits` narrows the fingerprints, so that tests meet collisions.
    pub(crate) fn new(seed: u64, bits: u32) -> Self {
        Self { state: FixedState::with_seed(seed), mask: u64::MAX >> (64 - bits.clamp(1, 64)) }
    }

    /// Whether two keys may well share a fingerprint. At 64 bits, the chance that any two of n keys do is n²/2⁶⁵.
    pub(crate) fn narrow(&self) -> bool {
        self.mask != u64::MAX
    }

    /// The key's fingerprint: never 0 or 1. O(length of the key).
    #[inline(always)]
    pub(crate) fn of(&self, key: Key<'_>) -> u64 {
        let mut hasher = self.state.build_hasher();
        match key {
            Key::Int(number) => hasher.write_u64(number),
            Key::Id(id) => hasher.write_u128(id),
            Key::Text(text) => hasher.write(text.as_bytes()),
            Key::Bytes(bytes) => bytes.hash(&mut hasher),
        }
        (hasher.finish() & self.mask).max(RESERVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_fingerprints_stay_in_their_range_and_off_the_reserved_values() {
        let narrow = Fingerprints::new(7, 4);
        let prints: std::collections::BTreeSet<u64> = (0..1000).map(|n| narrow.of(Key::Int(n))).collect();
        assert!(prints.iter().all(|&print| (RESERVED..16).contains(&print)));
        assert!(prints.len() > 10, "{prints:?}");
    }

    #[test]
    fn seeds_make_different_fingerprints() {
        let key = Key::Text("cart");
        assert_ne!(Fingerprints::new(1, 64).of(key), Fingerprints::new(2, 64).of(key));
    }

    #[test]
    fn only_what_was_narrowed_is_narrow() {
        assert!(!Fingerprints::new(1, 64).narrow() && !Fingerprints::new(1, 100).narrow());
        assert!(Fingerprints::new(1, 63).narrow() && Fingerprints::new(1, 0).narrow());
    }
}
