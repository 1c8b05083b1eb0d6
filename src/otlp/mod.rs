//! OpenTelemetry's protocol (OTLP): reads export requests into records, and writes records as
//! export requests.
//!
//! To read a request, `protobuf` scans it in place. `records` checks each record on its own,
//! completely. `drafts` encodes what encloses the records, and `known` looks up whether the same
//! resource or scope was seen before. The records remain ranges of the request's bytes (`reading`).
//! A request in JSON is first rewritten as a request in protobuf (`json`). A malformed record costs
//! only itself.
//!
//! To write a request, `requests` groups records by what they share, and copies the bytes of each
//! record unchanged.
//!
//! Missing and invalid fields are treated as follows. A log record without a severity has no key in
//! the index by severity. A record without a `service.name` is found under `unknown_service`, which
//! is never written out. A log record without a time uses the time at which it was observed. A span
//! needs a trace id and a span id, of the right length and not all zero. Invalid ids of a log
//! record are left out. Kinds, status codes and temporalities with numbers that the protocol does
//! not define become unspecified.
//!
//! A request that is delivered twice is stored twice, because the store keeps what it is sent.
//! [`Store::trace`] returns each span once, and reports how many were duplicates.
//!
//! [`Store::trace`]: crate::Store::trace

mod decoded;
mod drafts;
mod gzip;
mod json;
mod kind;
mod known;
mod protobuf;
mod read;
mod reader;
mod reading;
mod record_bytes;
mod records;
mod rejected;
mod request;
mod requests;

#[cfg(feature = "opentelemetry")]
pub use crate::telemetry::Exporter;
pub use gzip::{GunzipError, gunzip};
pub use kind::{Encoding, Kind, OtlpError};
pub(crate) use known::Known;
/// The protocol's own messages, from the crate `opentelemetry-proto`. The `to_proto` methods of
/// records return them.
pub use opentelemetry_proto::tonic as proto;
pub(crate) use read::{read, read_in_place, read_json};
pub use reader::Reader;
pub use rejected::Rejected;
pub use request::Request;
pub use requests::{Exported, encode};
