//! Protobuf: a request is taken apart into records without decoding them, then each is decoded by itself.
//!
//! A field of message type is written as a field of bytes is. So the envelopes below, which have bytes where the protocol has
//! records, read the same requests; the bytes are slices of the request, not copies.

use super::records::{self, Origin, WirePoint};
use super::{Kind, Request};
use crate::signal::{Metric, MetricKind};
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::{logs::v1::LogRecord, metrics::v1 as metrics, trace::v1::Span};
use prost::Message;
use prost::bytes::Bytes;

/// `ExportTraceServiceRequest`, and those of the other signals.
#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<OfResource>,
}

/// `ResourceSpans`, and so on.
#[derive(Clone, PartialEq, Message)]
struct OfResource {
    #[prost(bytes = "bytes", optional, tag = "1")]
    resource: Option<Bytes>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<OfScope>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

/// `ScopeSpans`, and so on.
#[derive(Clone, PartialEq, Message)]
struct OfScope {
    #[prost(bytes = "bytes", optional, tag = "1")]
    scope: Option<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    records: Vec<Bytes>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

/// `Metric`.
#[derive(Clone, PartialEq, Message)]
struct OfMetric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    unit: String,
    #[prost(message, repeated, tag = "12")]
    metadata: Vec<KeyValue>,
    #[prost(oneof = "Data", tags = "5, 7, 9, 10, 11")]
    data: Option<Data>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Data {
    #[prost(message, tag = "5")]
    Gauge(Points),
    #[prost(message, tag = "7")]
    Sum(Points),
    #[prost(message, tag = "9")]
    Histogram(Points),
    #[prost(message, tag = "10")]
    ExponentialHistogram(Points),
    #[prost(message, tag = "11")]
    Summary(Points),
}

/// `Gauge`, `Sum` and so on.
#[derive(Clone, PartialEq, Message)]
struct Points {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    points: Vec<Bytes>,
    #[prost(int32, tag = "2")]
    temporality: i32,
    #[prost(bool, tag = "3")]
    monotonic: bool,
}

pub(super) fn read(kind: Kind, body: &[u8], request: &mut Request) -> Result<(), String> {
    let envelope = Envelope::decode(Bytes::copy_from_slice(body)).map_err(|error| error.to_string())?;
    for OfResource { resource, scopes, schema_url } in envelope.resources {
        let resource = match resource.map(Resource::decode).transpose() {
            Ok(resource) => records::resource(resource, &schema_url).share(),
            Err(error) => {
                let records = scopes.iter().map(|scope| scope.records.len() as u64).sum();
                request.rejected.add(records, &format!("resource: {error}"));
                continue;
            }
        };
        for OfScope { scope, records, schema_url } in scopes {
            match scope.map(InstrumentationScope::decode).transpose() {
                Ok(scope) => {
                    let scope = records::scope(scope, &schema_url).share();
                    let origin = Origin { resource: resource.clone(), scope };
                    records.into_iter().for_each(|record| read_record(kind, record, &origin, request));
                }
                Err(error) => request.rejected.add(records.len() as u64, &format!("scope: {error}")),
            }
        }
    }
    Ok(())
}

fn read_record(kind: Kind, record: Bytes, origin: &Origin, request: &mut Request) {
    let read = match kind {
        Kind::Traces => Span::decode(record)
            .map_err(|error| error.to_string())
            .and_then(|span| records::span(span, origin))
            .map(|span| request.spans.push(span)),
        Kind::Logs => LogRecord::decode(record)
            .map_err(|error| error.to_string())
            .map(|log| request.logs.push(records::log(log, origin))),
        Kind::Metrics => OfMetric::decode(record)
            .map_err(|error| error.to_string())
            .map(|metric| read_metric(metric, origin, request)),
    };
    if let Err(reason) = read {
        request.rejected.add(1, &reason);
    }
}

fn read_metric(metric: OfMetric, origin: &Origin, request: &mut Request) {
    type Decode = fn(Bytes) -> Result<WirePoint, prost::DecodeError>;
    let Some(data) = metric.data else { return };
    let number: Decode = |bytes| metrics::NumberDataPoint::decode(bytes).map(WirePoint::Number);
    let histogram: Decode = |bytes| metrics::HistogramDataPoint::decode(bytes).map(WirePoint::Histogram);
    let exponential: Decode =
        |bytes| metrics::ExponentialHistogramDataPoint::decode(bytes).map(WirePoint::ExponentialHistogram);
    let summary: Decode = |bytes| metrics::SummaryDataPoint::decode(bytes).map(WirePoint::Summary);
    let temporality = |points: &Points| records::temporality(points.temporality);
    let (kind, decode, points) = match data {
        Data::Gauge(points) => (MetricKind::Gauge, number, points),
        Data::Sum(points) => {
            (MetricKind::Sum { temporality: temporality(&points), monotonic: points.monotonic }, number, points)
        }
        Data::Histogram(points) => (MetricKind::Histogram { temporality: temporality(&points) }, histogram, points),
        Data::ExponentialHistogram(points) => {
            (MetricKind::ExponentialHistogram { temporality: temporality(&points) }, exponential, points)
        }
        Data::Summary(points) => (MetricKind::Summary, summary, points),
    };
    let shared = Metric {
        name: metric.name.into(),
        description: metric.description.into(),
        unit: metric.unit.into(),
        metadata: records::attributes(metric.metadata),
        kind,
    }
    .share();
    for point in points.points {
        match decode(point) {
            Ok(point) => request.points.push(records::point(point, &shared, origin)),
            Err(error) => request.rejected.add(1, &error.to_string()),
        }
    }
}
