//! An event count: threads and tasks sleep until a condition that other threads change is true.
//!
//! The algorithm is that of the event counts of Dmitry Vyukov (1024cores.net), as known from
//! [folly](https://github.com/facebook/folly/blob/main/folly/synchronization/EventCount.h).
//! A notifier advances an epoch. A waiter reads the epoch, checks its condition, and sleeps only if
//! the epoch has not changed since. Two things differ from folly's:
//!
//! - The epoch advances only while a waiter is registered, so that a notifier without waiters pays
//!   one fence and one load.
//! - Tasks (wakers) wait beside threads.
//!
//! # No wake-up is lost
//!
//! A waiting thread registers, reads the epoch, executes a `SeqCst` fence, checks its condition,
//! and compares the epoch again under the lock before it sleeps. A notifier changes the state that
//! the condition reads, executes a `SeqCst` fence, and reads the number of registered waiters. If
//! there are any, it advances the epoch under the lock and then signals. The two fences form the
//! store-buffering (Dekker) pattern, so at least one side sees the other's write:
//!
//! - If the notifier's fence comes first, the waiter's check sees the change.
//! - If the waiter's fence comes first, the notifier sees the waiter registered and advances the
//!   epoch. If it locks before the waiter compares, the waiter sees the new epoch and checks again.
//!   If it locks afterwards, the waiter is already asleep and receives the signal.
//! - If the waiter read an epoch that the notifier had already advanced, its check sees the change:
//!   the notifier's fence precedes the advance, and the waiter's fence follows the read.
//!
//! A task registers by inserting its waker into a list under the lock, executes the fence, and
//! checks its condition. A notifier takes the whole list under the lock. If it does so before the
//! task has registered, the lock orders the change before the task's check. If it does so
//! afterwards, it finds the waker and wakes the task, which checks again.
//!
//! # No foreign code runs under the lock
//!
//! Wakers are foreign code, and evaluating a condition may take long. While this module holds the
//! lock, it changes the epoch and the list of wakers and does nothing else:
//!
//! - [`EventCount::poll`] clones the waker before it locks and moves the clone into the list. It
//!   drops the waker that the clone replaces after it has unlocked.
//! - [`EventCount::leave`] moves the waker out of the list and drops it after it has unlocked.
//! - [`EventCount::notify`] moves all wakers out of the list and wakes them after it has unlocked.
//! - [`EventCount::wait`] and [`EventCount::poll`] evaluate the condition without the lock.
//!
//! A waker may therefore call any of these methods again. A panic of a waker that is woken or
//! dropped is caught and counted, and the other wakers are woken all the same. A panic of a waker
//! that is cloned is counted and then propagates from `poll`, because that task could not be woken
//! later. It has changed nothing by then.
//!
//! A [`Ticket`] occupies at most one place in the list. The list is therefore never longer than the
//! number of followers and pushes that wait.

use super::fault::{self, Fault, planted};
use super::{AtomicU32, AtomicU64, CachePadded, Count, Mutex, Ordering, caught, lock};
#[cfg(loom)]
use loom::sync::Condvar;
#[cfg(not(loom))]
use std::sync::Condvar;
use std::time::{Duration, Instant};

/// An event count that threads and tasks wait on; see the [module documentation](self).
#[derive(Debug)]
pub(crate) struct EventCount {
    register: CachePadded<Register>,
    lock: Mutex<Tasks>,
    changed: Condvar,
    /// Number of panics of wakers, and of other code that is run here.
    panics: Count,
}

/// The words that waiters and notifiers exchange.
#[derive(Debug)]
struct Register {
    /// Number of threads and tasks that wait.
    waiting: AtomicU32,
    /// Advances, under the lock, with each notification that found a waiter.
    epoch: AtomicU64,
}

/// The wakers of waiting tasks by ticket number, that is, in order of registration.
#[derive(Debug, Default)]
struct Tasks {
    #[cfg(feature = "async")]
    wakers: std::collections::BTreeMap<u64, std::task::Waker>,
    #[cfg(feature = "async")]
    last_number: u64,
}

/// A thread's registration, which is withdrawn when this value is dropped.
struct Registration<'a>(&'a AtomicU32);

impl EventCount {
    pub(crate) fn new() -> Self {
        Self {
            register: CachePadded::new(Register {
                waiting: AtomicU32::new(0),
                epoch: AtomicU64::new(0),
            }),
            lock: Mutex::new(Tasks::default()),
            changed: Condvar::new(),
            panics: Count::new(),
        }
    }

    /// Returns how many times a waker has panicked when it was cloned, woken or dropped, or other
    /// code that was run by [`guarded`](Self::guarded).
    pub(crate) fn caught_panics(&self) -> u64 {
        self.panics.get()
    }

    /// Runs foreign code. A panic is caught, and counted with those of wakers.
    pub(crate) fn guarded(&self, foreign: impl FnOnce()) {
        if caught(foreign).is_none() {
            self.panics.add(1);
        }
    }

    /// Blocks until `ready` returns a value or the deadline passes.
    pub(crate) fn wait<R>(
        &self,
        deadline: Option<Instant>,
        mut ready: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        self.register.waiting.fetch_add(1, Ordering::Relaxed);
        let _registration = Registration(&self.register.waiting);
        let mut epoch = self.register.epoch.load(Ordering::Relaxed);
        // SeqCst. Pairs with the fence in `notify` (store-buffering pattern; see the module
        // documentation). One fence serves every check below, because this thread stays registered.
        fault::fence(Fault::WaitWithoutFence);
        // loom has no time. Without a deadline, a waiter that is never woken is a deadlock, which
        // is what the models are to find.
        let deadline = deadline.filter(|_| !cfg!(loom));
        let mut check = !planted(Fault::WaitWithoutLook);
        loop {
            if check && let Some(result) = ready() {
                return Some(result);
            }
            check = true;
            let remaining = match deadline {
                None => None,
                Some(deadline) => Some(deadline.checked_duration_since(Instant::now())?),
            };
            epoch = self.sleep(epoch, remaining);
        }
    }

    /// Sleeps while the epoch equals `epoch`, for at most `remaining`, and returns the epoch found
    /// then.
    ///
    /// May also wake spuriously.
    fn sleep(&self, epoch: u64, remaining: Option<Duration>) -> u64 {
        let mut guard = lock(&self.lock);
        if self.register.epoch.load(Ordering::Relaxed) == epoch {
            guard = match remaining {
                None => self.changed.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some(remaining) => {
                    self.changed
                        .wait_timeout(guard, remaining)
                        .unwrap_or_else(|poisoned| poisoned.into_inner())
                        .0
                }
            };
        }
        let now = self.register.epoch.load(Ordering::Relaxed);
        drop(guard);
        now
    }

    /// Wakes all waiters, after a change that their conditions may depend on.
    ///
    /// Runs the wakers of waiting tasks. Never unwinds.
    #[inline]
    pub(crate) fn notify(&self) {
        // SeqCst. Pairs with the fences in `wait` and `poll` (store-buffering pattern; see the
        // module documentation).
        fault::fence(Fault::NotifyWithoutFence);
        if self.register.waiting.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        #[cfg_attr(not(feature = "async"), expect(unused_mut, reason = "there are no tasks then"))]
        let mut tasks = lock(&self.lock);
        if !planted(Fault::EpochStands) {
            self.register.epoch.fetch_add(1, Ordering::Relaxed);
        }
        #[cfg(feature = "async")]
        let wakers = self.take_wakers(&mut tasks);
        drop(tasks);
        self.changed.notify_all();
        #[cfg(feature = "async")]
        self.wake_all(wakers);
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(feature = "async")]
pub(crate) use tasks::Ticket;

#[cfg(feature = "async")]
mod tasks {
    use super::{EventCount, Fault, Ordering, Tasks, fault, lock, planted};
    use std::collections::BTreeMap;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::task::{Context, Poll, Waker};

    /// A task's registration with an event count, if it has one.
    #[derive(Debug, Default)]
    pub(crate) struct Ticket(Option<u64>);

    impl EventCount {
        /// Returns the value of `ready`, or registers the task for the next `notify` if there is
        /// none.
        ///
        /// May be called again at any time. [`EventCount::leave`] withdraws the registration.
        ///
        /// # Panics
        /// Panics if cloning the waker does. Nothing has changed in that case.
        pub(crate) fn poll<R>(
            &self,
            ticket: &mut Ticket,
            context: &mut Context<'_>,
            mut ready: impl FnMut() -> Option<R>,
        ) -> Poll<R> {
            let waker = self.clone_waker(context.waker());
            let replaced = {
                let mut tasks = lock(&self.lock);
                let number = *ticket.0.get_or_insert_with(|| {
                    tasks.last_number += 1;
                    tasks.last_number
                });
                let replaced = tasks.wakers.insert(number, waker);
                if replaced.is_none() {
                    self.register.waiting.fetch_add(1, Ordering::Relaxed);
                }
                replaced
            };
            self.guarded(|| drop(replaced));
            // SeqCst. Pairs with the fence in `notify` (store-buffering pattern; see the module
            // documentation).
            fault::fence(Fault::WaitWithoutFence);
            if planted(Fault::WaitWithoutLook) {
                return Poll::Pending;
            }
            match ready() {
                None => Poll::Pending,
                Some(result) => {
                    self.leave(ticket);
                    Poll::Ready(result)
                }
            }
        }

        /// Withdraws the task's registration and drops its waker. Never unwinds.
        pub(crate) fn leave(&self, ticket: &mut Ticket) {
            let Some(number) = ticket.0.take() else { return };
            let waker = {
                let mut tasks = lock(&self.lock);
                let waker = tasks.wakers.remove(&number);
                if waker.is_some() {
                    self.register.waiting.fetch_sub(1, Ordering::Relaxed);
                }
                waker
            };
            self.guarded(|| drop(waker));
        }

        /// Moves all wakers out of the list. The caller holds the lock.
        pub(super) fn take_wakers(&self, tasks: &mut Tasks) -> BTreeMap<u64, Waker> {
            let wakers = std::mem::take(&mut tasks.wakers);
            self.register.waiting.fetch_sub(wakers.len() as u32, Ordering::Relaxed);
            wakers
        }

        /// Wakes tasks in order of registration. The caller does not hold the lock.
        pub(super) fn wake_all(&self, wakers: BTreeMap<u64, Waker>) {
            let locked = planted(Fault::WakeUnderLock).then(|| lock(&self.lock));
            for waker in wakers.into_values() {
                if planted(Fault::WakeUnguarded) {
                    waker.wake();
                } else {
                    self.guarded(|| waker.wake());
                }
            }
            drop(locked);
        }

        fn clone_waker(&self, waker: &Waker) -> Waker {
            let locked = planted(Fault::CloneUnderLock).then(|| lock(&self.lock));
            let clone = catch_unwind(AssertUnwindSafe(|| waker.clone()));
            drop(locked);
            clone.unwrap_or_else(|panic| {
                self.panics.add(1);
                resume_unwind(panic)
            })
        }
    }

    impl Drop for EventCount {
        /// Drops the remaining wakers one by one, so that a panic of one does not leak the others.
        fn drop(&mut self) {
            let tasks = self.lock.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            let wakers = std::mem::take(&mut tasks.wakers);
            wakers.into_values().for_each(|waker| self.guarded(|| drop(waker)));
        }
    }
}

/// An event count by itself, for the loom models.
#[cfg(all(loom, feature = "__for_tests"))]
#[derive(Debug)]
pub struct ModelEvent(EventCount);

#[cfg(all(loom, feature = "__for_tests"))]
#[allow(missing_docs, reason = "these methods are those of `EventCount`")]
impl ModelEvent {
    #[allow(clippy::new_without_default, reason = "only models create one")]
    pub fn new() -> Self {
        Self(EventCount::new())
    }

    pub fn wait(&self, mut ready: impl FnMut() -> bool) {
        self.0.wait(None, || ready().then_some(()));
    }

    pub fn notify(&self) {
        self.0.notify();
    }

    /// Waits as a task, until `ready` returns true.
    #[cfg(feature = "async")]
    pub async fn wait_as_task(&self, mut ready: impl FnMut() -> bool) {
        let mut ticket = Ticket::default();
        std::future::poll_fn(|context| self.0.poll(&mut ticket, context, || ready().then_some(())))
            .await;
        self.0.leave(&mut ticket);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Panics unless `run` returns within a time that is long enough on any machine.
    fn returns(run: impl FnOnce() + Send + 'static) {
        let (done, finished) = mpsc::channel();
        std::thread::spawn(move || {
            run();
            done.send(()).unwrap();
        });
        finished.recv_timeout(Duration::from_secs(20)).expect("the closure returns in time");
    }

    #[test]
    fn a_condition_is_evaluated_without_the_lock() {
        returns(|| {
            let event = EventCount::new();
            let mut checks = 0;
            let found = event.wait(None, || {
                checks += 1;
                // Advances the epoch that this thread has read: it checks again instead of
                // sleeping.
                event.notify();
                (checks == 3).then_some(checks)
            });
            assert_eq!(found, Some(3));
            assert_eq!(event.register.waiting.load(Ordering::Relaxed), 0);
        });
    }

    #[test]
    fn a_deadline_holds_while_notifications_keep_coming() {
        returns(|| {
            let event = EventCount::new();
            let until = Instant::now() + Duration::from_millis(5);
            assert_eq!(
                event.wait(Some(until), || -> Option<()> {
                    event.notify();
                    None
                }),
                None
            );
            assert_eq!(event.wait(Some(until), || Some(1)), Some(1), "an expired wait checks once");
        });
    }

    #[test]
    fn the_epoch_does_not_advance_without_waiters() {
        let event = EventCount::new();
        event.notify();
        assert_eq!(event.register.epoch.load(Ordering::Relaxed), 0);
    }

    #[cfg(feature = "async")]
    #[test]
    fn a_panicking_condition_leaves_no_waiter_registered() {
        use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

        let event = EventCount::new();
        let panics = || -> Option<()> { resume_unwind(Box::new("the condition panics")) };
        assert!(catch_unwind(AssertUnwindSafe(|| event.wait(None, panics))).is_err());
        let mut ticket = Ticket::default();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(
            catch_unwind(AssertUnwindSafe(|| event.poll(&mut ticket, &mut context, panics)))
                .is_err()
        );
        event.leave(&mut ticket);
        assert_eq!(event.register.waiting.load(Ordering::Relaxed), 0);
    }
}
