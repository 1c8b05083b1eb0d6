//! OpenTelemetry's protocol: export requests to records, and records to export requests.
//!
//! The way in: bytes are split into records (`protobuf` and `json`, each in its own way), each record is decoded by itself into
//! the protocol's message, and from that made into a record of ours (`records`). So one that is malformed costs only itself. The
//! way out: records are put together to requests (`requests`), and these are written.
//!
//! What a field means where nothing is said: no severity is none, and no index has the record under one; without a `service.name`
//! a record is found under `unknown_service`, which is never written out; a log record without a time is taken to be of the
//! time at which it was observed. A span needs a trace id and a span id, of the right length and not all zero; a log record's ids that
//! are none are left out. Kinds, status codes and temporalities with numbers that the protocol does not know become unspecified.
//!
//! A request that is delivered twice is stored twice: the store keeps what it is sent. [`Store::trace`] shows each span once,
//! and says how many came again.
//!
//! [`Store::trace`]: crate::Store::trace

mod gzip;
mod json;
mod protobuf;
mod records;
mod rejected;
mod requests;
#[cfg(feature = "opentelemetry")]
mod sdk;

pub use gzip::{GunzipError, gunzip};
pub use rejected::Rejected;
pub use requests::{Exported, write};
#[cfg(feature = "opentelemetry")]
pub use sdk::Exporter;

use crate::signal::{LogRecord, MetricPoint, Shared, Signal, Span};
use crate::store::Store;
use crate::telemetry::Telemetry;
use thiserror::Error;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`, as the protocol maps it: ids in hexadecimal digits, 64-bit numbers as strings.
    Json,
}

/// What a request carries. Protobuf does not say; JSON does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metric points.
    Metrics,
}

impl Kind {
    /// As paths have it.
    fn name(self) -> &'static str {
        match self {
            Kind::Traces => "traces",
            Kind::Logs => "logs",
            Kind::Metrics => "metrics",
        }
    }

    /// What a request in JSON carries its records in.
    fn container(self) -> &'static str {
        match self {
            Kind::Traces => "resourceSpans",
            Kind::Logs => "resourceLogs",
            Kind::Metrics => "resourceMetrics",
        }
    }
}

/// A request that is none: nothing of it can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("this is no OTLP request in {}: {what}", match .encoding { Encoding::Protobuf => "protobuf", Encoding::Json => "JSON" })]
#[non_exhaustive]
pub struct OtlpError {
    /// What it should have been written in.
    pub encoding: Encoding,
    /// What is wrong with it.
    pub what: String,
}

/// The records of an export request, and what of it was none.
///
/// What records share with others of their request (resource, scope, metric) is there once, and goes with the last of them.
///
/// ```
/// use slipring::otlp::{Encoding, Kind, Request};
///
/// let body = br#"{"resourceSpans": [{"scopeSpans": [{"spans": [
///     {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "GET /"},
///     {"traceId": "5b8e", "spanId": "eee19b7ec3c1b174", "name": "GET /"}
/// ]}]}]}"#;
/// let request = Request::read(Kind::Traces, Encoding::Json, body)?;
/// assert_eq!(request.spans.len(), 1);
/// assert_eq!(request.rejected.to_string(), "1 record rejected: traceId has 2 bytes instead of 16");
/// # Ok::<(), slipring::otlp::OtlpError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Its spans.
    pub spans: Vec<Span>,
    /// Its log records.
    pub logs: Vec<LogRecord>,
    /// Its metric points.
    pub points: Vec<MetricPoint>,
    /// Records that could not be made out.
    pub rejected: Rejected,
}

impl Request {
    /// Reads a request of this kind. O(bytes).
    ///
    /// Fields that are not known are passed over. In JSON, other kinds of records, and those whose lists are named otherwise than the
    /// protocol has it, such as `resource_spans`, are rejected, and counted. A short request can hold many
    /// records: [`Telemetry::take_from`] takes them as they are read.
    ///
    /// # Errors
    /// [`OtlpError`] if it can't be taken apart.
    pub fn read(kind: Kind, encoding: Encoding, body: &[u8]) -> Result<Self, OtlpError> {
        let mut reading = Reading::whole();
        read(Some(kind), encoding, body, &mut reading)?;
        Ok(reading.request)
    }

    /// Reads a request in JSON that says itself what it carries, as each line of what the Collector's file exporter writes.
    ///
    /// # Errors
    /// As [`read`](Request::read); also if it carries nothing that is known.
    pub fn read_json(body: &[u8]) -> Result<Self, OtlpError> {
        let mut reading = Reading::whole();
        read(None, Encoding::Json, body, &mut reading)?;
        Ok(reading.request)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.spans.len() + self.logs.len() + self.points.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Records that are delivered together, where a request is not wanted whole.
const DELIVERED: usize = 512;

/// A request being read, and who takes its records meanwhile.
struct Reading<'a> {
    request: Request,
    /// The most bytes that a record, or a part that many share, may take.
    largest: usize,
    /// Heap bytes of the records that are not handed on yet.
    bytes: usize,
    deliver: Option<&'a mut dyn FnMut(&mut Request)>,
}

impl<'a> Reading<'a> {
    /// Whole, whatever it takes.
    fn whole() -> Self {
        Self { request: Request::default(), largest: usize::MAX, bytes: 0, deliver: None }
    }

    fn delivering(largest: usize, deliver: &'a mut dyn FnMut(&mut Request)) -> Self {
        Self { request: Request::default(), largest, bytes: 0, deliver: Some(deliver) }
    }

    /// Refuses what takes so many bytes or more once it is decoded, before that: until it is known to be too large, it would take many
    /// times its bytes.
    fn check(&self, at_least: usize) -> Result<(), String> {
        if at_least <= self.largest { Ok(()) } else { Err(self.too_large("it")) }
    }

    fn too_large(&self, what: &str) -> String {
        format!("{what} takes more than {} bytes; make it smaller, or raise `max_record_bytes`", self.largest)
    }

    /// A part that many records share, if it is no larger than one of them may be.
    fn shared<T>(&self, what: &str, part: Shared<T>) -> Result<Shared<T>, String> {
        if part.heap_bytes() <= self.largest { Ok(part) } else { Err(self.too_large(what)) }
    }

    fn span(&mut self, span: Span) {
        let bytes = span.heap_bytes();
        self.request.spans.push(span);
        self.deliver(self.request.spans.len(), bytes);
    }

    fn log(&mut self, log: LogRecord) {
        let bytes = log.heap_bytes();
        self.request.logs.push(log);
        self.deliver(self.request.logs.len(), bytes);
    }

    fn point(&mut self, point: MetricPoint) {
        let bytes = point.heap_bytes();
        self.request.points.push(point);
        self.deliver(self.request.points.len(), bytes);
    }

    /// Hands records on, if they are many or, with a last one of so many bytes, take much.
    fn deliver(&mut self, records: usize, bytes: usize) {
        let Some(deliver) = &mut self.deliver else { return };
        self.bytes = self.bytes.saturating_add(bytes);
        if records >= DELIVERED || self.bytes > self.largest {
            deliver(&mut self.request);
            self.bytes = 0;
        }
    }

    fn reject(&mut self, records: u64, reason: &str) {
        self.request.rejected.add(records, reason);
    }
}

fn read(kind: Option<Kind>, encoding: Encoding, body: &[u8], reading: &mut Reading<'_>) -> Result<(), OtlpError> {
    let read = match (encoding, kind) {
        (Encoding::Protobuf, Some(kind)) => protobuf::read(kind, body, reading),
        _ => json::read(kind, body, reading),
    };
    read.map_err(|what| OtlpError { encoding, what })
}

impl Telemetry {
    /// Reads a request and takes its records as they are read, so that they are not all in memory beside the stores. O(bytes). It
    /// may wait for room, as [`Store::push_batch`] does.
    ///
    /// A record that by its encoding alone is larger than [`max_record_bytes`](crate::Builder::max_record_bytes) is rejected before it
    /// is decoded: bytes that are nothing but empty attributes take many times as many then, up to two hundred times of what is allowed
    /// for a moment. A resource, a scope or a metric that is larger is rejected with its records.
    ///
    /// ```
    /// use slipring::Telemetry;
    /// use slipring::otlp::{Encoding, Kind};
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// let body = br#"{"resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {"timeUnixNano": "soon"}]}]}]}"#;
    /// let rejected = telemetry.take_from(Kind::Logs, Encoding::Json, body)?;
    /// assert_eq!((telemetry.logs().len(), rejected.records()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Request::read`]; then nothing was taken.
    pub fn take_from(&self, kind: Kind, encoding: Encoding, body: &[u8]) -> Result<Rejected, OtlpError> {
        let mut all = Rejected::default();
        let mut deliver = |request: &mut Request| all.merge(&self.take(std::mem::take(request)));
        let largest = match kind {
            Kind::Traces => self.traces().largest_record(),
            Kind::Logs => self.logs().largest_record(),
            Kind::Metrics => self.metrics().largest_record(),
        };
        let mut reading = Reading::delivering(largest, &mut deliver);
        read(Some(kind), encoding, body, &mut reading)?;
        let rest = reading.request;
        all.merge(&self.take(rest));
        Ok(all)
    }

    /// Takes a request's records; what was rejected, while it was read or by the stores, and why. O(records). It may wait for room,
    /// as [`Store::push_batch`] does.
    ///
    /// ```
    /// use slipring::Telemetry;
    /// use slipring::otlp::Request;
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// let line = br#"{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "hello"}}]}]}]}"#;
    /// let rejected = telemetry.take(Request::read_json(line)?);
    /// assert!(rejected.is_empty());
    /// assert_eq!(telemetry.logs().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take(&self, request: Request) -> Rejected {
        let Request { spans, logs, points, mut rejected } = request;
        push(self.traces(), spans, &mut rejected);
        push(self.logs(), logs, &mut rejected);
        push(self.metrics(), points, &mut rejected);
        rejected
    }
}

fn push<T: Signal>(store: &Store<T>, records: Vec<T>, rejected: &mut Rejected) {
    if let Err(error) = store.push_batch(records) {
        // Of several reasons the last one is told; statistics have them all.
        rejected.add(error.rejected.len() as u64, &error.reason.to_string());
    }
}
