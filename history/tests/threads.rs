//! Threads push while others read: each point is in each answer once.

mod support;

use slipring::metric::Temporality;
use slipring::{MetricPoint, Store};
use slipring_history::MetricHistory;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use support::{SECOND, patient, point, source, sum};

const POINTS: u64 = 8_000;

/// Reads the points of one thread, and checks that each is there once, and each that was pushed
/// before. Of those pushed meanwhile any may be there: a query is no cut.
fn check(history: &MetricHistory, store: &Store<MetricPoint>, host: u64, pushed: &AtomicU64) {
    let before = pushed.load(Ordering::Acquire);
    let query = store.query().attribute("host", slipring::Match::reads(host.to_string()));
    let (points, report) = history.points(query).unwrap();
    assert!(report.complete, "{report:?}");
    assert_eq!(report.from_history + report.from_store, points.len() as u64);
    let mut times: Vec<u64> = points.iter().map(|point| point.time_unix_nanos() / SECOND).collect();
    times.sort_unstable();
    let repeated = times.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(repeated, None, "each point once");
    let missing = (1..=before).find(|second| times.binary_search(second).is_err());
    assert_eq!(missing, None, "what was pushed before is there: {before}, {report:?}");
}

fn push_while_others_read(store: &Store<MetricPoint>) {
    let mut settings = patient(64 << 20);
    settings.block_points = 50;
    let history = MetricHistory::start(store, &settings).unwrap();
    let delta = source("orders", sum(Temporality::Delta));
    let (pushed, done) = ([AtomicU64::new(0), AtomicU64::new(0)], AtomicBool::new(false));
    std::thread::scope(|scope| {
        let pushers: Vec<_> = (0..2)
            .map(|host: u64| {
                let (pushed, delta) = (&pushed[host as usize], &delta);
                scope.spawn(move || {
                    for second in 1..=POINTS {
                        store.push(point(delta, &host.to_string(), second, 1)).unwrap();
                        pushed.store(second, Ordering::Release);
                    }
                })
            })
            .collect();
        for host in 0..2 {
            let (pushed, history, done) = (&pushed[host as usize], &history, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    check(history, store, host, pushed);
                }
            });
        }
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    for host in 0..2 {
        check(&history, store, host, &pushed[host as usize]);
    }
    let recalled = history.series(store.query()).unwrap();
    assert_eq!(recalled.series.len(), 2);
    for series in &recalled.series {
        let sum: f64 = series.increments().iter().map(|one| one.amount).sum();
        assert_eq!(sum, POINTS as f64, "the seam is not seen");
    }
    let stats = history.stats();
    assert_eq!((stats.missed, stats.incomplete_answers), (0, 0));
    assert!(stats.held > POINTS, "{stats:?}");
}

#[test]
fn each_point_is_seen_once_while_the_indexer_evicts() {
    push_while_others_read(&Store::builder().capacity(300).shards(3).build().unwrap());
}

#[test]
fn each_point_is_seen_once_while_all_threads_evict() {
    push_while_others_read(&Store::builder().capacity(100).shards(2).manual().build().unwrap());
}
