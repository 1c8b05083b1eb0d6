//! The query builder that users call.

mod elsewhere;

use super::execute::{Each, Execution, Visitor};
use super::matching::Match;
use super::nanos::{IntoUnixNanos, inclusive};
use super::plan::{KeyPredicate, Plan, Test};
use super::result::{Answer, Cursor, Order, Report};
use crate::Position;
use crate::engine::bookmark::Bookmark;
use crate::engine::state::Engine;
use crate::engine::tuning::RESERVED_BYTES;
use crate::error::QueryError;
use crate::signal::{Key, KeyBuf, Signal, index_at, index_named, key_of};
use std::ops::{Range, RangeBounds};
use std::sync::Arc;

/// A query over a store: conditions that a record must all meet, an order, and a limit.
///
/// Created by [`Store::query`](crate::Store::query). Without conditions it selects every record.
///
/// A query returns records that were published before it began. Each of them meets the conditions
/// and was in the store at some moment while the query ran. Conditions compare the records' own
/// keys, not their hashes. A query never waits, neither for producers nor for other readers. While
/// followers exist, a query that indexes a batch on the way also wakes them; it holds a lock
/// briefly to do so.
///
/// ```
/// use slipring::{Match, Order, Span, Store};
/// use slipring::query::Level;
/// use slipring::span::StatusCode;
/// use std::time::Duration;
///
/// let traces: Store<Span> = Store::builder().build()?;
/// let slow_failures = traces
///     .query()
///     .any_of("service", ["cart", "checkout"])
///     .status(StatusCode::Error)
///     .duration(Duration::from_millis(250)..)
///     .attribute("http.route", Match::starts_with("/api/"))
///     .order(Order::Latest)
///     .limit(20)
///     .collect()?;
/// assert!(slow_failures.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it costs
///
/// One key condition drives the query: the one whose keys are rarest, judging by their newest
/// records. The query follows that index's links and looks at nothing else. That is O(records with
/// these keys + records pushed since the indexer's last pass + shards), or about a microsecond for
/// a trace of eight spans. Other key conditions and the time range are checked on slot heads. All
/// other conditions read the record itself. Without a key condition, or where it costs less, the
/// query scans slot by slot. With a time range, a scan skips blocks of 64 records that hold no time
/// in the range. [`Report::looked_at`] is the number of heads that the query looked at.
///
/// A query that finds many unindexed records first indexes a small batch of them, unless another
/// thread is doing so; later queries then have fewer to scan. [`collect`](Query::collect) clones
/// each record. For spans with many attributes the clone costs far more than the search, so prefer
/// [`for_each`](Query::for_each).
///
/// A query pins up to eight records at a time, those that it is about to show, and prevents the
/// reuse of their slots. It holds nothing else back.
#[must_use]
pub struct Query<'a, T: Signal> {
    engine: &'a Engine<T>,
    plan: Plan<'a, T>,
    order: Option<Order>,
    limit: usize,
    bounds: Option<Box<[Range<u64>]>>,
    after: Option<Box<Cursor>>,
    follows: bool,
    /// Whether the query has an end (a bookmark, or the snapshot that a page continues), so that it
    /// cannot be followed.
    ends: bool,
    /// The first error in the query's conditions, reported when the query runs.
    invalid: Option<Box<QueryError>>,
}

impl<'a, T: Signal> Query<'a, T> {
    pub(crate) fn new(engine: &'a Engine<T>) -> Self {
        let plan = Plan::everything();
        Self {
            engine,
            plan,
            order: None,
            limit: usize::MAX,
            bounds: None,
            after: None,
            follows: false,
            ends: false,
            invalid: None,
        }
    }

    pub(crate) fn engine(&self) -> &'a Engine<T> {
        self.engine
    }

    /// Returns whether the query selects everything that the store holds.
    pub(crate) fn asks_for_all(&self) -> bool {
        let Plan { keys, times, tests } = &self.plan;
        let all = keys.is_empty() && tests.is_empty() && *times == (0..=u64::MAX);
        all && self.limit == usize::MAX && self.bounds.is_none() && self.after.is_none()
    }

    pub(super) fn fail(mut self, error: QueryError) -> Self {
        self.invalid.get_or_insert_with(|| Box::new(error));
        self
    }

    // --- conditions ---

    /// Keeps records with exactly this key in the named index. Numbers are `u64`: `.key("worker",
    /// 2_u64)`. A key of a kind that the index never holds is an [error](QueryError::WrongKey).
    ///
    /// ```
    /// use slipring::error::QueryError;
    /// use slipring::{LogRecord, Severity, Store, TraceId};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.push(LogRecord::builder().trace_id(TraceId::from(7)).severity(Severity::WARN).build())?;
    ///
    /// let of_trace = logs.query().key("trace", TraceId::from(7));
    /// assert_eq!(of_trace.key("severity", Severity::WARN).count()?, 1);
    /// let wrong = logs.query().key("trace", "seven").count();
    /// assert!(matches!(wrong, Err(QueryError::WrongKey { index: "trace", .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn key<'k>(self, index: &str, key: impl Into<Key<'k>>) -> Self {
        self.any_of(index, [key])
    }

    /// Keeps records with one of these keys in the named index. An empty list of keys selects
    /// nothing.
    #[inline]
    pub fn any_of<'k, K: Into<Key<'k>>>(
        mut self,
        index: &str,
        keys: impl IntoIterator<Item = K>,
    ) -> Self {
        match index_named::<T>(index) {
            Ok(index) => {
                let mut wanted = KeyPredicate::new(index);
                for key in keys {
                    let key = key.into();
                    if let Some(expected) = index_at::<T>(index).wrong_key(key) {
                        return self.fail(wrong_key::<T>(index, key, expected));
                    }
                    wanted.add(self.engine.fingerprints.of(key), key);
                }
                wanted.finish();
                self.plan.keys.push(wanted);
                self
            }
            Err(error) => self.fail(error),
        }
    }

    /// Keeps records that have none of these keys in the named index. The index does not speed this
    /// up: the query reads each record that meets the other conditions.
    pub fn none_of<'k, K: Into<Key<'k>>>(
        self,
        index: &str,
        keys: impl IntoIterator<Item = K>,
    ) -> Self {
        let index = match index_named::<T>(index) {
            Ok(index) => index,
            Err(error) => return self.fail(error),
        };
        let mut unwanted: Vec<KeyBuf> = Vec::new();
        for key in keys {
            let key = key.into();
            if let Some(expected) = index_at::<T>(index).wrong_key(key) {
                return self.fail(wrong_key::<T>(index, key, expected));
            }
            unwanted.push(key.to_owned());
        }
        unwanted.sort_unstable();
        let is_unwanted =
            move |key: Key<'_>| unwanted.binary_search_by(|one| one.as_key().cmp(&key)).is_ok();
        self.test(true, move |record| !key_of(record, index).is_some_and(&is_unwanted))
    }

    /// Keeps records whose key in the named index matches, for example by a pattern. The index does
    /// not speed this up: the query reads each record that meets the other conditions.
    ///
    /// ```
    /// use slipring::{Match, Span, Store};
    ///
    /// let traces: Store<Span> = Store::builder().build()?;
    /// let carts = traces.query().key_matches("service", Match::like("cart-*")).key_matches("name", !Match::contains("health"));
    /// assert_eq!(carts.count()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key_matches(self, index: &str, value: Match) -> Self {
        match index_named::<T>(index).and_then(|index| Ok((index, value.compile()?))) {
            Ok((index, test)) => {
                self.test(true, move |record| test.accepts_key(key_of(record, index)))
            }
            Err(error) => self.fail(error),
        }
    }

    /// Keeps records whose timestamp lies in this range: of [`SystemTime`](std::time::SystemTime)s,
    /// or of nanoseconds since the Unix epoch.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    /// use std::time::{Duration, SystemTime};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.push(LogRecord::builder().time_unix_nanos(1_700_000_000_000_000_000).build())?;
    ///
    /// let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    /// assert_eq!(logs.query().between(hour_ago..).count()?, 0);
    /// assert_eq!(logs.query().between(1_700_000_000_000_000_000..).count()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn between<V: IntoUnixNanos>(mut self, times: impl RangeBounds<V>) -> Self {
        match inclusive("time", &times, V::unix_nanos) {
            Ok(times) => {
                let (start, end) = (
                    self.plan.times.start().max(times.start()),
                    self.plan.times.end().min(times.end()),
                );
                self.plan.times = *start..=*end;
                self
            }
            Err(error) => self.fail(error),
        }
    }

    /// Keeps records for which `test` returns true. `test` runs on the record in place, so it
    /// should be quick. If it panics, so does the query.
    pub fn filter(self, test: impl Fn(&T) -> bool + Send + Sync + 'a) -> Self {
        self.test(false, test)
    }

    /// Adds a test. `of_series` says whether it is one on keys or attributes.
    pub(super) fn test(
        mut self,
        of_series: bool,
        accepts: impl Fn(&T) -> bool + Send + Sync + 'a,
    ) -> Self {
        self.plan.tests.push(Test { accepts: Arc::new(accepts), of_series });
        self
    }

    /// Keeps records that arrived after the bookmark. The order becomes [oldest](Order::Oldest)
    /// first unless another one is set. The [`Report`] says how many of these records were evicted
    /// unseen, and holds the bookmark from which to continue.
    pub fn since(mut self, bookmark: &Bookmark) -> Self {
        self.follows = true;
        self.bounded(bookmark, |bounds, at| bounds.start = bounds.start.max(at))
    }

    /// Keeps records that arrived before the bookmark.
    pub fn until(mut self, bookmark: &Bookmark) -> Self {
        self.ends = true;
        self.bounded(bookmark, |bounds, at| bounds.end = bounds.end.min(at))
    }

    fn bounded(mut self, bookmark: &Bookmark, bound: impl Fn(&mut Range<u64>, u64)) -> Self {
        let shards = self.engine.shards.len();
        if bookmark.store != self.engine.identity || bookmark.next.len() != shards {
            return self.fail(QueryError::OtherStore);
        }
        let bounds = self.bounds.get_or_insert_with(|| vec![0..u64::MAX; shards].into());
        bounds.iter_mut().zip(&bookmark.next).for_each(|(bounds, &at)| bound(bounds, at));
        self
    }

    /// Continues where a page of the same query ended, in that page's order.
    pub fn after(mut self, cursor: &Cursor) -> Self {
        if cursor.store != self.engine.identity || cursor.left.len() != self.engine.shards.len() {
            return self.fail(QueryError::OtherStore);
        }
        self.ends = true;
        self.after = Some(Box::new(cursor.clone()));
        self
    }

    // --- order and limit ---

    /// Sets the order. The limit keeps the records that come first in it. The default is
    /// [`Newest`](Order::Newest).
    pub fn order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// Sets the most records to return. [`Report::next`] says where the next page begins.
    #[inline]
    pub fn limit(mut self, records: usize) -> Self {
        self.limit = records;
        self
    }

    // --- running the query ---

    /// Runs the query and returns clones of the records.
    ///
    /// # Errors
    /// Returns [`QueryError`] if the query is invalid: it names an index that the signal does not
    /// have, a range that ends before it starts, a malformed pattern, or a bookmark or cursor of
    /// another store.
    pub fn collect(self) -> Result<Answer<T>, QueryError>
    where
        T: Clone,
    {
        let mut copies = Copies { records: Vec::new(), positions: Vec::new() };
        let report = self.execution()?.run(&mut copies);
        Ok(Answer { records: copies.records, positions: copies.positions, report })
    }

    /// Runs the query and calls `visit` with each record, in place.
    ///
    /// `visit` should be quick: while it runs, the slots of up to eight records cannot be reused.
    /// It may push (such a push does not wait) but must not flush or shut down. If it panics, so
    /// does this call.
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    #[inline]
    pub fn for_each(self, visit: impl FnMut(Position, &T)) -> Result<Report, QueryError> {
        Ok(self.execution()?.run(&mut Each(visit)))
    }

    /// Checks that the query is valid and has no end, so that a follower can repeat it from where
    /// it ended.
    pub(crate) fn can_be_followed(mut self) -> Result<(), QueryError> {
        if self.ends || self.limit == 0 {
            self = self.fail(QueryError::EndsSomewhere);
        }
        self.execution().map(drop)
    }

    /// Does what [`for_each`](Self::for_each) does, but without a limit the records come in no
    /// particular order: shard by shard, as the scans find them, which costs less.
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn for_each_unordered(self, visit: impl FnMut(Position, &T)) -> Result<Report, QueryError> {
        let execution = Execution { unordered: true, ..self.execution()? };
        Ok(execution.run(&mut Each(visit)))
    }

    /// Runs the query and returns the number of records. Copies nothing.
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn count(self) -> Result<usize, QueryError> {
        Ok(self.for_each_unordered(|_, _| ())?.shown as usize)
    }

    /// Returns the query's conditions as a test for records that are not in the store, such as
    /// those that a consumer has put aside. The order, the limit, bookmarks and cursors are no
    /// conditions on a record, and are left out.
    ///
    /// ```
    /// use slipring::{LogRecord, Severity, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// let is_warning = logs.query().key("severity", Severity::WARN).into_test()?;
    /// assert!(is_warning(&LogRecord::builder().severity(Severity::WARN).build()));
    /// assert!(!is_warning(&LogRecord::default()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn into_test(self) -> Result<impl Fn(&T) -> bool + 'a, QueryError> {
        let Self { engine, plan, invalid, .. } = self;
        match invalid {
            Some(error) => Err(*error),
            None => Ok(move |record: &T| {
                plan.times.contains(&record.timestamp()) && plan.meets(engine, record)
            }),
        }
    }

    #[inline(always)]
    pub(super) fn execution(mut self) -> Result<Execution<'a, T>, QueryError> {
        if let Some(error) = self.invalid {
            return Err(*error);
        }
        let mut order =
            self.order.unwrap_or(if self.follows { Order::Oldest } else { Order::Newest });
        let mut last = None;
        if self.follows {
            // Stop at the cut: a record that is being published now, and everything after it in its
            // shard, comes with the next bookmark.
            let bounds = self.bounds.iter_mut().flat_map(|bounds| bounds.iter_mut());
            bounds
                .zip(self.engine.cut())
                .for_each(|(bounds, cut)| bounds.end = bounds.end.min(cut));
        }
        let counts_missed = self.follows || self.after.is_some();
        if let Some(after) = self.after {
            let Cursor { order: page_order, left, last: last_shown, .. } = *after;
            (order, last) = (page_order, last_shown);
            let bounds = self.bounds.get_or_insert_with(|| vec![0..u64::MAX; left.len()].into());
            for (bounds, &(start, end)) in bounds.iter_mut().zip(&left) {
                *bounds = bounds.start.max(start)..bounds.end.min(end);
            }
        }
        let bounds = self.bounds.iter_mut().flat_map(|bounds| bounds.iter_mut());
        bounds.zip(&self.engine.shards).for_each(|(bounds, shard)| {
            // Deserialized bookmarks and cursors may hold any number, so clamp them to what was
            // claimed.
            bounds.start = bounds.start.min(shard.claimed());
            bounds.end = bounds.end.max(bounds.start);
        });
        let Self { engine, plan, limit, bounds, follows, .. } = self;
        Ok(Execution {
            engine,
            plan,
            order,
            limit,
            bounds,
            last,
            follows,
            counts_missed,
            unordered: false,
        })
    }
}

impl<T: Signal> std::fmt::Debug for Query<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query")
            .field("signal", &T::NAME)
            .field("keys", &self.plan.keys)
            .field("times", &self.plan.times)
            .field("tests", &self.plan.tests.len())
            .field("order", &self.order)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// A visitor that clones each record.
struct Copies<T> {
    records: Vec<T>,
    positions: Vec<Position>,
}

impl<T: Clone> Visitor<T> for Copies<T> {
    fn expect(&mut self, records: usize) {
        // No more than fits `RESERVED_BYTES`: a limit says little of how many there are.
        let records = records.min((RESERVED_BYTES / size_of::<T>().max(1)).max(1));
        self.records.reserve_exact(records);
        self.positions.reserve_exact(records);
    }

    fn visit(&mut self, position: Position, record: &T) {
        self.records.push(record.clone());
        self.positions.push(position);
    }
}

#[cold]
fn wrong_key<T: Signal>(index: usize, key: Key<'_>, expected: &'static str) -> QueryError {
    let index = index_at::<T>(index).name();
    QueryError::WrongKey { signal: T::NAME, index, key: format!("{key:?}"), instead: expected }
}
