//! Remembers the keys that a producer pushed recently, so that readers can ask for records that
//! exist.

use slipring::Indexes as _;
use slipring::{Key, Signal};
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of keys that are remembered.
const KEPT: usize = 4096;

/// The minimum age, in records, of the keys that readers get. At this age a trace is complete,
/// since 16 traces of 8 records each are in progress at once.
const AGED: u64 = 1024;

/// The keys of one producer's newest records in the first index. One thread writes, any number of
/// threads read, and none of them waits.
///
/// A generator's trace ids share their upper half, so one word per key is enough.
#[derive(Debug)]
pub struct Recent {
    upper: Option<u64>,
    lower: Box<[AtomicU64]>,
    /// The number of records noted.
    noted: AtomicU64,
}

impl Recent {
    /// Creates an empty list for records like this one.
    pub fn like<T: Signal>(record: &T) -> Self {
        let upper = match T::INDEXES.as_slice()[0].key(record) {
            Some(Key::Id(id)) => Some((id >> 64) as u64),
            Some(Key::Int(_)) => None,
            other => panic!(
                "records of fixed size have ids or integers as their first key, not {other:?}"
            ),
        };
        Self {
            upper,
            lower: (0..KEPT).map(|_| AtomicU64::new(0)).collect(),
            noted: AtomicU64::new(0),
        }
    }

    /// Remembers a record's key. Only one thread may call this. It costs two plain stores.
    #[inline]
    pub fn note<T: Signal>(&self, record: &T) {
        let lower = match T::INDEXES.as_slice()[0].key(record) {
            Some(Key::Id(id)) => id as u64,
            Some(Key::Int(number)) => number,
            _ => return,
        };
        let noted = self.noted.load(Ordering::Relaxed);
        self.lower[noted as usize % KEPT].store(lower, Ordering::Relaxed);
        // Release pairs with the Acquire in `pick`: a reader that sees the count sees the keys.
        self.noted.store(noted + 1, Ordering::Release);
    }

    /// Returns the key of a record that was noted 1,024 to 3,071 records ago, selected by `draw`.
    pub fn pick(&self, draw: u64) -> Key<'static> {
        let noted = self.noted.load(Ordering::Acquire);
        let age = AGED + draw % (KEPT as u64 / 2);
        let lower = self.lower[noted.saturating_sub(age) as usize % KEPT].load(Ordering::Relaxed);
        self.upper
            .map_or(Key::Int(lower), |upper| Key::Id(u128::from(upper) << 64 | u128::from(lower)))
    }
}

/// A pseudo-random number generator: SplitMix64.
#[derive(Clone, Debug)]
pub struct Draws(pub u64);

impl Iterator for Draws {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(word ^ (word >> 31))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shop::fixed::FixedSpans;

    #[test]
    fn keys_are_of_aged_records() {
        let spans: Vec<_> = FixedSpans::new(1).take(10_000).collect();
        let recent = Recent::like(&spans[0]);
        let trace = shop::fixed::FixedSpan::INDEXES[0];
        spans.iter().for_each(|span| recent.note(span));
        let (young, old) = (spans.len() - AGED as usize, spans.len() - AGED as usize - KEPT / 2);
        for draw in Draws(1).take(1_000) {
            let key = recent.pick(draw);
            assert!(spans[old..=young].iter().any(|span| trace.key(span) == Some(key)));
            assert_eq!(spans.iter().filter(|span| trace.key(span) == Some(key)).count(), 8);
        }
    }
}
