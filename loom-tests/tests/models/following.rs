//! A follower that sleeps until a record arrives is woken by the thread that indexes the record,
//! and by shutdown.

use futures_core::Stream;
use loom::future::block_on;
use loom::thread;
use slipring::query::Answer;
use slipring::store::Follower;
use slipring_loom_tests::{
    DEADLOCK, LIVELOCK, Record, assert_caught, explore, push_without_room, small,
};
use std::future::poll_fn;
use std::pin::Pin;

/// Follows a key while a record with another key and one with this key are pushed and indexed. The
/// follower receives only the second.
fn follow_a_key(receive: impl Fn(&mut Follower<Record>) -> Option<Answer<Record>>) {
    let store = small(4, 1).build().unwrap();
    let mut follower = store.follow(|query| query.key("key", 2u64)).unwrap();
    let producer = {
        let store = store.clone();
        thread::spawn(move || {
            for key in [1, 2] {
                store.push(Record::new(key, 0)).unwrap();
                store.step();
            }
        })
    };
    let news = receive(&mut follower).expect("the store is open");
    assert_eq!((news.len(), news.report.missed), (1, 0));
    news.iter().for_each(Record::check);
    producer.join().unwrap();
    assert!(follower.try_recv().is_none());
}

#[test]
fn an_arrival_wakes_a_follower() {
    explore("arrival", 1, || follow_a_key(|follower| follower.recv().unwrap()));
}

#[test]
fn an_arrival_wakes_a_following_task() {
    explore("arrival, for a task", 1, || {
        follow_a_key(|follower| {
            block_on(poll_fn(|context| Pin::new(&mut *follower).poll_next(context)))
        });
    });
}

#[test]
fn a_reclaim_wakes_a_pushing_task() {
    explore("room, for a task", 2, || {
        let store = small(1, 1).build().unwrap();
        push_without_room(&store, |store, record| {
            block_on(store.push_async(record)).map(drop).unwrap()
        });
    });
}

#[test]
fn shutdown_wakes_a_follower() {
    explore("following at shutdown", 1, || {
        let store = small::<Record>(4, 1).build().unwrap();
        let mut follower = store.follow(|query| query).unwrap();
        let closer = thread::spawn(move || store.shutdown().unwrap());
        assert!(follower.recv().unwrap().is_none());
        closer.join().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    for fault in ["IndexWithoutWake", "WaitWithoutLook"] {
        assert_caught(fault, "an_arrival_wakes_a_follower", DEADLOCK);
    }
    for fault in ["IndexWithoutWake", "WaitWithoutLook"] {
        assert_caught(fault, "an_arrival_wakes_a_following_task", DEADLOCK);
    }
    assert_caught("ReclaimWithoutWake", "a_reclaim_wakes_a_pushing_task", LIVELOCK);
    assert_caught("ShutdownWithoutWake", "shutdown_wakes_a_follower", DEADLOCK);
}
