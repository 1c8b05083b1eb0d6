//! Edge cases of queries, followers and traces that earlier versions got wrong. Evictions ahead of
//! a running query are modelled in `loom-tests/tests/cut_answers.rs`.

mod support;

use slipring::error::{QueryError, WaitError};
use slipring::trace::TraceOrder;
use slipring::{Bookmark, LogRecord, Order, Resource, Scope, Source, Span, SpanId, Store, TraceId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use support::{Census, Counted};

#[test]
fn a_query_with_an_end_cannot_be_followed() {
    let store: Store<Counted> = Store::builder().capacity(32).build().unwrap();
    let census = Census::new();
    (0..3).for_each(|number| store.push(Counted::new(&census, 1, number)).map(drop).unwrap());
    let (end, page) =
        (store.bookmark(), store.query().limit(1).collect().unwrap().report.next.unwrap());
    assert_eq!(
        store.follow(move |query| query.until(&end)).unwrap_err(),
        QueryError::EndsSomewhere
    );
    assert_eq!(
        store.follow(move |query| query.after(&page)).unwrap_err(),
        QueryError::EndsSomewhere
    );
    assert_eq!(store.follow(|query| query.limit(0)).unwrap_err(), QueryError::EndsSomewhere);
}

#[test]
fn a_cursor_or_bookmark_of_another_store_is_refused() {
    let census = Census::new();
    let [one, other] = [(); 2]
        .map(|()| -> Store<Counted> { Store::builder().capacity(32).shards(2).build().unwrap() });
    (0..3).for_each(|number| one.push(Counted::new(&census, 1, number)).map(drop).unwrap());
    let page = one.query().limit(1).collect().unwrap().report.next.unwrap();
    assert_eq!(one.query().after(&page).count(), Ok(2));
    assert_eq!(other.query().after(&page).count(), Err(QueryError::OtherStore));
    assert_eq!(other.query().since(&one.bookmark()).count(), Err(QueryError::OtherStore));
}

/// A follower once ignored its timeout while records kept arriving that its query rejects.
#[test]
fn a_follower_times_out_while_rejected_records_keep_arriving() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(1_000).build().unwrap();
    let reject_slowly = |_: &Counted| {
        thread::sleep(Duration::from_micros(20));
        false
    };
    let mut follower = store.follow(move |query| query.filter(reject_slowly)).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                store.push(Counted::new(&census, 1, 1)).map(drop).unwrap();
            }
        });
        // Without the check, `recv_timeout` returned only after the producer had stopped, so never.
        assert_eq!(
            follower.recv_timeout(Duration::from_millis(20)).unwrap_err(),
            WaitError::Timeout
        );
        stop.store(true, Ordering::Relaxed);
    });
}

/// Filters once ran under a pin of a garbage collector that all stores shared.
#[test]
fn a_filter_that_sleeps_delays_no_other_store() {
    let census = Census::new();
    let queried: Store<Counted> =
        Store::builder().capacity(100).shards(2).manual().build().unwrap();
    (0..10).for_each(|number| queried.push(Counted::new(&census, 1, number)).map(drop).unwrap());
    let other: Store<Counted> =
        Store::builder().capacity(5_000).shards(1).slack(64).build().unwrap();
    let (asleep, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let sleep = |_: &Counted| {
                asleep.store(true, Ordering::Relaxed);
                while !done.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
                true
            };
            queried.query().filter(sleep).collect().unwrap()
        });
        while !asleep.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        (0..20_000)
            .for_each(|number| other.push(Counted::new(&census, 1, number)).map(drop).unwrap());
        let flushed = other.flush_timeout(Duration::from_secs(20));
        done.store(true, Ordering::Relaxed);
        flushed.unwrap();
    });
}

/// It was said of each query for a key that had ever been evicted.
#[test]
fn an_answer_since_a_bookmark_is_not_partial_if_nothing_has_left_since() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(100).shards(1).manual().build().unwrap();
    let push = |key, records: u64| {
        let all = (0..records).map(|number| Counted::new(&census, key, number));
        store.push_batch(all.collect()).unwrap();
        while store.step() {}
    };
    let ask = |bookmark: &Bookmark, key: u64| {
        let report = store.query().since(bookmark).key("key", key).collect().unwrap().report;
        (report.led_by, report.shown, report.partial)
    };
    push(1, 120);
    push(2, 50);
    let bookmark = store.bookmark();
    push(1, 3);
    push(3, 40);
    assert_eq!(ask(&bookmark, 1), (Some("key"), 3, false), "its link leads before the bookmark");
    assert_eq!(ask(&store.beginning(), 1), (Some("key"), 10, true));
    push(3, 57);
    let bookmark = store.bookmark();
    push(4, 2);
    push(3, 40);
    assert_eq!(ask(&bookmark, 2), (Some("key"), 0, false), "it left before the bookmark");
    push(3, 70);
    push(4, 1);
    assert_eq!(ask(&bookmark, 4), (Some("key"), 1, true), "some have left since");
}

#[test]
fn a_query_until_a_bookmark_has_missed_nothing() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(10).shards(1).manual().build().unwrap();
    (0..30).for_each(|number| store.push(Counted::new(&census, 1, number)).map(drop).unwrap());
    let page = store.query().until(&store.bookmark()).limit(5).collect().unwrap();
    assert_eq!((page.len(), page.report.missed), (5, 0));
    let page = store.query().after(&page.report.next.unwrap()).collect().unwrap();
    assert_eq!((page.len(), page.report.missed), (5, 0));
}

fn span(trace: u128, id: u64, parent: Option<u64>, start: u64, end: u64, service: &str) -> Span {
    let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
    Span::builder()
        .source(&source)
        .trace_id(TraceId::from(trace))
        .span_id(SpanId::from(id))
        .parent_span_id(parent.map(SpanId::from))
        .start_unix_nanos(start)
        .end_unix_nanos(end)
        .build()
}

fn traces(spans: Vec<Span>) -> Store<Span> {
    let store: Store<Span> = Store::builder().manual().build().unwrap();
    store.push_batch(spans).unwrap();
    store
}

#[test]
fn the_root_filter_uses_the_root_that_the_trace_shows() {
    let store = traces(vec![span(7, 1, None, 5, 10, "first"), span(7, 2, None, 5, 10, "second")]);
    let root = store.trace(7u128).unwrap().root().unwrap().span.service().to_owned();
    assert_eq!(store.query().traces().root_service(root).collect().unwrap().len(), 1);
}

#[test]
fn a_redelivered_span_counts_once_in_its_traces_duration() {
    let store = traces(vec![
        span(7, 1, None, 1, 11, "a"),
        span(7, 1, None, 1, 301, "a"),
        span(7, 1, None, 1, 11, "a"),
        span(8, 1, None, 1, 501, "a"),
        span(9, 1, None, 1, 401, "a"),
    ]);
    assert_eq!(store.query().traces().at_least(600).collect().unwrap(), []);
    let slowest = store.query().traces().order(TraceOrder::Slowest).limit(3).collect().unwrap();
    assert_eq!(
        slowest.iter().map(|one| (one.duration, one.spans)).collect::<Vec<_>>(),
        [(500, 1), (400, 1), (300, 1)]
    );
}

#[test]
fn spans_without_ids_are_distinct_and_have_no_children() {
    let services = ["a", "b", "c"];
    let mut spans: Vec<Span> =
        services.iter().map(|service| span(7, 0, None, 0, 1, service)).collect();
    spans.push(span(7, 5, Some(0), 0, 1, "d"));
    let graph = traces(spans).query().service_graph().unwrap();
    assert_eq!(graph.services.iter().map(|one| one.spans).collect::<Vec<_>>(), [1; 4]);
    assert!(graph.calls.is_empty());
}

#[test]
fn a_child_that_ends_before_a_later_sibling_is_not_on_the_critical_path() {
    let store = traces(vec![
        span(7, 1, None, 1, 100, "root"),
        span(7, 2, Some(1), 10, 90, "waited for"),
        span(7, 3, Some(1), 5, 80, "not waited for"),
    ]);
    let trace = store.trace(7u128).unwrap();
    let path: Vec<(&str, u64)> = trace
        .critical_path()
        .iter()
        .map(|one| (trace.spans[one.span].span.service(), one.times.end - one.times.start))
        .collect();
    assert_eq!(path, [("root", 9), ("waited for", 80), ("root", 10)]);
}

#[test]
fn an_answer_iterates_over_records_by_value_and_by_reference() {
    let logs: slipring::Store<slipring::LogRecord> =
        slipring::Store::builder().manual().build().unwrap();
    let position = logs.push(slipring::LogRecord::default()).unwrap();
    let answer = logs.query().collect().unwrap();
    let mut seen = 0;
    for record in &answer {
        assert_eq!(record, &slipring::LogRecord::default());
        seen += 1;
    }
    assert_eq!(seen, 1);
    let positioned: Vec<_> = answer.clone().into_positioned().collect();
    assert_eq!(positioned, [(position, slipring::LogRecord::default())]);
    assert_eq!(answer.into_iter().count(), 1);
}

/// Counts need no order, but a page by time begins behind the last record of the page before.
#[test]
fn a_later_page_counts_what_it_shows() {
    let logs: Store<LogRecord> = Store::builder().capacity(100).shards(2).manual().build().unwrap();
    for time in [3, 1, 9, 7, 5, 10, 2, 8, 4, 6] {
        logs.push(LogRecord::builder().time_unix_nanos(time).build()).unwrap();
    }
    for order in [Order::Latest, Order::Earliest, Order::Newest, Order::Oldest] {
        let first = logs.query().order(order).limit(4).for_each(|_, _| ()).unwrap();
        let next = first.next.unwrap();
        let mut shown = [0; 2];
        logs.query().order(order).after(&next).for_each(|_, _| shown[0] += 1).unwrap();
        logs.query().order(order).after(&next).for_each_unordered(|_, _| shown[1] += 1).unwrap();
        let counted = logs.query().order(order).after(&next).count().unwrap();
        assert_eq!((shown, counted), ([6; 2], 6), "{order:?}");
    }
}
