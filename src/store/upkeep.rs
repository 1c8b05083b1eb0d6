//! Flushing, stepping, eviction hooks and streams, and the end of a store.

use super::{Store, WeakStore};
use crate::engine::evictions::{self, Evicted, Evictions, OwnHook, Sinks};
use crate::engine::indexer::Work;
use crate::engine::position::Position;
use crate::engine::reason::EvictReason;
use crate::engine::reentrancy;
use crate::engine::shard::Shard;
use crate::error::{StreamError, WaitError};
use crate::signal::Signal;
use crate::store::audit::{self, Audit, AuditError};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl<T: Signal> Store<T> {
    /// Waits until everything pushed before the call is indexed and every eviction due by then is
    /// applied. The calling thread takes part in the work. It waits for pushes that have begun, and
    /// not for readers. If an index cannot get memory to grow, it waits until there is some.
    /// Queries need no flush, because they never lag.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.push(LogRecord::default())?;
    /// logs.flush()?;
    /// assert_eq!(logs.stats().indexer_lag, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`WaitError::Reentrant`] inside a hook or a visit.
    pub fn flush(&self) -> Result<(), WaitError> {
        self.engine.flush(None)
    }

    /// Flushes like [`flush`](Store::flush), but waits no longer than `timeout`.
    ///
    /// # Errors
    /// [`WaitError::Timeout`] if the time is over, and the errors of `flush`.
    pub fn flush_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        self.engine.flush(Instant::now().checked_add(timeout))
    }

    /// Does one batch of the indexer's work in each shard. Returns whether there was any. A store
    /// that was built [`manual`](crate::StoreBuilder::manual) depends on these calls, and runs its
    /// hooks in them. In other stores a call only helps the indexer thread. Inside a hook or a
    /// visit it does nothing.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().capacity(10).manual().build()?;
    /// logs.push_batch(vec![LogRecord::default(); 12])?;
    /// while logs.step() {}
    /// let stats = logs.stats();
    /// assert_eq!((stats.count, stats.evicted.total(), stats.indexer_lag), (10, 2, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn step(&self) -> bool {
        self.step_by(Instant::now)
    }

    /// Steps like [`step`](Store::step), with `now` as its clock.
    pub(crate) fn step_by(&self, now: impl Fn() -> Instant) -> bool {
        if reentrancy::is_inside() {
            return false;
        }
        if !self.engine.threaded {
            self.engine.wakeups.advance_tick();
        }
        self.engine.age_out(now);
        let work = if self.engine.threaded { Work::FLUSH } else { Work::ALL };
        (0..self.engine.shards.len()).fold(false, |any, shard| {
            self.engine.step(shard, work).is_some_and(|moved| moved.any()) | any
        })
    }

    /// Empties the store: from now on, no query sees what was pushed before. The records are
    /// evicted in the background, through hooks and stream, with the reason `Cleared`. O(shards).
    /// Never blocks: it only retries if another thread clears, or evicts by age or bytes, at the
    /// same moment.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.push(LogRecord::default())?;
    /// logs.clear();
    /// assert!(logs.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear(&self) {
        self.engine.clear();
    }

    /// Calls `hook` for each record that is evicted from now on, with the reason, before the
    /// record's slot is reused. In a store with an indexer thread, hooks run on that thread, or on
    /// one that needs room while the indexer thread is suspended. In a manual store they run on the
    /// thread that steps, or that pushes and finds no room. A hook stays as long as the store.
    ///
    /// A slow hook slows eviction down, and in the end pushes. A hook may push, also into its own
    /// store, and its pushes never wait. Use [`downgrade`](Store::downgrade) for a handle to keep
    /// in a hook. A hook's panic is caught and counted.
    ///
    /// No hook runs for the records that are still in the store when it shuts down. A new hook may
    /// see a record that was evicted before the call, if a reader still has it pinned. If
    /// `on_evict` is called inside a hook or a visit, the new hook may also see other records that
    /// were evicted just before.
    ///
    /// ```
    /// use slipring::store::EvictReason;
    /// use slipring::{LogRecord, Store};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let logs: Store<LogRecord> = Store::builder().capacity(10).build()?;
    /// let bytes = Arc::new(AtomicU64::new(0));
    /// let counted = Arc::clone(&bytes);
    /// logs.on_evict(move |_position, record, reason| {
    ///     assert_eq!(reason, EvictReason::Capacity);
    ///     counted.fetch_add(record.bytes().len() as u64, Ordering::Relaxed);
    /// });
    /// logs.push_batch((0..30).map(|_| LogRecord::builder().body("gone").build()).collect())?;
    /// logs.shutdown()?;
    /// assert!(bytes.load(Ordering::Relaxed) > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_evict(&self, hook: impl Fn(Position, &T, EvictReason) + Send + Sync + 'static) {
        let hook = Arc::new(OwnHook::new(Box::new(hook), &self.engine.streamed));
        self.engine.reclaim_everywhere();
        self.engine.sinks.update(|sinks| {
            let mut sinks = sinks.clone();
            if !sinks.closed {
                sinks.hooks.push(Arc::clone(&hook));
            }
            sinks
        });
    }

    /// Opens a stream of the records that are evicted from now on, by value, with a buffer of
    /// `buffer` records. A store has one stream at a time. Records for which a slow subscriber
    /// leaves no room are dropped and counted.
    ///
    /// Waits for threads that are indexing, and takes over from one that has been suspended for 20 ms.
    /// Inside a hook or a visit it returns an error instead. O(evicted records that have not been
    /// reclaimed), for all shards.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().capacity(2).build()?;
    /// let evictions = logs.evictions(100)?;
    /// for body in ["a", "b", "c"] {
    ///     logs.push(LogRecord::builder().body(body).build())?;
    /// }
    /// let first = evictions.recv()?.expect("the store is open");
    /// assert_eq!(first.record.body().map(|body| body.to_string()), Some("a".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StreamError`] if there is a stream already, if the store is shut down, or if the buffer is
    /// 0 or does not fit into memory. [`StreamError::Reentrant`] inside a hook or a visit, if another
    /// thread is indexing just then.
    pub fn evictions(&self, buffer: usize) -> Result<Evictions<T>, StreamError> {
        self.open_stream(buffer, false)
    }

    fn open_stream(&self, buffer: usize, drain_at_end: bool) -> Result<Evictions<T>, StreamError> {
        if buffer == 0 {
            return Err(StreamError::NoCapacity);
        }
        // The channel aborts the process if it gets no memory for its buffer. So that much is asked
        // for before, and given back.
        let bytes = buffer.checked_mul(size_of::<Evicted<T>>() + 16);
        if bytes.is_none_or(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_err()) {
            return Err(StreamError::TooLarge(buffer));
        }
        self.engine.reclaim_everywhere();
        let may_wait = !reentrancy::is_inside();
        // Hooks and streams that are replaced may be dropped here, which is user code. It runs inside
        // the re-entrancy guard, and after the locks have been released.
        let _inside = reentrancy::enter();
        let (sender, evictions) = evictions::stream(buffer, &self.engine.streamed);
        let mut former = Vec::new();
        // The locks are held until the stream is in place: a thread that steps later sends to it.
        let Some((guards, gone)) = self.engine.lock_and_count_gone(may_wait) else {
            return Err(StreamError::Reentrant);
        };
        sender.begin(gone);
        let opened = loop {
            let sinks = Arc::clone(&self.engine.sinks.load());
            let opened = if sinks.closed {
                Err(StreamError::Closed)
            } else if sinks.stream.as_ref().is_some_and(|stream| !stream.is_abandoned()) {
                Err(StreamError::Taken)
            } else {
                let with_stream = Sinks {
                    stream: Some(sender.clone()),
                    drain_at_end: sinks.drain_at_end || drain_at_end,
                    ..Sinks::clone(&sinks)
                };
                if !self.engine.sinks.replace(&sinks, with_stream) {
                    former.push(sinks);
                    continue;
                }
                Ok(())
            };
            former.push(sinks);
            break opened;
        };
        drop(guards);
        self.engine.guarded(|| drop((former, sender)));
        opened.map(|()| evictions)
    }

    /// Checks every slot and every index against the records and the invariants. Every index entry
    /// must lead to all live records with its key and to no others, in order, and cursors and byte
    /// counts must agree.
    ///
    /// May be called at any time, under load. O(records × indexes), for one shard after the other.
    /// Meanwhile that shard is neither indexed nor reclaimed, so pushes to it may find it full.
    /// Waits for the thread that is indexing the shard.
    ///
    /// # Errors
    /// [`AuditError::Breach`] names the first breach. [`AuditError::Reentrant`] inside a hook or a
    /// visit.
    pub fn audit(&self) -> Result<Audit, AuditError> {
        audit::audit(&self.engine)
    }

    /// Ends the store, for all handles. From now on pushes are refused, and waiting pushes return.
    /// What is due is evicted, through hooks and stream. Streams end, the indexer thread is joined,
    /// and every record is dropped. Records that a reader has pinned are dropped with the last
    /// handle. Another call does nothing. A stream of evictions counts the records that were still
    /// in the store as [missed](Evictions::missed); [`drain`](Store::drain) hands them out instead.
    ///
    /// Waits for the indexer thread, and so for hooks that are running. Waits up to 20 ms for pushes
    /// that have begun; a record whose push takes longer is dropped with the last handle, and a stream
    /// counts it as missed.
    ///
    /// ```
    /// use slipring::error::Rejection;
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.shutdown()?;
    /// let refused = logs.push(LogRecord::default()).unwrap_err();
    /// assert_eq!(refused.reason, Rejection::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`WaitError::Reentrant`] inside a hook or a visit, where the call would wait for its own
    /// thread. Nothing is shut down then.
    pub fn shutdown(&self) -> Result<(), WaitError> {
        if reentrancy::is_inside() {
            return Err(WaitError::Reentrant);
        }
        self.handle.end();
        Ok(())
    }

    /// Ends the store like [`shutdown`](Store::shutdown), and hands out the records that are in it,
    /// by value and with their positions. In each shard, records that were evicted and not yet
    /// reclaimed come first, then the others, the oldest first. Hooks see them, too. Records that a
    /// reader has pinned are not handed out, and neither are those whose pushes have begun and do not
    /// finish within 20 ms; the stream counts them as [missed](Evictions::missed).
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.push_batch(vec![LogRecord::default(); 50])?;
    /// let records: Vec<LogRecord> = logs.drain()?.into_iter().map(|evicted| evicted.record).collect();
    /// assert_eq!((records.len(), logs.len()), (50, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Allocates a buffer for as many records as the store has slots.
    ///
    /// # Errors
    /// [`StreamError`] if the store has a stream of evictions already or is shut down, and inside a
    /// hook or a visit. Nothing is shut down then.
    pub fn drain(&self) -> Result<Evictions<T>, StreamError> {
        if reentrancy::is_inside() {
            return Err(StreamError::Reentrant);
        }
        let slots = |shard: &Shard<T>| shard.slots.count();
        let evictions = self.open_stream(self.engine.shards.iter().map(slots).sum(), true)?;
        self.handle.end();
        Ok(evictions)
    }

    /// Returns a handle that does not keep the store alive.
    pub fn downgrade(&self) -> WeakStore<T> {
        WeakStore { engine: Arc::downgrade(&self.engine), handle: Arc::downgrade(&self.handle) }
    }
}
