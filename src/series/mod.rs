//! Series: a metric's points, put together again by what they are about.

mod distribution;

use crate::error::QueryError;
use crate::query::{Order, Query};
use crate::signal::{
    Attributes, AttributesRef, KeyValue, MetricKind, MetricPoint, MetricRef, PointValue, ResourceRef, ScopeRef, Source,
    Temporality,
};
pub use distribution::Distribution;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// The points of one metric that carry the same attributes and come from the same source, in the order of their times.
///
/// ```
/// use slipring::{Metric, MetricKind, MetricPoint, Source, Store, Temporality};
///
/// let metrics: Store<MetricPoint> = Store::builder().build()?;
/// let kind = MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: true };
/// let orders = Source::default().with_metric(&Metric::new("orders", kind));
/// for (second, total) in [(0, 100), (10, 150), (20, 30)] {
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
    /// Its points by time; of redelivered ones, with the same times, the last that came. At least one.
    pub points: Vec<MetricPoint>,
}

/// By how much a counter grew between two times.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Increment {
    /// From when on it was counted, in nanoseconds since the Unix epoch, if that is known.
    pub from: Option<u64>,
    /// Until when, in nanoseconds since the Unix epoch.
    pub to: u64,
    /// By how much.
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
        let of_metric = |metric: MetricRef<'_>| (metric.name().to_owned(), metric.unit().to_owned(), metric.kind());
        let (scope, other) = (self.scope(), point.scope());
        of_metric(self.metric()) == of_metric(point.metric())
            && (scope.name(), scope.version(), scope.attributes())
                == (other.name(), other.version(), other.attributes())
            && self.resource().attributes() == point.resource().attributes()
    }

    fn put_in_order(&mut self) {
        let times = |point: &MetricPoint| (point.time_unix_nanos(), point.start_unix_nanos());
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
    /// A cumulative series that starts anew, as its start says or, if it only ever grows, because it fell, has grown by its new value.
    /// Its first point tells nothing, since what it counts came before; of delta series every point counts.
    pub fn increments(&self) -> Vec<Increment> {
        let only_grows = !matches!(self.metric().kind(), MetricKind::Sum { monotonic: false, .. });
        let amounts = self.recorded().filter_map(|point| Some((point, amount(point)?)));
        match self.temporality() {
            Some(Temporality::Delta) => {
                let mut before = None;
                let increment = |(point, amount): (&MetricPoint, f64)| {
                    let from = if point.start_unix_nanos() > 0 { Some(point.start_unix_nanos()) } else { before };
                    before = Some(point.time_unix_nanos());
                    Increment { from, to: point.time_unix_nanos(), amount }
                };
                amounts.map(increment).collect()
            }
            Some(Temporality::Cumulative) => {
                let points: Vec<(&MetricPoint, f64)> = amounts.collect();
                let step = |pair: &[(&MetricPoint, f64)]| {
                    let ((one, before), (other, after)) = (pair[0], pair[1]);
                    let anew = starts_anew(one, other) || only_grows && after < before;
                    let amount = if anew { after } else { after - before };
                    Increment { from: Some(one.time_unix_nanos()), to: other.time_unix_nanos(), amount }
                };
                points.windows(2).map(step).collect()
            }
            _ => Vec::new(),
        }
    }

    /// How fast it grew over all of its points, by the second; `None` where [`increments`](Series::increments) tell nothing.
    pub fn rate(&self) -> Option<f64> {
        let increments = self.increments();
        let from = increments.iter().filter_map(|one| one.from).min()?;
        let known = increments.iter().filter(|one| one.from.is_some());
        let to = known.clone().map(|one| one.to).max()?;
        per_second(known.map(|one| one.amount).sum(), from, to)
    }

    /// What its points measured, all together: of a cumulative series what came in from its first point to its last, or, if it has one
    /// point only, up to that. `None` if it is no histogram, or one whose buckets change on the way.
    pub fn distribution(&self) -> Option<Distribution> {
        let mut points = self.recorded().filter_map(|point| Some((point, Distribution::of(&point.value())?)));
        let (first, whole) = points.next()?;
        match self.temporality()? {
            Temporality::Delta => points.try_fold(whole, |sum, (_, next)| sum.plus(&next)),
            Temporality::Cumulative => {
                let mut sum = None;
                let mut before = (first, whole.clone());
                for (point, next) in points {
                    let grown = if starts_anew(before.0, point) { None } else { next.minus(&before.1)? };
                    let grown = grown.unwrap_or_else(|| next.clone());
                    sum = Some(match sum {
                        None => grown,
                        Some(sum) => Distribution::plus(sum, &grown)?,
                    });
                    before = (point, next);
                }
                Some(sum.unwrap_or(whole))
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

/// What grows: a sum's value, a histogram's count.
fn amount(point: &MetricPoint) -> Option<f64> {
    point.count().map(|count| count as f64).or_else(|| point.number())
}

/// Whether a cumulative series says that it counts from another start.
fn starts_anew(one: &MetricPoint, other: &MetricPoint) -> bool {
    one.start_unix_nanos() > 0 && other.start_unix_nanos() > one.start_unix_nanos()
}
