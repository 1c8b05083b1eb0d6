//! Series of metric points: counters of both temporalities, resets, redelivery, histograms.

use proptest::prelude::*;
use slipring::attribute::Attributes;
use slipring::metric::{
    Buckets, ExponentialHistogram, Histogram, Metric, MetricKind, PointValue, Series, Summary,
    Temporality,
};
use slipring::{MetricPoint, Resource, Scope, Source, Store};

const SECOND: u64 = 1_000_000_000;

fn source(service: &str) -> Source {
    Source::new(&Resource::new([("service.name", service)]), &Scope::default())
}

fn point(kind: MetricKind, start: u64, time: u64, value: impl Into<PointValue>) -> MetricPoint {
    MetricPoint::builder()
        .source(&source("shop").with_metric(&Metric::new("orders", kind)))
        .start_unix_nanos(start * SECOND)
        .time_unix_nanos(time * SECOND)
        .value(value)
        .build()
}

fn sum(temporality: Temporality) -> MetricKind {
    MetricKind::Sum { temporality, monotonic: true }
}

fn one(points: Vec<MetricPoint>) -> Series {
    let mut series = Series::assemble(points);
    assert_eq!(series.len(), 1);
    series.remove(0)
}

fn rates(series: &Series) -> Vec<Option<f64>> {
    series.increments().iter().map(|one| one.per_second()).collect()
}

#[test]
fn points_are_grouped_into_series_by_their_identity() {
    let gauge = |name: &str, service: &str, attributes: &[(&str, i64)], value: i64| {
        MetricPoint::builder()
            .source(&source(service).with_metric(&Metric::new(name, MetricKind::Gauge)))
            .value(PointValue::Int(value))
            .attributes(&attributes.iter().copied().collect::<Attributes>())
            .build()
    };
    let store: Store<MetricPoint> = Store::builder().manual().build().unwrap();
    let points = vec![
        gauge("b", "shop", &[], 1),
        gauge("a", "shop", &[("x", 1), ("y", 2)], 2),
        gauge("a", "shop", &[("y", 2), ("x", 1)], 3),
        gauge("a", "cart", &[("x", 1), ("y", 2)], 4),
        gauge("a", "shop", &[("x", 2)], 5),
    ];
    store.push_batch(points).unwrap();
    let series = store.query().series().unwrap();
    let last = |one: &Series| one.last().and_then(MetricPoint::number).unwrap();
    let about: Vec<(&str, &str, usize, f64)> = series
        .iter()
        .map(|one| {
            (
                one.metric().name(),
                one.resource().service().unwrap(),
                one.attributes.len(),
                last(one),
            )
        })
        .collect();
    assert_eq!(
        about,
        [
            ("a", "cart", 2, 4.0),
            ("a", "shop", 2, 3.0),
            ("a", "shop", 1, 5.0),
            ("b", "shop", 0, 1.0)
        ],
        "the same attributes in another order are the same, and of one time the last that came counts"
    );
    assert!(
        series.iter().all(|one| one.increments().is_empty() && one.rate().is_none()),
        "gauges do not count"
    );
    assert!(store.query().key("colour", 1u64).series().is_err());
}

#[test]
fn a_cumulative_counter_resets_with_a_new_start_or_a_fall() {
    let of = sum(Temporality::Cumulative);
    let value = PointValue::Int;
    let series = one(vec![
        point(of, 1, 30, value(40)),
        point(of, 1, 10, value(10)),
        point(of, 1, 20, value(30)),
        point(of, 1, 40, value(5)),
        point(of, 45, 50, value(15)),
        point(of, 45, 50, value(25)),
    ]);
    assert_eq!(rates(&series), [Some(2.0), Some(1.0), Some(0.5), Some(2.5)]);
    assert_eq!(series.rate(), Some(60.0 / 40.0));
    let falling = MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: false };
    let series = one(vec![point(falling, 1, 10, value(10)), point(falling, 1, 20, value(5))]);
    assert_eq!(rates(&series), [Some(-0.5)], "what may fall has not started anew");
}

#[test]
fn delta_counters_count_every_point() {
    let of = sum(Temporality::Delta);
    let series = one(vec![
        point(of, 10, 20, PointValue::Double(5.0)),
        point(of, 20, 30, PointValue::Double(15.0)),
        point(of, 20, 30, PointValue::Double(15.0)),
    ]);
    assert_eq!(rates(&series), [Some(0.5), Some(1.5)]);
    assert_eq!(series.rate(), Some(1.0));
    let without_start =
        one(vec![point(of, 0, 20, PointValue::Int(5)), point(of, 0, 30, PointValue::Int(15))]);
    assert_eq!(rates(&without_start), [None, Some(1.5)], "from the point before");
    let unsaid = one(vec![point(sum(Temporality::Unspecified), 1, 20, PointValue::Int(5))]);
    assert!(unsaid.increments().is_empty());
}

#[test]
fn points_without_a_recorded_value_are_left_out() {
    let of = sum(Temporality::Cumulative);
    let nothing = point(of, 1, 20, PointValue::Int(0)).to_builder().flags(1).build();
    let series = one(vec![
        point(of, 1, 10, PointValue::Int(10)),
        nothing,
        point(of, 1, 30, PointValue::Int(30)),
    ]);
    assert_eq!(rates(&series), [Some(1.0)]);
    assert_eq!(series.last().unwrap().number(), Some(30.0));
}

fn histogram(counts: &[u64]) -> Histogram {
    let (count, bounds) = (counts.iter().sum(), [10.0, 20.0, 40.0]);
    Histogram {
        count,
        bucket_counts: counts.into(),
        explicit_bounds: bounds.into(),
        ..Histogram::default()
    }
}

#[test]
fn quantiles_cover_the_measures_between_two_points() {
    let cumulative = MetricKind::Histogram { temporality: Temporality::Cumulative };
    let points = vec![
        point(cumulative, 1, 10, histogram(&[100, 0, 0, 0])),
        point(cumulative, 1, 20, histogram(&[100, 4, 0, 0])),
        point(cumulative, 25, 30, histogram(&[0, 0, 4, 0])),
    ];
    let series = one(points.clone());
    assert_eq!(series.distribution().unwrap().count(), 8);
    assert_eq!([0.25, 0.5, 0.75].map(|share| series.quantile(share).unwrap()), [15.0, 20.0, 30.0]);
    assert_eq!(rates(&series), [Some(0.4), Some(0.4)]);
    let alone = one(vec![points[0].clone()]);
    assert_eq!(alone.quantile(0.5), Some(5.0), "one point covers what was counted before it");

    let delta = MetricKind::Histogram { temporality: Temporality::Delta };
    let series = one(vec![
        point(delta, 1, 10, histogram(&[2, 0, 0, 0])),
        point(delta, 10, 20, histogram(&[0, 2, 0, 0])),
    ]);
    assert_eq!(series.quantile(0.5), Some(10.0));
    let other = Histogram {
        explicit_bounds: [1.0].into(),
        bucket_counts: [1, 0].into(),
        ..Histogram::default()
    };
    let series =
        one(vec![point(delta, 1, 10, histogram(&[2, 0, 0, 0])), point(delta, 10, 20, other)]);
    assert_eq!(series.quantile(0.5), None, "its buckets change on the way");
}

#[test]
fn a_summary_returns_its_own_quantiles() {
    let quantiles = [slipring::metric::Quantile { quantile: 0.99, value: 7.0 }].into();
    let series =
        one(vec![point(MetricKind::Summary, 0, 10, Summary { count: 3, sum: 9.0, quantiles })]);
    assert_eq!((series.quantile(0.99), series.quantile(0.5)), (Some(7.0), None));
}

/// The bucket of a value at a scale, by its definition.
fn bucket(value: f64, scale: i32) -> i32 {
    (value.log2() * f64::from(scale).exp2()).ceil() as i32 - 1
}

fn exponential(values: &[f64], scale: i32) -> ExponentialHistogram {
    let numbers: Vec<i32> = values.iter().map(|value| bucket(*value, scale)).collect();
    let offset = numbers.iter().copied().min().unwrap_or(0);
    let most = numbers.iter().copied().max().unwrap_or(offset);
    let mut counts = vec![0; (most - offset + 1) as usize];
    numbers.iter().for_each(|number| counts[(number - offset) as usize] += 1);
    let positive = Buckets { offset, bucket_counts: counts.into() };
    ExponentialHistogram { count: values.len() as u64, scale, positive, ..Default::default() }
}

proptest! {
    #[test]
    fn increments_add_up_to_the_total(steps in prop::collection::vec((0u64..100, any::<bool>()), 1..40)) {
        let of = sum(Temporality::Cumulative);
        let (mut total, mut start, mut value, mut points) = (0, 1, 0, Vec::new());
        for (number, &(step, restarts)) in steps.iter().enumerate() {
            let time = 10 + number as u64 * 10;
            if restarts {
                (start, value) = (time - 5, 0);
            }
            value += step;
            total += if number == 0 { 0 } else { step };
            points.push(point(of, start, time, PointValue::Int(value as i64)));
        }
        let increments = one(points).increments();
        prop_assert_eq!(increments.iter().map(|one| one.amount).sum::<f64>(), total as f64);
    }

    #[test]
    fn exponential_quantiles_are_as_exact_as_their_buckets(
        batches in prop::collection::vec((prop::collection::vec(0.001f64..1e6, 1..30), 0..6i32), 1..6),
        share in 0.0f64..=1.0,
    ) {
        let of = MetricKind::ExponentialHistogram { temporality: Temporality::Delta };
        let points = batches.iter().enumerate().map(|(number, (values, scale))| {
            point(of, 1 + number as u64, 2 + number as u64, PointValue::from(exponential(values, *scale)))
        });
        let series = one(points.collect());
        let mut values: Vec<f64> = batches.iter().flat_map(|(values, _)| values.clone()).collect();
        values.sort_by(f64::total_cmp);
        let coarsest = batches.iter().map(|(_, scale)| *scale).min().unwrap();
        let factor = (-f64::from(coarsest)).exp2().exp2() * (1.0 + 1e-9);
        let rank = ((share * values.len() as f64).ceil() as usize).clamp(1, values.len());
        let (found, right) = (series.quantile(share).unwrap(), values[rank - 1]);
        prop_assert!(found <= right * factor && right <= found * factor, "{found} for {right}");
    }
}

#[test]
fn series_share_their_source() {
    let of = sum(Temporality::Delta);
    let shared = source("shop").with_metric(&Metric::new("orders", of));
    let point = |n| MetricPoint::builder().source(&shared).time_unix_nanos(n).value(1).build();
    assert!(one((0..3).map(point).collect()).source.ptr_eq(&shared));
}
