//! What a metric point measured: a number, buckets or quantiles. Doubles are equal when their bits
//! are, as everywhere in this data model.

use super::{Attributes, AttributesRef, SpanId, TraceId};
use crate::wire::{Fields, Raw, field_of};
use std::fmt;

/// What a metric point measured. 16 bytes; what is larger is boxed.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum PointValue {
    /// No value, as of a gauge or a sum of which none was recorded.
    #[default]
    Empty,
    /// An integer, of a gauge or a sum.
    Int(#[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::whole"))] i64),
    /// A double, of a gauge or a sum.
    Double(#[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))] f64),
    /// Of a histogram.
    Histogram(Box<Histogram>),
    /// Of an exponential histogram.
    ExponentialHistogram(Box<ExponentialHistogram>),
    /// Of a summary.
    Summary(Box<Summary>),
}

/// A measured number. Doubles are equal when their bits are.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
pub enum Number {
    /// An integer.
    Int(#[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::whole"))] i64),
    /// A double.
    Double(#[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))] f64),
}

/// How many measurements fell into each of some buckets with given bounds.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Histogram {
    /// Measurements.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::count"))]
    pub count: u64,
    /// Their sum, if they can't be negative.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub sum: Option<f64>,
    /// The least of them.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub min: Option<f64>,
    /// The greatest of them.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub max: Option<f64>,
    /// Measurements in each bucket: one more than there are bounds, or none at all.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::counts"))]
    pub bucket_counts: Box<[u64]>,
    /// Each bucket's upper bound, itself included, growing; the last bucket has none.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::doubles"))]
    pub explicit_bounds: Box<[f64]>,
}

/// How many measurements fell into each of some buckets whose bounds grow by the factor
/// 2^(2^-scale).
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ExponentialHistogram {
    /// Measurements.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::count"))]
    pub count: u64,
    /// Their sum, if they can't be negative.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub sum: Option<f64>,
    /// The least of them.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub min: Option<f64>,
    /// The greatest of them.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub max: Option<f64>,
    /// How fine the buckets are: each step doubles their number.
    pub scale: i32,
    /// Measurements that are zero, or as near to it as `zero_threshold` says.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::count"))]
    pub zero_count: u64,
    /// How far from zero a measurement counts as zero.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))]
    pub zero_threshold: f64,
    /// Measurements above zero. No buckets is also what an absent field means.
    pub positive: Buckets,
    /// Measurements below zero, by their absolute values. No buckets is also what an absent field
    /// means.
    pub negative: Buckets,
}

/// Some neighbouring buckets of an [`ExponentialHistogram`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Buckets {
    /// Which bucket is the first: with the histogram's factor `b`, bucket `i` reaches from `b^i`,
    /// itself excluded, to `b^(i+1)`.
    pub offset: i32,
    /// Measurements in each bucket.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::counts"))]
    pub bucket_counts: Box<[u64]>,
}

/// Quantiles of measurements, as the source worked them out.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Summary {
    /// Measurements.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::count"))]
    pub count: u64,
    /// Their sum.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))]
    pub sum: f64,
    /// Values at some quantiles, which grow strictly.
    pub quantiles: Box<[Quantile]>,
}

/// The value at one quantile: OpenTelemetry's `ValueAtQuantile`.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Quantile {
    /// Which quantile, from 0 (the least) to 1 (the greatest).
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))]
    pub quantile: f64,
    /// The value there, not below zero.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))]
    pub value: f64,
}

/// One measurement that went into a point, with what the point itself leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Exemplar {
    /// Attributes of the measurement that are not the series' own.
    pub filtered_attributes: Attributes,
    /// When it was measured, in nanoseconds since the Unix epoch.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::nanos"))]
    pub time_unix_nanos: u64,
    /// What was measured; an exemplar without it is invalid in the protocol.
    pub value: Option<Number>,
    /// The span during which it was measured.
    pub span_id: Option<SpanId>,
    /// The trace during which it was measured.
    pub trace_id: Option<TraceId>,
}

/// An exemplar of a point, borrowed from it.
#[derive(Clone, Copy)]
pub struct ExemplarRef<'a>(&'a [u8]);

impl<'a> From<&'a [u8]> for ExemplarRef<'a> {
    fn from(message: &'a [u8]) -> Self {
        Self(message)
    }
}

impl<'a> ExemplarRef<'a> {
    /// Returns attributes of the measurement that are not the series' own.
    pub fn filtered_attributes(self) -> AttributesRef<'a> {
        AttributesRef::of(self.0, 7)
    }

    /// Returns the time at which it was measured, in nanoseconds since the Unix epoch.
    pub fn time_unix_nanos(self) -> u64 {
        field_of(self.0, 2).map_or(0, Raw::number)
    }

    /// Returns what was measured; an exemplar without it is invalid in the protocol.
    pub fn value(self) -> Option<Number> {
        number_in(self.0, 3)
    }

    /// Returns the span during which it was measured.
    pub fn span_id(self) -> Option<SpanId> {
        SpanId::of_wire(field_of(self.0, 4))
    }

    /// Returns the trace during which it was measured.
    pub fn trace_id(self) -> Option<TraceId> {
        TraceId::of_wire(field_of(self.0, 5))
    }

    /// Copies it into an [`Exemplar`]. O(bytes).
    pub fn to_exemplar(self) -> Exemplar {
        Exemplar {
            filtered_attributes: self.filtered_attributes().to_attributes(),
            time_unix_nanos: self.time_unix_nanos(),
            value: self.value(),
            span_id: self.span_id(),
            trace_id: self.trace_id(),
        }
    }
}

view! { ExemplarRef { filtered_attributes, time_unix_nanos in nanos, value, span_id, trace_id } }

impl From<i64> for PointValue {
    fn from(value: i64) -> Self {
        PointValue::Int(value)
    }
}

impl From<f64> for PointValue {
    fn from(value: f64) -> Self {
        PointValue::Double(value)
    }
}

impl From<Number> for PointValue {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(number) => PointValue::Int(number),
            Number::Double(number) => PointValue::Double(number),
        }
    }
}

impl From<Histogram> for PointValue {
    fn from(value: Histogram) -> Self {
        PointValue::Histogram(value.into())
    }
}

impl From<ExponentialHistogram> for PointValue {
    fn from(value: ExponentialHistogram) -> Self {
        PointValue::ExponentialHistogram(value.into())
    }
}

impl From<Summary> for PointValue {
    fn from(value: Summary) -> Self {
        PointValue::Summary(value.into())
    }
}

// Equality, by hand because of the doubles. Each takes its type apart, so that a new field is not
// forgotten.

fn same(a: &[f64], b: &[f64]) -> bool {
    a.iter().map(|a| a.to_bits()).eq(b.iter().map(|b| b.to_bits()))
}

fn bits(double: Option<f64>) -> Option<u64> {
    double.map(f64::to_bits)
}

impl PartialEq for PointValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (PointValue::Empty, PointValue::Empty) => true,
            (PointValue::Int(a), PointValue::Int(b)) => a == b,
            (PointValue::Double(a), PointValue::Double(b)) => a.to_bits() == b.to_bits(),
            (PointValue::Histogram(a), PointValue::Histogram(b)) => a == b,
            (PointValue::ExponentialHistogram(a), PointValue::ExponentialHistogram(b)) => a == b,
            (PointValue::Summary(a), PointValue::Summary(b)) => a == b,
            _ => false,
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => a == b,
            (Number::Double(a), Number::Double(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        let Self { count, sum, min, max, bucket_counts, explicit_bounds } = self;
        *count == other.count
            && [*sum, *min, *max].map(bits) == [other.sum, other.min, other.max].map(bits)
            && *bucket_counts == other.bucket_counts
            && same(explicit_bounds, &other.explicit_bounds)
    }
}

impl PartialEq for ExponentialHistogram {
    fn eq(&self, other: &Self) -> bool {
        let Self { count, sum, min, max, scale, zero_count, zero_threshold, positive, negative } =
            self;
        (*count, *scale, *zero_count) == (other.count, other.scale, other.zero_count)
            && [*sum, *min, *max].map(bits) == [other.sum, other.min, other.max].map(bits)
            && zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && (positive, negative) == (&other.positive, &other.negative)
    }
}

impl PartialEq for Summary {
    fn eq(&self, other: &Self) -> bool {
        let Self { count, sum, quantiles } = self;
        *count == other.count
            && sum.to_bits() == other.sum.to_bits()
            && *quantiles == other.quantiles
    }
}

impl PartialEq for Quantile {
    fn eq(&self, other: &Self) -> bool {
        let Self { quantile, value } = *self;
        same(&[quantile, value], &[other.quantile, other.value])
    }
}

impl Eq for PointValue {}
impl Eq for Number {}
impl Eq for Histogram {}
impl Eq for ExponentialHistogram {}
impl Eq for Summary {}
impl Eq for Quantile {}

/// Returns the number in a point or an exemplar: a double in the field of this number, or an
/// integer in field 6.
pub(super) fn number_in(message: &[u8], double: u32) -> Option<Number> {
    Fields::of(message).find_map(|field| match field.number {
        number if number == double => Some(Number::Double(field.raw.double())),
        6 => Some(Number::Int(field.raw.number() as i64)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const _: () = assert!(size_of::<PointValue>() == 16);

    #[test]
    fn what_holds_a_nan_equals_itself() {
        let nan = f64::NAN;
        let histogram =
            Histogram { sum: Some(nan), explicit_bounds: [nan].into(), ..Default::default() };
        let exponential =
            ExponentialHistogram { zero_threshold: nan, max: Some(nan), ..Default::default() };
        let summary = Summary {
            quantiles: [Quantile { quantile: nan, value: nan }].into(),
            ..Default::default()
        };
        for value in [PointValue::Double(nan), histogram.into(), exponential.into(), summary.into()]
        {
            assert_eq!(value, value.clone());
        }
        assert_ne!(Some(Number::Double(0.0)), Some(Number::Double(-0.0)));
    }

    #[test]
    fn equality_sees_every_double() {
        let histogram = Histogram { min: Some(0.0), ..Default::default() };
        assert_ne!(histogram, Histogram::default());
        assert_ne!(
            Histogram { explicit_bounds: [0.0].into(), ..Default::default() },
            Histogram::default()
        );
        let exponential = ExponentialHistogram { zero_threshold: -0.0, ..Default::default() };
        assert_ne!(exponential, ExponentialHistogram::default());
        assert_ne!(Summary { sum: -0.0, ..Default::default() }, Summary::default());
    }
}
