//! Sleeping until something that other threads change becomes true.

use super::fault::{Fault, planted};
use super::{AtomicU32, CachePadded, Mutex, Ordering, fence, lock};
#[cfg(loom)]
use loom::sync::Condvar;
#[cfg(not(loom))]
use std::sync::Condvar;
use std::time::Instant;

/// An event count: waiters register, look again, and only then sleep; notifiers pay a fence and a load while nobody waits.
///
/// No wake-up is lost. Waiter: register, fence, look. Notifier: change, fence, look at the register. By the two fences
/// one of them sees the other: either the waiter sees the change and does not sleep, or the notifier sees the waiter
/// and takes the lock, which it gets only when the waiter is asleep (or has looked again) and so hears the signal. A task leaves its
/// waker under the lock before it looks, so there the notifier finds it.
#[derive(Debug)]
pub(crate) struct Event {
    /// Threads and tasks that wait.
    waiting: CachePadded<AtomicU32>,
    lock: Mutex<Tasks>,
    changed: Condvar,
}

/// The tasks among the waiters, each under a number of its own.
#[derive(Debug, Default)]
struct Tasks {
    #[cfg(feature = "async")]
    wakers: Vec<(u64, std::task::Waker)>,
    #[cfg(feature = "async")]
    numbers: u64,
}

struct Waiting<'a>(&'a AtomicU32);

impl Event {
    pub(crate) fn new() -> Self {
        Self {
            waiting: CachePadded::new(AtomicU32::new(0)),
            lock: Mutex::new(Tasks::default()),
            changed: Condvar::new(),
        }
    }

    /// Sleeps until `ready` answers, or until the deadline. `ready` runs under the event's lock: it must not call back.
    pub(crate) fn wait<R>(&self, deadline: Option<Instant>, mut ready: impl FnMut() -> Option<R>) -> Option<R> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        // Pairs with the fence in `notify`.
        fence(Ordering::SeqCst);
        let mut guard = lock(&self.lock);
        // loom has no time; there a waiter that nobody wakes is a deadlock, which is what the models are to find.
        let deadline = deadline.filter(|_| !cfg!(loom));
        let mut look = !planted(Fault::WaitWithoutLook);
        loop {
            if look && let Some(result) = ready() {
                return Some(result);
            }
            look = true;
            guard = match deadline {
                None => self.changed.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now())?;
                    self.changed.wait_timeout(guard, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0
                }
            };
        }
    }

    /// Wakes the waiters, after a change that may be what they wait for.
    pub(crate) fn notify(&self) {
        // Pairs with the fences in `wait` and `poll`.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        #[cfg_attr(not(feature = "async"), expect(unused_mut, reason = "there are no tasks then"))]
        let mut tasks = lock(&self.lock);
        #[cfg(feature = "async")]
        let wakers = std::mem::take(&mut tasks.wakers);
        drop(tasks);
        self.changed.notify_all();
        #[cfg(feature = "async")]
        {
            self.waiting.fetch_sub(wakers.len() as u32, Ordering::Relaxed);
            // Not under the lock: a waker is its executor's code.
            wakers.into_iter().for_each(|(_, waker)| waker.wake());
        }
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
    use super::{Event, Fault, Ordering, fence, lock, planted};
    use std::task::{Context, Poll};

    /// A task's place among an event's waiters.
    #[derive(Debug, Default)]
    pub(crate) struct Ticket(Option<u64>);

    impl Event {
        /// Whether `ready` answers; if not, the task is woken by the next `notify`, unless it [leaves](Event::leave) before. May
        /// be asked again at any time.
        pub(crate) fn poll<R>(
            &self,
            ticket: &mut Ticket,
            context: &mut Context<'_>,
            mut ready: impl FnMut() -> Option<R>,
        ) -> Poll<R> {
            self.leave(ticket);
            self.waiting.fetch_add(1, Ordering::Relaxed);
            {
                let mut tasks = lock(&self.lock);
                tasks.numbers += 1;
                let number = tasks.numbers;
                tasks.wakers.push((number, context.waker().clone()));
                ticket.0 = Some(number);
            }
            // Pairs with the fence in `notify`.
            fence(Ordering::SeqCst);
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

        /// The task waits no more.
        pub(crate) fn leave(&self, ticket: &mut Ticket) {
            let Some(number) = ticket.0.take() else { return };
            let mut tasks = lock(&self.lock);
            if let Some(place) = tasks.wakers.iter().position(|(one, _)| *one == number) {
                let waker = tasks.wakers.swap_remove(place);
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                drop(tasks);
                drop(waker);
            }
        }
    }
}
