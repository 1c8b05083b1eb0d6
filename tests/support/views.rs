//! Compares views with prost's decoding of the same bytes, field by field.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::{logs::v1 as logs, metrics::v1 as metrics, trace::v1 as trace};
use prost::Message;
use slipring::attribute::{AttributesRef, ValueRef};
use slipring::metric::{ExemplarRef, Number, PointValue};
use slipring::otlp::{Encoding, Kind, Request};
use slipring::{LogRecord, MetricPoint, Span};

fn same_value(view: ValueRef<'_>, wire: &AnyValue) {
    use any_value::Value;
    match (view, &wire.value) {
        (ValueRef::Empty, None | Some(Value::StringValueStrindex(_))) => {}
        (ValueRef::Text(view), Some(Value::StringValue(wire))) => assert_eq!(view, wire),
        (ValueRef::Bool(view), Some(Value::BoolValue(wire))) => assert_eq!(view, *wire),
        (ValueRef::Int(view), Some(Value::IntValue(wire))) => assert_eq!(view, *wire),
        (ValueRef::Double(view), Some(Value::DoubleValue(wire))) => {
            assert_eq!(view.to_bits(), wire.to_bits())
        }
        (ValueRef::Bytes(view), Some(Value::BytesValue(wire))) => assert_eq!(view, wire),
        (ValueRef::Array(view), Some(Value::ArrayValue(wire))) => {
            assert_eq!(view.len(), wire.values.len());
            view.iter().zip(&wire.values).for_each(|(view, wire)| same_value(view, wire));
        }
        (ValueRef::Map(view), Some(Value::KvlistValue(wire))) => {
            same_attributes(view, &wire.values)
        }
        (view, wire) => panic!("{view:?} is not {wire:?}"),
    }
}

fn same_attributes(view: AttributesRef<'_>, wire: &[KeyValue]) {
    assert_eq!((view.len(), view.is_empty()), (wire.len(), wire.is_empty()));
    for (view, wire) in view.iter().zip(wire) {
        assert_eq!(view.key, wire.key);
        same_value(view.value, wire.value.as_ref().unwrap_or(&AnyValue::default()));
    }
    for one in wire {
        let first = wire.iter().find(|other| other.key == one.key).unwrap();
        same_value(
            view.get(&one.key).unwrap(),
            first.value.as_ref().unwrap_or(&AnyValue::default()),
        );
    }
}

/// Returns an id, or `None` if it is invalid.
fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    <[u8; N]>::try_from(bytes).ok().filter(|id| *id != [0; N])
}

pub fn same_span(view: &Span) {
    let wire = trace::Span::decode(view.bytes()).unwrap();
    assert_eq!(Some(view.trace_id().to_bytes()), id(&wire.trace_id));
    assert_eq!(Some(view.span_id().to_bytes()), id(&wire.span_id));
    assert_eq!(view.parent_span_id().map(|parent| parent.to_bytes()), id(&wire.parent_span_id));
    assert_eq!(
        (view.trace_state(), view.name(), view.flags()),
        (&*wire.trace_state, &*wire.name, wire.flags)
    );
    assert_eq!(view.kind().number(), if (0..=5).contains(&wire.kind) { wire.kind } else { 0 });
    assert_eq!(
        (view.start_unix_nanos(), view.end_unix_nanos()),
        (wire.start_time_unix_nano, wire.end_time_unix_nano)
    );
    same_attributes(view.attributes(), &wire.attributes);
    assert_eq!(view.dropped_attributes_count(), wire.dropped_attributes_count);
    assert_eq!(view.dropped_events_count(), wire.dropped_events_count);
    assert_eq!(view.dropped_links_count(), wire.dropped_links_count);
    assert_eq!((view.events().len(), view.links().len()), (wire.events.len(), wire.links.len()));
    for (view, wire) in view.events().iter().zip(&wire.events) {
        assert_eq!((view.time_unix_nanos(), view.name()), (wire.time_unix_nano, &*wire.name));
        same_attributes(view.attributes(), &wire.attributes);
        assert_eq!(view.dropped_attributes_count(), wire.dropped_attributes_count);
    }
    for (view, wire) in view.links().iter().zip(&wire.links) {
        assert_eq!(view.trace_id().to_bytes(), id(&wire.trace_id).unwrap_or_default());
        assert_eq!(view.span_id().to_bytes(), id(&wire.span_id).unwrap_or_default());
        assert_eq!((view.trace_state(), view.flags()), (&*wire.trace_state, wire.flags));
        same_attributes(view.attributes(), &wire.attributes);
        assert_eq!(view.dropped_attributes_count(), wire.dropped_attributes_count);
    }
    let status = wire.status.unwrap_or_default();
    assert_eq!(view.status().message, status.message);
    assert_eq!(
        view.status_code().number(),
        if (0..=2).contains(&status.code) { status.code } else { 0 }
    );
}

pub fn same_log(view: &LogRecord) {
    let wire = logs::LogRecord::decode(view.bytes()).unwrap();
    assert_eq!(
        (view.time_unix_nanos(), view.observed_unix_nanos()),
        (wire.time_unix_nano, wire.observed_time_unix_nano)
    );
    let time =
        if wire.time_unix_nano != 0 { wire.time_unix_nano } else { wire.observed_time_unix_nano };
    assert_eq!(slipring::Signal::timestamp(view), time);
    assert_eq!(
        (view.severity().0, view.severity_text()),
        (wire.severity_number, &*wire.severity_text)
    );
    assert_eq!(view.body().is_some(), wire.body.is_some());
    view.body().iter().zip(&wire.body).for_each(|(view, wire)| same_value(*view, wire));
    same_attributes(view.attributes(), &wire.attributes);
    assert_eq!(
        (view.dropped_attributes_count(), view.flags()),
        (wire.dropped_attributes_count, wire.flags)
    );
    assert_eq!(view.trace_id().map(|id| id.to_bytes()), id(&wire.trace_id));
    assert_eq!(view.span_id().map(|id| id.to_bytes()), id(&wire.span_id));
    assert_eq!(view.event_name(), wire.event_name);
}

fn same_exemplar(view: ExemplarRef<'_>, wire: &metrics::Exemplar) {
    same_attributes(view.filtered_attributes(), &wire.filtered_attributes);
    assert_eq!(view.time_unix_nanos(), wire.time_unix_nano);
    assert_eq!(view.trace_id().map(|id| id.to_bytes()), id(&wire.trace_id));
    assert_eq!(view.span_id().map(|id| id.to_bytes()), id(&wire.span_id));
    let value = wire.value.map(|value| match value {
        metrics::exemplar::Value::AsDouble(value) => Number::Double(value),
        metrics::exemplar::Value::AsInt(value) => Number::Int(value),
    });
    assert_eq!(view.value(), value);
}

/// Compares the fields that points of every kind have.
fn same_point(
    view: &MetricPoint,
    attributes: &[KeyValue],
    numbers: (u64, u64, u32),
    exemplars: &[metrics::Exemplar],
) {
    same_attributes(view.attributes(), attributes);
    assert_eq!((view.start_unix_nanos(), view.time_unix_nanos(), view.flags()), numbers);
    assert_eq!(view.exemplars().len(), exemplars.len());
    view.exemplars().iter().zip(exemplars).for_each(|(view, wire)| same_exemplar(view, wire));
}

fn bits(doubles: &[f64]) -> Vec<u64> {
    doubles.iter().map(|double| double.to_bits()).collect()
}

pub fn same_metric_point(view: &MetricPoint) {
    let optional = |double: Option<f64>| double.map(f64::to_bits);
    match (view.metric().kind().name(), view.value()) {
        ("gauge" | "sum", value) => {
            let wire = metrics::NumberDataPoint::decode(view.bytes()).unwrap();
            let numbers = (wire.start_time_unix_nano, wire.time_unix_nano, wire.flags);
            same_point(view, &wire.attributes, numbers, &wire.exemplars);
            let expected = match wire.value {
                None => PointValue::Empty,
                Some(metrics::number_data_point::Value::AsDouble(value)) => {
                    PointValue::Double(value)
                }
                Some(metrics::number_data_point::Value::AsInt(value)) => PointValue::Int(value),
            };
            assert_eq!(value, expected);
        }
        ("histogram", PointValue::Histogram(value)) => {
            let wire = metrics::HistogramDataPoint::decode(view.bytes()).unwrap();
            let numbers = (wire.start_time_unix_nano, wire.time_unix_nano, wire.flags);
            same_point(view, &wire.attributes, numbers, &wire.exemplars);
            assert_eq!((value.count, &*value.bucket_counts), (wire.count, &*wire.bucket_counts));
            assert_eq!(bits(&value.explicit_bounds), bits(&wire.explicit_bounds));
            assert_eq!(
                [value.sum, value.min, value.max].map(optional),
                [wire.sum, wire.min, wire.max].map(optional)
            );
        }
        ("exponential_histogram", PointValue::ExponentialHistogram(value)) => {
            let wire = metrics::ExponentialHistogramDataPoint::decode(view.bytes()).unwrap();
            let numbers = (wire.start_time_unix_nano, wire.time_unix_nano, wire.flags);
            same_point(view, &wire.attributes, numbers, &wire.exemplars);
            assert_eq!(
                (value.count, value.scale, value.zero_count),
                (wire.count, wire.scale, wire.zero_count)
            );
            assert_eq!(
                [value.sum, value.min, value.max].map(optional),
                [wire.sum, wire.min, wire.max].map(optional)
            );
            assert_eq!(value.zero_threshold.to_bits(), wire.zero_threshold.to_bits());
            let sides = [(&value.positive, wire.positive), (&value.negative, wire.negative)];
            for (buckets, wire) in sides.map(|(buckets, wire)| (buckets, wire.unwrap_or_default()))
            {
                assert_eq!(
                    (buckets.offset, &*buckets.bucket_counts),
                    (wire.offset, &*wire.bucket_counts)
                );
            }
        }
        ("summary", PointValue::Summary(value)) => {
            let wire = metrics::SummaryDataPoint::decode(view.bytes()).unwrap();
            same_point(
                view,
                &wire.attributes,
                (wire.start_time_unix_nano, wire.time_unix_nano, wire.flags),
                &[],
            );
            assert_eq!((value.count, value.sum.to_bits()), (wire.count, wire.sum.to_bits()));
            let quantiles: Vec<_> =
                value.quantiles.iter().flat_map(|one| bits(&[one.quantile, one.value])).collect();
            let wire: Vec<_> = wire
                .quantile_values
                .iter()
                .flat_map(|one| bits(&[one.quantile, one.value]))
                .collect();
            assert_eq!(quantiles, wire);
        }
        (kind, value) => panic!("{value:?} in a {kind}"),
    }
}

/// Reads a request, and compares each of its records with prost's decoding of the same bytes.
#[allow(dead_code, reason = "the fuzz target has it")]
pub fn same_records(kind: Kind, body: &[u8]) {
    let Ok(request) = Request::read(kind, Encoding::Protobuf, body) else { return };
    request.spans.iter().for_each(same_span);
    request.logs.iter().for_each(same_log);
    request.points.iter().for_each(same_metric_point);
}
