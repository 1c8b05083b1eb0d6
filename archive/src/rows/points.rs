//! Metric points as rows of the five tables of metrics.

use super::{Writing, digits};
use crate::blank::Known;
use crate::columns::{Columns, Kind, time};
use crate::table::Table;
use arrow_schema::ArrowError;
use slipring::MetricPoint;
use slipring::metric::{
    ExponentialHistogram, Histogram, MetricKind, Number, PointValue, Summary, Temporality,
};
use std::hash::{DefaultHasher, Hash, Hasher};

const ORIGIN: [(&str, Kind); 14] = [
    ("ResourceAttributes", Kind::Map),
    ("ResourceSchemaUrl", Kind::Text),
    ("ScopeName", Kind::Text),
    ("ScopeVersion", Kind::Text),
    ("ScopeAttributes", Kind::Map),
    ("ScopeDroppedAttrCount", Kind::U32),
    ("ScopeSchemaUrl", Kind::Text),
    ("ServiceName", Kind::Text),
    ("MetricName", Kind::Text),
    ("MetricDescription", Kind::Text),
    ("MetricUnit", Kind::Text),
    ("Attributes", Kind::Map),
    ("StartTimeUnix", Kind::Time),
    ("TimeUnix", Kind::Time),
];

const EXEMPLARS: [(&str, Kind); 5] = [
    ("Exemplars.FilteredAttributes", Kind::Maps),
    ("Exemplars.TimeUnix", Kind::Times),
    ("Exemplars.Value", Kind::Doubles),
    ("Exemplars.SpanId", Kind::Texts),
    ("Exemplars.TraceId", Kind::Texts),
];

const FLAGS: (&str, Kind) = ("Flags", Kind::U32);
const TEMPORALITY: (&str, Kind) = ("AggregationTemporality", Kind::I32);
const COUNT: [(&str, Kind); 2] = [("Count", Kind::U64), ("Sum", Kind::Double)];
const RANGE: [(&str, Kind); 2] = [("Min", Kind::Double), ("Max", Kind::Double)];

pub(super) fn columns_of(table: Table) -> Vec<(&'static str, Kind)> {
    let mut columns = ORIGIN.to_vec();
    match table {
        Table::Sum => {
            columns.extend([("Value", Kind::Double), FLAGS]);
            columns.extend(EXEMPLARS);
            columns.extend([TEMPORALITY, ("IsMonotonic", Kind::Flag)]);
        }
        Table::Histogram => {
            columns.extend(COUNT);
            columns.extend([("BucketCounts", Kind::U64s), ("ExplicitBounds", Kind::Doubles)]);
            columns.extend(EXEMPLARS);
            columns.push(FLAGS);
            columns.extend(RANGE);
            columns.push(TEMPORALITY);
        }
        Table::ExponentialHistogram => {
            columns.extend(COUNT);
            columns.extend([
                ("Scale", Kind::I32),
                ("ZeroCount", Kind::U64),
                ("PositiveOffset", Kind::I32),
                ("PositiveBucketCounts", Kind::U64s),
                ("NegativeOffset", Kind::I32),
                ("NegativeBucketCounts", Kind::U64s),
            ]);
            columns.extend(EXEMPLARS);
            columns.push(FLAGS);
            columns.extend(RANGE);
            columns.push(TEMPORALITY);
        }
        Table::Summary => {
            columns.extend(COUNT);
            columns.extend([
                ("ValueAtQuantiles.Quantile", Kind::Doubles),
                ("ValueAtQuantiles.Value", Kind::Doubles),
                FLAGS,
            ]);
        }
        _ => {
            columns.extend([("Value", Kind::Double), FLAGS]);
            columns.extend(EXEMPLARS);
        }
    }
    columns
}

/// Returns the table of a point: that of its metric, if the value is of that type.
pub(super) fn table(point: &MetricPoint) -> Option<Table> {
    Table::of_metric(point.metric().kind())
}

/// Sorts as the exporter's tables are: by service and metric, then series by series.
pub(super) fn sort(points: &mut [MetricPoint]) {
    let series = |point: &MetricPoint| {
        let mut hasher = DefaultHasher::new();
        point.resource().bytes().hash(&mut hasher);
        point.scope().bytes().hash(&mut hasher);
        point.attributes().iter().for_each(|one| (one.key, one.value).hash(&mut hasher));
        (hasher.finish(), point.time_unix_nanos())
    };
    points.sort_by_cached_key(series);
    points.sort_by(|one, other| {
        let names = || one.metric().name().cmp(other.metric().name());
        one.service().cmp(other.service()).then_with(names)
    });
}

/// Sets what the columns know of a point. Histograms and summaries have no value here.
pub(crate) fn known_of_number(known: &mut Known, start: i64, at: i64, value: Option<f64>) {
    known.clear();
    known.number(2, start as u64);
    known.number(3, at as u64);
    if let Some(value) = value {
        known.number(4, value.to_bits());
        known.number(6, value as i64 as u64);
    }
}

fn temporality(kind: MetricKind) -> i32 {
    let temporality = match kind {
        MetricKind::Sum { temporality, .. }
        | MetricKind::Histogram { temporality }
        | MetricKind::ExponentialHistogram { temporality } => temporality,
        _ => Temporality::Unspecified,
    };
    temporality.number()
}

fn double(number: Option<Number>) -> f64 {
    match number {
        Some(Number::Int(number)) => number as f64,
        Some(Number::Double(number)) => number,
        None => 0.0,
    }
}

fn exemplars(point: &MetricPoint, columns: &mut Columns) -> Result<(), ArrowError> {
    let all = point.exemplars();
    columns.maps(all.iter().map(|one| one.filtered_attributes()))?;
    columns.times(all.iter().map(|one| one.time_unix_nanos()));
    columns.doubles(all.iter().map(|one| double(one.value())));
    columns.texts(all.iter().map(|one| digits(one.span_id())));
    columns.texts(all.iter().map(|one| digits(one.trace_id())));
    Ok(())
}

fn origin(point: &MetricPoint, columns: &mut Columns) -> Result<(), ArrowError> {
    let (resource, scope, metric) = (point.resource(), point.scope(), point.metric());
    columns.map(resource.attributes())?.text(resource.schema_url());
    columns.text(scope.name()).text(scope.version()).map(scope.attributes())?;
    columns.u32(scope.dropped_attributes_count()).text(scope.schema_url());
    columns.text(point.service()).text(metric.name()).text(metric.description());
    columns.text(metric.unit()).map(point.attributes())?;
    columns.time(point.start_unix_nanos()).time(point.time_unix_nanos());
    Ok(())
}

/// Writes a point into the table of its metric's type. A value of another type, which only records
/// made by hand have, is absent there.
pub(super) fn write(point: &MetricPoint, writing: &mut Writing) -> Result<(), ArrowError> {
    let (kind, flags) = (point.metric().kind(), point.flags());
    let times = [point.start_unix_nanos(), point.time_unix_nanos()].map(time);
    let columns = &mut writing.columns;
    let mut number = None;
    origin(point, columns)?;
    match kind {
        MetricKind::Histogram { .. } => {
            let Histogram { count, sum, min, max, bucket_counts, explicit_bounds } =
                match point.value() {
                    PointValue::Histogram(histogram) => *histogram,
                    _ => Histogram::default(),
                };
            columns.u64(count).double(sum).u64s(bucket_counts).doubles(explicit_bounds);
            exemplars(point, columns)?;
            columns.u32(flags).double(min).double(max).i32(temporality(kind));
        }
        MetricKind::ExponentialHistogram { .. } => {
            let value = match point.value() {
                PointValue::ExponentialHistogram(histogram) => *histogram,
                _ => ExponentialHistogram::default(),
            };
            columns.u64(value.count).double(value.sum).i32(value.scale).u64(value.zero_count);
            columns.i32(value.positive.offset).u64s(value.positive.bucket_counts);
            columns.i32(value.negative.offset).u64s(value.negative.bucket_counts);
            exemplars(point, columns)?;
            columns.u32(flags).double(value.min).double(value.max).i32(temporality(kind));
        }
        MetricKind::Summary => {
            let Summary { count, sum, quantiles } = match point.value() {
                PointValue::Summary(summary) => *summary,
                _ => Summary::default(),
            };
            columns.u64(count).double(Some(sum));
            columns.doubles(quantiles.iter().map(|one| one.quantile));
            columns.doubles(quantiles.iter().map(|one| one.value)).u32(flags);
        }
        _ => {
            number = point.number();
            columns.double(number).u32(flags);
            exemplars(point, columns)?;
            if let MetricKind::Sum { monotonic, .. } = kind {
                columns.i32(temporality(kind)).flag(monotonic);
            }
        }
    }
    known_of_number(&mut writing.known, times[0], times[1], number);
    writing.end_row(point);
    Ok(())
}
