//! `slipring serve` at work: overload, requests under way when it stops, tails, shares.

mod support;

use slipring::otlp::{Encoding, encode};
use slipring::{LogRecord, Resource, Scope, Severity, Source, Span};
use std::io::{BufRead, BufReader, Read, Write};
use std::time::{Duration, Instant};
use support::{Server, parse, request};

const PROTOBUF: &str = "application/x-protobuf";

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
    let spans =
        [1_u64, 2, 3, 4, 5, 6, 7, 8].map(|id| Span::builder().trace_id(7).span_id(id).build());
    let body = encode(&spans, Encoding::Protobuf);
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
