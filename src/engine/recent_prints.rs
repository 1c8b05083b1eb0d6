//! Fingerprints of keys that a thread has used lately.
//!
//! A keyed hash of a short key takes about 128 instructions, and a push takes one for each index.
//! For a flat record of three keys that is nearly half of its instructions. Most records share
//! their keys with records shortly before: a service, a name, a trace. So each thread remembers
//! [`RECENT_PRINTS`] fingerprints, and finds them again by the keys themselves.
//!
//! A sender that sends keys which displace each other makes pushes hash as before. It cannot make
//! one key pass for another, because whole keys are compared. Long texts are not remembered.

use crate::engine::index::Fingerprints;
use crate::engine::tuning::RECENT_PRINTS;
use crate::signal::Key;
use crate::sync::per_thread;
use std::cell::Cell;

/// A key and its fingerprint.
#[derive(Clone, Copy)]
struct Entry {
    /// The number of the hash function, the key's kind and its length. 0 for no entry.
    of: u64,
    key: [u64; 2],
    print: u64,
}

impl Entry {
    const NONE: Self = Self { of: 0, key: [0; 2], print: 0 };
}

per_thread!(RECENT: [Cell<Entry>; RECENT_PRINTS] = [const { Cell::new(Entry::NONE) }; RECENT_PRINTS]);

/// Returns a key's fingerprint: what `prints` says, whose number is unique in the process and not 0.
#[inline]
pub(crate) fn print_of(number: u64, prints: &Fingerprints, key: Key<'_>) -> u64 {
    // Executions of a model share threads, and so would share what earlier ones have left.
    let Some((kind, packed)) = packed(key).filter(|_| !cfg!(loom)) else { return prints.of(key) };
    let of = number << 8 | kind;
    RECENT.with(|recent| {
        let entry = &recent[place_of(packed)];
        let known = entry.get();
        if known.of == of && known.key == packed {
            return known.print;
        }
        let print = prints.of(key);
        entry.set(Entry { of, key: packed, print });
        print
    })
}

/// Returns where a key is remembered. Not a keyed hash: a collision costs one hash.
#[inline(always)]
fn place_of([low, high]: [u64; 2]) -> usize {
    let mixed = (low ^ high.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (64 - RECENT_PRINTS.ilog2())) as usize
}

/// Returns a key's kind and length in eight bits, and its value in two words. Different keys differ
/// in one or the other. `None` for a text that is too long.
#[inline(always)]
fn packed(key: Key<'_>) -> Option<(u64, [u64; 2])> {
    match key {
        Key::Int(number) => Some((0, [number, 0])),
        Key::Id(id) => Some((1 << 6, [id as u64, (id >> 64) as u64])),
        Key::Text(text) => Some((2 << 6 | text.len() as u64, words(text.as_bytes())?)),
        Key::Bytes(bytes) => Some((3 << 6 | bytes.len() as u64, words(bytes)?)),
    }
}

/// Returns up to sixteen bytes as two words: the first and the last eight, which may overlap.
#[inline(always)]
fn words(bytes: &[u8]) -> Option<[u64; 2]> {
    let halves = |low: &[u8], high: &[u8]| {
        let word =
            |half: &[u8]| half.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        [word(low), word(high)]
    };
    if bytes.len() > 16 {
        return None;
    }
    if let (Some(low), Some(high)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return Some([u64::from_le_bytes(*low), u64::from_le_bytes(*high)]);
    }
    if let (Some(low), Some(high)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return Some([u32::from_le_bytes(*low).into(), u32::from_le_bytes(*high).into()]);
    }
    Some(halves(bytes, &[]))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of the keys that a test asks for, some are equal, and many share bytes or a place.
    fn any_key() -> impl Strategy<Value = (u8, Vec<u8>)> {
        (0..4_u8, prop::collection::vec(0..2_u8, 0..20))
    }

    proptest! {
        #[test]
        fn a_fingerprint_is_the_hash_functions_own(
            keys in prop::collection::vec((any_key(), 0..2_usize), 1..200),
        ) {
            let functions = [Fingerprints::fixed(1, 64), Fingerprints::fixed(2, 64)];
            for ((kind, bytes), function) in keys {
                let number = bytes.iter().fold(0, |number, &byte| number << 1 | u64::from(byte));
                let key = match kind {
                    0 => Key::Int(number),
                    1 => Key::Id(u128::from(number) << 60 | 1),
                    2 => Key::Text(std::str::from_utf8(&bytes).unwrap()),
                    _ => Key::Bytes(&bytes),
                };
                let print = print_of(u64::MAX / 512 + function as u64, &functions[function], key);
                prop_assert_eq!(print, functions[function].of(key));
            }
        }
    }

    #[test]
    fn keys_of_another_kind_or_length_are_told_apart() {
        let keys = [
            Key::Int(0),
            Key::Id(0),
            Key::Text(""),
            Key::Bytes(b""),
            Key::Text("\0"),
            Key::Text("\0\0\0\0\0\0\0\0"),
            Key::Text("\0\0\0\0\0\0\0\0\0"),
            Key::Bytes(b"\0"),
        ];
        let all: std::collections::BTreeSet<_> = keys.into_iter().map(packed).collect();
        assert_eq!(all.len(), keys.len());
        assert!(packed(Key::Text("0123456789abcdef")).is_some());
        assert!(packed(Key::Text("0123456789abcdefg")).is_none());
    }
}
