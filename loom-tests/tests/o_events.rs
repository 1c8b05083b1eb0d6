//! (o) Whoever waits for an event is woken, threads and tasks alike: between what is changed and the look at the register, and
//! between the look at the condition and the sleep, no wake-up is lost.

use loom::future::block_on;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use slipring::ModelEvent;
use slipring_loom_tests::{DEADLOCK, assert_caught, explore};
use std::sync::Arc;

/// A number and the event of its growing. Relaxed: only the event's fences order it.
struct Grown {
    number: AtomicU64,
    event: ModelEvent,
}

impl Grown {
    fn new() -> Arc<Self> {
        Arc::new(Self { number: AtomicU64::new(0), event: ModelEvent::new() })
    }

    fn grow(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
        self.event.notify();
    }

    fn has_grown_to(&self, number: u64) -> bool {
        self.number.load(Ordering::Relaxed) >= number
    }
}

fn spawn(grown: &Arc<Grown>, run: impl Fn(&Grown) + Send + 'static) -> thread::JoinHandle<()> {
    let grown = Arc::clone(grown);
    thread::spawn(move || run(&grown))
}

#[test]
fn a_thread_is_woken() {
    explore("event, for a thread", 3, || {
        let grown = Grown::new();
        let notifier = spawn(&grown, Grown::grow);
        grown.event.wait(|| grown.has_grown_to(1));
        notifier.join().unwrap();
    });
}

#[test]
fn a_task_is_woken() {
    explore("event, for a task", 3, || {
        let grown = Grown::new();
        let notifier = spawn(&grown, Grown::grow);
        block_on(grown.event.wait_as_task(|| grown.has_grown_to(1)));
        notifier.join().unwrap();
    });
}

#[test]
fn who_looks_again_is_woken_again() {
    explore("event, twice", 3, || {
        let grown = Grown::new();
        let notifiers = [spawn(&grown, Grown::grow), spawn(&grown, Grown::grow)];
        grown.event.wait(|| grown.has_grown_to(2));
        notifiers.into_iter().for_each(|notifier| notifier.join().unwrap());
    });
}

#[test]
fn a_thread_and_a_task_are_both_woken() {
    explore("event, for a thread and a task", 2, || {
        let grown = Grown::new();
        let waiter = spawn(&grown, |grown| grown.event.wait(|| grown.has_grown_to(2)));
        let task = spawn(&grown, |grown| block_on(grown.event.wait_as_task(|| grown.has_grown_to(1))));
        grown.grow();
        grown.grow();
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
