//! Unit tests of the module above.

use super::*;
use crate::TraceId;
use crate::engine::tuning::{SMALL_ANSWER, SMALL_LIMITED};
use crate::query::builder::Query;
use crate::signal::{LogRecord, Severity};
use crate::store::StoreBuilder;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The timestamp of records that are pushed while a query runs.
const LATE: u64 = 1;

fn push(engine: &Engine<LogRecord>, records: u64) {
    for _ in 0..records {
        engine.push(LogRecord::builder().trace_id(TraceId::from(7)).build());
    }
    engine.settle();
}

#[test]
fn records_evicted_ahead_of_the_scan_are_reported_as_cut() {
    for shards in [1, 2] {
        let config = StoreBuilder::<LogRecord>::new()
            .capacity(4_000 * shards)
            .slack(4_000)
            .shards(shards)
            .manual();
        let all = 4_000 * shards as u64;
        for (order, by_key) in [
            (Order::Newest, false),
            (Order::Newest, true),
            (Order::Oldest, false),
            (Order::Oldest, true),
        ] {
            let engine = Engine::of(&config);
            push(&engine, all);
            let run = |pushed_meanwhile: u64| {
                let first = Cell::new(true);
                let visit = |_: Position, _: &LogRecord| {
                    if first.replace(false) {
                        push(&engine, pushed_meanwhile);
                    }
                };
                let query = Query::new(&engine).order(order);
                let query = if by_key { query.key("trace", TraceId::from(7)) } else { query };
                query.for_each(visit).unwrap()
            };
            let whole = run(0);
            assert_eq!((whole.shown, whole.cut), (all, false));
            let report = run(all * 3 / 4);
            assert!(report.cut && report.shown < all, "{shards} {order:?} {by_key}: {report:?}");
            let whole = run(0);
            assert_eq!((whole.shown, whole.cut), (all, false));
        }
    }
}

#[test]
fn evictions_below_the_limit_do_not_cut_the_answer() {
    let run = |limit| {
        let engine = Engine::of(
            &StoreBuilder::<LogRecord>::new().capacity(4_000).slack(4_000).shards(1).manual(),
        );
        push(&engine, 4_000);
        let first = Cell::new(true);
        let visit = |_: Position, _: &LogRecord| {
            if first.replace(false) {
                push(&engine, 3_000);
            }
        };
        let report = Query::new(&engine).limit(limit).for_each(visit).unwrap();
        (report.shown, report.cut)
    };
    assert_eq!(run(10), (10, false));
    assert_eq!(
        run(3_999),
        (1_000, true),
        "a query does not hold back the eviction of records that it has yet to reach"
    );
}

/// Returns an engine with a shard for 4,000 records, and one for 1,000 errors.
fn two_shards() -> Engine<LogRecord> {
    Engine::of(
        &StoreBuilder::<LogRecord>::new()
            .capacity(5_000)
            .slack(4_000)
            .shards(1)
            .error_class(1_000)
            .manual(),
    )
}

fn push_to(engine: &Engine<LogRecord>, severity: Severity, time_unix_nanos: u64, records: u64) {
    for _ in 0..records {
        engine
            .push(LogRecord::builder().severity(severity).time_unix_nanos(time_unix_nanos).build());
    }
    engine.settle();
}

/// Queries the six newest records that a filter accepts: all errors, and the first record of
/// another severity that it sees. At the second one the filter pushes 3,999 records, which the
/// query does not cover and which overwrite all others. Returns the number of records shown and
/// whether the answer was cut.
fn lose_all_but_one(engine: &Engine<LogRecord>) -> (u64, bool) {
    let seen = AtomicU64::new(0);
    let filter = |record: &LogRecord| {
        if record.severity() == Severity::ERROR {
            return true;
        }
        let number = seen.fetch_add(1, Ordering::Relaxed);
        if number == 1 {
            push_to(engine, Severity::INFO, LATE, 3_999);
        }
        number == 0
    };
    let report = Query::new(engine).filter(filter).limit(6).for_each(|_, _| ()).unwrap();
    (report.shown, report.cut)
}

#[test]
fn evictions_in_one_shard_cut_the_answer_only_if_it_reaches_that_far() {
    let engine = two_shards();
    push_to(&engine, Severity::ERROR, 0, 1_000);
    push_to(&engine, Severity::INFO, 0, 4_000);
    assert_eq!(
        lose_all_but_one(&engine),
        (6, true),
        "the evicted records are newer than the errors that are shown"
    );
    let engine = two_shards();
    push_to(&engine, Severity::INFO, 0, 4_000);
    push_to(&engine, Severity::ERROR, 0, 1_000);
    assert_eq!(
        lose_all_but_one(&engine),
        (6, false),
        "the evicted records are older than the errors that are shown"
    );
}

#[test]
fn evictions_in_a_later_shard_cut_the_answer() {
    let engine = two_shards();
    push_to(&engine, Severity::INFO, 0, 4_000);
    push_to(&engine, Severity::ERROR, 0, 1_000);
    let first = AtomicBool::new(true);
    let filter = |record: &LogRecord| {
        if first.swap(false, Ordering::Relaxed) {
            push_to(&engine, Severity::ERROR, LATE, 1_000);
        }
        record.time_unix_nanos() != LATE
    };
    let report = Query::new(&engine).filter(filter).limit(10_000).for_each(|_, _| ()).unwrap();
    assert_eq!(
        (report.shown, report.cut),
        (4_008, true),
        "the eight pinned errors and all other records are still there, but the remaining errors are \
         not"
    );
    let report = Query::new(&engine).limit(10_000).for_each(|_, _| ()).unwrap();
    assert_eq!((report.shown, report.cut), (5_000, false));
}

#[test]
fn records_evicted_ahead_of_an_upward_scan_are_counted_as_missed() {
    let engine = two_shards();
    let bookmark = Bookmark { store: engine.identity, next: engine.cut().collect() };
    push_to(&engine, Severity::INFO, 0, 4_000);
    push_to(&engine, Severity::ERROR, 0, 1_000);
    let first = AtomicBool::new(true);
    let filter = |record: &LogRecord| {
        if record.severity() == Severity::INFO && first.swap(false, Ordering::Relaxed) {
            push_to(&engine, Severity::INFO, 0, 2_000);
        }
        true
    };
    let query =
        Query::new(&engine).since(&bookmark).order(Order::Oldest).filter(filter).limit(1_000);
    let mut shown = Vec::new();
    let report = query.for_each(|position, _| shown.push(position.sequence())).unwrap();
    assert_eq!(
        shown,
        (0..8).chain(2_000..2_992).collect::<Vec<_>>(),
        "the eight pinned records stay"
    );
    assert_eq!((report.cut, report.missed), (true, 1_992));
}

#[test]
fn few_records_are_scanned_rather_than_links_followed() {
    let engine = Engine::of(&StoreBuilder::<LogRecord>::new().capacity(1_000).shards(1).manual());
    push(&engine, 500);
    let bookmark = Bookmark { store: engine.identity, next: engine.cut().collect() };
    push(&engine, 3);
    let by_trace = || Query::new(&engine).key("trace", TraceId::from(7));
    let report = by_trace().since(&bookmark).for_each(|_, _| ()).unwrap();
    assert_eq!((report.shown, report.led_by, report.looked_at), (3, None, 3));
    let report = by_trace().for_each(|_, _| ()).unwrap();
    assert_eq!((report.shown, report.led_by, report.looked_at), (503, Some("trace"), 503));
}

/// An engine of two shards with as many records of trace 7 as given, among twice as many others, of
/// which `tail` are not indexed.
fn with_trace(records: u64, tail: u64) -> Engine<LogRecord> {
    let config = StoreBuilder::<LogRecord>::new().capacity(4_000).slack(800).shards(2).manual();
    let engine = Engine::of(&config);
    for number in 0..3 * records {
        if number == 3 * (records - tail) {
            engine.settle();
        }
        let trace = TraceId::from(if number % 3 == 0 { 7 } else { 8 });
        engine.push(LogRecord::builder().time_unix_nanos(number).trace_id(trace).build());
    }
    engine
}

#[test]
fn small_and_large_answers_are_the_same() {
    let small = SMALL_ANSWER as u64;
    for records in [1, 7, 8, 9, small - 1, small, small + 1, 3 * small] {
        for tail in [0, 1, 5] {
            let engine = with_trace(records, tail.min(records));
            let of_trace = || Query::new(&engine).key("trace", TraceId::from(7));
            let times = |query: Query<'_, LogRecord>| {
                let mut times = Vec::new();
                let report = query.for_each(|_, log| times.push(log.time_unix_nanos())).unwrap();
                assert_eq!((report.shown, report.cut), (times.len() as u64, false));
                assert_eq!((report.partial, report.led_by), (false, Some("trace")));
                times
            };
            let expected: Vec<u64> = (0..records).rev().map(|number| 3 * number).collect();
            assert_eq!(times(of_trace()), expected, "{records} records, {tail} not indexed");
            for limit in [1, 8, SMALL_LIMITED, SMALL_LIMITED + 1, 65, 10_000] {
                let first = &expected[..expected.len().min(limit)];
                assert_eq!(times(of_trace().limit(limit)), first, "at most {limit}");
                let report = of_trace().limit(limit).for_each(|_, _| ()).unwrap();
                // A query that ends with the last record does not see that it is.
                assert!(
                    records == limit as u64 || report.next.is_some() == (records > limit as u64)
                );
                assert_eq!((report.missed, report.bookmark), (0, None));
            }
            let even = |log: &LogRecord| log.time_unix_nanos().is_multiple_of(2);
            let expected: Vec<u64> =
                expected.into_iter().filter(|time| time.is_multiple_of(2)).collect();
            assert_eq!(times(of_trace().filter(even)), expected);
        }
    }
}

#[test]
fn evictions_cut_a_small_answer_behind_the_pinned_records() {
    let engine = with_trace(20, 0);
    let first = Cell::new(true);
    let visit = |_: Position, _: &LogRecord| {
        if first.replace(false) {
            push(&engine, 4_000);
        }
    };
    let report = Query::new(&engine).key("trace", TraceId::from(7)).for_each(visit).unwrap();
    assert_eq!((report.shown, report.cut), (PINS_PER_READER as u64, true));
    let report = Query::new(&engine).key("trace", TraceId::from(8)).for_each(|_, _| ()).unwrap();
    assert_eq!((report.shown, report.cut, report.partial), (0, false, true));
}
