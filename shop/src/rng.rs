//! Pseudo-random numbers that are the same on every machine and with every version.
//!
//! The generator is written out here, because the sequence of a crate's generator may change with
//! its version, and a seed in a bug report must yield the same telemetry later. Only IEEE-exact
//! operations are used on doubles, and no logarithms or powers, whose last bits differ between
//! platforms.

/// A SplitMix64 generator (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014).
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// Creates a generator. Generators with different seeds or different streams are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed) ^ mix(!stream))
    }

    #[inline]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number below `end`. The bias is at most `end` in 2^64.
    #[inline]
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// Returns a number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Returns true this many times in ten thousand.
    pub fn chance(&mut self, in_ten_thousand: u16) -> bool {
        self.below(10_000) < u64::from(in_ten_thousand)
    }

    /// Returns a double from 0 to 1, 1 excluded.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// Returns a number distributed like a latency, by a truncated Pareto distribution of shape 2:
    /// half of the numbers are below `median`, most are near it, one in a thousand is above twenty
    /// times it, and none is above thirty-five times it.
    pub fn long_tail(&mut self, median: f64) -> f64 {
        let rest = (1.0 - self.unit()).max(1.0 / 2500.0);
        median * std::f64::consts::FRAC_1_SQRT_2 / rest.sqrt()
    }
}

/// SplitMix64's finalizer. It is one-to-one, and maps 0 to 0.
#[inline]
pub(crate) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_splitmix64s() {
        // The published first outputs for the state 1234567.
        let mut rng = Rng(1_234_567);
        assert_eq!(
            [rng.next(), rng.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }

    #[test]
    fn a_long_tail_has_its_median_and_its_end() {
        let mut rng = Rng::new(1, 1);
        let draws: Vec<f64> = (0..100_000).map(|_| rng.long_tail(100.0)).collect();
        let below = draws.iter().filter(|draw| **draw < 100.0).count();
        assert!((49_000..51_000).contains(&below), "{below}");
        assert!(draws.iter().all(|draw| (70.0..3_600.0).contains(draw)));
    }
}
