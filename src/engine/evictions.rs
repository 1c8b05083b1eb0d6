//! Where evicted records go: hooks, and one bounded stream.

use crate::Position;
use crate::engine::reason::EvictReason;
use crate::engine::reentrancy;
use crate::error::WaitError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::time::Duration;

/// A user's callback for evicted records.
pub(crate) type Hook<T> = dyn Fn(Position, &T, EvictReason) + Send + Sync;

/// The hooks and the stream that receive evicted records. A change replaces the whole value, see
/// `sync::Snapshot`.
pub(crate) struct Sinks<T> {
    pub(crate) hooks: Vec<Arc<Hook<T>>>,
    pub(crate) stream: Option<StreamSender<T>>,
    /// Whether the store has ended. No hook or stream is added after that.
    pub(crate) closed: bool,
    /// Whether the sinks also receive the records that are still in the store when it ends.
    pub(crate) drain_at_end: bool,
}

impl<T> Default for Sinks<T> {
    fn default() -> Self {
        Self { hooks: Vec::new(), stream: None, closed: false, drain_at_end: false }
    }
}

impl<T> Clone for Sinks<T> {
    fn clone(&self) -> Self {
        Self {
            hooks: self.hooks.clone(),
            stream: self.stream.clone(),
            closed: self.closed,
            drain_at_end: self.drain_at_end,
        }
    }
}

impl<T> Sinks<T> {
    /// Returns sinks without hooks or a stream, to which none can be added.
    pub(crate) fn closed() -> Self {
        Self { closed: true, ..Self::default() }
    }

    /// Returns whether no hook and no subscriber would see an evicted record.
    pub(crate) fn is_empty(&self) -> bool {
        self.hooks.is_empty() && self.stream.as_ref().is_none_or(StreamSender::is_abandoned)
    }
}

impl<T> Sinks<T> {
    /// Returns the bytes of the stream's buffer.
    pub(crate) fn bytes(&self) -> usize {
        // Each entry of the channel's buffer holds one word beside the record.
        let each = size_of::<Evicted<T>>() + size_of::<usize>();
        self.stream.as_ref().map_or(0, |sender| sender.buffer * each)
    }
}

/// The engine's end of a stream of evicted records.
pub(crate) struct StreamSender<T> {
    buffer: usize,
    sender: SyncSender<Evicted<T>>,
    counts: Arc<StreamCounts>,
}

impl<T> Clone for StreamSender<T> {
    fn clone(&self) -> Self {
        Self { buffer: self.buffer, sender: self.sender.clone(), counts: Arc::clone(&self.counts) }
    }
}

#[derive(Debug, Default)]
struct StreamCounts {
    missed: AtomicU64,
    /// 1 once the subscriber has dropped its end.
    abandoned: AtomicU64,
}

impl<T> StreamSender<T> {
    /// Returns whether the subscriber has dropped its end.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.counts.abandoned.load(Ordering::Relaxed) != 0
    }

    /// Counts one record that the subscriber does not receive.
    pub(crate) fn miss(&self) {
        self.count_missed(1);
    }

    /// Counts records that the subscriber does not receive.
    pub(crate) fn count_missed(&self, records: u64) {
        self.counts.missed.fetch_add(records, Ordering::Relaxed);
    }

    /// Sends the record to the subscriber. Returns it if the buffer is full, which counts as
    /// missed, or if the subscriber is gone.
    pub(crate) fn send(&self, position: Position, record: T, reason: EvictReason) -> Option<T> {
        match self.sender.try_send(Evicted { position, record, reason }) {
            Ok(()) => None,
            Err(TrySendError::Full(evicted)) => {
                self.miss();
                Some(evicted.record)
            }
            Err(TrySendError::Disconnected(evicted)) => Some(evicted.record),
        }
    }
}

/// A record that left the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evicted<T> {
    /// The record's position in the store.
    pub position: Position,
    /// The record itself.
    pub record: T,
    /// Why the record left.
    pub reason: EvictReason,
}

/// The records that a store evicts, by value, in the order in which each shard evicts them.
///
/// The stream ends when the store is shut down. After the stream is dropped, the store drops
/// evicted records itself again.
#[derive(Debug)]
pub struct Evictions<T> {
    receiver: Receiver<Evicted<T>>,
    counts: Arc<StreamCounts>,
}

/// Creates a stream that buffers `buffer` records. Returns the engine's end and the subscriber's
/// end.
pub(crate) fn stream<T>(buffer: usize) -> (StreamSender<T>, Evictions<T>) {
    let (sender, receiver) = sync_channel(buffer);
    let counts = Arc::new(StreamCounts::default());
    (StreamSender { buffer, sender, counts: Arc::clone(&counts) }, Evictions { receiver, counts })
}

impl<T> Evictions<T> {
    /// Returns the next record, and waits until there is one. Returns `None` once the store is shut
    /// down and the buffer is empty.
    ///
    /// # Errors
    /// [`WaitError::Reentrant`] inside a hook or a visit, if the buffer is empty: the engine might
    /// have to wait for this thread before it can evict another record.
    pub fn recv(&self) -> Result<Option<Evicted<T>>, WaitError> {
        self.recv_with(|| self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected))
    }

    /// Receives like [`recv`](Evictions::recv), but waits no longer than `timeout`.
    ///
    /// # Errors
    /// [`WaitError::Timeout`] if nothing came in time, and the errors of `recv`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Evicted<T>>, WaitError> {
        self.recv_with(|| self.receiver.recv_timeout(timeout))
    }

    /// Returns the next record from the buffer. If the buffer is empty and the thread is not inside
    /// the engine, calls `wait`.
    fn recv_with(
        &self,
        wait: impl FnOnce() -> Result<Evicted<T>, RecvTimeoutError>,
    ) -> Result<Option<Evicted<T>>, WaitError> {
        match self.receiver.try_recv() {
            Ok(evicted) => return Ok(Some(evicted)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) if reentrancy::is_inside() => {
                return Err(WaitError::Reentrant);
            }
            Err(TryRecvError::Empty) => {}
        }
        match wait() {
            Ok(evicted) => Ok(Some(evicted)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(WaitError::Timeout),
        }
    }

    /// Returns the next record if the buffer holds one. Never waits.
    pub fn try_recv(&self) -> Option<Evicted<T>> {
        self.receiver.try_recv().ok()
    }

    /// Returns how many evicted records this stream has not received since it was opened. The count
    /// is exact. A record is missed if the buffer was full, if a reader was still looking at the
    /// record when the store shut down, or if the record was still in the store then.
    /// [`Store::drain`](crate::Store::drain) hands those records out instead.
    pub fn missed(&self) -> u64 {
        self.counts.missed.load(Ordering::Relaxed)
    }
}

impl<T> Iterator for Evictions<T> {
    type Item = Evicted<T>;

    /// Like [`Evictions::recv`]. Inside a hook or a visit it returns what is in the buffer, and
    /// then `None` although more may come. Outside, iteration can go on after that.
    fn next(&mut self) -> Option<Evicted<T>> {
        self.recv().ok().flatten()
    }
}

impl<T> Drop for Evictions<T> {
    fn drop(&mut self) {
        self.counts.abandoned.store(1, Ordering::Relaxed);
    }
}
