//! Whatever is sent, the history keeps to its bytes, and each point is counted once.

mod support;

use cap::Cap;
use slipring::metric::{Histogram, Metric, MetricKind, Temporality};
use slipring::{MetricPoint, Resource, Scope, Source, Store};
use slipring_history::{MetricHistory, RecallError, Settings, Stats};
use std::alloc::System;
use std::sync::Mutex;
use support::{SECOND, manual, patient, point, source, sum};

#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, usize::MAX);

/// Tests that look at all allocations run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

const BYTES: usize = 2 << 20;

/// Pushes points through a store of a hundred, and checks the counts and the memory all the time.
fn attack(points: impl Iterator<Item = MetricPoint>) -> (Store<MetricPoint>, MetricHistory) {
    let store = manual(100);
    let mut settings = Settings::with_bytes(BYTES);
    settings.queue_points = 4_096;
    let history = MetricHistory::start(&store, &settings).unwrap();
    let (before, mut pushed) = (ALLOCATED.allocated(), 0);
    for point in points {
        store.push(point).unwrap();
        pushed += 1;
        if pushed % 1_024 == 0 {
            while store.step() {}
            // Takes in what waits; the answer is empty.
            history.series(store.query().key("name", "there is none")).unwrap();
            let stats = history.stats();
            assert!(stats.bytes <= stats.max_bytes, "{stats:?}");
            let most = BYTES + stats.queue_bytes + (1 << 20);
            let grown = ALLOCATED.allocated().saturating_sub(before);
            assert!(grown < most, "{grown} bytes after {pushed} points, {stats:?}");
        }
    }
    while store.step() {}
    let Stats { evicted, held, queued, missed, cleared, summaries, too_large, expired, .. } = {
        history.series(store.query().key("name", "there is none")).unwrap();
        history.stats()
    };
    assert_eq!(evicted, pushed - store.len() as u64);
    assert_eq!(evicted, held + queued + missed + cleared + summaries + too_large + expired);
    (store, history)
}

#[test]
fn many_series_of_one_point_push_each_other_out_and_not_one_that_lives() {
    let _alone = ALONE.lock().unwrap_or_else(|error| error.into_inner());
    let gauge = source("g", MetricKind::Gauge);
    let alive = source("alive", MetricKind::Gauge);
    let points = (0..40_000_u64).flat_map(|at| {
        let regular = (at % 50 == 0).then(|| point(&alive, "one", at, at as i64));
        [point(&gauge, &at.to_string(), at, 1)].into_iter().chain(regular)
    });
    let (store, history) = attack(points);
    let stats = history.stats();
    assert!(stats.series <= 2_048 && stats.expired > 30_000, "{stats:?}");
    let recalled = history.series(store.query().key("name", "alive")).unwrap();
    assert_eq!(recalled.series[0].points.len(), 800);
}

#[test]
fn many_metrics_and_resources_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(|error| error.into_inner());
    let of = |at: u64| {
        let resource = Resource::new([("host.name", format!("host {at}"))]);
        let metric = Metric::new(format!("metric {}", at / 2), MetricKind::Gauge);
        point(&Source::new(&resource, &Scope::default()).with_metric(&metric), "one", at, 1)
    };
    let (_store, history) = attack((0..12_000).map(of));
    history.clear();
    let stats = history.stats();
    assert_eq!((stats.series, stats.held, stats.block_bytes, stats.open_bytes), (0, 0, 0, 0));
    // What is left are tables that once were larger.
    assert!(stats.dictionary_bytes < BYTES / 2, "{stats:?}");
}

#[test]
fn wild_times_and_values_and_large_buckets_keep_to_the_bytes() {
    let _alone = ALONE.lock().unwrap_or_else(|error| error.into_inner());
    let kind = MetricKind::Histogram { temporality: Temporality::Cumulative };
    let (histogram, counter) = (source("h", kind), source("c", sum(Temporality::Delta)));
    let mut random = 7_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let points = (0..8_000_u64).map(|at| {
        if at % 8 == 0 {
            let counts = (0..next() % 200).map(|_| next()).collect();
            let bounds = (0..next() % 200).map(|_| f64::from_bits(next())).collect();
            let value = Histogram {
                bucket_counts: counts,
                explicit_bounds: bounds,
                ..Histogram::default()
            };
            return point(&histogram, "one", next() / SECOND, value);
        }
        let point = point(&counter, &(at % 4).to_string(), next() / SECOND, f64::from_bits(next()));
        point.to_builder().start_unix_nanos(next()).flags(next() as u32).build()
    });
    let (store, history) = attack(points);
    let (points, report) = history.points(store.query()).unwrap();
    assert!(report.complete && points.len() as u64 == history.stats().held + 100);
}

#[test]
fn a_large_resource_is_stored_once_for_all_its_metrics() {
    let _alone = ALONE.lock().unwrap_or_else(|error| error.into_inner());
    let store = manual(10);
    let history = MetricHistory::start(&store, &patient(8 << 20)).unwrap();
    let before = source("before", MetricKind::Gauge);
    (0..100).for_each(|at| assert!(store.push(point(&before, "one", at, 1)).is_ok()));
    let resource = Resource::new([("note", "x".repeat(400_000))]);
    let large = Source::new(&resource, &Scope::default());
    for at in 0..300 {
        let metric = Metric::new(format!("metric {at}"), MetricKind::Gauge);
        store.push(point(&large.with_metric(&metric), "one", at, 1)).unwrap();
    }
    while store.step() {}
    let recalled = history.series(store.query().key("name", "before")).unwrap();
    assert_eq!(recalled.series[0].points.len(), 100);
    let stats = history.stats();
    assert_eq!((stats.held, stats.expired, stats.too_large), (390, 0, 0), "{stats:?}");
    assert!(stats.dictionary_bytes < 2 << 20, "{stats:?}");
}

#[test]
fn an_answer_that_would_take_too_much_is_refused() {
    let _alone = ALONE.lock().unwrap_or_else(|error| error.into_inner());
    let store = manual(10);
    let mut settings = patient(8 << 20);
    settings.answer_bytes = 2 << 20;
    let history = MetricHistory::start(&store, &settings).unwrap();
    let gauge = source("g", MetricKind::Gauge);
    let host = "x".repeat(20_000);
    (0..1_000).for_each(|at| assert!(store.push(point(&gauge, &host, at, 1)).is_ok()));
    while store.step() {}
    history.compress();
    assert!(history.stats().bytes < 200_000, "{:?}", history.stats());
    let refused = history.series(store.query()).unwrap_err();
    assert_eq!(refused, RecallError::TooLarge { most: 2 << 20 });
    assert!(refused.to_string().contains("since"), "{refused}");
    let some = history.series(store.query().between(..50 * SECOND)).unwrap();
    assert_eq!(some.series[0].points.len(), 50);
}

#[test]
fn what_waits_is_counted_with_the_resource_that_it_holds() {
    let _alone = ALONE.lock().unwrap_or_else(|error| error.into_inner());
    let store = manual(1);
    let mut settings = Settings::with_bytes(32 << 20);
    settings.queue_bytes = 150_000;
    let history = MetricHistory::start(&store, &settings).unwrap();
    let resource = Resource::new([("note", "x".repeat(200_000))]);
    let large = Source::new(&resource, &Scope::default());
    let large = large.with_metric(&Metric::new("large", MetricKind::Gauge));
    (0..10).for_each(|at| assert!(store.push(point(&large, "one", at, 1)).is_ok()));
    while store.step() {}
    history.compress();
    let stats = history.stats();
    assert_eq!((stats.evicted, stats.missed, stats.held), (9, 9, 0), "{stats:?}");
}

#[test]
fn series_that_have_ended_leave_before_those_that_go_on() {
    let _alone = ALONE.lock().unwrap_or_else(|error| error.into_inner());
    let store = manual(1);
    let mut settings = patient(512 << 10);
    settings.block_points = 64;
    let history = MetricHistory::start(&store, &settings).unwrap();
    let gauge = source("g", MetricKind::Gauge);
    let mut random = 7_u64;
    let mut wild = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        f64::from_bits(random)
    };
    // A few points each, so that no block is ever full.
    for at in 0..600_u64 {
        store.push(point(&gauge, &format!("ended {}", at % 100), at, wild())).unwrap();
    }
    for at in 0..60_000_u64 {
        store.push(point(&gauge, &format!("goes on {}", at % 4), at, wild())).unwrap();
        // One that goes on slowly keeps its points as long as others do.
        if at % 4_000 == 3_999 {
            store.push(point(&gauge, "slow", at, wild())).unwrap();
        }
        if at % 1_024 == 0 {
            history.series(store.query().key("name", "there is none")).unwrap();
        }
    }
    while store.step() {}
    let recalled = history.series(store.query()).unwrap();
    let stats = history.stats();
    assert_eq!((stats.series, stats.missed), (5, 0), "{stats:?}");
    assert_eq!(recalled.series.len(), 5);
}

#[test]
fn a_flood_of_names_takes_its_own_places() {
    let _alone = ALONE.lock().unwrap_or_else(|error| error.into_inner());
    let store = manual(1);
    let mut settings = patient(1 << 20);
    settings.max_series = 64;
    let history = MetricHistory::start(&store, &settings).unwrap();
    let (idle, flood) = (source("idle", MetricKind::Gauge), source("flood", MetricKind::Gauge));
    for at in 0..300_u64 {
        store.push(point(&idle, &(at % 30).to_string(), at, 1)).unwrap();
    }
    for at in 0..1_000_u64 {
        store.push(point(&flood, &at.to_string(), at, 1)).unwrap();
    }
    while store.step() {}
    let recalled = history.series(store.query().key("name", "idle")).unwrap();
    assert_eq!(recalled.series.len(), 30);
    assert!(recalled.series.iter().all(|series| series.points.len() == 10));
    assert_eq!(history.stats().series, 64);
}
