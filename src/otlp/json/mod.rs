//! OTLP's JSON encoding: names in lower camel case, ids as hexadecimal digits, enums as numbers.
//! Otherwise it follows protobuf's JSON mapping: 64-bit numbers as strings, bytes in base64,
//! `"NaN"` and `"Infinity"`.
//!
//! It is implemented by hand, because the derived mapping of `opentelemetry-proto` (0.33) is too
//! strict. It accepts no NaN and no infinity, accepts a number in place of a string or the reverse
//! in some fields only, and refuses the whole request for one bad field.
//!
//! To read a request, the parser's events (`visit`) are written as protobuf, driven by tables of
//! the messages' fields (`schema`, `message`). The messages between a request and its records are
//! followed one by one, so that a malformed one costs only its own records (`container`, `record`).
//! The parser is `serde_json`. Parsers that use SIMD were tried behind the same visitors: `replay`
//! of the corpus ran at 187 MB/s with `sonic-rs` 0.5, 169 with `simd-json` 0.17 and 164 with
//! `serde_json` (medians of nine alternating rounds on two shared cores; the best rounds ran at
//! 251, 222 and 234). The previous design, which built a tree of values for each record, ran at 89.
//! A parser that only skips the text runs at 612, so a faster parser alone gains little.

mod bare;
mod container;
mod counted;
mod message;
mod place;
mod read;
mod record;
mod scalar;
mod schema;
mod surrogates;
mod visit;
mod write;

pub(super) use read::{Read, read};
pub(super) use write::{log, metric, request, resource_container, scope_container, span};
