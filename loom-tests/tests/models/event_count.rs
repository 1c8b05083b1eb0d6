//! Threads and tasks that wait on an event count are woken. No wake-up is lost between a notifier's
//! change and its look at the waiters, or between a waiter's look at the condition and its sleep.

use loom::future::block_on;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use slipring::ModelEvent;
use slipring_loom_tests::{DEADLOCK, assert_caught, explore};
use std::sync::Arc;

/// A number, and the event that it has grown. The number is relaxed: only the event count's fences
/// order it.
struct Counter {
    number: AtomicU64,
    event: ModelEvent,
}

impl Counter {
    fn new() -> Arc<Self> {
        Arc::new(Self { number: AtomicU64::new(0), event: ModelEvent::new() })
    }

    fn increment(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
        self.event.notify();
    }

    fn has_reached(&self, number: u64) -> bool {
        self.number.load(Ordering::Relaxed) >= number
    }
}

fn spawn(
    counter: &Arc<Counter>,
    run: impl Fn(&Counter) + Send + 'static,
) -> thread::JoinHandle<()> {
    let counter = Arc::clone(counter);
    thread::spawn(move || run(&counter))
}

#[test]
fn a_thread_is_woken() {
    explore("event, for a thread", 3, || {
        let counter = Counter::new();
        let notifier = spawn(&counter, Counter::increment);
        counter.event.wait(|| counter.has_reached(1));
        notifier.join().unwrap();
    });
}

#[test]
fn a_task_is_woken() {
    explore("event, for a task", 3, || {
        let counter = Counter::new();
        let notifier = spawn(&counter, Counter::increment);
        block_on(counter.event.wait_as_task(|| counter.has_reached(1)));
        notifier.join().unwrap();
    });
}

#[test]
fn a_waiter_whose_condition_is_false_is_woken_again() {
    explore("event, twice", 3, || {
        let counter = Counter::new();
        let notifiers = [spawn(&counter, Counter::increment), spawn(&counter, Counter::increment)];
        counter.event.wait(|| counter.has_reached(2));
        notifiers.into_iter().for_each(|notifier| notifier.join().unwrap());
    });
}

#[test]
fn a_thread_and_a_task_are_both_woken() {
    explore("event, for a thread and a task", 2, || {
        let counter = Counter::new();
        let waiter = spawn(&counter, |counter| counter.event.wait(|| counter.has_reached(2)));
        let task = spawn(&counter, |counter| {
            block_on(counter.event.wait_as_task(|| counter.has_reached(1)))
        });
        counter.increment();
        counter.increment();
        waiter.join().unwrap();
        task.join().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    for fault in ["WaitWithoutFence", "NotifyWithoutFence", "WaitWithoutLook"] {
        assert_caught(fault, "a_thread_is_woken", DEADLOCK);
        assert_caught(fault, "a_task_is_woken", DEADLOCK);
    }
    assert_caught("EpochStands", "a_thread_is_woken", DEADLOCK);
}
