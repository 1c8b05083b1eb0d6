//! The handle that users hold, and the history's thread.

use crate::absorb::Batch;
use crate::queue::Queue;
use crate::seen::Seen;
use crate::settings::{HistoryError, Settings};
use crate::stats::Stats;
use crate::tier::Tier;
use slipring::{MetricPoint, Store, WeakStore};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The most points that are taken in before others may have the tier.
const AT_ONCE: usize = 2_048;

/// The longest that points are taken in, and after how many points the clock is read, before others
/// may have the tier: a point may be large.
const AT_MOST: Duration = Duration::from_millis(10);
const UNTIMED: usize = 64;

/// What a store of metric points has evicted, compressed in memory.
///
/// A handle: clones share the history, and dropping the last one ends it. It keeps no store alive.
///
/// ```
/// use slipring::metric::{Metric, MetricKind};
/// use slipring::{MetricPoint, Source, Store};
/// use slipring_history::{MetricHistory, Settings};
///
/// let metrics: Store<MetricPoint> = Store::builder().capacity(100).shards(1).build()?;
/// let history = MetricHistory::start(&metrics, &Settings::with_bytes(1 << 20))?;
/// let memory = Source::default().with_metric(&Metric::new("memory", MetricKind::Gauge));
/// for second in 1..=1_000 {
///     let point = MetricPoint::builder().source(&memory).time_unix_nanos(second * 1_000_000_000);
///     metrics.push(point.value(second as i64).build())?;
/// }
/// // The store holds a hundred of them; the answer has all.
/// let recalled = history.series(metrics.query().key("name", "memory"))?;
/// assert_eq!(recalled.series[0].points.len(), 1_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MetricHistory(Arc<Handle>);

/// What all handles share. Dropping it ends the history.
struct Handle {
    shared: Arc<SharedState>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the handles, the thread and readers share.
pub(crate) struct SharedState {
    pub(crate) store: WeakStore<MetricPoint>,
    pub(crate) queue: Arc<Queue>,
    /// Only the history's thread and readers lock the tier, never a thread that pushes or evicts.
    tier: Mutex<Tier>,
    pub(crate) answer_bytes: usize,
    pub(crate) patience: Duration,
}

impl MetricHistory {
    /// Starts to keep what the store evicts from now on. Starts a thread, and adds a
    /// [hook](Store::on_evict) to the store.
    ///
    /// # Errors
    /// [`HistoryError`] says which setting is wrong, or that there was no thread to be had.
    pub fn start(store: &Store<MetricPoint>, settings: &Settings) -> Result<Self, HistoryError> {
        settings.check()?;
        let queue =
            Arc::new(Queue::new(settings.queue_points, settings.queue_bytes, store.shards()));
        let hooked = Arc::clone(&queue);
        store.on_evict(move |position, point, reason| hooked.offer(position, point, reason));
        // The hook sees every record that is evicted after it was added, so all from these on.
        let seen = store.oldest_positions().into_iter();
        let seen = seen.map(|position| Seen::from(position.sequence())).collect();
        let shared = Arc::new(SharedState {
            store: store.downgrade(),
            queue,
            tier: Mutex::new(Tier::new(settings, seen)),
            answer_bytes: settings.answer_bytes,
            patience: settings.patience,
        });
        let serving = Arc::clone(&shared);
        let named = thread::Builder::new().name("slipring-history".to_owned());
        let started = named.spawn(move || serving.serve());
        let thread = started.map_err(|error| {
            shared.queue.close();
            HistoryError::Thread(error.to_string())
        })?;
        shared.queue.is_served_by(thread.thread().clone());
        Ok(Self(Arc::new(Handle { shared, thread: Mutex::new(Some(thread)) })))
    }

    pub(crate) fn shared(&self) -> &SharedState {
        &self.0.shared
    }

    /// Returns the counts and sizes. O(1).
    ///
    /// The counts agree with each other, [as they say](Stats), while the store evicts nothing.
    pub fn stats(&self) -> Stats {
        let shared = &self.0.shared;
        let tier = shared.lock();
        let stats = tier.stats();
        let queued = shared.queue.len() as u64;
        let [evicted, missed, cleared] = shared.queue.counts();
        Stats {
            evicted,
            queued,
            missed,
            cleared: stats.cleared + cleared,
            queue_bytes: shared.queue.memory(),
            ..stats
        }
    }

    /// Takes in what waits in the queue, and compresses all points that wait for their blocks to
    /// fill. Makes blocks of few points, which take more bytes a point; for tests and measurements.
    pub fn compress(&self) {
        let mut tier = self.0.shared.lock_once_taken_in(None);
        let open: Vec<u32> = tier.open.values().copied().collect();
        open.into_iter().for_each(|number| tier.close(number));
        tier.keep_to_budget();
    }

    /// Drops all points that the history holds. [`Store::clear`] empties the store alone: what it
    /// clears does not enter the history, and what the history holds stays.
    pub fn clear(&self) {
        self.0.shared.lock_once_taken_in(None).clear();
    }
}

impl SharedState {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Tier> {
        self.tier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what was in the queue when the call began, or as much as there is time for until
    /// then, and returns the tier. Others may have it in between.
    pub(crate) fn lock_once_taken_in(&self, until: Option<Instant>) -> MutexGuard<'_, Tier> {
        let mut left = self.queue.len();
        loop {
            let mut tier = self.lock();
            let taken = self.take_in(&mut tier, left);
            left = left.saturating_sub(taken);
            let is_late =
                self.queue.is_closed() || until.is_some_and(|until| Instant::now() >= until);
            if left == 0 || taken == 0 || is_late {
                return tier;
            }
            drop(tier);
        }
    }

    /// Takes in points that were in the queue when the call began, at most so many, and no more
    /// than others should wait for. Returns how many that were.
    pub(crate) fn take_in(&self, tier: &mut Tier, most: usize) -> usize {
        let began = Instant::now();
        self.queue.tell_losses(|shard, run| {
            let seen = tier.seen.get_mut(shard);
            seen.into_iter().for_each(|seen| run.clone().for_each(|sequence| seen.add(sequence)));
        });
        // What will not come is read before the queue's length: what was pushed before a loss is
        // then among these points.
        let gone = self.queue.gone();
        let queued = self.queue.len();
        let (mut batch, mut taken) = (Batch::default(), 0);
        let most = queued.min(most).min(AT_ONCE);
        while taken < most
            && (!taken.is_multiple_of(UNTIMED) || taken == 0 || began.elapsed() < AT_MOST)
            && let Some((position, point)) = self.queue.pop()
        {
            tier.absorb(position, &point, &mut batch);
            taken += 1;
        }
        if taken == queued {
            for (seen, gone) in tier.seen.iter_mut().zip(gone) {
                seen.skip_below(gone);
            }
        }
        taken
    }

    /// Takes in points until the history ends.
    fn serve(&self) {
        while !self.queue.is_closed() {
            drop(self.lock_once_taken_in(None));
            self.queue.sleep();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.close();
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
        {
            // A panic of the thread's own has been told by the panic hook.
            let _ = thread.join();
        }
        // The queue may live as long as the store, which owns the hook.
        while self.shared.queue.pop().is_some() {}
    }
}

impl fmt::Debug for MetricHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricHistory").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
