//! The way from the store to the history's thread.
//!
//! The store's hook runs on the indexer's thread, or on a producer's in a manual store. It must
//! never wait, so it copies the point's handle into a bounded queue, and counts what finds no room.
//! The queue wakes the thread when it is a quarter full. Until then the thread sleeps, and readers
//! take from the queue what they need.

use crate::bounded::Bounded;
use slipring::store::EvictReason;
use slipring::{MetricPoint, Position, Signal};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::Thread;

/// The most runs of lost records that wait to be told.
const MOST_RUNS: usize = 4_096;

/// The sequences of records of one shard that were lost one after the other.
type Run = Range<u64>;

pub(crate) struct Queue {
    points: Bounded<Queued>,
    /// Bytes of the points in the queue, and at most of what they hold.
    bytes: AtomicUsize,
    most_bytes: usize,
    /// What does not come through the queue, since it was lost, or cleared: for each shard the last
    /// run, which may grow, and those before. Nobody waits for a lock here.
    runs: Box<[Mutex<Option<Run>>]>,
    lost: Bounded<(usize, Run)>,
    /// For each shard, the end of the last run that found no room: what is below may not come.
    gone: Box<[AtomicU64]>,
    evicted: AtomicU64,
    missed: AtomicU64,
    cleared: AtomicU64,
    closed: AtomicBool,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

struct Queued {
    position: Position,
    point: MetricPoint,
    /// See [`held_bytes`].
    bytes: usize,
}

impl Queue {
    pub(crate) fn new(points: usize, most_bytes: usize, shards: usize) -> Self {
        Self {
            points: Bounded::new(points),
            bytes: AtomicUsize::new(0),
            most_bytes,
            runs: (0..shards).map(|_| Mutex::default()).collect(),
            lost: Bounded::new(points.clamp(64, MOST_RUNS)),
            gone: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            evicted: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            thread: OnceLock::new(),
        }
    }

    /// Takes an evicted point. Never waits.
    pub(crate) fn offer(&self, position: Position, point: &MetricPoint, reason: EvictReason) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        self.evicted.fetch_add(1, Ordering::Relaxed);
        if reason == EvictReason::Cleared {
            self.cleared.fetch_add(1, Ordering::Relaxed);
            self.lose(position);
            return;
        }
        let bytes = held_bytes(point);
        // Hooks of several shards may run at once, so the limit is checked on the sum.
        let queued = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let place = |bytes| Queued { position, point: point.clone(), bytes };
        if queued > self.most_bytes || !self.points.push(place(bytes)) {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.missed.fetch_add(1, Ordering::Relaxed);
            self.lose(position);
        }
        if self.is_crowded() && self.asleep.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Says that the record of this position does not come.
    fn lose(&self, position: Position) {
        let (shard, sequence) = (position.shard(), position.sequence());
        let Some(Ok(mut run)) = self.runs.get(shard).map(Mutex::try_lock) else {
            return self.tell_lost(shard, sequence..sequence + 1);
        };
        match &mut *run {
            Some(run) if run.end == sequence => run.end += 1,
            run => {
                if let Some(before) = run.replace(sequence..sequence + 1) {
                    self.tell_lost(shard, before);
                }
            }
        }
    }

    fn tell_lost(&self, shard: usize, run: Run) {
        let end = run.end;
        if !self.lost.push((shard, run))
            && let Some(gone) = self.gone.get(shard)
        {
            // Release pairs with the Acquire in `gone`: who sees this sequence finds in the queue
            // what this thread pushed before.
            gone.fetch_max(end, Ordering::Release);
        }
    }

    /// Tells what was lost since the last call, by shard. One thread at a time may call this.
    pub(crate) fn tell_losses(&self, mut tell: impl FnMut(usize, Run)) {
        for (shard, run) in self.runs.iter().enumerate() {
            if let Some(run) = run.try_lock().ok().and_then(|mut run| run.take()) {
                tell(shard, run);
            }
        }
        for _ in 0..self.lost.len() {
            if let Some((shard, run)) = self.lost.pop() {
                tell(shard, run);
            }
        }
    }

    /// For each shard, returns the sequence below which what is not in the queue by now, and has
    /// not been, does not come.
    pub(crate) fn gone(&self) -> Vec<u64> {
        self.gone.iter().map(|gone| gone.load(Ordering::Acquire)).collect()
    }

    /// Takes the next point. One thread at a time may call this.
    pub(crate) fn pop(&self) -> Option<(Position, MetricPoint)> {
        let Queued { position, point, bytes } = self.points.pop()?;
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some((position, point))
    }

    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// Returns whether a quarter of the room is taken.
    fn is_crowded(&self) -> bool {
        self.points.len() >= self.points.places().div_ceil(4)
            || self.bytes.load(Ordering::Relaxed) >= self.most_bytes / 4
    }

    /// Sleeps until the queue is crowded or closed, and not much longer than a second: what is left
    /// in the queue holds the requests that it came in.
    pub(crate) fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        // A push that comes after this look wakes the thread. One that the look and the push both
        // miss costs a second.
        if !self.is_crowded() && !self.is_closed() {
            std::thread::park_timeout(std::time::Duration::from_secs(1));
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_served_by(&self, thread: Thread) {
        let _ = self.thread.set(thread);
    }

    fn wake(&self) {
        self.thread.get().into_iter().for_each(Thread::unpark);
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Returns the counts of evicted, missed and cleared points.
    pub(crate) fn counts(&self) -> [u64; 3] {
        [&self.evicted, &self.missed, &self.cleared].map(|count| count.load(Ordering::Relaxed))
    }

    /// Returns the bytes of the queue, and of the points in it.
    pub(crate) fn memory(&self) -> usize {
        self.points.heap_bytes() + self.lost.heap_bytes() + self.bytes.load(Ordering::Relaxed)
    }
}

/// Returns the most bytes that a point in a queue keeps from being freed: its own, and those of its
/// metric, resource and scope, which other points may hold as well.
pub(crate) fn held_bytes(point: &MetricPoint) -> usize {
    let source = point.source().heap_bytes();
    point.heap_bytes() + source + point.resource().bytes().len() + point.scope().bytes().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::Store;

    #[test]
    fn what_is_lost_is_told_once_and_says_nothing_of_what_came_before() {
        let store: Store<MetricPoint> = Store::builder().shards(1).build().unwrap();
        let point = MetricPoint::builder().value(1).build();
        let positions: Vec<_> = (0..9).map(|_| store.push(point.clone()).unwrap()).collect();
        let queue = Queue::new(100, 1 << 20, store.shards());
        for at in [2, 3, 4, 7, 8] {
            queue.offer(positions[at], &point, EvictReason::Cleared);
        }
        let told = || {
            let mut told = Vec::new();
            queue.tell_losses(|shard, run| told.push((shard, run)));
            told.sort_by_key(|(_, run)| run.start);
            told
        };
        assert_eq!(told(), [(0, 2..5), (0, 7..9)]);
        assert_eq!((told(), queue.gone()), (vec![], vec![0]));
    }
}
