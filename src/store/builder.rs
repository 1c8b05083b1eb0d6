//! The builder of a store.

use crate::engine::ring::Class;
use crate::engine::settings::{ClassPredicate, Counting, OnFull, Settings};
use crate::error::BuildError;
use crate::signal::{Signal, index_at, index_named, index_names};
use crate::store::Store;
use crate::store::shares::Shares;
use std::sync::Arc;
use std::time::Duration;

/// Builds a [`Store`].
///
/// ```
/// use slipring::{OnFull, Span, Store};
///
/// let builder = Store::<Span>::builder().capacity(50_000).shards(4).on_full(OnFull::Reject);
/// let store = builder.build()?;
/// assert_eq!(store.capacity(), 50_000);
/// # Ok::<(), slipring::error::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct StoreBuilder<T> {
    pub(crate) settings: Settings<T>,
}

impl<T: Signal> StoreBuilder<T> {
    pub(crate) fn new() -> Self {
        Self { settings: Settings::new() }
    }

    /// Sets how many records the store keeps. The default is the signal's own. Once that many
    /// records are in the store, each push evicts the oldest record of its shard. Memory for all
    /// records is reserved at once, and used as they arrive: see the [guide](crate::guide).
    pub fn capacity(mut self, records: usize) -> Self {
        self.settings.capacity = records;
        self
    }

    /// Sets how many shards the capacity is split over, to ±1 record. The default is two for each
    /// core, but none with fewer than 512 records, so small stores have one.
    ///
    /// Each shard takes one producer at full speed. Producers contend if more of them push at once
    /// than there are shards. A lookup asks all shards, at some 0.2 µs each.
    ///
    /// A [class](StoreBuilder::class) of its own has its own shards beside these.
    ///
    /// With one shard, retention is exact: the store keeps the newest `capacity` records and no
    /// others. With several shards, each keeps the newest of the records that were pushed to it.
    /// Then, of the newest `capacity` records, at most one run is missing for each shard and each
    /// producer. A run is at most a thirty-second part of a shard, or 64 records where that is
    /// more, and never more than 256. A shard in which a reader or a push is suspended for long
    /// takes no records once it is full. The store makes up for that within `capacity` pushes.
    pub fn shards(mut self, shards: usize) -> Self {
        self.settings.shards = Some(shards);
        self
    }

    /// Sets what [`Store::push`] does when no slot is free. By default it waits.
    pub fn on_full(mut self, policy: OnFull) -> Self {
        self.settings.on_full = policy;
        self
    }

    /// Builds a store without an indexer thread. [`Store::step`] does the indexer's work, and so
    /// does a push that finds no room. Answers are the same at every instant. Only hooks, and the
    /// memory of evicted records, wait for a step.
    pub fn manual(mut self) -> Self {
        self.settings.manual = true;
        self
    }

    /// Sets the most bytes that one record may take: its slot plus its own
    /// [`heap_bytes`](Signal::heap_bytes). Larger records are handed back with
    /// [`Rejection::TooLarge`](crate::error::Rejection::TooLarge), and counted. By default there is
    /// no limit. A limit below the size of the record's type is an error of
    /// [`build`](StoreBuilder::build), because no record would fit.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    /// use slipring::error::Rejection;
    ///
    /// let logs: Store<LogRecord> = Store::builder().max_record_bytes(1_024).build()?;
    /// let large = LogRecord::builder().body(&"x".repeat(1_000)).build();
    /// let refused = logs.push(large).unwrap_err();
    /// assert!(matches!(refused.reason, Rejection::TooLarge { bytes: 1_001.., most: 1_024 }));
    /// assert!(refused.record.body().is_some(), "the record is handed back");
    /// # Ok::<(), slipring::error::BuildError>(())
    /// ```
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_record_bytes = Some(bytes);
        self
    }

    /// Limits the bytes that records may keep, in addition to their number: their slots plus their
    /// own [`heap_bytes`](Signal::heap_bytes). Above the limit, the oldest records of a shard are
    /// evicted with the reason [`Bytes`](crate::store::EvictReason::Bytes). By default there is no
    /// limit.
    ///
    /// Each shard gets a part of the limit in proportion to its capacity. The limit is applied as
    /// records are indexed: within a millisecond or so, or by [`flush`](Store::flush). Until then,
    /// and until evicted records are reclaimed, a shard's records may take a quarter more, plus one
    /// record. When that is used up, a push finds no room, as if no slot were free.
    ///
    /// A record that alone takes more than its shard's part, or more than 4 GiB of heap, is [too
    /// large](crate::error::Rejection::TooLarge). With a class of its own, or with many shards,
    /// that part is small. Memory for all slots of the capacity is reserved regardless of this
    /// limit.
    ///
    /// The contents of [`Shared`](crate::Shared) parts do not count here. They have a limit of
    /// their own, of the same size. While the parts that this store's records brought take more,
    /// the oldest records of each shard are evicted, a few at a time, until enough parts have been
    /// freed with them. So parts that exceed the limit while something else holds them leave no
    /// room for records.
    ///
    /// Records that came in one OTLP request count their own bytes of it, and the request stays in
    /// memory until the last of them leaves. So a request of which only some records are left takes
    /// up to 256 KiB more than is counted. Those are the oldest requests of the store: one or two
    /// for each thread that ingests.
    ///
    /// With this limit, a push costs one more atomic operation.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    /// use slipring::store::EvictReason;
    ///
    /// let builder = Store::<LogRecord>::builder().capacity(1_000).shards(1).max_bytes(100_000);
    /// let logs = builder.build()?;
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

    /// Sets how long a record may stay, counted from its push. Then it is evicted with the reason
    /// [`Age`](crate::store::EvictReason::Age). By default there is no limit.
    ///
    /// This limit never evicts a record early. It evicts a record late by at most a sixty-fourth
    /// part of this time, some milliseconds, and the time that hooks take for some hundred records.
    /// In a manual store, [`step`](Store::step) applies the limit, and a record's age counts from
    /// the first step that finds the record. A push costs nothing for it. The thread of an idle
    /// store wakes when something is due.
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

    /// Reserves `records` of the capacity for errors, in a class of their own. Records that are
    /// [errors](Signal::is_error) go there, so that a flood of other records does not evict them.
    /// Spans and log records can be errors, metric points cannot.
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

    /// Reserves room like [`error_class`](StoreBuilder::error_class), for the records for which
    /// `picks` returns true. `picks` runs on the pushing thread, before the record enters the ring,
    /// and must not block. A store has at most one such class: to call this or `error_class` twice is
    /// an error of [`build`](StoreBuilder::build).
    ///
    /// Everything else is the same as without a class: the order of records, what queries see, and
    /// how positions are named. A thread that alternates between the classes begins a new run each
    /// time, which costs as much as another push.
    pub fn class(
        mut self,
        records: usize,
        picks: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.is_second_class |= self.settings.class.is_some();
        self.settings.class = Some((records, ClassPredicate::new(picks)));
        self
    }

    /// Limits what the records with one key of this index may take to a percentage of the capacity,
    /// from 1 to 99. A key that has more evicts its own oldest records, or those of other keys that
    /// have too much. By default there is no limit. A store has shares of one index at most.
    ///
    /// A quarter of a share is reserved as an overflow. A key that has three quarters of its share
    /// in the rest has what comes beyond in the overflow, which all such keys share. So beside one
    /// noisy key, the others keep at least their newest records to the number of the capacity
    /// without the share; to within some runs, in a store with several
    /// [shards](StoreBuilder::shards). The bytes of a record do not count. With a
    /// [byte limit](StoreBuilder::max_bytes), the overflow has its part of the bytes, and refuses a
    /// record that is larger than its shards' parts.
    ///
    /// Up to 1,024 keys are counted at once, in 8 KiB; somewhat fewer if their hashes crowd. Two of
    /// them are taken for one with a chance of 2⁻³⁹. The records of further keys go to
    /// the overflow, and [`Stats::shares`](crate::store::Stats::shares) counts them. Records without a key
    /// have a share together. A key whose last record has left the rest gives its place up.
    ///
    /// The overflow is the store's [class](StoreBuilder::class) of its own, so there can be no other
    /// one. A push reads the key once more and costs one more atomic operation, on a word that the
    /// producers of one key share. A record for the overflow is copied out of its request. Evicted
    /// records are counted by a [hook](Store::on_evict), and until it has run, they count as held.
    ///
    /// ```
    /// use slipring::{Resource, Scope, Source, Span, Store};
    ///
    /// let traces: Store<Span> = Store::builder().capacity(1_000).share("service", 20).build()?;
    /// let span = |service: &'static str| {
    ///     let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
    ///     Span::builder().source(&source).build()
    /// };
    /// traces.push(span("quiet"))?;
    /// for _ in 0..10_000 {
    ///     traces.push(span("noisy"))?;
    /// }
    /// assert_eq!(traces.query().key("service", "quiet").count()?, 1);
    /// assert!(traces.query().key("service", "noisy").count()? <= 200);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn share(mut self, index: &str, percent: u8) -> Self {
        self.settings.is_second_share |= self.settings.share.is_some();
        self.settings.share = Some((index.into(), percent));
        self
    }

    /// Sets how many spare slots each shard has. The default is 48.
    ///
    /// A spare slot replaces one that a suspended thread holds: a producer suspended between its
    /// claim and its publish, a reader that keeps a record pinned, or a thread suspended while it
    /// moves a record out. Other threads' pushes and lookups go on while spare slots are left. A
    /// push claims one slot, a batch up to 16, and a query pins up to 8 records. A spare slot takes
    /// memory only once it is used.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().spare_slots(200).build()?;
    /// # Ok::<(), slipring::error::BuildError>(())
    /// ```
    pub fn spare_slots(mut self, slots: usize) -> Self {
        self.settings.spares = slots;
        self
    }

    /// Builds the store and starts its indexer thread.
    ///
    /// # Errors
    /// [`BuildError`] if the settings are invalid: capacity 0, more shards than records, a class
    /// that leaves nothing for the other records, two classes, a byte limit below one record, a
    /// greatest age of zero, two indexes with one name, or sizes that overflow. Also if there is no
    /// memory for the slots, or the thread cannot start.
    ///
    /// Also if the [share](StoreBuilder::share) of a key is none, is of an index that the signal
    /// does not have, or stands beside a class or another share.
    pub fn build(mut self) -> Result<Store<T>, BuildError> {
        if let Some((index, percent)) = self.settings.share.take() {
            self.settings.class = Some(self.settings.overflow(&index, percent)?);
        }
        let store = Store::new(&self.settings)?;
        let predicate = self.settings.class.map(|(_, predicate)| predicate);
        if let Some(predicate) = predicate.filter(|one| one.counts().is_some()) {
            // Before the first push, so that it sees each record that leaves.
            let common = store.engine.router.shards_of(Class::Rest);
            store.on_evict(move |position, record, _| {
                if let Some(counting) =
                    predicate.counts().filter(|_| common.contains(&position.shard()))
                {
                    (counting.leaves)(record);
                }
            });
        }
        Ok(store)
    }
}

impl<T: Signal> Settings<T> {
    /// Makes the class that takes what goes beyond the shares of keys.
    fn overflow(&self, index: &str, percent: u8) -> Result<(usize, ClassPredicate<T>), BuildError> {
        if self.class.is_some() {
            return Err(BuildError::ShareAndClass);
        }
        let Ok(number) = index_named::<T>(index) else {
            let (signal, known) = (T::NAME, index_names::<T>());
            return Err(BuildError::ShareOfNoIndex { signal, index: index.to_owned(), known });
        };
        let shares = Shares::new(self.capacity, percent);
        let shares = shares.ok_or(BuildError::Share { percent, capacity: self.capacity })?;
        let (records, shares) = (shares.overflow(), Arc::new(shares));
        let index = index_at::<T>(number);
        let [coming, leaving, told] = [0; 3].map(|_| Arc::clone(&shares));
        let counting = Counting {
            leaves: Box::new(move |record: &T| leaving.leaves(index.key(record))),
            told: Box::new(move || told.stats()),
        };
        let picks = move |record: &T| coming.diverts(index.key(record));
        Ok((records, ClassPredicate::new(picks).counting(counting)))
    }
}

impl<T: Signal> Store<T> {
    /// Starts building a store.
    pub fn builder() -> StoreBuilder<T> {
        StoreBuilder::new()
    }
}
