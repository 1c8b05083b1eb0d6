//! Writes records as JSON. Default values are left out, as protobuf's mapping allows.

use crate::signal::{
    AttributeRef, AttributesRef, Buckets, EntityRef, ExemplarRef, LogRecord, MetricKind,
    MetricPoint, MetricRef, Number, PointValue, Quantile, ResourceRef, ScopeRef, Span,
    SpanEventRef, SpanLinkRef, StatusCode, Temporality, ValueRef,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// A message that is being written.
#[derive(Default)]
struct Message(Map<String, Value>);

impl Message {
    fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    fn text(self, name: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.with(name, text.into()) }
    }

    fn id(self, name: &str, bytes: &[u8]) -> Self {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.text(name, &digits)
    }

    /// Writes a 64-bit number, which the mapping represents as a string.
    fn long(self, name: &str, number: u64) -> Self {
        if number == 0 { self } else { self.with(name, number.to_string().into()) }
    }

    fn number(self, name: &str, number: impl Into<i64>) -> Self {
        match number.into() {
            0 => self,
            number => self.with(name, number.into()),
        }
    }

    fn double(self, name: &str, number: Option<f64>) -> Self {
        match number {
            None => self,
            Some(number) => self.with(name, double(number)),
        }
    }

    fn flag(self, name: &str, flag: bool) -> Self {
        if flag { self.with(name, true.into()) } else { self }
    }

    fn list<T>(
        self,
        name: &str,
        list: impl IntoIterator<Item = T>,
        convert: impl Fn(T) -> Value,
    ) -> Self {
        let list: Vec<Value> = list.into_iter().map(convert).collect();
        if list.is_empty() { self } else { self.with(name, list.into()) }
    }

    fn attributes(self, name: &str, attributes: AttributesRef<'_>) -> Self {
        self.list(name, attributes, key_value)
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

fn double(number: f64) -> Value {
    let name = if number.is_nan() {
        "NaN"
    } else if number.is_finite() {
        return number.into();
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    name.into()
}

/// The names of the lists in a request: of resources, of scopes, of records.
pub(in super::super) type Names = [&'static str; 3];

/// Returns a request with these resources.
pub(in super::super) fn request(names: &Names, resources: Vec<Value>) -> Value {
    Message::default().with(names[0], resources.into()).done()
}

/// Returns a `ResourceSpans`, or its counterpart in other signals, with these scopes.
pub(in super::super) fn resource_container(
    names: &Names,
    resource: ResourceRef<'_>,
    scopes: Vec<Value>,
) -> Value {
    let message = Message::default()
        .with("resource", resource_message(resource))
        .with(names[1], scopes.into());
    message.text("schemaUrl", resource.schema_url()).done()
}

/// Returns a `ScopeSpans`, or its counterpart in other signals, with these records.
pub(in super::super) fn scope_container(
    names: &Names,
    scope: ScopeRef<'_>,
    records: Vec<Value>,
) -> Value {
    let message =
        Message::default().with("scope", scope_message(scope)).with(names[2], records.into());
    message.text("schemaUrl", scope.schema_url()).done()
}

fn any_value(value: ValueRef<'_>) -> Value {
    let message = Message::default();
    match value {
        ValueRef::Empty => message,
        ValueRef::Text(text) => message.with("stringValue", text.into()),
        ValueRef::Bool(value) => message.with("boolValue", value.into()),
        ValueRef::Int(value) => message.with("intValue", value.to_string().into()),
        ValueRef::Double(value) => message.with("doubleValue", double(value)),
        ValueRef::Bytes(bytes) => message.with("bytesValue", STANDARD.encode(bytes).into()),
        ValueRef::Array(list) => {
            message.with("arrayValue", Message::default().list("values", list, any_value).done())
        }
        ValueRef::Map(list) => {
            message.with("kvlistValue", Message::default().attributes("values", list).done())
        }
    }
    .done()
}

fn key_value(entry: AttributeRef<'_>) -> Value {
    Message::default().text("key", entry.key).with("value", any_value(entry.value)).done()
}

fn resource_message(resource: ResourceRef<'_>) -> Value {
    let entity = |entity: EntityRef| {
        Message::default()
            .text("schemaUrl", &entity.schema_url)
            .text("type", &entity.kind)
            .list("idKeys", &entity.id_keys, |key| (&**key).into())
            .list("descriptionKeys", &entity.description_keys, |key| (&**key).into())
            .done()
    };
    Message::default()
        .attributes("attributes", resource.attributes())
        .number("droppedAttributesCount", resource.dropped_attributes_count())
        .list("entityRefs", resource.entity_refs(), entity)
        .done()
}

fn scope_message(scope: ScopeRef<'_>) -> Value {
    Message::default()
        .text("name", scope.name())
        .text("version", scope.version())
        .attributes("attributes", scope.attributes())
        .number("droppedAttributesCount", scope.dropped_attributes_count())
        .done()
}

/// Returns the bytes of an id, or none if the id is all zero.
fn bytes_of<const N: usize>(id: &[u8; N]) -> &[u8] {
    if *id == [0; N] { &[] } else { id }
}

pub(in super::super) fn span(span: &Span) -> Value {
    let event = |event: SpanEventRef<'_>| {
        Message::default()
            .long("timeUnixNano", event.time_unix_nanos())
            .text("name", event.name())
            .attributes("attributes", event.attributes())
            .number("droppedAttributesCount", event.dropped_attributes_count())
            .done()
    };
    let link = |link: SpanLinkRef<'_>| {
        Message::default()
            .id("traceId", bytes_of(&link.trace_id().to_bytes()))
            .id("spanId", bytes_of(&link.span_id().to_bytes()))
            .text("traceState", link.trace_state())
            .attributes("attributes", link.attributes())
            .number("droppedAttributesCount", link.dropped_attributes_count())
            .number("flags", link.flags())
            .done()
    };
    let status = span.status();
    let message = Message::default()
        .id("traceId", bytes_of(&span.trace_id().to_bytes()))
        .id("spanId", bytes_of(&span.span_id().to_bytes()))
        .text("traceState", span.trace_state())
        .id("parentSpanId", bytes_of(&span.parent_span_id().unwrap_or_default().to_bytes()))
        .number("flags", span.flags())
        .text("name", span.name())
        .number("kind", span.kind().number())
        .long("startTimeUnixNano", span.start_unix_nanos())
        .long("endTimeUnixNano", span.end_unix_nanos())
        .attributes("attributes", span.attributes())
        .number("droppedAttributesCount", span.dropped_attributes_count())
        .list("events", span.events(), event)
        .number("droppedEventsCount", span.dropped_events_count())
        .list("links", span.links(), link)
        .number("droppedLinksCount", span.dropped_links_count());
    if status.code == StatusCode::Unset && status.message.is_empty() {
        return message.done();
    }
    let status =
        Message::default().text("message", status.message).number("code", status.code.number());
    message.with("status", status.done()).done()
}

pub(in super::super) fn log(log: &LogRecord) -> Value {
    let message = Message::default()
        .long("timeUnixNano", log.time_unix_nanos())
        .long("observedTimeUnixNano", log.observed_unix_nanos())
        .number("severityNumber", log.severity().0)
        .text("severityText", log.severity_text())
        .attributes("attributes", log.attributes())
        .number("droppedAttributesCount", log.dropped_attributes_count())
        .number("flags", log.flags())
        .id("traceId", bytes_of(&log.trace_id().unwrap_or_default().to_bytes()))
        .id("spanId", bytes_of(&log.span_id().unwrap_or_default().to_bytes()))
        .text("eventName", log.event_name());
    match log.body() {
        None => message,
        Some(body) => message.with("body", any_value(body)),
    }
    .done()
}

/// Returns a metric that has exactly these points.
pub(in super::super) fn metric(metric: MetricRef<'_>, points: &[&MetricPoint]) -> Value {
    let message = Message::default()
        .text("name", metric.name())
        .text("description", metric.description())
        .text("unit", metric.unit())
        .attributes("metadata", metric.metadata());
    let data = Message::default().list("dataPoints", points, |point| self::point(point));
    let counted = |data: Message, temporality: Temporality| {
        data.number("aggregationTemporality", temporality.number())
    };
    let (name, data) = match metric.kind() {
        MetricKind::Gauge => ("gauge", data),
        MetricKind::Sum { temporality, monotonic } => {
            ("sum", counted(data, temporality).flag("isMonotonic", monotonic))
        }
        MetricKind::Histogram { temporality } => ("histogram", counted(data, temporality)),
        MetricKind::ExponentialHistogram { temporality } => {
            ("exponentialHistogram", counted(data, temporality))
        }
        MetricKind::Summary => ("summary", data),
    };
    message.with(name, data.done()).done()
}

fn point(point: &MetricPoint) -> Value {
    let message = Message::default()
        .attributes("attributes", point.attributes())
        .long("startTimeUnixNano", point.start_unix_nanos())
        .long("timeUnixNano", point.time_unix_nanos())
        .number("flags", point.flags())
        .list("exemplars", point.exemplars(), exemplar);
    let buckets = |message: Message, name: &str, buckets: &Buckets| {
        if *buckets == Buckets::default() {
            return message;
        }
        let counts = Message::default().number("offset", buckets.offset);
        message.with(
            name,
            counts
                .list("bucketCounts", &buckets.bucket_counts, |count| count.to_string().into())
                .done(),
        )
    };
    match point.value() {
        PointValue::Empty => message,
        PointValue::Double(value) => message.with("asDouble", double(value)),
        PointValue::Int(value) => message.with("asInt", value.to_string().into()),
        PointValue::Histogram(value) => message
            .long("count", value.count)
            .double("sum", value.sum)
            .list("bucketCounts", &value.bucket_counts, |count| count.to_string().into())
            .list("explicitBounds", &value.explicit_bounds, |bound| double(*bound))
            .double("min", value.min)
            .double("max", value.max),
        PointValue::ExponentialHistogram(value) => {
            let message = message
                .long("count", value.count)
                .double("sum", value.sum)
                .number("scale", value.scale)
                .long("zeroCount", value.zero_count);
            let message =
                buckets(buckets(message, "positive", &value.positive), "negative", &value.negative);
            message.double("min", value.min).double("max", value.max).double(
                "zeroThreshold",
                Some(value.zero_threshold).filter(|threshold| threshold.to_bits() != 0),
            )
        }
        PointValue::Summary(value) => {
            let quantile = |one: &Quantile| {
                Message::default()
                    .with("quantile", double(one.quantile))
                    .with("value", double(one.value))
                    .done()
            };
            message
                .long("count", value.count)
                .double("sum", Some(value.sum).filter(|sum| sum.to_bits() != 0))
                .list("quantileValues", &value.quantiles, quantile)
        }
    }
    .done()
}

fn exemplar(exemplar: ExemplarRef<'_>) -> Value {
    let message = Message::default()
        .attributes("filteredAttributes", exemplar.filtered_attributes())
        .long("timeUnixNano", exemplar.time_unix_nanos())
        .id("spanId", bytes_of(&exemplar.span_id().unwrap_or_default().to_bytes()))
        .id("traceId", bytes_of(&exemplar.trace_id().unwrap_or_default().to_bytes()));
    match exemplar.value() {
        None => message,
        Some(Number::Double(value)) => message.with("asDouble", double(value)),
        Some(Number::Int(value)) => message.with("asInt", value.to_string().into()),
    }
    .done()
}
