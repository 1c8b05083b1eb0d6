//! JSON, as the protocol maps its messages to it: names in lower camel case, ids in hexadecimal digits, numbers of kinds as numbers,
//! and otherwise what protobuf's own mapping says: 64-bit numbers as strings, bytes in base64, `"NaN"` and `"Infinity"`.
//!
//! By hand, because the derived mapping of `opentelemetry-proto` (0.33) takes no NaN, no infinity, no number for a string or the
//! other way round except in some fields, and one bad field costs the whole request.

mod bare;
mod container;
mod message;
mod read;
mod record;
mod scalar;
mod schema;
mod surrogates;
mod visit;
mod write;

pub(super) use read::{Read, read};
pub(super) use write::{log, metric, of_resource, of_scope, request, span};
