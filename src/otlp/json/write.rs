//! To JSON. What is its default is left out, as protobuf's mapping has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData};
use opentelemetry_proto::tonic::metrics::v1::{
    self as metrics, MetricsData, exemplar, exponential_histogram_data_point, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{self as trace, TracesData, span};
use serde_json::{Map, Value};

/// A message being written.
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

    /// 64 bits: a string.
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

    fn list<T>(self, name: &str, list: &[T], of: impl Fn(&T) -> Value) -> Self {
        if list.is_empty() { self } else { self.with(name, list.iter().map(of).collect()) }
    }

    fn message<T>(self, name: &str, message: Option<&T>, of: impl Fn(&T) -> Value) -> Self {
        match message {
            None => self,
            Some(message) => self.with(name, of(message)),
        }
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

pub(in super::super) fn traces(data: &TracesData) -> Value {
    let of_scope = |of: &trace::ScopeSpans| {
        let message = Message::default().message("scope", of.scope.as_ref(), scope);
        message.list("spans", &of.spans, self::span).text("schemaUrl", &of.schema_url).done()
    };
    let of_resource = |of: &trace::ResourceSpans| {
        let message = Message::default().message("resource", of.resource.as_ref(), resource);
        message.list("scopeSpans", &of.scope_spans, of_scope).text("schemaUrl", &of.schema_url).done()
    };
    Message::default().with("resourceSpans", data.resource_spans.iter().map(of_resource).collect()).done()
}

pub(in super::super) fn logs(data: &LogsData) -> Value {
    let of_scope = |of: &opentelemetry_proto::tonic::logs::v1::ScopeLogs| {
        let message = Message::default().message("scope", of.scope.as_ref(), scope);
        message.list("logRecords", &of.log_records, log).text("schemaUrl", &of.schema_url).done()
    };
    let of_resource = |of: &opentelemetry_proto::tonic::logs::v1::ResourceLogs| {
        let message = Message::default().message("resource", of.resource.as_ref(), resource);
        message.list("scopeLogs", &of.scope_logs, of_scope).text("schemaUrl", &of.schema_url).done()
    };
    Message::default().with("resourceLogs", data.resource_logs.iter().map(of_resource).collect()).done()
}

pub(in super::super) fn metrics(data: &MetricsData) -> Value {
    let of_scope = |of: &metrics::ScopeMetrics| {
        let message = Message::default().message("scope", of.scope.as_ref(), scope);
        message.list("metrics", &of.metrics, self::metric).text("schemaUrl", &of.schema_url).done()
    };
    let of_resource = |of: &metrics::ResourceMetrics| {
        let message = Message::default().message("resource", of.resource.as_ref(), resource);
        message.list("scopeMetrics", &of.scope_metrics, of_scope).text("schemaUrl", &of.schema_url).done()
    };
    Message::default().with("resourceMetrics", data.resource_metrics.iter().map(of_resource).collect()).done()
}

fn any_value(value: &AnyValue) -> Value {
    let message = Message::default();
    match &value.value {
        None | Some(any_value::Value::StringValueStrindex(_)) => message,
        Some(any_value::Value::StringValue(text)) => message.with("stringValue", text.as_str().into()),
        Some(any_value::Value::BoolValue(value)) => message.with("boolValue", (*value).into()),
        Some(any_value::Value::IntValue(value)) => message.with("intValue", value.to_string().into()),
        Some(any_value::Value::DoubleValue(value)) => message.with("doubleValue", double(*value)),
        Some(any_value::Value::BytesValue(bytes)) => message.with("bytesValue", STANDARD.encode(bytes).into()),
        Some(any_value::Value::ArrayValue(list)) => {
            message.with("arrayValue", Message::default().list("values", &list.values, any_value).done())
        }
        Some(any_value::Value::KvlistValue(list)) => {
            message.with("kvlistValue", Message::default().list("values", &list.values, key_value).done())
        }
    }
    .done()
}

fn key_value(entry: &KeyValue) -> Value {
    Message::default().text("key", &entry.key).message("value", entry.value.as_ref(), any_value).done()
}

fn resource(resource: &Resource) -> Value {
    let entity = |entity: &EntityRef| {
        Message::default()
            .text("schemaUrl", &entity.schema_url)
            .text("type", &entity.r#type)
            .list("idKeys", &entity.id_keys, |key| key.as_str().into())
            .list("descriptionKeys", &entity.description_keys, |key| key.as_str().into())
            .done()
    };
    Message::default()
        .list("attributes", &resource.attributes, key_value)
        .number("droppedAttributesCount", resource.dropped_attributes_count)
        .list("entityRefs", &resource.entity_refs, entity)
        .done()
}

fn scope(scope: &InstrumentationScope) -> Value {
    Message::default()
        .text("name", &scope.name)
        .text("version", &scope.version)
        .list("attributes", &scope.attributes, key_value)
        .number("droppedAttributesCount", scope.dropped_attributes_count)
        .done()
}

fn span(span: &trace::Span) -> Value {
    let event = |event: &span::Event| {
        Message::default()
            .long("timeUnixNano", event.time_unix_nano)
            .text("name", &event.name)
            .list("attributes", &event.attributes, key_value)
            .number("droppedAttributesCount", event.dropped_attributes_count)
            .done()
    };
    let link = |link: &span::Link| {
        Message::default()
            .id("traceId", &link.trace_id)
            .id("spanId", &link.span_id)
            .text("traceState", &link.trace_state)
            .list("attributes", &link.attributes, key_value)
            .number("droppedAttributesCount", link.dropped_attributes_count)
            .number("flags", link.flags)
            .done()
    };
    let status =
        |status: &trace::Status| Message::default().text("message", &status.message).number("code", status.code).done();
    Message::default()
        .id("traceId", &span.trace_id)
        .id("spanId", &span.span_id)
        .text("traceState", &span.trace_state)
        .id("parentSpanId", &span.parent_span_id)
        .number("flags", span.flags)
        .text("name", &span.name)
        .number("kind", span.kind)
        .long("startTimeUnixNano", span.start_time_unix_nano)
        .long("endTimeUnixNano", span.end_time_unix_nano)
        .list("attributes", &span.attributes, key_value)
        .number("droppedAttributesCount", span.dropped_attributes_count)
        .list("events", &span.events, event)
        .number("droppedEventsCount", span.dropped_events_count)
        .list("links", &span.links, link)
        .number("droppedLinksCount", span.dropped_links_count)
        .message("status", span.status.as_ref(), status)
        .done()
}

fn log(log: &LogRecord) -> Value {
    Message::default()
        .long("timeUnixNano", log.time_unix_nano)
        .long("observedTimeUnixNano", log.observed_time_unix_nano)
        .number("severityNumber", log.severity_number)
        .text("severityText", &log.severity_text)
        .message("body", log.body.as_ref(), any_value)
        .list("attributes", &log.attributes, key_value)
        .number("droppedAttributesCount", log.dropped_attributes_count)
        .number("flags", log.flags)
        .id("traceId", &log.trace_id)
        .id("spanId", &log.span_id)
        .text("eventName", &log.event_name)
        .done()
}

fn metric(metric: &metrics::Metric) -> Value {
    let message = Message::default()
        .text("name", &metric.name)
        .text("description", &metric.description)
        .text("unit", &metric.unit)
        .list("metadata", &metric.metadata, key_value);
    let points = Message::default;
    match &metric.data {
        None => message,
        Some(metric::Data::Gauge(of)) => {
            message.with("gauge", points().list("dataPoints", &of.data_points, number_point).done())
        }
        Some(metric::Data::Sum(of)) => {
            let points = points().list("dataPoints", &of.data_points, number_point);
            let points = points.number("aggregationTemporality", of.aggregation_temporality);
            message.with("sum", points.flag("isMonotonic", of.is_monotonic).done())
        }
        Some(metric::Data::Histogram(of)) => {
            let points = points().list("dataPoints", &of.data_points, histogram_point);
            message.with("histogram", points.number("aggregationTemporality", of.aggregation_temporality).done())
        }
        Some(metric::Data::ExponentialHistogram(of)) => {
            let points = points().list("dataPoints", &of.data_points, exponential_point);
            let points = points.number("aggregationTemporality", of.aggregation_temporality);
            message.with("exponentialHistogram", points.done())
        }
        Some(metric::Data::Summary(of)) => {
            message.with("summary", points().list("dataPoints", &of.data_points, summary_point).done())
        }
    }
    .done()
}

/// What points of every kind have.
fn any_point(attributes: &[KeyValue], start: u64, time: u64, flags: u32) -> Message {
    let message = Message::default().list("attributes", attributes, key_value).long("startTimeUnixNano", start);
    message.long("timeUnixNano", time).number("flags", flags)
}

fn number_point(point: &metrics::NumberDataPoint) -> Value {
    let message = any_point(&point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags).list(
        "exemplars",
        &point.exemplars,
        exemplar,
    );
    match point.value {
        None => message,
        Some(number_data_point::Value::AsDouble(value)) => message.with("asDouble", double(value)),
        Some(number_data_point::Value::AsInt(value)) => message.with("asInt", value.to_string().into()),
    }
    .done()
}

fn histogram_point(point: &metrics::HistogramDataPoint) -> Value {
    any_point(&point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags)
        .long("count", point.count)
        .double("sum", point.sum)
        .list("bucketCounts", &point.bucket_counts, |count| count.to_string().into())
        .list("explicitBounds", &point.explicit_bounds, |bound| double(*bound))
        .list("exemplars", &point.exemplars, exemplar)
        .double("min", point.min)
        .double("max", point.max)
        .done()
}

fn exponential_point(point: &metrics::ExponentialHistogramDataPoint) -> Value {
    let buckets = |buckets: &exponential_histogram_data_point::Buckets| {
        let message = Message::default().number("offset", buckets.offset);
        message.list("bucketCounts", &buckets.bucket_counts, |count| count.to_string().into()).done()
    };
    any_point(&point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags)
        .long("count", point.count)
        .double("sum", point.sum)
        .number("scale", point.scale)
        .long("zeroCount", point.zero_count)
        .message("positive", point.positive.as_ref(), buckets)
        .message("negative", point.negative.as_ref(), buckets)
        .list("exemplars", &point.exemplars, exemplar)
        .double("min", point.min)
        .double("max", point.max)
        .double("zeroThreshold", Some(point.zero_threshold).filter(|threshold| threshold.to_bits() != 0))
        .done()
}

fn summary_point(point: &metrics::SummaryDataPoint) -> Value {
    let quantile = |one: &metrics::summary_data_point::ValueAtQuantile| {
        Message::default().with("quantile", double(one.quantile)).with("value", double(one.value)).done()
    };
    any_point(&point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags)
        .long("count", point.count)
        .double("sum", Some(point.sum).filter(|sum| sum.to_bits() != 0))
        .list("quantileValues", &point.quantile_values, quantile)
        .done()
}

fn exemplar(exemplar: &metrics::Exemplar) -> Value {
    let message = Message::default()
        .list("filteredAttributes", &exemplar.filtered_attributes, key_value)
        .long("timeUnixNano", exemplar.time_unix_nano)
        .id("spanId", &exemplar.span_id)
        .id("traceId", &exemplar.trace_id);
    match exemplar.value {
        None => message,
        Some(exemplar::Value::AsDouble(value)) => message.with("asDouble", double(value)),
        Some(exemplar::Value::AsInt(value)) => message.with("asInt", value.to_string().into()),
    }
    .done()
}
