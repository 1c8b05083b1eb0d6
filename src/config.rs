//! What a store's builder is told, and the numbers that follow from it.

use crate::error::BuildError;
use crate::ring::MAX_RUN;
use crate::signal::Signal;
use crate::store::Store;
use std::marker::PhantomData;

/// What [`Store::push`] does when no slot is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// It waits, asleep after a short spin, until a slot is free.
    #[default]
    Wait,
    /// It hands the record back as [`Rejection::Full`](crate::Rejection::Full).
    Reject,
}

/// The most shards that a store may have.
pub(crate) const MOST_SHARDS: usize = 1024;

/// Records in a default shard at the least; smaller stores have fewer shards.
const SHARD_AT_LEAST: usize = 2048;

/// Builds a [`Store`].
///
/// ```
/// use slipring::{OnFull, Span, Store};
///
/// let store: Store<Span> = Store::builder().capacity(50_000).shards(4).on_full(OnFull::Reject).build()?;
/// assert_eq!(store.capacity(), 50_000);
/// # Ok::<(), slipring::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder<T> {
    pub(crate) capacity: usize,
    pub(crate) shards: Option<usize>,
    pub(crate) on_full: OnFull,
    pub(crate) manual: bool,
    pub(crate) fingerprint_bits: u32,
    pub(crate) slack: Option<usize>,
    pub(crate) max_record_bytes: Option<usize>,
    signal: PhantomData<fn() -> T>,
}

impl<T: Signal> Builder<T> {
    pub(crate) fn new() -> Self {
        Self {
            capacity: T::DEFAULT_CAPACITY,
            shards: None,
            on_full: OnFull::default(),
            manual: false,
            fingerprint_bits: 64,
            slack: None,
            max_record_bytes: None,
            signal: PhantomData,
        }
    }

    /// How many records the store keeps; the signal's own default if not given. From one more on, each push evicts the oldest of its
    /// shard. Memory for all of them is reserved at once: see the crate's page on sizing.
    pub fn capacity(mut self, records: usize) -> Self {
        self.capacity = records;
        self
    }

    /// How many shards the capacity is split over, to ±1 record. If not given, two for each core, but none with fewer
    /// than 2,048 records, so that small stores have one.
    ///
    /// One shard is exact: it keeps the newest `capacity` records and no other. With several, each keeps the newest of
    /// what was pushed to it.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// What [`Store::push`] does when no slot is free; by default it waits.
    pub fn on_full(mut self, policy: OnFull) -> Self {
        self.on_full = policy;
        self
    }

    /// A store without an indexer thread: [`Store::step`] does its work, and so does a push that finds no room. Answers
    /// are the same at every instant; only memory of evicted records and hooks wait for a step.
    pub fn manual(mut self) -> Self {
        self.manual = true;
        self
    }

    /// The most bytes that one record may take, in its slot and by its own [`heap_bytes`](Signal::heap_bytes); larger ones are handed
    /// back as [`Rejection::TooLarge`](crate::Rejection::TooLarge), and counted. Any size, if not given.
    ///
    /// ```
    /// use slipring::{LogRecord, Rejection, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().max_record_bytes(1_024).build()?;
    /// let large = LogRecord { body: Some("x".repeat(1_000).into()), ..LogRecord::default() };
    /// let refused = logs.push(large).unwrap_err();
    /// assert!(matches!(refused.reason, Rejection::TooLarge { bytes: 1_001.., most: 1_024 }));
    /// assert!(refused.record.body.is_some(), "it is handed back");
    /// # Ok::<(), slipring::BuildError>(())
    /// ```
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record_bytes = Some(bytes);
        self
    }

    /// For tests: narrow fingerprints, so that keys collide.
    #[doc(hidden)]
    pub fn fingerprint_bits(mut self, bits: u32) -> Self {
        self.fingerprint_bits = bits;
        self
    }

    /// For tests: slots beyond the capacity in each shard.
    #[doc(hidden)]
    pub fn slack(mut self, slots: usize) -> Self {
        self.slack = Some(slots);
        self
    }

    /// Builds the store and starts its indexer thread.
    ///
    /// # Errors
    /// If the numbers can't be: capacity 0, more shards than records, sizes that overflow. If the thread can't start.
    pub fn build(self) -> Result<Store<T>, BuildError> {
        Store::new(&self)
    }

    /// The split of the capacity, checked.
    pub(crate) fn layout(&self) -> Result<Layout, BuildError> {
        let capacity = self.capacity;
        if capacity == 0 {
            return Err(BuildError::NoCapacity);
        }
        let shards = self.shards.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            (2 * cores).min(capacity / SHARD_AT_LEAST).clamp(1, MOST_SHARDS)
        });
        if shards == 0 || shards > capacity || shards > MOST_SHARDS {
            return Err(BuildError::Shards { shards, capacity, most: MOST_SHARDS });
        }
        let base = capacity / shards;
        let run = run_length(base);
        let slack = self.slack.unwrap_or_else(|| (base / 4).max(run)).max(1);
        let slots = base.checked_add(1).and_then(|base| base.checked_add(slack)).filter(|&slots| slots < 1 << 31);
        let bytes = slots
            .and_then(|slots| slots.checked_mul(size_of::<T>().max(64)))
            .and_then(|bytes| bytes.checked_mul(shards))
            .filter(|&bytes| bytes <= isize::MAX as usize);
        if bytes.is_none() {
            return Err(BuildError::TooLarge { capacity, record_bytes: size_of::<T>() });
        }
        Ok(Layout { base, larger: capacity % shards, shards, slack, run })
    }
}

/// How a capacity is split over shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Records in each shard, but for the first `larger` ones, which have one more.
    pub(crate) base: usize,
    larger: usize,
    pub(crate) shards: usize,
    pub(crate) slack: usize,
    pub(crate) run: usize,
}

impl Layout {
    /// The capacity of each shard.
    pub(crate) fn capacities(self) -> impl Iterator<Item = usize> {
        (0..self.shards).map(move |shard| self.base + usize::from(shard < self.larger))
    }
}

/// The longest run that divides a shard's capacity, so that runs fill the shards evenly. At most a thirty-second part of it where
/// that is not too short: with several shards, the records that are kept are the newest ones up to some runs.
fn run_length(capacity: usize) -> usize {
    let longest = MAX_RUN.min(capacity / 32).max(MAX_RUN.div_ceil(4)).min(capacity);
    (longest / 4..=longest).rev().find(|&run| run > 0 && capacity.is_multiple_of(run)).unwrap_or(longest.div_ceil(2))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Span;

    #[test]
    fn a_capacity_is_split_to_within_one_record() {
        for (capacity, shards) in [(1, 1), (10, 3), (10_000, 4), (7, 7)] {
            let layout = Builder::<Span>::new().capacity(capacity).shards(shards).layout().unwrap();
            let split: Vec<usize> = layout.capacities().collect();
            assert_eq!(split.len(), shards);
            assert_eq!(split.iter().sum::<usize>(), capacity);
            assert!(split.iter().max().unwrap() - split.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn runs_divide_what_they_fill() {
        for (capacity, run) in [(2_500, 50), (12_500, 250), (4_096, 128), (3, 3), (1, 1), (1_009, 32), (10_007, 128)] {
            assert_eq!(run_length(capacity), run, "{capacity}");
        }
    }

    #[test]
    fn impossible_numbers_are_refused_with_advice() {
        let build = |capacity, shards| Builder::<Span>::new().capacity(capacity).shards(shards).layout().unwrap_err();
        assert_eq!(build(0, 1), BuildError::NoCapacity);
        assert!(build(3, 4).to_string().contains("1 to 3 shards"));
        assert!(build(3, 0).to_string().contains("0 shards"));
        assert!(matches!(build(usize::MAX, 1), BuildError::TooLarge { .. }));
        assert!(matches!(build(1 << 33, 2), BuildError::TooLarge { .. }));
    }
}
