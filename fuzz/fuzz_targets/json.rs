//! Text as OTLP requests in JSON: nothing panics, and what was read is written and read back equal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slipring::otlp::{Encoding, Request};

#[allow(dead_code, reason = "shared by several targets")]
#[path = "../src/requests.rs"]
mod requests;

fuzz_target!(|input: &[u8]| {
    // As `replay` reads a line, of which nobody has said what it is.
    let _ = Request::read_json(input.get(1..).unwrap_or_default());
    requests::read_and_write(Encoding::Json, input);
});
