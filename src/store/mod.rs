//! The store: the handle that users hold.

pub(crate) mod audit;
#[cfg(feature = "async")]
mod awaiting;
mod builder;
mod follow;
mod stats;

pub use crate::engine::evictions::{Evicted, Evictions};
pub use crate::engine::reason::EvictReason;
pub use audit::{Audit, AuditError, Breach};
#[cfg(feature = "async")]
pub use awaiting::PushFuture;
pub use builder::StoreBuilder;
pub use follow::Follower;
pub use stats::{ClassStats, EvictedCounts, IndexStats, RejectedCounts, Stats};

use crate::engine::bookmark::Bookmark;
use crate::engine::evictions::{self, Hook};
use crate::engine::index::Fingerprints;
use crate::engine::indexer::{self, Work};
use crate::engine::position::Position;
use crate::engine::push::PrintCache;
use crate::engine::reentrancy;
use crate::engine::ring::RecordMeta;
use crate::engine::settings::{OnFull, Settings};
use crate::engine::shard::Shard;
use crate::engine::state::Engine;
use crate::engine::tuning::PUSH_CHUNK;
use crate::error::{BatchError, BuildError, GetError, PushError, QueryError, Rejection, StreamError, WaitError};
use crate::query::{self, KeyCount, Query, Reader};
use crate::signal::{KeyBuf, Signal, index_named};
use crate::sync::thread::{self, JoinHandle};
use std::hash::{BuildHasher, RandomState};
use std::slice;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A bounded store of one kind of record, written and read by any number of threads.
///
/// A `Store` is a handle: clones share the store, and dropping the last one shuts it down. It is
/// `Send` and `Sync`.
///
/// ```
/// use slipring::{Key, Span, Store, TraceId};
///
/// let traces: Store<Span> = Store::builder().capacity(1_000).build()?;
/// let span = Span::builder().trace_id(TraceId::from(7)).name("GET /cart").build();
/// let position = traces.push(span).map_err(|error| error.reason)?;
///
/// assert_eq!(traces.query().key("name", "GET /cart").count()?, 1);
/// assert_eq!(traces.get(position)?.trace_id(), TraceId::from(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Store<T: Signal> {
    engine: Arc<Engine<T>>,
    handle: Arc<Handle<T>>,
}

/// A handle that does not keep its store from shutting down. Hooks that need their store keep one,
/// because the store owns the hooks.
pub struct WeakStore<T: Signal> {
    engine: Weak<Engine<T>>,
    handle: Weak<Handle<T>>,
}

/// What all handles share. Dropping it, with the last handle, shuts the store down.
struct Handle<T: Signal> {
    engine: Arc<Engine<T>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<T: Signal> Store<T> {
    /// Builds the engine and starts its indexer thread.
    pub(crate) fn new(config: &Settings<T>) -> Result<Self, BuildError> {
        let layouts = config.layouts()?;
        // Loom runs a model many times, and each run must be the same. So nothing is random there.
        let (fingerprints, identity) = if cfg!(loom) {
            (Fingerprints::fixed(0, config.fingerprint_bits), 0)
        } else {
            (Fingerprints::random(config.fingerprint_bits), RandomState::new().hash_one("identity"))
        };
        let engine = Engine::new(config, layouts, fingerprints, identity);
        let engine = Arc::new(
            engine.map_err(|_| BuildError::Memory { capacity: config.capacity, record_bytes: size_of::<T>() })?,
        );
        let thread = if config.manual {
            None
        } else {
            let engine = Arc::clone(&engine);
            let started = thread::spawn(format!("slipring-{}", T::NAME), move || indexer::run(&*engine));
            Some(started.map_err(|error| BuildError::Thread(error.to_string()))?)
        };
        let handle = Arc::new(Handle { engine: Arc::clone(&engine), thread: Mutex::new(thread) });
        Ok(Self { engine, handle })
    }

    // --- writing ---

    /// Puts a record into the store, and evicts the oldest record of its shard if that is full. The
    /// record is visible to every query that begins after this returns.
    ///
    /// If records own memory, every eighth push also drops up to sixteen evicted records, unless a
    /// hook or a stream receives them: the thread that frees the memory then often is the one that
    /// allocates it again. The indexer drops what pushes leave within some milliseconds.
    ///
    /// Progress: lock-free and without an allocation while there is room. Without room, the push
    /// does a small batch of the indexer's work itself. If that makes no room (because of a
    /// suspended reader, a stalled push or a slow hook), the push waits or hands the record back,
    /// as the builder's [`OnFull`] says. Inside a hook or a visit it never waits.
    ///
    /// # Errors
    /// [`PushError`] hands the record back: the ring is full and this push may not wait, the store
    /// is shut down, the record's own methods panicked, or the record is [too
    /// large](StoreBuilder::max_record_bytes).
    #[inline]
    pub fn push(&self, record: T) -> Result<Position, PushError<T>> {
        self.push_with(record, self.engine.on_full)
    }

    /// Pushes like [`push`](Store::push), but never waits.
    ///
    /// # Errors
    /// The errors of `push`. If there is no room, [`Rejection::Full`], whatever the builder's
    /// [`OnFull`] says.
    #[inline]
    pub fn try_push(&self, record: T) -> Result<Position, PushError<T>> {
        self.push_with(record, OnFull::Reject)
    }

    #[inline(always)]
    fn push_with(&self, mut record: T, on_full: OnFull) -> Result<Position, PushError<T>> {
        let engine = &*self.engine;
        let meta = match engine.meta(&mut record) {
            Ok(meta) => meta,
            Err(reason) => return self.refuse(record, reason),
        };
        match engine.claim(slice::from_ref(&meta), on_full) {
            Ok(claim) => {
                engine.publish(claim, record, &meta);
                Ok(Position::new(claim.shard, claim.first))
            }
            Err(reason) => self.refuse(record, reason),
        }
    }

    /// Counts a rejected record and hands it back.
    #[cold]
    fn refuse(&self, record: T, reason: Rejection) -> Result<Position, PushError<T>> {
        self.engine.reject(reason, 1);
        Err(PushError { record, reason })
    }

    /// Puts many records into the store, in order. Returns how many there were. A batch is cheaper
    /// than single pushes, because it claims several slots at once.
    ///
    /// Progress: as for [`push`](Store::push), for each claim.
    ///
    /// # Errors
    /// [`BatchError`] hands back the records that were rejected. If the ring is full or the store
    /// closed, these are all records from the first rejected one on. A record whose own methods
    /// panic, or that is too large, is handed back alone.
    pub fn push_batch(&self, batch: Vec<T>) -> Result<usize, BatchError<T>> {
        let engine = &*self.engine;
        let mut rest = batch.into_iter();
        let mut accepted = 0;
        let mut refused: Option<(Vec<T>, Rejection)> = None;
        while !rest.as_slice().is_empty() {
            let mut metas: [RecordMeta<T>; PUSH_CHUNK] = std::array::from_fn(|_| RecordMeta::new());
            let (mut usable, mut unusable, mut cache) = (0, None, PrintCache::default());
            for (meta, record) in metas.iter_mut().zip(rest.as_mut_slice()) {
                match engine.meta_next(record, &mut cache) {
                    Ok(made) => *meta = made,
                    Err(reason) => {
                        unusable = Some(reason);
                        break;
                    }
                }
                usable += 1;
            }
            let mut done = 0;
            while done < usable {
                match engine.claim(&metas[done..usable], engine.on_full) {
                    Ok(claim) => {
                        engine.publish_all(claim, &mut rest, &metas[done..usable]);
                        done += claim.count as usize;
                    }
                    Err(reason) => {
                        let (mut rejected, _) = refused.unwrap_or((Vec::new(), reason));
                        let before = rejected.len();
                        rejected.extend(rest);
                        engine.reject(reason, (rejected.len() - before) as u64);
                        return Err(BatchError { accepted: accepted + done, rejected, reason });
                    }
                }
            }
            accepted += done;
            if let Some(reason) = unusable
                && let Some(record) = rest.next()
            {
                engine.reject(reason, 1);
                let (rejected, last) = refused.get_or_insert_with(|| (Vec::new(), reason));
                rejected.push(record);
                *last = reason;
            }
        }
        match refused {
            None => Ok(accepted),
            Some((rejected, reason)) => Err(BatchError { accepted, rejected, reason }),
        }
    }

    // --- reading ---

    /// Starts a query.
    ///
    /// ```
    /// # use slipring::{LogRecord, Severity, Store};
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// let errors = logs.query().key("severity", Severity::ERROR).limit(100).collect()?;
    /// assert!(errors.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn query(&self) -> Query<'_, T> {
        Query::new(&self.engine)
    }

    /// Returns the most bytes that a record may take.
    #[cfg(feature = "otlp")]
    pub(crate) fn largest_record(&self) -> usize {
        self.engine.largest_record()
    }

    pub(crate) fn engine(&self) -> &Engine<T> {
        &self.engine
    }

    pub(crate) fn share_engine(&self) -> Arc<Engine<T>> {
        Arc::clone(&self.engine)
    }

    /// Returns a cut through the store as it is now. A query can ask for the records
    /// [since](Query::since) a bookmark, or [until](Query::until) it. O(shards + records not yet
    /// indexed).
    pub fn bookmark(&self) -> Bookmark {
        Bookmark::of(&self.engine)
    }

    /// Returns the cut before everything that was ever pushed. A query since this cut counts
    /// evicted records as missed.
    pub fn beginning(&self) -> Bookmark {
        Bookmark::beginning(&self.engine)
    }

    /// Returns a copy of the record at a position. It is always that record or an error, never
    /// another record. O(1). Lock-free except for the clone.
    ///
    /// # Errors
    /// [`GetError`] says why there is no record.
    pub fn get(&self, position: Position) -> Result<T, GetError>
    where
        T: Clone,
    {
        self.visit(position, T::clone)
    }

    /// Calls `visit` with the record at a position, in place. While `visit` runs, the record's slot
    /// is not reused; a spare slot serves its place. `visit` may push, which does not wait there,
    /// but it may not flush or shut down.
    ///
    /// # Errors
    /// The errors of [`get`](Store::get).
    pub fn visit<R>(&self, position: Position, visit: impl FnOnce(&T) -> R) -> Result<R, GetError> {
        let sequence = position.sequence();
        let shard = self.engine.shards.get(position.shard()).ok_or(GetError::Unknown)?;
        if sequence >= shard.claimed() {
            return Err(GetError::Unknown);
        }
        let (mut found, mut visit) = (None, Some(visit));
        let reader = Reader::new(&self.engine);
        let pin = reader.pin(0, position.shard(), sequence);
        reader.confirm();
        if sequence >= shard.low(shard.claimed()) {
            found = reader.read(pin, |record| visit.take().map(|visit| visit(record))).flatten();
        }
        found.ok_or_else(|| match shard.has_cleared(sequence) {
            true => GetError::Cleared,
            false if sequence < shard.low(shard.claimed()).max(shard.evicted()) => GetError::Evicted,
            false => GetError::Pending,
        })
    }

    /// Returns the distinct keys of an index, in order: the services, the span names. O(keys +
    /// records pushed since the indexer's last pass). It looks at one record for each key and
    /// shard.
    ///
    /// Keys are distinguished by keyed hashes of at least 60 bits. The chance that two of n keys
    /// share a hash, so that one of the two is missing here, is at most n²/2⁶¹: below one in two
    /// million for a million keys. A sender who chooses the keys cannot raise it, because each
    /// store draws its hash keys at random.
    ///
    /// ```
    /// use slipring::{Severity, Store, LogRecord};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.push(LogRecord::builder().severity(Severity::ERROR).build())?;
    /// assert_eq!(logs.distinct("severity")?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`QueryError::UnknownIndex`].
    pub fn distinct(&self, index: &str) -> Result<Vec<KeyBuf>, QueryError> {
        Ok(query::list_keys(&self.engine, index_named::<T>(index)?))
    }

    /// Returns the distinct keys of an index with their numbers of records, the most frequent
    /// first, ties by key. O(records): it looks at each slot's head, and at one record for each
    /// key. [`distinct`](Store::distinct) does not count.
    ///
    /// Keys are distinguished as by [`distinct`](Store::distinct). With a chance of at most n²/2⁶¹,
    /// two of n keys are listed as one, with the sum of their numbers. To count by the keys
    /// themselves, [`group`](Query::group) by the index, which reads each record.
    ///
    /// # Errors
    /// [`QueryError::UnknownIndex`].
    pub fn keys(&self, index: &str) -> Result<Vec<KeyCount>, QueryError> {
        Ok(query::count_keys(&self.engine, index_named::<T>(index)?))
    }

    /// Returns the number of records in the store, including those whose push is about to finish.
    /// O(shards).
    pub fn len(&self) -> usize {
        self.engine
            .shards
            .iter()
            .map(|shard| {
                let claimed = shard.claimed();
                (claimed - shard.low(claimed).min(claimed)) as usize
            })
            .sum()
    }

    /// Returns whether the store holds no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many records the store keeps.
    pub fn capacity(&self) -> usize {
        self.engine.shards.iter().map(|shard| shard.capacity() as usize).sum()
    }

    /// Returns how many shards the capacity is split over.
    pub fn shards(&self) -> usize {
        self.engine.shards.len()
    }

    /// Returns the store's counts, sizes and health. O(distinct keys of every index + records not
    /// yet indexed), with allocations: about 0.1 ms for ten thousand spans in a thousand traces.
    /// Never waits. The counts of each shard are exact at one instant. While other threads push,
    /// the numbers of distinct keys may be off by what changes meanwhile.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.engine)
    }

    // --- upkeep ---

    /// Waits until everything pushed before the call is indexed and every eviction due by then is
    /// applied. The calling thread takes part in the work. It waits for pushes that have begun, and
    /// not for readers. If an index cannot get memory to grow, it waits until there is some.
    /// Queries need no flush, because they never lag.
    ///
    /// # Errors
    /// [`WaitError::Reentrant`] inside a hook or a visit.
    pub fn flush(&self) -> Result<(), WaitError> {
        self.engine.flush(None)
    }

    /// Like [`flush`](Store::flush), but waits no longer than `timeout`.
    ///
    /// # Errors
    /// [`WaitError::Timeout`] if the time is over, and the errors of `flush`.
    pub fn flush_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        self.engine.flush(Instant::now().checked_add(timeout))
    }

    /// Does one batch of the indexer's work in each shard. Returns whether there was any. A store
    /// that was built [`manual`](StoreBuilder::manual) depends on these calls, and runs its hooks in
    /// them. In other stores a call only helps the indexer thread. Inside a hook or a visit it does
    /// nothing.
    pub fn step(&self) -> bool {
        self.step_at(Instant::now)
    }

    /// For tests: steps like [`step`](Store::step), with `now` as its clock.
    #[doc(hidden)]
    pub fn step_at(&self, now: impl Fn() -> Instant) -> bool {
        if reentrancy::is_inside() {
            return false;
        }
        if !self.engine.threaded {
            self.engine.wakeups.advance_tick();
        }
        self.engine.age_out(now);
        let work = if self.engine.threaded { Work::FLUSH } else { Work::ALL };
        (0..self.engine.shards.len())
            .fold(false, |any, shard| self.engine.step(shard, work).is_some_and(|moved| moved.any()) | any)
    }

    /// Empties the store: from now on, no query sees what was pushed before. The records are
    /// evicted in the background, through hooks and stream, with the reason `Cleared`. O(shards).
    /// Never blocks: it only retries if another thread clears, or evicts by age or bytes, at the
    /// same moment.
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
    pub fn on_evict(&self, hook: impl Fn(Position, &T, EvictReason) + Send + Sync + 'static) {
        let hook: Arc<Hook<T>> = Arc::new(hook);
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
    /// # Errors
    /// [`StreamError`] if there is a stream already, if the store is shut down, or if the buffer is
    /// 0 or does not fit into memory.
    pub fn evictions(&self, buffer: usize) -> Result<Evictions<T>, StreamError> {
        self.open_stream(buffer, false)
    }

    fn open_stream(&self, buffer: usize, drain_at_end: bool) -> Result<Evictions<T>, StreamError> {
        if buffer == 0 {
            return Err(StreamError::NoCapacity);
        }
        if buffer.checked_mul(size_of::<Evicted<T>>() + 16).is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(StreamError::TooLarge(buffer));
        }
        self.engine.reclaim_everywhere();
        let (sender, evictions) = evictions::stream(buffer);
        let mut opened = Ok(());
        self.engine.sinks.update(|sinks| {
            let mut sinks = sinks.clone();
            opened = if sinks.closed {
                Err(StreamError::Closed)
            } else if sinks.stream.as_ref().is_some_and(|stream| !stream.is_abandoned()) {
                Err(StreamError::Taken)
            } else {
                sinks.stream = Some(sender.clone());
                sinks.drain_at_end |= drain_at_end;
                Ok(())
            };
            sinks
        });
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
    /// Waits for the indexer thread, and so for hooks that are running.
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
    /// reader has pinned are not handed out; the stream counts them as [missed](Evictions::missed).
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.push_batch(vec![LogRecord::default(); 50])?;
    /// let records: Vec<LogRecord> = logs.drain()?.map(|evicted| evicted.record).collect();
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

impl<T: Signal> WeakStore<T> {
    /// Returns the store, unless its last handle is gone.
    pub fn upgrade(&self) -> Option<Store<T>> {
        let handle = self.handle.upgrade()?;
        Some(Store { engine: self.engine.upgrade()?, handle })
    }
}

impl<T: Signal> Handle<T> {
    /// Closes the store and waits for its end. The calling thread must not be inside the engine.
    fn end(&self) {
        self.engine.close();
        // Dropped after the mutex guard: work that hooks have deferred does not run under the
        // mutex.
        let _inside = reentrancy::enter();
        // Held while joining, so that a second caller also returns only after the end.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // The indexer thread catches panics of user code. If it has panicked all the same, this
            // thread ends the store.
            if thread.join().is_err() {
                self.engine.finish();
            }
        } else if !self.engine.threaded {
            self.engine.finish();
        }
    }
}

impl<T: Signal> Drop for Handle<T> {
    fn drop(&mut self) {
        if reentrancy::is_inside() {
            // This thread is in a hook, and may be the indexer thread. The indexer thread ends the
            // store by itself.
            self.engine.close();
            if !self.engine.threaded {
                // No other thread will end the store, and what hooks have captured may keep the
                // engine alive. The end might wait for this thread, so it is deferred until the
                // thread has left.
                let engine = Arc::clone(&self.engine);
                let finish = move || {
                    let _ = engine.guarded(|| engine.finish());
                };
                if !reentrancy::defer(finish) {
                    self.engine.end_sinks();
                }
            }
        } else {
            self.end();
        }
    }
}

impl<T: Signal> Clone for Store<T> {
    fn clone(&self) -> Self {
        Self { engine: Arc::clone(&self.engine), handle: Arc::clone(&self.handle) }
    }
}

impl<T: Signal> Clone for WeakStore<T> {
    fn clone(&self) -> Self {
        Self { engine: Weak::clone(&self.engine), handle: Weak::clone(&self.handle) }
    }
}

/// Pushes the records in chunks of 256, until the iterator ends or the store is shut down. Records
/// that are refused are dropped, and counted as rejected. Use [`Store::push_batch`] to get them
/// back.
impl<T: Signal> Extend<T> for Store<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, records: I) {
        (&*self).extend(records);
    }
}

/// The same as for [`Store`] by value.
impl<T: Signal> Extend<T> for &Store<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, records: I) {
        let mut records = records.into_iter().fuse();
        loop {
            // The iterator is user code: it runs before anything is claimed (invariant 5).
            let chunk: Vec<T> = records.by_ref().take(256).collect();
            if chunk.is_empty() || self.push_batch(chunk).is_err_and(|error| error.reason == Rejection::Closed) {
                return;
            }
        }
    }
}

impl<T: Signal> std::fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("signal", &T::NAME)
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<T: Signal> std::fmt::Debug for WeakStore<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeakStore").field("signal", &T::NAME).finish_non_exhaustive()
    }
}
