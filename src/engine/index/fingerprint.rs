//! Fingerprints: keyed 64-bit hashes that stand for keys in slots and directories.
//!
//! Senders choose keys: trace ids, service names, span names. A sender that can predict
//! fingerprints can send many keys with the same one, and each lookup then examines all of them.
//! The hash function is therefore SipHash-1-3 (Jean-Philippe Aumasson and Daniel J. Bernstein,
//! *SipHash: a fast short-input PRF*, 2012), which the standard library's
//! [`HashMap`](std::collections::HashMap) uses against HashDoS. Each store has its own hash keys,
//! from the process's random state.
//!
//! The standard library offers SipHash only as a hasher to which bytes are written piece by piece.
//! The `siphasher` crate hashes a whole key at once.
//!
//! Fingerprints are never shown outside the store.

use crate::signal::Key;
use siphasher::sip::SipHasher13;
use std::hash::{BuildHasher, RandomState};

/// The store's hash function.
///
/// A fingerprint only narrows a search down: lookups compare the keys themselves.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprints {
    /// One hasher for each kind of key, so that a text and a number with the same bytes hash
    /// independently.
    kinds: [SipHasher13; 4],
    mask: u64,
}

/// The fingerprint of a record without a key.
pub(crate) const NO_KEY: u64 = 0;

/// The number of values that are no fingerprint: 0 is `NO_KEY`, and 1 is a directory's tombstone.
pub(crate) const RESERVED: u64 = 2;

impl Fingerprints {
    /// Creates a hash function whose keys come from the process's random state.
    ///
    /// `bits` is the width of the fingerprints. Tests use few, so that collisions occur.
    pub(crate) fn random(bits: u32) -> Self {
        let kind = |_| {
            // Each random state has keys of its own. It does not tell them, but a keyed hash of
            // two constants is as hard to predict.
            let state = RandomState::new();
            SipHasher13::new_with_keys(state.hash_one(0), state.hash_one(1))
        };
        Self::new(std::array::from_fn(kind), bits)
    }

    /// Creates a hash function with a known seed, for models and tests, which have to be
    /// repeatable.
    pub(crate) fn fixed(seed: u64, bits: u32) -> Self {
        let kind = |number| SipHasher13::new_with_keys(seed, number as u64);
        Self::new(std::array::from_fn(kind), bits)
    }

    fn new(kinds: [SipHasher13; 4], bits: u32) -> Self {
        Self { kinds, mask: u64::MAX >> (64 - bits.clamp(1, 64)) }
    }

    /// Returns whether two keys are likely to share a fingerprint.
    ///
    /// At full width, the probability that any two of `n` keys do is at most `n²/2⁶¹`, even for
    /// keys that an adversary chooses: slots and directories keep at least 60 bits.
    pub(crate) fn narrow(&self) -> bool {
        self.mask != u64::MAX
    }

    /// Returns the key's fingerprint, which is never 0 or 1. O(length of the key).
    #[inline(always)]
    pub(crate) fn of(&self, key: Key<'_>) -> u64 {
        let [int, id, text, bytes] = &self.kinds;
        let hash = match key {
            Key::Int(number) => int.hash(&number.to_le_bytes()),
            Key::Id(number) => id.hash(&number.to_le_bytes()),
            Key::Text(key) => text.hash(key.as_bytes()),
            Key::Bytes(key) => bytes.hash(key),
        };
        (hash & self.mask).max(RESERVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_fingerprints_stay_in_their_range_and_off_the_reserved_values() {
        let narrow = Fingerprints::fixed(7, 4);
        let prints: std::collections::BTreeSet<u64> =
            (0..1000).map(|n| narrow.of(Key::Int(n))).collect();
        assert!(prints.iter().all(|&print| (RESERVED..16).contains(&print)));
        assert!(prints.len() > 10, "{prints:?}");
    }

    #[test]
    fn different_seeds_give_different_fingerprints() {
        let key = Key::Text("cart");
        assert_ne!(Fingerprints::fixed(1, 64).of(key), Fingerprints::fixed(2, 64).of(key));
    }

    #[test]
    fn each_store_has_its_own_hash_keys() {
        let (one, other) = (Fingerprints::random(64), Fingerprints::random(64));
        for key in [Key::Int(7), Key::Id(7), Key::Text("cart"), Key::Bytes(b"cart")] {
            assert_ne!(one.of(key), other.of(key));
            assert_eq!(one.of(key), one.clone().of(key));
        }
    }

    /// Holds for random hash keys and for fixed ones.
    #[test]
    fn keys_of_different_kinds_with_the_same_bytes_have_different_fingerprints() {
        for prints in [Fingerprints::random(64), Fingerprints::fixed(0, 64)] {
            let number = u64::from_le_bytes(*b"abcdefgh");
            let alike = [Key::Int(number), Key::Text("abcdefgh"), Key::Bytes(b"abcdefgh")];
            let distinct: std::collections::BTreeSet<u64> =
                alike.iter().map(|&key| prints.of(key)).collect();
            assert_eq!(distinct.len(), alike.len());
            assert_ne!(
                prints.of(Key::Id(u128::from(number))),
                prints.of(Key::Text("abcdefgh\0\0\0\0\0\0\0\0"))
            );
        }
    }

    #[test]
    fn only_fingerprints_of_fewer_than_64_bits_are_narrow() {
        assert!(!Fingerprints::fixed(1, 64).narrow() && !Fingerprints::fixed(1, 100).narrow());
        assert!(Fingerprints::fixed(1, 63).narrow() && Fingerprints::fixed(1, 0).narrow());
    }
}
