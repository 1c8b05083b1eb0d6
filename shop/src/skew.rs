//! Random choices with skewed weights.

use crate::rng::Rng;

/// A table to draw from in constant time. Each choice has a number of cells in proportion to its
/// weight, and at least one.
#[derive(Clone, Debug)]
pub(crate) struct Skew(Box<[u16]>);

impl Skew {
    /// Creates a table of the choices 0 to `choices` - 1. The n-th is drawn 1/n as often as the
    /// first (Zipf's law).
    pub fn zipf(choices: u16) -> Self {
        let weights: Vec<u64> = (1..=u64::from(choices)).map(|rank| 1_000_000 / rank).collect();
        Self::of(&weights)
    }

    /// Creates a table of the choices 0 to `weights.len()` - 1 with these weights.
    pub fn of(weights: &[u64]) -> Self {
        let total: u64 = weights.iter().sum();
        let cells = (weights.len() as u64 * 16).max(1000);
        let shares = weights.iter().map(|weight| (weight * cells).div_ceil(total));
        let filled =
            shares.zip(0..).flat_map(|(share, choice)| std::iter::repeat_n(choice, share as usize));
        Self(filled.collect())
    }

    #[inline]
    pub fn draw(&self, rng: &mut Rng) -> u16 {
        self.at(rng.next() as u32)
    }

    /// Returns the choice that this random number draws.
    #[inline]
    pub fn at(&self, random: u32) -> u16 {
        self.0[((u64::from(random) * self.0.len() as u64) >> 32) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_the_weights_and_every_choice_occurs() {
        let mut rng = Rng::new(3, 3);
        let zipf = Skew::zipf(1000);
        let mut counts = vec![0; 1000];
        (0..1_000_000).for_each(|_| counts[usize::from(zipf.draw(&mut rng))] += 1);
        // The first has 1/H(1000) = 13 %.
        assert!((120_000..140_000).contains(&counts[0]), "{}", counts[0]);
        assert!((55_000..75_000).contains(&counts[1]), "{}", counts[1]);
        assert!(counts.iter().all(|count| *count > 0));
    }
}
