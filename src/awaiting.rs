//! Pushing from tasks.

use crate::Position;
use crate::config::OnFull;
use crate::engine::Engine;
use crate::error::{PushError, Rejection};
use crate::ring::Class;
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
    /// In a manual store somebody has to step for there to be room. Inside a hook or a visit it does not wait for itself: it is
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
    /// # Errors
    /// As `push`, but for a full ring.
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
        let sketch = engine.sketch(record.as_ref().expect("a future that was ready is not polled again"));
        let reason = loop {
            let claimed = sketch
                .as_ref()
                .map_err(|&reason| reason)
                .and_then(|sketch| engine.claim(std::slice::from_ref(sketch), OnFull::Reject));
            match claimed {
                Ok(claim) => {
                    let (record, sketch) = (record.take().expect("as above"), sketch.expect("there is a claim"));
                    engine.publish(claim, record, &sketch);
                    engine.room.leave(ticket);
                    return Poll::Ready(Ok(Position::new(claim.shard, claim.first)));
                }
                Err(Rejection::Full) => {
                    let class = sketch.as_ref().map_or(Class::default(), |sketch| sketch.class);
                    let ready = || engine.may_have_room(class).then_some(());
                    if engine.room.poll(ticket, context, ready).is_pending() {
                        engine.counts.waits.add(u64::from(!std::mem::replace(waited, true)));
                        return Poll::Pending;
                    }
                }
                Err(reason) => break reason,
            }
        };
        engine.reject(reason, 1);
        let record = record.take().expect("as above");
        Poll::Ready(Err(PushError { record, reason }))
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
