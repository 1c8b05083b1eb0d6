//! Protobuf: a request is gone through field by field, and each record decoded by itself, from where it lies.
//!
//! A field of message type is written as a field of bytes is; so what lies between a request and its records is never decoded as
//! a whole, nothing is allocated for it, and what is damaged in it costs only itself.

use super::records::{self, Origin, WirePoint};
use super::{Kind, Reading};
use crate::signal::{self, MetricKind, Shared};
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::{logs::v1::LogRecord, trace::v1::Span};
use prost::Message;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Calls `visit` with the number and the bytes of each field that has some. Of the first fields, up to this one, each should.
fn each_field_of<'a>(up_to: u32, mut message: &'a [u8], mut visit: impl FnMut(u32, &'a [u8])) -> Result<(), String> {
    while message.has_remaining() {
        let (number, wire) = decode_key(&mut message).map_err(|error| error.to_string())?;
        if wire != WireType::LengthDelimited {
            if number <= up_to {
                return Err(format!("field {number} has another wire type than the protocol's"));
            }
            skip_field(wire, number, &mut message, DecodeContext::default()).map_err(|error| error.to_string())?;
            continue;
        }
        let length = decode_varint(&mut message).map_err(|error| error.to_string())?;
        let length = usize::try_from(length).ok().filter(|length| *length <= message.len());
        let Some(length) = length else { return Err("buffer underflow: it ends too soon".to_owned()) };
        let (bytes, rest) = message.split_at(length);
        visit(number, bytes);
        message = rest;
    }
    Ok(())
}

/// The same for what lies between a request and its records, where three should.
fn each_field<'a>(message: &'a [u8], visit: impl FnMut(u32, &'a [u8])) -> Result<(), String> {
    each_field_of(3, message, visit)
}

/// The bytes of a field; of several, the last.
fn field(message: &[u8], wanted: u32) -> Result<Option<&[u8]>, String> {
    let mut found = None;
    each_field(message, |number, bytes| {
        if number == wanted {
            found = Some(bytes);
        }
    })?;
    Ok(found)
}

fn text(message: &[u8], wanted: u32, name: &str) -> Result<String, String> {
    let bytes = field(message, wanted)?.unwrap_or_default();
    String::from_utf8(bytes.to_vec()).map_err(|_| format!("{name} is no UTF-8"))
}

/// The number of points in a metric's data.
fn points_in(data: &[u8]) -> u64 {
    let mut count = 0;
    // What comes after some damage can't be counted.
    let _ = each_field_of(1, data, |number, _| count += u64::from(number == 1));
    count
}

/// The number of its records, or of its points where it is one of metrics.
fn records_in(kind: Kind, record: &[u8]) -> u64 {
    if kind != Kind::Metrics {
        return 1;
    }
    let mut points = 0;
    let _ = each_field(record, |number, data| {
        if matches!(number, 5 | 7 | 9 | 10 | 11) {
            points = points_in(data);
        }
    });
    points.max(1)
}

fn records_in_scope(kind: Kind, scope: &[u8]) -> u64 {
    let mut records = 0;
    let _ = each_field(scope, |number, record| {
        if number == 2 {
            records += records_in(kind, record);
        }
    });
    records.max(1)
}

fn records_in_resource(kind: Kind, resource: &[u8]) -> u64 {
    let mut records = 0;
    let _ = each_field(resource, |number, scope| {
        if number == 2 {
            records += records_in_scope(kind, scope);
        }
    });
    records.max(1)
}

pub(super) fn read(kind: Kind, body: &[u8], reading: &mut Reading<'_>) -> Result<(), String> {
    // All of it, before anything is taken.
    each_field(body, |_, _| ())?;
    each_field(body, |number, resource| {
        if number == 1
            && let Err(wrong) = read_resource(kind, resource, reading)
        {
            reading.reject(records_in_resource(kind, resource), &wrong);
        }
    })
}

fn read_resource(kind: Kind, of: &[u8], reading: &mut Reading<'_>) -> Result<(), String> {
    let resource = field(of, 1)?;
    reading.check(resource.map_or(0, least)).map_err(|wrong| format!("resource: {wrong}"))?;
    let resource = resource.map(Resource::decode).transpose().map_err(|error| format!("resource: {error}"))?;
    let resource = reading.shared("resource", records::resource(resource, &text(of, 3, "schemaUrl")?)?.share())?;
    each_field(of, |number, scope| {
        if number == 2
            && let Err(wrong) = read_scope(kind, scope, &resource, reading)
        {
            reading.reject(records_in_scope(kind, scope), &wrong);
        }
    })
}

fn read_scope(
    kind: Kind,
    of: &[u8],
    resource: &Shared<signal::Resource>,
    reading: &mut Reading<'_>,
) -> Result<(), String> {
    let scope = field(of, 1)?;
    reading.check(scope.map_or(0, least)).map_err(|wrong| format!("scope: {wrong}"))?;
    let scope = scope.map(InstrumentationScope::decode).transpose();
    let scope = scope.map_err(|error| format!("scope: {error}"))?;
    let scope = reading.shared("scope", records::scope(scope, &text(of, 3, "schemaUrl")?)?.share())?;
    let origin = Origin { resource: resource.clone(), scope };
    each_field(of, |number, record| {
        if number == 2 {
            read_record(kind, record, &origin, reading);
        }
    })
}

/// Bytes that what lies in a message takes at least: a number of eight bytes may be written in ten.
fn least(message: &[u8]) -> usize {
    message.len() / 2
}

/// A message, if it is not too large.
fn decoded<M: Message + Default>(message: &[u8], reading: &Reading<'_>) -> Result<M, String> {
    reading.check(least(message))?;
    M::decode(message).map_err(|error| error.to_string())
}

fn read_record(kind: Kind, record: &[u8], origin: &Origin, reading: &mut Reading<'_>) {
    let read = match kind {
        Kind::Traces => {
            decoded::<Span>(record, reading).and_then(|span| records::span(span, origin)).map(|span| reading.span(span))
        }
        Kind::Logs => {
            decoded::<LogRecord>(record, reading).and_then(|log| records::log(log, origin)).map(|log| reading.log(log))
        }
        Kind::Metrics => read_metric(record, origin, reading),
    };
    if let Err(wrong) = read {
        reading.reject(records_in(kind, record), &wrong);
    }
}

/// `Gauge`, `Sum` and so on, but for their points.
#[derive(Clone, PartialEq, Message)]
struct Aggregation {
    #[prost(int32, tag = "2")]
    temporality: i32,
    #[prost(bool, tag = "3")]
    monotonic: bool,
}

/// `Metric`, but for its data.
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
}

fn read_metric(record: &[u8], origin: &Origin, reading: &mut Reading<'_>) -> Result<(), String> {
    type Decode = fn(&[u8], &Reading<'_>) -> Result<WirePoint, String>;
    let number: Decode = |bytes, reading| decoded(bytes, reading).map(WirePoint::Number);
    let histogram: Decode = |bytes, reading| decoded(bytes, reading).map(WirePoint::Histogram);
    let exponential: Decode = |bytes, reading| decoded(bytes, reading).map(WirePoint::ExponentialHistogram);
    let summary: Decode = |bytes, reading| decoded(bytes, reading).map(WirePoint::Summary);
    let mut data = None;
    each_field(record, |number, bytes| {
        if matches!(number, 5 | 7 | 9 | 10 | 11) {
            data = Some((number, bytes));
        }
    })?;
    reading.check((record.len() - data.map_or(0, |(_, data)| data.len())) / 2)?;
    let metric = OfMetric::decode(record).map_err(|error| error.to_string())?;
    let Some((tag, data)) = data else { return Ok(()) };
    let Aggregation { temporality, monotonic } = Aggregation::decode(data).map_err(|error| error.to_string())?;
    let temporality = records::temporality(temporality);
    let (kind, decode) = match tag {
        5 => (MetricKind::Gauge, number),
        7 => (MetricKind::Sum { temporality, monotonic }, number),
        9 => (MetricKind::Histogram { temporality }, histogram),
        10 => (MetricKind::ExponentialHistogram { temporality }, exponential),
        _ => (MetricKind::Summary, summary),
    };
    let texts = [metric.name, metric.description, metric.unit];
    let metric = reading.shared("metric", records::metric(texts, metric.metadata, kind)?)?;
    each_field_of(1, data, |number, point| {
        if number == 1 {
            match decode(point, reading).and_then(|point| records::point(point, &metric, origin)) {
                Ok(point) => reading.point(point),
                Err(wrong) => reading.reject(1, &wrong),
            }
        }
    })
}
