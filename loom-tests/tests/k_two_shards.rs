//! (k) A query over two shards while both of them move, after it has begun: no record twice, none that stays is missing, and
//! what was evicted meanwhile is said to be.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use slipring::{Order, Query, Store};
use slipring_loom_tests::{Record, assert_caught, explore};
use std::sync::Arc;

/// One record in each shard. Once the query looks at the first of them, each shard gets another, which evicts the first one
/// there if there is no room for two; and the indexer works.
fn two_shards_move(capacity: usize, limit: usize, ask: impl for<'q> Fn(Query<'q, Record>) -> Query<'q, Record>) {
    let store: Store<Record> = Store::builder().capacity(capacity).shards(2).slack(1).manual().build().unwrap();
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
    let report = ask(store.query()).filter(begin).limit(limit).for_each(|_, record| {
        record.check();
        found.push(*record.body % 100);
    });
    let cut = report.unwrap().cut;
    found.sort_unstable();
    assert!(found.is_sorted_by(|a, b| a < b), "found twice: {found:?}");
    let missing = [0, 1].iter().any(|number| !found.contains(number));
    assert!(!missing || cut, "lost without a word: {found:?}");
    assert!(capacity == 2 || !missing && !cut, "nothing is evicted: {found:?}");
    producer.join().unwrap();
    indexer.join().unwrap();
}

#[test]
fn by_an_index() {
    explore("two shards, by an index", 1, || two_shards_move(2, 10, |query| query.key("key", 1u64)));
}

#[test]
fn by_an_index_with_room() {
    explore("two shards, with room", 2, || two_shards_move(4, 10, |query| query.key("key", 1u64)));
}

#[test]
fn slot_by_slot() {
    explore("two shards, slot by slot", 1, || two_shards_move(2, 10, |query| query.order(Order::Oldest)));
}

#[test]
fn planted_faults_are_caught() {
    assert_caught("GoneUnsaid", "by_an_index", "lost without a word");
}
