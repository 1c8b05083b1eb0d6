//! `slipring serve`, from outside: what it takes, what it refuses and how, what it answers, and how
//! it stops.

mod support;

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use slipring::otlp::{Encoding, Kind, Request, encode};
use slipring::span::StatusCode;
use slipring::{Resource, Scope, Source, Span, TraceId};
use std::io::{Read, Write};
use support::{Server, parse, request};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

fn spans(count: u64) -> Vec<Span> {
    let source = Source::new(&Resource::new([("service.name", "cart")]), &Scope::default());
    let span = |number: u64| {
        Span::builder()
            .source(&source)
            .trace_id(u128::from(number / 4 + 1))
            .span_id(number + 1)
            .parent_span_id((!number.is_multiple_of(4)).then(|| (number / 4 * 4 + 1).into()))
            .name(format!("step {}", number % 4))
            .start_unix_nanos(1_700_000_000_000_000_000 + number)
            .end_unix_nanos(1_700_000_000_000_000_000 + number + 1_000 * (number % 4))
            .status(if number % 10 == 9 { StatusCode::Error } else { StatusCode::Unset }, "")
            .build()
    };
    (0..count).map(span).collect()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_goes_in_is_found_and_comes_out_equal() {
    let server = Server::start(&[]);
    let spans = spans(100);
    for (number, span) in spans.chunks(25).enumerate() {
        let (encoding, kind) =
            if number % 2 == 0 { (Encoding::Protobuf, PROTOBUF) } else { (Encoding::Json, JSON) };
        let body = encode(span, encoding);
        let answer = if number < 2 {
            server.post("/v1/traces", kind, &body)
        } else {
            server.send(
                "POST",
                "/v1/traces",
                &[("content-type", kind), ("content-encoding", "gzip")],
                &packed(&body),
            )
        };
        assert_eq!(answer.status, 200, "{answer}");
        assert!(answer.head.contains(kind), "{answer}");
        assert_eq!(answer.body, if kind == JSON { &b"{}"[..] } else { b"" });
    }
    let out = server.get("/api/spans?limit=1000&order=oldest&format=otlp");
    let mut back = Request::read(Kind::Traces, Encoding::Json, &out.body).unwrap().spans;
    back.sort_by_key(|span| span.span_id());
    assert_eq!(back, spans);

    assert_eq!(
        server.ask("/api/count/spans?service=cart&name=step%201&name=step%202")["count"],
        50
    );
    assert_eq!(server.ask("/api/count/spans?status=error&min_duration=3us")["count"], 5);
    assert_eq!(
        server.ask("/api/count/spans?since=1700000000000000010&until=1700000000000000019")["count"],
        10
    );
    assert_eq!(server.ask("/api/count/spans?attribute=resource:service.name~c?rt")["count"], 100);
    let trace = server.ask("/api/traces/00000000000000000000000000000003");
    assert_eq!(trace["spans"].as_array().unwrap().len(), 4);
    assert_eq!(trace["summary"]["root_name"], "step 0");
    let slowest = server.ask("/api/traces?order=slowest&limit=3");
    assert_eq!(slowest["traces"].as_array().unwrap().len(), 3);
    assert_eq!(
        server.ask("/api/services")["services"],
        json!([{ "service": "cart", "spans": 100, "logs": 0, "metrics": 0 }])
    );
    assert_eq!(server.ask("/api/keys/spans/name")["keys"].as_array().unwrap().len(), 4);
    assert_eq!(server.ask("/api/stats")["traces"]["span_count"], 100);
    let services = &server.ask("/api/graph")["services"];
    assert_eq!(
        services,
        &serde_json::json!([{ "service": "cart", "kind": "service", "spans": 100, "errors": 10 }])
    );
    assert!(server.ask("/api/audit")["records"].as_u64() >= Some(100));
    assert!(server.get("/metrics").text().contains("\nslipring_records{signal=\"span\"} 100\n"));
    assert_eq!(["/healthz", "/readyz"].map(|path| server.get(path).status), [200, 200]);
}

#[test]
fn traces_beyond_the_limit_are_said_to_be_there() {
    let server = Server::start(&[]);
    let traces = (1..=3)
        .map(|number| spans(1).remove(0).to_builder().trace_id(TraceId::from(number)).build());
    let body = encode(&traces.collect::<Vec<_>>(), Encoding::Protobuf);
    assert_eq!(server.post("/v1/traces", PROTOBUF, &body).status, 200);
    for (limit, shown, more) in [(2, 2, true), (3, 3, false)] {
        let answer = server.ask(&format!("/api/traces?limit={limit}"));
        assert_eq!(
            (answer["traces"].as_array().unwrap().len(), &answer["more"]),
            (shown, &json!(more)),
            "{answer}"
        );
    }
}

#[test]
fn pages_follow_each_other() {
    let server = Server::start(&[]);
    assert_eq!(
        server.post("/v1/traces", PROTOBUF, &encode(&spans(100), Encoding::Protobuf)).status,
        200
    );
    let (mut found, mut path) = (Vec::new(), "/api/spans?limit=30&order=earliest".to_owned());
    loop {
        let page = server.ask(&path);
        let records = page["spans"].as_array().unwrap();
        found.extend(
            records
                .iter()
                .map(|span| span["start_unix_nanos"].as_str().unwrap().parse::<u64>().unwrap()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/spans?limit=30&after={next}");
    }
    assert!(found.into_iter().eq((0..100).map(|number| 1_700_000_000_000_000_000 + number)));
}

/// Bad requests and what they are answered with: status, and words of the message.
#[test]
fn bad_requests_are_answered_as_they_should_be() {
    let server = Server::start(&["--max-body", "100000", "--timeout", "1"]);
    let good = encode(&spans(4), Encoding::Protobuf);
    let json = [("content-type", JSON)];
    let protobuf = [("content-type", PROTOBUF)];
    let gzip = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    let large = vec![b' '; 100_001];
    let bomb = packed(&vec![0; 50 << 20]);
    assert!(bomb.len() < 100_000);
    /// Name, method, path, headers, body; status and words of the answer.
    type Case<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);
    let cases: &[Case<'_>] = &[
        ("no content type", "POST", "/v1/traces", &[], &good, 415, "send application/x-protobuf"),
        (
            "a form",
            "POST",
            "/v1/traces",
            &[("content-type", "text/plain")],
            &good,
            415,
            "text/plain",
        ),
        (
            "another packing",
            "POST",
            "/v1/traces",
            &[("content-type", JSON), ("content-encoding", "br")],
            &good,
            415,
            "br",
        ),
        ("no gzip", "POST", "/v1/traces", &gzip, &good, 400, "no gzip"),
        ("damaged gzip", "POST", "/v1/traces", &gzip, &packed(&good)[..40], 400, "damaged"),
        ("a gzip bomb", "POST", "/v1/traces", &gzip, &bomb, 413, "smaller batches"),
        ("too large", "POST", "/v1/logs", &json, &large, 413, "more than 100000 bytes"),
        (
            "truncated protobuf",
            "POST",
            "/v1/traces",
            &protobuf,
            &good[..good.len() - 2],
            400,
            "buffer underflow",
        ),
        (
            "JSON as protobuf",
            "POST",
            "/v1/traces",
            &protobuf,
            b"{\"resourceSpans\":[]}",
            400,
            "protobuf",
        ),
        ("protobuf as JSON", "POST", "/v1/traces", &json, &good, 400, "JSON"),
        ("truncated JSON", "POST", "/v1/metrics", &json, b"{\"resourceMetrics\":[", 400, "EOF"),
        ("a list", "POST", "/v1/metrics", &json, b"[1]", 400, "JSON"),
        ("an empty request", "POST", "/v1/metrics", &protobuf, b"", 200, ""),
        ("an empty object", "POST", "/v1/metrics", &json, b"{}", 200, "{}"),
        (
            "charset",
            "POST",
            "/v1/logs",
            &[("content-type", "application/json; charset=utf-8")],
            b"{}",
            200,
            "",
        ),
        ("a GET", "GET", "/v1/traces", &json, b"", 405, ""),
        ("another path", "POST", "/v1/profiles", &json, b"{}", 404, "/v1/profiles"),
        ("another version", "POST", "/v2/traces", &json, b"{}", 404, ""),
        ("a question that is none", "GET", "/api/colours", &[], b"", 404, "GET /api lists"),
        (
            "an unknown parameter",
            "GET",
            "/api/spans?colour=red",
            &[],
            b"",
            400,
            "no parameter colour",
        ),
        (
            "a parameter of another signal",
            "GET",
            "/api/logs?status=error",
            &[],
            b"",
            400,
            "no parameter status",
        ),
        (
            "a trace id that is none",
            "GET",
            "/api/spans?trace=12x",
            &[],
            b"",
            400,
            "no hexadecimal digit",
        ),
        (
            "a limit of keys",
            "GET",
            "/api/keys/spans/name?limit=1",
            &[],
            b"",
            400,
            "no parameter limit",
        ),
        (
            "a colour of services",
            "GET",
            "/api/services?colour=red",
            &[],
            b"",
            400,
            "no parameter colour",
        ),
        ("pages of traces", "GET", "/api/traces?after=abc", &[], b"", 400, "no parameter after"),
        ("series as OTLP", "GET", "/api/series?format=otlp", &[], b"", 400, "no parameter format"),
        (
            "a limit of a count",
            "GET",
            "/api/count/spans?limit=1",
            &[],
            b"",
            400,
            "no parameter limit",
        ),
        ("a limit of a graph", "GET", "/api/graph?limit=1", &[], b"", 400, "no parameter limit"),
        (
            "an order of a tail",
            "GET",
            "/api/tail/logs?order=oldest",
            &[],
            b"",
            400,
            "no parameter order",
        ),
        ("a limit of 0", "GET", "/api/spans?limit=0", &[], b"", 400, "from 1 to 10000"),
        (
            "a limit beyond bounds",
            "GET",
            "/api/spans?limit=1000000",
            &[],
            b"",
            400,
            "from 1 to 10000",
        ),
        ("a time that is none", "GET", "/api/spans?since=soon", &[], b"", 400, "since=soon"),
        (
            "a range the wrong way round",
            "GET",
            "/api/spans?since=2026-01-02&until=2026-01-01",
            &[],
            b"",
            400,
            "ends before it starts",
        ),
        ("a pattern that is none", "GET", "/api/logs?body=a%5Cb", &[], b"", 400, "backslash"),
        ("a severity that is none", "GET", "/api/logs?min_severity=loud", &[], b"", 400, "WARN"),
        ("a cursor that is none", "GET", "/api/spans?after=abc", &[], b"", 400, "`next`"),
        (
            "percent signs that are no UTF-8",
            "GET",
            "/api/spans?service=%FF",
            &[],
            b"",
            200,
            "\"spans\":[]",
        ),
        (
            "an order that is none",
            "GET",
            "/api/traces?order=best",
            &[],
            b"",
            400,
            "newest or slowest",
        ),
        ("a format that is none", "GET", "/api/spans?format=xml", &[], b"", 400, "json or otlp"),
        (
            "a trace that is not there",
            "GET",
            "/api/traces/00000000000000000000000000000077",
            &[],
            b"",
            404,
            "nothing is here",
        ),
        (
            "a trace id in a path that is none",
            "GET",
            "/api/traces/xyz",
            &[],
            b"",
            400,
            "hexadecimal",
        ),
        ("an index that is none", "GET", "/api/keys/spans/colour", &[], b"", 400, "no index"),
        (
            "a signal that is none",
            "GET",
            "/api/keys/profiles/name",
            &[],
            b"",
            404,
            "no signal profiles",
        ),
    ];
    for (name, method, path, headers, body, status, words) in cases {
        let answer = server.send(method, path, headers, body);
        assert_eq!(answer.status, *status, "{name}: {answer}");
        assert!(answer.text().contains(words), "{name}: {answer}");
    }
    // Some records of a request are none.
    let some = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"x"},{}]}]}]}"#;
    let answer = server.send("POST", "/v1/logs", &json, some);
    assert_eq!(
        (answer.status, &answer.json()["partialSuccess"]["rejectedLogRecords"]),
        (200, &json!("1")),
        "{answer}"
    );

    // Senders that are slow, lie about their length, or break off.
    let mut slow = server.connect();
    slow.write_all(&request("POST", "/v1/traces", &protobuf, &good[..10], good.len())).unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).unwrap();
    assert_eq!(parse(&answer).status, 408);
    let mut half = server.connect();
    half.write_all(b"POST /v1/traces HTT").unwrap();
    answer.clear();
    half.read_to_end(&mut answer).unwrap();
    drop(server.connect());
    let mut broken = server.connect();
    broken.write_all(&request("POST", "/v1/traces", &protobuf, &good[..10], good.len())).unwrap();
    drop(broken);
    let garbage = server.raw(b"\x16\x03\x01\x02\x00 no HTTP at all\r\n\r\n");
    assert!(garbage.is_empty() || parse(&garbage).status == 400);
    let long = format!(
        "GET /api/spans?service={} HTTP/1.1\r\nconnection: close\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let mut stream = server.connect();
    let _ = stream.write_all(long.as_bytes());

    // After all of it a good request still works, and everything is in order.
    assert_eq!(server.post("/v1/traces", PROTOBUF, &good).status, 200);
    assert_eq!(server.ask("/api/count/spans")["count"], 4);
    assert!(server.get("/api/audit").status == 200);
    let (well, log) = server.stop();
    assert!(well, "{log}");
    assert!(
        log.contains("4 spans, 1 log record, 0 metric points") && !log.contains('\x1b'),
        "{log}"
    );
}
