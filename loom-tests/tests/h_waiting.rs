//! (h) A producer that waits for room is woken by the reclaim that makes some, and by shutdown.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use slipring::Rejection;
use slipring_loom_tests::{DEADLOCK, LIVELOCK, Record, assert_caught, explore, small};
use std::sync::Arc;

#[test]
fn a_reclaim_wakes_who_waits_for_room() {
    explore("room", 2, || {
        let store = small(1, 1).build().unwrap();
        let first = store.push(Record::new(1, 0)).unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let started = store.visit(first, |_| {
            // Under this mark the second of these finds no room, whatever it does.
            let (store, done) = (store.clone(), Arc::clone(&done));
            thread::spawn(move || {
                (1..3).for_each(|number| store.push(Record::new(1, number)).map(drop).unwrap());
                done.store(true, Ordering::Release);
            })
        });
        let producer = started.unwrap();
        // A step that is refused, because the producer has the token, does not count: it may have seen the mark.
        while !done.load(Ordering::Acquire) {
            store.step();
            thread::yield_now();
        }
        producer.join().unwrap();
        store.flush().unwrap();
        store.audit().unwrap();
        assert_eq!(store.len(), 1);
    });
}

#[test]
fn shutdown_wakes_who_waits_for_room() {
    explore("room at shutdown", 2, || {
        let store = small(1, 1).build().unwrap();
        let first = store.push(Record::new(1, 0)).unwrap();
        store
            .visit(first, |_| {
                let producer = {
                    let store = store.clone();
                    thread::spawn(move || {
                        let _ = store.push(Record::new(1, 1));
                        store.push(Record::new(1, 2)).unwrap_err().reason
                    })
                };
                let closer = {
                    let store = store.clone();
                    thread::spawn(move || store.shutdown().unwrap())
                };
                assert_eq!(producer.join().unwrap(), Rejection::Closed);
                closer.join().unwrap();
            })
            .unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    for fault in ["WaitWithoutLook", "ReclaimWithoutWake"] {
        assert_caught(fault, "a_reclaim_wakes_who_waits_for_room", LIVELOCK);
    }
    assert_caught("ShutdownWithoutWake", "shutdown_wakes_who_waits_for_room", DEADLOCK);
}
