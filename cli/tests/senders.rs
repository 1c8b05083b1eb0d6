//! Senders that others refuse or mislead: to the wrong port, in other packings, from pages, under
//! sloppy paths, in wrong shapes.

mod support;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::json;
use slipring::otlp::{Encoding, encode};
use slipring::{LogRecord, Span};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use support::{Answer, SLIPRING, Server, parse, request};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

fn span() -> Span {
    Span::builder().trace_id(7).span_id(8).name("work").build()
}

fn figure(server: &Server, name: &str) -> u64 {
    let text = server.get("/metrics").text();
    let line =
        text.lines().find_map(|line| line.strip_prefix(name).filter(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name}: {text}")).trim().parse::<f64>().unwrap() as u64
}

const REFUSED: &str = "slipring_requests_total{outcome=\"refused\"}";

fn raw(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    parse(&answer)
}

#[test]
fn the_port_of_grpc_answers_http_with_415_and_names_the_other() {
    let server = Server::start(&[]);
    let body = encode([&span()], Encoding::Protobuf);
    let cases = [
        ("POST", "/v1/traces", PROTOBUF),
        ("POST", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", PROTOBUF),
        (
            "POST",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            "application/grpc-web",
        ),
        ("GET", "/", ""),
    ];
    for (method, path, kind) in cases {
        let answer =
            raw(server.grpc, &request(method, path, &[("content-type", kind)], &body, body.len()));
        assert_eq!(answer.status, 415, "{path}: {answer}");
        assert!(!answer.head.contains("grpc-status"), "{answer}");
        assert!(answer.text().contains(&format!("port {}", server.http.port())), "{answer}");
    }
    assert_eq!(figure(&server, REFUSED), cases.len() as u64);
    let wrong_port = server.post(
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        "application/grpc",
        b"",
    );
    assert!(wrong_port.head.contains("grpc-status: 12"), "{wrong_port}");
    assert!(wrong_port.head.contains(&server.grpc.port().to_string()), "{wrong_port}");
    let (_, log) = server.stop();
    assert!(
        log.contains("refused a request from 127.0.0.1:") && log.contains("OTLP/gRPC only"),
        "{log}"
    );
}

#[test]
fn each_packing_that_clients_use_is_read() {
    let server = Server::start(&["--max-body", "100k"]);
    let body = encode([&span()], Encoding::Protobuf);
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut deflate = ZlibEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(&body).unwrap();
    let deflate = deflate.finish().unwrap();
    let zstd = zstd::encode_all(&body[..], 3).unwrap();
    let cases = [
        ("gzip", gzip(&body)),
        ("x-gzip", gzip(&body)),
        ("gzip, identity", gzip(&body)),
        ("identity", body.clone()),
        ("deflate", deflate),
        ("zstd", zstd.clone()),
        ("zstd, gzip", gzip(&zstd)),
    ];
    for (coding, packed) in &cases {
        let headers = [("content-type", PROTOBUF), ("content-encoding", coding)];
        let answer = server.send("POST", "/v1/traces", &headers, packed);
        assert_eq!(answer.status, 200, "{coding}: {answer}");
    }
    assert_eq!(server.ask("/api/count/spans")["count"], cases.len());
    let bomb = zstd::encode_all(&vec![0; 50 << 20][..], 3).unwrap();
    let headers = [("content-type", PROTOBUF), ("content-encoding", "zstd")];
    assert_eq!(server.send("POST", "/v1/traces", &headers, &bomb).status, 413);
}

#[test]
fn sloppy_paths_are_taken() {
    let server = Server::start(&[]);
    let body = encode([&span()], Encoding::Protobuf);
    let paths = ["/v1/traces/", "//v1/traces", "/v1/traces/v1/traces", "/v1/logs/v1/traces"];
    for path in paths {
        assert_eq!(server.post(path, PROTOBUF, &body).status, 200, "{path}");
    }
    assert_eq!(server.ask("/api/count/spans/")["count"], paths.len());
    assert_eq!(server.post("/v1", PROTOBUF, &body).status, 404);
}

#[test]
fn what_nobody_looks_for_is_told_in_partial_success_and_counted() {
    let server = Server::start(&[]);
    let spans = String::from_utf8(encode([&span(), &span()], Encoding::Json)).unwrap();
    let logs = String::from_utf8(encode([&LogRecord::default()], Encoding::Json)).unwrap();
    let snake = spans.replace("resourceSpans", "resource_spans");
    let snake_inside = spans.replace("scopeSpans", "scope_spans");
    let snake_logs = logs.replace("logRecords", "log_records");
    let bare_spans = r#"{"spans":[{},{}]}"#.to_owned();
    let swapped = r#"{"resourceLogs":[{"scopeLogs":[{"spans":[{},{}]}]}]}"#.to_owned();
    let snake_fields = spans.replace("traceId", "trace_id");
    let cases = [
        ("/v1/logs", &spans, "rejectedLogRecords", 2, "/v1/traces"),
        ("/v1/metrics", &spans, "rejectedDataPoints", 2, "/v1/traces"),
        ("/v1/traces", &logs, "rejectedSpans", 1, "/v1/logs"),
        ("/v1/traces", &snake, "rejectedSpans", 2, "resourceSpans"),
        ("/v1/traces", &snake_inside, "rejectedSpans", 2, "scopeSpans"),
        ("/v1/logs", &snake_logs, "rejectedLogRecords", 1, "logRecords"),
        ("/v1/traces", &bare_spans, "rejectedSpans", 2, "resourceSpans.scopeSpans"),
        ("/v1/logs", &swapped, "rejectedLogRecords", 2, "resourceSpans.scopeSpans"),
        ("/v1/traces", &snake_fields, "rejectedSpans", 2, "traceId"),
    ];
    let mut all = 0;
    for (path, body, name, records, words) in cases {
        let answer = server.post(path, JSON, body.as_bytes());
        let partial = &answer.json()["partialSuccess"];
        assert_eq!(
            (answer.status, &partial[name]),
            (200, &json!(records.to_string())),
            "{path}: {answer}"
        );
        assert!(partial["errorMessage"].as_str().unwrap().contains(words), "{path}: {answer}");
        all += records;
    }
    let protobuf = server.post("/v1/logs", PROTOBUF, &encode([&span()], Encoding::Protobuf));
    assert!(!protobuf.body.is_empty(), "a partial success");
    assert_eq!(figure(&server, "slipring_requests_rejected_records_total"), all + 1);
    let (_, log) = server.stop();
    assert!(log.contains("refused records from 127.0.0.1:"), "{log}");
}

#[test]
fn pages_may_ask_if_they_are_let_and_foreign_names_are_refused_else() {
    let closed = Server::start(&["--allow-host", "otel.example.com"]);
    let ask = |server: &Server, host: &str, headers: &str| {
        let request = format!(
            "GET /api/stats HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n"
        );
        parse(&server.raw(request.as_bytes()))
    };
    for host in ["localhost:4318", "127.0.0.1", "[::1]:4318", "slipring", "otel.example.com:80"] {
        assert_eq!(ask(&closed, host, "").status, 200, "{host}");
    }
    let refused = ask(&closed, "evil.example:4318", "");
    assert_eq!(refused.status, 403, "{refused}");
    assert!(refused.text().contains("--allow-host evil.example"), "{refused}");
    assert_eq!(figure(&closed, REFUSED), 1);
    let origin = "origin: http://localhost:3000\r\n";
    assert!(!ask(&closed, "localhost", origin).head.contains("access-control-allow-origin"));

    let open = Server::start(&["--cors", "loopback", "https://ui.example.com"]);
    let answer = ask(&open, "anything.example", origin);
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("access-control-allow-origin: http://localhost:3000"), "{answer}");
    assert!(
        !ask(&open, "localhost", "origin: https://evil.example\r\n").head.contains("allow-origin")
    );
    let headers = [
        ("origin", "https://ui.example.com"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,content-encoding"),
    ];
    let preflight = open.send("OPTIONS", "/v1/traces", &headers, b"");
    assert_eq!(preflight.status, 200, "{preflight}");
    let head = preflight.head.to_ascii_lowercase();
    for words in [
        "allow-origin: https://ui.example.com",
        "allow-methods: get,post",
        "content-type,content-encoding",
    ] {
        assert!(head.contains(words), "{words}: {head}");
    }
}

#[test]
fn questions_are_asked_in_bodies_too() {
    let server = Server::start(&[]);
    let span = |code: i64| span().to_builder().attribute("http.status_code", code).build();
    let body = encode([&span(200), &span(404), &span(503)], Encoding::Protobuf);
    assert_eq!(server.post("/v1/traces", PROTOBUF, &body).status, 200);
    for (query, count) in [
        ("attribute=http.status_code.ge.500", 1),
        ("attribute=http.status_code%3E=400", 2),
        ("attribute=http.status_code>=400", 2),
        ("attribute=\"http.status_code\"<400", 1),
        ("attribute=http.status_code!=200", 2),
        ("attribute=http.status_code~5*", 1),
        ("name~=w*", 3),
        ("name!=work", 0),
        ("trace=7", 3),
        ("attribute=!http.status_code", 0),
    ] {
        assert_eq!(server.ask(&format!("/api/count/spans?{query}"))["count"], count, "{query}");
    }
    let ask = |body: &str| server.post("/api/count/spans", JSON, body.as_bytes());
    assert_eq!(
        ask(r#"{"attribute": ["http.status_code>=400", "http.status_code<500"]}"#).json()["count"],
        1
    );
    assert_eq!(ask(r#"{"name": ["work", "play"], "limit": 1}"#).status, 400, "as in a URL");
    assert!(ask("[1]").text().contains("JSON object"));
    assert!(ask(r#"{"name": {"like": "w*"}}"#).text().contains("name: give a text"));
    assert_eq!(ask(&" ".repeat(100_000)).status, 400);
}

#[test]
fn the_process_tells_of_itself() {
    let server = Server::start(&[]);
    assert!(figure(&server, "process_resident_memory_bytes") > 1 << 20);
    assert!(
        figure(&server, "process_open_fds") > 3
            && figure(&server, "process_start_time_seconds") > 1_600_000_000
    );
    assert!(
        server.get("/metrics").text().contains(&format!(
            "slipring_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        ))
    );
}

/// What it says when it does not start.
fn fails(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new(SLIPRING)
        .arg("serve")
        .args(arguments)
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn flags_are_read_as_people_write_them_or_refused_with_advice() {
    let text = fails(&["--max-body", "0"], &[]);
    assert!(text.contains("at least 1"), "{text}");
    let text = fails(&[], &[("SLIPRING_HTTP", "nonsense:x")]);
    assert!(text.contains("variable SLIPRING_HTTP") && text.contains("localhost:4318"), "{text}");
    let text = fails(&[], &[("SLIPRING_LOG", "loud")]);
    assert!(text.contains("SLIPRING_LOG=loud") && text.contains("target=level"), "{text}");
    let text = fails(&["--traces", "1000G"], &[]);
    assert!(text.contains("this machine has"), "{text}");
    let text = fails(&["--cors", "ui.example.com"], &[]);
    assert!(text.contains("loopback"), "{text}");

    // Empty variables are none.
    let mut child = Command::new(SLIPRING)
        .args([
            "serve",
            "--grpc",
            "localhost:0",
            "--http",
            "0",
            "--max-age",
            "15m",
            "--max-bytes",
            "64M",
            "--traces",
            "1k",
        ])
        .envs([
            ("SLIPRING_TRACES", ""),
            ("SLIPRING_MAX_BODY", ""),
            ("SLIPRING_CORS", ""),
            ("SLIPRING_LOG", ""),
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let found =
        lines.by_ref().map_while(Result::ok).find(|line| line.contains("OTLP/gRPC on 127.0.0.1:"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(found.is_some(), "it does not start");
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_can_not_be_written_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(SLIPRING).arg("help").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let help = Command::new(SLIPRING).arg("--help").output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("Exit status"));
}
