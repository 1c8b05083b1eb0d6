//! A producer that waits for room is woken by the reclaim that makes room, and by shutdown.

use loom::thread;
use slipring::error::Rejection;
use slipring_loom_tests::{
    DEADLOCK, LIVELOCK, Record, assert_caught, explore, push_without_room, small,
};

#[test]
fn a_reclaim_wakes_a_waiting_producer() {
    explore("room", 2, || {
        let store = small(1, 1).build().unwrap();
        push_without_room(&store, |store, record| store.push(record).map(drop).unwrap());
    });
}

#[test]
fn shutdown_wakes_a_waiting_producer() {
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
        assert_caught(fault, "a_reclaim_wakes_a_waiting_producer", LIVELOCK);
    }
    assert_caught("ShutdownWithoutWake", "shutdown_wakes_a_waiting_producer", DEADLOCK);
}
