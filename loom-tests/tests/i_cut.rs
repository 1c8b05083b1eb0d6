//! (i) A query over two shards while one of them turns over: what was there when it began is found, or the answer says that
//! it was cut.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use slipring::{Key, Signal, Store};
use slipring_loom_tests::{assert_caught, explore, push_a_third, small};
use std::sync::Arc;

/// Tells when a query first compares its key.
#[derive(Default)]
struct Telltale {
    key: u64,
    /// Only the reader's own thread touches this one.
    armed: Option<Arc<std::sync::atomic::AtomicBool>>,
    began: Option<Arc<AtomicBool>>,
}

impl Signal for Telltale {
    const NAME: &'static str = "telltale";
    type Indexes = [&'static str; 1];
    const INDEXES: Self::Indexes = ["key"];

    fn key(&self, _: usize) -> Option<Key<'_>> {
        if self.armed.as_ref().is_some_and(|armed| armed.load(Ordering::Relaxed))
            && let Some(began) = &self.began
        {
            began.store(true, Ordering::Release);
        }
        Some(Key::Int(self.key))
    }

    fn timestamp(&self) -> u64 {
        0
    }
}

/// With a limit, keys are compared while heads are gathered, in the order of shards; without, when records are shown, newest
/// first. `turned` says in which shards another thread evicts what is there after that.
fn a_cut_is_said(limit: usize, turned: &'static [usize]) {
    let store: Store<Telltale> = Store::builder().capacity(2).shards(2).slack(1).manual().build().unwrap();
    let armed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let began = Arc::new(AtomicBool::new(false));
    for shard in 0..2 {
        let (armed, began) = (Some(Arc::clone(&armed)), Some(Arc::clone(&began)));
        let position = store.push(Telltale { key: 1, armed, began }).map_err(|error| error.reason).unwrap();
        assert_eq!(position.shard(), shard);
    }
    store.flush().unwrap();
    let other = {
        let (store, began) = (store.clone(), Arc::clone(&began));
        thread::spawn(move || {
            if began.load(Ordering::Acquire) {
                for &shard in turned {
                    let pushed = store.push(Telltale { key: 2, ..Telltale::default() }).map_err(|error| error.reason);
                    assert_eq!(pushed.unwrap().shard(), shard);
                }
                store.step();
            }
        })
    };
    armed.store(true, Ordering::Relaxed);
    let mut found = 0;
    let report = store.query().key("key", 1u64).limit(limit).for_each(|_, _| found += 1).unwrap();
    assert!(found == 2 || report.cut, "lost without a word: found {found}");
    other.join().unwrap();
}

#[test]
fn an_answer_that_was_cut_says_so() {
    explore("cut", 3, || a_cut_is_said(10, &[0, 1]));
}

#[test]
fn an_answer_that_is_cut_between_its_passes_says_so() {
    explore("cut between passes", 3, || a_cut_is_said(usize::MAX, &[0, 1]));
}

/// A key leaves while a query from a bookmark on is on its way to it: its record is shown, or counted as missed.
#[test]
fn what_left_on_the_way_is_counted() {
    explore("left on the way", 3, || {
        let store = small(2, 2).build().unwrap();
        let other = push_a_third(&store);
        let report = store.query().since(&store.beginning()).key("key", 1u64).for_each(|_, _| ()).unwrap();
        assert!(report.led_by.is_none_or(|index| index == "key"));
        assert_eq!(report.shown + report.missed, 1, "neither shown nor counted: {report:?}");
        other.join().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught("LeftUncounted", "what_left_on_the_way_is_counted", "neither shown nor counted");
    assert_caught("GoneUnsaid", "an_answer_that_is_cut_between_its_passes_says_so", "lost without a word");
}
