//! Takes OTLP over gRPC and HTTP, for `serve` and for `sample`: ports, limits, guards, and what the
//! protocol says of answers.
//!
//! Nothing here knows what becomes of the records. An [`Intake`] hands each message to whoever made
//! it.

pub mod address;
mod arguments;
mod budget;
mod counts;
mod door;
mod exposed;
mod figures;
mod grpc;
mod guard;
mod headers;
mod intake;
mod line;
pub mod listen;
pub mod log;
mod otlp;
mod own;
mod peer;
mod process;
mod reflection;
mod refusal;
mod serving;
pub mod signals;
mod socket;
mod timed;
pub mod tls;
pub mod token;
mod unpack;
mod warnings;

pub use arguments::Receiving;
pub use door::{Access, routes as over_http, sender};
pub use figures::{Figures, labels};
pub use grpc::routes as over_grpc;
pub use guard::Guard;
pub use intake::{About, Bounds, Intake};
pub use refusal::Refusal;
pub use serving::Listening;
