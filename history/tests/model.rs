//! The store and its history answer like a list that holds everything.

mod support;

use proptest::prelude::*;
use slipring::metric::{
    Buckets, ExponentialHistogram, Histogram, MetricKind, PointValue, Series, Temporality,
};
use slipring::{Match, MetricPoint, Source, Store};
use slipring_history::MetricHistory;
use support::{SECOND, manual, patient, source, sum};

#[derive(Clone, Debug)]
enum Operation {
    Push { metric: usize, host: u8, start: u64, time: u64, value: i64 },
    Step,
    Compress,
    Ask(usize),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let time = || prop_oneof![6 => 0..60_u64, 1 => any::<u64>().prop_map(|time| time / SECOND)];
    let push = (0..7_usize, 0..3_u8, time(), time(), prop_oneof![0..6_i64, any::<i64>()]);
    let operation = prop_oneof![
        30 => push.prop_map(|(metric, host, start, time, value)| Operation::Push { metric, host, start, time, value }),
        2 => Just(Operation::Step),
        1 => Just(Operation::Compress),
        3 => (0..5_usize).prop_map(Operation::Ask),
    ];
    prop::collection::vec(operation, 0..160)
}

fn sources() -> Vec<Source> {
    let (delta, cumulative) = (Temporality::Delta, Temporality::Cumulative);
    vec![
        source("gauge", MetricKind::Gauge),
        source("sum", sum(cumulative)),
        // The same name with another temporality is another series.
        source("sum", sum(delta)),
        source("histogram", MetricKind::Histogram { temporality: cumulative }),
        source("histogram", MetricKind::Histogram { temporality: delta }),
        source("exponential", MetricKind::ExponentialHistogram { temporality: cumulative }),
        source("exponential", MetricKind::ExponentialHistogram { temporality: delta }),
    ]
}

/// Values of all kinds: NaN, infinities, no value, bounds that change.
fn value(metric: usize, number: i64) -> PointValue {
    let small = number.rem_euclid(5);
    match metric {
        0 => match small {
            0 => PointValue::Double(f64::NAN),
            1 => PointValue::Double(f64::NEG_INFINITY),
            2 => PointValue::Empty,
            _ => PointValue::Double(number as f64 / 7.0),
        },
        1 | 2 => number.into(),
        3 | 4 => Histogram {
            count: small as u64 * 3,
            sum: (small > 2).then_some(number as f64),
            bucket_counts: vec![small as u64; small as usize + 1].into(),
            explicit_bounds: (0..small).map(|bound| bound as f64).collect(),
            ..Histogram::default()
        }
        .into(),
        _ => ExponentialHistogram {
            count: small as u64,
            scale: small as i32 - 2,
            positive: Buckets {
                offset: -(small as i32),
                bucket_counts: vec![1; small as usize].into(),
            },
            ..ExponentialHistogram::default()
        }
        .into(),
    }
}

/// Asks the history, and the list in the same way.
fn ask(history: &MetricHistory, store: &Store<MetricPoint>, all: &[MetricPoint], which: usize) {
    let query = || match which {
        0 => store.query(),
        1 => store.query().key("name", "sum"),
        2 => store.query().attribute("host", Match::reads("1")),
        3 => store.query().between(10 * SECOND..40 * SECOND),
        _ => store.query().none_of("name", ["gauge"]).filter(|point| point.number() != Some(3.0)),
    };
    let mut recalled = history.series(query()).unwrap();
    let asked = query();
    let fitting = all.iter().filter(|point| asked.accepts(point)).cloned().collect();
    // Series that differ in their kind alone come in any order.
    let mut expected = Series::assemble(fitting);
    for all in [&mut recalled.series, &mut expected] {
        all.sort_by_cached_key(|one| format!("{:?} {:?}", one.metric(), one.attributes));
    }
    assert!(recalled.series == expected, "{}", difference(&recalled.series, &expected));
    assert!(recalled.report.complete && recalled.report.asked_history);
    let (points, _) = history.points(query()).unwrap();
    assert_eq!(points.len(), all.iter().filter(|point| asked.accepts(point)).count());
}

/// Tells the first difference, and no more.
fn difference(recalled: &[Series], expected: &[Series]) -> String {
    let told = |one: &Series| {
        let point = |point: &MetricPoint| {
            (point.start_unix_nanos(), point.time_unix_nanos(), point.value())
        };
        let points: Vec<_> = one.points.iter().map(point).collect();
        format!("{:?} {:?} {points:?}", one.metric().name(), one.metric().kind())
    };
    let pairs = recalled.iter().zip(expected);
    let differs = pairs.into_iter().find(|(one, other)| one != other);
    let lengths = (recalled.len(), expected.len());
    differs.map_or(format!("{lengths:?}"), |(one, other)| format!("{}\n{}", told(one), told(other)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn answers_are_those_of_a_list_that_holds_everything(operations in operations(), capacity in 1..30_usize) {
        let (sources, store) = (sources(), manual(capacity));
        let mut settings = patient(8 << 20);
        settings.block_points = 3;
        let history = MetricHistory::start(&store, &settings).unwrap();
        let mut all = Vec::new();
        for operation in operations {
            match operation {
                Operation::Push { metric, host, start, time, value: number } => {
                    let point = MetricPoint::builder()
                        .source(&sources[metric])
                        .attribute("host", i64::from(host))
                        .start_unix_nanos(start * SECOND)
                        .time_unix_nanos(time.wrapping_mul(SECOND))
                        .flags(u32::from(number == 4))
                        .value(value(metric, number))
                        .build();
                    all.push(point.clone());
                    store.push(point).unwrap();
                }
                Operation::Step => {
                    store.step();
                }
                Operation::Compress => history.compress(),
                Operation::Ask(which) => ask(&history, &store, &all, which),
            }
        }
        (0..5).for_each(|which| ask(&history, &store, &all, which));
        let stats = history.stats();
        prop_assert_eq!(stats.evicted, stats.held + stats.queued);
        prop_assert_eq!(stats.held + stats.queued + store.len() as u64, all.len() as u64);
        prop_assert!(stats.bytes <= stats.max_bytes);
    }
}
