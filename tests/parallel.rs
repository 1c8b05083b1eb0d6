//! Scans by several threads return what one thread returns.
#![cfg(feature = "rayon")]

mod support;

use slipring::{Order, Store};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use support::{Census, Counted};

#[test]
fn several_threads_return_what_one_thread_returns() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(20_000).shards(3).build().unwrap();
    store
        .push_batch((0..50_000).map(|number| Counted::new(&census, number % 7, number)).collect())
        .unwrap();
    let ask = || {
        store
            .query()
            .any_of("key", [1u64, 4])
            .between(35_000..49_000)
            .filter(|record| record.number % 5 != 0)
    };
    let one: Vec<u64> = ask().collect().unwrap().iter().map(|record| record.number).collect();
    assert!(one.len() > 2_000);
    let several = Mutex::new(Vec::new());
    let shown =
        ask().par_for_each(|_, record| several.lock().unwrap().push(record.number)).unwrap();
    let mut several = several.into_inner().unwrap();
    assert_eq!(shown, several.len());
    let mut sorted = one.clone();
    sorted.sort_unstable();
    several.sort_unstable();
    assert_eq!(several, sorted);
    let mut copies: Vec<u64> =
        ask().par_collect().unwrap().iter().map(|record| record.number).collect();
    copies.sort_unstable();
    assert_eq!(copies, sorted);
    assert!(store.query().key("colour", 1u64).par_for_each(|_, _| ()).is_err());
}

/// Pages by time began anew.
#[test]
fn a_later_page_has_no_record_of_an_earlier_one() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(100).shards(2).manual().build().unwrap();
    store
        .push_batch((0..50).map(|number| Counted::new(&census, 1, number * 7 % 50)).collect())
        .unwrap();
    for order in [Order::Newest, Order::Oldest, Order::Latest, Order::Earliest] {
        let numbers = |records: &[Counted]| -> Vec<u64> {
            let mut numbers: Vec<_> = records.iter().map(|record| record.number).collect();
            numbers.sort_unstable();
            numbers
        };
        let page = store.query().order(order).limit(20).collect().unwrap();
        let next = page.report.next.unwrap();
        let rest = numbers(&store.query().after(&next).collect().unwrap().records);
        assert_eq!(rest.len(), 30);
        assert_eq!(numbers(&store.query().after(&next).par_collect().unwrap()), rest, "{order:?}");
        assert_eq!(store.query().after(&next).par_for_each(|_, _| ()).unwrap(), 30);
    }
}

#[test]
fn no_record_is_returned_twice_during_pushes() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(10_000).shards(2).build().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                store.push(Counted::new(&census, 1, number)).map(drop).unwrap();
                number += 1;
            }
        });
        for _ in 0..20 {
            let mut numbers: Vec<u64> =
                store.query().par_collect().unwrap().iter().map(|one| one.number).collect();
            numbers.sort_unstable();
            assert!(numbers.is_sorted_by(|a, b| a < b));
        }
        stop.store(true, Ordering::Relaxed);
    });
    store.audit().unwrap();
}
