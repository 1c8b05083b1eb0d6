//! A store's settings, and the numbers that follow from them.

use crate::engine::tuning::{
    MAX_RUN, MOST_SHARDS, MOST_SLACK, RUNS_AT_LEAST, SHARD_AT_LEAST, SLACK_PART, SPARE_SLOTS,
    STALLED_AFTER,
};
use crate::error::BuildError;
use crate::signal::{Signal, index_names};
use std::sync::Arc;
use std::time::Duration;

/// What [`Store::push`](crate::Store::push) does when no slot is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// The push waits until a slot is free. It spins for a short time, then sleeps.
    #[default]
    Wait,
    /// The push returns the record with [`Rejection::Full`](crate::error::Rejection::Full).
    Reject,
}

/// The figures of a store's [shares](crate::StoreBuilder::share).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ShareStats {
    /// Keys that are counted now.
    pub keys: u64,
    /// How many keys can be counted at once.
    pub most_keys: u64,
    /// Records that went to the overflow, because their key had used up its part of the rest.
    pub diverted: u64,
    /// Records that went to the overflow because too many other keys are counted.
    pub beyond: u64,
}

/// A shared predicate that decides which records belong to a class.
pub(crate) struct ClassPredicate<T> {
    picks: Arc<Predicate<T>>,
    /// Present if the predicate counts the records that it does not pick.
    counting: Option<Arc<Counting<T>>>,
}

/// What belongs to a predicate that counts.
pub(crate) struct Counting<T> {
    /// Takes back the count of a record that was not pushed after all.
    pub(crate) leaves: Box<dyn Fn(&T) + Send + Sync>,
    /// Tells the figures.
    pub(crate) told: Box<dyn Fn() -> ShareStats + Send + Sync>,
}

pub(crate) type Predicate<T> = dyn Fn(&T) -> bool + Send + Sync;

impl<T> ClassPredicate<T> {
    pub(crate) fn new(picks: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        Self { picks: Arc::new(picks), counting: None }
    }

    /// Makes it a predicate that counts.
    pub(crate) fn counting(self, counting: Counting<T>) -> Self {
        Self { counting: Some(Arc::new(counting)), ..self }
    }

    /// Returns what counts, if anything does.
    pub(crate) fn counts(&self) -> Option<&Counting<T>> {
        self.counting.as_deref()
    }

    /// Returns whether the record belongs to the class.
    pub(crate) fn matches(&self, record: &T) -> bool {
        (self.picks)(record)
    }
}

impl<T> Clone for ClassPredicate<T> {
    fn clone(&self) -> Self {
        Self { picks: Arc::clone(&self.picks), counting: self.counting.clone() }
    }
}

impl<T> std::fmt::Debug for ClassPredicate<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClassPredicate(..)")
    }
}

/// The settings of a store, as given to its builder.
#[derive(Clone, Debug)]
pub(crate) struct Settings<T> {
    pub(crate) capacity: usize,
    /// `None`: chosen by the number of cores.
    pub(crate) shards: Option<usize>,
    pub(crate) on_full: OnFull,
    /// Whether the store has no indexer thread.
    pub(crate) manual: bool,
    pub(crate) fingerprint_bits: u32,
    pub(crate) slack: Option<usize>,
    pub(crate) spares: usize,
    pub(crate) patience: Option<Duration>,
    pub(crate) max_record_bytes: Option<usize>,
    pub(crate) max_bytes: Option<usize>,
    pub(crate) max_age: Option<Duration>,
    /// The class of its own, if there is one: how many records it keeps, and which belong to it.
    pub(crate) class: Option<(usize, ClassPredicate<T>)>,
    /// Whether a class was set although there was one, and the same for shares.
    pub(crate) is_second_class: bool,
    pub(crate) is_second_share: bool,
    /// The index whose keys have shares, and the percentage that each may take.
    pub(crate) share: Option<(Box<str>, u8)>,
}

impl<T: Signal> Settings<T> {
    pub(crate) fn new() -> Self {
        Self {
            capacity: T::DEFAULT_CAPACITY,
            shards: None,
            on_full: OnFull::default(),
            manual: false,
            fingerprint_bits: 64,
            slack: None,
            spares: if cfg!(loom) { 0 } else { SPARE_SLOTS },
            patience: if cfg!(loom) { None } else { Some(STALLED_AFTER) },
            max_record_bytes: None,
            max_bytes: None,
            max_age: None,
            class: None,
            is_second_class: false,
            is_second_share: false,
            share: None,
        }
    }

    /// Checks the settings, and splits the capacity over classes and shards.
    pub(crate) fn layouts(&self) -> Result<Layouts, BuildError> {
        let capacity = self.capacity;
        if capacity == 0 {
            return Err(BuildError::NoCapacity);
        }
        if self.max_age.is_some_and(|age| age.is_zero()) {
            return Err(BuildError::NoAge);
        }
        if self.is_second_class {
            return Err(BuildError::TwoClasses);
        }
        if self.is_second_share {
            return Err(BuildError::TwoShares);
        }
        let least = size_of::<T>();
        if let Some(bytes) = self.max_record_bytes.filter(|&bytes| bytes < least) {
            return Err(BuildError::NoRecordBytes { bytes, least });
        }
        let (signal, names) = (T::NAME, index_names::<T>());
        if let Some(&name) = names
            .iter()
            .enumerate()
            .find(|&(at, name)| names[..at].contains(name))
            .map(|(_, name)| name)
        {
            return Err(BuildError::TwoIndexes { signal, name });
        }
        let records = self.class.as_ref().map(|&(records, _)| records);
        if let Some(records) = records.filter(|&records| records == 0 || records >= capacity) {
            return Err(BuildError::Class { records, capacity });
        }
        let rest = self.layout(capacity - records.unwrap_or(0), self.shards)?;
        let picked = records.map(|records| self.layout(records, None)).transpose()?;
        let smallest = picked.map_or(rest.base, |picked| picked.base.min(rest.base));
        if self.byte_budget(smallest).is_some_and(|budget| budget < size_of::<T>() as u64) {
            let least = (size_of::<T>() as u128 * capacity as u128).div_ceil(smallest as u128);
            return Err(BuildError::NoBytes {
                bytes: self.max_bytes.unwrap_or(0),
                least: least as usize,
            });
        }
        Ok(Layouts { rest, picked })
    }

    /// Returns the part of the byte limit that belongs to a shard of this capacity.
    pub(crate) fn byte_budget(&self, capacity: usize) -> Option<u64> {
        let share = |bytes| bytes as u128 * capacity as u128 / self.capacity as u128;
        self.max_bytes.map(|bytes| share(bytes) as u64)
    }

    /// Splits a class's capacity over shards.
    fn layout(&self, capacity: usize, shards: Option<usize>) -> Result<Layout, BuildError> {
        let shards = shards.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            (2 * cores).min(capacity / SHARD_AT_LEAST).clamp(1, MOST_SHARDS)
        });
        if shards == 0 || shards > capacity || shards > MOST_SHARDS {
            return Err(BuildError::Shards { shards, capacity, most: MOST_SHARDS });
        }
        let base = capacity / shards;
        let run = run_length(base);
        let slack =
            self.slack.unwrap_or_else(|| (base / SLACK_PART).min(MOST_SLACK).max(run)).max(1);
        let most = (1_usize << 31) - 1;
        let own = base.checked_add(1).and_then(|base| base.checked_add(slack));
        let own = own.filter(|&own| own <= most);
        if let Some(own) = own
            && self.spares > most - own
        {
            return Err(BuildError::SpareSlots { slots: self.spares, own, most: most - own });
        }
        let bytes = own
            .and_then(|own| own.checked_add(self.spares))
            .and_then(|slots| slots.checked_mul(size_of::<T>().max(64)))
            .and_then(|bytes| bytes.checked_mul(shards))
            .filter(|&bytes| bytes <= isize::MAX as usize);
        if bytes.is_none() {
            return Err(BuildError::TooLarge { capacity, record_bytes: size_of::<T>() });
        }
        Ok(Layout { base, larger: capacity % shards, shards, slack, run })
    }
}

/// How a capacity is split over classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layouts {
    pub(crate) rest: Layout,
    pub(crate) picked: Option<Layout>,
}

/// How a class's capacity is split over shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The capacity of each shard. The first `larger` shards hold one record more.
    pub(crate) base: usize,
    pub(crate) larger: usize,
    pub(crate) shards: usize,
    pub(crate) slack: usize,
    pub(crate) run: usize,
}

impl Layout {
    /// Returns the capacity of each shard.
    pub(crate) fn capacities(self) -> impl Iterator<Item = usize> {
        (0..self.shards).map(move |shard| self.base + usize::from(shard < self.larger))
    }
}

/// Returns the length of a run: the longest one that divides a shard's capacity, so that runs fill
/// the shards evenly. A shard holds [`RUNS_AT_LEAST`] runs where that makes them no shorter than a
/// quarter of [`MAX_RUN`].
fn run_length(capacity: usize) -> usize {
    let longest = MAX_RUN.min(capacity / RUNS_AT_LEAST).max(MAX_RUN.div_ceil(4)).min(capacity);
    (longest / 4..=longest)
        .rev()
        .find(|&run| run > 0 && capacity.is_multiple_of(run))
        .unwrap_or(longest.div_ceil(2))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::signal::Span;
    use crate::store::StoreBuilder;

    #[test]
    fn a_capacity_is_split_to_within_one_record() {
        for (capacity, shards) in [(1, 1), (10, 3), (10_000, 4), (7, 7)] {
            let layout = StoreBuilder::<Span>::new()
                .capacity(capacity)
                .shards(shards)
                .settings
                .layouts()
                .unwrap()
                .rest;
            let split: Vec<usize> = layout.capacities().collect();
            assert_eq!(split.len(), shards);
            assert_eq!(split.iter().sum::<usize>(), capacity);
            assert!(split.iter().max().unwrap() - split.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn run_lengths_divide_the_capacity() {
        for (capacity, run) in
            [(2_500, 50), (12_500, 250), (4_096, 128), (3, 3), (1, 1), (1_009, 32), (10_007, 128)]
        {
            assert_eq!(run_length(capacity), run, "{capacity}");
        }
    }

    #[test]
    fn invalid_settings_are_refused_with_advice() {
        let build = |capacity, shards| {
            StoreBuilder::<Span>::new()
                .capacity(capacity)
                .shards(shards)
                .settings
                .layouts()
                .unwrap_err()
        };
        assert_eq!(build(0, 1), BuildError::NoCapacity);
        assert!(build(3, 4).to_string().contains("1 to 3 shards"));
        assert!(build(3, 0).to_string().contains("0 shards"));
        assert!(matches!(build(usize::MAX, 1), BuildError::TooLarge { .. }));
        assert!(matches!(build(1 << 33, 2), BuildError::TooLarge { .. }));
        let builder = StoreBuilder::<Span>::new().capacity(10);
        for records in [0, 10, 11] {
            assert!(
                builder
                    .clone()
                    .error_class(records)
                    .settings
                    .layouts()
                    .unwrap_err()
                    .to_string()
                    .contains("1 to 9")
            );
        }
        assert_eq!(
            builder.clone().max_age(Duration::ZERO).settings.layouts().unwrap_err(),
            BuildError::NoAge
        );
        let refusal = |builder: StoreBuilder<Span>| builder.settings.layouts().unwrap_err();
        let size = size_of::<Span>();
        assert_eq!(
            refusal(builder.clone().max_record_bytes(size - 1)),
            BuildError::NoRecordBytes { bytes: size - 1, least: size }
        );
        assert!(builder.clone().max_record_bytes(size).settings.layouts().is_ok());
        let twice = |builder: StoreBuilder<Span>| builder.class(2, |_| true);
        assert_eq!(refusal(twice(builder.clone().error_class(2))), BuildError::TwoClasses);
        assert_eq!(
            refusal(builder.clone().share("name", 50).share("service", 50)),
            BuildError::TwoShares
        );
        for slots in [1 << 31, usize::MAX] {
            let refused = refusal(builder.clone().shards(1).spare_slots(slots));
            let BuildError::SpareSlots { own, most, .. } = refused else { panic!("{refused}") };
            assert!(own > 10 && refused.to_string().contains(&format!("at most {most}")));
            assert!(builder.clone().shards(1).spare_slots(most).settings.layouts().is_ok());
            assert!(builder.clone().shards(1).spare_slots(most + 1).settings.layouts().is_err());
        }
        let least = 10 * size;
        let builder = builder.error_class(1);
        assert_eq!(
            builder.clone().max_bytes(9).settings.layouts().unwrap_err(),
            BuildError::NoBytes { bytes: 9, least }
        );
        assert!(builder.clone().max_bytes(least - 1).settings.layouts().is_err());
        assert!(builder.max_bytes(least).settings.layouts().is_ok());
    }
}
