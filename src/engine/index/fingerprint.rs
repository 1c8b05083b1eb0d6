//! Keyed 64-bit hashes that stand for keys in slots and directories.
//!
//! Senders choose keys: trace ids, service names, span names. Whoever can predict fingerprints can send keys that all have
//! one, and each lookup then looks at all of them. So the hash function is the standard library's SipHash-1-3, which
//! [`HashMap`](std::collections::HashMap) documents as resistant against HashDoS, and each store has keys of its own from
//! the process's random state. SipHash: Aumasson and Bernstein, *SipHash: a fast short-input PRF*, 2012.
//!
//! Fingerprints are never shown to anybody outside of the store.

use crate::signal::Key;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};

/// The store's hash function. A fingerprint only narrows a search down: lookups compare the keys themselves.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprints {
    /// One for each kind of key, so that a text and a number with the same bytes are as independent as any two keys.
    kinds: [DefaultHasher; 4],
    mask: u64,
}

/// Stands where a record has no key.
pub(crate) const NO_KEY: u64 = 0;

/// Values that are no fingerprint: `NO_KEY`, and directory cells use 1 for "was here once".
pub(crate) const RESERVED: u64 = 2;

impl Fingerprints {
    /// Keys the hash function with the process's random state. `bits` narrows the fingerprints, so that tests meet
    /// collisions.
    pub(crate) fn random(bits: u32) -> Self {
        // Each state has keys of its own.
        Self::new(std::array::from_fn(|_| RandomState::new().build_hasher()), bits)
    }

    /// Keys the hash function with a seed that anybody may know: for models and tests, which have to repeat themselves.
    pub(crate) fn fixed(seed: u64, bits: u32) -> Self {
        let kind = |number: usize| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(seed);
            hasher.write_u64(number as u64);
            hasher
        };
        Self::new(std::array::from_fn(kind), bits)
    }

    fn new(kinds: [DefaultHasher; 4], bits: u32) -> Self {
        Self { kinds, mask: u64::MAX >> (64 - bits.clamp(1, 64)) }
    }

    /// Whether two keys may well share a fingerprint. At full width, the chance that any two of n keys do is at most n²/2⁶¹,
    /// whoever chooses them: slots and directories keep at least 60 bits.
    pub(crate) fn narrow(&self) -> bool {
        self.mask != u64::MAX
    }

    /// The key's fingerprint: never 0 or 1. O(length of the key).
    #[inline(always)]
    pub(crate) fn of(&self, key: Key<'_>) -> u64 {
        let [int, id, text, bytes] = &self.kinds;
        let mut hasher;
        match key {
            Key::Int(number) => {
                hasher = int.clone();
                hasher.write_u64(number);
            }
            Key::Id(number) => {
                hasher = id.clone();
                hasher.write_u128(number);
            }
            Key::Text(key) => {
                hasher = text.clone();
                hasher.write(key.as_bytes());
            }
            Key::Bytes(key) => {
                hasher = bytes.clone();
                hasher.write(key);
            }
        }
        (hasher.finish() & self.mask).max(RESERVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_fingerprints_stay_in_their_range_and_off_the_reserved_values() {
        let narrow = Fingerprints::fixed(7, 4);
        let prints: std::collections::BTreeSet<u64> = (0..1000).map(|n| narrow.of(Key::Int(n))).collect();
        assert!(prints.iter().all(|&print| (RESERVED..16).contains(&print)));
        assert!(prints.len() > 10, "{prints:?}");
    }

    #[test]
    fn seeds_make_different_fingerprints() {
        let key = Key::Text("cart");
        assert_ne!(Fingerprints::fixed(1, 64).of(key), Fingerprints::fixed(2, 64).of(key));
    }

    #[test]
    fn each_store_has_keys_of_its_own() {
        let (one, other) = (Fingerprints::random(64), Fingerprints::random(64));
        for key in [Key::Int(7), Key::Id(7), Key::Text("cart"), Key::Bytes(b"cart")] {
            assert_ne!(one.of(key), other.of(key));
            assert_eq!(one.of(key), one.clone().of(key));
        }
    }

    /// Each kind has hash keys of its own, random or not.
    #[test]
    fn keys_of_different_kinds_with_the_same_bytes_have_fingerprints_of_their_own() {
        for prints in [Fingerprints::random(64), Fingerprints::fixed(0, 64)] {
            let number = u64::from_le_bytes(*b"abcdefgh");
            let alike = [Key::Int(number), Key::Text("abcdefgh"), Key::Bytes(b"abcdefgh")];
            let distinct: std::collections::BTreeSet<u64> = alike.iter().map(|&key| prints.of(key)).collect();
            assert_eq!(distinct.len(), alike.len());
            assert_ne!(prints.of(Key::Id(u128::from(number))), prints.of(Key::Text("abcdefgh\0\0\0\0\0\0\0\0")));
        }
    }

    #[test]
    fn only_what_was_narrowed_is_narrow() {
        assert!(!Fingerprints::fixed(1, 64).narrow() && !Fingerprints::fixed(1, 100).narrow());
        assert!(Fingerprints::fixed(1, 63).narrow() && Fingerprints::fixed(1, 0).narrow());
    }
}
