//! The protocol's messages to records, and back.
//!
//! What a message says is kept, field for field; but for what the protocol has readers ignore: numbers of kinds, status codes and
//! temporalities that it does not define become `Unspecified` or `Unset`.

use crate::signal::{
    Attributes, Buckets, EntityRef, Exemplar, ExponentialHistogram, Histogram, KeyValue, LogRecord, Metric, MetricKind,
    MetricPoint, Number, PointValue, Quantile, Resource, Scope, Severity, Shared, Span, SpanEvent, SpanId, SpanKind,
    SpanLink, Status, StatusCode, Summary, Temporality, TraceId, Value,
};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef as WireEntityRef, InstrumentationScope, KeyValue as WireKeyValue, KeyValueList,
    any_value,
};
use opentelemetry_proto::tonic::logs::v1 as logs;
use opentelemetry_proto::tonic::metrics::v1::{
    self as metrics, exemplar, exponential_histogram_data_point, number_data_point, summary_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource as WireResource;
use opentelemetry_proto::tonic::trace::v1::{self as trace, span};

/// What records of one scope share.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) resource: Shared<Resource>,
    pub(super) scope: Shared<Scope>,
}

// --- common ---

/// How deep values may nest: less than what either encoding can carry, so that what comes in by one goes out by the other.
const DEEPEST: usize = 32;

pub(super) fn value(value: AnyValue) -> Result<Value, String> {
    value_at(value, 0)
}

fn value_at(value: AnyValue, depth: usize) -> Result<Value, String> {
    if depth > DEEPEST {
        return Err(format!("recursion limit reached: a value nests more than {DEEPEST} deep"));
    }
    Ok(match value.value {
        None | Some(any_value::Value::StringValueStrindex(_)) => Value::Empty,
        Some(any_value::Value::StringValue(text)) => Value::Text(text.into()),
        Some(any_value::Value::BoolValue(value)) => Value::Bool(value),
        Some(any_value::Value::IntValue(value)) => Value::Int(value),
        Some(any_value::Value::DoubleValue(value)) => Value::Double(value),
        Some(any_value::Value::BytesValue(bytes)) => Value::Bytes(bytes.into()),
        Some(any_value::Value::ArrayValue(list)) => {
            let values: Result<Box<[Value]>, String> =
                list.values.into_iter().map(|value| value_at(value, depth + 1)).collect();
            Value::Array(values?)
        }
        Some(any_value::Value::KvlistValue(list)) => Value::Map(attributes_at(list.values, depth + 1)?),
    })
}

pub(super) fn any_value(value: &Value) -> AnyValue {
    let value = match value {
        Value::Empty => None,
        Value::Text(text) => Some(any_value::Value::StringValue(text.to_string())),
        Value::Bool(value) => Some(any_value::Value::BoolValue(*value)),
        Value::Int(value) => Some(any_value::Value::IntValue(*value)),
        Value::Double(value) => Some(any_value::Value::DoubleValue(*value)),
        Value::Bytes(bytes) => Some(any_value::Value::BytesValue(bytes.to_vec())),
        Value::Array(values) => {
            let values = values.iter().map(any_value).collect();
            Some(any_value::Value::ArrayValue(ArrayValue { values }))
        }
        Value::Map(entries) => Some(any_value::Value::KvlistValue(KeyValueList { values: key_values(entries) })),
    };
    AnyValue { value }
}

pub(super) fn attributes(list: Vec<WireKeyValue>) -> Result<Attributes, String> {
    attributes_at(list, 0)
}

fn attributes_at(list: Vec<WireKeyValue>, depth: usize) -> Result<Attributes, String> {
    let entry = |entry: WireKeyValue| {
        let value = entry.value.map_or(Ok(Value::Empty), |value| value_at(value, depth))?;
        Ok(KeyValue { key: entry.key.into(), value })
    };
    list.into_iter().map(entry).collect()
}

pub(super) fn key_values(attributes: &Attributes) -> Vec<WireKeyValue> {
    let entry = |entry: &KeyValue| WireKeyValue {
        key: entry.key.to_string(),
        value: Some(any_value(&entry.value)),
        key_strindex: 0,
    };
    attributes.iter().map(entry).collect()
}

fn texts(list: Vec<String>) -> Box<[Box<str>]> {
    list.into_iter().map(String::into_boxed_str).collect()
}

fn strings(list: &[Box<str>]) -> Vec<String> {
    list.iter().map(|text| text.to_string()).collect()
}

pub(super) fn resource(wire: Option<WireResource>, schema_url: &str) -> Result<Resource, String> {
    let wire = wire.unwrap_or_default();
    let entity = |entity: WireEntityRef| EntityRef {
        schema_url: entity.schema_url.into(),
        kind: entity.r#type.into(),
        id_keys: texts(entity.id_keys),
        description_keys: texts(entity.description_keys),
    };
    Ok(Resource::new(attributes(wire.attributes)?)
        .with_dropped_attributes_count(wire.dropped_attributes_count)
        .with_schema_url(schema_url)
        .with_entity_refs(wire.entity_refs.into_iter().map(entity).collect::<Box<[_]>>()))
}

pub(super) fn wire_resource(resource: &Resource) -> WireResource {
    let entity = |entity: &EntityRef| WireEntityRef {
        schema_url: entity.schema_url.to_string(),
        r#type: entity.kind.to_string(),
        id_keys: strings(&entity.id_keys),
        description_keys: strings(&entity.description_keys),
    };
    WireResource {
        attributes: key_values(resource.attributes()),
        dropped_attributes_count: resource.dropped_attributes_count(),
        entity_refs: resource.entity_refs().iter().map(entity).collect(),
    }
}

pub(super) fn scope(wire: Option<InstrumentationScope>, schema_url: &str) -> Result<Scope, String> {
    let wire = wire.unwrap_or_default();
    Ok(Scope {
        name: wire.name.into(),
        version: wire.version.into(),
        attributes: attributes(wire.attributes)?,
        dropped_attributes_count: wire.dropped_attributes_count,
        schema_url: schema_url.into(),
    })
}

pub(super) fn wire_scope(scope: &Scope) -> InstrumentationScope {
    InstrumentationScope {
        name: scope.name.to_string(),
        version: scope.version.to_string(),
        attributes: key_values(&scope.attributes),
        dropped_attributes_count: scope.dropped_attributes_count,
    }
}

/// An id that has to be there.
fn required<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], String> {
    match <[u8; N]>::try_from(bytes) {
        Ok(id) if id == [0; N] => Err(format!("{field} is all zero")),
        Ok(id) => Ok(id),
        Err(_) => Err(format!("{field} has {} bytes instead of {N}", bytes.len())),
    }
}

/// An id that is none if it is not sound.
fn lenient<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    <[u8; N]>::try_from(bytes).ok().filter(|id| *id != [0; N])
}

// --- spans ---

pub(super) fn span(wire: trace::Span, origin: &Origin) -> Result<Span, String> {
    let parent_span_id = match &wire.parent_span_id[..] {
        [] => None,
        bytes if bytes.len() == 8 => lenient(bytes).map(SpanId::from),
        bytes => return Err(format!("parentSpanId has {} bytes instead of 8", bytes.len())),
    };
    let event = |event: span::Event| {
        Ok(SpanEvent {
            time_unix_nanos: event.time_unix_nano,
            name: event.name.into(),
            attributes: attributes(event.attributes)?,
            dropped_attributes_count: event.dropped_attributes_count,
        })
    };
    // A link that leads nowhere does not cost its span.
    let link = |link: span::Link| {
        Ok(SpanLink {
            trace_id: lenient(&link.trace_id).map(TraceId::from).unwrap_or_default(),
            span_id: lenient(&link.span_id).map(SpanId::from).unwrap_or_default(),
            trace_state: link.trace_state.into(),
            attributes: attributes(link.attributes)?,
            dropped_attributes_count: link.dropped_attributes_count,
            flags: link.flags,
        })
    };
    let status = wire.status.unwrap_or_default();
    Ok(Span {
        trace_id: TraceId::from(required("traceId", &wire.trace_id)?),
        span_id: SpanId::from(required("spanId", &wire.span_id)?),
        parent_span_id,
        trace_state: wire.trace_state.into(),
        flags: wire.flags,
        name: wire.name.into(),
        kind: SpanKind::from_number(wire.kind).unwrap_or_default(),
        start_unix_nanos: wire.start_time_unix_nano,
        end_unix_nanos: wire.end_time_unix_nano,
        attributes: attributes(wire.attributes)?,
        dropped_attributes_count: wire.dropped_attributes_count,
        events: wire.events.into_iter().map(event).collect::<Result<_, String>>()?,
        dropped_events_count: wire.dropped_events_count,
        links: wire.links.into_iter().map(link).collect::<Result<_, String>>()?,
        dropped_links_count: wire.dropped_links_count,
        status: Status {
            code: StatusCode::from_number(status.code).unwrap_or_default(),
            message: status.message.into(),
        },
        resource: origin.resource.clone(),
        scope: origin.scope.clone(),
    })
}

/// The bytes of an id; of one that names nothing, none.
fn bytes_of<const N: usize>(id: [u8; N]) -> Vec<u8> {
    if id == [0; N] { Vec::new() } else { id.to_vec() }
}

pub(super) fn wire_span(span: &Span) -> trace::Span {
    let event = |event: &SpanEvent| span::Event {
        time_unix_nano: event.time_unix_nanos,
        name: event.name.to_string(),
        attributes: key_values(&event.attributes),
        dropped_attributes_count: event.dropped_attributes_count,
    };
    let link = |link: &SpanLink| span::Link {
        trace_id: bytes_of(link.trace_id.to_bytes()),
        span_id: bytes_of(link.span_id.to_bytes()),
        trace_state: link.trace_state.to_string(),
        attributes: key_values(&link.attributes),
        dropped_attributes_count: link.dropped_attributes_count,
        flags: link.flags,
    };
    let status = trace::Status { message: span.status.message.to_string(), code: span.status.code.number() };
    trace::Span {
        trace_id: bytes_of(span.trace_id.to_bytes()),
        span_id: bytes_of(span.span_id.to_bytes()),
        trace_state: span.trace_state.to_string(),
        parent_span_id: span.parent_span_id.map_or(Vec::new(), |id| bytes_of(id.to_bytes())),
        flags: span.flags,
        name: span.name.to_string(),
        kind: span.kind.number(),
        start_time_unix_nano: span.start_unix_nanos,
        end_time_unix_nano: span.end_unix_nanos,
        attributes: key_values(&span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        events: span.events.iter().map(event).collect(),
        dropped_events_count: span.dropped_events_count,
        links: span.links.iter().map(link).collect(),
        dropped_links_count: span.dropped_links_count,
        status: (span.status != Status::default()).then_some(status),
    }
}

// --- logs ---

pub(super) fn log(wire: logs::LogRecord, origin: &Origin) -> Result<LogRecord, String> {
    Ok(LogRecord {
        time_unix_nanos: wire.time_unix_nano,
        observed_unix_nanos: wire.observed_time_unix_nano,
        severity: Severity(wire.severity_number),
        severity_text: wire.severity_text.into(),
        body: wire.body.map(value).transpose()?,
        attributes: attributes(wire.attributes)?,
        dropped_attributes_count: wire.dropped_attributes_count,
        flags: wire.flags,
        trace_id: lenient(&wire.trace_id).map(TraceId::from),
        span_id: lenient(&wire.span_id).map(SpanId::from),
        event_name: wire.event_name.into(),
        resource: origin.resource.clone(),
        scope: origin.scope.clone(),
    })
}

pub(super) fn wire_log(log: &LogRecord) -> logs::LogRecord {
    logs::LogRecord {
        time_unix_nano: log.time_unix_nanos,
        observed_time_unix_nano: log.observed_unix_nanos,
        severity_number: log.severity.0,
        severity_text: log.severity_text.to_string(),
        body: log.body.as_ref().map(any_value),
        attributes: key_values(&log.attributes),
        dropped_attributes_count: log.dropped_attributes_count,
        flags: log.flags,
        trace_id: log.trace_id.map_or(Vec::new(), |id| bytes_of(id.to_bytes())),
        span_id: log.span_id.map_or(Vec::new(), |id| bytes_of(id.to_bytes())),
        event_name: log.event_name.to_string(),
    }
}

// --- metrics ---

/// A point of any kind of metric.
pub(super) enum WirePoint {
    Number(metrics::NumberDataPoint),
    Histogram(metrics::HistogramDataPoint),
    ExponentialHistogram(metrics::ExponentialHistogramDataPoint),
    Summary(metrics::SummaryDataPoint),
}

/// What the points of a metric share.
pub(super) fn metric(
    [name, description, unit]: [String; 3],
    metadata: Vec<WireKeyValue>,
    kind: MetricKind,
) -> Result<Shared<Metric>, String> {
    let metadata = attributes(metadata)?;
    Ok(Metric { name: name.into(), description: description.into(), unit: unit.into(), metadata, kind }.share())
}

pub(super) fn temporality(number: i32) -> Temporality {
    Temporality::from_number(number).unwrap_or_default()
}

pub(super) fn point(wire: WirePoint, metric: &Shared<Metric>, origin: &Origin) -> Result<MetricPoint, String> {
    let (list, start_unix_nanos, time_unix_nanos, flags, examples, value) = match wire {
        WirePoint::Number(wire) => {
            let value = match wire.value {
                None => PointValue::Empty,
                Some(number_data_point::Value::AsInt(value)) => PointValue::Int(value),
                Some(number_data_point::Value::AsDouble(value)) => PointValue::Double(value),
            };
            (wire.attributes, wire.start_time_unix_nano, wire.time_unix_nano, wire.flags, wire.exemplars, value)
        }
        WirePoint::Histogram(wire) => {
            let value = Histogram {
                count: wire.count,
                sum: wire.sum,
                min: wire.min,
                max: wire.max,
                bucket_counts: wire.bucket_counts.into(),
                explicit_bounds: wire.explicit_bounds.into(),
            };
            (wire.attributes, wire.start_time_unix_nano, wire.time_unix_nano, wire.flags, wire.exemplars, value.into())
        }
        WirePoint::ExponentialHistogram(wire) => {
            let value = ExponentialHistogram {
                count: wire.count,
                sum: wire.sum,
                min: wire.min,
                max: wire.max,
                scale: wire.scale,
                zero_count: wire.zero_count,
                zero_threshold: wire.zero_threshold,
                positive: buckets(wire.positive),
                negative: buckets(wire.negative),
            };
            (wire.attributes, wire.start_time_unix_nano, wire.time_unix_nano, wire.flags, wire.exemplars, value.into())
        }
        WirePoint::Summary(wire) => {
            let quantile =
                |one: summary_data_point::ValueAtQuantile| Quantile { quantile: one.quantile, value: one.value };
            let quantiles = wire.quantile_values.into_iter().map(quantile).collect();
            let value = Summary { count: wire.count, sum: wire.sum, quantiles };
            (wire.attributes, wire.start_time_unix_nano, wire.time_unix_nano, wire.flags, Vec::new(), value.into())
        }
    };
    let (attributes, exemplars) = (attributes(list)?, exemplars(examples)?);
    let new = MetricPoint::new(metric.clone(), origin.resource.clone(), origin.scope.clone());
    Ok(MetricPoint { attributes, start_unix_nanos, time_unix_nanos, flags, exemplars, value, ..new })
}

fn buckets(wire: Option<exponential_histogram_data_point::Buckets>) -> Buckets {
    let wire = wire.unwrap_or_default();
    Buckets { offset: wire.offset, bucket_counts: wire.bucket_counts.into() }
}

fn exemplars(list: Vec<metrics::Exemplar>) -> Result<Box<[Exemplar]>, String> {
    let exemplar = |wire: metrics::Exemplar| {
        Ok(Exemplar {
            filtered_attributes: attributes(wire.filtered_attributes)?,
            time_unix_nanos: wire.time_unix_nano,
            value: wire.value.map(|value| match value {
                exemplar::Value::AsInt(value) => Number::Int(value),
                exemplar::Value::AsDouble(value) => Number::Double(value),
            }),
            span_id: lenient(&wire.span_id).map(SpanId::from),
            trace_id: lenient(&wire.trace_id).map(TraceId::from),
        })
    };
    list.into_iter().map(exemplar).collect()
}

/// A metric with these points, which are all of it.
pub(super) fn wire_metric<'a>(metric: &Metric, points: impl Iterator<Item = &'a MetricPoint>) -> metrics::Metric {
    let data = match metric.kind {
        MetricKind::Gauge => {
            metrics::metric::Data::Gauge(metrics::Gauge { data_points: points.map(number_point).collect() })
        }
        MetricKind::Sum { temporality, monotonic } => metrics::metric::Data::Sum(metrics::Sum {
            data_points: points.map(number_point).collect(),
            aggregation_temporality: temporality.number(),
            is_monotonic: monotonic,
        }),
        MetricKind::Histogram { temporality } => metrics::metric::Data::Histogram(metrics::Histogram {
            data_points: points.map(histogram_point).collect(),
            aggregation_temporality: temporality.number(),
        }),
        MetricKind::ExponentialHistogram { temporality } => {
            metrics::metric::Data::ExponentialHistogram(metrics::ExponentialHistogram {
                data_points: points.map(exponential_point).collect(),
                aggregation_temporality: temporality.number(),
            })
        }
        MetricKind::Summary => {
            metrics::metric::Data::Summary(metrics::Summary { data_points: points.map(summary_point).collect() })
        }
    };
    metrics::Metric {
        name: metric.name.to_string(),
        description: metric.description.to_string(),
        unit: metric.unit.to_string(),
        metadata: key_values(&metric.metadata),
        data: Some(data),
    }
}

fn number_point(point: &MetricPoint) -> metrics::NumberDataPoint {
    metrics::NumberDataPoint {
        attributes: key_values(&point.attributes),
        start_time_unix_nano: point.start_unix_nanos,
        time_unix_nano: point.time_unix_nanos,
        exemplars: wire_exemplars(point),
        flags: point.flags,
        value: match point.value {
            PointValue::Int(value) => Some(number_data_point::Value::AsInt(value)),
            PointValue::Double(value) => Some(number_data_point::Value::AsDouble(value)),
            _ => None,
        },
    }
}

fn histogram_point(point: &MetricPoint) -> metrics::HistogramDataPoint {
    let Histogram { count, sum, min, max, bucket_counts, explicit_bounds } = match &point.value {
        PointValue::Histogram(value) => (**value).clone(),
        _ => Histogram::default(),
    };
    metrics::HistogramDataPoint {
        attributes: key_values(&point.attributes),
        start_time_unix_nano: point.start_unix_nanos,
        time_unix_nano: point.time_unix_nanos,
        count,
        sum,
        bucket_counts: bucket_counts.into(),
        explicit_bounds: explicit_bounds.into(),
        exemplars: wire_exemplars(point),
        flags: point.flags,
        min,
        max,
    }
}

fn exponential_point(point: &MetricPoint) -> metrics::ExponentialHistogramDataPoint {
    let value = match &point.value {
        PointValue::ExponentialHistogram(value) => (**value).clone(),
        _ => ExponentialHistogram::default(),
    };
    let buckets = |buckets: Buckets| {
        let wire = exponential_histogram_data_point::Buckets {
            offset: buckets.offset,
            bucket_counts: buckets.bucket_counts.to_vec(),
        };
        (buckets != Buckets::default()).then_some(wire)
    };
    metrics::ExponentialHistogramDataPoint {
        attributes: key_values(&point.attributes),
        start_time_unix_nano: point.start_unix_nanos,
        time_unix_nano: point.time_unix_nanos,
        count: value.count,
        sum: value.sum,
        scale: value.scale,
        zero_count: value.zero_count,
        positive: buckets(value.positive),
        negative: buckets(value.negative),
        flags: point.flags,
        exemplars: wire_exemplars(point),
        min: value.min,
        max: value.max,
        zero_threshold: value.zero_threshold,
    }
}

fn summary_point(point: &MetricPoint) -> metrics::SummaryDataPoint {
    let Summary { count, sum, quantiles } = match &point.value {
        PointValue::Summary(value) => (**value).clone(),
        _ => Summary::default(),
    };
    let quantile = |one: &Quantile| summary_data_point::ValueAtQuantile { quantile: one.quantile, value: one.value };
    metrics::SummaryDataPoint {
        attributes: key_values(&point.attributes),
        start_time_unix_nano: point.start_unix_nanos,
        time_unix_nano: point.time_unix_nanos,
        count,
        sum,
        quantile_values: quantiles.iter().map(quantile).collect(),
        flags: point.flags,
    }
}

fn wire_exemplars(point: &MetricPoint) -> Vec<metrics::Exemplar> {
    let exemplar = |exemplar: &Exemplar| metrics::Exemplar {
        filtered_attributes: key_values(&exemplar.filtered_attributes),
        time_unix_nano: exemplar.time_unix_nanos,
        span_id: exemplar.span_id.map_or(Vec::new(), |id| bytes_of(id.to_bytes())),
        trace_id: exemplar.trace_id.map_or(Vec::new(), |id| bytes_of(id.to_bytes())),
        value: exemplar.value.map(|value| match value {
            Number::Int(value) => exemplar::Value::AsInt(value),
            Number::Double(value) => exemplar::Value::AsDouble(value),
        }),
    };
    point.exemplars.iter().map(exemplar).collect()
}
