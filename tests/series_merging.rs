//! Merging of distributions: empty points change nothing, and points with only zeros change only
//! the number of zeros.

use slipring::metric::{
    Buckets, ExponentialHistogram, Histogram, Metric, MetricKind, PointValue, Series, Temporality,
};
use slipring::{MetricPoint, Source};

const SECOND: u64 = 1_000_000_000;

fn series(temporality: Temporality, values: Vec<PointValue>) -> Series {
    let kind = match values[0] {
        PointValue::Histogram(_) => MetricKind::Histogram { temporality },
        _ => MetricKind::ExponentialHistogram { temporality },
    };
    let source = Source::default().with_metric(&Metric::new("latency", kind));
    let points = values.into_iter().enumerate().map(|(turn, value)| {
        MetricPoint::builder()
            .source(&source)
            .start_unix_nanos(if temporality == Temporality::Delta {
                (10 + turn as u64) * SECOND
            } else {
                SECOND
            })
            .time_unix_nanos((11 + turn as u64) * SECOND)
            .value(value)
            .build()
    });
    Series::assemble(points.collect()).remove(0)
}

fn explicit(bounds: &[f64], counts: &[u64]) -> Histogram {
    let count = counts.iter().sum();
    Histogram {
        count,
        bucket_counts: counts.into(),
        explicit_bounds: bounds.into(),
        ..Histogram::default()
    }
}

fn exponential(
    scale: i32,
    offset: i32,
    counts: &[u64],
    zeros: u64,
    threshold: f64,
) -> ExponentialHistogram {
    ExponentialHistogram {
        count: counts.iter().sum::<u64>() + zeros,
        scale,
        zero_count: zeros,
        zero_threshold: threshold,
        positive: Buckets { offset, bucket_counts: counts.into() },
        ..Default::default()
    }
}

fn quantiles(series: &Series) -> [Option<f64>; 4] {
    [0.01, 0.5, 0.9, 0.99].map(|share| series.quantile(share))
}

/// Empty points before, between and after other points leave the result unchanged.
fn neutral(temporality: Temporality, some: &[PointValue], nothing: Vec<PointValue>) {
    let alone = quantiles(&series(temporality, some.to_vec()));
    assert!(alone[1].is_some());
    for empty in nothing {
        // An empty point between cumulative points is a reset.
        let places = if temporality == Temporality::Delta { some.len() } else { 0 };
        for place in 0..=places {
            let mut values = some.to_vec();
            values.insert(place, empty.clone());
            let with = series(temporality, values);
            assert_eq!(quantiles(&with), alone, "{empty:?} at {place}");
        }
    }
}

#[test]
fn an_empty_exponential_point_is_neutral() {
    let low = ExponentialHistogram {
        min: Some(98.5),
        max: Some(101.0),
        ..exponential(5, 212, &[100], 0, 0.0)
    };
    let median = series(Temporality::Delta, vec![low.clone().into()]).quantile(0.5).unwrap();
    assert!((median - 99.7).abs() < 0.1, "{median}");
    let nothing = [
        exponential(0, 0, &[], 0, 0.0),
        exponential(-10, 7, &[0, 0], 0, 0.0),
        exponential(20, -7, &[0], 0, 50.0),
        exponential(0, 0, &[], 0, f64::NAN),
        ExponentialHistogram { min: Some(0.0), max: Some(0.0), ..Default::default() },
        ExponentialHistogram {
            min: Some(f64::INFINITY),
            max: Some(f64::NEG_INFINITY),
            ..Default::default()
        },
    ];
    let nothing: Vec<PointValue> = nothing.into_iter().map(PointValue::from).collect();
    neutral(Temporality::Delta, &[low.clone().into(), low.into()], nothing.clone());
    // After an empty first cumulative point, the next point's counts are all new.
    let cumulative = exponential(5, 212, &[100], 0, 0.0);
    for empty in nothing {
        let grown = series(Temporality::Cumulative, vec![empty, cumulative.clone().into()]);
        assert!((grown.quantile(0.5).unwrap() - 99.7).abs() < 0.1);
        assert_eq!(grown.increments()[0].amount, 100.0);
    }
}

#[test]
fn an_empty_explicit_point_is_neutral() {
    let some = [explicit(&[10.0, 20.0], &[3, 4, 0]), explicit(&[10.0, 20.0], &[0, 1, 2])];
    let some =
        some.map(|one| PointValue::from(Histogram { min: Some(2.0), max: Some(33.0), ..one }));
    let nothing = [
        explicit(&[10.0, 20.0], &[0, 0, 0]),
        explicit(&[5.0], &[0, 0]),
        explicit(&[], &[0]),
        explicit(&[], &[]),
        explicit(&[1.0, 2.0], &[]),
        Histogram {
            min: Some(f64::INFINITY),
            max: Some(f64::NEG_INFINITY),
            ..explicit(&[10.0, 20.0], &[0, 0, 0])
        },
        Histogram { min: Some(0.0), max: Some(0.0), ..explicit(&[], &[]) },
    ];
    let nothing: Vec<PointValue> = nothing.into_iter().map(PointValue::from).collect();
    neutral(Temporality::Delta, &some, nothing.clone());
    for empty in nothing {
        let grown = series(
            Temporality::Cumulative,
            vec![empty, explicit(&[10.0, 20.0], &[3, 4, 0]).into()],
        );
        assert_eq!(grown.distribution().unwrap().count(), 7);
        assert_eq!(grown.quantile(1.0), Some(20.0));
    }
}

#[test]
fn infinite_extremes_count_as_unknown() {
    let infinite = Histogram {
        min: Some(f64::INFINITY),
        max: Some(f64::NEG_INFINITY),
        ..explicit(&[10.0], &[4, 0])
    };
    assert_eq!(series(Temporality::Delta, vec![infinite.into()]).quantile(0.5), Some(5.0));
}

#[test]
fn points_with_only_zeros_leave_the_scale_and_the_buckets_unchanged() {
    let fine: PointValue = exponential(5, 212, &[100], 0, 0.0).into();
    let alone = series(Temporality::Delta, vec![fine.clone()]);
    for scale in [-10, 0, 5, 20] {
        let with = series(
            Temporality::Delta,
            vec![fine.clone(), exponential(scale, 0, &[], 100, 0.0).into()],
        );
        assert_eq!(
            (with.quantile(0.25), with.quantile(0.75)),
            (Some(0.0), alone.quantile(0.5)),
            "{scale}"
        );
    }
}

#[test]
fn the_wider_zero_bucket_absorbs_the_buckets_within_it() {
    // Scale 0: (1, 2], (2, 4], (4, 8], (8, 16].
    let narrow: PointValue = exponential(0, 0, &[4, 4, 0, 8], 0, 0.0).into();
    let at = |threshold| {
        let wide = exponential(0, 0, &[], 8, threshold).into();
        let both = series(Temporality::Delta, vec![narrow.clone(), wide]);
        assert_eq!(both.distribution().unwrap().count(), 24);
        [0.25, 0.5, 1.0].map(|share| both.quantile(share).unwrap())
    };
    assert_eq!(at(0.5), [6.0 / 8.0 * 0.5, 2.0, 16.0]);
    assert_eq!(at(2.0), [6.0 / 12.0 * 2.0, 2.0, 16.0]);
    assert_eq!(
        at(3.0),
        [6.0 / 16.0 * 4.0, 12.0 / 16.0 * 4.0, 16.0],
        "the zero bucket absorbs the whole bucket that contains 3"
    );
    // The threshold of a point without zeros affects nothing.
    let other = exponential(0, 3, &[8], 0, 6.0).into();
    let both = series(Temporality::Delta, vec![narrow.clone(), other]);
    assert_eq!(both.quantile(4.0 / 24.0), Some(2.0));
}

#[test]
fn a_zero_threshold_may_be_raised_and_lowered_between_cumulative_points() {
    let grown = |before: ExponentialHistogram, after: ExponentialHistogram| {
        let both = series(Temporality::Cumulative, vec![before.into(), after.into()]);
        (
            both.increments()[0].amount,
            both.distribution().unwrap().count(),
            both.quantile(1.0).unwrap(),
        )
    };
    // The threshold is raised to 2, so the five in (1, 2] are zeros now.
    let narrow = exponential(0, 0, &[5, 0, 1], 1, 0.0);
    assert_eq!(grown(narrow.clone(), exponential(0, 2, &[4], 6, 2.0)), (3.0, 3, 8.0));
    // The threshold is lowered to 0, so new counts in (1, 2] cannot be told from the zeros before.
    let wide = exponential(0, 2, &[1], 6, 2.0);
    assert_eq!(grown(wide, exponential(0, 0, &[3, 0, 2], 6, 0.0)), (4.0, 4, 8.0));
    // The count fell, which is a reset at any threshold.
    assert_eq!(
        grown(exponential(0, 2, &[9], 6, 2.0), exponential(0, 0, &[0, 0, 2], 6, 0.0)).0,
        8.0
    );
}
