//! Writes records as export requests: grouped by what they share, with the bytes of each record
//! unchanged.

use super::{Encoding, json};
use crate::query::Answer;
use crate::signal::draft::{Envelope, Layout};
use crate::signal::{LogRecord, MetricPoint, Signal, Source, Span};
use crate::wire::Writer;
use std::collections::HashMap;

/// A record type that OTLP transports: the three built-in ones.
pub trait Exported: Signal + sealed::Exported {}

impl<T: Signal + sealed::Exported> Exported for T {}

pub(super) mod sealed {
    use super::Source;

    /// The writing methods of a record type.
    pub trait Exported: Sized {
        /// The names of the lists in a JSON request: of resources, of scopes, of records.
        const NAMES: [&'static str; 3];
        fn source(&self) -> &Source;
        /// Appends the records of one scope.
        fn write(records: &[&Self], bytes: &mut Vec<u8>);
        /// Encodes each record as JSON, or each metric with its points.
        fn json(records: &[&Self]) -> Vec<serde_json::Value>;
    }
}

impl<T: Exported> Answer<T> {
    /// Encodes the records as an OTLP export request, grouped by what they share. In protobuf,
    /// records that came from a request have the same bytes as they had there. O(bytes).
    ///
    /// ```
    /// use slipring::otlp::{Encoding, Kind, Request};
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.push(LogRecord::builder().body("hello").build())?;
    /// let answer = logs.query().collect()?;
    /// let body = answer.to_otlp(Encoding::Protobuf);
    /// assert_eq!(Request::read(Kind::Logs, Encoding::Protobuf, &body)?.logs, answer.records);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_otlp(&self, encoding: Encoding) -> Vec<u8> {
        encode(&self.records, encoding)
    }
}

/// Encodes records as an OTLP export request: see [`Answer::to_otlp`].
pub fn encode<'a, T: Exported>(
    records: impl IntoIterator<Item = &'a T>,
    encoding: Encoding,
) -> Vec<u8> {
    let records: Vec<&T> = records.into_iter().collect();
    match encoding {
        Encoding::Protobuf => protobuf(&records),
        Encoding::Json => in_json(&records).to_string().into_bytes(),
    }
}

/// Returns the bytes before and after the scopes or records that this part encloses.
fn around(part: &Source) -> (&[u8], &[u8]) {
    let envelope = match part.layout() {
        Layout::Resource { envelope, .. } | Layout::Scope(envelope) => *envelope,
        Layout::Metric(_) => Envelope::default(),
    };
    (part.at(envelope.before), part.at(envelope.after))
}

/// Groups records by key, in the order of the first record with each key.
fn grouped<'a, T, K: std::hash::Hash + Eq>(
    records: &[&'a T],
    key: impl Fn(&'a T) -> K,
) -> Vec<Vec<&'a T>> {
    let mut groups: Vec<Vec<&T>> = Vec::new();
    let mut known: HashMap<K, usize> = HashMap::new();
    for &record in records {
        let group = *known.entry(key(record)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(record);
    }
    groups
}

/// Groups records by their resources, and the records of one resource by their scopes.
fn by_resource_and_scope<'a, T: Exported>(records: &[&'a T]) -> Vec<Vec<Vec<&'a T>>> {
    let by_part = grouped(records, |record| record.source().scope_part().address());
    let by_part: Vec<&Vec<&T>> = by_part.iter().collect();
    // Groups by address come first, so that the bytes of a resource are compared once per part, not
    // once per scope.
    let by_resource_part =
        grouped(&by_part, |records| records[0].source().resource_part().address());
    let by_resource_part: Vec<&Vec<&Vec<&T>>> = by_resource_part.iter().collect();
    let by_resource =
        grouped(&by_resource_part, |parts| around(parts[0][0].source().resource_part()));
    let scopes = |parts: Vec<&Vec<&Vec<&'a T>>>| {
        let parts: Vec<&Vec<&T>> = parts.into_iter().flatten().copied().collect();
        let by_scope = grouped(&parts, |records| around(records[0].source().scope_part()));
        by_scope.into_iter().map(|parts| parts.into_iter().flatten().copied().collect()).collect()
    };
    by_resource.into_iter().map(scopes).collect()
}

fn protobuf<T: Exported>(records: &[&T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer(&mut bytes);
    for scopes in by_resource_and_scope(records) {
        writer.nested(1, |writer| {
            let (before, after) = around(scopes[0][0].source().resource_part());
            writer.0.extend_from_slice(before);
            for records in &scopes {
                writer.nested(2, |writer| {
                    let (before, after) = around(records[0].source().scope_part());
                    writer.0.extend_from_slice(before);
                    T::write(records, writer.0);
                    writer.0.extend_from_slice(after);
                });
            }
            writer.0.extend_from_slice(after);
        });
    }
    bytes
}

fn in_json<T: Exported>(records: &[&T]) -> serde_json::Value {
    let scope_container = |records: &Vec<&T>| {
        json::scope_container(&T::NAMES, records[0].source().scope(), T::json(records))
    };
    let resource_container = |scopes: Vec<Vec<&T>>| {
        let resource = scopes[0][0].source().resource();
        json::resource_container(&T::NAMES, resource, scopes.iter().map(scope_container).collect())
    };
    json::request(
        &T::NAMES,
        by_resource_and_scope(records).into_iter().map(resource_container).collect(),
    )
}

fn write_plainly<T: Exported>(
    records: &[&T],
    bytes: impl Fn(&T) -> &[u8],
    writer: &mut Writer<'_>,
) {
    records.iter().for_each(|record| writer.always_bytes(2, bytes(record)));
}

fn write_spans(spans: &[&Span], writer: &mut Writer<'_>) {
    write_plainly(spans, Span::bytes, writer);
}

fn write_logs(logs: &[&LogRecord], writer: &mut Writer<'_>) {
    write_plainly(logs, LogRecord::bytes, writer);
}

/// Groups points by their metrics.
fn by_metric<'a>(points: &[&'a MetricPoint]) -> Vec<Vec<&'a MetricPoint>> {
    let by_source = grouped(points, |point| point.source().address());
    let firsts: Vec<&Vec<&MetricPoint>> = by_source.iter().collect();
    let by_bytes = grouped(&firsts, |points| {
        let source = points[0].source();
        let metric = source.metric_parts();
        metric.map(|parts| {
            (parts.tag, [parts.before, parts.after, parts.data].map(|part| source.at(part)))
        })
    });
    by_bytes.into_iter().map(|sources| sources.into_iter().flatten().copied().collect()).collect()
}

fn write_points(points: &[&MetricPoint], writer: &mut Writer<'_>) {
    for points in by_metric(points) {
        writer.nested(2, |writer| {
            let source = points[0].source();
            let parts = source.metric_parts();
            writer.0.extend_from_slice(parts.map_or(&[], |parts| source.at(parts.before)));
            writer.nested(parts.map_or(5, |parts| parts.tag), |writer| {
                points.iter().for_each(|point| writer.always_bytes(1, point.bytes()));
                writer.0.extend_from_slice(parts.map_or(&[], |parts| source.at(parts.data)));
            });
            writer.0.extend_from_slice(parts.map_or(&[], |parts| source.at(parts.after)));
        });
    }
}

macro_rules! exported {
    ($record:ident, $write:ident, $json:expr, $resources:literal, $scopes:literal, $records:literal) => {
        impl sealed::Exported for $record {
            const NAMES: [&str; 3] = [$resources, $scopes, $records];

            fn source(&self) -> &Source {
                self.source()
            }

            fn write(records: &[&Self], bytes: &mut Vec<u8>) {
                $write(records, &mut Writer(bytes))
            }

            fn json(records: &[&Self]) -> Vec<serde_json::Value> {
                $json(records)
            }
        }
    };
}

fn metrics(points: &[&MetricPoint]) -> Vec<serde_json::Value> {
    by_metric(points).iter().map(|points| json::metric(points[0].metric(), points)).collect()
}

exported!(Span, write_spans, each(json::span), "resourceSpans", "scopeSpans", "spans");
exported!(LogRecord, write_logs, each(json::log), "resourceLogs", "scopeLogs", "logRecords");
exported!(MetricPoint, write_points, metrics, "resourceMetrics", "scopeMetrics", "metrics");

fn each<T>(json: fn(&T) -> serde_json::Value) -> impl Fn(&[&T]) -> Vec<serde_json::Value> {
    move |records| records.iter().map(|record| json(record)).collect()
}
