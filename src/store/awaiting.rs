//! Pushing from tasks.

use crate::Position;
use crate::engine::settings::OnFull;
use crate::engine::state::Engine;
use crate::error::{PushError, Rejection};
use crate::signal::Signal;
use crate::store::Store;
use crate::sync::Ticket;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A push that waits for room without its thread; made by [`Store::push_async`].
///
/// Dropped before it is ready, it pushes nothing and drops the record.
#[must_use = "a future does nothing unless it is awaited"]
pub struct PushFuture<'a, T: Signal> {
    engine: &'a Engine<T>,
    record: Option<T>,
    ticket: Ticket,
    /// Whether it has been counted as one that waited.
    waited: bool,
}

impl<T: Signal> Store<T> {
    /// As [`push`](Store::push), but where that would block its thread, the task waits: until a slot is free, whatever the
    /// builder was told of full rings. With room it is ready at once.
    ///
    /// In a manual store somebody has to step for there to be room. Guard a hook or a visit it does not wait for itself: it is
    /// pending until the slot is free.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// let position = futures::executor::block_on(logs.push_async(LogRecord::default()))?;
    /// assert!(logs.get(position).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Its waker may be woken by whoever makes room: a thread that pushes or steps, or the indexer's. It runs as a hook does: it may
    /// push, but not wait, and a panic of it is caught and counted.
    ///
    /// # Errors
    /// As `push`, but for a full ring.
    ///
    /// # Panics
    /// A poll does if its waker panics when it is cloned, because it could not be woken.
    pub fn push_async(&self, record: T) -> PushFuture<'_, T> {
        PushFuture { engine: self.engine(), record: Some(record), ticket: Ticket::default(), waited: false }
    }
}

// The record is moved out by value, never pinned.
impl<T: Signal> Unpin for PushFuture<'_, T> {}

impl<T: Signal> Future for PushFuture<'_, T> {
    type Output = Result<Position, PushError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { engine, record, ticket, waited } = &mut *self;
        let engine = *engine;
        let meta = engine.meta(record.as_mut().expect("a future that was ready is not polled again"));
        let mut push = || {
            let claimed = match &meta {
                Ok(meta) => engine.claim(std::slice::from_ref(meta), OnFull::Reject).map(|claim| (claim, meta)),
                Err(reason) => Err(*reason),
            };
            match claimed {
                Ok((claim, meta)) => {
                    engine.publish(claim, record.take().expect("as above"), meta);
                    Some(Ok(Position::new(claim.shard, claim.first)))
                }
                Err(Rejection::Full) => None,
                Err(reason) => Some(Err(reason)),
            }
        };
        // Once registered it tries once: when there is room later it is told. So its waker is cloned once, and dropped after the
        // record is published.
        let pushed = match push() {
            Some(pushed) => {
                engine.room.leave(ticket);
                pushed
            }
            None => match engine.room.poll(ticket, context, &mut push) {
                Poll::Ready(pushed) => pushed,
                Poll::Pending => {
                    engine.counts.waits.add(u64::from(!std::mem::replace(waited, true)));
                    return Poll::Pending;
                }
            },
        };
        Poll::Ready(pushed.map_err(|reason| {
            engine.reject(reason, 1);
            PushError { record: record.take().expect("it was not pushed"), reason }
        }))
    }
}

impl<T: Signal> Drop for PushFuture<'_, T> {
    fn drop(&mut self) {
        self.engine.room.leave(&mut self.ticket);
    }
}

impl<T: Signal> std::fmt::Debug for PushFuture<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushFuture").field("signal", &T::NAME).finish_non_exhaustive()
    }
}
