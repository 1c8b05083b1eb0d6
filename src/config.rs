//! What a store's builder is told, and the numbers that follow from it.

use crate::error::BuildError;
use crate::indexer::PATIENCE;
use crate::ring::MAX_RUN;
use crate::signal::Signal;
use crate::store::Store;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

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

/// Records in a default shard at the least; smaller stores have fewer shards. With 2,048, a store of 10,000 had four, and sixteen
/// producers on as many cores pushed a fifth of what they do to nineteen.
const SHARD_AT_LEAST: usize = 512;

/// Slots that a shard has to spare unless the builder is told.
const SPARES: usize = 48;

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
    pub(crate) spares: usize,
    pub(crate) patience: Option<Duration>,
    pub(crate) max_record_bytes: Option<usize>,
    pub(crate) max_bytes: Option<usize>,
    pub(crate) max_age: Option<Duration>,
    /// A class of its own: how many records it keeps, and what goes there.
    pub(crate) class: Option<(usize, Picks<T>)>,
    signal: PhantomData<fn() -> T>,
}

/// A predicate on records, shared.
pub(crate) struct Picks<T>(Arc<Predicate<T>>);

type Predicate<T> = dyn Fn(&T) -> bool + Send + Sync;

impl<T> Picks<T> {
    pub(crate) fn pick(&self, record: &T) -> bool {
        (self.0)(record)
    }
}

impl<T> Clone for Picks<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> std::fmt::Debug for Picks<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Picks(..)")
    }
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
            spares: if cfg!(loom) { 0 } else { SPARES },
            patience: if cfg!(loom) { None } else { Some(PATIENCE) },
            max_record_bytes: None,
            max_bytes: None,
            max_age: None,
            class: None,
            signal: PhantomData,
        }
    }

    /// How many records the store keeps; the signal's own default if not given. From one more on, each push evicts the oldest of its
    /// shard. Memory for all of them is reserved at once, and taken
    /// as they come: see the crate's page on sizing.
    pub fn capacity(mut self, records: usize) -> Self {
        self.capacity = records;
        self
    }

    /// How many shards the capacity is split over, to ±1 record. If not given, two for each core, but none with fewer
    /// than 512 records, so that small stores have one.
    ///
    /// Producers contend where there are more of them at once than shards: each shard takes one at full speed. A lookup
    /// asks all shards, at some 0.2 µs each.
    ///
    /// A [class](Builder::class) of its own has shards of its own beside these.
    ///
    /// One shard is exact: it keeps the newest `capacity` records and no other. With several, each keeps the newest of
    /// what was pushed to it: of the newest `capacity`, at most a run is missing for each shard and each producer. A run is at
    /// most a thirty-second part of a shard, or 64 records where that is more, and never more than 256. A shard in which a reader or a push
    /// sleeps for long takes no records once it is full; the store makes up for that within `capacity` pushes.
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
    /// let large = LogRecord::builder().body(&"x".repeat(1_000)).build();
    /// let refused = logs.push(large).unwrap_err();
    /// assert!(matches!(refused.reason, Rejection::TooLarge { bytes: 1_001.., most: 1_024 }));
    /// assert!(refused.record.body().is_some(), "it is handed back");
    /// # Ok::<(), slipring::BuildError>(())
    /// ```
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record_bytes = Some(bytes);
        self
    }

    /// The most bytes that records may keep, in their slots and by their own [`heap_bytes`](Signal::heap_bytes), beside the bound on
    /// their number: from then on the oldest of a shard go, with the reason [`Bytes`](crate::EvictReason::Bytes). Any number, if not
    /// given.
    ///
    /// Each shard has its share, by its capacity. It is applied as records are indexed: within a millisecond or so, or by
    /// [`flush`](Store::flush). Until then, and until what was evicted is reclaimed, a shard's records may take a quarter more, and one
    /// record; where no more is left a push finds no room, as where no slot is. A record that alone takes more than a shard's
    /// share, or more than 4 GiB of heap, is [too large](crate::Rejection::TooLarge): with a class of its own, or with many shards,
    /// that is a small part of all. Memory for the slots of all of the capacity is reserved all the same.
    ///
    /// What lies in [`Shared`](crate::Shared) parts is not counted here, but has the same bound of its own: while the parts that this
    /// store's records brought take more, the oldest records of each shard go, few at a time, until enough of the parts have gone with
    /// them. So parts that take more while others hold them leave no room for records.
    ///
    /// A push costs one more atomic operation then.
    ///
    /// ```
    /// use slipring::{EvictReason, LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().capacity(1_000).shards(1).max_bytes(100_000).build()?;
    /// for _ in 0..100 {
    ///     logs.push(LogRecord::builder().body(&"x".repeat(10_000)).build())?;
    /// }
    /// logs.flush()?;
    /// assert!(logs.len() < 10);
    /// assert_eq!(logs.stats().evicted.bytes, 100 - logs.len() as u64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// How long a record may stay, counted from its push; then it goes, with the reason [`Age`](crate::EvictReason::Age). For ever,
    /// if not given.
    ///
    /// It goes no sooner; and later by a sixty-fourth part at most, some milliseconds, and what hooks take for some hundred records.
    /// In a manual store, [`step`](Store::step) lets records grow old: they count from the first step that finds them. A push
    /// costs nothing for it; the thread of an idle store wakes when something is due.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    /// use std::time::Duration;
    ///
    /// let logs: Store<LogRecord> = Store::builder().max_age(Duration::from_millis(20)).build()?;
    /// logs.push(LogRecord::default())?;
    /// while !logs.is_empty() {
    ///     std::thread::sleep(Duration::from_millis(5));
    /// }
    /// assert_eq!(logs.stats().evicted.age, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// A class of its own for errors, with room for so many `records` of the capacity: what is [an error](Signal::is_error) goes
    /// there, and outlives the flood of the rest. Spans and log records can be errors; metric points are none.
    ///
    /// ```
    /// use slipring::{LogRecord, Severity, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().capacity(100).error_class(10).build()?;
    /// logs.push(LogRecord::builder().severity(Severity::ERROR).build())?;
    /// for _ in 0..1_000 {
    ///     logs.push(LogRecord::default())?;
    /// }
    /// assert_eq!(logs.query().severity_at_least(Severity::ERROR).count()?, 1);
    /// assert_eq!(logs.len(), 90 + 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn error_class(self, records: usize) -> Self {
        self.class(records, T::is_error)
    }

    /// As [`error_class`](Builder::error_class), for the records that `picks` picks; it runs on the pushing thread, before the record
    /// enters the ring, and must not block. A store has one such class.
    ///
    /// Everything else is as without it: a record's order, what queries see, how positions are told. A thread that pushes now to
    /// one class, now to the other, begins a run each time, which costs as much as another push.
    pub fn class(mut self, records: usize, picks: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.class = Some((records, Picks(Arc::new(picks))));
        self
    }

    /// For tests: narrow fingerprints, so that keys collide.
    #[doc(hidden)]
    pub fn fingerprint_bits(mut self, bits: u32) -> Self {
        self.fingerprint_bits = bits;
        self
    }

    /// Sets how many spare slots each shard has; 48 if not given. A spare slot stands in for one that somebody sleeps over: a producer
    /// suspended between its claim and its publish, a reader that keeps a record, a thread suspended while it moves a record out.
    /// Pushes and lookups of others go on for as many such slots. A push claims one slot, a batch up to 16; a query pins up to 8
    /// records. Each spare slot takes memory once it is needed.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().spare_slots(200).build()?;
    /// # Ok::<(), slipring::BuildError>(())
    /// ```
    pub fn spare_slots(mut self, slots: usize) -> Self {
        self.spares = slots;
        self
    }

    /// For tests: how long a thread that does a shard's work may stand still before others take the work over; `None`: for ever.
    #[doc(hidden)]
    pub fn patience(mut self, lasts: Option<Duration>) -> Self {
        self.patience = lasts;
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
    /// If the numbers can't be: capacity 0, more shards than records, a class that leaves nothing for the rest, bytes that would not hold
    /// a record, no age at all, sizes that overflow. If the thread can't start.
    pub fn build(self) -> Result<Store<T>, BuildError> {
        Store::new(&self)
    }

    /// The split of the capacity over classes and shards, checked.
    pub(crate) fn layouts(&self) -> Result<Layouts, BuildError> {
        let capacity = self.capacity;
        if capacity == 0 {
            return Err(BuildError::NoCapacity);
        }
        if self.max_age.is_some_and(|age| age.is_zero()) {
            return Err(BuildError::NoAge);
        }
        let (signal, names) = (T::NAME, T::INDEXES);
        let names: &[&'static str] = names.as_ref();
        if let Some(&name) =
            names.iter().enumerate().find(|&(at, name)| names[..at].contains(name)).map(|(_, name)| name)
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
        if self.share(smallest).is_some_and(|share| share < size_of::<T>() as u64) {
            let least = (size_of::<T>() as u128 * capacity as u128).div_ceil(smallest as u128);
            return Err(BuildError::NoBytes { bytes: self.max_bytes.unwrap_or(0), least: least as usize });
        }
        Ok(Layouts { rest, picked })
    }

    /// What of the bytes that records may keep is for a shard of this capacity.
    pub(crate) fn share(&self, capacity: usize) -> Option<u64> {
        let share = |bytes| bytes as u128 * capacity as u128 / self.capacity as u128;
        self.max_bytes.map(|bytes| share(bytes) as u64)
    }

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
        let slack = self.slack.unwrap_or_else(|| (base / 4).max(run)).max(1);
        let slots = base.checked_add(1).and_then(|base| base.checked_add(slack)).filter(|&slots| slots < 1 << 31);
        let slots = slots.and_then(|slots| slots.checked_add(self.spares)).filter(|&slots| slots < 1 << 31);
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

/// How a capacity is split over classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layouts {
    pub(crate) rest: Layout,
    pub(crate) picked: Option<Layout>,
}

/// How a class's capacity is split over shards.
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
            let layout = Builder::<Span>::new().capacity(capacity).shards(shards).layouts().unwrap().rest;
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
        let build = |capacity, shards| Builder::<Span>::new().capacity(capacity).shards(shards).layouts().unwrap_err();
        assert_eq!(build(0, 1), BuildError::NoCapacity);
        assert!(build(3, 4).to_string().contains("1 to 3 shards"));
        assert!(build(3, 0).to_string().contains("0 shards"));
        assert!(matches!(build(usize::MAX, 1), BuildError::TooLarge { .. }));
        assert!(matches!(build(1 << 33, 2), BuildError::TooLarge { .. }));
        let builder = Builder::<Span>::new().capacity(10);
        for records in [0, 10, 11] {
            assert!(builder.clone().error_class(records).layouts().unwrap_err().to_string().contains("1 to 9"));
        }
        assert_eq!(builder.clone().max_age(Duration::ZERO).layouts().unwrap_err(), BuildError::NoAge);
        let least = 10 * size_of::<Span>();
        let builder = builder.error_class(1);
        assert_eq!(builder.clone().max_bytes(9).layouts().unwrap_err(), BuildError::NoBytes { bytes: 9, least });
        assert!(builder.clone().max_bytes(least - 1).layouts().is_err());
        assert!(builder.max_bytes(least).layouts().is_ok());
    }
}
