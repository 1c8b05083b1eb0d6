//! The values of metric points: numbers, buckets or quantiles. As everywhere in this data model,
//! doubles are equal when their bits are equal.

use super::{Attributes, AttributesRef, SpanId, TraceId};
use crate::wire::{Fields, Raw, field_of};
use std::fmt;

/// The value of a metric point. It takes 16 bytes; larger values are boxed.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PointValue {
    /// No value: a point of a gauge or a sum for which none was recorded.
    #[default]
    Empty,
    /// An integer value of a gauge or a sum.
    Int(#[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::whole"))] i64),
    /// A double value of a gauge or a sum.
    Double(#[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))] f64),
    /// The value of a histogram.
    Histogram(Box<Histogram>),
    /// The value of an exponential histogram.
    ExponentialHistogram(Box<ExponentialHistogram>),
    /// The value of a summary.
    Summary(Box<Summary>),
}

/// A measured number. Doubles are equal when their bits are equal.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
pub enum Number {
    /// An integer.
    Int(#[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::whole"))] i64),
    /// A double.
    Double(#[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))] f64),
}

/// A histogram: the number of measurements in each bucket, with explicit bounds.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Histogram {
    /// The number of measurements.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::count"))]
    pub count: u64,
    /// The sum of the measurements, if they cannot be negative.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub sum: Option<f64>,
    /// The smallest measurement.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub min: Option<f64>,
    /// The largest measurement.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub max: Option<f64>,
    /// The number of measurements in each bucket. There is one bucket more than there are bounds,
    /// or none at all.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::counts"))]
    pub bucket_counts: Box<[u64]>,
    /// The inclusive upper bounds of the buckets, in ascending order. The last bucket has no bound.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::doubles"))]
    pub explicit_bounds: Box<[f64]>,
}

/// A histogram whose bucket bounds grow by the factor 2^(2^-scale).
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ExponentialHistogram {
    /// The number of measurements.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::count"))]
    pub count: u64,
    /// The sum of the measurements, if they cannot be negative.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub sum: Option<f64>,
    /// The smallest measurement.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub min: Option<f64>,
    /// The largest measurement.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::option_double"))]
    pub max: Option<f64>,
    /// The resolution: each increment doubles the number of buckets.
    pub scale: i32,
    /// The number of measurements that are zero, or whose absolute value is at most
    /// `zero_threshold`.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::count"))]
    pub zero_count: u64,
    /// The largest absolute value that counts as zero.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))]
    pub zero_threshold: f64,
    /// The buckets of positive measurements. An absent field reads as no buckets.
    pub positive: Buckets,
    /// The buckets of negative measurements, by absolute value. An absent field reads as no
    /// buckets.
    pub negative: Buckets,
}

/// A contiguous range of the buckets of an [`ExponentialHistogram`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Buckets {
    /// The index of the first bucket. With the histogram's factor `b`, bucket `i` covers the values
    /// above `b^i`, up to and including `b^(i+1)`.
    pub offset: i32,
    /// The number of measurements in each bucket.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::counts"))]
    pub bucket_counts: Box<[u64]>,
}

/// A summary: quantiles of measurements, computed by the source.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Summary {
    /// The number of measurements.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::count"))]
    pub count: u64,
    /// The sum of the measurements.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))]
    pub sum: f64,
    /// The values at some quantiles, in strictly ascending order of the quantiles.
    pub quantiles: Box<[Quantile]>,
}

/// The value at one quantile: OpenTelemetry's `ValueAtQuantile`.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Quantile {
    /// The quantile, from 0 (the minimum) to 1 (the maximum).
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))]
    pub quantile: f64,
    /// The value at this quantile, which is not negative.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))]
    pub value: f64,
}

/// One measurement that contributed to a point, with details that the point omits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Exemplar {
    /// The attributes of the measurement that are not attributes of the series.
    pub filtered_attributes: Attributes,
    /// The time of the measurement, in nanoseconds since the Unix epoch.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::nanos"))]
    pub time_unix_nanos: u64,
    /// The measured value. The protocol calls an exemplar without one invalid.
    pub value: Option<Number>,
    /// The span during which the measurement was made.
    pub span_id: Option<SpanId>,
    /// The trace during which the measurement was made.
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
    /// Returns the attributes of the measurement that are not attributes of the series.
    pub fn filtered_attributes(self) -> AttributesRef<'a> {
        AttributesRef::of(self.0, 7)
    }

    /// Returns the time of the measurement, in nanoseconds since the Unix epoch.
    pub fn time_unix_nanos(self) -> u64 {
        field_of(self.0, 2).map_or(0, Raw::number)
    }

    /// Returns the measured value. The protocol calls an exemplar without one invalid.
    pub fn value(self) -> Option<Number> {
        number_in(self.0, 3)
    }

    /// Returns the span during which the measurement was made.
    pub fn span_id(self) -> Option<SpanId> {
        SpanId::of_wire(field_of(self.0, 4))
    }

    /// Returns the trace during which the measurement was made.
    pub fn trace_id(self) -> Option<TraceId> {
        TraceId::of_wire(field_of(self.0, 5))
    }

    /// Copies the exemplar into an [`Exemplar`]. O(bytes).
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

// Equality is implemented by hand because of the doubles. Each implementation destructures its
// type, so that the compiler reports a new field that it does not compare.

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

/// Returns the number in a point or an exemplar: a double in field `double`, or an integer in field
/// 6.
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
