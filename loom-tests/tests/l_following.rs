//! (l) Who sleeps until something arrives is woken by whoever indexes it, and by shutdown.

use futures_core::Stream;
use loom::future::block_on;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use slipring_loom_tests::{DEADLOCK, LIVELOCK, Record, assert_caught, explore, small};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

#[test]
fn what_arrives_wakes_who_follows() {
    explore("arrival", 2, || {
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
        let news = follower.recv().unwrap().expect("the store is open");
        assert_eq!((news.len(), news.report.missed), (1, 0));
        news.iter().for_each(Record::check);
        producer.join().unwrap();
        assert!(follower.try_recv().is_none());
    });
}

#[test]
fn what_arrives_wakes_a_task() {
    explore("arrival, for a task", 2, || {
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
        let news = block_on(poll_fn(|context| Pin::new(&mut follower).poll_next(context)));
        assert_eq!(news.map(|news| news.len()), Some(1));
        producer.join().unwrap();
    });
}

#[test]
fn a_reclaim_wakes_a_task_that_pushes() {
    explore("room, for a task", 2, || {
        let store = small(1, 1).build().unwrap();
        let first = store.push(Record::new(1, 0)).unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let started = store.visit(first, |_| {
            // Under this mark the second of these finds no room.
            let (store, done) = (store.clone(), Arc::clone(&done));
            thread::spawn(move || {
                (1..3).for_each(|number| block_on(store.push_async(Record::new(1, number))).map(drop).unwrap());
                done.store(true, Ordering::Release);
            })
        });
        let producer = started.unwrap();
        while !done.load(Ordering::Acquire) {
            store.step();
            thread::yield_now();
        }
        producer.join().unwrap();
        store.flush().unwrap();
        assert_eq!(store.len(), 1);
    });
}

#[test]
fn shutdown_wakes_who_follows() {
    explore("following at shutdown", 2, || {
        let store = small(4, 1).build().unwrap();
        let mut follower = store.follow(|query| query).unwrap();
        let closer = thread::spawn(move || store.shutdown().unwrap());
        assert!(follower.recv().unwrap().is_none());
        closer.join().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    for fault in ["IndexWithoutWake", "WaitWithoutLook"] {
        assert_caught(fault, "what_arrives_wakes_who_follows", DEADLOCK);
    }
    for fault in ["IndexWithoutWake", "WaitWithoutLook"] {
        assert_caught(fault, "what_arrives_wakes_a_task", DEADLOCK);
    }
    assert_caught("ReclaimWithoutWake", "a_reclaim_wakes_a_task_that_pushes", LIVELOCK);
    assert_caught("ShutdownWithoutWake", "shutdown_wakes_who_follows", DEADLOCK);
}
