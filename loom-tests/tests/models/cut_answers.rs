//! A query while shards turn over. The query finds every record that was there when it began, or
//! its report says that the answer was cut or how many it missed.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use slipring_loom_tests::{Record, assert_caught, explore, push_a_third_record, small};
use std::sync::Arc;

/// A query shows two records at a time, newest first. Once the first has been shown, another thread
/// evicts the oldest, which is the third.
fn check_cut_is_reported(limit: usize) {
    let store = small(3, 1).build().unwrap();
    for number in 0..3 {
        store.push(Record::new(1, number)).unwrap();
    }
    store.flush().unwrap();
    let began = Arc::new(AtomicBool::new(false));
    let other = {
        let (store, began) = (store.clone(), Arc::clone(&began));
        thread::spawn(move || {
            if began.load(Ordering::Acquire) {
                store.push(Record::new(2, 0)).unwrap();
                store.step();
            }
        })
    };
    let mut found = 0;
    let visit = |_, _: &Record| {
        began.store(true, Ordering::Release);
        found += 1;
    };
    let report = store.query().key("key", 1_u64).limit(limit).for_each(visit).unwrap();
    assert!(found == 3 || report.cut, "lost without being reported: found {found}");
    other.join().unwrap();
}

#[test]
fn a_cut_answer_says_so() {
    explore("cut", 3, || check_cut_is_reported(10));
}

/// Without a limit, all three are found before the first is shown.
#[test]
fn a_small_answer_that_is_cut_between_search_and_show_says_so() {
    explore("cut between search and show", 3, || check_cut_is_reported(usize::MAX));
}

/// A key's record is evicted while a query from a bookmark is on its way to it: the record is
/// shown, or counted as missed.
#[test]
fn a_record_evicted_on_the_way_is_counted_as_missed() {
    explore("left on the way", 2, || {
        let store = small(2, 2).build().unwrap();
        let other = push_a_third_record(&store);
        let report =
            store.query().since(&store.beginning()).key("key", 1u64).for_each(|_, _| ()).unwrap();
        assert!(report.led_by.is_none_or(|index| index == "key"));
        assert_eq!(report.shown + report.missed, 1, "neither shown nor counted: {report:?}");
        other.join().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught(
        "LeftUncounted",
        "a_record_evicted_on_the_way_is_counted_as_missed",
        "neither shown nor counted",
    );
    for model in
        ["a_cut_answer_says_so", "a_small_answer_that_is_cut_between_search_and_show_says_so"]
    {
        assert_caught("GoneUnsaid", model, "lost without being reported");
    }
}
