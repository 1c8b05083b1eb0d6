//! The byte budget of requests in flight. Bytes are counted as they arrive, so that many slow
//! senders together reserve no more than they have sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that all requests together may hold.
pub struct Budget {
    bytes: Arc<Semaphore>,
    requests: Arc<AtomicUsize>,
}

/// A request's part of the budget. Dropping it returns its bytes.
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

    /// Returns the number of requests in flight, including those that hold no bytes yet.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Registers a request of which nothing has been read yet.
    pub fn begin(&self) -> Held {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Held { budget: Arc::clone(&self.bytes), permit: None, requests: Arc::clone(&self.requests) }
    }
}

impl Held {
    /// Reserves `bytes` more. Returns `false` if the budget has fewer left.
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

    /// Returns the bytes of a request that is refused to the budget.
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
