//! Records come back out of files, byte for byte, with all that was around them.

#[path = "../../tests/support/corpus.rs"]
mod corpus;
mod support;

use proptest::prelude::*;
use slipring::metric::{Metric, MetricKind, PointValue};
use slipring::otlp::{Encoding, Kind, Request};
use slipring::{
    LogRecord, MetricPoint, Resource, Scope, Severity, Source, Span, SpanId, TraceId, Value,
};
use slipring_archive::{Archive, Recalled};
use support::{in_memory, manual, patient, push, whole};

/// All times.
const ALWAYS: std::ops::Range<u64> = 0..u64::MAX;

/// Sends records through stores of ten records, and into files, and reads them back.
fn through_files(sent: &Request) -> Recalled {
    let telemetry = manual(10);
    let archive = Archive::start(&telemetry, in_memory(), &patient()).unwrap();
    push(telemetry.traces(), sent.spans.iter().cloned());
    push(telemetry.logs(), sent.logs.iter().cloned());
    push(telemetry.metrics(), sent.points.iter().cloned());
    let files = archive.files().clone();
    let stats = archive.finish().unwrap();
    assert_eq!((stats.written, stats.lost.total()), (sent.len() as u64, 0), "{stats:?}");
    assert_eq!(stats.evicted + stats.drained, sent.len() as u64);
    let mut found = files.spans(ALWAYS).unwrap();
    let (logs, points) = (files.logs(ALWAYS).unwrap(), files.points(ALWAYS).unwrap());
    for report in [&found.report, &logs.report, &points.report] {
        assert!(report.complete && report.failed == 0 && report.unreadable == 0, "{report:?}");
    }
    (found.logs, found.points) = (logs.logs, points.points);
    found
}

#[track_caller]
fn assert_same(sent: &Request, found: &Recalled) {
    assert!(whole(&sent.spans) == whole(&found.spans), "spans differ");
    assert!(whole(&sent.logs) == whole(&found.logs), "logs differ");
    assert!(whole(&sent.points) == whole(&found.points), "points differ");
}

fn add(all: &mut Request, request: Request) {
    all.spans.extend(request.spans);
    all.logs.extend(request.logs);
    all.points.extend(request.points);
}

#[test]
fn the_shops_telemetry_comes_back() {
    let mut shop = shop::Shop::new(7);
    let mut sent = Request::default();
    while sent.spans.len() < 1_000 {
        let shop::Request { spans, logs } = shop.request();
        sent.spans.extend(spans);
        sent.logs.extend(logs);
    }
    sent.points.extend(shop.metrics());
    let kinds: std::collections::HashSet<_> =
        sent.points.iter().map(|point| point.metric().kind().name()).collect();
    assert_eq!(kinds.len(), 5, "all types of metrics: {kinds:?}");
    assert_same(&sent, &through_files(&sent));
}

#[test]
fn real_telemetry_comes_back() {
    let mut sent = Request::default();
    for (name, lines) in [
        ("shop_traces", 20),
        ("train_traces", 20),
        ("shop_logs", 20),
        ("train_logs", 20),
        ("shop_metrics", 10),
    ] {
        let Some(file) = corpus::read(&format!("otlp/{name}.jsonl")) else { return };
        let some = file.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).take(lines);
        some.for_each(|line| add(&mut sent, Request::read_json(line).unwrap()));
    }
    let mut read = Request::default();
    // As most senders send it.
    for (kind, body) in [
        (Kind::Traces, slipring::otlp::encode(&sent.spans, Encoding::Protobuf)),
        (Kind::Logs, slipring::otlp::encode(&sent.logs, Encoding::Protobuf)),
        (Kind::Metrics, slipring::otlp::encode(&sent.points, Encoding::Protobuf)),
    ] {
        add(&mut read, Request::read(kind, Encoding::Protobuf, &body).unwrap());
    }
    assert!(read.len() > 1_000);
    assert_same(&read, &through_files(&read));
}

/// A field of a message: its number, with a length, and what it has.
fn field(number: u8, payload: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, payload.len() as u8], payload].concat()
}

#[test]
fn fields_that_the_protocol_does_not_know_come_back() {
    let unknown = [0xfa, 0x3f, 1, 7];
    let ids = [field(1, &[1; 16]), field(2, &[2; 8])].concat();
    let span = field(2, &[&ids[..], &unknown].concat());
    let empty_time = [0x39, 0, 0, 0, 0, 0, 0, 0, 0];
    let other = field(2, &[&ids[..], &empty_time, &unknown, &unknown].concat());
    let scope = [field(1, &[field(1, b"lib"), unknown.to_vec()].concat()), span, other];
    let scope = [&scope.concat()[..], &unknown].concat();
    let resource = [field(1, &unknown), field(2, &scope), unknown.to_vec()].concat();
    let body = field(1, &resource);
    let sent = Request::read(Kind::Traces, Encoding::Protobuf, &body).unwrap();
    assert_eq!((sent.spans.len(), sent.rejected.is_empty()), (2, true));
    let found = through_files(&sent);
    assert_same(&sent, &found);
    assert_eq!(slipring::otlp::encode(&found.spans, Encoding::Protobuf), body);
}

#[test]
fn odd_times_ids_and_values_come_back() {
    let mut sent = Request::default();
    for nanos in [0, 1, 1 << 62, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        let span = Span::builder().trace_id(nanos as u128 + 1).span_id(3).start_unix_nanos(nanos);
        sent.spans.push(span.clone().end_unix_nanos(nanos.wrapping_sub(5)).build());
        sent.spans.push(span.end_unix_nanos(nanos.saturating_add(5)).build());
        let log = LogRecord::builder().observed_unix_nanos(nanos).severity(Severity(-7));
        sent.logs.push(log.clone().body(&Value::Int(5)).build());
        sent.logs.push(log.clone().body("").build());
        sent.logs.push(log.body("hello\n\0").time_unix_nanos(nanos / 2).build());
        let gauge = Source::default().with_metric(&Metric::new("g", MetricKind::Gauge));
        for value in [
            PointValue::Empty,
            PointValue::Int(i64::MIN),
            PointValue::Int((1 << 53) + 1),
            PointValue::Int(0),
            PointValue::Double(-0.0),
            PointValue::Double(f64::NAN),
            PointValue::Double(f64::from_bits(0x7ff0_0000_0000_0001)),
            PointValue::Double(f64::NEG_INFINITY),
        ] {
            let point = MetricPoint::builder().source(&gauge).time_unix_nanos(nanos);
            sent.points.push(point.start_unix_nanos(nanos / 3).value(value).build());
        }
    }
    assert_same(&sent, &through_files(&sent));
}

#[test]
fn a_span_that_the_protocol_does_not_allow_is_a_row_and_is_counted() {
    let telemetry = manual(10);
    let archive = Archive::start(&telemetry, in_memory(), &patient()).unwrap();
    push(telemetry.traces(), [Span::builder().name("by hand").build()]);
    let files = archive.files().clone();
    assert_eq!(archive.finish().unwrap().written, 1);
    let found = files.spans(ALWAYS).unwrap();
    assert_eq!((found.spans.len(), found.report.unreadable), (0, 1));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Empty),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..4).prop_map(|some| Value::Bytes(some.into())),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec(("[a-c]", inner), 0..3)
                .prop_map(|map| Value::Map(map.into_iter().collect())),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<(String, Value)>> {
    proptest::collection::vec(("[a-d]{0,2}", values()), 0..5)
}

fn sources() -> impl Strategy<Value = Source> {
    (attributes(), attributes(), "[a-b]?").prop_map(|(resource, scope, name)| {
        let attributes = scope.into_iter().collect();
        let scope = Scope { name: name.into(), attributes, ..Scope::default() };
        Source::new(
            &Resource::new(resource.into_iter().collect::<slipring::attribute::Attributes>()),
            &scope,
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn any_records_come_back(
        rows in proptest::collection::vec(
            (sources(), 1..u128::MAX, 1..u64::MAX, any::<u64>(), attributes(), values()),
            1..40,
        ),
    ) {
        let mut sent = Request::default();
        for (source, trace, span, nanos, attributes, value) in rows {
            let mut one = Span::builder().source(&source).trace_id(TraceId::from(trace));
            let mut log = LogRecord::builder().source(&source).time_unix_nanos(nanos).body(&value);
            for (name, value) in &attributes {
                one = one.attribute(name.as_str(), value);
                log = log.attribute(name.as_str(), value);
            }
            let one = one.span_id(SpanId::from(span)).start_unix_nanos(nanos);
            sent.spans.push(one.end_unix_nanos(nanos ^ 0xffff).build());
            sent.logs.push(log.build());
        }
        assert_same(&sent, &through_files(&sent));
    }
}
