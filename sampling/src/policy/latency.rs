//! The durations of an operation's traces, lately.

/// Eight buckets for each power of two.
const STEPS: u32 = 3;

/// Durations from 1 µs to 73 minutes have buckets of their own. Shorter and longer ones go to the
/// first and the last.
const BUCKETS: usize = 30 << STEPS;

/// Half of what is known is forgotten when this many durations are.
const LATELY: u32 = 2_048;

/// A histogram whose buckets are at most an eighth wider than their lower end, and which forgets.
#[derive(Debug)]
pub(super) struct Durations {
    counts: Box<[u16; BUCKETS]>,
    total: u32,
}

impl Default for Durations {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0 }
    }
}

fn bucket(nanos: u64) -> usize {
    // Units of 1.024 µs, so that the bucket is a matter of shifts.
    let units = nanos >> 10;
    let bucket = match units.checked_ilog2() {
        None => 0,
        Some(power) if power < STEPS => units as usize,
        Some(power) => {
            let step = (units >> (power - STEPS)) as usize & ((1 << STEPS) - 1);
            (((power - STEPS + 1) as usize) << STEPS) + step
        }
    };
    bucket.min(BUCKETS - 1)
}

impl Durations {
    pub(super) fn add(&mut self, nanos: u64) {
        if self.total >= LATELY {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().copied().map(u32::from).sum();
        }
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
    }

    /// Returns whether a duration lies in a higher bucket than the quantile does. False as long as
    /// too few durations are known to tell.
    pub(super) fn is_above(&self, share: f64, nanos: u64) -> bool {
        // Of the quantile 0.99 a hundred durations say something, of the median twenty do.
        let enough = (1.0 / (1.0 - share)).clamp(20.0, f64::from(LATELY) / 2.0);
        if f64::from(self.total) < enough {
            return false;
        }
        let below: u32 = self.counts[..bucket(nanos)].iter().copied().map(u32::from).sum();
        f64::from(below) >= share * f64::from(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_in_order() {
        let mut before = 0;
        for power in 10..42 {
            for step in 0..16u64 {
                let nanos = (1u64 << power) + (step << (power - 4));
                let now = bucket(nanos);
                assert!(now >= before);
                before = now;
            }
        }
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_ne!(bucket(1_000_000), bucket(1_130_000));
    }

    #[test]
    fn a_tail_is_told_and_the_past_forgotten() {
        let mut durations = Durations::default();
        (0..1_000).for_each(|_| durations.add(10_000_000));
        assert!(durations.is_above(0.99, 20_000_000));
        assert!(!durations.is_above(0.99, 10_000_000));
        (0..20_000).for_each(|_| durations.add(40_000_000));
        assert!(!durations.is_above(0.99, 20_000_000), "the operation has become slower");
        assert!(!Durations::default().is_above(0.5, u64::MAX), "nothing is known");
    }
}
