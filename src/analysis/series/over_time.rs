//! What series measured in equal steps of time.

use super::writers::{Reading, Step, steps};
use super::{Distribution, Increment, Series};
use crate::signal::Temporality;
use std::num::NonZeroU64;
use std::ops::Range;

/// What a counter or a histogram measured in one step of time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SeriesStep {
    /// The start of the step, in nanoseconds since the Unix epoch.
    pub start: u64,
    /// The growth of a sum's value, or of a histogram's count. Growth between two points is taken
    /// to be even, so that each step has its part of it.
    pub amount: f64,
    /// The growth per second in the part of the step that points cover; `None` if they cover none
    /// of it.
    pub per_second: Option<f64>,
    /// The distribution of what a histogram measured. Measurements between two points count in the
    /// step of the later point. `None` if the step has none, or if the buckets change in it.
    pub distribution: Option<Distribution>,
    /// Whether two distributions met whose buckets differ.
    mixed: bool,
}

impl SeriesStep {
    fn measure(&mut self, distribution: Option<&Distribution>) {
        let Some(more) = distribution.filter(|_| !self.mixed) else { return };
        self.distribution = match self.distribution.take() {
            None => Some(more.clone()),
            Some(known) => known.plus(more),
        };
        self.mixed = self.distribution.is_none();
    }

    /// Adds what another series measured in the same step: amounts and rates are summed,
    /// distributions are merged.
    pub fn add(&mut self, other: &Self) {
        self.amount += other.amount;
        self.per_second = match (self.per_second, other.per_second) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        if other.mixed {
            (self.distribution, self.mixed) = (None, true);
        }
        self.measure(other.distribution.as_ref());
    }
}

impl Series {
    /// Returns what the series measured in each step of these times, in order; empty for gauges and
    /// summaries. Growth is counted as [`increments`](Series::increments) does. Increments without
    /// a known start are left out. O(points + steps).
    ///
    /// ```
    /// use slipring::{MetricPoint, Source};
    /// use slipring::metric::{Metric, MetricKind, Series, Temporality};
    ///
    /// const SECOND: u64 = 1_000_000_000;
    /// let kind = MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: true };
    /// let orders = Source::default().with_metric(&Metric::new("orders", kind));
    /// let point = |second: u64, total: i64| {
    ///     MetricPoint::builder().source(&orders).time_unix_nanos(second * SECOND).value(total).build()
    /// };
    /// let series = Series::assemble(vec![point(60, 100), point(70, 150), point(90, 350)]);
    ///
    /// let steps = series[0].steps(60 * SECOND..90 * SECOND, (10 * SECOND).try_into()?);
    /// let rates: Vec<_> = steps.iter().filter_map(|step| step.per_second).collect();
    /// assert_eq!(rates, [5.0, 10.0, 10.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn steps(&self, times: Range<u64>, step: NonZeroU64) -> Vec<SeriesStep> {
        let growth = self.growth();
        if growth.is_empty() {
            return Vec::new();
        }
        let length = step.get();
        let mut all: Vec<SeriesStep> = (times.clone())
            .step_by(usize::try_from(length).unwrap_or(usize::MAX))
            .map(|start| SeriesStep {
                start,
                amount: 0.0,
                per_second: None,
                distribution: None,
                mixed: false,
            })
            .collect();
        let mut covered = vec![0_u64; all.len()];
        for (increment, distribution) in &growth {
            let (Some(from), to) = (increment.from, increment.to) else { continue };
            let (first, last) = (from.max(times.start), to.min(times.end));
            if first >= last {
                continue;
            }
            let place = |time: u64| ((time - times.start) / length) as usize;
            for at in place(first)..=place(last - 1) {
                let (start, end) = (all[at].start, all[at].start.saturating_add(length));
                let part = last.min(end) - first.max(start);
                all[at].amount += increment.amount * (part as f64 / (to - from) as f64);
                covered[at] = covered[at].saturating_add(part);
            }
            if to <= times.end {
                all[place(to - 1)].measure(distribution.as_ref());
            }
        }
        for (one, covered) in all.iter_mut().zip(covered) {
            // Writers that overlap in time cover a step more than once.
            let covered = covered.min(length);
            one.per_second = (covered > 0).then(|| one.amount / (covered as f64 / 1e9));
        }
        all
    }

    /// Returns each increment, and for histograms the distribution of what was measured in it.
    fn growth(&self) -> Vec<(Increment, Option<Distribution>)> {
        let distributions: Vec<Option<Distribution>> = match self.temporality() {
            Some(Temporality::Delta) => {
                self.recorded().filter_map(Reading::of).map(|one| one.spread).collect()
            }
            Some(Temporality::Cumulative) => {
                let readings: Vec<Reading<'_>> = self.timed().collect();
                let spread = |at: usize| readings[at].spread.as_ref();
                let grown = |step| match step {
                    Step::Growth { before, at } => spread(at)?.minus(spread(before)?)?,
                    Step::Reset { at, .. } => spread(at).cloned(),
                };
                steps(&readings, self.is_monotonic()).into_iter().map(grown).collect()
            }
            _ => Vec::new(),
        };
        // Both walk the same points in the same order.
        self.increments().into_iter().zip(distributions).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{Histogram, Metric, MetricKind, MetricPoint, PointValue, Source};

    const SECOND: u64 = 1_000_000_000;

    fn ten() -> NonZeroU64 {
        NonZeroU64::new(10 * SECOND).unwrap()
    }

    fn series(kind: MetricKind, points: &[(u64, u64, PointValue)]) -> Series {
        let source = Source::default().with_metric(&Metric::new("a", kind));
        let point = |(start, time, value): &(u64, u64, PointValue)| {
            MetricPoint::builder()
                .source(&source)
                .start_unix_nanos(start * SECOND)
                .time_unix_nanos(time * SECOND)
                .value(value.clone())
                .build()
        };
        Series::assemble(points.iter().map(point).collect()).remove(0)
    }

    fn counter(temporality: Temporality, points: &[(u64, u64, i64)]) -> Series {
        let points: Vec<_> =
            points.iter().map(|&(start, time, value)| (start, time, value.into())).collect();
        series(MetricKind::Sum { temporality, monotonic: true }, &points)
    }

    fn histogram(points: &[(u64, &[u64])]) -> Series {
        let value = |counts: &[u64]| -> PointValue {
            Histogram {
                count: counts.iter().sum(),
                bucket_counts: counts.into(),
                explicit_bounds: (1..counts.len()).map(|bound| bound as f64).collect(),
                ..Histogram::default()
            }
            .into()
        };
        let points: Vec<_> =
            points.iter().map(|&(time, counts)| (1, time, value(counts))).collect();
        series(MetricKind::Histogram { temporality: Temporality::Cumulative }, &points)
    }

    fn rates(series: &Series, times: Range<u64>) -> Vec<Option<f64>> {
        let steps = series.steps(times.start * SECOND..times.end * SECOND, ten());
        steps.iter().map(|step| step.per_second).collect()
    }

    #[test]
    fn growth_is_spread_over_the_steps_that_it_took() {
        // 30 in the thirty seconds from 65 to 95, which is 1 in each second.
        let slow = counter(Temporality::Cumulative, &[(1, 65, 0), (1, 95, 30)]);
        assert_eq!(rates(&slow, 60..100), [Some(1.0); 4]);
        let amounts: Vec<f64> =
            slow.steps(60 * SECOND..100 * SECOND, ten()).iter().map(|step| step.amount).collect();
        assert_eq!(amounts, [5.0, 10.0, 10.0, 5.0]);
        // Times outside are cut off.
        assert_eq!(rates(&slow, 70..80), [Some(1.0)]);
        assert_eq!(rates(&slow, 100..120), [None, None]);
    }

    #[test]
    fn a_reset_is_no_negative_rate() {
        let reset =
            counter(Temporality::Cumulative, &[(1, 60, 1_000), (1, 70, 1_050), (75, 80, 20)]);
        assert_eq!(rates(&reset, 60..80), [Some(5.0), Some(2.0)]);
    }

    #[test]
    fn deltas_count_from_their_start_and_a_gap_has_no_rate() {
        let delta = counter(Temporality::Delta, &[(60, 70, 10), (90, 100, 40)]);
        assert_eq!(rates(&delta, 60..100), [Some(1.0), None, None, Some(4.0)]);
        let gauge = series(MetricKind::Gauge, &[(0, 60, 5.into()), (0, 70, 6.into())]);
        assert_eq!(rates(&gauge, 60..80), []);
    }

    #[test]
    fn a_histogram_has_a_distribution_in_each_step() {
        let spread = histogram(&[(60, &[5, 5, 0]), (70, &[15, 5, 0]), (80, &[15, 5, 10])]);
        let steps = spread.steps(60 * SECOND..80 * SECOND, ten());
        let quantile = |step: &SeriesStep| step.distribution.as_ref()?.quantile(0.5);
        assert_eq!(steps.iter().map(quantile).collect::<Vec<_>>(), [Some(0.5), Some(2.0)]);
        assert_eq!(steps.iter().map(|step| step.amount).collect::<Vec<_>>(), [10.0, 10.0]);
    }

    #[test]
    fn sums_over_series_add_rates_and_merge_distributions() {
        let one = histogram(&[(60, &[0, 0]), (70, &[10, 0])]);
        let other = histogram(&[(60, &[0, 0]), (65, &[0, 10])]);
        let step = |series: &Series| series.steps(60 * SECOND..70 * SECOND, ten()).remove(0);
        let mut sum = step(&one);
        sum.add(&step(&other));
        // The other one grew by 10 in the five seconds that it was seen.
        assert_eq!((sum.amount, sum.per_second), (20.0, Some(3.0)));
        assert_eq!(sum.distribution.as_ref().map(Distribution::count), Some(20));
        // Other buckets can't be merged, nor can what comes after them.
        sum.add(&step(&histogram(&[(60, &[0, 0, 0]), (70, &[1, 1, 1])])));
        sum.add(&step(&one));
        assert_eq!((sum.amount, sum.distribution), (33.0, None));
    }
}
