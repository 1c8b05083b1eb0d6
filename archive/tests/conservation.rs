//! Each record that leaves a store is in a file once, or counted as lost: while object stores fail
//! and stall, queues overflow, and stores are cleared.

mod support;

use slipring::{LogRecord, MetricPoint, Span, Telemetry};
use slipring_archive::object_store::memory::InMemory;
use slipring_archive::object_store::throttle::{ThrottleConfig, ThrottledStore};
use slipring_archive::{Archive, Files, Place, Settings, Stats};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{Failing, in_memory, manual, patient, push};

const SECOND: u64 = 1_000_000_000;
const ALWAYS: std::ops::Range<u64> = 0..u64::MAX;
const LONG: Duration = Duration::from_secs(60);

fn span(id: u64) -> Span {
    let span = Span::builder().trace_id(u128::from(id)).span_id(id);
    span.start_unix_nanos(id * SECOND).name("GET /").attribute("n", id as i64).build()
}

fn spans(ids: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = Span> {
    ids.map(span)
}

/// How often each span is in the files.
fn ids(files: &Files) -> BTreeMap<u128, usize> {
    let found = files.spans(ALWAYS).unwrap();
    assert!(found.report.complete, "{:?}", found.report);
    let mut ids = BTreeMap::new();
    for span in found.spans {
        *ids.entry(u128::from(span.trace_id())).or_default() += 1;
    }
    ids
}

#[track_caller]
fn assert_conserved(stats: &Stats, pushed: u64) {
    assert_eq!(stats.evicted + stats.drained, pushed, "{stats:?}");
    assert_eq!((stats.queued, stats.held), (0, 0), "{stats:?}");
    assert_eq!(stats.written + stats.lost.total(), pushed, "{stats:?}");
}

#[test]
fn what_is_evicted_and_what_is_held_at_the_end_is_in_files_once() {
    let telemetry = manual(100);
    let archive = Archive::start(&telemetry, in_memory(), &patient()).unwrap();
    push(telemetry.traces(), spans(1..=1_000));
    assert!(archive.flush(LONG));
    let stats = archive.stats();
    assert_eq!((stats.evicted, stats.written, stats.held), (900, 900, 0));
    push(telemetry.traces(), spans(1_001..=1_050));
    let files = archive.files().clone();
    let stats = archive.finish().unwrap();
    assert_conserved(&stats, 1_050);
    assert_eq!((stats.drained, stats.lost.total()), (100, 0));
    assert!(ids(&files).into_values().eq([1; 1_050]));
    assert_eq!(archive.finish().unwrap(), stats, "there is nothing more to do");
}

#[test]
fn what_is_held_can_stay_in_the_stores_at_the_end() {
    let telemetry = manual(100);
    let archive = Archive::start(&telemetry, in_memory(), &patient()).unwrap();
    push(telemetry.traces(), spans(1..=150));
    let files = archive.files().clone();
    let stats = archive.finish_evicted();
    assert_conserved(&stats, 50);
    assert_eq!((stats.drained, stats.lost.total()), (0, 0));
    assert!(ids(&files).into_keys().eq(1..=50));
    push(telemetry.traces(), spans(151..=160));
    assert_eq!(archive.stats(), stats, "it has ended, and the store has not");
    assert_eq!(telemetry.traces().query().collect().unwrap().records.len(), 100);
}

#[test]
fn threads_of_stores_and_of_the_archive_lose_nothing_between_them() {
    let telemetry = Telemetry::builder().traces(512).build().unwrap();
    let mut settings = patient();
    settings.file_bytes = 200_000;
    let archive = Archive::start(&telemetry, in_memory(), &settings).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let traces = telemetry.traces();
            scope.spawn(move || {
                for id in 1..=5_000 {
                    traces.push(span(thread * 5_000 + id)).unwrap();
                }
            });
        }
    });
    let files = archive.files().clone();
    let stats = archive.finish().unwrap();
    assert_conserved(&stats, 10_000);
    assert_eq!(stats.lost.total(), 0, "{stats:?}");
    assert!(stats.files > 3);
    assert!(ids(&files).into_values().eq([1; 10_000]));
}

#[test]
fn a_queue_without_room_loses_and_counts() {
    let telemetry = manual(10);
    let mut settings = patient();
    (settings.queue_records, settings.batch_bytes) = (50, 1);
    let store = ThrottledStore::new(InMemory::new(), stalled());
    settings.finish_timeout = Duration::from_millis(100);
    let archive =
        Archive::start(&telemetry, Place::of_store(Arc::new(store), ""), &settings).unwrap();
    // The pushes go on, though nothing is ever written.
    push(telemetry.traces(), spans(1..=5_000));
    let stats = archive.finish().unwrap();
    assert_conserved(&stats, 5_000);
    assert!(stats.lost.no_room > 1_000 && stats.lost.unfinished > 10, "{stats:?}");
    assert_eq!(stats.written, 0);
}

fn stalled() -> ThrottleConfig {
    ThrottleConfig { wait_put_per_call: Duration::from_secs(86_400), ..Default::default() }
}

fn failing(failures: u64, settings: &Settings) -> (Telemetry, Arc<Failing>, Archive) {
    let telemetry = manual(10);
    let store = Arc::new(Failing { failures: AtomicU64::new(failures), ..Failing::default() });
    let place = Place::of_store(Arc::<Failing>::clone(&store), "history");
    let archive = Archive::start(&telemetry, place, settings).unwrap();
    (telemetry, store, archive)
}

#[test]
fn a_store_that_fails_for_a_while_costs_nothing() {
    let (telemetry, store, archive) = failing(4, &patient());
    push(telemetry.traces(), spans(1..=110));
    assert!(archive.flush(LONG));
    let stats = archive.stats();
    assert_eq!((stats.written, stats.files, stats.errors), (100, 1, 4));
    assert!(stats.last_error.unwrap().contains("no storage space"));
    assert_eq!(store.puts.load(Ordering::SeqCst), 5);
    assert_eq!(ids(archive.files()).len(), 100);
}

/// Settings with which there is room for one file while it is written.
fn tight() -> Settings {
    let mut settings = patient();
    settings.batch_bytes = 1;
    settings
}

#[test]
fn a_file_is_tried_as_long_as_there_is_room_to_wait() {
    let (telemetry, store, archive) = failing(40, &patient());
    push(telemetry.traces(), spans(1..=110));
    assert!(archive.flush(LONG));
    let stats = archive.stats();
    assert_eq!((stats.written, stats.lost.total(), stats.errors), (100, 0, 40), "{stats:?}");
    assert_eq!(store.puts.load(Ordering::SeqCst), 41);
}

#[test]
fn a_file_for_which_there_is_no_room_to_wait_is_given_up_and_counted_and_the_next_is_not() {
    let (telemetry, _, archive) = failing(5, &tight());
    push(telemetry.traces(), spans(1..=110));
    assert!(archive.flush(LONG));
    push(telemetry.traces(), spans(111..=120));
    let files = archive.files().clone();
    let stats = archive.finish().unwrap();
    assert_conserved(&stats, 120);
    // How many records the first file has depends on when its thread first looks.
    let lost = stats.lost.failed;
    assert!((1..=100).contains(&lost), "{stats:?}");
    assert_eq!((stats.written, stats.errors), (120 - lost, 5));
    assert!(ids(&files).into_keys().eq(u128::from(lost) + 1..=120));
}

#[test]
fn an_attempt_that_stalls_is_given_up_in_time() {
    let telemetry = manual(10);
    let mut settings = tight();
    (settings.attempts, settings.attempt_timeout) = (2, Duration::from_millis(1));
    let store = ThrottledStore::new(InMemory::new(), stalled());
    let archive =
        Archive::start(&telemetry, Place::of_store(Arc::new(store), ""), &settings).unwrap();
    push(telemetry.traces(), spans(1..=30));
    assert!(archive.flush(LONG));
    let stats = archive.stats();
    assert_eq!(stats.lost.failed, 20);
    // Two for each file.
    assert!(stats.errors >= 2 && stats.errors.is_multiple_of(2), "{stats:?}");
    assert!(stats.last_error.unwrap().contains("was not written within 0.001 s"));
}

#[test]
fn a_disk_that_is_full_again_and_again_costs_what_is_counted_and_nothing_twice() {
    for seed in 0..8_u64 {
        let mut settings = patient();
        settings.file_bytes = 5_000;
        // From little room to much, and from few failures to many.
        settings.batch_bytes = 8_000 << (seed % 5);
        settings.queue_records = 100 << (seed % 3);
        let (telemetry, store, archive) = failing(seed * 3, &settings);
        for part in 0..20 {
            push(telemetry.traces(), spans(part * 100 + 1..=part * 100 + 100));
            if part % 7 == seed % 7 {
                store.failures.fetch_add(seed, Ordering::SeqCst);
            }
        }
        store.failures.store(0, Ordering::SeqCst);
        let files = archive.files().clone();
        let stats = archive.finish().unwrap();
        assert_conserved(&stats, 2_000);
        let ids = ids(&files);
        assert!(ids.values().all(|count| *count == 1), "{seed}");
        assert_eq!(ids.len() as u64, stats.written, "{seed}: {stats:?}");
    }
}

#[test]
fn what_is_cleared_is_not_written() {
    let telemetry = manual(100);
    let archive = Archive::start(&telemetry, in_memory(), &patient()).unwrap();
    push(telemetry.traces(), spans(1..=150));
    telemetry.traces().clear();
    while telemetry.traces().step() {}
    let files = archive.files().clone();
    let stats = archive.finish().unwrap();
    assert_conserved(&stats, 150);
    assert_eq!((stats.lost.cleared, stats.written), (100, 50));
    assert!(ids(&files).into_keys().eq(1..=50));
}

#[test]
fn stores_that_hold_more_than_fits_are_written_to_the_end() {
    let telemetry = manual(5_000);
    let mut settings = patient();
    settings.batch_bytes = 100_000;
    let archive = Archive::start(&telemetry, in_memory(), &settings).unwrap();
    push(telemetry.traces(), spans(1..=5_000));
    let logs = (0..5_000).map(|n| LogRecord::builder().time_unix_nanos(n).body("x").build());
    push(telemetry.logs(), logs);
    let points = (0..5_000).map(|n| MetricPoint::builder().time_unix_nanos(n).value(1).build());
    push(telemetry.metrics(), points);
    let files = archive.files().clone();
    let stats = archive.finish().unwrap();
    assert_conserved(&stats, 15_000);
    assert_eq!((stats.drained, stats.lost.total()), (15_000, 0));
    assert!(stats.files > 5, "{stats:?}");
    assert_eq!(files.logs(ALWAYS).unwrap().logs.len(), 5_000);
    assert_eq!(files.points(ALWAYS).unwrap().points.len(), 5_000);
}

#[test]
fn a_second_run_adds_to_the_files_of_the_first() {
    let place = in_memory();
    for ids in [1..=60, 61..=90] {
        let telemetry = manual(10);
        let archive = Archive::start(&telemetry, place.clone(), &patient()).unwrap();
        push(telemetry.traces(), spans(ids));
        // Without the stores' records.
        drop(archive);
    }
    let found = ids(&Files::new(place, &Settings::default()));
    assert!(found.into_keys().eq((1..=50).chain(61..=80)));
}
