//! A connected peer, as far as others are concerned: since when it has said nothing, what of its
//! requests is under way, and which of its answers it leaves unread.

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

/// Of an answer, what is handed on at a time.
const PIECE: usize = 16 << 10;

/// How long one that has just come is let speak before it counts as idle: it, too, may have much to
/// do.
pub const FIRST_WORD: Duration = Duration::from_millis(100);

pub struct Peer {
    /// When it spoke last, or should have for the first time.
    heard: Mutex<Instant>,
    /// How many it has made.
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

    /// It has sent something.
    pub fn has_spoken(&self) {
        let mut heard = locked(&self.heard);
        *heard = Instant::now().max(*heard);
    }

    /// Whether what was written for it waits until it reads.
    pub fn set_writing(&self, writing: bool) {
        self.writing.store(writing, Ordering::Relaxed);
    }

    /// Since when there is nothing to do for it.
    pub fn idle_since(&self) -> Option<Instant> {
        let idle =
            self.under_way.load(Ordering::Relaxed) == 0 && !self.writing.load(Ordering::Relaxed);
        idle.then(|| *locked(&self.heard))
    }

    pub fn has_made_requests(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Whether it has been idle for so long.
    pub fn is_idle_for(&self, time: Duration) -> bool {
        self.idle_since().is_some_and(|since| since.elapsed() >= time)
    }

    pub fn is_asked_to_leave(&self) -> bool {
        self.asked_to_leave.load(Ordering::Acquire)
    }

    /// Asks it to make room for another.
    pub fn ask_to_leave(&self) {
        self.asked_to_leave.store(true, Ordering::Relaxed);
        self.leave.notify_one();
    }

    /// It need not leave: it has something to say.
    pub fn stay(&self) {
        self.has_spoken();
        // Pairs with the load of who looks for one to ask: that one finds when it spoke.
        self.asked_to_leave.store(false, Ordering::Release);
    }

    /// Until it is asked to leave.
    pub async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }

    /// Whether it has left some answer unread for so long. A peer of HTTP/2 can do that while it
    /// reads all that is sent; and what it does not take can't be taken back by itself: that takes
    /// its connection.
    pub fn leaves_unread(&self, timeout: Duration) -> bool {
        locked(&self.unread).values().any(|since| since.elapsed() >= timeout)
    }

    /// Passes a request on, and keeps in mind that it is under way until all of its answer is
    /// handed on.
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

/// An answer, handed on piece by piece as the peer takes them.
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
        // It has taken what was handed on before.
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
        // Copied: a part of the whole would keep all of it in memory for as long as its peer likes.
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
