//! The way from the store to the history's thread.
//!
//! The store's hook runs on the indexer's thread, or on a producer's in a manual store. It must
//! never wait, so it copies the point's handle into a bounded queue, and counts what finds no room.
//! The queue wakes the thread when it is a quarter full. Until then the thread sleeps, and readers
//! take from the queue what they need.

use crossbeam_queue::ArrayQueue;
use slipring::store::EvictReason;
use slipring::{MetricPoint, Position, Signal};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;

/// What a place in the queue takes beside the point: the queue's own stamp.
const STAMP: usize = size_of::<usize>();

pub(crate) struct Queue {
    points: ArrayQueue<(Position, MetricPoint)>,
    /// Places that are taken or being emptied: see `push`.
    taken: AtomicUsize,
    /// Bytes of the points in the queue, and at most of what they hold.
    bytes: AtomicUsize,
    most_bytes: usize,
    /// For each shard, the sequence below which a record may never come through the queue: it was
    /// lost, or cleared.
    gone: Box<[AtomicU64]>,
    evicted: AtomicU64,
    missed: AtomicU64,
    cleared: AtomicU64,
    closed: AtomicBool,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Queue {
    pub(crate) fn new(points: usize, most_bytes: usize, shards: usize) -> Self {
        Self {
            points: ArrayQueue::new(points),
            taken: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            most_bytes,
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
        if queued > self.most_bytes || !self.push(position, point) {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.missed.fetch_add(1, Ordering::Relaxed);
            self.lose(position);
        }
        if self.is_crowded() && self.asleep.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Pushes a point if there is room.
    ///
    /// `ArrayQueue::push` would wait for a thread that has claimed the point of the place that comes
    /// next, and was suspended before it had emptied it. So a place is given back only when `pop`
    /// has returned, and who finds none does not push. Points are popped one after the other, under
    /// the tier's lock, so the places that are not taken are the next ones.
    fn push(&self, position: Position, point: &MetricPoint) -> bool {
        // Acquire and Release order a push after the pop whose place it takes.
        let has_room = self.taken.fetch_add(1, Ordering::Acquire) < self.points.capacity();
        if has_room && self.points.push((position, point.clone())).is_ok() {
            return true;
        }
        self.taken.fetch_sub(1, Ordering::Relaxed);
        false
    }

    /// Says that the record of this position does not come.
    fn lose(&self, position: Position) {
        if let Some(gone) = self.gone.get(position.shard()) {
            // Release pairs with the Acquire in `gone`: who sees this sequence finds in the queue
            // what this thread pushed before.
            gone.fetch_max(position.sequence() + 1, Ordering::Release);
        }
    }

    /// For each shard, returns the sequence below which what is not in the queue by now, and has
    /// not been, does not come.
    pub(crate) fn gone(&self) -> Vec<u64> {
        self.gone.iter().map(|gone| gone.load(Ordering::Acquire)).collect()
    }

    /// Takes the next point. One thread at a time may call this.
    pub(crate) fn pop(&self) -> Option<(Position, MetricPoint)> {
        let (position, point) = self.points.pop()?;
        self.taken.fetch_sub(1, Ordering::Release);
        self.bytes.fetch_sub(held_bytes(&point), Ordering::Relaxed);
        Some((position, point))
    }

    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// Returns whether a quarter of the room is taken.
    fn is_crowded(&self) -> bool {
        self.points.len() >= self.points.capacity().div_ceil(4)
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
        self.points.capacity() * (size_of::<(Position, MetricPoint)>() + STAMP)
            + self.bytes.load(Ordering::Relaxed)
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
    fn no_point_is_pushed_into_a_place_that_is_being_emptied() {
        let store: Store<MetricPoint> = Store::builder().build().unwrap();
        let point = MetricPoint::builder().value(1).build();
        let position = store.push(point.clone()).unwrap();
        let queue = Queue::new(2, 1 << 20, store.shards());
        let offer = || queue.offer(position, &point, EvictReason::Capacity);
        offer();
        offer();
        // As a thread does that pops, until it is suspended.
        queue.points.pop().unwrap();
        offer();
        assert_eq!((queue.len(), queue.counts()), (1, [3, 1, 0]));
        queue.taken.fetch_sub(1, Ordering::Release);
        offer();
        assert_eq!((queue.len(), queue.counts()), (2, [4, 1, 0]));
    }
}
