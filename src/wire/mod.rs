//! The subset of protobuf's wire format that OTLP needs.
//!
//! Untrusted bytes are checked once, completely, against the schema of their message (`check`). If
//! a field that should occur once occurs twice, the message is rewritten (`regular`). Checked bytes
//! are read in place by code that cannot fail (`read`): on damaged bytes it would only return fewer
//! fields. The crate's own messages are written field by field (`write`).
//!
//! The wire format: <https://protobuf.dev/programming-guides/encoding/>.

#[cfg(feature = "otlp")]
mod check;
pub(crate) mod depth;
#[cfg(feature = "otlp")]
mod elements;
mod read;
#[cfg(feature = "otlp")]
mod regular;
#[cfg(feature = "otlp")]
pub(crate) mod schema;
mod write;

#[cfg(feature = "otlp")]
pub(crate) use check::{Checked, WireError, check};
#[cfg(feature = "otlp")]
pub(crate) use elements::{Element, Elements};
pub(crate) use read::{Field, Fields, Raw, field_of};
#[cfg(feature = "otlp")]
pub(crate) use regular::regular;
pub(crate) use write::Writer;
