//! Protobuf's wire format, as far as OTLP needs it.
//!
//! Bytes from outside are checked once, completely, against the schema of their message (`check`). What has passed is read
//! in place (`read`), by code that cannot fail: it would only see fewer fields. Our own bytes are written field by field
//! (`write`).
//!
//! The wire format: <https://protobuf.dev/programming-guides/encoding/>.

#[cfg(feature = "otlp")]
mod check;
mod read;
#[cfg(feature = "otlp")]
pub(crate) mod schema;
mod write;

#[cfg(feature = "otlp")]
pub(crate) use check::{Checked, DEEPEST, Wrong, check};
#[cfg(feature = "otlp")]
pub(crate) use read::{Element, Elements};
pub(crate) use read::{Field, Fields, Raw, field_of};
pub(crate) use write::Writer;
