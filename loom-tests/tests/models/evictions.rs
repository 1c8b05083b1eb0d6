//! The stream of evictions. Its subscriber receives each record that leaves the store, in order, or
//! the record is counted as missed. A task that waits for the stream is woken by each record and by
//! the stream's end.
//!
//! The channel is std's, as is what stands in for the snapshot of hooks and stream. loom explores
//! neither from within, so no fault can be planted in the end's order of counting and closing.

use futures_core::Stream;
use loom::future::block_on;
use loom::thread;
use slipring::error::StreamError;
use slipring::store::Evictions;
use slipring_loom_tests::{DEADLOCK, Dropped, Record, assert_caught, explore, small};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Polls the stream, and returns the sequence of a record.
fn poll(evictions: &mut Evictions<Record>, context: &mut Context<'_>) -> Poll<Option<u64>> {
    Pin::new(evictions).poll_next(context).map(|next| {
        let evicted = next?;
        evicted.record.check();
        Some(evicted.position.sequence())
    })
}

/// Receives the next record as a task, and returns its sequence.
fn next(evictions: &mut Evictions<Record>) -> Option<u64> {
    block_on(poll_fn(|context| poll(evictions, context)))
}

/// Returns how many records are in the buffer.
fn receive<T>(evictions: &Evictions<T>) -> u64 {
    std::iter::from_fn(|| evictions.try_recv()).count() as u64
}

#[test]
fn an_eviction_wakes_a_task() {
    explore("stream, for a task", 2, || {
        let store = small(1, 2).build().unwrap();
        let mut evictions = store.evictions(2).unwrap();
        store.push(Record::new(1, 0)).unwrap();
        let producer = {
            let store = store.clone();
            thread::spawn(move || {
                store.push(Record::new(1, 1)).unwrap();
                while store.step() {}
            })
        };
        assert_eq!(next(&mut evictions), Some(0));
        producer.join().unwrap();
    });
}

#[test]
fn the_end_of_the_store_wakes_a_task() {
    explore("stream's end, for a task", 2, || {
        let store = small(1, 2).build().unwrap();
        let mut evictions = store.evictions(2).unwrap();
        store.push(Record::new(1, 0)).unwrap();
        let closer = thread::spawn(move || store.shutdown().unwrap());
        assert_eq!(next(&mut evictions), None);
        assert_eq!(evictions.missed(), 1, "whoever sees the end sees the count");
        closer.join().unwrap();
    });
}

/// The buffer has room for one record. Two leave, while the subscriber receives.
#[test]
fn a_record_is_received_or_counted_as_missed() {
    explore("stream, full", 3, || {
        let store = small(1, 3).build().unwrap();
        let mut evictions = store.evictions(1).unwrap();
        store.push(Record::new(1, 0)).unwrap();
        let producer = {
            let store = store.clone();
            thread::spawn(move || {
                (1..3).for_each(|number| store.push(Record::new(1, number)).map(drop).unwrap());
                while store.step() {}
            })
        };
        let mut received = Vec::new();
        let mut receive = |evictions: &mut _| {
            if let Poll::Ready(next) = poll(evictions, &mut Context::from_waker(Waker::noop())) {
                received.extend(next);
            }
        };
        (0..2).for_each(|_| receive(&mut evictions));
        producer.join().unwrap();
        (0..2).for_each(|_| receive(&mut evictions));
        assert!(received.is_sorted_by(|a, b| a < b), "out of order: {received:?}");
        let received = received.len() as u64;
        assert_eq!(received + evictions.missed(), 2, "neither received nor counted");
        store.shutdown().unwrap();
        assert_eq!(received + evictions.missed(), 3);
    });
}

/// A push that has claimed before the store ends may finish afterwards.
#[test]
fn a_push_that_finishes_after_the_end_is_counted() {
    explore("stream, a late push", 2, || {
        let store = small(1, 4).build().unwrap();
        let evictions = store.evictions(4).unwrap();
        let producer = {
            let store = store.clone();
            thread::spawn(move || u64::from(store.push(Record::new(1, 0)).is_ok()))
        };
        store.push(Record::new(1, 1)).unwrap();
        store.shutdown().unwrap();
        let accepted = 1 + producer.join().unwrap();
        assert_eq!(
            receive(&evictions) + evictions.missed(),
            accepted,
            "received or counted, and not both"
        );
    });
}

/// A reader looks at an evicted record when the store ends, and then steps.
#[test]
fn a_record_in_use_at_the_end_is_received_or_counted() {
    for spare_slots in [0, 1] {
        explore(&format!("stream, a record in use, {spare_slots} spare"), 2, move || {
            let store = small(1, 1).spare_slots(spare_slots).build().unwrap();
            let evictions = store.evictions(4).unwrap();
            let first = store.push(Record::new(1, 0)).unwrap();
            let closer = store.visit(first, |_| {
                let store = store.clone();
                thread::spawn(move || {
                    store.push(Record::new(1, 1)).unwrap();
                    store.shutdown().unwrap();
                })
            });
            store.step();
            closer.unwrap().join().unwrap();
            assert_eq!(
                receive(&evictions) + evictions.missed(),
                2,
                "received or counted, and not both"
            );
        });
    }
}

/// A thread steps. Another one takes over from it, wherever it stands, and ends the store. The hook
/// gives it time for that before the record is sent.
#[test]
fn a_record_that_a_stalled_step_sends_after_the_end_is_not_counted() {
    explore("stream, a step that outlives the store", 3, || {
        let store = small(1, 1).spare_slots(2).patience(Some(Duration::ZERO)).build().unwrap();
        let evictions = store.evictions(4).unwrap();
        store.on_evict(|_, _, _| (0..8).for_each(|_| thread::yield_now()));
        store.push(Record::new(1, 0)).unwrap();
        store.push(Record::new(1, 1)).unwrap();
        let stepping = {
            let store = store.clone();
            thread::spawn(move || _ = store.step())
        };
        store.shutdown().unwrap();
        stepping.join().unwrap();
        let received = receive(&evictions);
        assert_eq!(received + evictions.missed(), 2, "received or counted, and not both");
    });
}

/// A stream is opened while a reader looks at a record. Another thread takes the indexer lock over
/// from the opener, wherever that one stands, and quarantines the record's slot.
#[test]
fn a_stream_that_is_opened_during_a_takeover_is_owed_what_it_is_sent() {
    explore("stream, opened during a takeover", 2, || {
        let store = small(1, 1).spare_slots(2).patience(Some(Duration::ZERO)).build().unwrap();
        let first = store.push(Record::new(1, 0)).unwrap();
        let (evictions, stepping) = store
            .visit(first, |_| {
                store.push(Record::new(1, 1)).unwrap();
                let other = store.clone();
                let stepping = thread::spawn(move || (0..3).for_each(|_| _ = other.step()));
                (store.evictions(4), stepping)
            })
            .unwrap();
        stepping.join().unwrap();
        store.shutdown().unwrap();
        // Inside a visit, nobody waits for a thread that is stepping just then.
        let evictions = match evictions {
            Ok(evictions) => evictions,
            Err(error) => return assert_eq!(error, StreamError::Reentrant),
        };
        let received = receive(&evictions);
        assert_eq!(received + evictions.missed(), 2, "received or counted: both were there");
    });
}

/// A subscriber leaves while records are sent, and another one comes.
#[test]
fn each_record_is_dropped_once_when_the_subscriber_leaves() {
    explore("stream, without its subscriber", 2, || {
        let drops = Arc::new(AtomicUsize::new(0));
        let store = small(1, 2).build().unwrap();
        let evictions = store.evictions(2).unwrap();
        store.push(Dropped(Arc::clone(&drops))).unwrap();
        let producer = {
            let (store, record) = (store.clone(), Dropped(Arc::clone(&drops)));
            thread::spawn(move || {
                store.push(record).unwrap();
                while store.step() {}
            })
        };
        drop(evictions);
        let second = store.evictions(2).unwrap();
        producer.join().unwrap();
        store.shutdown().unwrap();
        assert!((1..=2).contains(&(receive(&second) + second.missed())));
        drop((store, second));
        assert_eq!(drops.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught("StreamWithoutWake", "an_eviction_wakes_a_task", DEADLOCK);
    assert_caught("StreamWithoutWake", "the_end_of_the_store_wakes_a_task", DEADLOCK);
    assert_caught("WaitWithoutLook", "an_eviction_wakes_a_task", DEADLOCK);
    assert_caught("MissUncounted", "a_record_is_received_or_counted_as_missed", "neither received");
    let late = "a_record_that_a_stalled_step_sends_after_the_end_is_not_counted";
    assert_caught("MissesFixedAtEnd", late, "received or counted");
    let opened = "a_stream_that_is_opened_during_a_takeover_is_owed_what_it_is_sent";
    assert_caught("WaitingCountedGone", opened, "received or counted");
}
