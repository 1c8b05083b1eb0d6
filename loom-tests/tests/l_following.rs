//! (l) Who sleeps until something arrives is woken by whoever indexes it, and by shutdown.

use loom::thread;
use slipring_loom_tests::{DEADLOCK, Record, assert_caught, explore, small};

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
    assert_caught("ShutdownWithoutWake", "shutdown_wakes_who_follows", DEADLOCK);
}
