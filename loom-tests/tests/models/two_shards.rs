//! A query over two shards while both change after it has begun. It finds no record twice and
//! misses none that stays. If records were evicted meanwhile, the report says so.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use slipring::{Order, Query, Store};
use slipring_loom_tests::{Record, assert_caught, explore};
use std::sync::Arc;

/// Runs a query over so many records, which two shards take in turn. Once the query has pinned two of
/// them and looks at the first, each shard gets another record, which evicts the first one there if
/// there is no room for it, and the indexer works.
fn query_while_two_shards_change(
    capacity: usize,
    records: u64,
    limit: usize,
    build: impl for<'q> Fn(Query<'q, Record>) -> Query<'q, Record>,
) {
    let store: Store<Record> =
        Store::builder().capacity(capacity).shards(2).slack(1).manual().build().unwrap();
    for number in 0..records {
        assert_eq!(store.push(Record::new(1, number)).unwrap().shard() as u64, number % 2);
    }
    store.flush().unwrap();
    let began = Arc::new(AtomicBool::new(false));
    let producer = {
        let (store, began) = (store.clone(), Arc::clone(&began));
        thread::spawn(move || {
            if began.load(Ordering::Acquire) {
                store.push(Record::new(1, records)).unwrap();
                store.push(Record::new(1, records + 1)).unwrap();
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
    let missing = (0..records).any(|number| !found.contains(&number));
    assert!(!missing || cut, "lost without being reported: {found:?}");
    let is_full = records + 2 > capacity as u64;
    assert!(is_full || !missing && !cut, "nothing is evicted: {found:?}");
    producer.join().unwrap();
    indexer.join().unwrap();
}

#[test]
fn a_query_by_an_index_reports_evictions() {
    explore("two shards, by an index", 1, || {
        query_while_two_shards_change(4, 3, 10, |query| query.key("key", 1u64))
    });
}

#[test]
fn a_query_by_an_index_finds_every_record_that_stays() {
    explore("two shards, with room", 2, || {
        query_while_two_shards_change(4, 2, 10, |query| query.key("key", 1u64))
    });
}

#[test]
fn a_scan_slot_by_slot_reports_evictions() {
    explore("two shards, slot by slot", 1, || {
        query_while_two_shards_change(2, 2, 10, |query| query.order(Order::Oldest))
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
