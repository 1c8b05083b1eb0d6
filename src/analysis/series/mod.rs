//! Series: a metric's points, put together again by what they are about.

mod amount;
mod distribution;
mod exponential;
mod writers;

use crate::error::QueryError;
use crate::query::{Order, Query};
use crate::signal::{
    Attributes, AttributesRef, KeyValue, MetricKind, MetricPoint, MetricRef, PointValue, ResourceRef, ScopeRef, Source,
    Temporality,
};
pub use distribution::Distribution;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use writers::{Reading, Step};

/// The points of one metric that carry the same attributes and come from the same source, in the order of their times.
///
/// ```
/// use slipring::{Metric, MetricKind, MetricPoint, Source, Store, Temporality};
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
    /// The metric, and who measured it: as its first point has it.
    pub source: Source,
    /// What tells it from the metric's other series, by name.
    pub attributes: Attributes,
    /// Its points by time. At least one. Of several with the same times the last that came; of a
    /// delta series each, since what they measured adds up, but those that are equal in all once,
    /// which were delivered again.
    pub points: Vec<MetricPoint>,
}

/// By how much a counter grew between two times.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Increment {
    /// From when on it was counted, in nanoseconds since the Unix epoch, if that is known.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::option_nanos"))]
    pub from: Option<u64>,
    /// Until when, in nanoseconds since the Unix epoch.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::nanos"))]
    pub to: u64,
    /// By how much.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::double"))]
    pub amount: f64,
}

/// With the metric, the resource and the scope in place of the source.
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
    /// How fast, by the second, if it is known how long it took and that was not nothing.
    pub fn per_second(&self) -> Option<f64> {
        per_second(self.amount, self.from?, self.to)
    }
}

fn per_second(amount: f64, from: u64, to: u64) -> Option<f64> {
    (from < to).then(|| amount / ((to - from) as f64 / 1e9))
}

impl Query<'_, MetricPoint> {
    /// The series that the query's points make up, in the order of their names, and then of their attributes and sources. Copies the
    /// points. O(n log n).
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn series(self) -> Result<Vec<Series>, QueryError> {
        Ok(Series::assemble(self.order(Order::Oldest).collect()?.records))
    }
}

/// A hash of what a series is known by.
fn identity(state: &RandomState, point: &MetricPoint, attributes: &Attributes) -> u64 {
    let (metric, scope) = (point.metric(), point.scope());
    let metric = (metric.name(), metric.unit(), metric.kind());
    let scope = (scope.name(), scope.version(), scope.attributes());
    state.hash_one((metric, AttributesRef::from(attributes), point.resource().attributes(), scope))
}

impl Series {
    /// Sorts points, the oldest arrival first, into their series: for points from elsewhere than a store.
    pub fn assemble(points: Vec<MetricPoint>) -> Vec<Self> {
        let state = RandomState::default();
        let mut all: Vec<Self> = Vec::new();
        // Those with one hash: one, as a rule.
        let mut by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
        for point in points {
            let attributes = by_name(point.attributes());
            let alike = by_hash.entry(identity(&state, &point, &attributes)).or_default();
            let known = alike.iter().copied().find(|&number| all[number].is_of(&point, &attributes));
            let number = known.unwrap_or_else(|| {
                let (source, attributes) = (point.source().clone(), attributes.clone());
                alike.push(all.len());
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

    /// The metric.
    pub fn metric(&self) -> MetricRef<'_> {
        self.source.metric()
    }

    /// The process that measured it.
    pub fn resource(&self) -> ResourceRef<'_> {
        self.source.resource()
    }

    /// The library that measured it.
    pub fn scope(&self) -> ScopeRef<'_> {
        self.source.scope()
    }

    /// Whether a point belongs here.
    fn is_of(&self, point: &MetricPoint, attributes: &Attributes) -> bool {
        if self.attributes != *attributes {
            return false;
        }
        if self.source.same(point.source()) {
            return true;
        }
        let ((one, other), (scope, of)) = ((self.metric(), point.metric()), (self.scope(), point.scope()));
        (one.name(), one.unit(), one.kind()) == (other.name(), other.unit(), other.kind())
            && (scope.name(), scope.version(), scope.attributes()) == (of.name(), of.version(), of.attributes())
            && self.resource().attributes() == point.resource().attributes()
    }

    fn put_in_order(&mut self) {
        let times = |point: &MetricPoint| (point.time_unix_nanos(), point.start_unix_nanos());
        if self.temporality() == Some(Temporality::Delta) {
            // What two tell of one stretch of time adds up, unless it is the same twice.
            let amount = |point: &MetricPoint| (point.count(), point.number().map(f64::to_bits));
            self.points.sort_by_cached_key(|point| (times(point), amount(point)));
            self.points.dedup_by(|one, before| times(one) == times(before) && one.value() == before.value());
            return;
        }
        // Stable: of one time, the last that came stands last, and is the one that stays.
        self.points.sort_by_key(times);
        self.points.reverse();
        self.points.dedup_by_key(|point| times(point));
        self.points.reverse();
    }

    /// The newest point that has a value.
    pub fn last(&self) -> Option<&MetricPoint> {
        self.recorded().next_back()
    }

    fn recorded(&self) -> impl DoubleEndedIterator<Item = &MetricPoint> {
        self.points
            .iter()
            .filter(|point| !point.has_no_recorded_value() && (point.count().is_some() || point.number().is_some()))
    }

    fn temporality(&self) -> Option<Temporality> {
        match self.metric().kind() {
            MetricKind::Sum { temporality, .. }
            | MetricKind::Histogram { temporality }
            | MetricKind::ExponentialHistogram { temporality } => Some(temporality),
            MetricKind::Gauge | MetricKind::Summary => None,
        }
    }

    /// By how much it grew from point to point: of a sum its value, of a histogram its count. Empty for gauges, for summaries, and if
    /// the source does not say what it counts from.
    ///
    /// Of a delta series every point counts. Of a cumulative one
    ///
    /// - the first point tells nothing, since what it counts came before;
    /// - one that starts after the point before, or, if the series only ever grows, has less than that, in all or in a bucket of a
    ///   histogram, or other buckets, has started anew, and grown by its new value;
    /// - points with another start that is before the point before are another writer's, whose own points continue each other. Starts that
    ///   differ by up to a second are one, unless what they count falls;
    /// - a point whose start is its own time begins a sequence of which the start is not known, and adds nothing, as OpenTelemetry's data
    ///   model has it.
    ///
    /// Points of cumulative series whose own time is not known (0) are left out, and of every
    /// series those whose value is NaN or infinite.
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
                        Step::Grown { before, at } => (before, at, readings[at].amount.since(readings[before].amount)),
                        Step::Anew { before, at } => (before, at, readings[at].amount.as_double()),
                    };
                    Increment { from: Some(readings[before].time()), to: readings[at].time(), amount }
                };
                writers::steps(&readings, self.only_grows()).into_iter().map(increment).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Points with a value and a time.
    fn timed(&self) -> impl Iterator<Item = Reading<'_>> {
        self.recorded().filter(|point| point.time_unix_nanos() > 0).filter_map(Reading::of)
    }

    fn only_grows(&self) -> bool {
        !matches!(self.metric().kind(), MetricKind::Sum { monotonic: false, .. })
    }

    /// How fast it grew over all of its points, by the second; `None` where [`increments`](Series::increments) tell nothing.
    pub fn rate(&self) -> Option<f64> {
        let increments = self.increments();
        let from = increments.iter().filter_map(|one| one.from).min()?;
        let known = increments.iter().filter(|one| one.from.is_some());
        let to = known.clone().map(|one| one.to).max()?;
        per_second(known.map(|one| one.amount).sum(), from, to)
    }

    /// What its points measured, all together: of a cumulative series what came in meanwhile, as its
    /// [`increments`](Series::increments) have it, or, if it has one point only, up to that. `None` if it is no histogram, or one whose
    /// buckets change on the way. A point that measured nothing changes nothing, whatever its buckets.
    pub fn distribution(&self) -> Option<Distribution> {
        let together = |mut all: std::vec::IntoIter<Distribution>| {
            let first = all.next()?;
            all.try_fold(first, |sum, next| sum.plus(&next))
        };
        let measured = || self.recorded().filter_map(|point| Distribution::of(&point.value()));
        match self.temporality()? {
            Temporality::Delta => together(measured().collect::<Vec<_>>().into_iter()),
            Temporality::Cumulative => {
                let readings: Vec<Reading<'_>> = self.timed().filter(|one| one.spread.is_some()).collect();
                let spread = |at: usize| readings[at].spread.as_ref();
                let grown = |step| match step {
                    Step::Grown { before, at } => spread(at)?.minus(spread(before)?)?,
                    Step::Anew { at, .. } => spread(at).cloned(),
                };
                let steps = writers::steps(&readings, true);
                if steps.is_empty() {
                    return together(measured().collect::<Vec<_>>().into_iter());
                }
                let grown: Option<Vec<Distribution>> = steps.into_iter().map(grown).collect();
                together(grown?.into_iter())
            }
            Temporality::Unspecified => None,
        }
    }

    /// The value that so large a share of what was measured does not exceed, from 0 to 1: of histograms by their
    /// [`distribution`](Series::distribution), of a summary the last point's, if that has the very quantile.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        if let (MetricKind::Summary, Some(PointValue::Summary(summary))) =
            (self.metric().kind(), self.last().map(MetricPoint::value))
        {
            return summary.quantiles.iter().find(|one| one.quantile == share).map(|one| one.value);
        }
        self.distribution()?.quantile(share)
    }
}

/// In the order of their names, so that the same in another order are the same.
fn by_name(attributes: AttributesRef<'_>) -> Attributes {
    let mut sorted: Vec<KeyValue> = attributes.to_attributes().into_vec();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    sorted.into()
}
