//! Bad OTLP requests: valid records are read, invalid ones are counted with a reason, and nothing
//! else is affected.
#![cfg(feature = "otlp")]

#[path = "otlp_bad/json.rs"]
mod json;

use serde_json::{Value as Json, json};
use slipring::otlp::{Encoding, Kind, Request, encode};
use slipring::span::SpanEvent;
use slipring::{LogRecord, MetricPoint, Span, Store, Telemetry, Value};

/// The expected result of a request: the numbers of read and rejected records, and words of the
/// reason or the error.
#[derive(Debug)]
enum Expected {
    Read { records: usize, rejected: u64, why: &'static str },
    Refused { why: &'static str },
}

use Expected::{Read, Refused};

const TRACE: &str = "5b8efff798038103d269b633813fc60c";
const SPAN: &str = "eee19b7ec3c1b174";

fn good() -> Json {
    json!({ "traceId": TRACE, "spanId": SPAN, "name": "good" })
}

/// Returns a good span with these fields replaced.
fn span(fields: Json) -> Json {
    let mut span = good();
    span.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    span
}

fn spans(spans: &[Json]) -> Vec<u8> {
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] }).to_string().into_bytes()
}

fn logs(logs: &[Json]) -> Vec<u8> {
    json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": logs }] }] }).to_string().into_bytes()
}

fn metrics(metrics: &[Json]) -> Vec<u8> {
    json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": metrics }] }] })
        .to_string()
        .into_bytes()
}

/// Returns a request with a bad span and a good one.
fn beside(bad: Json) -> Vec<u8> {
    spans(&[bad, good()])
}

const fn one_bad(why: &'static str) -> Expected {
    Read { records: 1, rejected: 1, why }
}

const fn fine(records: usize) -> Expected {
    Read { records, rejected: 0, why: "" }
}

/// Encodes a length-delimited field in protobuf.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut written = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        written.push(length as u8 | 0x80);
        length >>= 7;
    }
    written.push(length as u8);
    written.extend(bytes);
    written
}

fn protobuf_cases() -> Vec<(&'static str, Kind, Vec<u8>, Expected)> {
    use Kind::{Logs, Traces};
    let good = Span::builder().trace_id(7).span_id(7).name("good").build();
    let whole = encode([&good], Encoding::Protobuf);
    let (trace, id) = (field(1, &7_u128.to_be_bytes()), field(2, &7_u64.to_be_bytes()));
    let record = [trace.clone(), id.clone(), field(5, b"good")].concat();
    let of_records = |records: &[&[u8]]| {
        let scope: Vec<u8> = records.iter().flat_map(|record| field(2, record)).collect();
        field(1, &field(2, &scope))
    };
    let beside = |bad: Vec<u8>| of_records(&[&bad, &record]);
    let nested = |depth: usize| {
        let inner = (0..depth).fold(vec![0x18, 1], |inner, _| field(5, &field(1, &inner)));
        let attribute = field(9, &[field(1, b"deep"), field(2, &inner)].concat());
        beside([record.clone(), attribute].concat())
    };
    let giant = good
        .to_builder()
        .events(&[SpanEvent { name: "x".repeat(4 << 20).into(), ..SpanEvent::default() }])
        .build();
    vec![
        ("nothing", Traces, vec![], fine(0)),
        ("what we write", Traces, whole.clone(), fine(1)),
        ("by hand", Traces, of_records(&[&record]), fine(1)),
        (
            "truncated",
            Traces,
            whole[..whole.len() - 1].to_vec(),
            Refused { why: "buffer underflow" },
        ),
        (
            "a length beyond the end",
            Traces,
            vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f],
            Refused { why: "" },
        ),
        (
            "a length beyond 64 bits",
            Traces,
            vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            Refused { why: "varint" },
        ),
        ("a field of number 0", Traces, vec![0x02, 0x00], Refused { why: "tag" }),
        ("another wire type", Traces, vec![0x08, 0x01], Refused { why: "wire type" }),
        ("JSON", Traces, br#"{"resourceSpans":[]}"#.to_vec(), Refused { why: "" }),
        (
            "fields that are not known",
            Traces,
            beside([record.clone(), vec![0xf8, 0x7f, 1]].concat()),
            fine(2),
        ),
        (
            "no UTF-8 in a name",
            Traces,
            beside([trace.clone(), id.clone(), field(5, b"\xff")].concat()),
            one_bad("UTF-8"),
        ),
        (
            "a truncated record",
            Traces,
            beside(record[..record.len() - 1].to_vec()),
            one_bad("buffer underflow"),
        ),
        (
            "a wrong type in a record",
            Traces,
            beside([record.clone(), vec![0x28, 1]].concat()),
            one_bad("wire type"),
        ),
        (
            "a trace id too short",
            Traces,
            beside([field(1, &[1, 2]), id.clone()].concat()),
            one_bad("traceId has 2 bytes"),
        ),
        (
            "a span id of zeros",
            Traces,
            beside([trace, field(2, &[0; 8])].concat()),
            one_bad("spanId is all zero"),
        ),
        ("nested twenty deep", Traces, nested(20), fine(2)),
        ("nested a thousand deep", Traces, nested(1_000), one_bad("recursion limit")),
        ("a giant name", Traces, encode([&giant], Encoding::Protobuf), fine(1)),
        (
            "a resource that is none",
            Traces,
            field(1, &[field(1, b"\xff"), field(2, &field(2, &record))].concat()),
            Read { records: 0, rejected: 1, why: "resource: " },
        ),
        ("spans for logs", Logs, of_records(&[&record]), Read { records: 0, rejected: 1, why: "" }),
        ("an empty log", Logs, of_records(&[&[]]), fine(1)),
        (
            "a schema without UTF-8 beside a good resource",
            Traces,
            [
                field(1, &[field(3, b"\xff"), field(2, &field(2, &record))].concat()),
                of_records(&[&record]),
            ]
            .concat(),
            Read { records: 1, rejected: 1, why: "schemaUrl is not valid UTF-8" },
        ),
        (
            "a damaged scope beside a good one",
            Traces,
            field(
                1,
                &[
                    field(2, &[field(2, &record), vec![0x12, 9]].concat()),
                    field(2, &field(2, &record)),
                ]
                .concat(),
            ),
            Read { records: 1, rejected: 1, why: "buffer underflow" },
        ),
        (
            "a metric of three points with a name without UTF-8",
            Kind::Metrics,
            of_records(&[&[
                field(1, b"\xff"),
                field(5, &[field(1, &[]), field(1, &[]), field(1, &[])].concat()),
            ]
            .concat()]),
            Read { records: 0, rejected: 3, why: "UTF-8" },
        ),
        (
            "a sum that says what it is before its points",
            Kind::Metrics,
            of_records(&[&field(
                7,
                &[&[0x10, 2, 0x18, 1][..], &field(1, &[]), &field(1, &[])].concat(),
            )]),
            fine(2),
        ),
    ]
}

#[test]
fn each_bad_request_is_rejected_with_its_reason() {
    let telemetry = Telemetry::builder().build().unwrap();
    let cases = [(Encoding::Json, json::cases()), (Encoding::Protobuf, protobuf_cases())];
    let mut count = 0;
    for (encoding, cases) in cases {
        for (name, kind, body, expected) in cases {
            count += 1;
            match (Request::read(kind, encoding, &body), expected) {
                (Ok(request), Read { records, rejected, why }) => {
                    assert_eq!(
                        (request.len(), request.rejected.records()),
                        (records, rejected),
                        "{name}: {}",
                        request.rejected
                    );
                    assert!(
                        request.rejected.to_string().contains(why),
                        "{name}: {}",
                        request.rejected
                    );
                    assert!(
                        telemetry.ingest_request(request.clone()).records() == rejected,
                        "{name}"
                    );
                }
                (Err(error), Refused { why }) => {
                    assert!(error.to_string().contains(why), "{name}: {error}")
                }
                (found, expected) => panic!("{name}: {found:?} instead of {expected:?}"),
            }
        }
    }
    assert!(count >= 60, "{count} cases");
    telemetry.audit().unwrap();
    let good =
        Request::read(Kind::Logs, Encoding::Json, &logs(&[json!({ "eventName": "after all" })]))
            .unwrap();
    assert!(telemetry.ingest_request(good).is_empty());
    assert_eq!(
        telemetry
            .logs()
            .query()
            .filter(|log: &LogRecord| log.event_name() == "after all")
            .count()
            .unwrap(),
        1
    );
}

#[test]
fn reasons_are_bounded_and_records_are_all_counted() {
    let bad: Vec<Json> =
        (0..100).map(|number| span(json!({ "startTimeUnixNano": format!("t{number}") }))).collect();
    let request = Request::read(Kind::Traces, Encoding::Json, &spans(&bad)).unwrap();
    assert_eq!(request.rejected.records(), 100);
    assert!(request.rejected.reasons().count() <= 8);
    assert!(request.rejected.to_string().ends_with("; and others (92)"), "{}", request.rejected);
    let mut all = request.rejected.clone();
    all.merge(&request.rejected);
    assert_eq!(all.records(), 200);
    assert_eq!(all.reasons().map(|(_, records)| records).sum::<u64>(), 16);
}

/// Values survive a change of encoding: they nest no deeper than both encodings can carry, and
/// doubles keep their bits.
#[test]
fn values_survive_a_change_of_encoding() {
    let nested =
        |depth: u32| (0..depth).fold(Value::Bool(true), |value, _| Value::Array([value].into()));
    for depth in [0, 31, 32, 33, 45, 60] {
        let log = LogRecord::builder().body(&nested(depth)).build();
        let kept = log.body().is_some_and(|body| body == nested(depth));
        assert_eq!(kept, depth <= 32, "a value that nests too deep is left empty: {depth}");
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let read = Request::read(Kind::Logs, encoding, &encode([&log], encoding)).unwrap();
            assert_eq!(read.logs, std::slice::from_ref(&log), "{depth} by {encoding:?}");
        }
    }
    let mut bits = 1_u64;
    for _ in 0..2_000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let double = f64::from_bits(bits);
        let log = LogRecord::builder().body(double).build();
        let back =
            Request::read(Kind::Logs, Encoding::Json, &encode([&log], Encoding::Json)).unwrap();
        assert!(back.logs == [log] || double.is_nan(), "{double}");
    }
}

/// A short request with very many records is delivered in parts, so that its records are never all
/// in memory besides the store.
#[test]
fn many_records_are_taken_as_they_are_read() {
    let body = of_empty_logs(200_000);
    let telemetry = Telemetry::builder().logs(1_000).build().unwrap();
    assert!(telemetry.ingest(Kind::Logs, Encoding::Protobuf, body.clone()).unwrap().is_empty());
    let stats = telemetry.stats().logs;
    assert_eq!((stats.offered, stats.count), (200_000, 1_000));
    let damaged = &body[..body.len() - 1];
    assert!(telemetry.ingest(Kind::Logs, Encoding::Protobuf, damaged.to_vec()).is_err());
    assert_eq!(telemetry.stats().logs.offered, 200_000, "no record of a damaged request is stored");
}

/// A record whose encoding is too large is rejected before it is decoded, because decoding it would
/// take many times its bytes.
#[test]
fn an_encoded_record_that_is_too_large_costs_only_itself() {
    let logs = Store::<LogRecord>::builder().max_record_bytes(10_000).build().unwrap();
    let points = Store::<MetricPoint>::builder().max_record_bytes(10_000).build().unwrap();
    let telemetry = Telemetry::new(Store::builder().build().unwrap(), logs, points);
    let take = |kind, encoding, body: &[u8]| {
        let rejected = telemetry.ingest(kind, encoding, body.to_vec()).unwrap();
        (rejected.records(), rejected.to_string())
    };
    let many = |bytes: &[u8], count| bytes.repeat(count);
    let (good, log) = (field(2, &[]), |empty: usize| field(2, &many(&[0x32, 0], empty)));
    let resource = |empty: usize| field(1, &many(&[0x0a, 0], empty));
    let scope = |empty: usize| field(1, &many(&[0x1a, 0], empty));
    let point = |empty: usize| field(1, &many(&[0x3a, 0], empty));
    let metric = |metadata: usize, points: &[u8]| {
        field(2, &[field(5, points), many(&[0x62, 0], metadata)].concat())
    };
    let of = |resource: Vec<u8>, scope: Vec<u8>, records: Vec<u8>| {
        field(1, &[resource, field(2, &[scope, records].concat())].concat())
    };
    for (kind, body, rejected) in [
        (Kind::Logs, of(vec![], vec![], [log(10_001), good.clone()].concat()), 1),
        (Kind::Logs, of(resource(10_001), vec![], [good.clone(), good.clone()].concat()), 2),
        (Kind::Logs, of(vec![], scope(10_001), [good.clone(), good.clone()].concat()), 2),
        (Kind::Metrics, of(vec![], vec![], metric(0, &[point(10_001), point(0)].concat())), 1),
        (Kind::Metrics, of(vec![], vec![], metric(10_001, &[point(0), point(0)].concat())), 2),
    ] {
        let (records, why) = take(kind, Encoding::Protobuf, &body);
        assert_eq!(records, rejected, "{why}");
        assert!(why.contains("more than 10000 bytes; make it smaller"), "{why}");
    }
    let empty = |count: usize| vec![json!({}); count];
    let (log, of_resource) = (
        |empty: Vec<Json>| json!({ "attributes": empty }),
        |resource: Json, logs: Json| json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": logs }] }] }),
    );
    // The limit applies to the record's bytes in protobuf, not to its text in JSON.
    for (body, rejected) in [
        (of_resource(json!({}), json!([log(empty(5_001)), {}])), 1),
        (of_resource(json!({}), json!([{ "body": { "stringValue": "x".repeat(10_000) } }, {}])), 1),
        (of_resource(json!({ "attributes": [{ "key": "k".repeat(11_000) }] }), json!([{}, {}])), 2),
        (of_resource(log(empty(5_001)), json!([{}, {}])), 2),
    ] {
        let (records, why) = take(Kind::Logs, Encoding::Json, body.to_string().as_bytes());
        assert_eq!(records, rejected, "{why}");
        assert!(why.contains("more than 10000 bytes; make it smaller"), "{why}");
    }
    // Commas within a string do not count, and a record with a long text in JSON may be short in
    // protobuf.
    let text = of_resource(json!({}), json!([{ "body": { "stringValue": "\",:".repeat(3_000) } }]));
    assert_eq!(take(Kind::Logs, Encoding::Json, text.to_string().as_bytes()).0, 0);
    let short = of_resource(json!({}), json!([log(empty(4_900))]));
    assert_eq!(take(Kind::Logs, Encoding::Json, short.to_string().as_bytes()).0, 0);
    // Without a limit, all records are read.
    let body = of_resource(json!({}), json!([log(empty(5_001)), {}])).to_string();
    assert_eq!(Request::read(Kind::Logs, Encoding::Json, body.as_bytes()).unwrap().len(), 2);
    let stats = telemetry.stats();
    assert_eq!((stats.logs.count, stats.metrics.count), (5, 1));
}

fn of_empty_logs(count: usize) -> Vec<u8> {
    field(1, &field(2, &[0x12, 0].repeat(count)))
}

#[test]
fn records_rejected_by_a_store_are_reported_too() {
    let telemetry = Telemetry::builder().build().unwrap();
    telemetry.shutdown().unwrap();
    let mut request =
        Request::read(Kind::Traces, Encoding::Json, &beside(span(json!({ "name": 7 })))).unwrap();
    request.logs.push(LogRecord::default());
    let rejected = telemetry.ingest_request(request);
    assert_eq!(rejected.records(), 3);
    assert!(rejected.to_string().contains("shut down"), "{rejected}");
}
