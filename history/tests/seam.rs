//! What a series measured is the same over the seam between the store and the history.

mod support;

use slipring::metric::{Exemplar, Histogram, Metric, MetricKind, Quantile, Summary, Temporality};
use slipring::{MetricPoint, Order, Resource, Scope, Source, Store};
use slipring_history::{HistoryError, MetricHistory, RecallError, Settings, Stats};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;
use support::{SECOND, manual, patient, point, source, sum};

/// A store of ten points with a history behind it, which has taken in most of these points.
fn pushed(points: impl IntoIterator<Item = MetricPoint>) -> (Store<MetricPoint>, MetricHistory) {
    let store = manual(10);
    let mut settings = patient(4 << 20);
    settings.block_points = 7;
    let history = MetricHistory::start(&store, &settings).unwrap();
    push(&store, points);
    while store.step() {}
    (store, history)
}

fn push(store: &Store<MetricPoint>, points: impl IntoIterator<Item = MetricPoint>) {
    points.into_iter().for_each(|point| assert!(store.push(point).is_ok()));
}

#[test]
fn rates_count_resets_on_both_sides_of_the_seam() {
    let orders = source("orders", sum(Temporality::Cumulative));
    // Three each second, and a restart at each fortieth.
    let total = |second: u64| 3 * (second % 40) as i64 + 3;
    let (store, history) =
        pushed((1..=200).map(|second| point(&orders, "one", second, total(second))));
    let recalled = history.series(store.query()).unwrap();
    let series = &recalled.series[0];
    assert_eq!((recalled.series.len(), series.points.len()), (1, 200));
    let steps = series.steps(SECOND..200 * SECOND, (SECOND).try_into().unwrap());
    assert!(steps.iter().all(|step| step.per_second == Some(3.0)));
    assert_eq!(recalled.report.from_store, 10);
    assert!(recalled.report.blocks > 20, "{:?}", recalled.report);
}

#[test]
fn quantiles_are_those_of_all_points() {
    let kind = MetricKind::Histogram { temporality: Temporality::Delta };
    let took = source("took", kind);
    let value = |second: u64| Histogram {
        count: 1,
        bucket_counts: (0..4)
            .map(|bucket| u64::from(second.is_multiple_of(4) == (bucket == 0)))
            .collect(),
        explicit_bounds: [1.0, 2.0, 4.0].into(),
        ..Histogram::default()
    };
    let all: Vec<_> = (1..=100).map(|second| point(&took, "one", second, value(second))).collect();
    let whole = slipring::metric::Series::assemble(all.clone()).remove(0);
    let (store, history) = pushed(all);
    let recalled = history.series(store.query()).unwrap().series.remove(0);
    for share in [0.1, 0.5, 0.9] {
        assert_eq!(recalled.quantile(share), whole.quantile(share));
    }
    assert_eq!(recalled, whole);
}

#[test]
fn a_point_keeps_its_resource_and_its_attributes_and_loses_its_exemplars() {
    let resource =
        Resource::new([("service.name", "cart"), ("host.name", "h7")]).with_schema_url("urn:r");
    let scope = Scope { name: "http".into(), version: "3".into(), ..Scope::default() };
    let metric = Metric {
        unit: "By".into(),
        description: "d".into(),
        ..Metric::new("m", MetricKind::Gauge)
    };
    let source = Source::new(&resource, &scope).with_metric(&metric);
    let plain = |second| point(&source, "one", second, 5).to_builder().attribute("list", 3).build();
    let (store, history) = pushed(
        (1..=20).map(|second| plain(second).to_builder().exemplar(&Exemplar::default()).build()),
    );
    let (points, report) =
        history.points(store.query().key("service", "cart").between(..11 * SECOND)).unwrap();
    assert_eq!(points, (1..11).map(plain).collect::<Vec<_>>());
    assert_eq!((report.from_history, report.from_store), (10, 0));
    let stats = history.stats();
    assert_eq!((stats.without_exemplars, stats.without_unknown_fields, stats.held), (10, 0, 10));
}

#[test]
fn what_is_not_kept_is_counted() {
    let summary = source("s", MetricKind::Summary);
    let quantile = Quantile { quantile: 0.5, value: 1.0 };
    let value = Summary { count: 1, sum: 1.0, quantiles: [quantile].into() };
    let (store, history) =
        pushed((1..=15).map(|second| point(&summary, "one", second, value.clone())));
    let recalled = history.series(store.query()).unwrap();
    assert_eq!(recalled.series[0].points.len(), 10, "those in the store");
    let large = source("large", MetricKind::Gauge);
    let point = |second: u64| point(&large, &"x".repeat(300_000), second, 1);
    push(&store, (1..=25).map(point));
    store.clear();
    while store.step() {}
    let Stats { evicted, summaries, too_large, cleared, held, .. } = {
        history.series(store.query()).unwrap();
        history.stats()
    };
    assert_eq!((evicted, summaries, too_large, cleared, held), (40, 15, 15, 10, 0));
}

#[test]
fn a_full_queue_loses_points_and_counts_them() {
    let gauge = source("g", MetricKind::Gauge);
    let store = manual(10);
    let mut settings = Settings::with_bytes(1 << 20);
    settings.queue_bytes = 10;
    let history = MetricHistory::start(&store, &settings).unwrap();
    push(&store, (1..=100).map(|second| point(&gauge, "one", second, 1)));
    while store.step() {}
    let recalled = history.series(store.query()).unwrap();
    assert_eq!((recalled.series[0].points.len(), recalled.report.complete), (10, true));
    assert_eq!(recalled.report.missed, 90);
    let stats = history.stats();
    assert_eq!((stats.evicted, stats.missed, stats.held), (90, 90, 0));
}

#[test]
fn a_query_about_arrival_is_answered_by_the_store() {
    let gauge = source("g", MetricKind::Gauge);
    let (store, history) = pushed((1..=50).map(|second| point(&gauge, "one", second, 1)));
    for query in [store.query().limit(3), store.query().since(&store.bookmark())] {
        let report = history.series(query).unwrap().report;
        assert!(!report.asked_history && report.from_history == 0 && report.complete);
    }
    assert_eq!(
        history.series(store.query().order(Order::Latest)).unwrap().series[0].points.len(),
        50
    );
    let wrong = history.series(store.query().key("nothing", "x")).unwrap_err();
    assert!(matches!(wrong, RecallError::Query(_)), "{wrong}");
    assert_eq!(history.series(manual(5).query()).unwrap_err(), RecallError::OtherStore);
    let position = store.push(point(&gauge, "one", 60, 1)).unwrap();
    let inside = store.visit(position, |_| history.series(store.query()).unwrap_err()).unwrap();
    assert_eq!(inside, RecallError::Reentrant);
}

#[test]
fn a_history_can_be_cleared_and_ends_before_its_store_or_after() {
    let gauge = source("g", MetricKind::Gauge);
    let (store, history) = pushed((1..=50).map(|second| point(&gauge, "one", second, 1)));
    history.clear();
    let stats = history.stats();
    assert_eq!((stats.held, stats.series, stats.cleared, stats.expired), (0, 0, 40, 0));
    assert_eq!(history.series(store.query()).unwrap().series[0].points.len(), 10);
    drop(history.clone());
    drop(history);
    push(&store, (51..=90).map(|second| point(&gauge, "one", second, 1)));
    while store.step() {}
    // A second history begins where it is started.
    let history = MetricHistory::start(&store, &patient(1 << 20)).unwrap();
    push(&store, (91..=120).map(|second| point(&gauge, "one", second, 1)));
    let (points, report) = history.points(store.query()).unwrap();
    assert_eq!((points.len(), report.complete), (40, true));
    store.shutdown().unwrap();
    drop(store);
    assert_eq!(history.stats().held, 30);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let store = manual(10);
    let wrong = |change: fn(&mut Settings)| {
        let mut settings = Settings::with_bytes(1 << 20);
        change(&mut settings);
        MetricHistory::start(&store, &settings).unwrap_err()
    };
    assert_eq!(
        wrong(|settings| settings.max_bytes = 5),
        HistoryError::TooFewBytes { bytes: 5, least: 262_144 }
    );
    assert_eq!(wrong(|settings| settings.block_points = 0), HistoryError::Zero("block_points"));
    assert_eq!(
        wrong(|settings| settings.queue_points = 1 << 40),
        HistoryError::TooLarge("queue_points")
    );
    let many = wrong(|settings| settings.max_series = 1 << 20);
    assert_eq!(many, HistoryError::TooManySeries { series: 1 << 20, most: 2_048 });
}

#[test]
fn no_answer_is_complete_while_a_point_is_on_its_way() {
    let gauge = source("g", MetricKind::Gauge);
    let store = manual(10);
    let (entered, has_entered) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let gate = Mutex::new(may_go_on);
    // Hooks run in the order in which they were added, so the history's waits for this one.
    store.on_evict(move |position, _, _| {
        if position.sequence() == 0 {
            entered.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        }
    });
    let mut settings = patient(4 << 20);
    settings.patience = Duration::from_millis(20);
    let history = MetricHistory::start(&store, &settings).unwrap();
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            push(&store, (0..11).map(|second| point(&gauge, "one", second, 1)));
            while store.step() {}
        });
        has_entered.recv().unwrap();
        for _ in 0..3 {
            assert!(!history.series(store.query()).unwrap().report.complete);
        }
        drop(go_on);
        pushing.join().unwrap();
        let recalled = history.series(store.query()).unwrap();
        assert_eq!((recalled.series[0].points.len(), recalled.report.complete), (11, true));
    });
}
