//! Wakers are foreign code: one that panics, pushes, queries or drops handles harms neither the
//! store nor its other waiters.
#![cfg(feature = "async")]

mod support;

use futures::Stream;
use slipring::query::Answer;
use slipring::store::Follower;
use slipring::{OnFull, Store};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use support::foreign::Foreign;
use support::{Census, Counted};

fn manual(capacity: usize) -> Store<Counted> {
    Store::builder().capacity(capacity).shards(1).manual().build().unwrap()
}

fn poll(follower: &mut Follower<Counted>, foreign: &Foreign) -> Poll<Option<Answer<Counted>>> {
    let waker = foreign.waker();
    Pin::new(follower).poll_next(&mut Context::from_waker(&waker))
}

/// Polls until the follower has to wait, since another thread may be pushing.
fn poll_to_the_end(follower: &mut Follower<Counted>, foreign: &Foreign) {
    while poll(follower, foreign).is_ready() {}
}

/// Panics without a message, which would only clutter the test's output.
fn panic_quietly() {
    resume_unwind(Box::new("foreign code panics"));
}

/// Returns whether the condition becomes true within a time that is long enough on any machine.
fn comes_true(what: impl Fn() -> bool) -> bool {
    let given_up = Instant::now() + Duration::from_secs(20);
    while !what() && Instant::now() < given_up {
        std::thread::sleep(Duration::from_millis(1));
    }
    what()
}

/// Panics unless `work` returns within a time that is long enough on any machine.
fn returns<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, came) = mpsc::channel();
    std::thread::spawn(move || done.send(run()));
    came.recv_timeout(Duration::from_secs(20)).expect("it returns")
}

#[test]
fn a_waker_that_panics_does_not_end_the_indexer() {
    let census = Census::new();
    let store: Store<Counted> =
        Store::builder().capacity(100).shards(1).on_full(OnFull::Reject).build().unwrap();
    let hooked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&hooked);
    store.on_evict(move |_, _, _| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    for round in 1..=3 {
        let mut followers: Vec<_> = (0..3).map(|_| store.follow(|query| query).unwrap()).collect();
        let (bad, good) = (Foreign::new().on_wake(panic_quietly), Foreign::new());
        assert!(poll(&mut followers[0], &good).is_pending());
        assert!(poll(&mut followers[1], &bad).is_pending());
        assert!(poll(&mut followers[2], &good).is_pending());
        store.push(Counted::new(&census, 1, 0)).unwrap();
        assert!(comes_true(|| good.woken() == 2), "the other wakers were not woken");
        assert!(comes_true(|| store.stats().caught_panics == round));
        drop(followers);
        assert_eq!((good.alive(), bad.alive()), (0, 0));
    }
    // Hooks run on the indexer's thread, so the thread is alive.
    assert!(comes_true(|| {
        (0..100).for_each(|number| drop(store.push(Counted::new(&census, 1, number))));
        hooked.load(Ordering::SeqCst) > 1_000
    }));
    assert!(comes_true(|| store.stats().indexer_lag == 0));
    store.shutdown().unwrap();
}

#[test]
fn a_panicking_waker_does_not_unwind_into_pushes_or_steps() {
    let census = Census::new();
    let store = manual(4);
    let mut follower = store.follow(|query| query).unwrap();
    let bad = Foreign::new().on_wake(panic_quietly);
    assert!(poll(&mut follower, &bad).is_pending());
    store.push(Counted::new(&census, 1, 0)).unwrap();
    assert!(store.step());
    assert_eq!((bad.woken(), store.stats().caught_panics), (1, 1));
    assert_eq!(follower.try_recv().map(|news| news.len()), Some(1));
    assert!(poll(&mut follower, &bad).is_pending());
    store.shutdown().unwrap();
    assert_eq!((bad.woken(), store.stats().caught_panics, bad.alive()), (2, 2, 0));
}

#[test]
fn a_panicking_waker_of_a_waiting_push_is_counted() {
    let census = Census::new();
    let store = manual(1);
    let first = store.push(Counted::new(&census, 1, 0)).unwrap();
    let bad = Foreign::new().on_wake(panic_quietly).on_drop(panic_quietly);
    let (mut waiting, mut given_up) = (None, 0);
    store
        .visit(first, |_| {
            while store.try_push(Counted::new(&census, 1, 1)).is_ok() {}
            for _ in 0..3 {
                let mut push = Box::pin(store.push_async(Counted::new(&census, 2, 0)));
                assert!(push.as_mut().poll(&mut Context::from_waker(&bad.waker())).is_pending());
                given_up += u64::from(waiting.replace(push).is_some());
            }
        })
        .unwrap();
    // The test dropped its own wakers; the remaining ones are the store's.
    assert_eq!((given_up, store.stats().caught_panics, bad.alive()), (2, 2, 1));
    while store.step() {}
    assert_eq!((bad.woken(), store.stats().caught_panics, bad.alive()), (1, 3, 0));
    let pushed = waiting
        .unwrap()
        .as_mut()
        .poll(&mut Context::from_waker(std::task::Waker::noop()))
        .is_ready();
    assert!(pushed);
}

#[test]
fn a_panic_in_a_wakers_drop_does_not_unwind_into_a_followers_drop() {
    let store = manual(4);
    let mut follower = store.follow(|query| query).unwrap();
    let bad = Foreign::new().on_drop(panic_quietly);
    assert!(poll(&mut follower, &bad).is_pending());
    drop(follower);
    assert_eq!((store.stats().caught_panics, bad.alive()), (1, 0));
}

#[test]
fn a_waker_that_panics_when_cloned_leaves_nothing_behind() {
    let census = Census::new();
    let store = manual(4);
    let (mut one, mut other) =
        (store.follow(|query| query).unwrap(), store.follow(|query| query).unwrap());
    let (bad, good) = (Foreign::new().on_clone(panic_quietly), Foreign::new());
    let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut one, &bad)));
    assert!(polled.is_err(), "the poll must panic, because the task could never be woken");
    assert_eq!((store.stats().caught_panics, bad.alive()), (1, 0));
    assert!(poll(&mut one, &good).is_pending());
    assert!(poll(&mut other, &good).is_pending());
    let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut one, &bad)));
    assert!(polled.is_err());
    assert_eq!(
        (good.alive(), bad.alive()),
        (2, 0),
        "the panicking poll replaced the earlier waker"
    );
    store.push(Counted::new(&census, 1, 0)).unwrap();
    while store.step() {}
    assert_eq!((good.woken(), bad.woken(), store.stats().caught_panics), (2, 0, 2));
    for mut follower in [one, other] {
        assert_eq!(follower.try_recv().map(|news| news.len()), Some(1), "nothing is lost");
    }
}

#[test]
fn a_waker_may_push_into_the_full_store_when_it_is_cloned() {
    let census = Census::new();
    let store = manual(8);
    let pushes = {
        let (store, census) = (store.clone(), Arc::clone(&census));
        move || (0..64).for_each(|number| drop(store.push(Counted::new(&census, 1, number))))
    };
    let foreign = Foreign::new().on_clone(pushes);
    let polled = returns({
        let (store, foreign) = (store.clone(), foreign.clone());
        move || {
            let mut follower = store.follow(|query| query).unwrap();
            poll(&mut follower, &foreign).map(|news| news.unwrap().len())
        }
    });
    assert_eq!(polled, Poll::Ready(8), "the record that the waker pushed is missing");
    store.audit().unwrap();
}

#[test]
fn a_poll_ends_although_its_waker_pushes_records_that_do_not_match() {
    let census = Census::new();
    let store = manual(8);
    let pushes = {
        let (store, census) = (store.downgrade(), Arc::clone(&census));
        move || drop(store.upgrade().unwrap().push(Counted::new(&census, 1, 0)))
    };
    let foreign = Foreign::new().on_clone(pushes);
    let polled = returns({
        let (store, foreign) = (store.clone(), foreign.clone());
        move || {
            let mut follower = store.follow(|query| query.key("key", 2u64)).unwrap();
            poll(&mut follower, &foreign).is_pending()
        }
    });
    assert!(polled);
    assert_eq!((store.len(), foreign.alive()), (1, 0), "its waker was cloned once");
}

#[test]
fn a_waker_may_push_query_and_poll_when_it_is_woken_or_dropped() {
    let census = Census::new();
    for threaded in [false, true] {
        let builder = Store::<Counted>::builder().capacity(8).shards(1).slack(2);
        let store = if threaded { builder } else { builder.manual() }.build().unwrap();
        let calls = {
            let (store, census) = (store.clone(), Arc::clone(&census));
            move || {
                let mut follower = store.follow(|query| query).unwrap();
                poll_to_the_end(&mut follower, &Foreign::new());
                for number in 0..64 {
                    let _ = store.push(Counted::new(&census, 1, number));
                }
                store.query().key("key", 1u64).count().unwrap();
                store.stats();
            }
        };
        let foreign = Foreign::new().on_wake(calls.clone()).on_drop(calls);
        returns({
            let (store, foreign, census) = (store.clone(), foreign.clone(), Arc::clone(&census));
            move || {
                for _ in 0..3 {
                    let mut follower = store.follow(|query| query).unwrap();
                    poll_to_the_end(&mut follower, &foreign);
                    drop(follower);
                    let mut follower = store.follow(|query| query).unwrap();
                    // Register before waiting, because a push by another thread may then wake it at
                    // once.
                    let woken = foreign.woken();
                    poll_to_the_end(&mut follower, &foreign);
                    store.push(Counted::new(&census, 1, 0)).unwrap();
                    assert!(comes_true(|| store.step() || foreign.woken() > woken));
                }
                store.flush().unwrap();
                store.audit().unwrap();
            }
        });
        assert_eq!(store.stats().caught_panics, 0);
    }
}

#[test]
fn a_waker_may_drop_the_last_handle_or_try_to_shut_down() {
    for threaded in [false, true] {
        let census = Census::new();
        let builder = Store::<Counted>::builder().capacity(8).shards(1);
        let store = if threaded { builder } else { builder.manual() }.build().unwrap();
        let mut follower = store.follow(|query| query).unwrap();
        let freed = Arc::new(());
        let captured = Arc::clone(&freed);
        store.on_evict(move |_, _, _| {
            let _ = &captured;
        });
        let handle = Arc::new(Mutex::new(Some(store.clone())));
        let foreign = Foreign::new().on_wake({
            let handle = Arc::clone(&handle);
            move || {
                let store = handle.lock().unwrap().take();
                assert!(
                    store.as_ref().is_none_or(|store| store.shutdown().is_err()),
                    "the call would wait for itself"
                );
                drop(store);
            }
        });
        assert!(poll(&mut follower, &foreign).is_pending());
        store.push(Counted::new(&census, 1, 0)).unwrap();
        if !threaded {
            store.step();
        }
        assert!(comes_true(|| handle.lock().unwrap().is_none()));
        drop(store);
        assert!(comes_true(|| Arc::strong_count(&freed) == 1), "the store has ended");
        assert_eq!(follower.try_recv().map(|news| news.len()), None);
        drop(follower);
        assert!(comes_true(|| census.alive() == 0));
    }
}

#[test]
fn a_waiter_registers_at_most_one_waker() {
    let census = Census::new();
    let store = manual(1);
    let (one, other) = (Foreign::new(), Foreign::new());
    let mut follower = store.follow(|query| query).unwrap();
    for _ in 0..100 {
        assert!(poll(&mut follower, &one).is_pending());
        assert!(poll(&mut follower, &other).is_pending());
        assert_eq!((one.alive(), other.alive()), (0, 1), "the last one that was given");
    }
    let first = store.push(Counted::new(&census, 1, 0)).unwrap();
    store
        .visit(first, |_| {
            while store.try_push(Counted::new(&census, 1, 1)).is_ok() {}
            let mut push = store.push_async(Counted::new(&census, 2, 0));
            for _ in 0..100 {
                assert!(
                    Pin::new(&mut push).poll(&mut Context::from_waker(&one.waker())).is_pending()
                );
                assert_eq!(one.alive(), 1);
            }
        })
        .unwrap();
    drop(follower);
    assert_eq!((one.alive(), other.alive()), (0, 0));
}

/// The waker of a task that waits for evicted records is foreign code, too.
#[test]
fn a_waker_of_the_stream_of_evictions_may_panic_and_push() {
    let census = Census::new();
    let store = manual(1);
    let mut evictions = store.evictions(10).unwrap();
    let (inner, records) = (store.clone(), Arc::clone(&census));
    let pushing = Foreign::new().on_wake(move || {
        inner.push(Counted::new(&records, 1, 7)).unwrap();
        panic_quietly();
    });
    let waker = pushing.waker();
    let mut poll = || Pin::new(&mut evictions).poll_next(&mut Context::from_waker(&waker));
    assert!(poll().is_pending() && poll().is_pending());
    for number in 0..2 {
        store.push(Counted::new(&census, 1, number)).unwrap();
    }
    while store.step() {}
    assert_eq!((pushing.woken(), store.stats().caught_panics), (1, 1));
    for number in 0..2 {
        let evicted = poll();
        assert!(matches!(evicted, Poll::Ready(Some(evicted)) if evicted.record.number == number));
    }
    assert!(poll().is_pending());
    drop(evictions);
    drop(waker);
    assert_eq!(pushing.alive(), 0, "the waker goes with the stream");
}

/// A store has one stream. Whoever asks for another one wakes the task that waits for the first one.
/// The waker runs while no thread holds a shard: another thread can flush meanwhile.
#[test]
fn a_waker_runs_under_no_lock_when_a_second_stream_is_refused() {
    let census = Census::new();
    let store: Store<Counted> =
        Store::builder().capacity(10).shards(1).manual().patience(None).build().unwrap();
    let mut evictions = store.evictions(10).unwrap();
    let flushed = Arc::new(AtomicU64::new(0));
    let (inner, records, flushes) = (store.clone(), Arc::clone(&census), Arc::clone(&flushed));
    let flushing = Foreign::new().on_wake(move || {
        std::thread::scope(|scope| {
            let flush = || {
                inner.push(Counted::new(&records, 1, 0)).unwrap();
                inner.flush_timeout(Duration::from_secs(1)).unwrap();
                flushes.fetch_add(1, Ordering::Relaxed);
            };
            scope.spawn(flush).join().unwrap();
        });
    });
    let waker = flushing.waker();
    assert!(Pin::new(&mut evictions).poll_next(&mut Context::from_waker(&waker)).is_pending());
    assert!(store.evictions(10).is_err());
    assert_eq!((flushing.woken(), flushed.load(Ordering::Relaxed)), (1, 1));
}
