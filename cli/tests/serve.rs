//! `slipring serve`, from outside: what it takes, what it refuses and how, what it answers, and how
//! it stops.

mod support;

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use slipring::otlp::{Encoding, Kind, Request, encode};
use slipring::span::StatusCode;
use slipring::{LogRecord, Resource, Scope, Severity, Source, Span, TraceId};
use std::io::{BufRead, BufReader, Read, Write};
use std::time::{Duration, Instant};
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

fn log(body: &str, severity: Severity) -> Vec<u8> {
    encode([&LogRecord::builder().body(body).severity(severity).build()], Encoding::Protobuf)
}

/// Until one request is.
fn wait_until_under_way(server: &Server) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !server.get("/metrics").text().contains("slipring_requests_in_flight 1") {
        assert!(Instant::now() < deadline, "no request is under way");
        std::thread::sleep(Duration::from_millis(5));
    }
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

#[test]
fn an_overload_is_answered_by_come_back_later() {
    let server =
        Server::start(&["--max-in-flight", "1000", "--max-body", "1000", "--timeout", "5"]);
    let body = log(&"hello".repeat(130), Severity::INFO);
    let mut slow = server.connect();
    let most = body.len() - 1;
    slow.write_all(&request(
        "POST",
        "/v1/logs",
        &[("content-type", PROTOBUF)],
        &body[..most],
        body.len(),
    ))
    .unwrap();
    wait_until_under_way(&server);
    // What it has sent is read, and counted, a moment later.
    std::thread::sleep(Duration::from_millis(200));
    let refused = server.post("/v1/logs", PROTOBUF, &body);
    assert_eq!(refused.status, 503, "{refused}");
    assert!(refused.head.contains("retry-after: 1"), "{refused}");
    assert_eq!(server.get("/api/stats").status, 200, "questions are answered meanwhile");
    slow.write_all(&body[most..]).unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).unwrap();
    assert_eq!(parse(&answer).status, 200);
    assert_eq!(server.post("/v1/logs", PROTOBUF, &body).status, 200);
}

#[test]
fn a_request_under_way_is_finished_before_it_stops() {
    let server = Server::start(&[]);
    let body = encode(&spans(8), Encoding::Protobuf);
    let mut slow = server.connect();
    slow.write_all(&request(
        "POST",
        "/v1/traces",
        &[("content-type", PROTOBUF)],
        &body[..20],
        body.len(),
    ))
    .unwrap();
    wait_until_under_way(&server);
    let stopping = std::thread::spawn(move || server.stop());
    std::thread::sleep(Duration::from_millis(200));
    slow.write_all(&body[20..]).unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).unwrap();
    assert_eq!(parse(&answer).status, 200);
    let (well, log) = stopping.join().unwrap();
    assert!(well, "{log}");
    assert!(log.contains("8 spans"), "{log}");
}

#[test]
fn a_tail_shows_what_comes_in_and_what_was_asked_for() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/api/tail/logs?colour=red").status, 400);
    assert_eq!(server.get("/api/tail/logs?limit=3").status, 400);
    let mut tail = server.connect();
    tail.write_all(b"GET /api/tail/logs?min_severity=error HTTP/1.1\r\nhost: test\r\n\r\n")
        .unwrap();
    let mut lines = BufReader::new(tail).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("200 OK"));
    lines.by_ref().find(String::is_empty);
    for (body, severity) in
        [("before", Severity::INFO), ("first", Severity::ERROR), ("second", Severity::FATAL)]
    {
        assert_eq!(server.post("/v1/logs", PROTOBUF, &log(body, severity)).status, 200);
    }
    let events: Vec<serde_json::Value> = lines
        .filter_map(|line| Some(serde_json::from_str(line.strip_prefix("data: ")?).unwrap()))
        .take(2)
        .collect();
    assert_eq!(events[0]["body"], "first");
    assert_eq!(events[1]["body"], "second");
    let (well, log) = server.stop();
    assert!(well, "a tail does not keep it: {log}");
}

#[test]
fn a_noisy_service_has_its_share_and_the_others_keep_their_spans() {
    let server = Server::start(&["--traces", "1000", "--shards", "1", "--service-share", "20"]);
    let of = |service: &str, count: u64| {
        let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
        let span = |id: u64| Span::builder().source(&source).trace_id(7).span_id(id).build();
        (1..=count).map(span).collect::<Vec<_>>()
    };
    server.post("/v1/traces", PROTOBUF, &encode(&of("quiet", 100), Encoding::Protobuf));
    for _ in 0..10 {
        server.post("/v1/traces", PROTOBUF, &encode(&of("noisy", 1_000), Encoding::Protobuf));
    }
    let count =
        |question: &str| server.ask(&format!("/api/count/spans?{question}"))["count"].as_u64();
    assert_eq!(count("service=quiet"), Some(100));
    assert!(count("service=noisy") <= Some(200));
    let stats = server.ask("/api/stats");
    assert_eq!(stats["traces"]["shares"]["keys"], 2, "{stats}");
    assert_eq!(stats["traces"]["class"]["capacity"], 50, "{stats}");
    let figures = server.get("/metrics").text();
    let diverted = "slipring_share_records_total{signal=\"span\",reason=\"share\"} 98";
    assert!(figures.contains(diverted), "{figures}");

    let told = |arguments: &[&str]| {
        let mut tried = std::process::Command::new(support::SLIPRING);
        let tried = tried.arg("serve").args(arguments).output().unwrap();
        (tried.status.code(), String::from_utf8_lossy(&tried.stderr).into_owned())
    };
    let (code, said) = told(&["--service-share", "20", "--error-share", "10"]);
    assert!(code == Some(2) && said.contains("cannot be used with"), "{said}");
    let (code, said) = told(&["--traces", "3", "--service-share", "20"]);
    assert!(code == Some(3) && said.contains("that are 4 records at least"), "{said}");
}
