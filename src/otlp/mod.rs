//! OpenTelemetry's protocol: export requests to records, and records to export requests.
//!
//! The way in: a request is gone through where it lies (`protobuf`), each record is checked by itself, completely (`records`),
//! what encloses records is found once (`drafts`, `known`), and the records stay ranges of the request's bytes (`reading`).
//! JSON is written anew as a request in protobuf first (`json`). One that is malformed costs only itself.
//!
//! The way out: records are put under what they share again, as the bytes that they are (`requests`).
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

mod decoded;
mod drafts;
mod gzip;
mod json;
mod known;
mod protobuf;
mod reading;
mod records;
mod rejected;
mod requests;
#[cfg(feature = "opentelemetry")]
mod sdk;

pub use gzip::{GunzipError, gunzip};
pub(crate) use known::Known;
/// The protocol's own messages, of the crate `opentelemetry-proto`: what `to_proto` of a record returns.
pub use opentelemetry_proto::tonic as proto;
pub use rejected::Rejected;
pub use requests::{Exported, write};
#[cfg(feature = "opentelemetry")]
pub use sdk::Exporter;

use crate::signal::{LogRecord, MetricPoint, Signal, Span};
use crate::store::Store;
use crate::telemetry::Telemetry;
use bytes::Bytes;
use reading::Reading;
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
    /// Returns its name, as paths have it.
    fn name(self) -> &'static str {
        match self {
            Kind::Traces => "traces",
            Kind::Logs => "logs",
            Kind::Metrics => "metrics",
        }
    }

    /// Returns the name of the field that carries records in JSON.
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
        Self::read_whole(Some(kind), encoding, body)
    }

    /// Reads a request in JSON that says itself what it carries, as each line of what the Collector's file exporter writes.
    ///
    /// # Errors
    /// As [`read`](Request::read); also if it carries nothing that is known.
    pub fn read_json(body: &[u8]) -> Result<Self, OtlpError> {
        Self::read_whole(None, Encoding::Json, body)
    }

    fn read_whole(kind: Option<Kind>, encoding: Encoding, body: &[u8]) -> Result<Self, OtlpError> {
        let mut whole = Request::default();
        let mut deliver = |part: Request| {
            join(&mut whole.spans, part.spans);
            join(&mut whole.logs, part.logs);
            join(&mut whole.points, part.points);
            whole.rejected.merge(&part.rejected);
        };
        match (encoding, kind) {
            (Encoding::Protobuf, Some(kind)) => {
                let body = Bytes::copy_from_slice(body);
                read(kind, &body, usize::MAX, None, Rejected::default(), &mut deliver)?;
            }
            _ => read_json(kind, body, usize::MAX, None, &mut deliver)?,
        }
        Ok(whole)
    }

    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.spans.len() + self.logs.len() + self.points.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Appends records; the first are not moved.
fn join<T>(all: &mut Vec<T>, some: Vec<T>) {
    if all.is_empty() { *all = some } else { all.extend(some) }
}

/// What is done with the records of a request, a part of them at a time.
type Deliver<'a> = &'a mut dyn FnMut(Request);

fn read(
    kind: Kind,
    body: &Bytes,
    largest: usize,
    known: Option<&Known>,
    rejected: Rejected,
    deliver: Deliver<'_>,
) -> Result<(), OtlpError> {
    let wrong = |what: String| OtlpError { encoding: Encoding::Protobuf, what };
    is_countable(body).map_err(wrong)?;
    let mut reading = Reading::new(body.clone(), largest, known, deliver);
    reading.rejected = rejected;
    protobuf::read(kind, body, &mut reading).map_err(wrong)?;
    reading.finish();
    Ok(())
}

/// The same of a request in JSON, which is written anew as protobuf first; one of no kind says itself what it carries.
fn read_json(
    kind: Option<Kind>,
    body: &[u8],
    largest: usize,
    known: Option<&Known>,
    deliver: Deliver<'_>,
) -> Result<(), OtlpError> {
    let wrong = |what: String| OtlpError { encoding: Encoding::Json, what };
    is_countable(body).map_err(wrong)?;
    let json::Read { requests, mut rejected } = json::read(kind, body).map_err(wrong)?;
    for (kind, request) in requests {
        let request = Bytes::from(request.into_boxed_slice());
        read(kind, &request, largest, known, std::mem::take(&mut rejected), deliver)?;
    }
    if !rejected.is_empty() {
        deliver(Request { rejected, ..Request::default() });
    }
    Ok(())
}

fn is_countable(body: &[u8]) -> Result<(), String> {
    u32::try_from(body.len()).map(|_| ()).map_err(|_| "it has 4 GiB or more".to_owned())
}

impl Telemetry {
    /// Takes a request as it came: in protobuf, its records stay ranges of its bytes. O(bytes). It may wait for room, as
    /// [`Store::push_batch`] does.
    ///
    /// Every record is checked completely first. A request between 4 and 256 KiB is kept without copying it, if at least four
    /// fifths of it are records, as long as one of its records is. Of others, the records' bytes are copied, in pieces of at
    /// most 256 KiB, so that no record keeps more than that. JSON is written anew as protobuf.
    ///
    /// Each record that is stored counts its own bytes ([`heap_bytes`](Signal::heap_bytes)); what encloses them counts once, as
    /// long as one of them is held. Of a piece whose oldest records were evicted, their bytes are held and no longer counted:
    /// at most 256 KiB for each shard, unless somebody else holds its records. A `Vec` or a buffer with room to spare holds
    /// more than its length, and that is not counted either: give a boxed slice where that matters.
    ///
    /// A record that is larger than [`max_record_bytes`](crate::Builder::max_record_bytes) is rejected; a resource, a scope or a
    /// metric that is larger, with its records.
    ///
    /// ```
    /// use slipring::otlp::{Encoding, Kind};
    /// use slipring::{Span, Telemetry};
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// let span = Span::builder().trace_id(7).span_id(7).name("GET /").build();
    /// let body = slipring::otlp::write([&span], Encoding::Protobuf);
    /// let rejected = telemetry.ingest(Kind::Traces, Encoding::Protobuf, body)?;
    /// assert!(rejected.is_empty());
    /// assert_eq!(telemetry.traces().query().collect()?.records, [span]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Request::read`]; then nothing was taken.
    pub fn ingest(&self, kind: Kind, encoding: Encoding, body: impl Into<Bytes>) -> Result<Rejected, OtlpError> {
        let mut all = Rejected::default();
        let mut deliver = |request: Request| all.merge(&self.take(request));
        let largest = match kind {
            Kind::Traces => self.traces().largest_record(),
            Kind::Logs => self.logs().largest_record(),
            Kind::Metrics => self.metrics().largest_record(),
        };
        let (body, known) = (body.into(), Some(self.known(kind)));
        match encoding {
            Encoding::Protobuf => read(kind, &body, largest, known, Rejected::default(), &mut deliver)?,
            Encoding::Json => read_json(Some(kind), &body, largest, known, &mut deliver)?,
        }
        Ok(all)
    }

    /// Takes a request that is borrowed: as [`ingest`](Telemetry::ingest), after copying it.
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
        self.ingest(kind, encoding, Bytes::copy_from_slice(body))
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
    if records.is_empty() {
        return;
    }
    if let Err(error) = store.push_batch(records) {
        // Of several reasons the last one is told; statistics have them all.
        rejected.add(error.rejected.len() as u64, &error.reason.to_string());
    }
}
