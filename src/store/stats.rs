//! A store's statistics.

use crate::engine::ages::Ages;
use crate::engine::ring::{Class, EvictionCounts};
use crate::engine::settings::{ClassPredicate, ShareStats};
use crate::engine::state::Engine;
use crate::query;
use crate::signal::{Index, Indexes as _, Signal};

/// A store's counts, sizes and health, at the time of [`Store::stats`](crate::Store::stats).
///
/// `offered = count + evicted.total() + rejected.total()`, always. In serialised form, the counts
/// that depend on the signal are named after it: `span_count`, `trace_index_entries`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The signal that the store holds: `span`, `log`, `metric`.
    pub signal: &'static str,
    /// How many records the store keeps.
    pub capacity: u64,
    /// How many records it holds now.
    pub count: u64,
    /// Its indexes, in the signal's order.
    pub indexes: Vec<IndexStats>,
    /// Bytes of slot heads, links, blocks and directories.
    pub index_memory_bytes: u64,
    /// Bytes of slots, of what records own on the heap (including evicted records until they are
    /// reclaimed), and of shared parts, each counted once.
    pub data_memory_bytes: u64,
    /// All bytes of the engine: index, data, cursors, pins, and a stream's buffer.
    pub total_memory_bytes: u64,
    /// Records that were pushed, accepted or rejected.
    pub offered: u64,
    /// Records that have left the store.
    pub evicted: EvictedCounts,
    /// The part of these numbers that belongs to the [class](crate::StoreBuilder::class) of its
    /// own, if there is one.
    pub class: Option<ClassStats>,
    /// The figures of the [shares](crate::StoreBuilder::share) of keys, if they are limited. The
    /// class is then the overflow.
    pub shares: Option<ShareStats>,
    /// Records that were rejected.
    pub rejected: RejectedCounts,
    /// Pushes that found no room and waited.
    pub waits: u64,
    /// Batches of the indexer's work that producers did.
    pub assists: u64,
    /// How often an indexer lock was taken over from a suspended holder.
    pub takeovers: u64,
    /// Records that are pushed and not yet indexed. Queries see them all the same.
    pub indexer_lag: u64,
    /// Wakeups sent to the indexer. One that coalesces with an earlier one is not counted.
    pub notices: u64,
    /// Panics caught in user code: hooks, key functions, drops and wakers.
    pub caught_panics: u64,
}

/// The counts of a store's class of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ClassStats {
    /// How many records it keeps.
    pub capacity: u64,
    /// How many records it holds now.
    pub count: u64,
    /// Records of the class that have left.
    pub evicted: EvictedCounts,
}

/// The statistics of one index of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct IndexStats {
    /// The index's name.
    pub name: &'static str,
    /// Distinct keys in the index now. Keys are distinguished by keyed hashes of at least 60 bits.
    /// With a chance of at most n²/2⁶¹, n keys count as fewer.
    pub entries: u64,
    /// Bytes of its directories.
    pub directory_bytes: u64,
}

/// Records that have left, by [reason](crate::store::EvictReason).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct EvictedCounts {
    /// Newer records took their place.
    pub capacity: u64,
    /// The store was cleared or shut down.
    pub cleared: u64,
    /// They had been in the store for the longest time allowed.
    pub age: u64,
    /// Newer records took their bytes.
    pub bytes: u64,
}

/// Records that were rejected, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RejectedCounts {
    /// No slot was free, and the push could not wait.
    pub full: u64,
    /// The store was shut down.
    pub closed: u64,
    /// The record's own methods panicked.
    pub panicked: u64,
    /// The record was larger than one record may be.
    pub too_large: u64,
}

impl EvictedCounts {
    fn of([capacity, cleared, age, bytes]: EvictionCounts) -> Self {
        Self { capacity, cleared, age, bytes }
    }

    /// Returns the sum over all reasons.
    pub fn total(self) -> u64 {
        self.capacity + self.cleared + self.age + self.bytes
    }
}

impl std::ops::AddAssign for EvictedCounts {
    fn add_assign(&mut self, other: Self) {
        self.capacity += other.capacity;
        self.cleared += other.cleared;
        self.age += other.age;
        self.bytes += other.bytes;
    }
}

impl std::ops::AddAssign for RejectedCounts {
    fn add_assign(&mut self, other: Self) {
        self.full += other.full;
        self.closed += other.closed;
        self.panicked += other.panicked;
        self.too_large += other.too_large;
    }
}

impl RejectedCounts {
    /// Returns the sum over all reasons.
    pub fn total(self) -> u64 {
        self.full + self.closed + self.panicked + self.too_large
    }
}

impl Stats {
    /// Collects the statistics of an engine.
    pub(crate) fn of<T: Signal>(engine: &Engine<T>) -> Self {
        let index = |(number, index): (usize, &Index<T>)| IndexStats {
            name: index.name(),
            entries: query::distinct(engine, number),
            directory_bytes: engine
                .shards
                .iter()
                .map(|shard| shard.directory_bytes(number) as u64)
                .sum(),
        };
        let indexes: Vec<IndexStats> =
            T::INDEXES.as_slice().iter().enumerate().map(index).collect();

        let (mut taken, mut evicted, mut lag) = (0, EvictedCounts::default(), 0);
        let (mut heads, mut data) = (0, engine.ledger.bytes());
        let mut capacity = 0;
        let picked = engine.router.shards_of(Class::Picked);
        let mut class = (!picked.is_empty()).then(ClassStats::default);
        for (number, shard) in engine.shards.iter().enumerate() {
            let (claimed, departures) = shard.claimed_and_evicted();
            let departures = EvictedCounts::of(departures);
            taken += claimed;
            evicted += departures;
            if let Some(class) = class.as_mut().filter(|_| picked.contains(&number)) {
                class.capacity += shard.capacity();
                class.count += claimed - departures.total();
                class.evicted += departures;
            }
            // Read at another moment than `claimed`, so it is clamped. It lags by at most a ring.
            let indexed =
                shard.indexed().clamp(claimed.saturating_sub(shard.slots.places()), claimed);
            lag += claimed - indexed;
            capacity += shard.capacity();
            heads += shard.slots.head_bytes() + shard.other_index_bytes();
            data += shard.slots.payload_bytes() + shard.heap(claimed) as usize;
        }
        let rejected = RejectedCounts {
            full: engine.counts.full.get(),
            closed: engine.counts.closed.get(),
            panicked: engine.counts.unusable.get(),
            too_large: engine.counts.too_large.get(),
        };
        let directories: u64 = indexes.iter().map(|index| index.directory_bytes).sum();
        let index_memory_bytes = heads as u64 + directories;
        let data_memory_bytes = data as u64;
        let ages = engine.ages.as_ref().map_or(0, Ages::bytes);
        let fixed = size_of::<Engine<T>>()
            + size_of_val(&*engine.shards)
            + engine.pins.bytes()
            + ages
            + engine.key_lists.iter().map(|list| list.load().bytes()).sum::<usize>()
            + engine.sinks.load().bytes();
        Self {
            signal: T::NAME,
            capacity,
            count: taken - evicted.total(),
            indexes,
            index_memory_bytes,
            data_memory_bytes,
            total_memory_bytes: index_memory_bytes + data_memory_bytes + fixed as u64,
            offered: taken + rejected.total(),
            evicted,
            class,
            shares: engine
                .class_predicate
                .as_ref()
                .and_then(ClassPredicate::counts)
                .map(|one| (one.told)()),
            rejected,
            waits: engine.counts.waits.get(),
            assists: engine.counts.assists.get(),
            takeovers: engine.counts.takeovers.get(),
            indexer_lag: lag,
            notices: engine.wakeups.sent(),
            caught_panics: engine.caught_panics(),
        }
    }

    /// Returns the statistics of the index with this name.
    pub fn index(&self, name: &str) -> Option<&IndexStats> {
        self.indexes.iter().find(|index| index.name == name)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Stats {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("capacity", &self.capacity)?;
        map.serialize_entry(&format!("{}_count", self.signal), &self.count)?;
        if let Some(traces) = self.index("trace") {
            map.serialize_entry("trace_count", &traces.entries)?;
        }
        map.serialize_entry("index_memory_bytes", &self.index_memory_bytes)?;
        map.serialize_entry("data_memory_bytes", &self.data_memory_bytes)?;
        map.serialize_entry("total_memory_bytes", &self.total_memory_bytes)?;
        for index in &self.indexes {
            map.serialize_entry(&format!("{}_index_entries", index.name), &index.entries)?;
            map.serialize_entry(
                &format!("{}_index_directory_bytes", index.name),
                &index.directory_bytes,
            )?;
        }
        map.serialize_entry("offered", &self.offered)?;
        map.serialize_entry("evicted", &self.evicted)?;
        if let Some(class) = &self.class {
            map.serialize_entry("class", class)?;
        }
        if let Some(shares) = &self.shares {
            map.serialize_entry("shares", shares)?;
        }
        map.serialize_entry("rejected", &self.rejected)?;
        map.serialize_entry("waits", &self.waits)?;
        map.serialize_entry("assists", &self.assists)?;
        map.serialize_entry("takeovers", &self.takeovers)?;
        map.serialize_entry("indexer_lag", &self.indexer_lag)?;
        map.serialize_entry("notices", &self.notices)?;
        map.serialize_entry("caught_panics", &self.caught_panics)?;
        map.end()
    }
}
