//! The state of one store: what producers, the indexer and readers share.

use crate::engine::ages::Ages;
use crate::engine::evictions::Sinks;
use crate::engine::index::Fingerprints;
use crate::engine::key_list::KeyList;
use crate::engine::patience::StallDetector;
use crate::engine::reentrancy::caught;
#[cfg(feature = "otlp")]
use crate::engine::ring::Class;
use crate::engine::ring::Pins;
use crate::engine::router::{Router, ShardGroup};
use crate::engine::settings::{ClassPredicate, Layout, Layouts, OnFull, Settings};
use crate::engine::shard::{IndexerGuard, Shard};
use crate::engine::wakeups::Wakeups;
use crate::signal::sealed::Indexes as _;
use crate::signal::{Ledger, Signal};
use crate::sync::fault::{Fault, planted};
use crate::sync::{AtomicU32, Count, EventCount, Ordering, Snapshot, thread};
use std::collections::TryReserveError;
use std::sync::Arc;

/// The shared state of one store.
pub(crate) struct Engine<T: Signal> {
    pub(crate) shards: Box<[Shard<T>]>,
    pub(crate) router: Router,
    pub(crate) wakeups: Wakeups,
    /// The slots that readers have pinned.
    pub(crate) pins: Pins,
    /// Detect suspended threads: for each shard the holder of its indexer lock, and last the
    /// indexer thread.
    pub(crate) stall_detectors: Box<[StallDetector]>,
    pub(crate) fingerprints: Fingerprints,
    /// For each index, its keys as they were last listed.
    pub(crate) key_lists: Box<[Snapshot<KeyList>]>,
    /// Distinguishes this store's bookmarks and cursors from those of other stores.
    pub(crate) identity: u64,
    pub(crate) sinks: Snapshot<Sinks<T>>,
    /// The number of threads that are running hooks.
    pub(crate) running_hooks: Count,
    /// Notified when a shard has gained room, and when the store ends. Producers wait on it.
    pub(crate) room: EventCount,
    /// Notified when records have been indexed, and when the store ends. Followers wait on it.
    pub(crate) arrivals: EventCount,
    /// Notified when a stream has received an evicted record. Its tasks wait on it.
    pub(crate) streamed: Arc<EventCount>,
    pub(crate) ledger: Ledger,
    pub(crate) counts: Counts,
    /// 1 from when a claim has released bytes to a budget that had none left, until the producers
    /// that wait for room are notified.
    pub(crate) freed: AtomicU32,
    /// 1 once the store is being shut down.
    pub(crate) stopping: AtomicU32,
    pub(crate) on_full: OnFull,
    /// For each class, the most bytes that one record may take.
    pub(crate) max_record_bytes: [u64; 2],
    /// Present if the age of records is limited.
    pub(crate) ages: Option<Ages>,
    /// Present if the store has a class of its own: picks the records that belong there.
    pub(crate) class_predicate: Option<ClassPredicate<T>>,
    /// The most bytes that the parts shared by records may take.
    pub(crate) max_shared_bytes: usize,
    /// Whether the store has neither a byte limit nor a class of its own. A push checks this one
    /// flag for both.
    pub(crate) plain: bool,
    /// Whether the store has an indexer thread.
    pub(crate) threaded: bool,
}

/// Counts of rare events.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counts {
    pub(crate) full: Count,
    pub(crate) closed: Count,
    pub(crate) unusable: Count,
    pub(crate) too_large: Count,
    pub(crate) waits: Count,
    pub(crate) assists: Count,
    pub(crate) takeovers: Count,
    pub(crate) panics: Count,
}

impl<T: Signal> Engine<T> {
    /// Allocates the shards and the shared words of a store.
    pub(crate) fn new(
        config: &Settings<T>,
        layouts: Layouts,
        fingerprints: Fingerprints,
        identity: u64,
    ) -> Result<Self, TryReserveError> {
        let shards_of = |layout: Layout| {
            let new = move |capacity| {
                Shard::new(capacity, layout.slack, config.spares, config.byte_budget(capacity))
            };
            layout.capacities().map(new)
        };
        let group = |first: usize, layout: Layout| {
            ShardGroup::new(first..first + layout.shards, layout.run, layout.slack)
        };
        let picked = layouts.picked;
        let max_of = |layout: Layout| {
            let largest = config.max_record_bytes.map_or(u64::MAX, |bytes| bytes as u64);
            // A record's heap bytes are stored in 32 bits.
            let sized = size_of::<T>() as u64 + u64::from(u32::MAX);
            config.byte_budget(layout.base).map_or(largest, |budget| budget.min(sized).min(largest))
        };
        let shards: Box<[_]> = shards_of(layouts.rest)
            .chain(picked.into_iter().flat_map(shards_of))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            stall_detectors: (0..=shards.len())
                .map(|_| StallDetector::new(config.patience))
                .collect(),
            pins: Pins::new(),
            shards,
            router: Router::new(
                group(0, layouts.rest),
                picked.map(|layout| group(layouts.rest.shards, layout)),
            ),
            wakeups: Wakeups::new(),
            fingerprints,
            key_lists: (0..T::Indexes::COUNT).map(|_| Snapshot::new(KeyList::default())).collect(),
            identity,
            sinks: Snapshot::new(Sinks::default()),
            running_hooks: Count::default(),
            room: EventCount::new(),
            arrivals: EventCount::new(),
            streamed: Arc::new(EventCount::new()),
            ledger: Ledger::default(),
            counts: Counts::default(),
            freed: AtomicU32::new(0),
            stopping: AtomicU32::new(0),
            on_full: config.on_full,
            max_record_bytes: [max_of(layouts.rest), picked.map_or(u64::MAX, max_of)],
            ages: config.max_age.map(Ages::new),
            max_shared_bytes: config.max_bytes.unwrap_or(usize::MAX),
            plain: config.max_bytes.is_none() && config.class.is_none(),
            class_predicate: config.class.as_ref().map(|(_, predicate)| predicate.clone()),
            threaded: !config.manual,
        })
    }

    /// Runs user code. A panic is caught and counted, and `None` returned.
    #[inline(always)]
    pub(crate) fn guarded<R>(&self, user_code: impl FnOnce() -> R) -> Option<R> {
        let result = caught(user_code);
        if result.is_none() {
            self.counts.panics.add(1);
        }
        result
    }

    /// Returns how many panics of user code, wakers included, were caught.
    pub(crate) fn caught_panics(&self) -> u64 {
        let wakers = [&self.room, &self.arrivals, &*self.streamed];
        self.counts.panics.get() + wakers.map(EventCount::caught_panics).iter().sum::<u64>()
    }

    /// Returns the most bytes that a record of any class may take.
    #[cfg(feature = "otlp")]
    pub(crate) fn largest_record(&self) -> usize {
        let classes = if self.router.shards_of(Class::Picked).is_empty() { 1 } else { 2 };
        self.max_record_bytes[..classes]
            .iter()
            .max()
            .map_or(usize::MAX, |&most| usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Returns whether the parts shared by records take more bytes than allowed.
    pub(crate) fn shared_parts_over_limit(&self) -> bool {
        self.ledger.bytes() > self.max_shared_bytes
    }

    /// Returns whether the indexer has nothing to do in this shard.
    pub(crate) fn is_settled(&self, shard: &Shard<T>) -> bool {
        shard.is_settled()
            && (shard.evicted() == shard.indexed() || !self.shared_parts_over_limit())
    }

    /// Takes the indexer lock of a shard if it is free. With `takes_over`, also takes it over from
    /// a holder that has made no progress for some time and so counts as suspended.
    pub(crate) fn try_lock_indexer(
        &self,
        number: usize,
        takes_over: bool,
    ) -> Option<IndexerGuard<'_, T>> {
        let shard = &self.shards[number];
        shard.try_lock_indexer().or_else(|| {
            let beats = shard.heartbeats().filter(|_| takes_over)?;
            let guard =
                self.stall_detectors[number].is_stalled(beats).then(|| shard.take_over()).flatten();
            self.counts.takeovers.add(u64::from(guard.is_some()));
            guard
        })
    }

    /// Takes the indexer lock of a shard, and waits until its holder releases it or can be taken
    /// over from. Only the audit and the opening of a stream call this. Pushes and lookups never do.
    pub(crate) fn lock_indexer(&self, number: usize) -> IndexerGuard<'_, T> {
        loop {
            match self.try_lock_indexer(number, true) {
                Some(guard) => return guard,
                None => thread::yield_now(),
            }
        }
    }

    /// Returns whether at least half of a shard's room beyond its capacity is in use, or its bytes
    /// or those of the shared parts are short.
    pub(crate) fn is_short_of_room(&self, shard: &Shard<T>) -> bool {
        shard.room() <= shard.slack() / 2
            || shard.is_short_of_bytes()
            || self.shared_parts_over_limit()
    }

    /// Wakes followers if records have been indexed, and so published.
    #[inline]
    pub(crate) fn notify_arrivals(&self, indexed: u64) {
        if indexed > 0 && !planted(Fault::IndexWithoutWake) {
            self.arrivals.notify();
        }
    }

    /// Returns whether the store is being shut down.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire) != 0
    }
}
