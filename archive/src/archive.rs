//! The archive: what callers hold, and its threads.
//!
//! ```text
//!  stores ─hooks─► queue ─one thread─► batches, by table and hour ─another─► files ◄─a third─ tidies
//!                              └─────► log ◄─a fourth─ syncs
//! ```
//!
//! The first thread keeps the queue empty while the second writes. It stops once the batches are
//! full, so that a store that takes no files costs bounded memory, and then counted records. The third
//! deletes and merges files. The fourth is there only for a log that is synced by time.

use crate::batch::{Batch, Batches, Sorted};
use crate::log::{Log, LogSync, Pending, Replayed};
use crate::name::{BatchId, FileId, Partition};
use crate::place::Place;
use crate::queue::{Evicted, Queue};
use crate::read::Files;
use crate::settings::{ArchiveError, Settings};
use crate::stats::Stats;
use crate::trouble::{Trouble, Work};
use slipring::error::StreamError;
use slipring::store::EvictReason;
use slipring::{LogRecord, MetricPoint, Span, Store, Telemetry, WeakStore};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The most records that are taken in at a time. Others may have the lock in between.
pub(crate) const AT_ONCE: usize = 1_024;

/// How long threads sleep while little comes.
pub(crate) const NAP: Duration = Duration::from_millis(200);

/// What the threads share.
pub(crate) struct Shared {
    /// Tells the files of this run from those of others.
    pub(crate) run: u64,
    pub(crate) queue: Queue,
    pub(crate) settings: Settings,
    pub(crate) place: Place,
    /// The log, if there is one. Who adds records holds this, and takes it before `state`.
    pub(crate) intake: Mutex<Option<Log>>,
    /// Held while files of the log are synced.
    pub(crate) syncing: Mutex<()>,
    state: Mutex<State>,
    /// Notified when a batch is due, has been written, or the archive ends.
    pub(crate) changed: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) batches: Batches,
    pub(crate) due: VecDeque<Batch>,
    /// The batch that is being written.
    pub(crate) writing: Option<FileId>,
    /// What an earlier archive has left in the log.
    pub(crate) replay: VecDeque<Pending>,
    /// Batches that need the log no more, which does not say so yet.
    pub(crate) done: Vec<BatchId>,
    /// Files of the log in which records could not be read.
    pub(crate) unread: Vec<PathBuf>,
    /// Files of the log that have to be synced, whether that has failed since another was begun, and
    /// whether it ever has.
    pub(crate) unsynced: Vec<Arc<File>>,
    pub(crate) sync_failed: bool,
    pub(crate) has_sync_failed: bool,
    /// How many of the records that were logged have been counted, if a sync failed.
    pub(crate) failed_up_to: u64,
    /// The folders to which files were added since they were looked at, and how many.
    pub(crate) added: BTreeMap<Partition, usize>,
    pub(crate) counts: Stats,
    pub(crate) trouble: Trouble,
    /// How many times all batches were asked to be written, and how many times they were made due.
    pub(crate) flushes: u64,
    pub(crate) flushed: u64,
    /// Set when the archive ends: until then, what is held is written.
    pub(crate) ends: Option<Instant>,
}

/// Writes what stores evict into files, until it is [finished](Self::finish) or dropped.
///
/// ```
/// use slipring::{Span, Telemetry};
/// use slipring_archive::{Archive, Place, Settings};
///
/// let folder = tempfile::tempdir()?;
/// let telemetry = Telemetry::builder().build()?;
/// let place = Place::open(folder.path().to_str().unwrap())?;
/// let archive = Archive::start(&telemetry, place, &Settings::default())?;
///
/// telemetry.traces().push(Span::builder().trace_id(7).span_id(8).name("GET /").build())?;
/// let files = archive.files().clone();
/// let stats = archive.finish()?;
/// assert_eq!((stats.written, stats.lost.total()), (1, 0));
/// assert_eq!(files.trace(7.into())?.spans[0].name(), "GET /");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Archive {
    shared: Arc<Shared>,
    files: Files,
    stores: (WeakStore<Span>, WeakStore<LogRecord>, WeakStore<MetricPoint>),
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Archive {
    /// Starts to write what these stores evict from now on.
    ///
    /// If there is a log, it is read here: what an earlier archive has left in it is then written into
    /// files, unless it is in one already.
    ///
    /// # Errors
    /// [`ArchiveError`] if a setting is wrong, the log cannot be opened, or the threads cannot be
    /// started.
    pub fn start(
        telemetry: &Telemetry,
        place: Place,
        settings: &Settings,
    ) -> Result<Self, ArchiveError> {
        settings.check()?;
        let run = RandomState::new().hash_one("run");
        let (log, replayed) = opened(settings, run)?;
        let mut state = State { batches: Batches::new(run), ..State::default() };
        let counts = &mut state.counts.log;
        (counts.torn_bytes, counts.damaged_bytes) = (replayed.torn_bytes, replayed.damaged_bytes);
        state.replay = replayed.pending;
        let shared = Arc::new(Shared {
            run,
            queue: Queue::new(settings.queue_records, settings.queue_bytes),
            settings: settings.clone(),
            place: place.clone(),
            intake: Mutex::new(log),
            syncing: Mutex::default(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let failed = |error: std::io::Error| ArchiveError::Thread(error.to_string());
        let (for_files, for_tidying) = (runtime().map_err(failed)?, runtime().map_err(failed)?);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(failed)
        };
        let each = || Arc::clone(&shared);
        let (collecting, writing, tidying, syncing) = (each(), each(), each(), each());
        let archive = Self {
            files: Files::new(place, settings),
            stores: (
                telemetry.traces().downgrade(),
                telemetry.logs().downgrade(),
                telemetry.metrics().downgrade(),
            ),
            threads: Mutex::default(),
            shared,
        };
        // If one cannot be started, dropping the archive ends the others.
        let collector = spawn("slipring-archive", Box::new(move || collecting.collect()))?;
        archive.shared.queue.is_served_by(collector.thread().clone());
        archive.threads().push(collector);
        let writer = spawn("slipring-files", Box::new(move || writing.write(for_files)))?;
        archive.threads().push(writer);
        let tidier = spawn("slipring-tidy", Box::new(move || tidying.tidy(for_tidying)))?;
        archive.threads().push(tidier);
        if let Some(LogSync::Every(time)) = settings.log.as_ref().map(|log| log.sync) {
            let syncer = spawn("slipring-log", Box::new(move || syncing.sync_log(time)))?;
            archive.threads().push(syncer);
        }
        archive.hook(telemetry.traces());
        archive.hook(telemetry.logs());
        archive.hook(telemetry.metrics());
        Ok(archive)
    }

    fn hook<T: Evicted>(&self, store: &Store<T>) {
        let shared = Arc::clone(&self.shared);
        store.on_evict(move |_, record, reason| shared.queue.offer(record, reason));
    }

    /// Returns the files, to ask them. They can be asked after the archive has ended, too.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Returns counts and sizes.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Writes what has been evicted by now, whatever its age, and returns whether that was done
    /// before `timeout`. What could not be written is counted as lost.
    pub fn flush(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.shared.lock();
        state.flushes += 1;
        let asked = state.flushes;
        self.shared.queue.wake();
        let is_open = |state: &State| {
            state.flushed < asked || !state.due.is_empty() || state.writing.is_some()
        };
        while is_open(&state) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.wait(state, left.min(NAP));
            self.shared.queue.wake();
        }
        true
    }

    /// Ends the stores as [`Store::drain`] does, and writes the records that are in them, and all
    /// that were evicted before. Waits for that, at most
    /// [`finish_timeout`](Settings::finish_timeout); what is not written then is counted as
    /// [`left`](Stats::left) if it is in the log, and as lost if not.
    ///
    /// A record that a reader has pinned is not written, and not counted. Nor are the records of a
    /// store that has ended already. Another call does nothing.
    ///
    /// # Errors
    /// [`StreamError`] if a store cannot be drained, since it has a
    /// stream of evictions, or the call comes from a hook. What was evicted is written all the same.
    pub fn finish(&self) -> Result<Stats, StreamError> {
        let until = Instant::now() + self.shared.settings.finish_timeout;
        self.shared.queue.drain();
        let (traces, logs, metrics) = &self.stores;
        let drained = [
            traces.upgrade().map(|store| self.shared.drain(&store, until)),
            logs.upgrade().map(|store| self.shared.drain(&store, until)),
            metrics.upgrade().map(|store| self.shared.drain(&store, until)),
        ];
        self.end(until);
        let stats = self.stats();
        drained.into_iter().flatten().collect::<Result<(), _>>()?;
        Ok(stats)
    }

    /// Writes what was evicted by now, and leaves what the stores hold alone: for those who keep that
    /// another way. Waits at most [`finish_timeout`](Settings::finish_timeout), as
    /// [`finish`](Self::finish) does. What the stores evict from then on is neither written nor
    /// counted.
    pub fn finish_evicted(&self) -> Stats {
        self.end(Instant::now() + self.shared.settings.finish_timeout);
        self.stats()
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, until: Instant) {
        self.shared.queue.close();
        self.shared.lock().ends.get_or_insert(until);
        self.shared.changed.notify_all();
        self.shared.queue.wake();
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            // A panic of the thread's own has been told by the panic hook.
            let _ = thread.join();
        }
        self.shared.give_up();
        self.shared.close_log();
    }
}

/// Writes what was evicted, and leaves the stores alone.
impl Drop for Archive {
    fn drop(&mut self) {
        if !self.threads().is_empty() {
            self.end(Instant::now() + self.shared.settings.finish_timeout);
        }
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Makes a runtime for one thread. Object stores on a network need its timers and sockets.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Opens the log, if there is to be one.
fn opened(settings: &Settings, run: u64) -> Result<(Option<Log>, Replayed), ArchiveError> {
    let Some(of_log) = &settings.log else { return Ok((None, Replayed::default())) };
    let wrong = |error: std::io::Error| ArchiveError::Log {
        folder: of_log.folder.clone(),
        reason: error.to_string(),
    };
    let (log, replayed) = Log::open(of_log, run).map_err(wrong)?;
    Ok((Some(log), replayed))
}

impl State {
    /// Counts something that failed, and tells it if it is the first of a run.
    pub(crate) fn count_error(&mut self, work: Work, error: &dyn fmt::Display) {
        self.counts.errors += 1;
        self.counts.last_error = Some(error.to_string());
        self.trouble.tell(work, error);
    }
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        most: Duration,
    ) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }

    fn stats(&self) -> Stats {
        let state = self.lock();
        let mut stats = state.counts.clone();
        let [evicted, no_room, cleared] = self.queue.counts();
        (stats.held, stats.held_bytes) = (state.batches.records, state.batches.bytes);
        stats.lost.no_room = no_room;
        stats.lost.cleared = cleared;
        stats.lost.unknown = state.batches.unknown;
        stats.evicted = evicted;
        stats.log.waiting = state.replay.len() as u64;
        let known = stats.held + stats.written + stats.left + stats.lost.total();
        stats.queued = (evicted + stats.drained + stats.recovered).saturating_sub(known);
        stats.queued_bytes = self.queue.bytes();
        stats
    }

    /// Counts what was not written in time.
    fn give_up(&self) {
        let mut state = self.lock();
        let mut lost = 0;
        while self.queue.pop().is_some() {
            lost += 1;
        }
        let due: u64 = std::mem::take(&mut state.due).iter().map(|batch| batch.logged).sum();
        let (records, open) = state.batches.give_up();
        state.counts.left += due + open;
        lost += records - due - open;
        state.counts.lost.unfinished += lost;
    }

    /// Ends a store, and takes in its records as there is room.
    fn drain<T: Evicted>(&self, store: &Store<T>, until: Instant) -> Result<(), StreamError> {
        let mut evicted = match store.drain() {
            Ok(evicted) => evicted.into_iter(),
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        };
        loop {
            let mut sorted = Sorted::default();
            // Those of other reasons have passed the hook, too.
            let mut mine = evicted.by_ref().filter(|one| one.reason == EvictReason::Cleared);
            while !sorted.is_full(&self.settings)
                && let Some(one) = mine.next()
            {
                sorted.add(one.record.into_record());
            }
            let count = sorted.len() as u64;
            if count == 0 {
                return Ok(());
            }
            let mut state = self.lock();
            state.counts.drained += count;
            while state.batches.bytes >= self.settings.batch_bytes && Instant::now() < until {
                state = self.wait(state, NAP);
            }
            if state.batches.bytes >= self.settings.batch_bytes {
                state.counts.lost.unfinished += count;
            } else {
                drop(state);
                self.take_in(&mut self.intake(), sorted);
            }
        }
    }
}
