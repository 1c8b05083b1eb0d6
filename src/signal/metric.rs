//! Metric points, after OpenTelemetry's `Metric` and its data points.

use super::value::list_bytes;
use super::{Attributes, Exemplar, Key, Ledger, NO_SERVICE, PointValue, Resource, Scope, Shared, Signal, no_text};

/// What the points of a metric have in common: OpenTelemetry's `Metric`, without its points.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Metric {
    /// Its name, such as `http.server.request.duration`.
    pub name: Box<str>,
    /// What it measures, for a person to read.
    pub description: Box<str>,
    /// The unit of its values, in UCUM, such as `By` or `s`.
    pub unit: Box<str>,
    /// What else is known of the metric, as against its points.
    pub metadata: Attributes,
    /// Its type, and how its points add up.
    pub kind: MetricKind,
}

/// A metric's type, with what each type says about how its points add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "type", rename_all = "snake_case"))]
pub enum MetricKind {
    /// Values of the moment.
    Gauge,
    /// Sums.
    Sum {
        /// What each sum is counted from.
        temporality: Temporality,
        /// Whether it only ever grows.
        monotonic: bool,
    },
    /// Counts in buckets with given bounds.
    Histogram {
        /// What each count is counted from.
        temporality: Temporality,
    },
    /// Counts in buckets whose bounds grow exponentially.
    ExponentialHistogram {
        /// What each count is counted from.
        temporality: Temporality,
    },
    /// Quantiles, as the source worked them out.
    Summary,
}

/// What a sum or a count is counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Temporality {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// From the point before.
    Delta = 1,
    /// From a fixed start.
    Cumulative = 2,
}

/// One value of a metric at one time: any of OpenTelemetry's five data points, with the metric, the resource and the
/// scope that it travels with.
///
/// Indexes: `name` (the metric's; none if empty), `service` (the resource's `service.name`, or `unknown_service`) and
/// `type` (`gauge`, `sum`, `histogram`, `exponential_histogram` or `summary`). Its timestamp is its time.
///
/// ```
/// use slipring::{Attributes, Key, Metric, MetricKind, MetricPoint, PointValue, Resource, Scope, Signal};
///
/// let metric = Metric { unit: "By".into(), ..Metric::new("process.memory.usage", MetricKind::Gauge) }.share();
/// let resource = Resource::new(Attributes::from([("service.name", "cart")])).share();
/// let point = MetricPoint {
///     time_unix_nanos: 1_760_000_000_000_000_000,
///     value: PointValue::Int(52_428_800),
///     ..MetricPoint::new(metric, resource, Scope::default().share())
/// };
/// assert_eq!(point.key(0), Some(Key::Text("process.memory.usage")));
/// assert_eq!(point.key(2), Some(Key::Text("gauge")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct MetricPoint {
    /// The metric it is a point of.
    pub metric: Shared<Metric>,
    /// Which of the metric's series it belongs to.
    pub attributes: Attributes,
    /// Since when it is counted, in nanoseconds since the Unix epoch; 0 if unknown.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::nanos"))]
    pub start_unix_nanos: u64,
    /// When it was measured, in nanoseconds since the Unix epoch.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::nanos"))]
    pub time_unix_nanos: u64,
    /// Bit 0: [no value was recorded](MetricPoint::has_no_recorded_value). The others are reserved, and kept as they
    /// came.
    pub flags: u32,
    /// Single measurements that went into it. A summary has none in the protocol.
    pub exemplars: Box<[Exemplar]>,
    /// What was measured. It should suit the metric's [`kind`](Metric::kind): a number for a gauge or a sum.
    pub value: PointValue,
    /// The process that measured it.
    pub resource: Shared<Resource>,
    /// The library that measured it.
    pub scope: Shared<Scope>,
}

impl Metric {
    /// A metric without description, unit and metadata.
    pub fn new(name: impl Into<Box<str>>, kind: MetricKind) -> Self {
        let (description, unit) = Default::default();
        Self { name: name.into(), description, unit, metadata: Attributes::default(), kind }
    }

    /// Makes it a part that points can share. One allocation; O(metadata), to know its bytes.
    pub fn share(self) -> Shared<Self> {
        let heap_bytes = self.heap_bytes();
        Shared::with_heap_bytes(self, heap_bytes)
    }

    /// Bytes that the metric owns on the heap, beyond itself.
    pub fn heap_bytes(&self) -> usize {
        self.name.len() + self.description.len() + self.unit.len() + self.metadata.heap_bytes()
    }
}

impl MetricKind {
    /// All types' names.
    pub(crate) const NAMES: [&str; 5] = ["gauge", "sum", "histogram", "exponential_histogram", "summary"];

    /// The type's name, as the index by type has it.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Gauge => "gauge",
            MetricKind::Sum { .. } => "sum",
            MetricKind::Histogram { .. } => "histogram",
            MetricKind::ExponentialHistogram { .. } => "exponential_histogram",
            MetricKind::Summary => "summary",
        }
    }
}

impl Temporality {
    /// The temporality with this number in the protocol, if it is one.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Unspecified, Self::Delta, Self::Cumulative].into_iter().find(|one| one.number() == number)
    }

    /// Its number in the protocol.
    pub fn number(self) -> i32 {
        self as i32
    }
}

impl MetricPoint {
    /// A point without a value; fill in the rest. Allocates nothing.
    pub fn new(metric: Shared<Metric>, resource: Shared<Resource>, scope: Shared<Scope>) -> Self {
        Self {
            metric,
            attributes: Attributes::default(),
            start_unix_nanos: 0,
            time_unix_nanos: 0,
            flags: 0,
            exemplars: Box::default(),
            value: PointValue::Empty,
            resource,
            scope,
        }
    }

    /// The name of the service that measured it: its resource's, or `unknown_service`.
    pub fn service(&self) -> &str {
        self.resource.service_or_unknown()
    }

    /// Its value, if it is a number: of a gauge or a sum.
    pub fn number(&self) -> Option<f64> {
        match self.value {
            PointValue::Int(value) => Some(value as f64),
            PointValue::Double(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the source says that it has nothing to say here: the series was there before and is not now.
    pub fn has_no_recorded_value(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// Of a gauge without a name, from a source that says nothing about itself. Costs three allocations: what has a metric
/// or a source, or is one of many, is better begun with [`new`](MetricPoint::new).
impl Default for MetricPoint {
    fn default() -> Self {
        let metric = Metric::new("", MetricKind::Gauge).share();
        Self::new(metric, Resource::default().share(), Scope::default().share())
    }
}

impl Signal for MetricPoint {
    const NAME: &'static str = "metric";
    type Indexes = [&'static str; 3];
    const INDEXES: Self::Indexes = ["name", "service", "type"];
    const DEFAULT_CAPACITY: usize = 100_000;

    fn key(&self, index: usize) -> Option<Key<'_>> {
        match index {
            0 => (!self.metric.name.is_empty()).then_some(Key::Text(&self.metric.name)),
            1 => Some(self.resource.service_key()),
            _ => Some(Key::Text(self.metric.kind.name())),
        }
    }

    fn wrong_key(index: usize, key: Key<'_>) -> Option<&'static str> {
        match index {
            0 => no_text(key, "a metric's name; those without one are in no index by name"),
            1 => no_text(key, NO_SERVICE),
            _ => {
                let is_type = matches!(key, Key::Text(name) if MetricKind::NAMES.contains(&name));
                (!is_type).then_some("a type: gauge, sum, histogram, exponential_histogram or summary")
            }
        }
    }

    fn timestamp(&self) -> u64 {
        self.time_unix_nanos
    }

    fn heap_bytes(&self) -> usize {
        self.attributes.heap_bytes() + list_bytes(&self.exemplars, Exemplar::heap_bytes) + self.value.heap_bytes()
    }

    fn charge(&self, ledger: &Ledger) {
        self.metric.charge(ledger);
        self.resource.charge(ledger);
        self.scope.charge(ledger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{Histogram, Number};

    // A slot holds the point itself: what it grows by, every slot of every store grows by.
    const _: () = assert!(size_of::<MetricPoint>() <= 96);

    fn point(name: &str, kind: MetricKind) -> MetricPoint {
        MetricPoint::new(Metric::new(name, kind).share(), Resource::default().share(), Scope::default().share())
    }

    #[test]
    fn keys_are_the_metrics_and_the_resources() {
        let sum = MetricKind::Sum { temporality: Temporality::Delta, monotonic: true };
        assert_eq!(point("orders", sum).key(0), Some(Key::Text("orders")));
        assert_eq!(point("orders", sum).key(1), Some(Key::Text("unknown_service")));
        assert_eq!(point("orders", sum).key(2), Some(Key::Text("sum")));
        assert_eq!(point("", MetricKind::Summary).key(0), None);
    }

    #[test]
    fn heap_bytes_leave_shared_parts_out_and_charge_counts_them() {
        let temporality = Temporality::Cumulative;
        let point = MetricPoint {
            attributes: Attributes::from([("key", "value")]),
            exemplars: [Exemplar { value: Some(Number::Int(1)), ..Exemplar::default() }].into(),
            value: Histogram { bucket_counts: [1, 2].into(), explicit_bounds: [0.5].into(), ..Default::default() }
                .into(),
            ..point("orders", MetricKind::Histogram { temporality })
        };
        let histogram = size_of::<Histogram>() + 3 * 8;
        assert_eq!(point.heap_bytes(), 48 + size_of::<Exemplar>() + histogram);

        let ledger = Ledger::default();
        point.charge(&ledger);
        let shared = point.metric.heap_bytes() + point.resource.heap_bytes() + point.scope.heap_bytes();
        assert_eq!(ledger.bytes(), shared);
    }

    #[test]
    fn numbers_are_the_protocols() {
        assert_eq!(Temporality::from_number(2), Some(Temporality::Cumulative));
        assert_eq!(Temporality::from_number(3), None);
        assert_eq!(Temporality::Delta.number(), 1);
    }
}
