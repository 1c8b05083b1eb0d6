//! Bytes as OTLP requests in protobuf: nothing panics, and what was read is written and read back
//! equal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slipring::otlp::{Encoding, gunzip};

#[allow(dead_code, reason = "shared by several targets")]
#[path = "../src/requests.rs"]
mod requests;

fuzz_target!(|input: &[u8]| {
    let _ = gunzip(input, 1 << 20);
    requests::read_and_write(Encoding::Protobuf, input);
});
