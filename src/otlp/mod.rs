//! OpenTelemetry's protocol: export requests to records, and records to export requests.
//!
//! The way in: a request is gone through where it lies (`protobuf`), each record is checked by
//! itself, completely (`records`), what encloses records is found once (`drafts`, `known`), and the
//! records stay ranges of the request's bytes (`reading`). JSON is written anew as a request in
//! protobuf first (`json`). One that is malformed costs only itself.
//!
//! The way out: records are put under what they share again, as the bytes that they are
//! (`requests`).
//!
//! What a field means where nothing is said: no severity is none, and no index has the record under
//! one; without a `service.name` a record is found under `unknown_service`, which is never written
//! out; a log record without a time is taken to be of the time at which it was observed. A span
//! needs a trace id and a span id, of the right length and not all zero; a log record's ids that
//! are none are left out. Kinds, status codes and temporalities with numbers that the protocol does
//! not know become unspecified.
//!
//! A request that is delivered twice is stored twice: the store keeps what it is sent.
//! [`Store::trace`] shows each span once, and says how many came again.
//!
//! [`Store::trace`]: crate::Store::trace

mod decoded;
mod drafts;
mod gzip;
mod json;
mod kind;
mod known;
mod lies;
mod protobuf;
mod read;
mod reading;
mod records;
mod rejected;
mod request;
mod requests;

#[cfg(feature = "opentelemetry")]
pub use crate::telemetry::Exporter;
pub use gzip::{GunzipError, gunzip};
pub use kind::{Encoding, Kind, OtlpError};
pub(crate) use known::Known;
/// The protocol's own messages, of the crate `opentelemetry-proto`: what `to_proto` of a record
/// returns.
pub use opentelemetry_proto::tonic as proto;
pub(crate) use read::{read, read_json};
pub use rejected::Rejected;
pub use request::Request;
pub use requests::{Exported, write};
