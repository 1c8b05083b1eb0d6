//! Fingerprints: keyed 64-bit hashes that stand for keys in slots and directories.
//!
//! Senders choose keys: trace ids, service names, span names. A sender that can predict
//! fingerprints can send many keys with the same one, and each lookup then examines all of them.
//! Each store therefore has its own random hash keys, and a hash function from a universal family, as
//! Scott Crosby and Dan Wallach propose against this (*Denial of service via algorithmic complexity
//! attacks*, USENIX Security 2003).
//!
//! **Numbers, ids and texts of up to 64 bytes** are hashed by *vector multiply-shift* (Martin
//! Dietzfelbinger, *Universal hashing and k-wise independent random variables via integer arithmetic
//! without primes*, STACS 1996; Mikkel Thorup, *High speed hashing for integers and strings*, 2015).
//! A key is a vector of words `x`. With random `a` and `b` of 128 bits, its hash is the upper half of
//! `b + Σ aᵢxᵢ` modulo 2¹²⁸. It is strongly universal: the hashes of two different vectors are
//! independent, and equal with a probability of 2⁻⁶⁴: 2⁻⁶⁰ at most for the bits that a store keeps. All
//! products can be computed at once.
//!
//! The hash is linear, so keys at equal distances would have hashes at equal distances. It is
//! therefore mixed at the end: by steps that can be undone, so that different hashes stay different.
//!
//! **Longer texts** are hashed by SipHash-1-3 (Jean-Philippe Aumasson and Daniel J. Bernstein,
//! *SipHash: a fast short-input PRF*, 2012), which the standard library's
//! [`HashMap`](std::collections::HashMap) uses against HashDoS.
//!
//! Both hold against keys that were chosen without sight of any fingerprint. So fingerprints are
//! never shown outside the store.

use crate::signal::Key;
use siphasher::sip::SipHasher13;
use std::hash::{BuildHasher, RandomState};

/// The number of words of the longest text that multiply-shift hashes.
const WORDS: usize = 8;

/// The number of bytes of a word.
const WORD: usize = size_of::<u64>();

/// The store's hash function.
///
/// A fingerprint only narrows a search down: lookups compare the keys themselves.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprints {
    /// The `b` of each kind of key, so that a text and a number with the same bytes hash
    /// independently.
    kinds: [u128; 4],
    /// The `a` of each word of a key.
    words: [u128; WORDS],
    /// The `a` of a text's length and of its last word, which may overlap the word before.
    ends: [u128; 2],
    /// An odd number for the steps at the end.
    mix: u64,
    long: [SipHasher13; 2],
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
        // Each random state has keys of its own. It does not tell them, but keyed hashes of
        // different constants are as hard to predict.
        let state = RandomState::new();
        Self::new(|number| state.hash_one(number), bits)
    }

    /// Creates a hash function with a known seed, for models and tests, which have to be
    /// repeatable.
    pub(crate) fn fixed(seed: u64, bits: u32) -> Self {
        let seeded = SipHasher13::new_with_keys(seed, 0);
        Self::new(|number: u64| seeded.hash(&number.to_le_bytes()), bits)
    }

    /// Creates a hash function from random words, which `random` returns for different numbers.
    fn new(random: impl Fn(u64) -> u64, bits: u32) -> Self {
        let mut number = 0;
        let mut word = || {
            number += 1;
            random(number)
        };
        let mut wide = || u128::from(word()) << 64 | u128::from(word());
        let (kinds, words) = (std::array::from_fn(|_| wide()), std::array::from_fn(|_| wide()));
        let ends = [wide(), wide()];
        Self {
            kinds,
            words,
            ends,
            mix: word() | 1,
            long: std::array::from_fn(|_| SipHasher13::new_with_keys(word(), word())),
            mask: u64::MAX >> (64 - bits.clamp(1, 64)),
        }
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
        let [int, id, text, bytes] = self.kinds;
        let [first, second, ..] = self.words;
        let hash = match key {
            Key::Int(number) => self.mixed(int.wrapping_add(times(first, number))),
            Key::Id(number) => {
                let (low, high) = (number as u64, (number >> 64) as u64);
                self.mixed(id.wrapping_add(times(first, low)).wrapping_add(times(second, high)))
            }
            Key::Text(key) => self.of_bytes(key.as_bytes(), text, &self.long[0]),
            Key::Bytes(key) => self.of_bytes(key, bytes, &self.long[1]),
        };
        (hash & self.mask).max(RESERVED)
    }

    /// Hashes a text or bytes.
    ///
    /// Not inlined, so that the loop over a record's indexes is short enough to be unrolled, and the
    /// kind of each key is known. With it inlined, the loop stayed a loop in one of two programs, and
    /// a push of a flat record with three keys took 614 instructions in place of 528.
    #[inline(never)]
    fn of_bytes(&self, key: &[u8], kind: u128, long: &SipHasher13) -> u64 {
        if key.len() > WORDS * WORD {
            return long.hash(key);
        }
        let (whole, _) = key.as_chunks::<WORD>();
        let [length, last] = self.ends;
        let ends = times(length, key.len() as u64).wrapping_add(times(last, last_word(key)));
        let mut sum = kind.wrapping_add(ends);
        for (word, &random) in whole.iter().zip(&self.words) {
            sum = sum.wrapping_add(times(random, u64::from_le_bytes(*word)));
        }
        self.mixed(sum)
    }

    /// Returns the hash of a key from the sum of its products.
    #[inline(always)]
    fn mixed(&self, sum: u128) -> u64 {
        let hash = (sum >> 64) as u64;
        let hash = (hash ^ hash >> 32).wrapping_mul(self.mix);
        hash ^ hash >> 32
    }
}

/// Returns the product of a random number and a word of a key.
#[inline(always)]
fn times(random: u128, word: u64) -> u128 {
    random.wrapping_mul(u128::from(word))
}

/// Returns a word with the last bytes of a key: with all bytes that are in none of its whole words.
#[inline(always)]
fn last_word(key: &[u8]) -> u64 {
    if let Some(last) = key.last_chunk::<WORD>() {
        return u64::from_le_bytes(*last);
    }
    match (key.first_chunk::<4>(), key.last_chunk::<4>(), key) {
        (Some(first), Some(last), _) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        (.., [first, .., last]) => {
            u64::from(*first) | u64::from(key[key.len() / 2]) << 8 | u64::from(*last) << 16
        }
        (.., [byte]) => u64::from(*byte),
        (.., []) => 0,
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

    /// The lengths include those around whole words and around the change of the hash function.
    #[test]
    fn every_byte_and_the_length_of_a_key_count() {
        let prints = Fingerprints::random(64);
        for length in 0..=2 * WORDS * WORD {
            let key: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let (print, mut longer) = (prints.of(Key::Bytes(&key)), key.clone());
            longer.push(0);
            assert_ne!(print, prints.of(Key::Bytes(&longer)), "length {length}");
            for at in 0..length {
                let mut other = key.clone();
                other[at] ^= 1;
                assert_ne!(print, prints.of(Key::Bytes(&other)), "byte {at} of {length}");
            }
        }
        let zeros = [0; 2 * WORDS * WORD];
        let of_zeros: std::collections::BTreeSet<u64> =
            (0..zeros.len()).map(|length| prints.of(Key::Bytes(&zeros[..length]))).collect();
        assert_eq!(of_zeros.len(), zeros.len());
        let number = 7_u128 << 64 | 9;
        for bit in 0..128 {
            assert_ne!(prints.of(Key::Id(number)), prints.of(Key::Id(number ^ 1 << bit)));
        }
        for bit in 0..64 {
            assert_ne!(prints.of(Key::Int(9)), prints.of(Key::Int(9 ^ 1 << bit)));
        }
    }

    /// Directories and the ghost filter take places from different bits of a fingerprint.
    #[test]
    fn keys_at_equal_distances_spread_like_random_ones() {
        for seed in 0..64 {
            let prints = Fingerprints::fixed(seed, 64);
            for shift in [0, 1, 8, 20, 32, 63, 64, 100] {
                for at in [0, 16, 32, 48, 54] {
                    let mut lines = [0_u32; 1 << 10];
                    (0..4 * lines.len() as u128).for_each(|number| {
                        let print = prints.of(Key::Id(number << shift));
                        lines[(print >> at) as usize % lines.len()] += 1;
                    });
                    // With four random keys a line, one of 1,024 has 24 with a chance of 10⁻⁸.
                    let most = lines.iter().max().copied();
                    assert!(most < Some(24), "seed {seed}, shift {shift}, bit {at}: {most:?}");
                }
            }
        }
    }

    #[test]
    fn only_fingerprints_of_fewer_than_64_bits_are_narrow() {
        assert!(!Fingerprints::fixed(1, 64).narrow() && !Fingerprints::fixed(1, 100).narrow());
        assert!(Fingerprints::fixed(1, 63).narrow() && Fingerprints::fixed(1, 0).narrow());
    }
}
