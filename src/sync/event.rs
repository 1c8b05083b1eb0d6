//! Sleeping until something that other threads change becomes true.

use super::fault::{Fault, planted};
use super::{AtomicU32, CachePadded, Ordering, fence};
#[cfg(loom)]
use loom::sync::{Condvar, Mutex};
#[cfg(not(loom))]
use std::sync::{Condvar, Mutex};
use std::time::Instant;

/// An event count: waiters register, look again, and only then sleep; notifiers pay a fence and a load while nobody waits.
///
/// No wake-up is lost. Waiter: register, fence, look. Notifier: change, fence, look at the register. By the two fences
/// one of them sees the other: either the waiter sees the change and does not sleep, or the notifier sees the waiter
/// and takes the lock, which it gets only when the waiter is asleep (or has looked again) and so hears the signal.
#[derive(Debug)]
pub(crate) struct Event {
    waiting: CachePadded<AtomicU32>,
    lock: Mutex<()>,
    changed: Condvar,
}

struct Waiting<'a>(&'a AtomicU32);

impl Event {
    pub(crate) fn new() -> Self {
        Self { waiting: CachePadded::new(AtomicU32::new(0)), lock: Mutex::new(()), changed: Condvar::new() }
    }

    /// Sleeps until `ready` answers, or until the deadline. `ready` runs under the event's lock: it must not call back.
    pub(crate) fn wait<R>(&self, deadline: Option<Instant>, mut ready: impl FnMut() -> Option<R>) -> Option<R> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        // Pairs with the fence in `notify`.
        fence(Ordering::SeqCst);
        let mut guard = self.lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
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
        // Pairs with the fence in `wait`.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) != 0 {
            drop(self.lock.lock());
            self.changed.notify_all();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
