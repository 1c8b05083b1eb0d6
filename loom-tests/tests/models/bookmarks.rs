//! A bookmark taken during pushes. Each record lies before it or after it, and none is lost to a
//! claim that is not published yet.

use loom::thread;
use slipring::{Bookmark, Query, Store};
use slipring_loom_tests::{Record, assert_caught, explore, small};

fn numbers(query: Query<'_, Record>) -> Vec<u64> {
    let mut numbers = Vec::new();
    let report = query.for_each(|_, record| {
        record.check();
        numbers.push(*record.body % 100);
    });
    assert_eq!(report.unwrap().missed, 0, "nothing is evicted");
    numbers
}

/// Checks that the records before the bookmark now, and those after it once all pushes are done,
/// are all records.
fn check_each_is_on_one_side(store: &Store<Record>, bookmark: &Bookmark, finish: impl FnOnce()) {
    let mut all = numbers(store.query().until(bookmark));
    finish();
    all.extend(numbers(store.query().since(bookmark)));
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2], "each record on one side of the bookmark");
}

#[test]
fn each_record_is_on_one_side() {
    explore("bookmark", 2, || {
        let store = small(4, 1).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        let producers = [1, 2].map(|number| {
            let store = store.clone();
            thread::spawn(move || store.push(Record::new(1, number)).map(drop).unwrap())
        });
        let bookmark = store.bookmark();
        check_each_is_on_one_side(&store, &bookmark, || {
            producers.into_iter().for_each(|one| one.join().unwrap())
        });
    });
}

#[test]
fn the_next_bookmark_continues_without_a_gap() {
    explore("from bookmark to bookmark", 1, || {
        let store = small(4, 1).build().unwrap();
        let producer = {
            let store = store.clone();
            thread::spawn(move || {
                (0..3).for_each(|number| store.push(Record::new(1, number)).map(drop).unwrap())
            })
        };
        let indexer = {
            let store = store.clone();
            thread::spawn(move || store.step())
        };
        let first = store.query().since(&store.beginning()).collect().unwrap();
        let bookmark =
            first.report.bookmark.expect("a query since a bookmark returns the next one");
        producer.join().unwrap();
        indexer.join().unwrap();
        let mut all: Vec<u64> = first.records.iter().map(|record| *record.body % 100).collect();
        all.extend(numbers(store.query().since(&bookmark)));
        assert_eq!(all, [0, 1, 2], "each record on one side of the bookmark");
    });
}

/// One thread's records go to two shards. None of them lies before the bookmark unless all earlier
/// ones do.
#[test]
fn a_bookmark_keeps_a_threads_order() {
    explore("a thread's order", 3, || {
        let store: Store<Record> =
            Store::builder().capacity(4).shards(2).slack(1).manual().build().unwrap();
        let producer = {
            let store = store.clone();
            thread::spawn(move || {
                let shards =
                    [0, 1, 2].map(|number| store.push(Record::new(1, number)).unwrap().shard());
                assert!(shards.iter().any(|&shard| shard != shards[0]));
            })
        };
        let bookmark = store.bookmark();
        let mut before = numbers(store.query().until(&bookmark));
        before.sort_unstable();
        assert!(before.iter().copied().eq(0..before.len() as u64), "out of order: {before:?}");
        producer.join().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught(
        "BookmarkAtClaimed",
        "each_record_is_on_one_side",
        "each record on one side of the bookmark",
    );
    assert_caught("StampRelaxed", "a_bookmark_keeps_a_threads_order", "out of order");
}
