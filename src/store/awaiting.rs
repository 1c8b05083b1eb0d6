//! Pushing from async tasks.

use crate::Position;
use crate::engine::settings::OnFull;
use crate::engine::state::Engine;
use crate::error::{BatchError, PushError, Rejection};
use crate::signal::Signal;
use crate::store::Store;
use crate::sync::Ticket;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A push that waits for room without blocking its thread. Created by [`Store::push_async`].
///
/// If it is dropped before it is ready, nothing is pushed and the record is dropped.
#[must_use = "a future does nothing unless it is awaited"]
pub struct PushFuture<'a, T: Signal> {
    engine: &'a Engine<T>,
    record: Option<T>,
    ticket: Ticket,
    /// Whether this push has been counted as one that waited.
    waited: bool,
}

impl<T: Signal> Store<T> {
    /// Pushes like [`push`](Store::push). Where `push` would block its thread, the task waits until
    /// a slot is free, whatever the builder's [`OnFull`] says. With room, the future
    /// is ready at its first poll.
    ///
    /// In a manual store, some thread has to step to make room. Inside a hook or a visit, polling
    /// never blocks: the future is pending until a slot is free.
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
    /// The waker may be woken by any thread that makes room: one that pushes or steps, or the
    /// indexer thread. The waker runs under the same rules as a hook: it may push, but not wait,
    /// and its panics are caught and counted.
    ///
    /// # Errors
    /// The errors of `push`, except [`Rejection::Full`].
    ///
    /// # Panics
    /// Polling panics if the waker panics when it is cloned, because the task could not be woken.
    pub fn push_async(&self, record: T) -> PushFuture<'_, T> {
        PushFuture {
            engine: self.engine(),
            record: Some(record),
            ticket: Ticket::default(),
            waited: false,
        }
    }
}

impl<T: Signal> Store<T> {
    /// Pushes a batch like [`push_batch`](Store::push_batch). Where that would block its thread,
    /// the task waits, as [`push_async`](Store::push_async) does. Returns how many records were
    /// pushed.
    ///
    /// Each record is pushed by itself, so this costs as much as so many calls of `push_async`. If
    /// the future is dropped before it is ready, the records that it has not pushed are dropped.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// let pushed = logs.push_batch_async(vec![LogRecord::default(); 3]);
    /// assert_eq!(futures::executor::block_on(pushed)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The errors of `push_batch`, except [`Rejection::Full`].
    pub async fn push_batch_async(&self, batch: Vec<T>) -> Result<usize, BatchError<T>> {
        let (mut accepted, mut rest) = (0, batch.into_iter());
        let mut refused: Option<(Vec<T>, Rejection)> = None;
        while let Some(record) = rest.next() {
            match self.push_async(record).await {
                Ok(_) => accepted += 1,
                Err(PushError { record, reason }) => {
                    let (rejected, last) = refused.get_or_insert_with(|| (Vec::new(), reason));
                    rejected.push(record);
                    *last = reason;
                    if reason == Rejection::Closed {
                        self.engine().reject(reason, rest.len() as u64);
                        rejected.extend(rest);
                        break;
                    }
                }
            }
        }
        match refused {
            None => Ok(accepted),
            Some((rejected, reason)) => Err(BatchError { accepted, rejected, reason }),
        }
    }
}

// The record is never pinned: it is moved out by value.
impl<T: Signal> Unpin for PushFuture<'_, T> {}

impl<T: Signal> Future for PushFuture<'_, T> {
    type Output = Result<Position, PushError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { engine, record, ticket, waited } = &mut *self;
        let engine = *engine;
        let meta =
            engine.meta(record.as_mut().expect("the future is not polled after it was ready"));
        let mut push = || {
            let claimed = match &meta {
                Ok(meta) => engine
                    .claim(std::slice::from_ref(meta), OnFull::Reject)
                    .map(|claim| (claim, meta)),
                Err(reason) => Err(*reason),
            };
            match claimed {
                Ok((claim, meta)) => {
                    engine.publish(claim, record.take().expect("the record is pushed once"), meta);
                    Some(Ok(Position::new(claim.shard, claim.first)))
                }
                Err(Rejection::Full) => None,
                Err(reason) => Some(Err(reason)),
            }
        };
        // `poll` registers the waker once and then tries once more. If room comes later, the waker
        // is woken. So the waker is cloned at most once per poll, and dropped after the record is
        // published.
        let pushed = match push() {
            Some(pushed) => {
                engine.room.leave(ticket);
                pushed
            }
            None => match catch_unwind(AssertUnwindSafe(|| {
                engine.room.poll(ticket, context, &mut push)
            })) {
                // Of the waker, as it was cloned.
                Err(panic) => {
                    if let (Ok(meta), Some(record)) = (&meta, &record) {
                        engine.uncount(meta.class, record);
                    }
                    resume_unwind(panic);
                }
                Ok(Poll::Ready(pushed)) => pushed,
                Ok(Poll::Pending) => {
                    // The next poll counts it again.
                    if let (Ok(meta), Some(record)) = (&meta, &record) {
                        engine.uncount(meta.class, record);
                    }
                    engine.counts.waits.add(u64::from(!std::mem::replace(waited, true)));
                    return Poll::Pending;
                }
            },
        };
        Poll::Ready(pushed.map_err(|reason| {
            engine.reject(reason, 1);
            let record = record.take().expect("a refused record is still here");
            if let Ok(meta) = &meta {
                engine.uncount(meta.class, &record);
            }
            PushError { record, reason }
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
