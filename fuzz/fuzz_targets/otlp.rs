//! Bytes as OTLP requests of every kind and encoding: nothing panics, and what was read is written and read back equal.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use slipring::otlp::{Encoding, Exported, Kind, Request, gunzip, write};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    kind: u8,
    json: bool,
    body: &'a [u8],
}

fn back<T: Exported>(kind: Kind, records: &[T], of: impl Fn(Request) -> Vec<T>) -> [Vec<T>; 2] {
    [Encoding::Protobuf, Encoding::Json].map(|encoding| {
        let read = Request::read(kind, encoding, &write(records, encoding)).expect("what we write is a request");
        assert!(read.rejected.is_empty(), "{}", read.rejected);
        of(read)
    })
}

/// Records are grouped by what they share; nothing else changes.
fn same<T: PartialEq + std::fmt::Debug>(records: &[T], back: [Vec<T>; 2]) {
    for back in back {
        assert_eq!(records.len(), back.len());
        assert!(records.iter().all(|record| back.contains(record)), "{records:?} came back as {back:?}");
    }
}

fuzz_target!(|input: Input<'_>| {
    let kind = [Kind::Traces, Kind::Logs, Kind::Metrics][usize::from(input.kind % 3)];
    let encoding = if input.json { Encoding::Json } else { Encoding::Protobuf };
    let _ = gunzip(input.body, 1 << 20);
    let _ = Request::read_json(input.body);
    let Ok(request) = Request::read(kind, encoding, input.body) else { return };
    if request.len() > 100 {
        return;
    }
    same(&request.spans, back(Kind::Traces, &request.spans, |read| read.spans));
    same(&request.logs, back(Kind::Logs, &request.logs, |read| read.logs));
    same(&request.points, back(Kind::Metrics, &request.points, |read| read.points));
});
