//! JSON, as the protocol maps its messages to it: names in lower camel case, ids in hexadecimal
//! digits, numbers of kinds as numbers, and otherwise what protobuf's own mapping says: 64-bit
//! numbers as strings, bytes in base64, `"NaN"` and `"Infinity"`.
//!
//! By hand, because the derived mapping of `opentelemetry-proto` (0.33) takes no NaN, no infinity,
//! no number for a string or the other way round except in some fields, and one bad field costs the
//! whole request.
//!
//! The way in: a parser's events (`visit`) are written as protobuf by tables of the messages'
//! fields (`schema`, `message`), and what lies between a request and its records is followed so
//! that what is malformed costs only its records (`container`, `record`). The parser is
//! `serde_json`. Parsers that use SIMD were tried behind the same visitors: `replay` of the corpus
//! took 187 MB/s with `sonic-rs` 0.5, 169 with `simd-json` 0.17 and 164 with `serde_json` (medians
//! of nine alternating rounds on two cores that others used too; the best rounds had 251, 222 and
//! 234). A tree of values for each record, as before, took 89. What is left of a parser that only
//! passes over the text is 612, so a faster parser alone gains little.

mod bare;
mod container;
mod counted;
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
