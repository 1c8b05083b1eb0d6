//! The distribution of measurements that histograms describe.

use super::exponential::{Exponential, bound};
use crate::signal::{Buckets, ExponentialHistogram, Histogram, PointValue};

/// The distribution of measurements that one or more histogram points describe.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    spread: Spread,
    /// Bounds on all measurements, if known.
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
enum Spread {
    /// Counts up to and including each bound, and above the last one.
    Explicit {
        bounds: Box<[f64]>,
        counts: Vec<u64>,
    },
    Exponential(Exponential),
}

/// A number of measurements between two values.
struct Bucket {
    low: f64,
    high: f64,
    count: u64,
    /// Whether the bucket is exponential: measurements in it are taken to be spread evenly by order
    /// of magnitude.
    exponential: bool,
}

impl Distribution {
    /// Returns the distribution of one point. `None` if it is no histogram, has no buckets, or has
    /// a number of bounds that does not fit its buckets. A histogram that measured nothing needs no
    /// buckets.
    pub fn of(value: &PointValue) -> Option<Self> {
        let one = match value {
            PointValue::Histogram(histogram) => Self::of_explicit(histogram)?,
            PointValue::ExponentialHistogram(histogram) => Self::of_exponential(histogram),
            _ => return None,
        };
        // A bound that is not finite says nothing.
        let finite = |bound: Option<f64>| bound.filter(|bound| bound.is_finite());
        Some(Self { min: finite(one.min), max: finite(one.max), ..one })
    }

    fn of_explicit(histogram: &Histogram) -> Option<Self> {
        let Histogram { count, bucket_counts, explicit_bounds, min, max, .. } = histogram;
        let suits = bucket_counts.len() == explicit_bounds.len() + 1;
        let empty = *count == 0 && bucket_counts.iter().all(|&count| count == 0);
        let spread =
            Spread::Explicit { bounds: explicit_bounds.clone(), counts: bucket_counts.to_vec() };
        (suits || empty).then_some(Self { spread, min: *min, max: *max })
    }

    fn of_exponential(histogram: &ExponentialHistogram) -> Self {
        let numbered = |buckets: &Buckets| {
            let counts = (i64::from(buckets.offset)..).zip(buckets.bucket_counts.iter().copied());
            counts.filter(|(_, count)| *count > 0).collect()
        };
        let spread = Exponential {
            scale: histogram.scale,
            zeros: histogram.zero_count,
            threshold: if histogram.zero_threshold.is_finite() {
                histogram.zero_threshold.max(0.0)
            } else {
                0.0
            },
            positive: numbered(&histogram.positive),
            negative: numbered(&histogram.negative),
        };
        let spread = Spread::Exponential(spread);
        Self { spread, min: histogram.min, max: histogram.max }
    }

    /// Returns the number of measurements.
    pub fn count(&self) -> u64 {
        self.buckets().iter().fold(0, |sum: u64, bucket| sum.saturating_add(bucket.count))
    }

    fn is_empty(&self) -> bool {
        match &self.spread {
            Spread::Explicit { counts, .. } => counts.iter().all(|&count| count == 0),
            Spread::Exponential(one) => one.zeros == 0 && !one.has_buckets(),
        }
    }

    /// Adds two distributions; `None` if their bounds differ. Exponential ones always fit: the
    /// finer is brought to the coarser scale. An empty distribution changes nothing.
    pub(super) fn plus(self, other: &Self) -> Option<Self> {
        if other.is_empty() {
            return Some(self);
        }
        if self.is_empty() {
            return Some(other.clone());
        }
        let least = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a.min(b));
        let most = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a.max(b));
        let (min, max) = (least(self.min, other.min), most(self.max, other.max));
        let spread = self.spread.combine(&other.spread, |a, b| Some(a.saturating_add(b)))?;
        Some(Self { spread: spread?, min, max })
    }

    /// Subtracts an earlier distribution that this one continues. Returns `Some(None)` if it cannot
    /// be a continuation because a bucket decreased, and `None` if the bounds differ.
    pub(super) fn minus(&self, before: &Self) -> Option<Option<Self>> {
        if before.is_empty() {
            return Some(Some(self.clone()));
        }
        if self.is_empty() {
            return Some(None);
        }
        let spread = self.spread.clone().combine(&before.spread, u64::checked_sub)?;
        Some(spread.map(|spread| Self { spread, min: self.min, max: self.max }))
    }

    /// Returns the value that this share of the measurements, from 0 to 1, does not exceed; `None`
    /// if there are no measurements.
    ///
    /// Within a bucket, measurements are taken to be spread evenly; within an exponential one,
    /// evenly by order of magnitude. In a bucket that lacks a bound, all are taken to lie at the
    /// bound that it has. Prometheus does the same.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let buckets = self.buckets();
        let wanted = share.clamp(0.0, 1.0) * self.count() as f64;
        let mut before = 0.0;
        let mut last = None;
        for bucket in buckets.iter().filter(|bucket| bucket.count > 0) {
            let count = bucket.count as f64;
            let within = ((wanted - before) / count).clamp(0.0, 1.0);
            last = Some(bucket.at(within));
            if before + count >= wanted {
                break;
            }
            before += count;
        }
        let value = last?;
        let value = self.min.map_or(value, |min| value.max(min));
        Some(self.max.map_or(value, |max| value.min(max)))
    }

    /// Returns the buckets in ascending order.
    fn buckets(&self) -> Vec<Bucket> {
        match &self.spread {
            Spread::Explicit { bounds, counts } => {
                let bound = |at: usize| bounds.get(at).copied();
                let bucket = |(at, &count): (usize, &u64)| {
                    let above = bound(at);
                    let below = if at > 0 { bound(at - 1) } else { None };
                    // The first bucket has no lower bound, or reaches down to 0. The last has no
                    // upper bound.
                    let low =
                        below.or(self.min).or(above.map(|above| above.min(0.0))).unwrap_or(0.0);
                    let high = above.or(self.max).unwrap_or(low);
                    Bucket { low: low.min(high), high, count, exponential: false }
                };
                counts.iter().enumerate().map(bucket).collect()
            }
            Spread::Exponential(Exponential { scale, zeros, threshold, positive, negative }) => {
                let bound = |number: i64| bound(number, *scale);
                let below = negative.iter().rev().map(|(&number, &count)| Bucket {
                    low: -bound(number + 1),
                    high: -bound(number),
                    count,
                    exponential: true,
                });
                let zero = Bucket {
                    low: if negative.is_empty() { 0.0 } else { -threshold },
                    high: if positive.is_empty() { 0.0 } else { *threshold },
                    count: *zeros,
                    exponential: false,
                };
                let above = positive.iter().map(|(&number, &count)| Bucket {
                    low: bound(number),
                    high: bound(number + 1),
                    count,
                    exponential: true,
                });
                below.chain([zero]).chain(above).collect()
            }
        }
    }
}

impl Bucket {
    /// Returns the value at this fraction of the bucket, from 0 to 1.
    fn at(&self, share: f64) -> f64 {
        // A bucket without a bound on one side counts as its other bound.
        match (self.low.is_finite(), self.high.is_finite()) {
            (true, true) if self.exponential && self.low != 0.0 && self.high != 0.0 => {
                self.low * (self.high / self.low).powf(share)
            }
            (true, true) => self.low + (self.high - self.low) * share,
            (false, true) => self.high,
            (_, false) => self.low,
        }
    }
}

impl Spread {
    /// Combines both bucket by bucket. Returns `None` if the bounds differ, and `Some(None)` if
    /// `by` fails for a bucket.
    fn combine(self, other: &Self, by: impl Fn(u64, u64) -> Option<u64>) -> Option<Option<Self>> {
        match (self, other) {
            (
                Spread::Explicit { bounds, counts },
                Spread::Explicit { bounds: others, counts: other },
            ) if bounds == *others => {
                let counts: Option<Vec<u64>> =
                    counts.iter().zip(other).map(|(&a, &b)| by(a, b)).collect();
                Some(counts.map(|counts| Spread::Explicit { bounds, counts }))
            }
            (Spread::Exponential(one), Spread::Exponential(other)) => {
                Some(one.combine(other.clone(), by).map(Spread::Exponential))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::series::exponential::{Numbered, coarser};

    fn explicit(bounds: &[f64], counts: &[u64]) -> Distribution {
        let histogram = Histogram {
            explicit_bounds: bounds.into(),
            bucket_counts: counts.into(),
            ..Histogram::default()
        };
        Distribution::of(&histogram.into()).unwrap()
    }

    fn exponential(scale: i32, offset: i32, counts: &[u64], zeros: u64) -> Distribution {
        let positive = Buckets { offset, bucket_counts: counts.into() };
        let histogram =
            ExponentialHistogram { scale, positive, zero_count: zeros, ..Default::default() };
        Distribution::of(&histogram.into()).unwrap()
    }

    #[test]
    fn quantiles_lie_within_their_buckets() {
        let spread = explicit(&[10.0, 20.0, 40.0], &[10, 10, 0, 20]);
        let quantiles =
            [0.0, 0.125, 0.25, 0.375, 0.5, 0.9, 1.0].map(|share| spread.quantile(share).unwrap());
        assert_eq!(quantiles, [0.0, 5.0, 10.0, 15.0, 20.0, 40.0, 40.0]);
        assert_eq!(explicit(&[10.0], &[0, 0]).quantile(0.5), None);
        assert_eq!(
            explicit(&[], &[3]).quantile(0.5),
            Some(0.0),
            "a single bucket without bounds says nothing about its values"
        );
        assert_eq!(explicit(&[-5.0, 5.0], &[2, 0, 0]).quantile(0.5), Some(-5.0));
    }

    #[test]
    fn buckets_without_a_bound_end_at_the_minimum_and_maximum() {
        let value = Histogram {
            explicit_bounds: [10.0].into(),
            bucket_counts: [2, 2].into(),
            min: Some(4.0),
            max: Some(30.0),
            ..Histogram::default()
        };
        let spread = Distribution::of(&value.into()).unwrap();
        assert_eq!(
            [0.0, 0.25, 0.75, 1.0].map(|share| spread.quantile(share).unwrap()),
            [4.0, 7.0, 20.0, 30.0]
        );
    }

    #[test]
    fn exponential_buckets_grow_by_their_factor() {
        // Scale 0: (1, 2], (2, 4], (4, 8].
        let spread = exponential(0, 0, &[1, 1, 2], 0);
        let quantiles = [0.25, 0.5, 0.75, 1.0].map(|share| spread.quantile(share).unwrap());
        assert_eq!(quantiles, [2.0, 4.0, 4.0 * 2f64.sqrt(), 8.0]);
        assert_eq!(exponential(0, 0, &[1], 3).quantile(0.5), Some(0.0));
        let negative = Buckets { offset: 1, bucket_counts: [1].into() };
        let value = ExponentialHistogram { negative, ..Default::default() };
        let spread = Distribution::of(&value.into()).unwrap();
        assert_eq!([0.0, 1.0].map(|share| spread.quantile(share).unwrap()), [-4.0, -2.0]);
    }

    #[test]
    fn adding_brings_the_finer_histogram_to_the_coarser_scale() {
        // Scale 1 has factor √2: buckets 0 and 1 are scale 0's bucket 0, -1 and -2 its bucket -1.
        let fine = exponential(1, -2, &[1, 2, 3, 4], 1);
        let both = fine.plus(&exponential(0, -1, &[10, 20], 2)).unwrap();
        assert_eq!(both, exponential(0, -1, &[13, 27], 3));
        assert_eq!(
            coarser(&Numbered::from([(i64::from(i32::MIN), 1), (5, 1)]), i32::MAX, i32::MIN).len(),
            2
        );
    }

    #[test]
    fn a_continuation_has_no_fewer_in_any_bucket() {
        let (before, after) = (explicit(&[1.0], &[2, 3]), explicit(&[1.0], &[2, 5]));
        assert_eq!(after.minus(&before), Some(Some(explicit(&[1.0], &[0, 2]))));
        assert_eq!(before.minus(&after), Some(None), "the counter was reset");
        assert_eq!(after.minus(&explicit(&[2.0], &[1, 0])), None, "the bounds differ");
        assert_eq!(after.plus(&exponential(0, 0, &[1], 0)), None);
    }
}
