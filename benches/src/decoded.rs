//! Records as a program holds them that decodes OTLP with `prost`: owned messages, each with its
//! service and metric name.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData};
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, MetricsData, NumberDataPoint,
    SummaryDataPoint, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use prost::Message;
use slipring::otlp::Kind;
use slipring::{Index, Key, Signal};
use std::sync::Arc;

/// A decoded record of any kind: its keys, and the message.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    trace: u128,
    number: u64,
    service: Arc<str>,
    name: Arc<str>,
    time: u64,
    message: Owned,
}

/// The owned message.
#[derive(Clone, Debug, PartialEq)]
#[allow(dead_code, reason = "the message is only stored and dropped")]
enum Owned {
    Span(Box<Span>),
    Log(Box<LogRecord>),
    Point(Box<NumberDataPoint>),
    Histogram(Box<HistogramDataPoint>),
    Exponential(Box<ExponentialHistogramDataPoint>),
    Summary(Box<SummaryDataPoint>),
}

/// Declares the same three indexes as the library's own records.
impl Signal for Decoded {
    const NAME: &'static str = "decoded";
    type Indexes = [Index<Self>; 3];
    const INDEXES: Self::Indexes = [
        Index::new("first", |decoded| match &decoded.message {
            Owned::Span(_) | Owned::Log(_) => {
                (decoded.trace != 0).then_some(Key::Id(decoded.trace))
            }
            _ => Some(Key::Text(&decoded.name)),
        }),
        Index::new("service", |decoded| Some(Key::Text(&decoded.service))),
        Index::new("third", |decoded| match &decoded.message {
            Owned::Span(span) => Some(Key::Text(&span.name)),
            Owned::Log(_) => (decoded.number > 0).then_some(Key::Int(decoded.number)),
            _ => Some(Key::Int(decoded.number)),
        }),
    ];

    fn timestamp(&self) -> u64 {
        self.time
    }
}

fn service(resource: Option<&Resource>) -> Arc<str> {
    let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
    let name =
        attributes.iter().find(|one| one.key == "service.name").and_then(|one| one.value.as_ref());
    match name.and_then(|name| name.value.as_ref()) {
        Some(Value::StringValue(name)) => name.as_str().into(),
        _ => "unknown_service".into(),
    }
}

fn id(bytes: &[u8]) -> u128 {
    bytes.try_into().map_or(0, u128::from_be_bytes)
}

/// Decodes a request, and passes its records to `take`, scope by scope.
///
/// # Panics
/// If the body cannot be decoded.
pub fn each_scope(kind: Kind, body: &[u8], mut take: impl FnMut(Vec<Decoded>)) {
    let nameless: Arc<str> = "".into();
    match kind {
        Kind::Traces => {
            for of in TracesData::decode(body).expect("the body is a request").resource_spans {
                let service = service(of.resource.as_ref());
                for of in of.scope_spans {
                    let record = |span: Span| Decoded {
                        trace: id(&span.trace_id),
                        number: 0,
                        service: Arc::clone(&service),
                        name: Arc::clone(&nameless),
                        time: span.start_time_unix_nano,
                        message: Owned::Span(span.into()),
                    };
                    take(of.spans.into_iter().map(record).collect());
                }
            }
        }
        Kind::Logs => {
            for of in LogsData::decode(body).expect("the body is a request").resource_logs {
                let service = service(of.resource.as_ref());
                for of in of.scope_logs {
                    let record = |log: LogRecord| Decoded {
                        trace: id(&log.trace_id),
                        number: u64::try_from(log.severity_number).unwrap_or_default(),
                        service: Arc::clone(&service),
                        name: Arc::clone(&nameless),
                        time: log.time_unix_nano,
                        message: Owned::Log(log.into()),
                    };
                    take(of.log_records.into_iter().map(record).collect());
                }
            }
        }
        _ => {
            for of in MetricsData::decode(body).expect("the body is a request").resource_metrics {
                let service = service(of.resource.as_ref());
                for metric in of.scope_metrics.into_iter().flat_map(|of| of.metrics) {
                    let name: Arc<str> = metric.name.into();
                    let record = |number, time, message| Decoded {
                        trace: 0,
                        number,
                        service: Arc::clone(&service),
                        name: Arc::clone(&name),
                        time,
                        message,
                    };
                    let number = |kind| {
                        move |point: NumberDataPoint| {
                            (kind, point.time_unix_nano, Owned::Point(point.into()))
                        }
                    };
                    let parts: Vec<(u64, u64, Owned)> = match metric.data {
                        None => continue,
                        Some(Data::Gauge(of)) => {
                            of.data_points.into_iter().map(number(1)).collect()
                        }
                        Some(Data::Sum(of)) => of.data_points.into_iter().map(number(2)).collect(),
                        Some(Data::Histogram(of)) => {
                            let owned = |one| Owned::Histogram(Box::new(one));
                            of.data_points
                                .into_iter()
                                .map(|one| (3, one.time_unix_nano, owned(one)))
                                .collect()
                        }
                        Some(Data::ExponentialHistogram(of)) => {
                            let owned = |one| Owned::Exponential(Box::new(one));
                            of.data_points
                                .into_iter()
                                .map(|one| (4, one.time_unix_nano, owned(one)))
                                .collect()
                        }
                        Some(Data::Summary(of)) => {
                            let owned = |one| Owned::Summary(Box::new(one));
                            of.data_points
                                .into_iter()
                                .map(|one| (5, one.time_unix_nano, owned(one)))
                                .collect()
                        }
                    };
                    take(
                        parts
                            .into_iter()
                            .map(|(kind, time, message)| record(kind, time, message))
                            .collect(),
                    );
                }
            }
        }
    }
}
