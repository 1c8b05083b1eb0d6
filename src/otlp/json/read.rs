//! From JSON: a request is taken apart into records without parsing them, then each is parsed by itself.

use super::super::Kind;
use super::super::drafts::{self, OfMetric as Header};
use super::super::reading::{Lies, Reading};
use super::bare;
use super::envelope::{Envelope, OfMetric, OfResource, OfScope, Raw, envelope, records_in, records_in_resource};
use super::fields::{self, Fields, Wrong};
use super::surrogates;
use crate::signal::draft::Draft;
use crate::signal::source::Source;
use crate::wire::Writer;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_proto::tonic::metrics::v1::{
    self as metrics, AggregationTemporality, exemplar, exponential_histogram_data_point, number_data_point,
    summary_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{self as trace, span, status};
use prost::Message;
use serde_json::Value;

pub(in super::super) fn read(kind: Option<Kind>, body: &[u8], reading: &mut Reading<'_>) -> Result<(), Wrong> {
    let body = &*surrogates::replaced(body);
    match serde_json::from_slice(body) {
        // A request that carries nothing is one.
        Ok(_) if is_empty_object(body) => Ok(()),
        Ok(envelope) => read_envelope(kind, envelope, reading),
        // Some writers, Python's among them, write NaN and infinities as no JSON has them.
        Err(error) => match bare::quoted(body).as_deref().map(serde_json::from_slice) {
            Some(Ok(envelope)) => read_envelope(kind, envelope, reading),
            _ => Err(error.to_string()),
        },
    }
}

fn is_empty_object(body: &[u8]) -> bool {
    let inside = body.trim_ascii().strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

fn read_envelope(kind: Option<Kind>, envelope: Envelope<'_>, reading: &mut Reading<'_>) -> Result<(), Wrong> {
    let parts = [
        (Kind::Traces, envelope.resource_spans),
        (Kind::Logs, envelope.resource_logs),
        (Kind::Metrics, envelope.resource_metrics),
    ];
    let mut any = kind.is_some();
    for (of, resources) in parts {
        let Some(resources) = resources else { continue };
        if let Some(kind) = kind.filter(|kind| *kind != of) {
            let [name, other] = [of, kind].map(Kind::container);
            misplaced(of, &resources, &format!("{name} instead of {other}; send them to /v1/{}", of.name()), reading);
            continue;
        }
        any = true;
        for raw in resources {
            if let Err(wrong) = read_resource(of, raw, reading) {
                // What can't be taken apart can't be counted either.
                reading.reject(1, &wrong);
            }
        }
    }
    let snake = [
        (Kind::Traces, envelope.snake_spans, "resource_spans instead of resourceSpans"),
        (Kind::Logs, envelope.snake_logs, "resource_logs instead of resourceLogs"),
        (Kind::Metrics, envelope.snake_metrics, "resource_metrics instead of resourceMetrics"),
    ];
    for (of, resources, wrong) in snake {
        let Some(resources) = resources else { continue };
        any = true;
        misplaced(of, &resources, &format!("{wrong}; names in JSON are in lowerCamelCase"), reading);
    }
    if any { Ok(()) } else { Err("it has neither resourceSpans nor resourceLogs nor resourceMetrics".into()) }
}

/// Rejects what nobody looks for where it lies, so that its sender learns of it.
fn misplaced(kind: Kind, resources: &[Raw<'_>], wrong: &str, reading: &mut Reading<'_>) {
    let records = resources.iter().map(|raw| records_in_resource(kind, raw)).sum();
    reading.reject(records, wrong);
}

/// A value, if it is not too large.
fn parse(raw: Raw<'_>, reading: &Reading<'_>) -> Result<Value, Wrong> {
    // No value is shorter than a byte.
    if raw.get().len() > reading.largest / VALUE {
        reading.check("it", VALUE * bare::values(raw.get().as_bytes()))?;
    }
    serde_json::from_str(raw.get()).map_err(|error| error.to_string())
}

fn message<T>(raw: Raw<'_>, reading: &Reading<'_>, of: fn(Fields) -> Result<T, Wrong>) -> Result<T, Wrong> {
    of(Fields::of(parse(raw, reading)?)?)
}

/// A field as one of a message that has no other.
fn alone(name: &str, raw: Option<Raw<'_>>, reading: &Reading<'_>) -> Result<Fields, Wrong> {
    let value = raw.map(|raw| Ok::<_, Wrong>((name.to_owned(), parse(raw, reading)?))).transpose()?;
    Fields::of(Value::Object(value.into_iter().collect()))
}

/// Bytes of a record that each value in it, or field, takes at least, if the protocol knows it; most take several times that.
const VALUE: usize = 4;

/// A message in field 1, and a schema's URL in field 3, as a `ResourceSpans` has them, or a `ScopeSpans`.
fn enclosing(message: Option<impl Message>, schema_url: Option<String>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer(&mut bytes);
    if let Some(message) = message {
        writer.always_bytes(1, &message.encode_to_vec());
    }
    writer.bytes(3, schema_url.unwrap_or_default().as_bytes());
    bytes
}

fn read_resource(kind: Kind, raw: Raw<'_>, reading: &mut Reading<'_>) -> Result<(), Wrong> {
    let of: OfResource<'_> = envelope(raw).map_err(|wrong| format!("resource: {wrong}"))?;
    let scopes = match kind {
        Kind::Traces => of.scope_spans,
        Kind::Logs => of.scope_logs,
        Kind::Metrics => of.scope_metrics,
    };
    let mut draft = Draft::default();
    let snake = match kind {
        Kind::Traces => of.snake_spans.map(|list| (list, "scope_spans instead of scopeSpans")),
        Kind::Logs => of.snake_logs.map(|list| (list, "scope_logs instead of scopeLogs")),
        Kind::Metrics => of.snake_metrics.map(|list| (list, "scope_metrics instead of scopeMetrics")),
    };
    if let Some((_, wrong)) = snake {
        reading.reject(records_in_resource(kind, raw), &format!("{wrong}; names in JSON are in lowerCamelCase"));
    }
    if let Some(list) = of.instrumentation_library_spans {
        let wrong = "instrumentationLibrarySpans and the like are of a protocol before 1.0; send scopeSpans";
        reading.reject((list.len() as u64).max(1), wrong);
    }
    let resource = of.resource.map(|raw| message(raw, reading, resource)).transpose();
    let resource = resource
        .map_err(|wrong| format!("resource: {wrong}"))
        .and_then(|resource| drafts::resource(&mut draft, &enclosing(resource, of.schema_url), reading));
    for raw in scopes.into_iter().flatten() {
        if let Err(wrong) = read_scope(kind, raw, &mut draft, &resource, reading) {
            reading.reject(1, &wrong);
        }
    }
    Ok(())
}

fn read_scope(
    kind: Kind,
    raw: Raw<'_>,
    draft: &mut Draft,
    resource: &Result<Source, Wrong>,
    reading: &mut Reading<'_>,
) -> Result<(), Wrong> {
    let of: OfScope<'_> = envelope(raw).map_err(|wrong| format!("scope: {wrong}"))?;
    let list = match kind {
        Kind::Traces => of.spans,
        Kind::Logs => of.log_records,
        Kind::Metrics => of.metrics,
    };
    if let Some(list) = of.snake_logs.filter(|_| kind == Kind::Logs) {
        reading.reject(
            (list.len() as u64).max(1),
            "log_records instead of logRecords; names in JSON are in lowerCamelCase",
        );
    }
    let list = list.unwrap_or_default();
    let source = resource.as_ref().map_err(Wrong::clone).and_then(|resource| {
        let scope = of.scope.map(|raw| message(raw, reading, scope)).transpose();
        let scope = scope.map_err(|wrong| format!("scope: {wrong}"))?;
        drafts::scope(draft, resource, &enclosing(scope, of.schema_url), reading)
    });
    match source {
        Ok(source) => list.into_iter().for_each(|raw| read_record(kind, raw, &source, reading)),
        Err(wrong) => reading.reject(records_in(kind, &list), &wrong),
    }
    Ok(())
}

fn read_record(kind: Kind, raw: Raw<'_>, source: &Source, reading: &mut Reading<'_>) {
    let encoded = match kind {
        Kind::Traces => message(raw, reading, span).map(|span| span.encode_to_vec()),
        Kind::Logs => message(raw, reading, log).map(|log| log.encode_to_vec()),
        Kind::Metrics => Ok(Vec::new()),
    };
    let read = match kind {
        Kind::Metrics => envelope(raw).and_then(|metric| read_metric(metric, source, reading)),
        _ => encoded.and_then(|record| reading.record(kind, Lies::Elsewhere(&record), source)),
    };
    if let Err(wrong) = read {
        reading.reject(records_in(kind, &[raw]), &wrong);
    }
}

fn read_metric(of: OfMetric<'_>, origin: &Source, reading: &mut Reading<'_>) -> Result<(), Wrong> {
    type Read = fn(Fields) -> Result<Vec<u8>, Wrong>;
    let number: Read = |fields| number_point(fields).map(|point| point.encode_to_vec());
    let histogram: Read = |fields| histogram_point(fields).map(|point| point.encode_to_vec());
    let exponential: Read = |fields| exponential_point(fields).map(|point| point.encode_to_vec());
    let summary: Read = |fields| summary_point(fields).map(|point| point.encode_to_vec());
    // Of several, as of several values in protobuf, the last one counts.
    let kinds = [
        (11, summary, of.summary),
        (10, exponential, of.exponential_histogram),
        (9, histogram, of.histogram),
        (7, number, of.sum),
        (5, number, of.gauge),
    ];
    let found = kinds.into_iter().find_map(|(tag, read, points)| points.map(|points| (tag, read, points)));
    let Some((tag, read, points)) = found else { return Ok(()) };
    let mut data = Vec::new();
    if matches!(tag, 7 | 9 | 10) {
        const NAME: &str = "aggregationTemporality";
        let number = alone(NAME, points.aggregation_temporality, reading)?
            .named(NAME, |name| AggregationTemporality::from_str_name(name).map(|one| one as i32))?;
        Writer(&mut data).number(2, i64::from(number) as u64);
    }
    if tag == 7 {
        Writer(&mut data).number(3, points.is_monotonic.unwrap_or_default().into());
    }
    let metadata = alone("metadata", of.metadata, reading)?.messages("metadata", key_value)?;
    let [name, description, unit] = [of.name, of.description, of.unit].map(Option::unwrap_or_default);
    let header = Header { name, description, unit, metadata };
    let metric = {
        let mut bytes = Header { metadata: Vec::new(), ..header.clone() }.encode_to_vec();
        Writer(&mut bytes).always_bytes(tag, &data);
        bytes.extend(Header { metadata: header.metadata, ..Header::default() }.encode_to_vec());
        bytes
    };
    let source = drafts::metric(&mut Draft::default(), &metric, (tag, &data), origin, reading)?;
    for raw in points.data_points.into_iter().flatten() {
        let point = message(raw, reading, read);
        if let Err(wrong) = point.and_then(|point| reading.point(tag, Lies::Elsewhere(&point), &source)) {
            reading.reject(1, &wrong);
        }
    }
    Ok(())
}

// --- the messages, field by field ---

fn any_value(value: Value) -> Result<AnyValue, Wrong> {
    let mut fields = Fields::of(value)?;
    let named = |name: &'static str| move |wrong: Wrong| format!("{name}: {wrong}");
    let value = if let Some(value) = fields.take("stringValue") {
        any_value::Value::StringValue(fields::text(value).map_err(named("stringValue"))?)
    } else if let Some(value) = fields.take("intValue") {
        any_value::Value::IntValue(fields::whole(value).map_err(named("intValue"))?)
    } else if let Some(value) = fields.take("doubleValue") {
        any_value::Value::DoubleValue(fields::double(value).map_err(named("doubleValue"))?)
    } else if fields.has("boolValue") {
        any_value::Value::BoolValue(fields.boolean("boolValue")?)
    } else if let Some(values) = fields.message("arrayValue", |mut fields| fields.list("values", any_value))? {
        any_value::Value::ArrayValue(ArrayValue { values })
    } else if let Some(values) = fields.message("kvlistValue", |mut fields| fields.messages("values", key_value))? {
        any_value::Value::KvlistValue(KeyValueList { values })
    } else if let Some(value) = fields.take("bytesValue") {
        any_value::Value::BytesValue(fields::bytes(value).map_err(named("bytesValue"))?)
    } else {
        return Ok(AnyValue { value: None });
    };
    Ok(AnyValue { value: Some(value) })
}

fn key_value(mut fields: Fields) -> Result<KeyValue, Wrong> {
    let key = fields.text("key")?;
    let value = fields.take("value").map(any_value).transpose().map_err(|wrong| format!("{key}: {wrong}"))?;
    Ok(KeyValue { key, value, key_strindex: 0 })
}

fn resource(mut fields: Fields) -> Result<Resource, Wrong> {
    Ok(Resource {
        attributes: fields.messages("attributes", key_value)?,
        dropped_attributes_count: fields.whole("droppedAttributesCount")?,
        entity_refs: fields.messages("entityRefs", |mut fields| {
            Ok(EntityRef {
                schema_url: fields.text("schemaUrl")?,
                r#type: fields.text("type")?,
                id_keys: fields.list("idKeys", fields::text)?,
                description_keys: fields.list("descriptionKeys", fields::text)?,
            })
        })?,
    })
}

fn scope(mut fields: Fields) -> Result<InstrumentationScope, Wrong> {
    Ok(InstrumentationScope {
        name: fields.text("name")?,
        version: fields.text("version")?,
        attributes: fields.messages("attributes", key_value)?,
        dropped_attributes_count: fields.whole("droppedAttributesCount")?,
    })
}

fn span(mut fields: Fields) -> Result<trace::Span, Wrong> {
    Ok(trace::Span {
        trace_id: fields.id("traceId")?,
        span_id: fields.id("spanId")?,
        trace_state: fields.text("traceState")?,
        parent_span_id: fields.id("parentSpanId")?,
        flags: fields.whole("flags")?,
        name: fields.text("name")?,
        kind: fields.named("kind", |name| span::SpanKind::from_str_name(name).map(|kind| kind as i32))?,
        start_time_unix_nano: fields.whole("startTimeUnixNano")?,
        end_time_unix_nano: fields.whole("endTimeUnixNano")?,
        attributes: fields.messages("attributes", key_value)?,
        dropped_attributes_count: fields.whole("droppedAttributesCount")?,
        events: fields.messages("events", event)?,
        dropped_events_count: fields.whole("droppedEventsCount")?,
        links: fields.messages("links", link)?,
        dropped_links_count: fields.whole("droppedLinksCount")?,
        status: fields.message("status", |mut fields| {
            let code = fields.named("code", |name| status::StatusCode::from_str_name(name).map(|code| code as i32))?;
            Ok(trace::Status { message: fields.text("message")?, code })
        })?,
    })
}

fn event(mut fields: Fields) -> Result<span::Event, Wrong> {
    Ok(span::Event {
        time_unix_nano: fields.whole("timeUnixNano")?,
        name: fields.text("name")?,
        attributes: fields.messages("attributes", key_value)?,
        dropped_attributes_count: fields.whole("droppedAttributesCount")?,
    })
}

fn link(mut fields: Fields) -> Result<span::Link, Wrong> {
    Ok(span::Link {
        trace_id: fields.lenient_id("traceId")?,
        span_id: fields.lenient_id("spanId")?,
        trace_state: fields.text("traceState")?,
        attributes: fields.messages("attributes", key_value)?,
        dropped_attributes_count: fields.whole("droppedAttributesCount")?,
        flags: fields.whole("flags")?,
    })
}

fn log(mut fields: Fields) -> Result<LogRecord, Wrong> {
    Ok(LogRecord {
        time_unix_nano: fields.whole("timeUnixNano")?,
        observed_time_unix_nano: fields.whole("observedTimeUnixNano")?,
        severity_number: fields
            .named("severityNumber", |name| SeverityNumber::from_str_name(name).map(|severity| severity as i32))?,
        severity_text: fields.text("severityText")?,
        body: fields.take("body").map(any_value).transpose().map_err(|wrong| format!("body: {wrong}"))?,
        attributes: fields.messages("attributes", key_value)?,
        dropped_attributes_count: fields.whole("droppedAttributesCount")?,
        flags: fields.whole("flags")?,
        trace_id: fields.lenient_id("traceId")?,
        span_id: fields.lenient_id("spanId")?,
        event_name: fields.text("eventName")?,
    })
}

fn number_point(mut fields: Fields) -> Result<metrics::NumberDataPoint, Wrong> {
    Ok(metrics::NumberDataPoint {
        attributes: fields.messages("attributes", key_value)?,
        start_time_unix_nano: fields.whole("startTimeUnixNano")?,
        time_unix_nano: fields.whole("timeUnixNano")?,
        exemplars: fields.messages("exemplars", exemplar)?,
        flags: fields.whole("flags")?,
        value: match fields.double("asDouble")? {
            Some(value) => Some(number_data_point::Value::AsDouble(value)),
            None if fields.has("asInt") => Some(number_data_point::Value::AsInt(fields.whole("asInt")?)),
            None => None,
        },
    })
}

fn histogram_point(mut fields: Fields) -> Result<metrics::HistogramDataPoint, Wrong> {
    Ok(metrics::HistogramDataPoint {
        attributes: fields.messages("attributes", key_value)?,
        start_time_unix_nano: fields.whole("startTimeUnixNano")?,
        time_unix_nano: fields.whole("timeUnixNano")?,
        count: fields.whole("count")?,
        sum: fields.double("sum")?,
        bucket_counts: fields.list("bucketCounts", fields::whole)?,
        explicit_bounds: fields.list("explicitBounds", fields::double)?,
        exemplars: fields.messages("exemplars", exemplar)?,
        flags: fields.whole("flags")?,
        min: fields.double("min")?,
        max: fields.double("max")?,
    })
}

fn exponential_point(mut fields: Fields) -> Result<metrics::ExponentialHistogramDataPoint, Wrong> {
    let buckets = |mut fields: Fields| {
        let (offset, bucket_counts) = (fields.whole("offset")?, fields.list("bucketCounts", fields::whole)?);
        Ok(exponential_histogram_data_point::Buckets { offset, bucket_counts })
    };
    Ok(metrics::ExponentialHistogramDataPoint {
        attributes: fields.messages("attributes", key_value)?,
        start_time_unix_nano: fields.whole("startTimeUnixNano")?,
        time_unix_nano: fields.whole("timeUnixNano")?,
        count: fields.whole("count")?,
        sum: fields.double("sum")?,
        scale: fields.whole("scale")?,
        zero_count: fields.whole("zeroCount")?,
        positive: fields.message("positive", buckets)?,
        negative: fields.message("negative", buckets)?,
        flags: fields.whole("flags")?,
        exemplars: fields.messages("exemplars", exemplar)?,
        min: fields.double("min")?,
        max: fields.double("max")?,
        zero_threshold: fields.double("zeroThreshold")?.unwrap_or_default(),
    })
}

fn summary_point(mut fields: Fields) -> Result<metrics::SummaryDataPoint, Wrong> {
    let quantile = |mut fields: Fields| {
        let (quantile, value) = (fields.double("quantile")?, fields.double("value")?);
        let (quantile, value) = (quantile.unwrap_or_default(), value.unwrap_or_default());
        Ok(summary_data_point::ValueAtQuantile { quantile, value })
    };
    Ok(metrics::SummaryDataPoint {
        attributes: fields.messages("attributes", key_value)?,
        start_time_unix_nano: fields.whole("startTimeUnixNano")?,
        time_unix_nano: fields.whole("timeUnixNano")?,
        count: fields.whole("count")?,
        sum: fields.double("sum")?.unwrap_or_default(),
        quantile_values: fields.messages("quantileValues", quantile)?,
        flags: fields.whole("flags")?,
    })
}

fn exemplar(mut fields: Fields) -> Result<metrics::Exemplar, Wrong> {
    Ok(metrics::Exemplar {
        filtered_attributes: fields.messages("filteredAttributes", key_value)?,
        time_unix_nano: fields.whole("timeUnixNano")?,
        span_id: fields.lenient_id("spanId")?,
        trace_id: fields.lenient_id("traceId")?,
        value: match fields.double("asDouble")? {
            Some(value) => Some(exemplar::Value::AsDouble(value)),
            None if fields.has("asInt") => Some(exemplar::Value::AsInt(fields.whole("asInt")?)),
            None => None,
        },
    })
}
