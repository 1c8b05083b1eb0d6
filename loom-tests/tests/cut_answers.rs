//! A query while shards turn over. The query finds every record that was there when it began, or
//! its report says that the answer was cut or how many it missed.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use slipring::{Index, Key, Signal, Store};
use slipring_loom_tests::{assert_caught, explore, push_a_third_record, small};
use std::sync::Arc;

/// A record that signals when a query first compares its key.
#[derive(Default)]
struct Signalling {
    key: u64,
    /// Whether comparisons signal. Only the reader's thread accesses it.
    armed: Option<Arc<std::sync::atomic::AtomicBool>>,
    began: Option<Arc<AtomicBool>>,
}

impl Signalling {
    fn key(&self) -> Key<'_> {
        if self.armed.as_ref().is_some_and(|armed| armed.load(Ordering::Relaxed))
            && let Some(began) = &self.began
        {
            began.store(true, Ordering::Release);
        }
        Key::Int(self.key)
    }
}

impl Signal for Signalling {
    const NAME: &'static str = "signalling";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes = [Index::new("key", |record| Some(record.key()))];

    fn timestamp(&self) -> u64 {
        0
    }
}

/// With a limit, keys are compared while heads are gathered, in the order of shards; without one,
/// when records are shown, newest first. After the first comparison another thread evicts the
/// records of the shards in `turned`.
fn check_cut_is_reported(limit: usize, turned: &'static [usize]) {
    let store: Store<Signalling> =
        Store::builder().capacity(2).shards(2).slack(1).manual().build().unwrap();
    let armed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let began = Arc::new(AtomicBool::new(false));
    for shard in 0..2 {
        let (armed, began) = (Some(Arc::clone(&armed)), Some(Arc::clone(&began)));
        let position =
            store.push(Signalling { key: 1, armed, began }).map_err(|error| error.reason).unwrap();
        assert_eq!(position.shard(), shard);
    }
    store.flush().unwrap();
    let other = {
        let (store, began) = (store.clone(), Arc::clone(&began));
        thread::spawn(move || {
            if began.load(Ordering::Acquire) {
                for &shard in turned {
                    let pushed = store
                        .push(Signalling { key: 2, ..Signalling::default() })
                        .map_err(|error| error.reason);
                    assert_eq!(pushed.unwrap().shard(), shard);
                }
                store.step();
            }
        })
    };
    armed.store(true, Ordering::Relaxed);
    let mut found = 0;
    let report = store.query().key("key", 1u64).limit(limit).for_each(|_, _| found += 1).unwrap();
    assert!(found == 2 || report.cut, "lost without being reported: found {found}");
    other.join().unwrap();
}

#[test]
fn a_cut_answer_says_so() {
    explore("cut", 3, || check_cut_is_reported(10, &[0, 1]));
}

#[test]
fn an_answer_that_is_cut_between_search_and_show_says_so() {
    explore("cut between passes", 3, || check_cut_is_reported(usize::MAX, &[0, 1]));
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
    assert_caught(
        "GoneUnsaid",
        "an_answer_that_is_cut_between_search_and_show_says_so",
        "lost without being reported",
    );
}
