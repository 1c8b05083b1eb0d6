//! The store: the handle that users hold.

pub(crate) mod audit;
#[cfg(feature = "async")]
mod awaiting;
mod builder;
mod follow;
#[cfg(all(any(test, feature = "__for_tests"), not(doc)))]
mod for_tests;
mod push;
mod shares;
mod stats;
mod upkeep;

pub use crate::engine::evictions::{Evicted, Evictions, EvictionsIntoIter, EvictionsIter};
pub use crate::engine::reason::EvictReason;
pub use crate::engine::settings::ShareStats;
pub use audit::{Audit, AuditError, Breach};
#[cfg(feature = "async")]
pub use awaiting::PushFuture;
pub use builder::StoreBuilder;
pub use follow::Follower;
pub use stats::{ClassStats, EvictedCounts, IndexStats, RejectedCounts, Stats};

use crate::engine::bookmark::Bookmark;
use crate::engine::index::Fingerprints;
use crate::engine::indexer::{self};
use crate::engine::position::Position;
use crate::engine::reentrancy;
use crate::engine::settings::Settings;
use crate::engine::shard::Shard;
use crate::engine::state::Engine;
use crate::error::{BuildError, GetError, QueryError};
use crate::query::{self, KeyCount, Query, Reader};
use crate::signal::{KeyBuf, Signal, index_named};
use crate::sync::thread::{self, JoinHandle};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

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
        let engine = Arc::new(engine.map_err(|_| BuildError::Memory {
            capacity: config.capacity,
            record_bytes: size_of::<T>(),
        })?);
        let thread = if config.manual {
            None
        } else {
            let engine = Arc::clone(&engine);
            let started =
                thread::spawn(format!("slipring-{}", T::NAME), move || indexer::run(&*engine));
            Some(started.map_err(|error| BuildError::Thread(error.to_string()))?)
        };
        let handle = Arc::new(Handle { engine: Arc::clone(&engine), thread: Mutex::new(thread) });
        Ok(Self { engine, handle })
    }

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

    /// Returns whether this is the store that the query asks.
    pub fn is_asked_by(&self, query: &Query<'_, T>) -> bool {
        std::ptr::eq(query.engine(), &*self.engine)
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
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.push(LogRecord::default())?;
    /// let bookmark = logs.bookmark();
    /// logs.push_batch(vec![LogRecord::default(); 2])?;
    ///
    /// let news = logs.query().since(&bookmark).collect()?;
    /// assert_eq!((news.len(), logs.query().until(&bookmark).count()?), (2, 1));
    /// let next = news.report.bookmark.expect("a query since a bookmark returns the next one");
    /// assert_eq!(logs.query().since(&next).count()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bookmark(&self) -> Bookmark {
        Bookmark::of(&self.engine)
    }

    /// Returns the cut before everything that was ever pushed. A query since this cut counts
    /// evicted records as missed.
    pub fn beginning(&self) -> Bookmark {
        Bookmark::beginning(&self.engine)
    }

    /// Returns, for each shard, the position at which its visible window begins: a query that begins
    /// later shows no record of the shard from before this position, and hooks have seen each of
    /// those records or soon do. In an empty shard it is the position of the next record. O(shards).
    ///
    /// A tier behind the store learns from it what it has to wait for.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().capacity(10).shards(1).build()?;
    /// logs.push_batch(vec![LogRecord::default(); 12])?;
    /// assert_eq!(logs.oldest_positions()[0].sequence(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn oldest_positions(&self) -> Vec<Position> {
        let shards = self.engine.shards.iter().enumerate();
        let oldest = |(number, shard): (usize, &Shard<T>)| {
            let (evicted, claimed) = (shard.evicted(), shard.claimed());
            Position::new(number, shard.low(claimed).min(claimed).max(evicted))
        };
        shards.map(oldest).collect()
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
    /// ```
    /// use slipring::error::GetError;
    /// use slipring::{Span, Store};
    ///
    /// let spans: Store<Span> = Store::builder().build()?;
    /// let position = spans.push(Span::builder().name("GET /").build())?;
    /// assert_eq!(spans.visit(position, |span| span.name().len())?, 5);
    /// spans.clear();
    /// assert_eq!(spans.visit(position, |_| ()), Err(GetError::Cleared));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        let mut reader = Reader::new(&self.engine);
        reader.pin(position.shard(), sequence);
        reader.confirm();
        if sequence >= shard.low(shard.claimed()) {
            found = reader.read(0, |record| visit.take().map(|visit| visit(record))).flatten();
        }
        found.ok_or_else(|| match shard.has_cleared(sequence) {
            true => GetError::Cleared,
            false if sequence < shard.low(shard.claimed()).max(shard.evicted()) => {
                GetError::Evicted
            }
            false => GetError::Pending,
        })
    }

    /// Returns the keys of an index, each once, in order: the services, the span names.
    /// [`key_counts`](Store::key_counts) also returns how many records carry each.
    ///
    /// Looks at the head of one record for each key and shard, and at one record for each key:
    /// O(keys × shards + records pushed since the indexer's last pass). The list stays for the next
    /// caller if it takes at most 32 KiB, as 390 keys of 12 bytes do. Until a new key comes, or the
    /// record is evicted that was read for one of the keys, a call is O(keys + shards + records
    /// pushed since the indexer's last pass).
    ///
    /// Keys are told apart by keyed hashes of at least 60 bits. The chance that two of n keys share
    /// a hash, so that one of the two is missing here, is at most n²/2⁶¹: below one in two million
    /// for a million keys. A sender who chooses the keys cannot raise it, because each store draws
    /// its hash keys at random.
    ///
    /// ```
    /// use slipring::{LogRecord, Severity, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// for severity in [Severity::WARN, Severity::INFO, Severity::WARN] {
    ///     logs.push(LogRecord::builder().severity(severity).build())?;
    /// }
    /// let keys = logs.keys("severity")?;
    /// assert_eq!((keys.len(), keys[0].as_key()), (2, Severity::INFO.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`QueryError::UnknownIndex`].
    pub fn keys(&self, index: &str) -> Result<Vec<KeyBuf>, QueryError> {
        Ok(query::list_keys(&self.engine, index_named::<T>(index)?))
    }

    /// Returns the keys of an index, each with the number of records that carry it: the most
    /// frequent first, ties by key. [`keys`](Store::keys) returns the keys alone, and costs less.
    ///
    /// Looks at each slot's head, and at one record for each key: O(records).
    ///
    /// Keys are told apart as by [`keys`](Store::keys). With a chance of at most n²/2⁶¹, two of n
    /// keys are listed as one, with the sum of their numbers. To count by the keys themselves,
    /// [`group`](Query::group) by the index, which reads each record.
    ///
    /// ```
    /// use slipring::{Span, Store};
    ///
    /// let spans: Store<Span> = Store::builder().build()?;
    /// for name in ["GET /", "GET /cart", "GET /"] {
    ///     spans.push(Span::builder().name(name).build())?;
    /// }
    /// let counts = spans.key_counts("name")?;
    /// assert_eq!((counts[0].key.to_string(), counts[0].count), ("GET /".to_owned(), 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`QueryError::UnknownIndex`].
    pub fn key_counts(&self, index: &str) -> Result<Vec<KeyCount>, QueryError> {
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
                    let sinks = self.engine.end_sinks();
                    self.engine.guarded(|| drop(sinks));
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
