//! Bytes of requests under way: each is counted as it comes in, so that many slow senders take no
//! more than what they have sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many bytes all requests together may hold.
pub struct Budget {
    bytes: Arc<Semaphore>,
    requests: Arc<AtomicUsize>,
}

/// A request's part of the budget; it goes back when dropped.
pub struct Held {
    budget: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    requests: Arc<AtomicUsize>,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))),
            requests: Arc::default(),
        }
    }

    /// Requests that hold a part of it, be it nothing yet.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// For a request of which nothing has been read.
    pub fn begin(&self) -> Held {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Held { budget: Arc::clone(&self.bytes), permit: None, requests: Arc::clone(&self.requests) }
    }
}

impl Held {
    /// So many bytes more, if they are left.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        let more = u32::try_from(bytes).ok().and_then(|bytes| {
            let more = Arc::clone(&self.budget).try_acquire_many_owned(bytes);
            more.ok()
        });
        match (&mut self.permit, more) {
            (_, None) => return false,
            (Some(permit), Some(more)) => permit.merge(more),
            (permit, more) => *permit = more,
        }
        true
    }

    /// Gives back the bytes of a request that is not taken.
    pub fn give_back(&mut self) {
        self.permit = None;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_goes_back_once() {
        let budget = Budget::new(10);
        let (mut first, mut second) = (budget.begin(), budget.begin());
        assert_eq!(budget.requests(), 2);
        assert!(first.take(4) && first.take(3) && second.take(3));
        assert!(!second.take(1) && !first.take(usize::MAX));
        first.give_back();
        assert!(second.take(7) && !second.take(1));
        drop((first, second));
        assert_eq!((budget.requests(), budget.bytes.available_permits()), (0, 10));
    }
}
