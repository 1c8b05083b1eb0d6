//! Bytes of requests under way: each is counted as it comes in, so that many slow senders take no more than what they have sent.

use axum::Error;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many bytes all requests together may hold.
pub struct Budget {
    bytes: Arc<Semaphore>,
    requests: Arc<AtomicUsize>,
}

/// A request's part of the budget; it goes back with the last clone.
#[derive(Clone)]
pub struct Held(Arc<Part>);

struct Part {
    budget: Arc<Semaphore>,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    exceeded: AtomicBool,
    requests: Arc<AtomicUsize>,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self { bytes: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))), requests: Arc::default() }
    }

    /// Requests that hold a part of it, be it nothing yet.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// For a request of which nothing has been read.
    pub fn begin(&self) -> Held {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Held(Arc::new(Part {
            budget: Arc::clone(&self.bytes),
            permit: Mutex::new(None),
            exceeded: AtomicBool::new(false),
            requests: Arc::clone(&self.requests),
        }))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Held {
    /// The body, each part of which is counted as it comes; once the budget is spent, it ends in an error.
    pub fn count(&self, body: Body) -> Body {
        Body::new(Counted { body, held: self.clone() })
    }

    /// Gives back what has been read of a request that is not taken.
    pub fn give_back(&self) {
        *self.0.permit.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the budget was spent before all was read.
    pub fn is_exceeded(&self) -> bool {
        self.0.exceeded.load(Ordering::Relaxed)
    }

    /// So many bytes more.
    pub fn take(&self, bytes: usize) -> Result<(), Error> {
        let spent = |_| {
            self.0.exceeded.store(true, Ordering::Relaxed);
            Error::new("too many bytes of requests are under way")
        };
        let bytes = u32::try_from(bytes).map_err(|_| Error::new("a frame has less than 4 GiB"))?;
        let more = Arc::clone(&self.0.budget).try_acquire_many_owned(bytes).map_err(spent)?;
        let mut permit = self.0.permit.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *permit {
            Some(permit) => permit.merge(more),
            None => *permit = Some(more),
        }
        Ok(())
    }
}

struct Counted {
    body: Body,
    held: Held,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame?;
            self.held.take(frame.data_ref().map_or(0, Bytes::len))?;
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
