//! Exponential buckets, and how two sets of them are brought to the same scale.

use std::collections::BTreeMap;

pub(super) type Numbered = BTreeMap<i64, u64>;

/// Counts by bucket number. Empty buckets are left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exponential {
    pub(super) scale: i32,
    pub(super) zeros: u64,
    pub(super) threshold: f64,
    pub(super) positive: Numbered,
    pub(super) negative: Numbered,
}

impl Exponential {
    /// Brings both to the coarser scale and the wider zero bucket. Empty parts are ignored: the
    /// scale of a histogram without buckets, and the threshold of one without zeros.
    fn align(mut one: Self, mut other: Self) -> (Self, Self) {
        let scale = match (one.has_buckets(), other.has_buckets()) {
            (true, false) => one.scale,
            (false, true) => other.scale,
            _ => one.scale.min(other.scale),
        };
        let threshold = |this: &Self| if this.zeros > 0 { this.threshold } else { 0.0 };
        let mut wider = threshold(&one).max(threshold(&other));
        for this in [&mut one, &mut other] {
            this.positive = coarser(&this.positive, this.scale, scale);
            this.negative = coarser(&this.negative, this.scale, scale);
            this.scale = scale;
            // A bucket that contains the threshold goes into the zero bucket whole, as in
            // Prometheus.
            for side in [&this.positive, &this.negative] {
                let within = |number: &i64| {
                    bound(*number, scale) < wider && wider < bound(*number + 1, scale)
                };
                if let Some(number) = side.keys().copied().find(within) {
                    wider = bound(number + 1, scale);
                }
            }
        }
        for this in [&mut one, &mut other] {
            this.threshold = wider;
            for side in [&mut this.positive, &mut this.negative] {
                side.retain(|&number, count| {
                    let is_zero = bound(number + 1, scale) <= wider;
                    this.zeros = this.zeros.saturating_add(if is_zero { *count } else { 0 });
                    !is_zero
                });
            }
        }
        (one, other)
    }

    /// Combines both bucket by bucket; `None` if `by` fails for one.
    pub(super) fn combine(self, other: Self, by: impl Fn(u64, u64) -> Option<u64>) -> Option<Self> {
        let (one, other) = Self::align(self, other);
        let each = |mut one: Numbered, other: Numbered| {
            for (number, count) in other {
                let sum = by(one.get(&number).copied().unwrap_or(0), count)?;
                one.insert(number, sum);
            }
            one.retain(|_, count| *count > 0);
            Some(one)
        };
        Some(Self {
            scale: one.scale,
            zeros: by(one.zeros, other.zeros)?,
            threshold: one.threshold,
            positive: each(one.positive, other.positive)?,
            negative: each(one.negative, other.negative)?,
        })
    }

    pub(super) fn has_buckets(&self) -> bool {
        !self.positive.is_empty() || !self.negative.is_empty()
    }
}

/// Returns the lower bound of a bucket.
pub(super) fn bound(number: i64, scale: i32) -> f64 {
    if number == 0 {
        // At scales that no sender has, the factor is infinite, and nothing times that is not a
        // number.
        return 1.0;
    }
    (number as f64 * (-f64::from(scale)).exp2()).exp2()
}

/// Merges buckets into those of a coarser scale. Each scale down puts two buckets together.
pub(super) fn coarser(buckets: &Numbered, from: i32, to: i32) -> Numbered {
    let steps = (i64::from(from) - i64::from(to)).min(63);
    let mut coarse = Numbered::new();
    for (number, count) in buckets {
        let sum: &mut u64 = coarse.entry(number >> steps).or_default();
        *sum = sum.saturating_add(*count);
    }
    coarse
}
