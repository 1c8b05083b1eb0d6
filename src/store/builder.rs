//! The builder of a store.

use crate::engine::settings::{OnFull, Picks, Settings};
use crate::error::BuildError;
use crate::signal::Signal;
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;

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
    pub(crate) settings: Settings<T>,
}

impl<T: Signal> Builder<T> {
    pub(crate) fn new() -> Self {
        Self { settings: Settings::new() }
    }

    /// How many records the store keeps; the signal's own default if not given. From one more on, each push evicts the oldest of its
    /// shard. Memory for all of them is reserved at once, and taken as they come: see the crate's page on sizing.
    pub fn capacity(mut self, records: usize) -> Self {
        self.settings.capacity = records;
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
        self.settings.shards = Some(shards);
        self
    }

    /// What [`Store::push`] does when no slot is free; by default it waits.
    pub fn on_full(mut self, policy: OnFull) -> Self {
        self.settings.on_full = policy;
        self
    }

    /// A store without an indexer thread: [`Store::step`] does its work, and so does a push that finds no room. Answers
    /// are the same at every instant; only memory of evicted records and hooks wait for a step.
    pub fn manual(mut self) -> Self {
        self.settings.manual = true;
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
        self.settings.max_record_bytes = Some(bytes);
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
        self.settings.max_bytes = Some(bytes);
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
        self.settings.max_age = Some(age);
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
        self.settings.class = Some((records, Picks(Arc::new(picks))));
        self
    }

    /// For tests: narrow fingerprints, so that keys collide.
    #[doc(hidden)]
    pub fn fingerprint_bits(mut self, bits: u32) -> Self {
        self.settings.fingerprint_bits = bits;
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
        self.settings.spares = slots;
        self
    }

    /// For tests: how long a thread that does a shard's work may stand still before others take the work over; `None`: for ever.
    #[doc(hidden)]
    pub fn patience(mut self, lasts: Option<Duration>) -> Self {
        self.settings.patience = lasts;
        self
    }

    /// For tests: slots beyond the capacity in each shard.
    #[doc(hidden)]
    pub fn slack(mut self, slots: usize) -> Self {
        self.settings.slack = Some(slots);
        self
    }

    /// Builds the store and starts its indexer thread.
    ///
    /// # Errors
    /// If the numbers can't be: capacity 0, more shards than records, a class that leaves nothing for the rest, bytes that would not hold
    /// a record, no age at all, sizes that overflow. If the thread can't start.
    pub fn build(self) -> Result<Store<T>, BuildError> {
        Store::new(&self.settings)
    }
}

impl<T: Signal> Store<T> {
    /// Starts describing a store.
    pub fn builder() -> Builder<T> {
        Builder::new()
    }
}
