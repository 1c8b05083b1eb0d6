//! Resets of counters, and several writers of one series.

use proptest::prelude::*;
use slipring::metric::{
    Buckets, ExponentialHistogram, Histogram, Metric, MetricKind, PointValue, Series, Temporality,
};
use slipring::{MetricPoint, Resource, Scope, Source};

const SECOND: u64 = 1_000_000_000;
/// The time of the tables' second 0.
const EPOCH: i64 = 1_760_000_000;

fn nanos(seconds: f64) -> u64 {
    (EPOCH as u64 * SECOND).saturating_add_signed((seconds * 1e9) as i64)
}

fn point(
    kind: MetricKind,
    start: Option<f64>,
    time: f64,
    value: impl Into<PointValue>,
) -> MetricPoint {
    let shop = Source::new(&Resource::new([("service.name", "shop")]), &Scope::default());
    let source = shop.with_metric(&Metric::new("orders", kind));
    MetricPoint::builder()
        .source(&source)
        .start_unix_nanos(start.map_or(0, nanos))
        .time_unix_nanos(nanos(time))
        .value(value)
        .build()
}

const COUNTER: MetricKind =
    MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: true };

fn one(points: Vec<MetricPoint>) -> Series {
    let mut backwards = points.clone();
    backwards.reverse();
    let [mut one, other] = [points, backwards].map(Series::assemble);
    assert_eq!(one, other, "in every order of arrival");
    assert_eq!(one.len(), 1);
    one.remove(0)
}

/// Creates a counter with points of `(start, time, value)`.
fn counter(points: &[(f64, f64, i64)]) -> Series {
    one(points
        .iter()
        .map(|&(start, time, value)| point(COUNTER, Some(start), time, PointValue::Int(value)))
        .collect())
}

fn grown(series: &Series) -> f64 {
    series.increments().iter().map(|one| one.amount).sum()
}

#[test]
fn writers_that_interleave_are_told_apart_by_their_starts() {
    let mut points = Vec::new();
    for turn in 0..4 {
        let time = f64::from(turn) * 10.0;
        points.push((-1000.0, time, 1000 + i64::from(turn)));
        points.push((-500.0, time + 5.0, 50 + i64::from(turn)));
    }
    let series = counter(&points);
    assert_eq!((grown(&series), series.rate()), (6.0, Some(6.0 / 35.0)));
    // Three writers, whose points have equal times.
    let three: Vec<_> = (0..4)
        .flat_map(|turn| {
            let time = f64::from(turn) * 10.0;
            [-1000.0, -999.0 + 400.0, -3.0]
                .map(|start| (start, time, (-start) as i64 * 10 + i64::from(turn)))
        })
        .collect();
    assert_eq!(grown(&counter(&three)), 9.0);
}

#[test]
fn one_of_two_writers_may_reset() {
    let series = counter(&[
        (-1000.0, 0.0, 1000),
        (-500.0, 5.0, 50),
        (-1000.0, 10.0, 1001),
        (-500.0, 15.0, 51),
        // The first writer restarts at 18, while the second one continues.
        (18.0, 20.0, 7),
        (-500.0, 25.0, 52),
        (18.0, 30.0, 9),
    ]);
    assert_eq!(grown(&series), 1.0 + 1.0 + 7.0 + 1.0 + 2.0);
}

#[test]
fn a_start_before_the_previous_point_is_no_reset() {
    let moved = counter(&[(0.0, 10.0, 100), (5.0, 20.0, 110), (5.0, 30.0, 120)]);
    assert_eq!(moved.rate(), Some(1.0));
    let back = counter(&[(5.0, 10.0, 100), (0.0, 20.0, 110), (0.0, 30.0, 120)]);
    assert_eq!(back.rate(), Some(1.0));
    // What a replica counted before its first point is not new.
    let replica = counter(&[(-1000.0, 0.0, 50), (-500.0, 5.0, 1000), (-500.0, 15.0, 1001)]);
    assert_eq!(grown(&replica), 1.0);
}

#[test]
fn jittering_starts_count_as_one() {
    for jitter in [0.001, 0.02, 0.4] {
        for signs in [[1.0, -1.0], [1.0, 0.0], [-1.0, -1.0]] {
            let at = |turn: i32| {
                (signs[turn as usize % 2] * jitter, f64::from(50 + turn), i64::from(50 + turn))
            };
            let series = counter(&(0..50).map(at).collect::<Vec<_>>());
            assert_eq!(series.rate(), Some(1.0), "{jitter} {signs:?}");
        }
    }
    let drifting =
        (0..50).map(|turn| (f64::from(turn) * 0.001, f64::from(50 + turn), i64::from(50 + turn)));
    assert_eq!(counter(&drifting.collect::<Vec<_>>()).rate(), Some(1.0));
    // Replicas whose starts differ by less than the jitter are told apart by their counts.
    let replicas: Vec<_> = (0..10)
        .flat_map(|turn| [(0.0, f64::from(turn + 1), 1000), (0.3, f64::from(turn + 1) + 0.5, 5)])
        .collect();
    assert_eq!(grown(&counter(&replicas)), 0.0);
}

#[test]
fn a_start_after_the_previous_point_is_a_reset() {
    let series = counter(&[(0.0, 10.0, 5), (11.0, 20.0, 30), (20.5, 21.0, 31), (20.5, 22.0, 32)]);
    assert_eq!(grown(&series), 30.0 + 31.0 + 1.0);
    let at_once = counter(&[(0.0, 10.0, 5), (10.0, 20.0, 30)]);
    assert_eq!(grown(&at_once), 30.0);
    let shortly_after = counter(&[(9.8, 10.0, 5), (10.2, 20.0, 30)]);
    assert_eq!(grown(&shortly_after), 30.0, "its start is near, but later than its last point");
}

#[test]
fn a_start_equal_to_the_points_time_counts_as_unknown() {
    let restarted = counter(&[
        (-1000.0, 0.0, 9000),
        (-1000.0, 10.0, 9010),
        (20.0, 20.0, 9020),
        (20.0, 30.0, 9030),
    ]);
    assert_eq!(
        (grown(&restarted), restarted.rate()),
        (20.0, Some(20.0 / 30.0)),
        "the first adds nothing"
    );
    let always =
        counter(&[(0.0, 0.0, 9000), (10.0, 10.0, 9010), (20.0, 20.0, 9020), (30.0, 30.0, 5)]);
    assert_eq!(grown(&always), 10.0 + 10.0 + 5.0, "who always says so knows no starts");
    let fell = counter(&[(-1000.0, 10.0, 9010), (20.0, 20.0, 7), (20.0, 30.0, 9)]);
    assert_eq!(grown(&fell), 2.0);
}

#[test]
fn without_starts_a_fall_is_a_reset() {
    let points = [(0.0, 100), (10.0, 110), (20.0, 3), (30.0, 5)];
    let points = points.map(|(time, value)| point(COUNTER, None, time, PointValue::Int(value)));
    assert_eq!(grown(&one(points.to_vec())), 10.0 + 3.0 + 2.0);
}

#[test]
fn a_point_without_a_time_is_left_out_of_rates() {
    let mut points: Vec<MetricPoint> = (0..4)
        .map(|turn| point(COUNTER, Some(-5.0), f64::from(turn), PointValue::Int(turn.into())))
        .collect();
    points.push(points[0].clone().to_builder().time_unix_nanos(0).build());
    assert_eq!(one(points.clone()).rate(), Some(1.0));
    assert_eq!(one(points).last().unwrap().number(), Some(3.0));

    let delta = MetricKind::Sum { temporality: Temporality::Delta, monotonic: true };
    let of = |start, time| point(delta, start, time, PointValue::Int(5));
    let unknown = of(Some(0.0), 0.0).to_builder().time_unix_nanos(0).build();
    let series = one(vec![of(Some(0.0), 5.0), of(Some(5.0), 10.0), unknown]);
    assert_eq!(series.rate(), Some(1.0));
}

const EXPLICIT: MetricKind = MetricKind::Histogram { temporality: Temporality::Cumulative };

fn explicit(bounds: &[f64], counts: &[u64]) -> Histogram {
    let count = counts.iter().sum();
    Histogram {
        count,
        bucket_counts: counts.into(),
        explicit_bounds: bounds.into(),
        ..Histogram::default()
    }
}

#[test]
fn a_falling_bucket_is_a_reset() {
    let series = one(vec![
        point(EXPLICIT, None, 0.0, explicit(&[10.0, 20.0], &[100, 0, 0])),
        point(EXPLICIT, None, 10.0, explicit(&[10.0, 20.0], &[0, 0, 150])),
    ]);
    assert_eq!(series.rate(), Some(15.0));
    assert_eq!((series.distribution().unwrap().count(), series.quantile(0.5)), (150, Some(20.0)));

    let kind = MetricKind::ExponentialHistogram { temporality: Temporality::Cumulative };
    let exponential = |scale, offset, counts: &[u64], zeros| ExponentialHistogram {
        count: counts.iter().sum::<u64>() + zeros,
        scale,
        zero_count: zeros,
        positive: Buckets { offset, bucket_counts: counts.into() },
        ..Default::default()
    };
    let of = |values: [ExponentialHistogram; 2]| {
        let series = one([0.0, 10.0]
            .into_iter()
            .zip(values)
            .map(|(time, value)| point(kind, None, time, value))
            .collect());
        (grown(&series), series.distribution().unwrap().count())
    };
    assert_eq!(of([exponential(0, 0, &[5, 0], 0), exponential(0, 0, &[0, 9], 0)]), (9.0, 9));
    assert_eq!(
        of([exponential(0, 0, &[0, 5], 3), exponential(0, 0, &[0, 9], 1)]),
        (10.0, 10),
        "zeros fell"
    );
    assert_eq!(
        of([exponential(1, 2, &[5, 1], 0), exponential(0, 1, &[9], 0)]),
        (3.0, 3),
        "a coarser scale is no reset"
    );
}

#[test]
fn histograms_of_two_writers_are_told_apart() {
    let mut points = Vec::new();
    for turn in 0..4u64 {
        let time = turn as f64 * 10.0;
        points.push(point(EXPLICIT, Some(-1000.0), time, explicit(&[10.0], &[1000 + turn, 7])));
        points.push(point(EXPLICIT, Some(-500.0), time + 5.0, explicit(&[10.0], &[50, turn])));
    }
    let series = one(points);
    assert_eq!((grown(&series), series.distribution().unwrap().count()), (6.0, 6));
    assert_eq!(series.quantile(0.75), Some(10.0));
}

proptest! {
    /// Writers with distant starts and interleaved points: the total increase is the sum of the
    /// writers' increases.
    #[test]
    fn the_counts_of_several_writers_add_up(turns in prop::collection::vec((0usize..4, 0i64..50), 2..80)) {
        let mut values = [1000i64, 3, 50_000, 400];
        let mut seen = [false; 4];
        let (mut expected, mut points) = (0, Vec::new());
        for (turn, &(writer, step)) in turns.iter().enumerate() {
            values[writer] += step;
            expected += if std::mem::replace(&mut seen[writer], true) { step } else { 0 };
            points.push((-100.0 - 10_000.0 * writer as f64, turn as f64, values[writer]));
        }
        prop_assert_eq!(grown(&counter(&points)), expected as f64);
    }

    /// Points in any order cause no panic, and rates and quantiles agree.
    #[test]
    fn rates_and_quantiles_agree(
        points in prop::collection::vec((0u32..6, 0u32..40, prop::collection::vec(0u64..9, 3)), 1..40),
    ) {
        let points = points.iter().map(|(start, time, counts)| {
            point(EXPLICIT, (*start > 0).then(|| f64::from(start * 7)), f64::from(*time), explicit(&[10.0, 20.0], counts))
        });
        for series in Series::assemble(points.collect()) {
            let increments = series.increments();
            if !increments.is_empty() {
                let counted: f64 = increments.iter().map(|one| one.amount).sum();
                prop_assert_eq!(series.distribution().unwrap().count() as f64, counted);
                prop_assert!(increments.iter().all(|one| one.amount >= 0.0));
            }
        }
    }
}

#[test]
fn many_writers_cost_linear_time() {
    let points = (0..200_000u64).map(|n| {
        point(COUNTER, None, 0.0, PointValue::Int(n as i64))
            .to_builder()
            .start_unix_nanos(nanos(0.0) + n * 7 * SECOND % (200_000 * SECOND))
            .time_unix_nanos(nanos(2_000_000.0) + n % 3)
            .build()
    });
    assert!(!Series::assemble(points.collect())[0].points.is_empty());
}
