//! Builders encode what prost encodes: each field, with every value that it may have.
#![cfg(feature = "otlp")]

#[path = "builders/strategies.rs"]
mod strategies;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use slipring::attribute::{Attributes, KeyValue};
use slipring::metric::{Buckets, Exemplar, Metric, MetricKind, Number, PointValue, Quantile};
use slipring::otlp::proto::common::v1::{AnyValue, ArrayValue, KeyValueList, any_value};
use slipring::otlp::proto::common::v1::{
    EntityRef as ProtoEntity, InstrumentationScope, KeyValue as ProtoKeyValue,
};
use slipring::otlp::proto::{
    logs::v1 as logs, metrics::v1 as metrics, resource::v1 as resource, trace::v1 as trace,
};
use slipring::otlp::{Encoding, Kind, Request, encode};
use slipring::resource::EntityRef;
use slipring::span::{SpanEvent, SpanKind, SpanLink, StatusCode};
use slipring::{
    LogRecord, MetricPoint, Resource, Scope, Severity, Source, Span, SpanId, TraceId, Value,
};
use std::fmt::Debug;
use strategies::*;

fn any_value(value: &Value) -> AnyValue {
    let value = match value {
        Value::Empty => None,
        Value::Bool(value) => Some(any_value::Value::BoolValue(*value)),
        Value::Int(value) => Some(any_value::Value::IntValue(*value)),
        Value::Double(value) => Some(any_value::Value::DoubleValue(*value)),
        Value::Text(text) => Some(any_value::Value::StringValue(text.to_string())),
        Value::Bytes(bytes) => Some(any_value::Value::BytesValue(bytes.to_vec())),
        Value::Array(values) => Some(any_value::Value::ArrayValue(ArrayValue {
            values: values.iter().map(any_value).collect(),
        })),
        Value::Map(entries) => {
            Some(any_value::Value::KvlistValue(KeyValueList { values: key_values(entries) }))
        }
        other => panic!("this test does not know {other:?}"),
    };
    AnyValue { value }
}

fn key_values(attributes: &[KeyValue]) -> Vec<ProtoKeyValue> {
    let one = |one: &KeyValue| ProtoKeyValue {
        key: one.key.to_string(),
        value: Some(any_value(&one.value)),
        ..ProtoKeyValue::default()
    };
    attributes.iter().map(one).collect()
}

/// Returns an id's bytes, or no bytes for an id of zeros.
fn id(bytes: &[u8]) -> Vec<u8> {
    if bytes.iter().all(|byte| *byte == 0) { Vec::new() } else { bytes.to_vec() }
}

/// Compares values by their debug output and their encoding, so that a NaN equals a NaN with the
/// same bits.
#[track_caller]
fn same<M: Message + Debug>(found: &M, expected: &M) {
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    assert_eq!(found.encode_to_vec(), expected.encode_to_vec());
}

fn strings(texts: &[Box<str>]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

#[track_caller]
fn same_source(source: &Source, (of, scope): &(Resource, Scope)) {
    let entity = |one: &EntityRef| ProtoEntity {
        schema_url: one.schema_url.to_string(),
        r#type: one.kind.to_string(),
        id_keys: strings(&one.id_keys),
        description_keys: strings(&one.description_keys),
    };
    let expected = resource::Resource {
        attributes: key_values(of.attributes()),
        dropped_attributes_count: of.dropped_attributes_count(),
        entity_refs: of.entity_refs().iter().map(entity).collect(),
    };
    same(&source.resource().to_proto(), &expected);
    let expected = InstrumentationScope {
        name: scope.name.to_string(),
        version: scope.version.to_string(),
        attributes: key_values(&scope.attributes),
        dropped_attributes_count: scope.dropped_attributes_count,
    };
    same(&source.scope().to_proto(), &expected);
    assert_eq!(
        (source.resource().schema_url(), source.scope().schema_url()),
        (of.schema_url(), &*scope.schema_url)
    );
    assert_eq!((&source.resource().to_resource(), &source.scope().to_scope()), (of, scope));
}

/// Reads back the records of an export request, which must be equal in content and in bytes.
macro_rules! comes_back {
    ($kind:ident, $records:ident, $record:expr) => {
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let body = encode([$record], encoding);
            let request = Request::read(Kind::$kind, encoding, &body).unwrap();
            assert!(request.rejected.is_empty(), "{}", request.rejected);
            if encoding == Encoding::Protobuf {
                assert_eq!(request.$records, std::slice::from_ref($record));
                assert_eq!(request.$records[0].bytes(), $record.bytes());
            }
        }
    };
}

type Parts = (TraceId, SpanId, SpanId, Box<str>, u32, Box<str>, i32, u64, u64);

fn wire_exemplar(one: &Exemplar) -> metrics::Exemplar {
    metrics::Exemplar {
        filtered_attributes: key_values(&one.filtered_attributes),
        time_unix_nano: one.time_unix_nanos,
        span_id: id(&one.span_id.unwrap_or_default().to_bytes()),
        trace_id: id(&one.trace_id.unwrap_or_default().to_bytes()),
        value: one.value.map(|value| match value {
            Number::Int(value) => metrics::exemplar::Value::AsInt(value),
            Number::Double(value) => metrics::exemplar::Value::AsDouble(value),
        }),
    }
}

/// The fields of all kinds of points.
struct Point {
    attributes: Vec<ProtoKeyValue>,
    start_time_unix_nano: u64,
    time_unix_nano: u64,
    flags: u32,
    exemplars: Vec<metrics::Exemplar>,
}

fn data(kind: MetricKind, value: &PointValue, point: Point) -> metrics::metric::Data {
    let Point { attributes, start_time_unix_nano, time_unix_nano, flags, exemplars } = point;
    let side = |buckets: &Buckets| {
        let of = metrics::exponential_histogram_data_point::Buckets {
            offset: buckets.offset,
            bucket_counts: buckets.bucket_counts.to_vec(),
        };
        (*buckets != Buckets::default()).then_some(of)
    };
    match (kind, value) {
        (MetricKind::Gauge | MetricKind::Sum { .. }, value) => {
            let value = match value {
                PointValue::Int(value) => Some(metrics::number_data_point::Value::AsInt(*value)),
                PointValue::Double(value) => {
                    Some(metrics::number_data_point::Value::AsDouble(*value))
                }
                _ => None,
            };
            let one = metrics::NumberDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                exemplars,
                flags,
                value,
            };
            match kind {
                MetricKind::Sum { temporality, monotonic } => {
                    metrics::metric::Data::Sum(metrics::Sum {
                        data_points: vec![one],
                        aggregation_temporality: temporality.number(),
                        is_monotonic: monotonic,
                    })
                }
                _ => metrics::metric::Data::Gauge(metrics::Gauge { data_points: vec![one] }),
            }
        }
        (MetricKind::Histogram { temporality }, PointValue::Histogram(value)) => {
            let one = metrics::HistogramDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count: value.count,
                sum: value.sum,
                bucket_counts: value.bucket_counts.to_vec(),
                explicit_bounds: value.explicit_bounds.to_vec(),
                exemplars,
                flags,
                min: value.min,
                max: value.max,
            };
            let aggregation_temporality = temporality.number();
            metrics::metric::Data::Histogram(metrics::Histogram {
                data_points: vec![one],
                aggregation_temporality,
            })
        }
        (
            MetricKind::ExponentialHistogram { temporality },
            PointValue::ExponentialHistogram(value),
        ) => {
            let one = metrics::ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count: value.count,
                sum: value.sum,
                scale: value.scale,
                zero_count: value.zero_count,
                positive: side(&value.positive),
                negative: side(&value.negative),
                flags,
                exemplars,
                min: value.min,
                max: value.max,
                zero_threshold: value.zero_threshold,
            };
            let (data_points, aggregation_temporality) = (vec![one], temporality.number());
            metrics::metric::Data::ExponentialHistogram(metrics::ExponentialHistogram {
                data_points,
                aggregation_temporality,
            })
        }
        (MetricKind::Summary, PointValue::Summary(value)) => {
            let quantile = |one: &Quantile| metrics::summary_data_point::ValueAtQuantile {
                quantile: one.quantile,
                value: one.value,
            };
            let one = metrics::SummaryDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count: value.count,
                sum: value.sum,
                quantile_values: value.quantiles.iter().map(quantile).collect(),
                flags,
            };
            metrics::metric::Data::Summary(metrics::Summary { data_points: vec![one] })
        }
        (kind, value) => unreachable!("{value:?} in a {kind:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn built_spans_decode_to_what_was_set(
        shared in resource_and_scope(),
        parts in (trace_id(), span_id(), span_id(), text(), small(), text(), 0..6_i32, whole(), whole()),
        lists in (attributes(), vec(event(), 0..3), vec(link(), 0..3)),
        dropped in (small(), small(), small()),
        status in (0..3_i32, text()),
    ) {
        let source = Source::new(&shared.0, &shared.1);
        same_source(&source, &shared);
        let (trace_id, span_id, parent, trace_state, flags, name, kind, start, end): Parts = parts;
        let (attributes, events, links) = lists;
        let code = StatusCode::from_number(status.0).unwrap();
        let span = Span::builder().source(&source).trace_id(trace_id).span_id(span_id).parent_span_id(parent)
            .trace_state(&*trace_state).flags(flags).name("to be replaced").name(&*name)
            .kind(SpanKind::from_number(kind).unwrap())
            .start_unix_nanos(start).end_unix_nanos(end).attributes(&attributes).dropped_attributes_count(dropped.0)
            .events(&events).dropped_events_count(dropped.1).links(&links).dropped_links_count(dropped.2)
            .status(code, &*status.1).build();
        let event = |one: &SpanEvent| trace::span::Event {
            time_unix_nano: one.time_unix_nanos,
            name: one.name.to_string(),
            attributes: key_values(&one.attributes),
            dropped_attributes_count: one.dropped_attributes_count,
        };
        let link = |one: &SpanLink| trace::span::Link {
            trace_id: id(&one.trace_id.to_bytes()),
            span_id: id(&one.span_id.to_bytes()),
            trace_state: one.trace_state.to_string(),
            attributes: key_values(&one.attributes),
            dropped_attributes_count: one.dropped_attributes_count,
            flags: one.flags,
        };
        let has_status = code != StatusCode::Unset || !status.1.is_empty();
        let expected = trace::Span {
            trace_id: id(&trace_id.to_bytes()),
            span_id: id(&span_id.to_bytes()),
            trace_state: trace_state.to_string(),
            parent_span_id: id(&parent.to_bytes()),
            flags,
            name: name.to_string(),
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes: key_values(&attributes),
            dropped_attributes_count: dropped.0,
            events: events.iter().map(event).collect(),
            dropped_events_count: dropped.1,
            links: links.iter().map(link).collect(),
            dropped_links_count: dropped.2,
            status: has_status.then(|| trace::Status { message: status.1.to_string(), code: status.0 }),
        };
        same(&span.to_proto(), &expected);
        prop_assert!(span.to_builder().build().bytes() == span.bytes());
        prop_assert_eq!(span.attributes().to_attributes(), attributes);
        if !trace_id.is_zero() && !span_id.is_zero() {
            comes_back!(Traces, spans, &span);
        }
    }

    #[test]
    fn built_logs_decode_to_what_was_set(
        shared in resource_and_scope(),
        times in (whole(), whole()),
        severity in prop_oneof![Just(0), Just(-1), Just(i32::MIN), Just(i32::MAX), 1..25_i32],
        texts in (text(), text()),
        body in option::of(value()),
        attributes in attributes(),
        numbers in (small(), small()),
        ids in (trace_id(), span_id()),
    ) {
        let source = Source::new(&shared.0, &shared.1);
        let mut builder = LogRecord::builder().source(&source).time_unix_nanos(times.0).observed_unix_nanos(times.1)
            .severity(Severity(severity)).severity_text(&*texts.0).event_name(&*texts.1)
            .dropped_attributes_count(numbers.0).flags(numbers.1).trace_id(ids.0).span_id(ids.1);
        for one in &attributes {
            builder = builder.attribute(&one.key, &one.value);
        }
        if let Some(body) = &body {
            builder = builder.body(body);
        }
        let log = builder.build();
        let expected = logs::LogRecord {
            time_unix_nano: times.0,
            observed_time_unix_nano: times.1,
            severity_number: severity,
            severity_text: texts.0.to_string(),
            body: body.as_ref().map(any_value),
            attributes: key_values(&attributes),
            dropped_attributes_count: numbers.0,
            flags: numbers.1,
            trace_id: id(&ids.0.to_bytes()),
            span_id: id(&ids.1.to_bytes()),
            event_name: texts.1.to_string(),
        };
        same(&log.to_proto(), &expected);
        prop_assert!(log.to_builder().build().bytes() == log.bytes());
        comes_back!(Logs, logs, &log);
    }

    #[test]
    fn built_points_decode_to_what_was_set(
        shared in resource_and_scope(),
        of in (text(), text(), text(), attributes()),
        measured in measured(),
        times in (whole(), whole()),
        flags in small(),
        attributes in attributes(),
        exemplars in vec(exemplar(), 0..3),
    ) {
        let (kind, value) = measured;
        let (name, description, unit, metadata) = of;
        let metric = Metric { name, description, unit, metadata, kind };
        let source = Source::new(&shared.0, &shared.1).with_metric(&metric);
        same_source(&source, &shared);
        let point = MetricPoint::builder().source(&source).start_unix_nanos(times.0).time_unix_nanos(times.1).flags(flags)
            .value_of(&value).attributes(&attributes).exemplars(&exemplars).build();
        let expected = metrics::Metric {
            name: metric.name.to_string(),
            description: metric.description.to_string(),
            unit: metric.unit.to_string(),
            metadata: key_values(&metric.metadata),
            data: Some(data(kind, &value, Point {
                attributes: key_values(&attributes),
                start_time_unix_nano: times.0,
                time_unix_nano: times.1,
                flags,
                exemplars: exemplars.iter().map(wire_exemplar).collect(),
            })),
        };
        same(&point.to_proto(), &expected);
        prop_assert_eq!(&point.metric().to_metric(), &metric);
        prop_assert_eq!(point.value(), value);
        prop_assert!(point.to_builder().build().bytes() == point.bytes());
        comes_back!(Metrics, points, &point);
    }
}

/// Builders write no record that cannot be read: a value that nests too deep is left empty from the
/// limit on.
#[test]
fn builders_leave_out_values_that_nest_too_deep() {
    let deep = (0..500).fold(Value::from(7), |inner, depth| match depth % 2 {
        0 => Value::Map(Attributes::from([("a", inner)])),
        _ => Value::Array([inner].into()),
    });
    let attributes = Attributes::from([("deep", deep.clone())]);
    let event = SpanEvent { attributes: attributes.clone(), ..SpanEvent::default() };
    let resource = Resource::new(attributes.clone());
    let source =
        Source::new(&resource, &Scope { attributes: attributes.clone(), ..Scope::default() });
    let span = Span::builder()
        .source(&source)
        .trace_id(1)
        .span_id(1)
        .event(&event)
        .attribute("deep", &deep)
        .build();
    comes_back!(Traces, spans, &span);
    assert_eq!(span.to_proto().events.len(), 1);
    assert_eq!(span.resource().to_proto().attributes.len(), 1);
    let metric = Metric { metadata: attributes.clone(), ..Metric::new("deep", MetricKind::Gauge) };
    let exemplar = Exemplar { filtered_attributes: attributes, ..Exemplar::default() };
    let point =
        MetricPoint::builder().source(&source.with_metric(&metric)).exemplar(&exemplar).build();
    comes_back!(Metrics, points, &point);
    let log = LogRecord::builder().body(&deep).build();
    comes_back!(Logs, logs, &log);
}
