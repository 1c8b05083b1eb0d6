//! Asking: the query that users build.

use super::execute::{Each, Execution, Visitor};
use super::filter::{Attributed, Level};
use super::matching::Match;
use super::plan::{KeyPredicate, Plan};
use super::result::{Answer, Cursor, Order, Report};
use crate::Position;
use crate::engine::bookmark::Bookmark;
use crate::engine::state::Engine;
use crate::error::QueryError;
use crate::signal::{Key, KeyBuf, LogRecord, Severity, Signal, Span, StatusCode, index_named};
use std::ops::{Bound, Range, RangeBounds, RangeInclusive};

/// A question to a store, made by [`Store::query`](crate::Store::query): conditions, all of which a record must meet, an order,
/// and a limit. Without conditions it asks for everything.
///
/// It answers what was published before it began, and only records that meet the conditions and were in the store at some moment
/// of the query: the records' own keys are compared, not their hashes. It never waits, for writers or for other readers; but who
/// indexes a batch on the way, while somebody follows the store, wakes him under a lock that is held for a moment.
///
/// ```
/// use slipring::{Level, Match, Order, Span, StatusCode, Store};
///
/// let traces: Store<Span> = Store::builder().build()?;
/// let slow_failures = traces
///     .query()
///     .any_of("service", ["cart", "checkout"])
///     .status(StatusCode::Error)
///     .duration(250_000_000..)
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
/// Of the conditions by key the rarest leads, as far as the newest records tell: the query follows that index's links, and looks at
/// nothing else. O(records with its keys + records pushed since the indexer's last pass + shards); about a microsecond for a trace
/// of eight spans. The other keys and the time range are checked on the slots' heads; everything else takes a look at the record.
/// Without a key, or where it costs less, slot after slot is looked at, and a time range leaves out blocks of 64 records that
/// hold no such time. [`Report::looked_at`] says what it was.
///
/// Who finds many records that are not indexed yet indexes a small batch of them, unless somebody else is at it: the next query then
/// has less to look through. [`collect`](Query::collect) clones each record, which for spans with many attributes costs far more than
/// finding it: prefer [`for_each`](Query::for_each).
///
/// While it runs it holds back the reuse of slots in one shard at a time, from the record in hand (and a margin below it) upwards.
#[must_use]
pub struct Query<'a, T: Signal> {
    engine: &'a Engine<T>,
    plan: Plan<'a, T>,
    order: Option<Order>,
    limit: usize,
    bounds: Option<Box<[Range<u64>]>>,
    after: Option<Cursor>,
    follows: bool,
    /// Whether it ends somewhere, by a bookmark or because it is a page's continuation, so that it can't be followed.
    ends: bool,
    /// The first thing that can't mean anything.
    wrong: Option<QueryError>,
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
            wrong: None,
        }
    }

    pub(crate) fn engine(&self) -> &'a Engine<T> {
        self.engine
    }

    /// Whether it asks for everything that the store holds.
    pub(crate) fn asks_for_all(&self) -> bool {
        let Plan { keys, times, tests } = &self.plan;
        let all = keys.is_empty() && tests.is_empty() && *times == (0..=u64::MAX);
        all && self.limit == usize::MAX && self.bounds.is_none() && self.after.is_none()
    }

    fn fails(mut self, error: QueryError) -> Self {
        self.wrong.get_or_insert(error);
        self
    }

    // --- conditions ---

    /// Only records with this key in the index of this name, exactly. Numbers are `u64`: `.key("worker", 2_u64)`. A key that no record
    /// can have there, because it is of another kind, is an [error](QueryError::WrongKey).
    #[inline]
    pub fn key<'k>(self, index: &str, key: impl Into<Key<'k>>) -> Self {
        self.any_of(index, [key])
    }

    /// Only records with one of these keys in the index of this name. Of no keys, there are none.
    #[inline]
    pub fn any_of<'k, K: Into<Key<'k>>>(mut self, index: &str, keys: impl IntoIterator<Item = K>) -> Self {
        match index_named::<T>(index) {
            Ok(index) => {
                let mut wanted = KeyPredicate::new(index);
                for key in keys {
                    let key = key.into();
                    if let Some(instead) = T::wrong_key(index, key) {
                        return self.fails(wrong_key::<T>(index, key, instead));
                    }
                    wanted.add(self.engine.fingerprints.of(key), key);
                }
                wanted.finish();
                self.plan.keys.push(wanted);
                self
            }
            Err(error) => self.fails(error),
        }
    }

    /// Only records that have none of these keys in the index of this name. The index does not help: each record that meets the other
    /// conditions is looked at.
    pub fn none_of<'k, K: Into<Key<'k>>>(self, index: &str, keys: impl IntoIterator<Item = K>) -> Self {
        let index = match index_named::<T>(index) {
            Ok(index) => index,
            Err(error) => return self.fails(error),
        };
        let mut unwanted: Vec<KeyBuf> = Vec::new();
        for key in keys {
            let key = key.into();
            if let Some(instead) = T::wrong_key(index, key) {
                return self.fails(wrong_key::<T>(index, key, instead));
            }
            unwanted.push(key.to_owned());
        }
        unwanted.sort_unstable();
        let is_unwanted = move |key: Key<'_>| unwanted.binary_search_by(|one| one.as_key().cmp(&key)).is_ok();
        self.filter(move |record| !record.key(index).is_some_and(&is_unwanted))
    }

    /// Only records whose key in the index of this name is such, as by a pattern. The index does not help: each record that meets the
    /// other conditions is looked at.
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
            Ok((index, test)) => self.filter(move |record| test.wants_key(record.key(index))),
            Err(error) => self.fails(error),
        }
    }

    /// Only records whose timestamp lies in this range, in nanoseconds since the Unix epoch.
    pub fn between(mut self, times: impl RangeBounds<u64>) -> Self {
        match inclusive("time", &times) {
            Ok(times) => {
                let (start, end) = (self.plan.times.start().max(times.start()), self.plan.times.end().min(times.end()));
                self.plan.times = *start..=*end;
                self
            }
            Err(error) => self.fails(error),
        }
    }

    /// Only records of which this is true. It runs where they lie: it should be quick. If it panics, so does the query.
    pub fn filter(mut self, test: impl Fn(&T) -> bool + Send + Sync + 'a) -> Self {
        self.plan.tests.push(Box::new(test));
        self
    }

    /// Only what arrived after the bookmark, [oldest](Order::Oldest) first unless another order is asked for. The
    /// [`Report`] says how much of it was evicted unseen, and gives the bookmark from which to go on.
    pub fn since(mut self, bookmark: &Bookmark) -> Self {
        self.follows = true;
        self.bounded(bookmark, |bounds, at| bounds.start = bounds.start.max(at))
    }

    /// Only what arrived before the bookmark.
    pub fn until(mut self, bookmark: &Bookmark) -> Self {
        self.ends = true;
        self.bounded(bookmark, |bounds, at| bounds.end = bounds.end.min(at))
    }

    fn bounded(mut self, bookmark: &Bookmark, bound: impl Fn(&mut Range<u64>, u64)) -> Self {
        let shards = self.engine.shards.len();
        if bookmark.store != self.engine.identity || bookmark.next.len() != shards {
            return self.fails(QueryError::OtherStore);
        }
        let bounds = self.bounds.get_or_insert_with(|| vec![0..u64::MAX; shards].into());
        bounds.iter_mut().zip(&bookmark.next).for_each(|(bounds, &at)| bound(bounds, at));
        self
    }

    /// Goes on where a page of the same query ended, in the order of that page.
    pub fn after(mut self, cursor: &Cursor) -> Self {
        if cursor.store != self.engine.identity || cursor.left.len() != self.engine.shards.len() {
            return self.fails(QueryError::OtherStore);
        }
        self.ends = true;
        self.after = Some(cursor.clone());
        self
    }

    // --- what of it ---

    /// In this order; the limit keeps what comes first. [`Newest`](Order::Newest) unless told otherwise.
    pub fn order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// At most this many records. [`Report::next`] says where the next ones are.
    #[inline]
    pub fn limit(mut self, records: usize) -> Self {
        self.limit = records;
        self
    }

    // --- ends ---

    /// The records, copied out.
    ///
    /// # Errors
    /// [`QueryError`] if the query can't mean anything: it names an index that the signal has not, a range that ends before it
    /// starts, a pattern that is none, a bookmark or a cursor of another store.
    pub fn collect(self) -> Result<Answer<T>, QueryError>
    where
        T: Clone,
    {
        let mut copies = Copies { records: Vec::new(), positions: Vec::new() };
        let report = self.execution()?.run(&mut copies);
        Ok(Answer { records: copies.records, positions: copies.positions, report })
    }

    /// Shows each record to `visit`, in place.
    ///
    /// `visit` should be quick: while it runs, slots of one shard are not reused. It may push (a push does not wait there)
    /// but not flush or shut down. If it panics, so does this call.
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    #[inline]
    pub fn for_each(self, visit: impl FnMut(Position, &T)) -> Result<Report, QueryError> {
        Ok(self.execution()?.run(&mut Each(visit)))
    }

    /// Whether it can be asked again and again from where it ended.
    pub(crate) fn can_be_followed(mut self) -> Result<(), QueryError> {
        if self.ends || self.limit == 0 {
            self = self.fails(QueryError::EndsSomewhere);
        }
        self.execution().map(drop)
    }

    /// As `for_each`, but in no order, if there is no limit: shard by shard, as they are found, which costs less.
    pub(crate) fn for_each_unordered(self, visit: impl FnMut(Position, &T)) -> Result<Report, QueryError> {
        let search = Execution { unordered: true, ..self.execution()? };
        Ok(search.run(&mut Each(visit)))
    }

    /// How many there are. Copies nothing.
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn count(self) -> Result<usize, QueryError> {
        Ok(self.for_each_unordered(|_, _| ())?.shown as usize)
    }

    pub(super) fn execution(mut self) -> Result<Execution<'a, T>, QueryError> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let mut order = self.order.unwrap_or(if self.follows { Order::Oldest } else { Order::Newest });
        let mut last = None;
        if self.follows {
            // What is being published comes with the next bookmark, and whatever comes after it in its shard.
            let bounds = self.bounds.iter_mut().flat_map(|bounds| bounds.iter_mut());
            bounds.zip(self.engine.cut()).for_each(|(bounds, cut)| bounds.end = bounds.end.min(cut));
        }
        let counts = self.follows || self.after.is_some();
        if let Some(Cursor { order: wanted, left, last: shown, .. }) = self.after {
            (order, last) = (wanted, shown);
            let bounds = self.bounds.get_or_insert_with(|| vec![0..u64::MAX; left.len()].into());
            for (bounds, &(start, end)) in bounds.iter_mut().zip(&left) {
                *bounds = bounds.start.max(start)..bounds.end.min(end);
            }
        }
        let bounds = self.bounds.iter_mut().flat_map(|bounds| bounds.iter_mut());
        bounds.zip(&self.engine.shards).for_each(|(bounds, shard)| {
            // Bookmarks and cursors can be read from anywhere.
            bounds.start = bounds.start.min(shard.claimed());
            bounds.end = bounds.end.max(bounds.start);
        });
        let Self { engine, plan, limit, bounds, follows, .. } = self;
        Ok(Execution { engine, plan, order, limit, bounds, last, follows, counts, unordered: false })
    }
}

/// What may be asked of records with attributes.
impl<T: Signal + Attributed> Query<'_, T> {
    /// Only records with such an attribute, at whatever level: their own, their resource's, their scope's, an event's, a
    /// link's or an exemplar's. Of a [negation](Match::Not): only records that have the attribute somewhere, and nowhere so.
    pub fn attribute(self, name: impl Into<Box<str>>, value: Match) -> Self {
        self.with_attribute(None, name.into(), value)
    }

    /// Only records with such an attribute at this level.
    pub fn attribute_at(self, level: Level, name: impl Into<Box<str>>, value: Match) -> Self {
        self.with_attribute(Some(level), name.into(), value)
    }

    fn with_attribute(self, level: Option<Level>, name: Box<str>, value: Match) -> Self {
        match value.compile() {
            Ok(test) => self.filter(move |record| test.wants(|fits| record.any_value(level, &name, fits))),
            Err(error) => self.fails(error),
        }
    }
}

/// What may be asked of spans.
impl Query<'_, Span> {
    /// Only spans that took so long, in nanoseconds. A span whose start or end is not known took no time that can be told, and is left
    /// out unless any time will do.
    pub fn duration(self, nanoseconds: impl RangeBounds<u64>) -> Self {
        match inclusive("duration", &nanoseconds) {
            Ok(range) if range == (0..=u64::MAX) => self,
            Ok(range) => self.filter(move |span| span.known_duration().is_some_and(|took| range.contains(&took))),
            Err(error) => self.fails(error),
        }
    }

    /// Only spans with an event whose name is such; of a [negation](Match::Not), only spans with events, none of which has such a name.
    pub fn event(self, name: Match) -> Self {
        match name.compile() {
            Ok(test) => {
                self.filter(move |span| test.wants(|fits| span.events().iter().any(|event| fits(event.name().into()))))
            }
            Err(error) => self.fails(error),
        }
    }

    /// Only spans with this status.
    pub fn status(self, code: StatusCode) -> Self {
        self.filter(move |span| span.status_code() == code)
    }
}

/// What may be asked of log records.
impl Query<'_, LogRecord> {
    /// Only records at least as grave: with a severity from this number to 24. By the index, for any severity above
    /// [`UNSPECIFIED`](Severity::UNSPECIFIED); below, records whose severity was not said count too.
    pub fn severity_at_least(self, severity: Severity) -> Self {
        if severity <= Severity::UNSPECIFIED {
            return self.filter(move |record| (severity..=Severity::FATAL4).contains(&record.severity()));
        }
        self.any_of("severity", (severity.0..=Severity::FATAL4.0).map(Severity))
    }

    /// Only records whose body is such.
    pub fn body(self, value: Match) -> Self {
        match value.compile() {
            Ok(test) => self.filter(move |record| test.wants(|fits| record.body().is_some_and(fits))),
            Err(error) => self.fails(error),
        }
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

/// Copies what it is shown.
struct Copies<T> {
    records: Vec<T>,
    positions: Vec<Position>,
}

impl<T: Clone> Visitor<T> for Copies<T> {
    fn expect(&mut self, records: usize) {
        self.records.reserve_exact(records);
        self.positions.reserve_exact(records);
    }

    fn visit(&mut self, position: Position, record: &T) {
        self.records.push(record.clone());
        self.positions.push(position);
    }
}

#[cold]
fn wrong_key<T: Signal>(index: usize, key: Key<'_>, instead: &'static str) -> QueryError {
    let index = T::INDEXES.as_ref()[index];
    QueryError::WrongKey { signal: T::NAME, index, key: format!("{key:?}"), instead }
}

/// A range with both its ends. One that holds nothing may be asked for, one that ends before it starts not.
fn inclusive(what: &'static str, range: &impl RangeBounds<u64>) -> Result<RangeInclusive<u64>, QueryError> {
    let (start, starts_after) = match range.start_bound() {
        Bound::Unbounded => (0, false),
        Bound::Included(&start) => (start, false),
        Bound::Excluded(&start) => (start, true),
    };
    let (end, ends_before) = match range.end_bound() {
        Bound::Unbounded => (u64::MAX, false),
        Bound::Included(&end) => (end, false),
        Bound::Excluded(&end) => (end, true),
    };
    if end < start {
        return Err(QueryError::EndsBeforeStart { what, start, end });
    }
    let first = if starts_after { start.checked_add(1) } else { Some(start) };
    let last = if ends_before { end.checked_sub(1) } else { Some(end) };
    Ok(first.zip(last).map_or(EMPTY, |(first, last)| first..=last))
}

#[expect(clippy::reversed_empty_ranges, reason = "it is meant to hold nothing")]
const EMPTY: RangeInclusive<u64> = 1..=0;
