//! Each view of a record, held against prost's decoding of the same bytes, field by field: no
//! difference, and nothing panics. The records are those of a request, or the input is one record.

#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::{logs::v1 as logs, metrics::v1 as metrics, trace::v1 as trace};
use prost::Message;
use slipring::otlp::{Encoding, Kind, Request};

#[allow(dead_code, reason = "shared by several targets")]
#[path = "../src/requests.rs"]
mod requests;
#[path = "../../tests/support/views.rs"]
mod views;

fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    prost::encoding::bytes::encode(number, &bytes.to_vec(), &mut written);
    written
}

/// What prost refuses is refused, and what is taken means what prost makes of it.
fn one<M: Message + Default + std::fmt::Debug>(kind: Kind, tag: u32, record: &[u8]) {
    let inner = if tag == 0 { record.to_vec() } else { field(tag, &field(1, record)) };
    let body = field(1, &field(2, &field(2, &inner)));
    let request = Request::read(kind, Encoding::Protobuf, &body).expect("it is one");
    let bytes = request
        .spans
        .iter()
        .map(|span| span.bytes())
        .chain(request.logs.iter().map(|log| log.bytes()));
    for bytes in bytes.chain(request.points.iter().map(|point| point.bytes())) {
        let (given, kept) =
            (M::decode(record).expect("it was taken"), M::decode(bytes).expect("it was checked"));
        assert_eq!(format!("{given:?}"), format!("{kept:?}"));
    }
    views::same_records(kind, &body);
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, body)) = requests::kind_and_body(input) else { return };
    views::same_records(kind, body);
    match input[0] / 3 % 8 {
        0 => one::<trace::Span>(Kind::Traces, 0, body),
        1 => one::<logs::LogRecord>(Kind::Logs, 0, body),
        2 => one::<metrics::NumberDataPoint>(Kind::Metrics, 5, body),
        3 => one::<metrics::HistogramDataPoint>(Kind::Metrics, 9, body),
        4 => one::<metrics::ExponentialHistogramDataPoint>(Kind::Metrics, 10, body),
        5 => one::<metrics::SummaryDataPoint>(Kind::Metrics, 11, body),
        _ => {}
    }
});
