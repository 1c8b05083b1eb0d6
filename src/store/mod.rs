//! The store: the handle that users hold.

pub(crate) mod audit;
#[cfg(feature = "async")]
mod awaiting;
mod builder;
mod follow;
mod stats;

pub use audit::{Audit, AuditError, Breach};
#[cfg(feature = "async")]
pub use awaiting::PushFuture;
pub use builder::Builder;
pub use follow::Follower;
pub use stats::{ClassStats, EvictedCounts, IndexStats, RejectedCounts, Stats};

use crate::engine::bookmark::Bookmark;
use crate::engine::evictions::{self, Evicted, Evictions, Hook};
use crate::engine::index::Fingerprints;
use crate::engine::indexer::{self, Work};
use crate::engine::position::Position;
use crate::engine::push::PrintCache;
use crate::engine::reason::EvictReason;
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
/// A handle: clones share the store, and the last one dropped shuts it down. `Send` and `Sync`.
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

/// A handle that does not keep its store from shutting down; for hooks, which the store itself owns.
pub struct WeakStore<T: Signal> {
    engine: Weak<Engine<T>>,
    handle: Weak<Handle<T>>,
}

/// What all handles share: dropped with the last of them.
struct Handle<T: Signal> {
    engine: Arc<Engine<T>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<T: Signal> Store<T> {
    pub(crate) fn new(config: &Settings<T>) -> Result<Self, BuildError> {
        let layouts = config.layouts()?;
        // Loom runs a model many times, each as the last.
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

    /// Puts a record into the store, and evicts the oldest of its shard if that is full. The record is visible to every
    /// query that begins after this returns.
    ///
    /// Where records own memory, every eighth push also drops up to sixteen evicted ones, as long as no hook or stream sees
    /// them: memory is freed by the thread that goes on allocating it. What pushes leave, the indexer drops within some
    /// milliseconds.
    ///
    /// Progress: lock-free while there is room, without an allocation. Without room it does a small batch of the
    /// indexer's work itself; if that does not help (a sleeping reader, a stalled push, a hook that takes its time), it
    /// waits or hands the record back, as the builder was told. Guard a hook or a visit it never waits.
    ///
    /// # Errors
    /// [`PushError`] hands the record back: the ring is full and this push may not wait, the store is shut down, the record's own
    /// methods panicked, or it is [too large](Builder::max_record_bytes).
    #[inline]
    pub fn push(&self, record: T) -> Result<Position, PushError<T>> {
        self.push_with(record, self.engine.on_full)
    }

    /// As [`push`](Store::push), but never waits.
    ///
    /// # Errors
    /// As `push`; [`Rejection::Full`] whatever the builder was told.
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

    #[cold]
    fn refuse(&self, record: T, reason: Rejection) -> Result<Position, PushError<T>> {
        self.engine.reject(reason, 1);
        Err(PushError { record, reason })
    }

    /// Puts many records into the store, in order: cheaper than one at a time, because slots are claimed several at once.
    /// Says how many there were.
    ///
    /// Progress: as for [`push`](Store::push), for each claim.
    ///
    /// # Errors
    /// [`BatchError`] hands back the records that were not taken. If the ring is full or the store closed, these are all
    /// from the first refused on; a record whose own methods panic, or that is too large, is handed back alone.
    pub fn push_batch(&self, batch: Vec<T>) -> Result<usize, BatchError<T>> {
        let engine = &*self.engine;
        let mut rest = batch.into_iter();
        let mut accepted = 0;
        let mut refused: Option<(Vec<T>, Rejection)> = None;
        while !rest.as_slice().is_empty() {
            let mut metas: [RecordMeta<T>; PUSH_CHUNK] = std::array::from_fn(|_| RecordMeta::new());
            let (mut usable, mut unusable, mut told) = (0, None, PrintCache::default());
            for (meta, record) in metas.iter_mut().zip(rest.as_mut_slice()) {
                match engine.meta_next(record, &mut told) {
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

    /// The most bytes of a record that is taken.
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

    /// A cut through the store as it is now; a query can ask for what came [since](Query::since), or
    /// [before](Query::until). O(shards + records not yet indexed).
    pub fn bookmark(&self) -> Bookmark {
        Bookmark::of(&self.engine)
    }

    /// The cut before everything that was ever pushed: a query since then misses what has been evicted, and counts it.
    pub fn beginning(&self) -> Bookmark {
        Bookmark::beginning(&self.engine)
    }

    /// The record at a position, copied. It is this very record or an error, never another. O(1). Lock-free but for the
    /// clone.
    ///
    /// # Errors
    /// [`GetError`] says why there is none.
    pub fn get(&self, position: Position) -> Result<T, GetError>
    where
        T: Clone,
    {
        self.visit(position, T::clone)
    }

    /// Shows the record at a position to `visit`, in place. While it runs, the record's slot is not reused; a spare one
    /// serves its place. `visit` may push (without waiting) but not flush or shut down.
    ///
    /// # Errors
    /// As [`get`](Store::get).
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

    /// The distinct keys of an index, in order: the services, the span names. O(keys + records pushed since the indexer's
    /// last pass); it looks at one record for each key and shard.
    ///
    /// Keys are told apart by keyed hashes of at least 60 bits. The chance that two of n keys share one, and that one of the two is
    /// missing here, is at most n²/2⁶¹: below one in two million for a million keys. A sender who chooses the keys cannot raise it,
    /// because each store draws its hash keys at random.
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

    /// The distinct keys of an index with their numbers of records, the most frequent first; ties by key. O(records): it
    /// looks at each slot's head, and at one record for each key. [`distinct`](Store::distinct) does not count.
    ///
    /// Keys are told apart as by [`distinct`](Store::distinct): with a chance of at most n²/2⁶¹, two of n keys are listed as one,
    /// with the sum of their numbers. To count by the keys themselves, [`group`](Query::group) by the index; it reads each record.
    ///
    /// # Errors
    /// [`QueryError::UnknownIndex`].
    pub fn keys(&self, index: &str) -> Result<Vec<KeyCount>, QueryError> {
        Ok(query::count_keys(&self.engine, index_named::<T>(index)?))
    }

    /// Records in the store, those whose push is just finishing included. O(shards).
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

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records the store keeps.
    pub fn capacity(&self) -> usize {
        self.engine.shards.iter().map(|shard| shard.capacity() as usize).sum()
    }

    /// How many shards they are split over.
    pub fn shards(&self) -> usize {
        self.engine.shards.len()
    }

    /// Counts, sizes and health. O(distinct keys of every index + records not yet indexed), with allocations: about
    /// 0.1 ms for ten thousand spans in a thousand traces. It waits for nobody. Counts are exact at one instant in each shard;
    /// while others push, the numbers of distinct keys may be off by what changes meanwhile.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.engine)
    }

    // --- upkeep ---

    /// Returns when everything pushed before is indexed and every eviction due by then is applied. It takes part in the
    /// work; it waits for pushes that have begun, not for readers; and, where an index finds no memory to grow, until there is some.
    /// Queries need no flush: they never lag.
    ///
    /// # Errors
    /// [`WaitError::Reentrant`] inside a hook or a visit.
    pub fn flush(&self) -> Result<(), WaitError> {
        self.engine.flush(None)
    }

    /// As [`flush`](Store::flush), for this long at most.
    ///
    /// # Errors
    /// Also [`WaitError::Timeout`].
    pub fn flush_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        self.engine.flush(Instant::now().checked_add(timeout))
    }

    /// Does one batch of the indexer's work in each shard, and says whether there was any. In a store that was built
    /// [`manual`](Builder::manual) this is what keeps it going, hooks run here; in others it only helps the indexer's
    /// thread. Guard a hook or a visit it does nothing.
    pub fn step(&self) -> bool {
        self.step_at(Instant::now)
    }

    /// For tests: as [`step`](Store::step), at some time.
    #[doc(hidden)]
    pub fn step_at(&self, now: impl Fn() -> Instant) -> bool {
        if reentrancy::is_inside() {
            return false;
        }
        if !self.engine.threaded {
            self.engine.wakeups.tick_on();
        }
        self.engine.age_out(now);
        let work = if self.engine.threaded { Work::FLUSH } else { Work::ALL };
        (0..self.engine.shards.len())
            .fold(false, |any, shard| self.engine.step(shard, work).is_some_and(|moved| moved.any()) | any)
    }

    /// Empties the store: from now on no query sees what was pushed before. Evicts in the background, through hooks and
    /// stream, with the reason `cleared`. O(shards); waits for nobody, but for a moment in which somebody else counts, clears or evicts.
    pub fn clear(&self) {
        self.engine.clear();
    }

    /// Calls `hook` for each record that is evicted from now on, with the reason, before its slot is reused, on an indexer thread (in a
    /// manual store: on the thread that steps, or that pushes and finds no room). Hooks stay as long as the store.
    ///
    /// A slow hook slows eviction down, and in the end pushes. A hook may push, also into its own store, and is never
    /// made to wait there; use [`downgrade`](Store::downgrade) for a handle to keep in a hook. A panic is caught and
    /// counted. No hook runs for the records that are still in the store when it shuts down. What was evicted before and a
    /// reader still looks at, it sees too; called inside a hook or a visit, perhaps more of what was evicted just before.
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

    /// A stream of the records that are evicted from now on, by value, with room for `buffer` of them. A store has one at
    /// a time. What a slow subscriber has no room for is dropped and counted.
    ///
    /// # Errors
    /// [`StreamError`] if there is one already, if the store is shut down, or for a buffer of 0 or beyond memory.
    pub fn evictions(&self, buffer: usize) -> Result<Evictions<T>, StreamError> {
        self.open_stream(buffer, false)
    }

    fn open_stream(&self, buffer: usize, drains: bool) -> Result<Evictions<T>, StreamError> {
        if buffer == 0 {
            return Err(StreamError::NoCapacity);
        }
        if buffer.checked_mul(size_of::<Evicted<T>>() + 16).is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(StreamError::TooLarge(buffer));
        }
        self.engine.reclaim_everywhere();
        let (outlet, evictions) = evictions::stream(buffer);
        let mut opened = Ok(());
        self.engine.sinks.update(|sinks| {
            let mut sinks = sinks.clone();
            opened = if sinks.closed {
                Err(StreamError::Closed)
            } else if sinks.stream.as_ref().is_some_and(|stream| !stream.is_abandoned()) {
                Err(StreamError::Taken)
            } else {
                sinks.stream = Some(outlet.clone());
                sinks.drains |= drains;
                Ok(())
            };
            sinks
        });
        opened.map(|()| evictions)
    }

    /// Walks every slot and every index and checks them against the records and the invariants: that every index entry
    /// leads to live records with its key, in order, all of them and no other, and that cursors and byte counts agree.
    ///
    /// May be called at any time, under load. O(records × indexes) for one shard after the other; meanwhile that shard is
    /// neither indexed nor reclaimed, so pushes to it may find it full. Waits for whoever is indexing it.
    ///
    /// # Errors
    /// [`AuditError::Breach`] names the first breach; [`AuditError::Reentrant`] inside a hook or a visit.
    pub fn audit(&self) -> Result<Audit, AuditError> {
        audit::audit(&self.engine)
    }

    /// Ends the store, for all handles: pushes are refused from now on, waiting ones return, what is due is evicted
    /// (through hooks and stream), streams end, the indexer's thread is joined, and every record is dropped, except those
    /// that a reader is looking at, which go with the last handle. Calling it again does nothing. A stream of evictions counts the
    /// records that were still in the store as [missed](Evictions::missed); [`drain`](Store::drain) hands them out instead.
    ///
    /// Waits for the indexer's thread, and so for hooks that are running.
    ///
    /// # Errors
    /// [`WaitError::Reentrant`] inside a hook or a visit: there it would wait for itself. Nothing is shut down then.
    pub fn shutdown(&self) -> Result<(), WaitError> {
        if reentrancy::is_inside() {
            return Err(WaitError::Reentrant);
        }
        self.handle.end();
        Ok(())
    }

    /// Ends the store, as [`shutdown`](Store::shutdown) does, and hands out the records that are in it, by value and with their positions:
    /// the oldest first in each shard, after those that were evicted and had not left yet. Hooks see them, too. Of those that a reader
    /// is looking at the stream says how many it [missed](Evictions::missed).
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
    /// Allocates room for as many records as the store has slots.
    ///
    /// # Errors
    /// [`StreamError`] if the store has a stream of evictions already or is shut down, and inside a hook or a visit. Nothing is shut down
    /// then.
    pub fn drain(&self) -> Result<Evictions<T>, StreamError> {
        if reentrancy::is_inside() {
            return Err(StreamError::Reentrant);
        }
        let slots = |shard: &Shard<T>| shard.slots.count();
        let evictions = self.open_stream(self.engine.shards.iter().map(slots).sum(), true)?;
        self.handle.end();
        Ok(evictions)
    }

    /// A handle that does not keep the store alive.
    pub fn downgrade(&self) -> WeakStore<T> {
        WeakStore { engine: Arc::downgrade(&self.engine), handle: Arc::downgrade(&self.handle) }
    }
}

impl<T: Signal> WeakStore<T> {
    /// The store, unless its last handle is gone.
    pub fn upgrade(&self) -> Option<Store<T>> {
        let handle = self.handle.upgrade()?;
        Some(Store { engine: self.engine.upgrade()?, handle })
    }
}

impl<T: Signal> Handle<T> {
    /// Closes the store and waits for its end. The caller is not inside.
    fn end(&self) {
        self.engine.close();
        // Left after the lock: what hooks leave for later does not run under it.
        let _inside = reentrancy::enter();
        // Held while joining, so that a second caller also returns after the end.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // The thread catches what user code throws; should it have died all the same, its end is done here.
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
            // In a hook, perhaps on the indexer's own thread: it ends by itself.
            self.engine.close();
            if !self.engine.threaded {
                // Nobody else will do it, and what hooks have captured may hold the engine. Here it could wait for this thread.
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

/// Pushes in chunks of some hundred, until the iterator ends or the store is shut down. Records that are refused are dropped, and counted as rejected; use
/// [`Store::push_batch`] to have them back.
impl<T: Signal> Extend<T> for Store<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, records: I) {
        (&*self).extend(records);
    }
}

/// As for [`Store`] itself.
impl<T: Signal> Extend<T> for &Store<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, records: I) {
        let mut records = records.into_iter().fuse();
        loop {
            // The iterator is user code: it has run before anything is claimed (invariant 5).
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
