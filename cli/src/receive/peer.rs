//! The shared state of a connected peer: when it last sent something, which of its requests are in
//! flight, and which answers it leaves unread.

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use axum::{BoxError, Router};
use bytes::Buf;
use hyper::body::{Frame, SizeHint};
use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tower::ServiceExt;

/// Bytes of an answer that are passed to the connection at a time.
const PIECE: usize = 16 << 10;

/// How long a new peer may take to send its first bytes before it counts as idle. A peer on a busy
/// machine needs that time.
pub const FIRST_WORD: Duration = Duration::from_millis(100);

pub struct Peer {
    /// When it spoke last, or should have for the first time.
    heard: Mutex<Instant>,
    /// Number of requests that the peer has made.
    requests: AtomicUsize,
    under_way: AtomicUsize,
    writing: AtomicBool,
    /// By number of the request: of its answer a piece was handed on then, and no more has been
    /// asked for.
    unread: Mutex<HashMap<usize, Instant>>,
    asked_to_leave: AtomicBool,
    leave: Notify,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peer {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            heard: Mutex::new(Instant::now() + FIRST_WORD),
            requests: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            writing: AtomicBool::new(false),
            unread: Mutex::default(),
            asked_to_leave: AtomicBool::new(false),
            leave: Notify::new(),
        })
    }

    /// Records that the peer has sent something.
    pub fn has_spoken(&self) {
        let mut heard = locked(&self.heard);
        *heard = Instant::now().max(*heard);
    }

    /// Records whether a write is pending until the peer reads.
    pub fn set_writing(&self, writing: bool) {
        self.writing.store(writing, Ordering::Relaxed);
    }

    /// Returns since when the peer has been idle, or `None` while it is being served.
    pub fn idle_since(&self) -> Option<Instant> {
        let idle =
            self.under_way.load(Ordering::Relaxed) == 0 && !self.writing.load(Ordering::Relaxed);
        idle.then(|| *locked(&self.heard))
    }

    pub fn has_made_requests(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Returns whether the peer has been idle for at least `time`.
    pub fn is_idle_for(&self, time: Duration) -> bool {
        self.idle_since().is_some_and(|since| since.elapsed() >= time)
    }

    pub fn is_asked_to_leave(&self) -> bool {
        self.asked_to_leave.load(Ordering::Acquire)
    }

    /// Asks the peer's connection to close, to make room for another.
    pub fn ask_to_leave(&self) {
        // Relaxed: a thread that misses this asks the same peer again, which changes nothing.
        self.asked_to_leave.store(true, Ordering::Relaxed);
        self.leave.notify_one();
    }

    /// Withdraws the request to leave, since the peer has sent something.
    pub fn stay(&self) {
        self.has_spoken();
        // Pairs with the Acquire load in `is_asked_to_leave`: `Room::place`, which reads `false`
        // there, also sees when the peer last sent something.
        self.asked_to_leave.store(false, Ordering::Release);
    }

    /// Waits until the peer is asked to leave.
    pub async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }

    /// Whether it has left some answer unread for so long. A peer of HTTP/2 can do that while it
    /// reads all that is sent; and what it does not take can't be taken back by itself: that takes
    /// its connection.
    pub fn leaves_unread(&self, timeout: Duration) -> bool {
        locked(&self.unread).values().any(|since| since.elapsed() >= timeout)
    }

    /// Passes a request to the routes. It counts as in flight until its whole answer has been
    /// passed to the connection.
    pub fn pass(
        self: Arc<Self>,
        routes: Router,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> {
        // At once, not when the answer is first asked for.
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let under_way = UnderWay { peer: self, number };
        async move {
            let response = routes.oneshot(request).await?;
            // Its head is there to be taken.
            locked(&under_way.peer.unread).insert(number, Instant::now());
            Ok(response.map(|body| Answer { body, piece: Bytes::new(), request: under_way }))
        }
    }
}

struct UnderWay {
    peer: Arc<Peer>,
    number: usize,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        locked(&self.peer.unread).remove(&self.number);
        self.peer.has_spoken();
        self.peer.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body, passed to the connection in pieces as the peer reads them.
pub struct Answer {
    body: Body,
    piece: Bytes,
    request: UnderWay,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let UnderWay { peer, number } = &this.request;
        // The peer has read the piece before this one.
        locked(&peer.unread).remove(number);
        if this.piece.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.piece = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            }
        }
        // Copies the piece: a slice would keep the whole answer in memory until the peer has read.
        let piece = Bytes::copy_from_slice(&this.piece[..PIECE.min(this.piece.len())]);
        this.piece.advance(piece.len());
        locked(&peer.unread).insert(*number, Instant::now());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, piece) = (self.body.size_hint(), self.piece.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + piece);
        }
        hint.set_lower(rest.lower() + piece);
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_just_come_is_let_speak_and_loses_nothing_by_that() {
        let (silent, speaking) = (Peer::new(), Peer::new());
        speaking.has_spoken();
        assert!(
            silent.idle_since() > Some(Instant::now())
                && speaking.idle_since() >= silent.idle_since()
        );
    }
}
