//! Counts and aggregates by group.

use super::builder::Query;
use super::filter::{Attributed, Level};
use super::result::Report;
use crate::error::QueryError;
use crate::signal::{KeyBuf, Signal, index_named, key_of};
use std::collections::HashMap;

/// The property by which records are grouped.
pub struct By<'a, T>(Result<Read<'a, T>, QueryError>);

type Read<'a, T> = Box<dyn Fn(&T) -> Option<KeyBuf> + 'a>;

impl<'a, T: Signal> By<'a, T> {
    /// Groups by the key in the named index.
    pub fn index(name: &str) -> Self {
        By(index_named::<T>(name).map(|index| {
            let read = move |record: &T| key_of(record, index).map(|key| key.to_owned());
            Box::new(read) as Read<'a, T>
        }))
    }

    /// Groups by what `read` returns for a record.
    pub fn reading(read: impl Fn(&T) -> Option<KeyBuf> + 'a) -> Self {
        By(Ok(Box::new(read)))
    }
}

impl<'a, T: Signal + Attributed> By<'a, T> {
    /// Groups by the first attribute of this name, at this level or, with `None`, at any. Values
    /// group by how they are displayed: the number 200 and the text `200` form one group.
    pub fn attribute(level: Option<Level>, name: impl Into<Box<str>>) -> Self {
        let name = name.into();
        Self::reading(move |record| {
            record.read_attribute(level, &name, |value| KeyBuf::Text(value.to_string().into()))
        })
    }
}

/// The groups of a query's records, returned by [`Query::group`](crate::Query::group).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Groups {
    /// The groups, largest first; groups of equal size by key.
    pub groups: Vec<Group>,
    /// How the query went.
    pub report: Report,
}

/// Records that share a key, and their measurements.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The key that the records share; `None` for records without one.
    pub key: Option<KeyBuf>,
    /// The number of records.
    pub count: u64,
    /// The number of records that are [errors](Signal::is_error).
    pub errors: u64,
    /// The measurements, sorted, without NaN.
    values: Vec<f64>,
}

impl<T: Signal> Query<'_, T> {
    /// Counts the query's records by group, and keeps what `measure` returns for each, such as a
    /// duration or a value. Copies no record. O(records looked at), with eight bytes for each
    /// measurement.
    ///
    /// ```
    /// use slipring::{Span, Store};
    /// use slipring::query::By;
    ///
    /// let traces: Store<Span> = Store::builder().build()?;
    /// let span = |name: &'static str, took: u64| Span::builder().name(name).start_unix_nanos(1).end_unix_nanos(1 + took).build();
    /// traces.push_batch(vec![span("GET /", 10), span("GET /", 30), span("POST /", 20)])?;
    ///
    /// let by_name = traces.query().group(By::index("name"), |span| Some(span.duration() as f64))?;
    /// let slowest = &by_name.groups[0];
    /// assert_eq!((slowest.count, slowest.max(), slowest.quantile(0.5)), (2, Some(30.0), Some(10.0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`collect`](Query::collect). Also [`QueryError::UnknownIndex`] if `by` names an index
    /// that the signal does not have.
    pub fn group(
        self,
        by: By<'_, T>,
        measure: impl Fn(&T) -> Option<f64>,
    ) -> Result<Groups, QueryError> {
        let mut tally = Tally::by(by)?;
        let report = self.for_each_unordered(|_, record| tally.add(record, measure(record)))?;
        Ok(Groups { groups: tally.finish(), report })
    }
}

/// Counts records by group, one at a time: what [`Query::group`](crate::Query::group) does, for
/// records that come from elsewhere as well.
///
/// ```
/// use slipring::{LogRecord, Severity, Store};
/// use slipring::query::{By, Tally};
///
/// let logs: Store<LogRecord> = Store::builder().build()?;
/// let log = |body: &'static str| LogRecord::builder().body(body).severity(Severity::ERROR).build();
/// logs.push(log("here"))?;
///
/// let mut tally = Tally::by(By::index("severity"))?;
/// logs.query().for_each_unordered(|_, log| tally.add(log, None))?;
/// tally.add(&log("elsewhere"), None);
/// let groups = tally.finish();
/// assert_eq!((groups.len(), groups[0].count, groups[0].errors), (1, 2, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Tally<'a, T> {
    read: Read<'a, T>,
    found: HashMap<Option<KeyBuf>, Group>,
}

impl<'a, T: Signal> Tally<'a, T> {
    /// Begins to count by this property.
    ///
    /// # Errors
    /// [`QueryError::UnknownIndex`] if it names an index that the signal does not have.
    pub fn by(by: By<'a, T>) -> Result<Self, QueryError> {
        Ok(Self { read: by.0?, found: HashMap::new() })
    }

    /// Counts a record, and keeps its measurement. O(1), with eight bytes for each measurement.
    pub fn add(&mut self, record: &T, measured: Option<f64>) {
        let key = (self.read)(record);
        let group = match self.found.get_mut(&key) {
            Some(group) => group,
            None => self.found.entry(key.clone()).or_insert_with(|| Group {
                key,
                count: 0,
                errors: 0,
                values: Vec::new(),
            }),
        };
        group.count += 1;
        group.errors += u64::from(record.is_error());
        group.values.extend(measured.filter(|value| !value.is_nan()));
    }

    /// Returns the groups, largest first; groups of equal size by key. O(n log n) in the number of
    /// measurements.
    pub fn finish(self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.found.into_values().collect();
        groups.iter_mut().for_each(|group| group.values.sort_unstable_by(f64::total_cmp));
        groups.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        groups
    }
}

/// Returns the least of these sorted values that is not exceeded by this share of them.
pub(crate) fn nearest_rank<V: Copy>(values: &[V], share: f64) -> Option<V> {
    let rank = (share.clamp(0.0, 1.0) * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

impl Group {
    /// Returns the number of measurements.
    pub fn measured(&self) -> usize {
        self.values.len()
    }

    /// Returns the least measurement.
    pub fn min(&self) -> Option<f64> {
        self.values.first().copied()
    }

    /// Returns the greatest measurement.
    pub fn max(&self) -> Option<f64> {
        self.values.last().copied()
    }

    /// Returns the sum of the measurements.
    pub fn sum(&self) -> f64 {
        self.values.iter().sum()
    }

    /// Returns the mean of the measurements.
    pub fn mean(&self) -> Option<f64> {
        (!self.values.is_empty()).then(|| self.sum() / self.values.len() as f64)
    }

    /// Returns the least measurement that this share of the measurements (from 0 to 1) does not
    /// exceed: exact, by nearest rank. O(1).
    pub fn quantile(&self, share: f64) -> Option<f64> {
        nearest_rank(&self.values, share)
    }

    /// Returns the measurements, sorted.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

/// Serializes min, max, mean and three quantiles in place of the measurements.
#[cfg(feature = "serde")]
impl serde::Serialize for Group {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut group = serializer.serialize_struct("Group", 10)?;
        group.serialize_field("key", &self.key)?;
        group.serialize_field("count", &self.count)?;
        group.serialize_field("errors", &self.errors)?;
        group.serialize_field("measured", &self.measured())?;
        group.serialize_field("min", &self.min())?;
        group.serialize_field("max", &self.max())?;
        group.serialize_field("mean", &self.mean())?;
        for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            group.serialize_field(name, &self.quantile(share))?;
        }
        group.end()
    }
}

impl<T> std::fmt::Debug for Tally<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tally").field("groups", &self.found.len()).finish_non_exhaustive()
    }
}

impl<T> std::fmt::Debug for By<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("By").field(&self.0.as_ref().map(|_| ())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_measurements() {
        let group =
            |values: &[f64]| Group { key: None, count: 9, errors: 0, values: values.to_vec() };
        let of_four = group(&[1.0, 2.0, 3.0, 4.0]);
        let quantiles =
            [0.0, 0.25, 0.26, 0.5, 0.99, 1.0, 7.0].map(|share| of_four.quantile(share).unwrap());
        assert_eq!(quantiles, [1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 4.0]);
        assert_eq!(
            (of_four.min(), of_four.max(), of_four.mean(), of_four.sum()),
            (Some(1.0), Some(4.0), Some(2.5), 10.0)
        );
        let empty = group(&[]);
        assert_eq!((empty.quantile(0.5), empty.mean(), empty.measured()), (None, None, 0));
    }
}
