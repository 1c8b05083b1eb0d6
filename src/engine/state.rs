//! The state of one store: what producers, the indexer and readers share.

use crate::engine::ages::Ages;
use crate::engine::evictions::Sinks;
use crate::engine::index::Fingerprints;
use crate::engine::patience::Patience;
use crate::engine::reentrancy::caught;
use crate::engine::ring::{Class, Pins};
use crate::engine::router::{Router, ShardGroup};
use crate::engine::settings::{Layout, Layouts, OnFull, Picks, Settings};
use crate::engine::shard::{IndexerGuard, Shard};
use crate::engine::wakeups::Wakeups;
use crate::signal::{Ledger, Signal};
use crate::sync::fault::{Fault, planted};
use crate::sync::{AtomicU32, Count, EventCount, Ordering, Snapshot, thread};
use std::collections::TryReserveError;

pub(crate) struct Engine<T: Signal> {
    pub(crate) shards: Box<[Shard<T>]>,
    pub(crate) router: Router,
    pub(crate) wakeups: Wakeups,
    /// What readers look at.
    pub(crate) pins: Pins,
    /// How long whoever holds the token of a shard may sleep; for each shard, and the last for the indexer's thread.
    pub(crate) patience: Box<[Patience]>,
    pub(crate) fingerprints: Fingerprints,
    /// Tells bookmarks and cursors of this store from others'.
    pub(crate) identity: u64,
    pub(crate) sinks: Snapshot<Sinks<T>>,
    /// Threads that run hooks now.
    pub(crate) showing: Count,
    /// Room in a shard, or the end of the store.
    pub(crate) room: EventCount,
    /// Records that have been indexed, or the end of the store.
    pub(crate) arrivals: EventCount,
    pub(crate) ledger: Ledger,
    pub(crate) counts: Counts,
    /// 1 once a claim has given bytes back where none had been left, until those are told who wait for room.
    pub(crate) freed: AtomicU32,
    /// 1 once the store is being shut down.
    pub(crate) stopping: AtomicU32,
    pub(crate) on_full: OnFull,
    /// The most bytes that one record may take, by its class.
    pub(crate) largest: [u64; 2],
    /// If age is bounded.
    pub(crate) ages: Option<Ages>,
    /// If there is a class of its own for what this picks.
    pub(crate) picks: Option<Picks<T>>,
    /// Bytes that the parts which records share may take.
    pub(crate) most_shared: usize,
    /// Whether there is neither a bound on bytes nor such a class, so that pushes look at this only.
    pub(crate) plain: bool,
    /// Whether an indexer thread does the work.
    pub(crate) threaded: bool,
}

/// Events that are seldom enough to be counted one by one.
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
    pub(crate) fn new(
        config: &Settings<T>,
        layouts: Layouts,
        fingerprints: Fingerprints,
        identity: u64,
    ) -> Result<Self, TryReserveError> {
        let shards_of = |layout: Layout| {
            let new = move |capacity| Shard::new(capacity, layout.slack, config.spares, config.byte_budget(capacity));
            layout.capacities().map(new)
        };
        let route =
            |first: usize, layout: Layout| ShardGroup::new(first..first + layout.shards, layout.run, layout.slack);
        let picked = layouts.picked;
        let largest = |layout: Layout| {
            let largest = config.max_record_bytes.map_or(u64::MAX, |bytes| bytes as u64);
            // Heap bytes are kept in 32 bits.
            let sized = size_of::<T>() as u64 + u64::from(u32::MAX);
            config.byte_budget(layout.base).map_or(largest, |budget| budget.min(sized).min(largest))
        };
        let shards: Box<[_]> =
            shards_of(layouts.rest).chain(picked.into_iter().flat_map(shards_of)).collect::<Result<_, _>>()?;
        Ok(Self {
            patience: (0..=shards.len()).map(|_| Patience::new(config.patience)).collect(),
            pins: Pins::new(),
            shards,
            router: Router::new(route(0, layouts.rest), picked.map(|layout| route(layouts.rest.shards, layout))),
            wakeups: Wakeups::new(),
            fingerprints,
            identity,
            sinks: Snapshot::new(Sinks::default()),
            showing: Count::default(),
            room: EventCount::new(),
            arrivals: EventCount::new(),
            ledger: Ledger::default(),
            counts: Counts::default(),
            freed: AtomicU32::new(0),
            stopping: AtomicU32::new(0),
            on_full: config.on_full,
            largest: [largest(layouts.rest), picked.map_or(u64::MAX, largest)],
            ages: config.max_age.map(Ages::new),
            most_shared: config.max_bytes.unwrap_or(usize::MAX),
            plain: config.max_bytes.is_none() && config.class.is_none(),
            picks: config.class.as_ref().map(|(_, picks)| picks.clone()),
            threaded: !config.manual,
        })
    }

    /// Runs user code; a panic is caught and counted.
    #[inline(always)]
    pub(crate) fn guarded<R>(&self, user_code: impl FnOnce() -> R) -> Option<R> {
        let result = caught(user_code);
        if result.is_none() {
            self.counts.panics.add(1);
        }
        result
    }

    /// Panics of user code, wakers included, that were caught.
    pub(crate) fn caught_panics(&self) -> u64 {
        self.counts.panics.get() + self.room.caught_panics() + self.arrivals.caught_panics()
    }

    /// The most bytes of a record that is taken, of whatever class.
    #[cfg(feature = "otlp")]
    pub(crate) fn largest_record(&self) -> usize {
        let classes = if self.router.shards_of(Class::Picked).is_empty() { 1 } else { 2 };
        self.largest[..classes].iter().max().map_or(usize::MAX, |&most| usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Whether the parts that records share take more bytes than they may.
    pub(crate) fn shares_too_much(&self) -> bool {
        self.ledger.bytes() > self.most_shared
    }

    /// Whether there is nothing for the indexer to do in this shard.
    pub(crate) fn is_settled(&self, shard: &Shard<T>) -> bool {
        shard.is_settled() && (shard.evicted() == shard.indexed() || !self.shares_too_much())
    }

    /// Takes the token of a shard. If somebody holds it who has not got on for some time, and `takes_over` says so, it is taken
    /// over from there: whoever holds it sleeps.
    pub(crate) fn try_lock_indexer(&self, number: usize, takes_over: bool) -> Option<IndexerGuard<'_, T>> {
        let shard = &self.shards[number];
        shard.try_lock_indexer().or_else(|| {
            let beats = shard.heartbeats().filter(|_| takes_over)?;
            let owner = self.patience[number].is_out(beats).then(|| shard.take_over()).flatten();
            self.counts.takeovers.add(u64::from(owner.is_some()));
            owner
        })
    }

    /// Takes the token of a shard as soon as its holder gives it back, or is relieved. Never on a path that a push or a lookup
    /// takes: for the audit and the store's end.
    pub(crate) fn lock_indexer(&self, number: usize) -> IndexerGuard<'_, T> {
        loop {
            match self.try_lock_indexer(number, true) {
                Some(owner) => return owner,
                None => thread::yield_now(),
            }
        }
    }

    /// Whether half of a shard's room beyond its capacity, or of its bytes, is in use.
    pub(crate) fn is_short_of_room(&self, shard: &Shard<T>) -> bool {
        let room = (shard.reclaimed() + shard.slots.places()).saturating_sub(shard.claimed());
        room <= shard.slack() / 2 || shard.is_short_of_bytes() || self.shares_too_much()
    }

    /// Says that records have been indexed, and so published.
    #[inline]
    pub(crate) fn tell_of_arrivals(&self, indexed: u64) {
        if indexed > 0 && !planted(Fault::IndexWithoutWake) {
            self.arrivals.notify();
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire) != 0
    }
}
