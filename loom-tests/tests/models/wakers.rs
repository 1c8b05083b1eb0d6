//! Wakers are foreign code. A waker that panics ends neither the thread that steps nor the wait of
//! others. A waker that pushes and polls when it is cloned, woken or dropped finds no lock held.

#[path = "../../../tests/support/foreign.rs"]
#[allow(dead_code, reason = "these models use a part of it")]
mod foreign;

use foreign::Foreign;
use futures_core::Stream;
use loom::thread;
use slipring::store::Follower;
use slipring::{Store, WeakStore};
use slipring_loom_tests::{DEADLOCK, Record, assert_caught, explore, small};
use std::pin::Pin;
use std::task::{Context, Waker};

fn poll(follower: &mut Follower<Record>, waker: &Waker) -> usize {
    match Pin::new(follower).poll_next(&mut Context::from_waker(waker)) {
        std::task::Poll::Ready(news) => news.map_or(0, |news| news.len()),
        std::task::Poll::Pending => 0,
    }
}

fn push_and_step(store: &Store<Record>) -> thread::JoinHandle<()> {
    let store = store.clone();
    thread::spawn(move || {
        store.push(Record::new(1, 0)).unwrap();
        while store.step() {}
    })
}

#[test]
fn a_waker_that_panics_does_not_keep_others_from_being_woken() {
    explore("a waker that panics", 2, || {
        let store = small(4, 1).build().unwrap();
        let (mut bad, mut good) =
            (store.follow(|query| query).unwrap(), store.follow(|query| query).unwrap());
        let panics = Foreign::new().on_wake(|| panic!("a waker panics"));
        let got = poll(&mut bad, &panics.waker());
        let indexer = push_and_step(&store);
        assert_eq!(good.recv().unwrap().map(|news| news.len()), Some(1));
        indexer.join().unwrap();
        assert_eq!((panics.woken(), panics.alive()), (1, 0));
        assert_eq!((got, store.stats().caught_panics), (0, 1));
    });
}

/// Does what an executor may do that runs tasks when they are woken: pushes, and polls another
/// follower of the store.
fn run_tasks(store: &WeakStore<Record>) {
    let Some(store) = store.upgrade() else { return };
    let mut follower = store.follow(|query| query).unwrap();
    poll(&mut follower, Waker::noop());
    let _ = store.push(Record::new(2, 0));
    // The poll may not find the record just pushed: a push that began earlier may not have
    // finished.
    poll(&mut follower, Waker::noop());
}

fn follow_with_a_waker(configure: impl Fn(Foreign, WeakStore<Record>) -> Foreign) {
    let store = small(4, 1).build().unwrap();
    let foreign = configure(Foreign::new(), store.downgrade());
    let mut follower = store.follow(|query| query.key("key", 1u64)).unwrap();
    let indexer = push_and_step(&store);
    let got = poll(&mut follower, &foreign.waker());
    indexer.join().unwrap();
    // The indexer's step was refused if it saw the task's thread with the indexer lock. A store's
    // own thread would step again, too.
    store.step();
    assert!(
        got as u64 + foreign.woken() > 0,
        "the record was received, or its arrival was announced"
    );
    drop(follower);
    assert_eq!((foreign.alive(), store.stats().caught_panics), (0, 0));
    store.flush().unwrap();
    store.audit().unwrap();
}

#[test]
fn a_waker_that_is_woken_may_push_and_poll() {
    explore("a waker that pushes when woken", 2, || {
        follow_with_a_waker(|foreign, store| foreign.on_wake(move || run_tasks(&store)));
    });
}

#[test]
fn a_waker_that_is_cloned_may_push_and_poll() {
    explore("a waker that pushes when cloned", 1, || {
        follow_with_a_waker(|foreign, store| foreign.on_clone(move || run_tasks(&store)));
    });
}

#[test]
fn a_waker_that_is_dropped_may_push_and_poll() {
    explore("a waker that pushes when dropped", 2, || {
        follow_with_a_waker(|foreign, store| foreign.on_drop(move || run_tasks(&store)));
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught(
        "WakeUnguarded",
        "a_waker_that_panics_does_not_keep_others_from_being_woken",
        "a waker panics",
    );
    assert_caught("WakeUnderLock", "a_waker_that_is_woken_may_push_and_poll", DEADLOCK);
    assert_caught("CloneUnderLock", "a_waker_that_is_cloned_may_push_and_poll", DEADLOCK);
}
