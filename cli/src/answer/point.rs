//! Metric points.

use super::plain::is_zero;
use super::{
    Attributes, Nanos, Number, Origin, Report, Resource, Scope, Show, Shown, Sources, Time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slipring::metric::{ExemplarRef, MetricKind, PointValue, Temporality};
use slipring::{MetricPoint, Position, SpanId, TraceId};
use std::borrow::Cow;

/// A metric point.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Point<'a> {
    /// Its permanent name in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::span::AtPosition>")]
    pub position: Option<Position>,
    /// The metric's name.
    pub name: Cow<'a, str>,
    /// The metric's unit, in UCUM.
    pub unit: Cow<'a, str>,
    /// `gauge`, `sum`, `histogram`, `exponential_histogram` or `summary`.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The resource's `service.name`; null if it has none.
    pub service: Option<Cow<'a, str>>,
    pub attributes: Attributes<'a>,
    #[serde(flatten)]
    pub measured: Measured<'a>,
    pub metric: Origin<Metric<'a>>,
    pub resource: Origin<Resource<'a>>,
    pub scope: Origin<Scope<'a>>,
}

/// What the points of a metric have in common.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Metric<'a> {
    pub name: Cow<'a, str>,
    pub unit: Cow<'a, str>,
    /// For people.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub description: Cow<'a, str>,
    /// `gauge`, `sum`, `histogram`, `exponential_histogram` or `summary`.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// `delta` or `cumulative`; left out for gauges and summaries, and where it was not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporality: Option<Cow<'static, str>>,
    /// Whether a sum never decreases; left out for what is no sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monotonic: Option<bool>,
}

/// What was measured: a value of a gauge or a sum, or the fields of a histogram or a summary.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Measured<'a> {
    pub time: Time,
    pub time_unix_nanos: Nanos,
    /// From when on it counts.
    pub start: Time,
    pub start_unix_nanos: Nanos,
    /// Of a gauge or a sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Number>,
    /// One more than there are bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_counts: Option<Vec<Number>>,
    /// The inclusive upper bounds of all buckets but the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explicit_bounds: Option<Vec<Number>>,
    /// Of an exponential histogram, whose buckets grow by the factor 2^(2^-scale).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_count: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_threshold: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<Buckets>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative: Option<Buckets>,
    /// Of a summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Vec<Quantile>>,
    /// Single measurements, most with the trace that they were made in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemplars: Vec<Exemplar<'a>>,
    /// Bit 0: no value was recorded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flags: u32,
}

/// Buckets of an exponential histogram, in a row.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Buckets {
    /// The number of the first one.
    pub offset: i32,
    pub bucket_counts: Vec<Number>,
}

/// The value that a share of the measurements does not exceed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Quantile {
    /// The share, from 0 to 1.
    pub quantile: Number,
    pub value: Number,
}

/// A single measurement.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Exemplar<'a> {
    pub time: Time,
    pub time_unix_nanos: Nanos,
    pub value: Option<Number>,
    pub trace_id: Option<Shown<TraceId>>,
    pub span_id: Option<Shown<SpanId>>,
    /// Those that the series does not have.
    pub attributes: Attributes<'a>,
}

/// Metric points that fit a question.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Points<'a> {
    pub points: Vec<Point<'a>>,
    /// What `metric` of the points counts in.
    pub metrics: Vec<Metric<'a>>,
    /// What `resource` of the points counts in.
    pub resources: Vec<Resource<'a>>,
    /// What `scope` of the points counts in.
    pub scopes: Vec<Scope<'a>>,
    /// What to give as `after` for the next page; null on the last one.
    pub next: Option<String>,
    pub report: Report<'a>,
}

impl<'a> Metric<'a> {
    /// Shows a metric.
    pub fn of(metric: slipring::metric::MetricRef<'a>) -> Self {
        let (temporality, monotonic) = match metric.kind() {
            MetricKind::Sum { temporality, monotonic } => (Some(temporality), Some(monotonic)),
            MetricKind::Histogram { temporality }
            | MetricKind::ExponentialHistogram { temporality } => (Some(temporality), None),
            MetricKind::Gauge | MetricKind::Summary => (None, None),
        };
        let name = |temporality| match temporality {
            Temporality::Delta => Some(Cow::Borrowed("delta")),
            Temporality::Cumulative => Some(Cow::Borrowed("cumulative")),
            Temporality::Unspecified => None,
        };
        Self {
            name: metric.name().into(),
            unit: metric.unit().into(),
            description: metric.description().into(),
            kind: metric.kind().name().into(),
            temporality: temporality.and_then(name),
            monotonic,
        }
    }
}

impl<'a> Exemplar<'a> {
    /// Shows an exemplar.
    pub fn of(exemplar: ExemplarRef<'a>) -> Self {
        Self {
            time: Time(exemplar.time_unix_nanos()),
            time_unix_nanos: Nanos(exemplar.time_unix_nanos()),
            value: exemplar.value().map(Number::from),
            trace_id: exemplar.trace_id().map(Shown),
            span_id: exemplar.span_id().map(Shown),
            attributes: exemplar.filtered_attributes().into(),
        }
    }
}

fn counts(counts: &[u64]) -> Vec<Number> {
    counts.iter().map(|&count| count.into()).collect()
}

fn doubles(doubles: &[f64]) -> Vec<Number> {
    doubles.iter().map(|&double| double.into()).collect()
}

impl From<slipring::metric::Buckets> for Buckets {
    fn from(buckets: slipring::metric::Buckets) -> Self {
        Self { offset: buckets.offset, bucket_counts: counts(&buckets.bucket_counts) }
    }
}

impl<'a> Measured<'a> {
    /// Shows what a point measured.
    pub fn of(point: &'a MetricPoint) -> Self {
        let (time, start) = (point.time_unix_nanos(), point.start_unix_nanos());
        let measured = Self {
            time: Time(time),
            time_unix_nanos: Nanos(time),
            start: Time(start),
            start_unix_nanos: Nanos(start),
            exemplars: point.exemplars().iter().map(Exemplar::of).collect(),
            flags: point.flags(),
            ..Self::default()
        };
        match point.value() {
            PointValue::Empty => measured,
            PointValue::Int(value) => Self { value: Some(Number::Int(value)), ..measured },
            PointValue::Double(value) => Self { value: Some(value.into()), ..measured },
            PointValue::Histogram(one) => Self {
                count: Some(one.count.into()),
                sum: one.sum.map(Number::from),
                min: one.min.map(Number::from),
                max: one.max.map(Number::from),
                bucket_counts: Some(counts(&one.bucket_counts)),
                explicit_bounds: Some(doubles(&one.explicit_bounds)),
                ..measured
            },
            PointValue::ExponentialHistogram(one) => Self {
                count: Some(one.count.into()),
                sum: one.sum.map(Number::from),
                min: one.min.map(Number::from),
                max: one.max.map(Number::from),
                scale: Some(one.scale),
                zero_count: Some(one.zero_count.into()),
                zero_threshold: Some(one.zero_threshold.into()),
                positive: Some(one.positive.into()),
                negative: Some(one.negative.into()),
                ..measured
            },
            PointValue::Summary(one) => {
                let quantile = |one: &slipring::metric::Quantile| Quantile {
                    quantile: one.quantile.into(),
                    value: one.value.into(),
                };
                Self {
                    count: Some(one.count.into()),
                    sum: Some(one.sum.into()),
                    quantiles: Some(one.quantiles.iter().map(quantile).collect()),
                    ..measured
                }
            }
        }
    }
}

impl Show for MetricPoint {
    type One<'a> = Point<'a>;
    type Page<'a> = Points<'a>;

    fn one<'a>(&'a self, position: Option<Position>, sources: &mut Sources<'a>) -> Point<'a> {
        let place = sources.place(self.resource(), self.scope());
        let metric = self.metric();
        Point {
            position,
            name: metric.name().into(),
            unit: metric.unit().into(),
            kind: metric.kind().name().into(),
            metric: sources.metric(metric),
            service: place.service,
            attributes: self.attributes().into(),
            measured: Measured::of(self),
            resource: place.resource,
            scope: place.scope,
        }
    }

    fn page<'a>(
        points: Vec<Point<'a>>,
        sources: Sources<'a>,
        next: Option<String>,
        report: Report<'a>,
    ) -> Points<'a> {
        let Sources { all_metrics, all_resources, all_scopes, .. } = sources;
        Points {
            points,
            metrics: all_metrics,
            resources: all_resources,
            scopes: all_scopes,
            next,
            report,
        }
    }
}
