//! The builder of metric points.

use super::body::RecordKind;
use super::metric::MetricKind;
use super::metric_point::{Head, MetricPoint, Shape};
use super::point::{Buckets, Exemplar, Number, PointValue};
use super::written::Written;
use super::{AttributesRef, Source, ValueRef};
use crate::wire::Writer;
use std::borrow::Cow;

/// Builds a [`MetricPoint`] by encoding it, field by field, into a chunk that the thread fills. A
/// chunk takes a few allocations and holds up to 128 points; none is made per point. It works as
/// [`SpanBuilder`](crate::span::SpanBuilder) does for spans.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PointBuilder<'a> {
    source: Option<Source>,
    start: u64,
    time: u64,
    flags: u32,
    value: Cow<'a, PointValue>,
    /// Encoded attributes as field 1, and exemplars as field 2. `build` renumbers them, since their
    /// field numbers depend on the metric.
    lists: Written,
}

impl MetricPoint {
    /// Returns a builder whose fields all have the protocol's default values. See [`PointBuilder`].
    pub fn builder<'a>() -> PointBuilder<'a> {
        PointBuilder::new()
    }

    /// Returns a builder initialized from this point. Fields that the protocol does not define are
    /// dropped. O(bytes).
    pub fn to_builder(&self) -> PointBuilder<'_> {
        PointBuilder::from_point(self)
    }
}

impl<'a> PointBuilder<'a> {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Returns a builder initialized from another point: see [`MetricPoint::to_builder`].
    pub(super) fn from_point(point: &MetricPoint) -> Self {
        let builder = Self::new()
            .source(point.source())
            .start_unix_nanos(point.start_unix_nanos())
            .time_unix_nanos(point.time_unix_nanos())
            .flags(point.flags())
            .value(point.value())
            .attributes(point.attributes());
        point
            .exemplars()
            .iter()
            .fold(builder, |builder, exemplar| builder.exemplar(&exemplar.to_exemplar()))
    }

    /// Sets the metric, resource and scope: a source created by
    /// [`with_metric`](Source::with_metric). By default the point belongs to a gauge without a
    /// name.
    pub fn source(mut self, source: &Source) -> Self {
        self.source = Some(source.clone());
        self
    }

    /// Sets the start: see [`MetricPoint::start_unix_nanos`].
    pub fn start_unix_nanos(mut self, time: u64) -> Self {
        self.start = time;
        self
    }

    /// Sets the time: see [`MetricPoint::time_unix_nanos`].
    pub fn time_unix_nanos(mut self, time: u64) -> Self {
        self.time = time;
        self
    }

    /// Sets the flags: see [`MetricPoint::flags`].
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// Sets the value. Its type must match the metric's [`kind`](crate::metric::Metric::kind): a
    /// value of another type is dropped.
    pub fn value(mut self, value: impl Into<PointValue>) -> Self {
        self.value = Cow::Owned(value.into());
        self
    }

    /// Sets the value, and borrows it instead of taking it.
    pub fn value_of(mut self, value: &'a PointValue) -> Self {
        self.value = Cow::Borrowed(value);
        self
    }

    /// Adds an attribute.
    pub fn attribute<'v>(mut self, key: &str, value: impl Into<ValueRef<'v>>) -> Self {
        self.lists.attribute(1, key, value);
        self
    }

    /// Adds attributes.
    pub fn attributes<'v>(mut self, attributes: impl Into<AttributesRef<'v>>) -> Self {
        self.lists.attributes(1, attributes);
        self
    }

    /// Adds an exemplar: a measurement that contributed to the point. On the points of a summary,
    /// which have none, exemplars are dropped.
    pub fn exemplar(mut self, exemplar: &Exemplar) -> Self {
        self.lists.writer().nested(2, |writer| exemplar.write(writer));
        self
    }

    /// Adds exemplars.
    pub fn exemplars<'e>(self, exemplars: impl IntoIterator<Item = &'e Exemplar>) -> Self {
        exemplars.into_iter().fold(self, |builder, exemplar| builder.exemplar(exemplar))
    }

    /// Builds the point. O(bytes).
    pub fn build(self) -> MetricPoint {
        let kind = self.source.as_ref().map_or(MetricKind::Gauge, Source::metric_kind);
        let shape = Shape::of(kind.on_the_wire().0);
        let numbers = shape.numbers();
        let mut written = Written::default();
        let mut writer = written.writer();
        writer.fixed64(2, self.start);
        writer.fixed64(3, self.time);
        write_value(&self.value, shape, &mut writer);
        written.copy(self.lists.fields(), &[(1, numbers.attributes)]);
        if numbers.exemplars > 0 {
            written.copy(self.lists.fields(), &[(2, numbers.exemplars)]);
        }
        let mut writer = written.writer();
        writer.number(numbers.flags, self.flags.into());
        let mut head = Head::of(shape);
        let length = written.fields().rest().len();
        written.fields().for_each(|field| head.see(field, length));
        let (body, at) = written.keep(RecordKind::Points, self.source.as_ref());
        MetricPoint::of(head, body, at)
    }
}

fn write_value(value: &PointValue, shape: Shape, writer: &mut Writer<'_>) {
    let optional = |number, value: Option<f64>, writer: &mut Writer<'_>| {
        value.into_iter().for_each(|value| writer.always_fixed64(number, value.to_bits()));
    };
    match (value, shape) {
        (PointValue::Int(value), Shape::Number) => writer.always_fixed64(6, *value as u64),
        (PointValue::Double(value), Shape::Number) => writer.always_fixed64(4, value.to_bits()),
        (PointValue::Histogram(value), Shape::Histogram) => {
            writer.fixed64(4, value.count);
            optional(5, value.sum, writer);
            fixed(6, value.bucket_counts.iter().copied(), writer);
            fixed(7, value.explicit_bounds.iter().map(|bound| bound.to_bits()), writer);
            optional(11, value.min, writer);
            optional(12, value.max, writer);
        }
        (PointValue::ExponentialHistogram(value), Shape::Exponential) => {
            writer.fixed64(4, value.count);
            optional(5, value.sum, writer);
            writer.zigzag(6, value.scale);
            writer.fixed64(7, value.zero_count);
            buckets(8, &value.positive, writer);
            buckets(9, &value.negative, writer);
            optional(12, value.min, writer);
            optional(13, value.max, writer);
            writer.fixed64(14, value.zero_threshold.to_bits());
        }
        (PointValue::Summary(value), Shape::Summary) => {
            writer.fixed64(4, value.count);
            writer.fixed64(5, value.sum.to_bits());
            for one in &value.quantiles {
                writer.nested(6, |writer| {
                    writer.fixed64(1, one.quantile.to_bits());
                    writer.fixed64(2, one.value.to_bits());
                });
            }
        }
        _ => {}
    }
}

fn fixed(number: u32, values: impl ExactSizeIterator<Item = u64>, writer: &mut Writer<'_>) {
    if values.len() > 0 {
        writer.nested(number, |writer| {
            values.for_each(|value| writer.0.extend_from_slice(&value.to_le_bytes()))
        });
    }
}

fn buckets(number: u32, buckets: &Buckets, writer: &mut Writer<'_>) {
    if *buckets == Buckets::default() {
        return;
    }
    writer.nested(number, |writer| {
        writer.zigzag(1, buckets.offset);
        if !buckets.bucket_counts.is_empty() {
            writer.nested(2, |writer| {
                buckets.bucket_counts.iter().for_each(|count| writer.varint(*count))
            });
        }
    });
}

impl Exemplar {
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        AttributesRef::from(&self.filtered_attributes).write(7, writer);
        writer.fixed64(2, self.time_unix_nanos);
        match self.value {
            None => {}
            Some(Number::Double(value)) => writer.always_fixed64(3, value.to_bits()),
            Some(Number::Int(value)) => writer.always_fixed64(6, value as u64),
        }
        writer.id(4, &self.span_id.unwrap_or_default().to_bytes());
        writer.id(5, &self.trace_id.unwrap_or_default().to_bytes());
    }
}
