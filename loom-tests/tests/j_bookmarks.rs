//! (j) A bookmark beside pushes: each record comes before it or after it, and none is lost to a claim that is not published
//! yet.

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

/// What lies on this side of the bookmark now, and on the other once all is done, is everything.
fn each_shows_on_one_side(store: &Store<Record>, bookmark: &Bookmark, finish: impl FnOnce()) {
    let mut all = numbers(store.query().until(bookmark));
    finish();
    all.extend(numbers(store.query().since(bookmark)));
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2], "each on one side");
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
        each_shows_on_one_side(&store, &bookmark, || producers.into_iter().for_each(|one| one.join().unwrap()));
    });
}

#[test]
fn and_follows_on_without_a_gap() {
    explore("from bookmark to bookmark", 1, || {
        let store = small(4, 1).build().unwrap();
        let producer = {
            let store = store.clone();
            thread::spawn(move || (0..3).for_each(|number| store.push(Record::new(1, number)).map(drop).unwrap()))
        };
        let indexer = {
            let store = store.clone();
            thread::spawn(move || store.step())
        };
        let first = store.query().since(&store.beginning()).collect().unwrap();
        let bookmark = first.report.bookmark.expect("it follows");
        producer.join().unwrap();
        indexer.join().unwrap();
        let mut all: Vec<u64> = first.records.iter().map(|record| *record.body % 100).collect();
        all.extend(numbers(store.query().since(&bookmark)));
        assert_eq!(all, [0, 1, 2], "each on one side");
    });
}

/// One thread's records go to two shards: none of them comes before the bookmark without those before it.
#[test]
fn and_keeps_a_threads_order() {
    explore("a thread's order", 3, || {
        let store: Store<Record> = Store::builder().capacity(4).shards(2).slack(1).manual().build().unwrap();
        let producer = {
            let store = store.clone();
            thread::spawn(move || {
                let places = [0, 1, 2].map(|number| store.push(Record::new(1, number)).unwrap().shard());
                assert!(places.iter().any(|&place| place != places[0]));
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
    assert_caught("BookmarkAtClaimed", "each_record_is_on_one_side", "each on one side");
    assert_caught("StampRelaxed", "and_keeps_a_threads_order", "out of order");
}
