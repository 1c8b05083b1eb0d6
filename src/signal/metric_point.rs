//! Metric points, modeled on OpenTelemetry's data points.

use super::body::{At, Body, Gathered};
use super::offset::Offset;
use super::point::{
    Buckets, ExemplarRef, ExponentialHistogram, Histogram, Number, PointValue, Quantile, Summary,
    number_in,
};
use super::{
    AttributesRef, Index, Key, Ledger, ListRef, MetricKind, MetricRef, ResourceRef, ScopeRef,
    Shared, Signal, Source, by_service, is_text,
};
use crate::wire::{Field, Fields, Raw, field_of};
use std::fmt;

/// One data point of a metric: any of OpenTelemetry's five types, with its metric, resource and
/// scope.
///
/// The point is stored as its encoded bytes, which the accessors read in place, as for a
/// [`Span`](crate::Span).
///
/// Indexes: `name` (the metric's name; no key if it is empty), `service` (the resource's
/// `service.name`, or `unknown_service`) and `type` (`gauge`, `sum`, `histogram`,
/// `exponential_histogram` or `summary`). The timestamp is the point's time.
///
/// ```
/// use slipring::{Key, MetricPoint, Resource, Scope, Signal, Source};
/// use slipring::metric::{Metric, MetricKind};
///
/// let source = Source::new(&Resource::new([("service.name", "cart")]), &Scope::default());
/// let memory = source.with_metric(&Metric { unit: "By".into(), ..Metric::new("process.memory.usage", MetricKind::Gauge) });
/// let point =
///     MetricPoint::builder().source(&memory).time_unix_nanos(1_760_000_000_000_000_000).value(52_428_800).build();
/// assert_eq!(MetricPoint::INDEXES[0].key(&point), Some(Key::Text("process.memory.usage")));
/// assert_eq!(MetricPoint::INDEXES[2].key(&point), Some(Key::Text("gauge")));
/// assert_eq!(point.number(), Some(52_428_800.0));
/// ```
#[derive(Clone)]
pub struct MetricPoint {
    head: Head,
    body: Shared<Body>,
    at: At,
}

// Slots hold points inline, so each byte added here enlarges every slot of every store.
const _: () = assert!(size_of::<MetricPoint>() == 24);

/// The exemplars of a point.
pub type Exemplars<'a> = ListRef<'a, ExemplarRef<'a>>;

/// Where the time lies, in the lower half, and above it the shape: how to read the other fields.
///
/// One word, because parts of a word that were just stored can't be loaded as a whole before they
/// have reached the cache. An enum in a record would have `Option`s of records use it for their own
/// tag, and move records in such parts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head(u32);

/// The protocol's message type of a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `NumberDataPoint`.
    #[default]
    Number,
    /// `HistogramDataPoint`.
    Histogram,
    /// `ExponentialHistogramDataPoint`.
    Exponential,
    /// `SummaryDataPoint`.
    Summary,
}

/// The field numbers of the fields that all shapes have in common.
pub(super) struct Numbers {
    pub(super) attributes: u32,
    pub(super) exemplars: u32,
    pub(super) flags: u32,
}

impl Shape {
    /// Returns the shape of the points in a metric's field of this number.
    pub(crate) fn of(tag: u32) -> Self {
        match tag {
            9 => Shape::Histogram,
            10 => Shape::Exponential,
            11 => Shape::Summary,
            _ => Shape::Number,
        }
    }

    pub(super) fn numbers(self) -> Numbers {
        let (attributes, exemplars, flags) = match self {
            Shape::Number => (7, 5, 8),
            Shape::Histogram => (9, 8, 10),
            Shape::Exponential => (1, 11, 10),
            // A summary has no exemplars: 0 is not a field number.
            Shape::Summary => (7, 0, 8),
        };
        Numbers { attributes, exemplars, flags }
    }
}

impl Head {
    const SHAPE: u32 = u16::BITS;

    pub(crate) fn of(shape: Shape) -> Self {
        Self((shape as u32) << Self::SHAPE)
    }

    #[inline]
    fn time(self) -> Offset<2> {
        Offset::from_bits(self.0 as u16)
    }

    #[inline]
    fn shape(self) -> Shape {
        const HISTOGRAM: u32 = Shape::Histogram as u32;
        const EXPONENTIAL: u32 = Shape::Exponential as u32;
        const SUMMARY: u32 = Shape::Summary as u32;
        match self.0 >> Self::SHAPE {
            HISTOGRAM => Shape::Histogram,
            EXPONENTIAL => Shape::Exponential,
            SUMMARY => Shape::Summary,
            _ => Shape::Number,
        }
    }

    /// Notes a field of a message of this length, if the head says anything of it.
    #[inline]
    pub(crate) fn see(&mut self, field: Field<'_>, length: usize) {
        if field.number == 3 {
            let time = Offset::<2>::of(length, field.left).bits();
            self.0 = self.0 >> Self::SHAPE << Self::SHAPE | u32::from(time);
        }
    }
}

impl MetricPoint {
    /// Returns the metric that the point belongs to.
    pub fn metric(&self) -> MetricRef<'_> {
        self.source().metric()
    }

    /// Returns the attributes, which identify the point's series within the metric.
    pub fn attributes(&self) -> AttributesRef<'_> {
        AttributesRef::of(self.bytes(), self.head.shape().numbers().attributes)
    }

    /// Returns the start of the interval that the point covers, in nanoseconds since the Unix
    /// epoch, or 0 if it is unknown. O(bytes).
    pub fn start_unix_nanos(&self) -> u64 {
        self.number_of(2)
    }

    /// Returns the time of the measurement, in nanoseconds since the Unix epoch.
    pub fn time_unix_nanos(&self) -> u64 {
        self.head.time().fixed64(self.bytes(), |record| field_of(record, 3))
    }

    /// Returns the flags. Bit 0 means that [no value was
    /// recorded](MetricPoint::has_no_recorded_value). The other bits are reserved, and returned as
    /// they arrived. O(bytes).
    pub fn flags(&self) -> u32 {
        self.number_of(self.head.shape().numbers().flags) as u32
    }

    /// Returns the exemplars: individual measurements that contributed to the point. A summary has
    /// none.
    pub fn exemplars(&self) -> Exemplars<'_> {
        Exemplars::of(self.bytes(), self.head.shape().numbers().exemplars)
    }

    /// Returns the value. O(bytes). It allocates for histograms and summaries.
    /// [`number`](MetricPoint::number) does not allocate.
    pub fn value(&self) -> PointValue {
        let long = |number| self.number_of(number);
        let double = |number| self.field(number).map(Raw::double);
        match self.head.shape() {
            Shape::Number => self.number_value().map_or(PointValue::Empty, PointValue::from),
            Shape::Histogram => Histogram {
                count: long(4),
                sum: double(5),
                min: double(11),
                max: double(12),
                bucket_counts: fixed(self.field(6)).collect(),
                explicit_bounds: fixed(self.field(7)).map(f64::from_bits).collect(),
            }
            .into(),
            Shape::Exponential => ExponentialHistogram {
                count: long(4),
                sum: double(5),
                min: double(12),
                max: double(13),
                scale: zigzag(long(6)),
                zero_count: long(7),
                zero_threshold: double(14).unwrap_or_default(),
                positive: buckets(self.field(8)),
                negative: buckets(self.field(9)),
            }
            .into(),
            Shape::Summary => {
                let quantiles =
                    Fields::of(self.bytes()).filter(|field| field.number == 6).map(|field| {
                        let double =
                            |number| field_of(field.raw.bytes(), number).map_or(0.0, Raw::double);
                        Quantile { quantile: double(1), value: double(2) }
                    });
                Summary {
                    count: long(4),
                    sum: double(5).unwrap_or_default(),
                    quantiles: quantiles.collect(),
                }
                .into()
            }
        }
    }

    pub(crate) fn number_value(&self) -> Option<Number> {
        if self.head.shape() != Shape::Number {
            return None;
        }
        number_in(self.bytes(), 4)
    }

    /// Returns the value of a point of a gauge or a sum. Returns `None` for other points. O(bytes).
    pub fn number(&self) -> Option<f64> {
        self.number_value().map(|number| match number {
            Number::Int(value) => value as f64,
            Number::Double(value) => value,
        })
    }

    /// Returns the count of a histogram or a summary. Returns `None` for other points. O(bytes).
    pub fn count(&self) -> Option<u64> {
        (self.head.shape() != Shape::Number).then(|| self.number_of(4))
    }

    /// Returns whether the source marks the series as stale: it existed before and has no value
    /// now. O(bytes).
    pub fn has_no_recorded_value(&self) -> bool {
        self.flags() & 1 != 0
    }
}

/// Iterates over packed 8-byte numbers.
fn fixed(field: Option<Raw<'_>>) -> impl Iterator<Item = u64> {
    let (numbers, _) = field.map_or(&[][..], Raw::bytes).as_chunks::<8>();
    numbers.iter().map(|number| u64::from_le_bytes(*number))
}

fn zigzag(number: u64) -> i32 {
    let number = number as u32;
    (number >> 1) as i32 ^ -((number & 1) as i32)
}

fn buckets(field: Option<Raw<'_>>) -> Buckets {
    let message = field.map_or(&[][..], Raw::bytes);
    let counts = field_of(message, 2).map_or(&[][..], Raw::bytes);
    Buckets {
        offset: zigzag(field_of(message, 1).map_or(0, Raw::number)),
        bucket_counts: Fields::of(counts).varints().collect(),
    }
}

record! { MetricPoint {
    metric, attributes, start_unix_nanos in nanos, time_unix_nanos in nanos, flags, exemplars, value, resource, scope,
} }

impl Signal for MetricPoint {
    const NAME: &'static str = "metric";
    type Indexes = [Index<Self>; 3];
    const INDEXES: Self::Indexes = [
        Index::new("name", |point: &Self| {
            Some(point.source().metric_name()).filter(|name| !name.is_empty()).map(Key::Text)
        })
        .sharing(Self::has_source_of)
        .accepting(is_text, "a metric's name; metrics without a name are not in this index"),
        by_service(|point: &Self| Some(Key::Text(point.service()))).sharing(Self::has_source_of),
        Index::new("type", |point: &Self| Some(Key::Text(point.source().metric_kind().name())))
            .sharing(Self::has_source_of)
            .accepting(
                |key| matches!(key, Key::Text(name) if MetricKind::NAMES.contains(&name)),
                "a type: gauge, sum, histogram, exponential_histogram or summary",
            ),
    ];
    const DEFAULT_CAPACITY: usize = 100_000;

    fn timestamp(&self) -> u64 {
        self.time_unix_nanos()
    }

    fn heap_bytes(&self) -> usize {
        self.at.length as usize
    }

    fn detach(&mut self) {
        *self = self.detached();
    }

    #[inline]
    fn charge(&self, ledger: &Ledger) {
        Body::charge(&self.body, self.at, ledger);
    }
}
