//! Protobuf's wire format, as far as OTLP needs it.
//!
//! Bytes from outside are checked once, completely, against the schema of their message (`check`).
//! A message in which a field that should be there once comes twice is rewritten (`regular`). What
//! has passed is read in place (`read`), by code that cannot fail: it would only see fewer fields.
//! Our own bytes are written field by field (`write`).
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
pub(crate) use check::{Checked, Wrong, check};
#[cfg(feature = "otlp")]
pub(crate) use elements::{Element, Elements};
pub(crate) use read::{Field, Fields, Raw, field_of};
#[cfg(feature = "otlp")]
pub(crate) use regular::regular;
pub(crate) use write::Writer;
