//! Where evicted records go: hooks, and one bounded stream.

use crate::Position;
use crate::engine::reason::EvictReason;
use crate::engine::reentrancy;
use crate::error::WaitError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

pub(crate) type Hook<T> = dyn Fn(Position, &T, EvictReason) + Send + Sync;

/// What wants to see evicted records; replaced whole, see `sync::Snapshot`.
pub(crate) struct Sinks<T> {
    pub(crate) hooks: Vec<Arc<Hook<T>>>,
    pub(crate) stream: Option<Outlet<T>>,
    /// The store has ended: nothing enters here any more.
    pub(crate) closed: bool,
    /// Whether they also get what is left in the store at its end.
    pub(crate) drains: bool,
}

impl<T> Default for Sinks<T> {
    fn default() -> Self {
        Self { hooks: Vec::new(), stream: None, closed: false, drains: false }
    }
}

impl<T> Clone for Sinks<T> {
    fn clone(&self) -> Self {
        Self { hooks: self.hooks.clone(), stream: self.stream.clone(), closed: self.closed, drains: self.drains }
    }
}

impl<T> Sinks<T> {
    /// Without hooks or stream, for good.
    pub(crate) fn closed() -> Self {
        Self { closed: true, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hooks.is_empty() && self.stream.as_ref().is_none_or(Outlet::is_abandoned)
    }
}

impl<T> Sinks<T> {
    /// Bytes that a stream's buffer takes.
    pub(crate) fn bytes(&self) -> usize {
        // Each place of the buffer has a word of its own beside the record.
        let each = size_of::<Evicted<T>>() + size_of::<usize>();
        self.stream.as_ref().map_or(0, |outlet| outlet.buffer * each)
    }
}

/// The engine's end of a stream.
pub(crate) struct Outlet<T> {
    buffer: usize,
    sender: SyncSender<Evicted<T>>,
    tally: Arc<Tally>,
}

impl<T> Clone for Outlet<T> {
    fn clone(&self) -> Self {
        Self { buffer: self.buffer, sender: self.sender.clone(), tally: Arc::clone(&self.tally) }
    }
}

#[derive(Debug, Default)]
struct Tally {
    missed: AtomicU64,
    /// 1 once the subscriber has gone.
    abandoned: AtomicU64,
}

impl<T> Outlet<T> {
    pub(crate) fn is_abandoned(&self) -> bool {
        self.tally.abandoned.load(Ordering::Relaxed) != 0
    }

    /// Counts a record that the subscriber does not get.
    pub(crate) fn miss(&self) {
        self.miss_many(1);
    }

    pub(crate) fn miss_many(&self, records: u64) {
        self.tally.missed.fetch_add(records, Ordering::Relaxed);
    }

    /// Hands the record on, or gives it back if the subscriber is slow (which is counted) or gone.
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
    /// Where it was.
    pub position: Position,
    /// The record itself.
    pub record: T,
    /// Why it left.
    pub reason: EvictReason,
}

/// The records that a store evicts, by value, in the order in which each shard evicts them.
///
/// It ends when the store is shut down. Dropping it lets the store drop its evicted records again.
#[derive(Debug)]
pub struct Evictions<T> {
    receiver: Receiver<Evicted<T>>,
    tally: Arc<Tally>,
}

/// A stream of `buffer` records: the engine's end and the subscriber's.
pub(crate) fn stream<T>(buffer: usize) -> (Outlet<T>, Evictions<T>) {
    let (sender, receiver) = sync_channel(buffer);
    let tally = Arc::new(Tally::default());
    (Outlet { buffer, sender, tally: Arc::clone(&tally) }, Evictions { receiver, tally })
}

impl<T> Evictions<T> {
    /// The next one; waits for it. `None` once the store is shut down and the buffer empty.
    ///
    /// # Errors
    /// [`WaitError::Reentrant`] inside a hook or a visit, if there is none in the buffer: the engine might have to wait for this thread
    /// before it evicts another.
    pub fn recv(&self) -> Result<Option<Evicted<T>>, WaitError> {
        self.recv_with(|| self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected))
    }

    /// As [`recv`](Evictions::recv), for this long at most.
    ///
    /// # Errors
    /// Also [`WaitError::Timeout`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Evicted<T>>, WaitError> {
        self.recv_with(|| self.receiver.recv_timeout(timeout))
    }

    /// The next one from the buffer, or, outside, from `wait`.
    fn recv_with(
        &self,
        wait: impl FnOnce() -> Result<Evicted<T>, RecvTimeoutError>,
    ) -> Result<Option<Evicted<T>>, WaitError> {
        match self.receiver.try_recv() {
            Ok(evicted) => return Ok(Some(evicted)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) if reentrancy::is_inside() => return Err(WaitError::Reentrant),
            Err(TryRecvError::Empty) => {}
        }
        match wait() {
            Ok(evicted) => Ok(Some(evicted)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(WaitError::Timeout),
        }
    }

    /// The next one, if there is one now.
    pub fn try_recv(&self) -> Option<Evicted<T>> {
        self.receiver.try_recv().ok()
    }

    /// Records that were evicted and did not get here since the stream was opened, exactly: its buffer was full, a reader was still
    /// looking at them when the store shut down, or they were in the store then, which [`Store::drain`](crate::Store::drain) hands out.
    pub fn missed(&self) -> u64 {
        self.tally.missed.load(Ordering::Relaxed)
    }
}

impl<T> Iterator for Evictions<T> {
    type Item = Evicted<T>;

    /// As [`Evictions::recv`]. Guard a hook or a visit it gives what is in the buffer, and then `None` although more may come:
    /// outside it goes on.
    fn next(&mut self) -> Option<Evicted<T>> {
        self.recv().ok().flatten()
    }
}

impl<T> Drop for Evictions<T> {
    fn drop(&mut self) {
        self.tally.abandoned.store(1, Ordering::Relaxed);
    }
}
