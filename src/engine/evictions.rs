//! Where evicted records go: hooks, and one bounded stream.

use crate::Position;
use crate::engine::reason::EvictReason;
use crate::engine::reentrancy;
use crate::error::WaitError;
use crate::sync::EventCount;
use crate::sync::fault::{Fault, planted};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::time::Duration;

/// A user's callback for evicted records.
pub(crate) type Hook<T> = dyn Fn(Position, &T, EvictReason) + Send + Sync;

/// A hook that the store owns. Its drop drops what the closure has captured, which is user code. A
/// panic there is caught and counted, so that one hook's does not keep another from being dropped:
/// two that unwind at once would abort the process.
pub(crate) struct OwnHook<T> {
    /// `None` only while this value is dropped.
    hook: Option<Box<Hook<T>>>,
    /// Counts the panic.
    panics: Arc<EventCount>,
}

impl<T> OwnHook<T> {
    pub(crate) fn new(hook: Box<Hook<T>>, panics: &Arc<EventCount>) -> Self {
        Self { hook: Some(hook), panics: Arc::clone(panics) }
    }

    pub(crate) fn call(&self, position: Position, record: &T, reason: EvictReason) {
        if let Some(hook) = &self.hook {
            hook(position, record, reason);
        }
    }
}

impl<T> Drop for OwnHook<T> {
    fn drop(&mut self) {
        let hook = self.hook.take();
        self.panics.guarded(|| drop(hook));
    }
}

/// The hooks and the stream that receive evicted records. A change replaces the whole value, see
/// `sync::Snapshot`.
pub(crate) struct Sinks<T> {
    pub(crate) hooks: Vec<Arc<OwnHook<T>>>,
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
        self.stream.as_ref().map_or(0, |sender| sender.buffer() * each)
    }
}

/// The engine's end of a stream of evicted records. The stream ends, and its subscriber is woken,
/// when the last clone is dropped.
pub(crate) struct StreamSender<T>(Arc<Sending<T>>);

struct Sending<T> {
    buffer: usize,
    /// `None` only while this value is dropped.
    sender: Option<SyncSender<Evicted<T>>>,
    shared: Arc<StreamShared>,
}

impl<T> Clone for StreamSender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What both ends of a stream share.
#[derive(Debug)]
struct StreamShared {
    /// How many records the subscriber was sent, and for how many the buffer had no room.
    sent: AtomicU64,
    refused: AtomicU64,
    /// How many records had left their slots when the stream was opened. Set once, before the
    /// engine has the sender.
    gone: AtomicU64,
    /// How many records the store had taken in when it ended. [`OPEN`] until then.
    taken_in: AtomicU64,
    /// 1 once the subscriber has dropped its end.
    abandoned: AtomicU64,
    /// Notified when a record was sent, and when the stream has ended. Tasks wait on it. It belongs
    /// to the store, which counts the panics of wakers.
    news: Arc<EventCount>,
}

/// The value of `taken_in` while the store has not ended.
const OPEN: u64 = u64::MAX;

impl StreamShared {
    /// Wakes the task that waits for the stream.
    fn wake(&self) {
        // Threads wait on the channel itself.
        if cfg!(feature = "async") && !planted(Fault::StreamWithoutWake) {
            // Wakers always run inside the re-entrancy guard: they may push, but they may not wait.
            let _inside = reentrancy::enter();
            self.news.notify();
        }
    }
}

impl<T> Drop for Sending<T> {
    fn drop(&mut self) {
        // The channel ends first, so that the task that is woken sees its end.
        drop(self.sender.take());
        self.shared.wake();
    }
}

impl<T> StreamSender<T> {
    /// Returns how many records the stream buffers.
    fn buffer(&self) -> usize {
        self.0.buffer
    }

    /// Returns whether the subscriber has dropped its end.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.shared.abandoned.load(Ordering::Relaxed) != 0
    }

    /// Notes how many records have left their slots, which the subscriber does not receive.
    pub(crate) fn begin(&self, gone: u64) {
        self.0.shared.gone.store(gone, Ordering::Relaxed);
    }

    /// Notes that the store has ended, and how many records it has taken in.
    pub(crate) fn end(&self, taken_in: u64) {
        let StreamShared { sent, refused, gone, .. } = &*self.0.shared;
        if planted(Fault::MissesFixedAtEnd) {
            let received = gone.load(Ordering::Relaxed) + sent.load(Ordering::Relaxed);
            refused.store(taken_in - received, Ordering::Relaxed);
            return;
        }
        self.0.shared.taken_in.store(taken_in, Ordering::Relaxed);
    }

    /// Sends the record to the subscriber. Returns it if the buffer is full, which counts as
    /// missed, or if the subscriber is gone.
    pub(crate) fn send(&self, position: Position, record: T, reason: EvictReason) -> Option<T> {
        let Some(sender) = &self.0.sender else { return Some(record) };
        match sender.try_send(Evicted { position, record, reason }) {
            Ok(()) => {
                self.0.shared.sent.fetch_add(1, Ordering::Relaxed);
                self.0.shared.wake();
                None
            }
            Err(TrySendError::Full(evicted)) => {
                if !planted(Fault::MissUncounted) {
                    self.0.shared.refused.fetch_add(1, Ordering::Relaxed);
                }
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
///
/// A thread receives with [`recv`](Evictions::recv) or in a `for` loop. With the feature `async`, a
/// task receives from it as from any [`Stream`](futures_core::Stream).
///
/// ```
/// use slipring::{LogRecord, Store};
///
/// let logs: Store<LogRecord> = Store::builder().capacity(2).build()?;
/// let evictions = logs.evictions(100)?;
/// for body in ["a", "b", "c"] {
///     logs.push(LogRecord::builder().body(body).build())?;
/// }
/// logs.shutdown()?;
/// for evicted in &evictions {
///     println!("{} has left: {}", evicted.position, evicted.reason);
/// }
/// assert_eq!(evictions.missed(), 2); // the two that were in the store when it ended
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Evictions<T> {
    receiver: Receiver<Evicted<T>>,
    shared: Arc<StreamShared>,
    #[cfg(feature = "async")]
    ticket: crate::sync::Ticket,
}

/// Creates a stream that buffers `buffer` records, whose tasks wait on `news`. Returns the engine's
/// end and the subscriber's end.
pub(crate) fn stream<T>(buffer: usize, news: &Arc<EventCount>) -> (StreamSender<T>, Evictions<T>) {
    let (sender, receiver) = sync_channel(buffer);
    let shared = Arc::new(StreamShared {
        sent: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        gone: AtomicU64::new(0),
        taken_in: AtomicU64::new(OPEN),
        abandoned: AtomicU64::new(0),
        news: Arc::clone(news),
    });
    let sending = Sending { buffer, sender: Some(sender), shared: Arc::clone(&shared) };
    let evictions = Evictions {
        receiver,
        shared,
        #[cfg(feature = "async")]
        ticket: Default::default(),
    };
    (StreamSender(Arc::new(sending)), evictions)
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

    /// Returns how many evicted records this stream has not received since it was opened. A record
    /// is missed if the buffer was full, if a reader was still looking at the record when the store
    /// shut down, or if the record was still in the store then, for example because its push had not
    /// finished. [`Store::drain`](crate::Store::drain) hands those records out instead.
    ///
    /// The count is exact once the stream has ended: each record that was in its slot when the
    /// stream was opened, or was pushed later, has then been sent or is counted. Between the store's
    /// end and the stream's, a record that is on its way to the stream counts as missed.
    pub fn missed(&self) -> u64 {
        // Relaxed: the channel orders these loads after the counts' last changes. It has ended only
        // once each thread that sends has dropped its end.
        let StreamShared { sent, refused, gone, taken_in, .. } = &*self.shared;
        match taken_in.load(Ordering::Relaxed) {
            OPEN => refused.load(Ordering::Relaxed),
            taken_in => taken_in - gone.load(Ordering::Relaxed) - sent.load(Ordering::Relaxed),
        }
    }
}

/// Iterates over [`Evictions`] by reference: receives each record with [`Evictions::recv`].
///
/// Inside a hook or a visit it returns what is in the buffer, and then `None` although more may
/// come. Outside, iteration can go on after that.
#[derive(Debug)]
pub struct EvictionsIter<'a, T>(&'a Evictions<T>);

/// Iterates over [`Evictions`] by value, as [`EvictionsIter`] does.
#[derive(Debug)]
pub struct EvictionsIntoIter<T>(Evictions<T>);

impl<T> Iterator for EvictionsIter<'_, T> {
    type Item = Evicted<T>;

    fn next(&mut self) -> Option<Evicted<T>> {
        self.0.recv().ok().flatten()
    }
}

impl<T> Iterator for EvictionsIntoIter<T> {
    type Item = Evicted<T>;

    fn next(&mut self) -> Option<Evicted<T>> {
        self.0.recv().ok().flatten()
    }
}

impl<'a, T> IntoIterator for &'a Evictions<T> {
    type Item = Evicted<T>;
    type IntoIter = EvictionsIter<'a, T>;

    fn into_iter(self) -> EvictionsIter<'a, T> {
        EvictionsIter(self)
    }
}

impl<T> IntoIterator for Evictions<T> {
    type Item = Evicted<T>;
    type IntoIter = EvictionsIntoIter<T>;

    fn into_iter(self) -> EvictionsIntoIter<T> {
        EvictionsIntoIter(self)
    }
}

/// A stream of what is evicted. It ends once the store is shut down and the buffer is empty.
/// Polling never blocks, also inside a hook or a visit.
///
/// The waker is woken by the thread that evicts. It runs under the same rules as a hook: it may
/// push, but not wait, and its panics are caught and counted. Polling panics if the waker panics
/// when it is cloned, because the task could not be woken.
///
/// ```
/// use futures::StreamExt;
/// use slipring::{LogRecord, Store};
///
/// let logs: Store<LogRecord> = Store::builder().capacity(2).build()?;
/// let mut evictions = logs.evictions(100)?;
/// for severity in 1..=3 {
///     logs.push(LogRecord::builder().severity(slipring::Severity(severity)).build())?;
/// }
/// futures::executor::block_on(async {
///     let first = evictions.next().await.expect("the store is open");
///     assert_eq!(first.record.severity().0, 1);
///     logs.shutdown().unwrap();
///     assert!(evictions.next().await.is_none());
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "async")]
impl<T> futures_core::Stream for Evictions<T> {
    type Item = Evicted<T>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Evicted<T>>> {
        let Self { receiver, shared, ticket } = &mut *self;
        let look = || match receiver.try_recv() {
            Ok(evicted) => Some(Some(evicted)),
            Err(TryRecvError::Disconnected) => Some(None),
            Err(TryRecvError::Empty) => None,
        };
        if let Some(found) = look() {
            shared.news.leave(ticket);
            return std::task::Poll::Ready(found);
        }
        // `poll` registers the waker once and then looks once more. If a record comes later, the
        // waker is woken.
        shared.news.poll(ticket, context, look)
    }
}

impl<T> Drop for Evictions<T> {
    fn drop(&mut self) {
        self.shared.abandoned.store(1, Ordering::Relaxed);
        #[cfg(feature = "async")]
        self.shared.news.leave(&mut self.ticket);
        // One by one: the channel would leak those behind a record whose drop panics.
        while let Ok(evicted) = self.receiver.try_recv() {
            self.shared.news.guarded(|| drop(evicted));
        }
    }
}
