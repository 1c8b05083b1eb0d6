//! Records keep the bytes that they arrived in. The views of these bytes agree with prost's
//! decoding, the bytes are kept unchanged, and they are freed in time.
#![cfg(feature = "otlp")]

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/views.rs"]
mod views;

use opentelemetry_proto::tonic::{logs::v1 as logs, metrics::v1 as metrics, trace::v1 as trace};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use slipring::otlp::{Encoding, Kind, Request, encode};
use slipring::{LogRecord, Resource, Scope, Severity, Signal, Source, Span, Store, Telemetry};
use std::fmt::Debug;

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    [varint(u64::from(number << 3 | 2)), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// Generates a message of arbitrary fields. Most have numbers that the record defines, with any
/// wire type.
fn soup(depth: u32) -> BoxedStrategy<Vec<u8>> {
    let number = prop_oneof![9 => 1..=17_u32, 1 => 18..100_u32];
    let bytes = prop_oneof![
        "[a-z]{0,6}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..6),
        vec(any::<u8>(), 8),
        vec(any::<u8>(), 16),
        Just(Vec::new()),
        vec(0..4_u8, 1..6),
    ];
    let bytes = if depth == 0 {
        bytes.boxed()
    } else {
        prop_oneof![1 => bytes, 2 => soup(depth - 1)].boxed()
    };
    let one = prop_oneof![
        2 => (number.clone(), prop_oneof![0..5_u64, any::<u64>()])
            .prop_map(|(number, value)| [varint(u64::from(number << 3)), varint(value)].concat()),
        2 => (number.clone(), any::<[u8; 8]>())
            .prop_map(|(number, value)| [varint(u64::from(number << 3 | 1)), value.to_vec()].concat()),
        1 => (number.clone(), any::<[u8; 4]>())
            .prop_map(|(number, value)| [varint(u64::from(number << 3 | 5)), value.to_vec()].concat()),
        8 => (number, bytes).prop_map(|(number, bytes)| field(number, &bytes)),
    ];
    vec(one, 0..5).prop_map(|fields| fields.concat()).boxed()
}

/// A view of a record agrees with prost's decoding, or both refuse the record.
fn same<M: Message + Default + Debug>(kind: Kind, record: &[u8], wrap: impl Fn(&[u8]) -> Vec<u8>) {
    let request = Request::read(kind, Encoding::Protobuf, &wrap(record)).unwrap();
    let known = M::decode(record);
    let taken = request.len() == 1;
    match (&known, taken) {
        (Err(error), true) => panic!("it was taken, though: {error}"),
        (Ok(_), false) => {
            let why = request.rejected.to_string();
            let by_rule = ["Id has", "Id is all zero", "recursion limit", "1 record"]
                .iter()
                .any(|rule| why.contains(rule));
            assert!(by_rule && !why.contains("underflow"), "it was refused: {why}");
        }
        _ => {}
    }
    let bytes = request
        .spans
        .first()
        .map(Span::bytes)
        .or_else(|| request.logs.first().map(LogRecord::bytes));
    if let Some(bytes) = bytes.or_else(|| request.points.first().map(|point| point.bytes())) {
        assert_eq!(format!("{:?}", M::decode(bytes).unwrap()), format!("{:?}", known.unwrap()));
    }
    request.spans.iter().for_each(views::same_span);
    request.logs.iter().for_each(views::same_log);
    request.points.iter().for_each(views::same_metric_point);
    // The record is also written back unchanged.
    let out = match kind {
        Kind::Traces => encode(&request.spans, Encoding::Protobuf),
        Kind::Logs => encode(&request.logs, Encoding::Protobuf),
        _ => encode(&request.points, Encoding::Protobuf),
    };
    let again = Request::read(kind, Encoding::Protobuf, &out).unwrap();
    assert_eq!(
        (again.spans, again.logs, again.points),
        (request.spans, request.logs, request.points)
    );
}

fn in_scope(record: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, record)))
}

fn in_metric(tag: u32) -> impl Fn(&[u8]) -> Vec<u8> {
    move |point| in_scope(&[field(1, b"metric"), field(tag, &field(1, point))].concat())
}

const IDS: [&[u8]; 2] = [&[7; 16], &[7; 8]];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn views_read_what_prost_decodes(record in soup(4)) {
        let span = [field(1, IDS[0]), field(2, IDS[1]), record.clone()].concat();
        same::<trace::Span>(Kind::Traces, &span, in_scope);
        same::<trace::Span>(Kind::Traces, &record, in_scope);
        same::<logs::LogRecord>(Kind::Logs, &record, in_scope);
        same::<metrics::NumberDataPoint>(Kind::Metrics, &record, in_metric(5));
        same::<metrics::HistogramDataPoint>(Kind::Metrics, &record, in_metric(9));
        same::<metrics::ExponentialHistogramDataPoint>(Kind::Metrics, &record, in_metric(10));
        same::<metrics::SummaryDataPoint>(Kind::Metrics, &record, in_metric(11));
    }

    #[test]
    fn no_request_makes_the_reader_panic(body in soup(6), kind in 0..3_usize) {
        views::same_records([Kind::Traces, Kind::Logs, Kind::Metrics][kind], &body);
    }
}

/// If no record is rejected, a request is written back byte for byte, including unknown fields.
#[test]
fn requests_are_written_back_byte_for_byte() {
    let unknown = [0xf8, 0x7f, 1];
    let span = [field(1, IDS[0]), field(2, IDS[1]), field(5, b"name"), unknown.to_vec()].concat();
    let resource = [field(1, &field(1, &field(1, b"key"))), field(100, b"new")].concat();
    let scope = [
        field(1, &field(1, b"library")),
        field(2, &span),
        field(2, &span),
        field(3, b"url"),
        field(99, b"x"),
    ];
    let body = field(1, &[resource, field(2, &scope.concat()), field(3, b"url")].concat());
    let request = Request::read(Kind::Traces, Encoding::Protobuf, &body).unwrap();
    assert_eq!(request.spans.len(), 2);
    assert_eq!(encode(&request.spans, Encoding::Protobuf), body);

    let point = [field(7, &field(1, b"key")), vec![0x19, 1, 0, 0, 0, 0, 0, 0, 0], unknown.to_vec()]
        .concat();
    let data =
        [field(1, &point), field(1, &point), vec![0x10, 2, 0x18, 1], field(50, b"new")].concat();
    let metric =
        [field(1, b"name"), field(3, b"By"), field(7, &data), field(12, &field(1, b"key"))]
            .concat();
    let body =
        field(1, &[field(1, b""), field(2, &[field(1, b""), field(2, &metric)].concat())].concat());
    let request = Request::read(Kind::Metrics, Encoding::Protobuf, &body).unwrap();
    assert_eq!(request.points.len(), 2);
    assert_eq!(encode(&request.points, Encoding::Protobuf), body);
}

#[test]
fn the_corpus_is_written_back_byte_for_byte() {
    for (name, kind) in
        [("shop_traces", Kind::Traces), ("shop_logs", Kind::Logs), ("shop_metrics", Kind::Metrics)]
    {
        let Some(text) = corpus::read(&format!("otlp/{name}.jsonl")) else { return };
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).step_by(40) {
            let request = Request::read_json(line).unwrap();
            let out = |request: &Request| match kind {
                Kind::Traces => encode(&request.spans, Encoding::Protobuf),
                Kind::Logs => encode(&request.logs, Encoding::Protobuf),
                _ => encode(&request.points, Encoding::Protobuf),
            };
            let body = out(&request);
            let again = Request::read(kind, Encoding::Protobuf, &body).unwrap();
            assert!(out(&again) == body, "{name}");
            again.spans.iter().for_each(views::same_span);
            again.logs.iter().for_each(views::same_log);
            again.points.iter().for_each(views::same_metric_point);
        }
    }
}

fn source() -> Source {
    Source::new(&Resource::new([("service.name", "cart")]), &Scope::default())
}

/// Returns a request of this many log records, one of which is an error.
fn mostly_well(count: u64) -> Vec<u8> {
    let source = source();
    let log = |number: u64| {
        let severity = if number == count / 2 { Severity::ERROR } else { Severity::INFO };
        LogRecord::builder()
            .source(&source)
            .severity(severity)
            .body("x".repeat(1_000).as_str())
            .build()
    };
    encode(&(0..count).map(log).collect::<Vec<_>>(), Encoding::Protobuf)
}

#[test]
fn a_kept_error_does_not_pin_its_request() {
    let body = bytes::Bytes::from(mostly_well(100));
    let logs = Store::builder().capacity(200).error_class(50).shards(1).manual().build().unwrap();
    let telemetry =
        Telemetry::new(Store::builder().build().unwrap(), logs, Store::builder().build().unwrap());
    let bare = telemetry.logs().stats().data_memory_bytes;
    assert!(telemetry.ingest(Kind::Logs, Encoding::Protobuf, body.clone()).unwrap().is_empty());
    assert!(!body.is_unique(), "the others stay in it");
    (0..2_000).for_each(|_| telemetry.logs().push(LogRecord::default()).map(drop).unwrap());
    while telemetry.logs().step() {}
    assert_eq!(telemetry.logs().query().severity_at_least(Severity::ERROR).count(), Ok(1));
    assert!(body.is_unique(), "the request is still shared");
    let held = telemetry.logs().stats().data_memory_bytes - bare;
    assert!(held < 60_000, "{held}");
}

/// What [`StoreBuilder::max_bytes`](slipring::StoreBuilder::max_bytes) says of a request of which
/// one record is left.
#[test]
fn one_surviving_record_counts_its_own_bytes_and_keeps_its_request() {
    let logs = Store::builder().capacity(150).shards(1).manual().build().unwrap();
    let telemetry =
        Telemetry::new(Store::builder().build().unwrap(), logs, Store::builder().build().unwrap());
    let logs = telemetry.logs();
    let body = bytes::Bytes::from(mostly_well(100));
    telemetry.ingest(Kind::Logs, Encoding::Protobuf, body.clone()).unwrap();
    let push = |count| {
        logs.push_batch(vec![LogRecord::default(); count]).unwrap();
        while logs.step() {}
        logs.stats().data_memory_bytes
    };
    let with_one = push(149);
    assert!(!body.is_unique(), "the record keeps its request");
    let with_none = push(1);
    assert!(body.is_unique());
    let counted = with_one - with_none;
    assert!((1_000..3_000).contains(&counted), "{counted} of {}", body.len());
}

#[test]
fn a_detached_record_is_equal_and_shares_no_bytes() {
    let body = bytes::Bytes::from(mostly_well(100));
    let telemetry = Telemetry::builder().logs(10_000).build().unwrap();
    telemetry.ingest(Kind::Logs, Encoding::Protobuf, body.clone()).unwrap();
    let one = telemetry
        .logs()
        .query()
        .severity_at_least(Severity::ERROR)
        .collect()
        .unwrap()
        .records
        .remove(0);
    let alone = one.detached();
    assert_eq!(alone, one);
    assert_eq!((alone.service(), alone.heap_bytes()), ("cart", one.heap_bytes()));
    drop((one, telemetry));
    assert!(body.is_unique());
    assert_eq!(alone.body().unwrap().as_str().map(str::len), Some(1_000));
}

/// Records from answers, from queries since a bookmark and from the stream of evictions share the
/// bytes of their request. Detached copies do not.
#[test]
fn long_lived_records_can_be_detached() {
    let body = bytes::Bytes::from(mostly_well(100));
    let logs: Store<LogRecord> = Store::builder().capacity(200).shards(1).manual().build().unwrap();
    let evictions = logs.evictions(4_000).unwrap();
    let telemetry =
        Telemetry::new(Store::builder().build().unwrap(), logs, Store::builder().build().unwrap());
    let logs = telemetry.logs();
    let bookmark = logs.bookmark();
    telemetry.ingest(Kind::Logs, Encoding::Protobuf, body.clone()).unwrap();
    let answer = logs.query().collect().unwrap();
    let read = logs.query().since(&bookmark).collect().unwrap();
    (0..2_000).for_each(|_| logs.push(LogRecord::default()).map(drop).unwrap());
    logs.flush().unwrap();
    while logs.step() {}
    let evicted: Vec<LogRecord> =
        std::iter::from_fn(|| evictions.try_recv()).map(|one| one.record).collect();
    let mut copies = Vec::new();
    for held in [answer.records, read.records, evicted] {
        assert!(!body.is_unique(), "records that are held keep their request");
        copies.extend(held.iter().filter(|log| log.body().is_some()).map(LogRecord::detached));
    }
    assert!(body.is_unique(), "copies do not");
    assert_eq!(copies.len(), 300);
}

/// A held record of a long request keeps only a piece of the request.
#[test]
fn no_record_keeps_a_long_request() {
    let body = bytes::Bytes::from(mostly_well(1_000));
    let telemetry = Telemetry::builder().logs(10_000).build().unwrap();
    telemetry.ingest(Kind::Logs, Encoding::Protobuf, body.clone()).unwrap();
    assert!(body.is_unique());
    let logs = telemetry.logs().query().order(slipring::Order::Oldest).collect().unwrap().records;
    assert!(logs == Request::read(Kind::Logs, Encoding::Protobuf, &body).unwrap().logs);
    assert_eq!(encode(&logs, Encoding::Protobuf), body);
}

proptest! {
    /// Wherever the field lies among the others.
    #[test]
    fn another_trace_state_changes_nothing_else(
        order in Just(vec![0, 1, 2, 3, 4]).prop_shuffle(),
        state in prop_oneof![Just(""), Just("vendor=1"), Just("ot=th:c,vendor=1")],
    ) {
        let attribute = [field(1, b"key"), field(2, &field(1, b"value"))].concat();
        let parts = [
            field(3, b"vendor=1"),
            field(5, b"GET /"),
            field(9, &attribute),
            field(11, &field(2, b"event")),
            field(13, &[field(1, &[3; 16]), field(2, &[4; 8])].concat()),
        ];
        let ids = [field(1, &[1; 16]), field(2, &[2; 8])].concat();
        let parts = order.iter().flat_map(|&part: &usize| parts[part].clone());
        let span: Vec<u8> = ids.into_iter().chain(parts).collect();
        let telemetry = Telemetry::builder().build().unwrap();
        telemetry.ingest(Kind::Traces, Encoding::Protobuf, in_scope(&span)).unwrap();
        let spans = telemetry.traces().query().collect().unwrap();
        let (before, after) = (&spans.records[0], spans.records[0].with_trace_state(state));
        prop_assert_eq!(after.trace_state(), state);
        for span in [before, &after] {
            let value = span.attributes().get("key").map(|value| value.to_string());
            prop_assert_eq!(value.as_deref(), Some("value"));
            prop_assert_eq!((span.events().len(), span.links().len(), span.name()), (1, 1, "GET /"));
        }
    }
}

/// A resource that a thousand small requests share is stored once.
#[test]
fn equal_sources_are_recognised() {
    let telemetry = Telemetry::builder().build().unwrap();
    let one =
        encode(&[LogRecord::builder().source(&source()).body("a").build()], Encoding::Protobuf);
    for _ in 0..10 {
        telemetry.ingest(Kind::Logs, Encoding::Protobuf, one.clone()).unwrap();
    }
    let logs = telemetry.logs().query().collect().unwrap();
    assert!(logs.iter().all(|log| log.source().ptr_eq(logs.records[0].source())));
}

#[test]
fn records_that_are_detached_together_keep_nothing_but_what_they_share() {
    let source =
        |name: &str| Source::new(&Resource::new([("service.name", name)]), &Scope::default());
    let sources = [source("cart"), source("ad")];
    let span = |number: u64| {
        let builder = Span::builder().source(&sources[number as usize % 2]);
        builder.trace_id(7).span_id(number).name(format!("GET /{number}")).build()
    };
    let spans: Vec<Span> = (1..=100).map(span).collect();
    let mut together = spans.clone();
    Span::detach_together(&mut together);
    Span::detach_together(&mut []);
    assert_eq!(together, spans);
    for (one, other) in together.iter().zip(&spans) {
        assert_eq!(one.bytes(), other.bytes());
        assert!(one.source().ptr_eq(other.source()));
    }
    let ledger = slipring::Ledger::default();
    together.iter().for_each(|span| slipring::Signal::charge(span, &ledger));
    let shared = sources.iter().map(Source::heap_bytes).sum::<usize>();
    assert!(ledger.bytes() < 3 * shared + 1_000, "one body, two sources: {}", ledger.bytes());
}
