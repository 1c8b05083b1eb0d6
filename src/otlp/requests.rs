//! Records to export requests: grouped by what they share.

use super::records::{wire_log, wire_metric, wire_resource, wire_scope, wire_span};
use super::{Encoding, json};
use crate::query::Answer;
use crate::signal::{LogRecord, MetricPoint, Resource, Scope, Shared, Signal, Span};
use opentelemetry_proto::tonic::logs::v1::{LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{MetricsData, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, TracesData};
use prost::Message;
use std::collections::HashMap;

/// A kind of record that travels by OTLP: the three built-in ones.
pub trait Exported: Signal + sealed::Exported {}

impl<T: Signal + sealed::Exported> Exported for T {}

mod sealed {
    /// Writes records that belong to one request.
    pub trait Exported: Sized {
        fn protobuf(records: &[&Self]) -> Vec<u8>;
        fn json(records: &[&Self]) -> serde_json::Value;
    }
}

impl<T: Exported> Answer<T> {
    /// The records as an OTLP export request: what was taken from one, equal field for field, grouped by what they share. O(bytes).
    ///
    /// ```
    /// use slipring::otlp::{Encoding, Kind, Request};
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// logs.push(LogRecord { body: Some("hello".into()), ..LogRecord::default() })?;
    /// let answer = logs.query().collect()?;
    /// let body = answer.to_otlp(Encoding::Protobuf);
    /// assert_eq!(Request::read(Kind::Logs, Encoding::Protobuf, &body)?.logs, answer.records);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_otlp(&self, encoding: Encoding) -> Vec<u8> {
        write(&self.records, encoding)
    }
}

/// Records as an OTLP export request; see [`Answer::to_otlp`].
pub fn write<'a, T: Exported>(records: impl IntoIterator<Item = &'a T>, encoding: Encoding) -> Vec<u8> {
    let records: Vec<&T> = records.into_iter().collect();
    match encoding {
        Encoding::Protobuf => T::protobuf(&records),
        Encoding::Json => T::json(&records).to_string().into_bytes(),
    }
}

/// Records by a part that they share, in the order of the first with each.
fn by_part<'a, T, P: 'a>(records: &[&'a T], part: impl Fn(&T) -> &Shared<P>) -> Vec<Vec<&'a T>> {
    let mut groups: Vec<Vec<&T>> = Vec::new();
    let mut known: HashMap<usize, usize> = HashMap::new();
    for &record in records {
        let group = *known.entry(part(record).address()).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(record);
    }
    groups
}

/// Calls `of_resource` for each resource, with what `of_scope` made of each of its scopes.
fn grouped<T, S, R>(
    records: &[&T],
    resource: impl Fn(&T) -> &Shared<Resource>,
    scope: impl Fn(&T) -> &Shared<Scope>,
    of_scope: impl Fn(&Scope, &[&T]) -> S,
    of_resource: impl Fn(&Resource, Vec<S>) -> R,
) -> Vec<R> {
    let of_one = |records: Vec<&T>| {
        let scopes = by_part(&records, &scope);
        of_resource(resource(records[0]), scopes.iter().map(|records| of_scope(scope(records[0]), records)).collect())
    };
    by_part(records, &resource).into_iter().map(of_one).collect()
}

fn traces(spans: &[&Span]) -> TracesData {
    let of_scope = |scope: &Scope, spans: &[&Span]| ScopeSpans {
        scope: Some(wire_scope(scope)),
        spans: spans.iter().map(|span| wire_span(span)).collect(),
        schema_url: scope.schema_url.to_string(),
    };
    let of_resource = |resource: &Resource, scope_spans| ResourceSpans {
        resource: Some(wire_resource(resource)),
        scope_spans,
        schema_url: resource.schema_url().to_owned(),
    };
    TracesData { resource_spans: grouped(spans, |span| &span.resource, |span| &span.scope, of_scope, of_resource) }
}

fn logs(logs: &[&LogRecord]) -> LogsData {
    let of_scope = |scope: &Scope, logs: &[&LogRecord]| ScopeLogs {
        scope: Some(wire_scope(scope)),
        log_records: logs.iter().map(|log| wire_log(log)).collect(),
        schema_url: scope.schema_url.to_string(),
    };
    let of_resource = |resource: &Resource, scope_logs| ResourceLogs {
        resource: Some(wire_resource(resource)),
        scope_logs,
        schema_url: resource.schema_url().to_owned(),
    };
    LogsData { resource_logs: grouped(logs, |log| &log.resource, |log| &log.scope, of_scope, of_resource) }
}

fn metrics(points: &[&MetricPoint]) -> MetricsData {
    let of_metric = |points: &Vec<&MetricPoint>| wire_metric(&points[0].metric, points.iter().copied());
    let of_scope = |scope: &Scope, points: &[&MetricPoint]| ScopeMetrics {
        scope: Some(wire_scope(scope)),
        metrics: by_part(points, |point| &point.metric).iter().map(of_metric).collect(),
        schema_url: scope.schema_url.to_string(),
    };
    let of_resource = |resource: &Resource, scope_metrics| ResourceMetrics {
        resource: Some(wire_resource(resource)),
        scope_metrics,
        schema_url: resource.schema_url().to_owned(),
    };
    let resource_metrics = grouped(points, |point| &point.resource, |point| &point.scope, of_scope, of_resource);
    MetricsData { resource_metrics }
}

macro_rules! exported {
    ($record:ty, $data:ident) => {
        impl sealed::Exported for $record {
            fn protobuf(records: &[&Self]) -> Vec<u8> {
                $data(records).encode_to_vec()
            }

            fn json(records: &[&Self]) -> serde_json::Value {
                json::$data(&$data(records))
            }
        }
    };
}

exported!(Span, traces);
exported!(LogRecord, logs);
exported!(MetricPoint, metrics);
