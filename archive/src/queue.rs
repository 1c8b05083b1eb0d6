//! The way from the stores to the archive's thread.
//!
//! The stores' hooks run on their indexers' threads, or on a producer's in a manual store. They must
//! never wait, so they copy a record's handle into a bounded queue, and count what finds no room.

use crossbeam_queue::ArrayQueue;
use slipring::store::EvictReason;
use slipring::{LogRecord, MetricPoint, Signal, Source, Span};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

/// A record that has left its store.
pub(crate) enum Record {
    Span(Span),
    Log(LogRecord),
    Point(MetricPoint),
}

/// What queues and batches need to know of records.
pub(crate) trait Evicted: Signal + Clone {
    fn source(&self) -> &Source;
    fn into_record(self) -> Record;
}

macro_rules! evicted {
    ($($record:ident as $variant:ident),*) => {$(
        impl Evicted for $record {
            fn source(&self) -> &Source {
                self.source()
            }

            fn into_record(self) -> Record {
                Record::$variant(self)
            }
        }
    )*};
}

evicted!(Span as Span, LogRecord as Log, MetricPoint as Point);

/// Returns the bytes of a source with all that it encloses: at most what it keeps from being freed.
pub(crate) fn source_bytes(source: &Source) -> usize {
    source.heap_bytes() + source.resource().bytes().len() + source.scope().bytes().len()
}

fn held_bytes<T: Evicted>(record: &T) -> usize {
    record.heap_bytes() + source_bytes(record.source())
}

pub(crate) struct Queue {
    records: ArrayQueue<(Record, usize)>,
    /// Places that are taken or being emptied. Who finds none does not push, so `ArrayQueue` never
    /// waits for a thread that was suspended while it emptied a place.
    taken: AtomicUsize,
    /// Bytes of the records in the queue, and at most of what they hold.
    bytes: AtomicUsize,
    most_bytes: usize,
    evicted: AtomicU64,
    no_room: AtomicU64,
    cleared: AtomicU64,
    /// Whether records come no more, and whether those of stores that end come another way.
    closed: AtomicBool,
    draining: AtomicBool,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Queue {
    pub(crate) fn new(records: usize, most_bytes: usize) -> Self {
        Self {
            records: ArrayQueue::new(records),
            taken: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            most_bytes,
            evicted: AtomicU64::new(0),
            no_room: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            thread: OnceLock::new(),
        }
    }

    /// Takes an evicted record. Never waits.
    pub(crate) fn offer<T: Evicted>(&self, record: &T, reason: EvictReason) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        if reason == EvictReason::Cleared && self.draining.load(Ordering::SeqCst) {
            return;
        }
        self.evicted.fetch_add(1, Ordering::Relaxed);
        if reason == EvictReason::Cleared {
            self.cleared.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if !self.push(record) {
            self.no_room.fetch_add(1, Ordering::Relaxed);
        }
        if self.is_crowded() && self.asleep.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    fn push<T: Evicted>(&self, record: &T) -> bool {
        let bytes = held_bytes(record);
        // Hooks of several shards may run at once, so limits are checked on the sums. Acquire and
        // the Release in `pop` order a push after the pop whose place it takes.
        let queued = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let place = self.taken.fetch_add(1, Ordering::Acquire);
        let has_room = queued <= self.most_bytes && place < self.records.capacity();
        if has_room && self.records.push((record.clone().into_record(), bytes)).is_ok() {
            return true;
        }
        self.taken.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    /// Takes the next record. One thread at a time may call this.
    pub(crate) fn pop(&self) -> Option<Record> {
        let (record, bytes) = self.records.pop()?;
        self.taken.fetch_sub(1, Ordering::Release);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(record)
    }

    /// Returns whether a quarter of the room is taken.
    fn is_crowded(&self) -> bool {
        self.records.len() >= self.records.capacity().div_ceil(4)
            || self.bytes.load(Ordering::Relaxed) >= self.most_bytes / 4
    }

    /// Sleeps until the queue is crowded, or somebody wakes the thread, and not much longer than
    /// `most`.
    pub(crate) fn sleep(&self, most: Duration) {
        self.asleep.store(true, Ordering::SeqCst);
        // A push that comes after this look wakes the thread. One that the look and the push both
        // miss costs `most`.
        if !self.is_crowded() {
            std::thread::park_timeout(most);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_served_by(&self, thread: Thread) {
        let _ = self.thread.set(thread);
    }

    pub(crate) fn wake(&self) {
        self.thread.get().into_iter().for_each(Thread::unpark);
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// From now on, records of a store that ends come from its drain, and hooks pass over them.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Returns the counts of records evicted, lost for want of room, and cleared.
    pub(crate) fn counts(&self) -> [u64; 3] {
        [&self.evicted, &self.no_room, &self.cleared].map(|count| count.load(Ordering::Relaxed))
    }

    /// Returns the bytes of the records in the queue.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}
