//! The changes of a series' values over time.

use std::f64::consts::SQRT_2;

use slipring::metric::{Buckets, ExponentialHistogram, Histogram, PointValue, Quantile, Summary};

use super::Shape;
use crate::rng::Rng;

/// Bucket bounds: OpenTelemetry's defaults for seconds, and wider ones for larger quantities.
const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const SIZES: [f64; 10] =
    [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0];

/// Exponential buckets of scale 3, eight per doubling: the number of buckets, and the number of
/// buckets below the typical value.
const BUCKETS: usize = 56;
const BELOW: i32 = 8;
/// 2^(n/8), written out because the results of powers differ between platforms.
#[rustfmt::skip]
const EIGHTHS: [f64; 8] = [
    1.0, 1.0905077326652577, 1.189207115002721, 1.2968395546510096,
    SQRT_2, 1.5422108254079407, 1.681792830507429, 1.8340080864093424,
];

/// The number of measurements that represent all events between two scrapes.
const DRAWS: u64 = 8;

/// Returns a series' value before its first scrape.
pub(super) fn start(shape: Shape) -> PointValue {
    match shape {
        Shape::Counter(_) | Shape::Delta(_) => PointValue::Int(0),
        Shape::Level(around) | Shape::Gauge(around) => PointValue::Int(around),
        Shape::Seconds(_) => PointValue::Double(0.0),
        Shape::Ratio(around) => PointValue::Double(around),
        Shape::Histogram(typical, _) => {
            let bounds: Box<[f64]> = if typical < 1.0 { SECONDS.into() } else { SIZES.into() };
            let bucket_counts = vec![0; bounds.len() + 1].into();
            Histogram {
                sum: Some(0.0),
                bucket_counts,
                explicit_bounds: bounds,
                ..Histogram::default()
            }
            .into()
        }
        Shape::Exponential(typical, _) => {
            let positive =
                Buckets { offset: bucket(typical) - BELOW, bucket_counts: [0; BUCKETS].into() };
            ExponentialHistogram {
                sum: Some(0.0),
                scale: 3,
                positive,
                ..ExponentialHistogram::default()
            }
            .into()
        }
        Shape::Summary(..) => Summary::default().into(),
    }
}

/// Advances a series' value by some seconds.
pub(super) fn advance(
    value: &mut PointValue,
    shape: Shape,
    share: f64,
    seconds: f64,
    rng: &mut Rng,
) {
    let events =
        |rate: f64, rng: &mut Rng| (rate * share * seconds * 2.0 * rng.unit() + rng.unit()) as u64;
    match (shape, value) {
        (Shape::Counter(rate), PointValue::Int(sum)) => *sum += events(rate, rng) as i64,
        (Shape::Delta(rate), PointValue::Int(sum)) => *sum = events(rate, rng) as i64,
        (Shape::Seconds(rate), PointValue::Double(sum)) => *sum += rate * seconds * share * 2.0,
        (Shape::Level(around) | Shape::Gauge(around), PointValue::Int(level)) => {
            // The value drifts back towards its typical value, and moves randomly by up to a
            // sixteenth.
            let push = around / 16;
            *level += (around - *level) / 4 + rng.below(2 * push as u64 + 1) as i64 - push;
        }
        (Shape::Ratio(around), PointValue::Double(level)) => {
            *level += (around - *level) / 4.0 + around * (rng.unit() - 0.5) / 8.0;
        }
        (Shape::Histogram(typical, rate), PointValue::Histogram(histogram)) => {
            measures(events(rate, rng), typical, rng, |measure, times| {
                observe(histogram, measure, times)
            });
        }
        (Shape::Exponential(typical, rate), PointValue::ExponentialHistogram(histogram)) => {
            measures(events(rate, rng), typical, rng, |measure, times| {
                observe_finely(histogram, measure, times)
            });
        }
        (Shape::Summary(typical, rate), PointValue::Summary(summary)) => {
            summary.count += events(rate, rng);
            summary.sum = summary.count as f64 * typical * 1.4;
            let drift = typical * (0.9 + 0.2 * rng.unit());
            let quantiles = [(0.0, 0.7), (0.5, 1.0), (0.9, 2.3), (0.99, 7.0), (1.0, 30.0)];
            summary.quantiles = quantiles
                .map(|(quantile, times)| Quantile { quantile, value: drift * times })
                .into();
        }
        // `start` made the value for this shape.
        _ => {}
    }
}

/// Draws a few measurements, each of which represents a part of the events.
fn measures(events: u64, typical: f64, rng: &mut Rng, mut observe: impl FnMut(f64, u64)) {
    for draw in 0..DRAWS.min(events) {
        let times = events / DRAWS.min(events) + u64::from(draw < events % DRAWS.min(events));
        observe(rng.long_tail(typical), times);
    }
}

fn observe(histogram: &mut Histogram, measure: f64, times: u64) {
    let bucket = histogram.explicit_bounds.partition_point(|bound| *bound < measure);
    histogram.bucket_counts[bucket] += times;
    histogram.count += times;
    histogram.sum = histogram.sum.map(|sum| sum + measure * times as f64);
    histogram.min = Some(histogram.min.map_or(measure, |min| min.min(measure)));
    histogram.max = Some(histogram.max.map_or(measure, |max| max.max(measure)));
}

fn observe_finely(histogram: &mut ExponentialHistogram, measure: f64, times: u64) {
    let place =
        usize::try_from(bucket(measure) - histogram.positive.offset).unwrap_or(0).min(BUCKETS - 1);
    histogram.positive.bucket_counts[place] += times;
    histogram.count += times;
    histogram.sum = histogram.sum.map(|sum| sum + measure * times as f64);
    histogram.min = Some(histogram.min.map_or(measure, |min| min.min(measure)));
    histogram.max = Some(histogram.max.map_or(measure, |max| max.max(measure)));
}

/// Returns the exponential bucket of scale 3 that a measurement falls into: the one whose upper
/// bound is equal to it or the next above it.
fn bucket(measure: f64) -> i32 {
    let exponent = (measure.to_bits() >> 52 & 0x7ff) as i32 - 1023;
    let mantissa = f64::from_bits(measure.to_bits() & 0x000f_ffff_ffff_ffff | 1023 << 52);
    8 * exponent + EIGHTHS.partition_point(|eighth| *eighth < mantissa) as i32 - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_with_its_upper_bound() {
        for (measure, index) in
            [(1.0, -1), (1.01, 0), (1.0905077326652577, 0), (1.1, 1), (2.0, 7), (2.1, 8), (0.5, -9)]
        {
            assert_eq!(bucket(measure), index, "{measure}");
        }
    }

    #[test]
    fn buckets_hold_every_event() {
        let mut rng = Rng::new(5, 5);
        let mut plain = start(Shape::Histogram(0.03, 20.0));
        let mut fine = start(Shape::Exponential(0.03, 20.0));
        for _ in 0..100 {
            advance(&mut plain, Shape::Histogram(0.03, 20.0), 1.0, 10.0, &mut rng);
            advance(&mut fine, Shape::Exponential(0.03, 20.0), 1.0, 10.0, &mut rng);
        }
        let (PointValue::Histogram(plain), PointValue::ExponentialHistogram(fine)) = (plain, fine)
        else {
            panic!()
        };
        assert!(plain.count > 10_000 && fine.count > 10_000);
        assert_eq!(plain.bucket_counts.iter().sum::<u64>(), plain.count);
        assert_eq!(fine.positive.bucket_counts.iter().sum::<u64>(), fine.count);
        // No measurement lies beyond either end of the buckets.
        let ends = [fine.positive.bucket_counts[0], fine.positive.bucket_counts[BUCKETS - 1]];
        assert_eq!(ends, [0, 0]);
    }
}
