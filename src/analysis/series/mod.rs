//! Metric series, assembled from points.

mod amount;
mod distribution;
mod exponential;
mod over_time;
mod writers;

use crate::error::QueryError;
use crate::query::{Order, Query};
use crate::signal::{
    Attributes, AttributesRef, KeyValue, MetricKind, MetricPoint, MetricRef, PointValue,
    ResourceRef, ScopeRef, Source, Temporality,
};
pub use distribution::Distribution;
pub use over_time::SeriesStep;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use writers::{Reading, Step, steps};

/// The points of one metric that carry the same attributes and come from the same source, in order
/// of time.
///
/// ```
/// use slipring::{MetricPoint, Source, Store};
/// use slipring::metric::{Metric, MetricKind, Temporality};
///
/// let metrics: Store<MetricPoint> = Store::builder().build()?;
/// let kind = MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: true };
/// let orders = Source::default().with_metric(&Metric::new("orders", kind));
/// for (second, total) in [(60, 100), (70, 150), (80, 30)] {
///     let point = MetricPoint::builder().source(&orders).time_unix_nanos(second * 1_000_000_000).value(total);
///     metrics.push(point.build())?;
/// }
///
/// let series = metrics.query().key("name", "orders").series()?;
/// // 50 in the first ten seconds; then the counter began anew, and counted 30.
/// let rates: Vec<f64> = series[0].increments().iter().filter_map(|one| one.per_second()).collect();
/// assert_eq!(rates, [5.0, 3.0]);
/// assert_eq!(series[0].rate(), Some(4.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Series {
    /// The metric and its source, taken from the series' first point.
    pub source: Source,
    /// The attributes that distinguish it from the metric's other series, sorted by name.
    pub attributes: Attributes,
    /// Its points by time. Never empty.
    ///
    /// Of several points with the same times, the last to arrive is kept. A delta series keeps each
    /// of them, since their values add up, but a redelivered point with the same value only once.
    pub points: Vec<MetricPoint>,
}

/// The growth of a counter between two times.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Increment {
    /// The start of the interval, in nanoseconds since the Unix epoch, if it is known.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::option_nanos"))]
    pub from: Option<u64>,
    /// The end of the interval, in nanoseconds since the Unix epoch.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::nanos"))]
    pub to: u64,
    /// The growth.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::double"))]
    pub amount: f64,
}

/// Serializes the metric, the resource and the scope in place of the source.
#[cfg(feature = "serde")]
impl serde::Serialize for Series {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut series = serializer.serialize_struct("Series", 5)?;
        series.serialize_field("metric", &self.metric())?;
        series.serialize_field("resource", &self.resource())?;
        series.serialize_field("scope", &self.scope())?;
        series.serialize_field("attributes", &self.attributes)?;
        series.serialize_field("points", &self.points)?;
        series.end()
    }
}

impl Increment {
    /// Returns the growth per second, if the interval is known and not empty.
    pub fn per_second(&self) -> Option<f64> {
        per_second(self.amount, self.from?, self.to)
    }
}

fn per_second(amount: f64, from: u64, to: u64) -> Option<f64> {
    (from < to).then(|| amount / ((to - from) as f64 / 1e9))
}

impl Query<'_, MetricPoint> {
    /// Returns the series that the query's points form, sorted by name, then by attributes and
    /// source. Copies the points. O(n log n).
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn series(self) -> Result<Vec<Series>, QueryError> {
        Ok(Series::assemble(self.order(Order::Oldest).collect()?.records))
    }
}

/// Returns a hash of the properties that identify a series.
fn identity(state: &RandomState, point: &MetricPoint, attributes: &Attributes) -> u64 {
    let (metric, scope) = (point.metric(), point.scope());
    let metric = (metric.name(), metric.unit(), metric.kind());
    let scope = (scope.name(), scope.version(), scope.attributes());
    state.hash_one((metric, AttributesRef::from(attributes), point.resource().attributes(), scope))
}

impl Series {
    /// Groups points that do not come from a store into series. The points must be in order of
    /// arrival, oldest first.
    pub fn assemble(points: Vec<MetricPoint>) -> Vec<Self> {
        let state = RandomState::default();
        let mut all: Vec<Self> = Vec::new();
        // Series by the hash of their identity; usually one for each hash.
        let mut by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
        for point in points {
            let attributes = sorted_by_name(point.attributes());
            let same_hash = by_hash.entry(identity(&state, &point, &attributes)).or_default();
            let known =
                same_hash.iter().copied().find(|&number| all[number].contains(&point, &attributes));
            let number = known.unwrap_or_else(|| {
                let (source, attributes) = (point.source().clone(), attributes.clone());
                same_hash.push(all.len());
                all.push(Self { source, attributes, points: Vec::new() });
                all.len() - 1
            });
            all[number].points.push(point);
        }
        all.iter_mut().for_each(Self::put_in_order);
        let order = |one: &Self| {
            let source = format!("{:?} {:?}", one.resource().attributes(), one.scope());
            let service = one.points[0].service().to_owned();
            (one.metric().name().to_owned(), format!("{:?}", one.attributes), service, source)
        };
        all.sort_by_cached_key(order);
        all
    }

    /// Returns the metric.
    pub fn metric(&self) -> MetricRef<'_> {
        self.source.metric()
    }

    /// Returns the resource that measured the metric.
    pub fn resource(&self) -> ResourceRef<'_> {
        self.source.resource()
    }

    /// Returns the instrumentation scope that measured the metric.
    pub fn scope(&self) -> ScopeRef<'_> {
        self.source.scope()
    }

    /// Returns whether a point belongs to this series.
    fn contains(&self, point: &MetricPoint, attributes: &Attributes) -> bool {
        if self.attributes != *attributes {
            return false;
        }
        if self.source.same(point.source()) {
            return true;
        }
        let ((one, other), (scope, of)) =
            ((self.metric(), point.metric()), (self.scope(), point.scope()));
        (one.name(), one.unit(), one.kind()) == (other.name(), other.unit(), other.kind())
            && (scope.name(), scope.version(), scope.attributes())
                == (of.name(), of.version(), of.attributes())
            && self.resource().attributes() == point.resource().attributes()
    }

    fn put_in_order(&mut self) {
        let times = |point: &MetricPoint| (point.time_unix_nanos(), point.start_unix_nanos());
        if self.temporality() == Some(Temporality::Delta) {
            // Points of one stretch of time add up, unless the same point was delivered twice.
            let amount = |point: &MetricPoint| (point.count(), point.number().map(f64::to_bits));
            self.points.sort_by_cached_key(|point| (times(point), amount(point)));
            self.points.dedup_by(|one, before| {
                times(one) == times(before) && one.value() == before.value()
            });
            return;
        }
        // The sort is stable, so the last point to arrive stands last among points with equal
        // times. Reversing makes `dedup` keep it.
        self.points.sort_by_key(times);
        self.points.reverse();
        self.points.dedup_by_key(|point| times(point));
        self.points.reverse();
    }

    /// Returns the newest point that has a value.
    pub fn last(&self) -> Option<&MetricPoint> {
        self.recorded().next_back()
    }

    fn recorded(&self) -> impl DoubleEndedIterator<Item = &MetricPoint> {
        self.points.iter().filter(|point| {
            !point.has_no_recorded_value() && (point.count().is_some() || point.number().is_some())
        })
    }

    fn temporality(&self) -> Option<Temporality> {
        match self.metric().kind() {
            MetricKind::Sum { temporality, .. }
            | MetricKind::Histogram { temporality }
            | MetricKind::ExponentialHistogram { temporality } => Some(temporality),
            MetricKind::Gauge | MetricKind::Summary => None,
        }
    }

    /// Returns the growth from point to point: of a sum's value, or of a histogram's count. Empty
    /// for gauges, for summaries, and if the source does not state the temporality.
    ///
    /// In a delta series every point counts. In a cumulative series:
    ///
    /// - The first point yields nothing, since what it counts came before.
    /// - A point resets the count if it starts after the previous point's time. In a monotonic
    ///   series, it also does if it has less than the previous point, in all or in one bucket of a
    ///   histogram, or if it has other buckets. Then it has grown by its new value.
    /// - Points with a different start, one before the previous point's time, belong to another
    ///   writer, whose points continue each other. Starts that differ by up to a second count as
    ///   equal, unless the count decreases between them.
    /// - A point whose start equals its own time begins a sequence with an unknown start, and adds
    ///   nothing, as OpenTelemetry's data model specifies.
    ///
    /// Points of cumulative series without a time (0) are left out. So are points of every series
    /// whose value is NaN or infinite.
    pub fn increments(&self) -> Vec<Increment> {
        match self.temporality() {
            Some(Temporality::Delta) => {
                let mut before = None;
                let increment = |one: Reading<'_>| {
                    let (start, to) = (one.point.start_unix_nanos(), one.time());
                    let from = if start > 0 && start < to { Some(start) } else { before };
                    before = Some(to).filter(|&to| to > 0);
                    Increment { from: from.filter(|_| to > 0), to, amount: one.amount.as_double() }
                };
                self.recorded().filter_map(Reading::of).map(increment).collect()
            }
            Some(Temporality::Cumulative) => {
                let readings: Vec<Reading<'_>> = self.timed().collect();
                let increment = |step| {
                    let (before, at, amount) = match step {
                        Step::Growth { before, at } => {
                            (before, at, readings[at].amount.since(readings[before].amount))
                        }
                        Step::Reset { before, at } => (before, at, readings[at].amount.as_double()),
                    };
                    Increment {
                        from: Some(readings[before].time()),
                        to: readings[at].time(),
                        amount,
                    }
                };
                steps(&readings, self.is_monotonic()).into_iter().map(increment).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Iterates over the points with a value and a time.
    fn timed(&self) -> impl Iterator<Item = Reading<'_>> {
        self.recorded().filter(|point| point.time_unix_nanos() > 0).filter_map(Reading::of)
    }

    fn is_monotonic(&self) -> bool {
        !matches!(self.metric().kind(), MetricKind::Sum { monotonic: false, .. })
    }

    /// Returns the growth per second over all points; `None` if [`increments`](Series::increments)
    /// has no known interval.
    pub fn rate(&self) -> Option<f64> {
        let increments = self.increments();
        let from = increments.iter().filter_map(|one| one.from).min()?;
        let known = increments.iter().filter(|one| one.from.is_some());
        let to = known.clone().map(|one| one.to).max()?;
        per_second(known.map(|one| one.amount).sum(), from, to)
    }

    /// Returns the distribution of everything that the points measured. For a cumulative series,
    /// that is what was added between its points, as [`increments`](Series::increments) counts it;
    /// with a single point, it is everything up to that point. `None` if the metric is no
    /// histogram, or if its buckets change on the way. Points that measured nothing are ignored,
    /// whatever their buckets.
    pub fn distribution(&self) -> Option<Distribution> {
        let sum_of = |mut all: std::vec::IntoIter<Distribution>| {
            let first = all.next()?;
            all.try_fold(first, |sum, next| sum.plus(&next))
        };
        let measured = || self.recorded().filter_map(|point| Distribution::of(&point.value()));
        match self.temporality()? {
            Temporality::Delta => sum_of(measured().collect::<Vec<_>>().into_iter()),
            Temporality::Cumulative => {
                let readings: Vec<Reading<'_>> =
                    self.timed().filter(|one| one.spread.is_some()).collect();
                let spread = |at: usize| readings[at].spread.as_ref();
                let grown = |step| match step {
                    Step::Growth { before, at } => spread(at)?.minus(spread(before)?)?,
                    Step::Reset { at, .. } => spread(at).cloned(),
                };
                let steps = steps(&readings, true);
                if steps.is_empty() {
                    return sum_of(measured().collect::<Vec<_>>().into_iter());
                }
                let grown: Option<Vec<Distribution>> = steps.into_iter().map(grown).collect();
                sum_of(grown?.into_iter())
            }
            Temporality::Unspecified => None,
        }
    }

    /// Returns the value that this share of the measurements, from 0 to 1, does not exceed.
    /// Histograms use their [`distribution`](Series::distribution). A summary returns the last
    /// point's value for exactly this quantile, if the point has it.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        if let (MetricKind::Summary, Some(PointValue::Summary(summary))) =
            (self.metric().kind(), self.last().map(MetricPoint::value))
        {
            return summary.quantiles.iter().find(|one| one.quantile == share).map(|one| one.value);
        }
        self.distribution()?.quantile(share)
    }
}

/// Sorts attributes by name, so that equal sets in a different order compare equal.
fn sorted_by_name(attributes: AttributesRef<'_>) -> Attributes {
    let mut sorted: Vec<KeyValue> = attributes.to_attributes().into_vec();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    sorted.into()
}
