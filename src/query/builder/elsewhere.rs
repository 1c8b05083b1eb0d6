//! A query's conditions, asked about records that are not in its store: those of another tier.

use super::Query;
use crate::signal::{MetricPoint, Signal};
use std::ops::RangeInclusive;

/// The conditions of a query apart from its store, for tiers that keep what a store has evicted.
impl<T: Signal> Query<'_, T> {
    /// Returns whether a record, which need not be in the store, meets the conditions on its keys,
    /// its time and its contents. Bookmarks, cursors, the order and the limit play no part: see
    /// [`is_limited`](Query::is_limited). An [invalid](crate::error::QueryError) query accepts
    /// nothing.
    ///
    /// ```
    /// use slipring::{LogRecord, Severity, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// let errors = logs.query().key("severity", Severity::ERROR).between(100_u64..);
    /// let record = |time: u64| LogRecord::builder().time_unix_nanos(time).severity(Severity::ERROR).build();
    /// assert!(errors.accepts(&record(100)) && !errors.accepts(&record(99)));
    /// assert!(!errors.accepts(&LogRecord::builder().time_unix_nanos(100).build()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accepts(&self, record: &T) -> bool {
        self.invalid.is_none()
            && self.plan.times.contains(&record.timestamp())
            && self.plan.meets(self.engine, record)
    }

    /// Returns the timestamps that the query asks for: all of them, unless it has a [time
    /// range](Query::between).
    pub fn times(&self) -> RangeInclusive<u64> {
        self.plan.times.clone()
    }

    /// Returns whether a bookmark, a cursor or a limit restricts the query to some of the records
    /// that meet its conditions. These depend on a record's arrival in the store, of which other
    /// tiers know nothing.
    pub fn is_limited(&self) -> bool {
        self.limit < usize::MAX || self.bounds.is_some() || self.after.is_some()
    }
}

/// The conditions that a point shares with its series.
impl Query<'_, MetricPoint> {
    /// Returns whether the points of a series may meet the conditions, given one of them: it looks
    /// at the conditions on keys and attributes, and at no other. Runs no user code.
    ///
    /// ```
    /// use slipring::{Match, MetricPoint, Store};
    ///
    /// let metrics: Store<MetricPoint> = Store::builder().build()?;
    /// let gets = metrics.query().attribute("method", Match::equals("GET")).filter(|point| point.number() > Some(5.0));
    /// let point = |method: &str| MetricPoint::builder().attribute("method", method).value(3).build();
    /// assert!(gets.accepts_series(&point("GET")) && !gets.accepts_series(&point("PUT")));
    /// assert!(!gets.accepts(&point("GET")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accepts_series(&self, point: &MetricPoint) -> bool {
        self.invalid.is_none() && self.plan.meets_of_series(self.engine, point)
    }
}

impl<T: Signal> Clone for Query<'_, T> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine,
            plan: self.plan.clone(),
            order: self.order,
            limit: self.limit,
            bounds: self.bounds.clone(),
            after: self.after.clone(),
            follows: self.follows,
            ends: self.ends,
            invalid: self.invalid.clone(),
        }
    }
}
