//! A server with a small store and a kept trace, and records to send to it.

use super::Server;
use serde_json::Value;
use slipring::metric::{Exemplar, Metric, MetricKind, Number};
use slipring::otlp::{Encoding, Exported, encode};
use slipring::span::{SpanKind, StatusCode};
use slipring::{LogRecord, MetricPoint, Resource, Scope, Source, Span, SpanId, TraceId};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PROTOBUF: &str = "application/x-protobuf";

pub const CONFIG: &str = r#"
quiet = "20ms"

[[policy]]
name = "errors"
rule = "error"
"#;

pub fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A server that holds a hundred records of each signal.
pub fn start(name: &str, config: &str, more: &[&str]) -> Server {
    let file = file(name, config);
    let small = ["--traces", "100", "--logs", "100", "--metrics", "100", "--shards", "1"];
    Server::start(&[&small[..], &["--keep", file.to_str().unwrap()], more].concat())
}

fn source() -> Source {
    Source::new(&Resource::new([("service.name", "cart")]), &Scope::default())
}

const BEGAN: u64 = 1_769_860_800_000_000_000;

pub fn span(trace: u128, id: u64) -> Span {
    let at = BEGAN + trace as u64 * 1_000_000 + id * 1_000;
    Span::builder()
        .source(&source())
        .trace_id(trace)
        .span_id(id)
        .parent_span_id((id > 1).then_some(SpanId::from(1)))
        .name(format!("step {id}"))
        .start_unix_nanos(at)
        .end_unix_nanos(at + 500)
        .status(if trace < 10 && id == 2 { StatusCode::Error } else { StatusCode::Unset }, "")
        .build()
}

pub fn log(trace: u128, number: u64) -> LogRecord {
    let body = format!("log {number}");
    let log = LogRecord::builder().source(&source()).trace_id(trace).body(&*body);
    log.time_unix_nanos(BEGAN + number).build()
}

pub fn point(trace: u128) -> MetricPoint {
    let exemplar = Exemplar {
        trace_id: Some(TraceId::from(trace)),
        value: Some(Number::Int(7)),
        ..Exemplar::default()
    };
    let metric = source().with_metric(&Metric::new("sold", MetricKind::Gauge));
    MetricPoint::builder().source(&metric).value(trace as i64).exemplar(&exemplar).build()
}

pub fn send<T: Exported>(server: &Server, path: &str, records: &[T]) {
    let answer = server.post(path, PROTOBUF, &encode(records, Encoding::Protobuf));
    assert_eq!(answer.status, 200, "{answer}");
}

pub fn send_spans(server: &Server, trace: u128, ids: std::ops::RangeInclusive<u64>) {
    send(server, "/v1/traces", &ids.map(|id| span(trace, id)).collect::<Vec<_>>());
}

/// Waits until `/metrics` says so.
pub fn wait_for(server: &Server, figure: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let figures = server.get("/metrics").text();
        if figures.lines().any(|line| line == figure) {
            return;
        }
        assert!(Instant::now() < deadline, "not {figure}:\n{figures}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Fills the stores with other records.
pub fn flood(server: &Server) {
    for trace in [1_000, 2_000] {
        send(server, "/v1/traces", &(0..100).map(|one| span(trace + one, 1)).collect::<Vec<_>>());
        let logs: Vec<_> = (0..100).map(|one| log(trace, 1_000_000 + one)).collect();
        send(server, "/v1/logs", &logs);
        let points: Vec<_> = (0..100).map(|one| point(trace + one)).collect();
        send(server, "/v1/metrics", &points);
    }
}

pub fn count(list: &Value) -> usize {
    list.as_array().unwrap_or_else(|| panic!("{list}")).len()
}

pub const SEVEN: &str = "00000000000000000000000000000007";

/// A server with a kept trace of five spans, two log records and an exemplar.
pub fn with_seven(name: &str, more: &[&str]) -> Server {
    let server = start(name, CONFIG, more);
    send(&server, "/v1/logs", &[log(7, 1), log(7, 2)]);
    send(&server, "/v1/metrics", &[point(7)]);
    send_spans(&server, 7, 1..=5);
    wait_for(&server, "slipring_kept_records{signal=\"metric\"} 1");
    server
}

/// The spans of a failed call from one service to another.
pub fn call(trace: u128, from: &str, to: &str) -> [Span; 2] {
    let of = |service: &str, id: u64, kind| {
        let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
        let span = Span::builder().source(&source).trace_id(trace).span_id(id).kind(kind);
        let span = span.parent_span_id((id > 1).then_some(SpanId::from(1))).name("call");
        let span = span.start_unix_nanos(BEGAN + id).end_unix_nanos(BEGAN + 90);
        span.status(StatusCode::Error, "").build()
    };
    [of(from, 1, SpanKind::Client), of(to, 2, SpanKind::Server)]
}
