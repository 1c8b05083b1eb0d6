//! A query over two shards while both change after it has begun. It finds no record twice and
//! misses none that stays. If records were evicted meanwhile, the report says so.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use slipring::{Order, Query, Store};
use slipring_loom_tests::{Record, assert_caught, explore};
use std::sync::Arc;

/// Runs a query over one record in each shard. Once the query looks at the first of them, each
/// shard gets another record, which evicts the first one there if there is no room for two, and the
/// indexer works.
fn query_while_two_shards_change(
    capacity: usize,
    limit: usize,
    build: impl for<'q> Fn(Query<'q, Record>) -> Query<'q, Record>,
) {
    let store: Store<Record> =
        Store::builder().capacity(capacity).shards(2).slack(1).manual().build().unwrap();
    for shard in 0..2 {
        assert_eq!(store.push(Record::new(1, shard as u64)).unwrap().shard(), shard);
    }
    store.flush().unwrap();
    let began = Arc::new(AtomicBool::new(false));
    let producer = {
        let (store, began) = (store.clone(), Arc::clone(&began));
        thread::spawn(move || {
            if began.load(Ordering::Acquire) {
                store.push(Record::new(1, 2)).unwrap();
                store.push(Record::new(1, 3)).unwrap();
                store.step();
            }
        })
    };
    let indexer = {
        let store = store.clone();
        thread::spawn(move || store.step())
    };
    let mut found = Vec::new();
    let begin = |_: &Record| {
        began.store(true, Ordering::Release);
        true
    };
    let report = build(store.query()).filter(begin).limit(limit).for_each(|_, record| {
        record.check();
        found.push(*record.body % 100);
    });
    let cut = report.unwrap().cut;
    found.sort_unstable();
    assert!(found.is_sorted_by(|a, b| a < b), "found twice: {found:?}");
    let missing = [0, 1].iter().any(|number| !found.contains(number));
    assert!(!missing || cut, "lost without being reported: {found:?}");
    assert!(capacity == 2 || !missing && !cut, "nothing is evicted: {found:?}");
    producer.join().unwrap();
    indexer.join().unwrap();
}

#[test]
fn a_query_by_an_index_reports_evictions() {
    explore("two shards, by an index", 1, || {
        query_while_two_shards_change(2, 10, |query| query.key("key", 1u64))
    });
}

#[test]
fn a_query_by_an_index_finds_every_record_that_stays() {
    explore("two shards, with room", 2, || {
        query_while_two_shards_change(4, 10, |query| query.key("key", 1u64))
    });
}

#[test]
fn a_scan_slot_by_slot_reports_evictions() {
    explore("two shards, slot by slot", 1, || {
        query_while_two_shards_change(2, 10, |query| query.order(Order::Oldest))
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught(
        "GoneUnsaid",
        "a_query_by_an_index_reports_evictions",
        "lost without being reported",
    );
}
