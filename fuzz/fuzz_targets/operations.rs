//! Any sequence of calls on any small store, against the reference model of the property tests.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the property test uses more of it")]
#[path = "../../tests/model/mod.rs"]
mod model;

use model::{Operation, Pair, Shape};

fuzz_target!(|input: (Shape, Vec<Operation>)| {
    let (shape, operations) = input;
    let mut pair = Pair::new(shape);
    for operation in operations.into_iter().take(400) {
        pair.apply(operation);
        pair.compare();
    }
    pair.finish();
});
