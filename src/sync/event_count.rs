//! Sleeping until something that other threads change becomes true.
//!
//! An event count, as known from [folly](https://github.com/facebook/folly/blob/main/folly/synchronization/EventCount.h):
//! notifiers advance an epoch, and a waiter sleeps only while the epoch is the one that it read before it looked. Here the
//! epoch stands still while nobody waits, so that a notifier then pays a fence and a load; and tasks wait beside threads.
//!
//! # No wake-up is lost
//!
//! A thread that waits registers, reads the epoch, fences, looks at its condition, and compares the epoch again under the
//! lock before it sleeps. A notifier changes something, fences, and looks at the register; if somebody is there, it
//! advances the epoch under the lock and then signals.
//!
//! - If the notifier's fence comes first, the waiter's look sees the change.
//! - If the waiter's fence comes first, the notifier sees the waiter registered, and advances the epoch. If it takes the lock
//!   before the waiter compares, the waiter sees the new epoch and looks again. If it takes the lock afterwards, the waiter
//!   sleeps already and hears the signal.
//! - If the waiter read an epoch that the notifier had advanced, its look sees the change: the notifier's fence stands before
//!   the advance, the waiter's fence after the read.
//!
//! A task registers by leaving its waker in a list under the lock, fences, and looks. A notifier takes the whole list under the
//! lock. If it does so before the task has registered, the task's look sees the change, by the lock; if afterwards, it
//! finds the waker and wakes the task, which looks again.
//!
//! # No foreign code runs under the lock
//!
//! Wakers are foreign code, and a condition may take long. While the lock is held, this module changes the epoch and the
//! list, and does nothing else:
//!
//! - [`EventCount::poll`] clones the waker before it takes the lock, and moves the clone into the list. It drops the waker that the
//!   clone replaces after it has given the lock back.
//! - [`EventCount::leave`] moves the waker out of the list, and drops it after it has given the lock back.
//! - [`EventCount::notify`] moves all wakers out of the list, and wakes them after it has given the lock back.
//! - [`EventCount::wait`] and [`EventCount::poll`] look at the condition without the lock.
//!
//! So a waker may call any of these again, whatever it is doing. A waker that panics when it is woken or dropped is caught and
//! counted, and the others are woken all the same. One that panics when it is cloned is counted, has changed nothing, and
//! goes on to panic in whoever polls, because that task could not be woken.
//!
//! A [`Ticket`] has one place in the list. So there are never more wakers than followers and pushes that wait.

use super::fault::{self, Fault, planted};
use super::{AtomicU32, AtomicU64, CachePadded, Count, Mutex, Ordering, lock};
#[cfg(loom)]
use loom::sync::Condvar;
#[cfg(not(loom))]
use std::sync::Condvar;
use std::time::{Duration, Instant};

/// Something that threads and tasks wait for; see the module's text.
#[derive(Debug)]
pub(crate) struct EventCount {
    register: CachePadded<Register>,
    lock: Mutex<Tasks>,
    changed: Condvar,
    /// Panics of wakers.
    panics: Count,
}

/// What waiters and notifiers know of each other.
#[derive(Debug)]
struct Register {
    /// Threads and tasks that wait.
    waiting: AtomicU32,
    /// Advances, under the lock, with each notice that found somebody waiting.
    epoch: AtomicU64,
}

/// The tasks among the waiters, each under a number of its own, in the order in which they came.
#[derive(Debug, Default)]
struct Tasks {
    #[cfg(feature = "async")]
    wakers: std::collections::BTreeMap<u64, std::task::Waker>,
    #[cfg(feature = "async")]
    numbers: u64,
}

/// A thread's place in the register; given back when dropped.
struct Waiting<'a>(&'a AtomicU32);

impl EventCount {
    pub(crate) fn new() -> Self {
        Self {
            register: CachePadded::new(Register { waiting: AtomicU32::new(0), epoch: AtomicU64::new(0) }),
            lock: Mutex::new(Tasks::default()),
            changed: Condvar::new(),
            panics: Count::new(),
        }
    }

    /// How many wakers have panicked when they were cloned, woken or dropped.
    pub(crate) fn caught_panics(&self) -> u64 {
        self.panics.get()
    }

    /// Sleeps until `ready` answers, or until the deadline.
    pub(crate) fn wait<R>(&self, deadline: Option<Instant>, mut ready: impl FnMut() -> Option<R>) -> Option<R> {
        self.register.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.register.waiting);
        let mut epoch = self.register.epoch.load(Ordering::Relaxed);
        // Pairs with the fence in `notify`: see the module's text. One fence will do for all looks, because this thread stays
        // registered.
        fault::fence(Fault::WaitWithoutFence);
        // loom has no time; there a waiter that nobody wakes is a deadlock, which is what the models are to find.
        let deadline = deadline.filter(|_| !cfg!(loom));
        let mut look = !planted(Fault::WaitWithoutLook);
        loop {
            if look && let Some(result) = ready() {
                return Some(result);
            }
            look = true;
            let left = match deadline {
                None => None,
                Some(deadline) => Some(deadline.checked_duration_since(Instant::now())?),
            };
            epoch = self.sleep(epoch, left);
        }
    }

    /// Sleeps while the epoch is this one, for this long at most, and says which it is then. It may also wake for no reason.
    fn sleep(&self, epoch: u64, left: Option<Duration>) -> u64 {
        let mut guard = lock(&self.lock);
        if self.register.epoch.load(Ordering::Relaxed) == epoch {
            guard = match left {
                None => self.changed.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some(left) => self.changed.wait_timeout(guard, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0,
            };
        }
        let now = self.register.epoch.load(Ordering::Relaxed);
        drop(guard);
        now
    }

    /// Wakes the waiters, after a change that may be what they wait for. Runs their wakers; never unwinds.
    #[inline]
    pub(crate) fn notify(&self) {
        // Pairs with the fences in `wait` and `poll`: see the module's text.
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
        let wakers = self.take_all(&mut tasks);
        drop(tasks);
        self.changed.notify_all();
        #[cfg(feature = "async")]
        self.wake_all(wakers);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(feature = "async")]
pub(crate) use tasks::Ticket;

#[cfg(feature = "async")]
mod tasks {
    use super::{EventCount, Fault, Ordering, Tasks, fault, lock, planted};
    use crate::sync::caught;
    use std::collections::BTreeMap;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::task::{Context, Poll, Waker};

    /// A task's place among an event's waiters, once it has one.
    #[derive(Debug, Default)]
    pub(crate) struct Ticket(Option<u64>);

    impl EventCount {
        /// Whether `ready` answers; if not, the task is woken by the next `notify`, unless it [leaves](EventCount::leave) before. May
        /// be asked again at any time.
        ///
        /// # Panics
        /// If the waker does when it is cloned. Nothing has changed then.
        pub(crate) fn poll<R>(
            &self,
            ticket: &mut Ticket,
            context: &mut Context<'_>,
            mut ready: impl FnMut() -> Option<R>,
        ) -> Poll<R> {
            let waker = self.clone_of(context.waker());
            let replaced = {
                let mut tasks = lock(&self.lock);
                let number = *ticket.0.get_or_insert_with(|| {
                    tasks.numbers += 1;
                    tasks.numbers
                });
                let replaced = tasks.wakers.insert(number, waker);
                if replaced.is_none() {
                    self.register.waiting.fetch_add(1, Ordering::Relaxed);
                }
                replaced
            };
            self.guarded(|| drop(replaced));
            // Pairs with the fence in `notify`: see the module's text.
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

        /// The task waits no more. Drops its waker; never unwinds.
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

        /// Takes the wakers out of the list, under the lock.
        pub(super) fn take_all(&self, tasks: &mut Tasks) -> BTreeMap<u64, Waker> {
            let wakers = std::mem::take(&mut tasks.wakers);
            self.register.waiting.fetch_sub(wakers.len() as u32, Ordering::Relaxed);
            wakers
        }

        /// Wakes tasks, in the order in which they came. Not under the lock.
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

        fn clone_of(&self, waker: &Waker) -> Waker {
            let locked = planted(Fault::CloneUnderLock).then(|| lock(&self.lock));
            let clone = catch_unwind(AssertUnwindSafe(|| waker.clone()));
            drop(locked);
            clone.unwrap_or_else(|panic| {
                self.panics.add(1);
                resume_unwind(panic)
            })
        }

        fn guarded(&self, foreign: impl FnOnce()) {
            if caught(foreign).is_none() {
                self.panics.add(1);
            }
        }
    }

    impl Drop for EventCount {
        /// Drops the wakers of tasks that have been forgotten, each by itself: one that panics does not keep the others.
        fn drop(&mut self) {
            let tasks = self.lock.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            let wakers = std::mem::take(&mut tasks.wakers);
            wakers.into_values().for_each(|waker| self.guarded(|| drop(waker)));
        }
    }
}

/// An event by itself, for the loom models.
#[cfg(loom)]
#[doc(hidden)]
#[derive(Debug)]
pub struct ModelEvent(EventCount);

#[cfg(loom)]
#[allow(missing_docs, reason = "as the event's own")]
impl ModelEvent {
    #[allow(clippy::new_without_default, reason = "a model makes it")]
    pub fn new() -> Self {
        Self(EventCount::new())
    }

    pub fn wait(&self, mut ready: impl FnMut() -> bool) {
        self.0.wait(None, || ready().then_some(()));
    }

    pub fn notify(&self) {
        self.0.notify();
    }

    /// Waits as a task does that runs in this future.
    #[cfg(feature = "async")]
    pub async fn wait_as_task(&self, mut ready: impl FnMut() -> bool) {
        let mut ticket = Ticket::default();
        std::future::poll_fn(|context| self.0.poll(&mut ticket, context, || ready().then_some(()))).await;
        self.0.leave(&mut ticket);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Panics unless this returns within a time that is long enough on any machine.
    fn returns(run: impl FnOnce() + Send + 'static) {
        let (done, came) = mpsc::channel();
        std::thread::spawn(move || {
            run();
            done.send(()).unwrap();
        });
        came.recv_timeout(Duration::from_secs(20)).expect("it returns");
    }

    #[test]
    fn a_condition_is_looked_at_without_the_lock() {
        returns(|| {
            let event = EventCount::new();
            let mut looks = 0;
            let looked = event.wait(None, || {
                looks += 1;
                // Advances the epoch that this thread has read, so that it looks again and does not sleep.
                event.notify();
                (looks == 3).then_some(looks)
            });
            assert_eq!(looked, Some(3));
            assert_eq!(event.register.waiting.load(Ordering::Relaxed), 0);
        });
    }

    #[test]
    fn a_deadline_holds_also_while_notices_keep_coming() {
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
            assert_eq!(event.wait(Some(until), || Some(1)), Some(1), "it looks once in any case");
        });
    }

    #[test]
    fn the_epoch_stands_still_while_nobody_waits() {
        let event = EventCount::new();
        event.notify();
        assert_eq!(event.register.epoch.load(Ordering::Relaxed), 0);
    }

    #[cfg(feature = "async")]
    #[test]
    fn a_condition_that_panics_leaves_no_waiter_behind() {
        use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

        let event = EventCount::new();
        let panics = || -> Option<()> { resume_unwind(Box::new("a condition panics")) };
        assert!(catch_unwind(AssertUnwindSafe(|| event.wait(None, panics))).is_err());
        let mut ticket = Ticket::default();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(catch_unwind(AssertUnwindSafe(|| event.poll(&mut ticket, &mut context, panics))).is_err());
        event.leave(&mut ticket);
        assert_eq!(event.register.waiting.load(Ordering::Relaxed), 0);
    }
}
