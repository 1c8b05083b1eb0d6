//! `slipring sample` takes requests as `serve` does: within the same limits, from the same senders,
//! with the same answers.

mod support;

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, logs_service_client::LogsServiceClient,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::tls::{self, Files};
use support::{SLIPRING, Server, parse, request};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

/// A folder of a test's own, with a configuration that keeps everything.
fn config(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sample_doors").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("sample.toml");
    std::fs::write(&file, "[[policy]]\nname = \"all\"\nrule = \"always\"\n").unwrap();
    file
}

/// A sampler before a backend that never answers.
fn sample(name: &str, arguments: &[&str]) -> Server {
    Server::sample(&config(name), "http://127.0.0.1:9", arguments)
}

fn span(id: u8) -> Span {
    Span { trace_id: vec![id; 16], span_id: vec![id; 8], name: "work".into(), ..Span::default() }
}

fn spans(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

fn large(bytes: usize) -> ExportTraceServiceRequest {
    spans(vec![Span { name: "x".repeat(bytes), ..span(1) }])
}

async fn channel(server: &Server) -> Channel {
    Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap()
}

fn assert_figure(server: &Server, name: &str, figure: u64) {
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains(&format!("\nslipring_{name} {figure}\n")), "{name}: {metrics}");
}

/// Waits until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Begins to send a request, and stops in the middle.
fn stalled(server: &Server, sent: usize, length: usize) -> TcpStream {
    let mut stream = server.connect();
    let body = vec![b' '; sent];
    stream.write_all(&request("POST", "/v1/traces", &[PROTOBUF], &body, length)).unwrap();
    stream
}

#[test]
fn senders_that_stall_stop_no_others_and_are_given_up() {
    let server = sample("stalled", &["--timeout", "2"]);
    let mut stalled: Vec<_> = (0..100).map(|_| stalled(&server, 100, 1_000)).collect();
    let in_flight = "slipring_requests_in_flight 100\n";
    until("the stalled ones", || {
        let metrics = server.get("/metrics").text();
        metrics.contains(in_flight) || metrics.contains("{reason=\"too_slow\"} 1")
    });
    // Without a span, which the program would wait for the backend to take when it stops.
    let answer = server.send("POST", "/v1/traces", &[PROTOBUF], b"");
    assert_eq!(answer.status, 200, "{answer}");
    for stream in &mut stalled {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(parse(&answer).status, 408);
    }
    assert_figure(&server, "refused_requests_total{reason=\"too_slow\"}", 100);
    let (_, log) = server.stop();
    let said = log.lines().filter(|line| line.contains("was not complete after 2s")).count();
    assert!((1..50).contains(&said), "{log}");
}

#[tokio::test]
async fn bytes_of_requests_under_way_are_bounded_and_others_are_asked_to_come_back() {
    let limits = ["--max-body", "100000", "--max-in-flight", "100000", "--timeout", "60"];
    let server = sample("budget", &limits);
    let mut client = TraceServiceClient::new(channel(&server).await);
    let body = large(20_000).encode_to_vec();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut slow = Vec::new();
    // Once the bytes of one that stalls have come, there is no room for as many more. Before that it
    // may be the one that is refused.
    loop {
        assert!(Instant::now() < deadline, "there is always room");
        slow.push(stalled(&server, 90_000, 100_000));
        let answer = server.send("POST", "/v1/traces", &[PROTOBUF], &body);
        if answer.status == 503 {
            assert!(answer.head.contains("retry-after: 1"), "{answer}");
            if let Err(refused) = client.export(large(20_000)).await {
                assert_eq!(refused.code(), Code::Unavailable, "{refused}");
                break;
            }
        }
    }
    drop(slow);
    until("room", || server.send("POST", "/v1/traces", &[PROTOBUF], &body).status == 200);
    assert!(server.said().contains("raise --max-in-flight"), "{}", server.said());
}

/// The reason for a refusal, the request's method, path, headers and body, and the answer's status and
/// a part of its text.
type Case<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)], Vec<u8>, u16, &'a str);

#[test]
fn over_http_refusals_have_the_statuses_of_serve_and_are_counted_by_reason() {
    let server = sample("http", &["--max-body", "1000"]);
    let one = spans(vec![span(1)]).encode_to_vec();
    let zstd = |length: usize| zstd::encode_all(&vec![0; length][..], 3).unwrap();
    let cases: [Case<'_>; 9] = [
        ("too_large", "POST", "/v1/traces", &[PROTOBUF], vec![0; 1_001], 413, "smaller batches"),
        (
            "too_large",
            "POST",
            "/v1/traces",
            &[PROTOBUF, ("content-encoding", "zstd")],
            zstd(50_000),
            413,
            "1000 bytes",
        ),
        ("malformed", "POST", "/v1/traces", &[PROTOBUF], b"no protobuf".to_vec(), 400, "protobuf"),
        ("malformed", "POST", "/v1/traces", &[JSON], b"{".to_vec(), 400, "JSON"),
        (
            "unsupported",
            "POST",
            "/v1/traces",
            &[("content-type", "text/plain")],
            one.clone(),
            415,
            "application/x-protobuf or application/json",
        ),
        (
            "unsupported",
            "POST",
            "/v1/traces",
            &[PROTOBUF, ("content-encoding", "br")],
            one.clone(),
            415,
            "gzip, deflate, zstd",
        ),
        ("unsupported", "GET", "/v1/traces", &[], vec![], 405, "telemetry comes by POST"),
        (
            "unsupported",
            "POST",
            "/v1/trace",
            &[PROTOBUF],
            one.clone(),
            404,
            "OTLP goes to /v1/traces",
        ),
        (
            "foreign",
            "POST",
            "/v1/traces",
            &[PROTOBUF, ("host", "evil.example")],
            one.clone(),
            403,
            "--allow-host",
        ),
    ];
    for (reason, method, path, headers, body, status, what) in &cases {
        let answer = server.send(method, path, headers, body);
        assert_eq!(answer.status, *status, "{reason}: {answer}");
        assert!(answer.text().contains(what), "{what}: {answer}");
    }
    for (reason, count) in [("too_large", 2), ("malformed", 2), ("unsupported", 4), ("foreign", 1)]
    {
        assert_figure(&server, &format!("refused_requests_total{{reason=\"{reason}\"}}"), count);
    }
    assert_figure(&server, "requests_total{outcome=\"refused\"}", 9);
    // Of each kind once in ten seconds.
    until("the warnings", || {
        server.said().matches("refused a request from 127.0.0.1:").count() >= 4
    });
    assert_eq!(server.get("/healthz").text() + &server.get("/readyz").text(), "ok\nok\n");
}

#[test]
fn over_http_what_is_packed_in_json_or_empty_is_taken_and_rejected_spans_are_told() {
    let server = sample("packed", &[]);
    let one = spans(vec![span(1)]).encode_to_vec();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&one).unwrap();
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(&one).unwrap();
    for (coding, body) in [
        ("gzip", gzip.finish().unwrap()),
        ("deflate", deflate.finish().unwrap()),
        ("zstd", zstd::encode_all(&one[..], 3).unwrap()),
        ("identity", vec![]),
    ] {
        let headers = [PROTOBUF, ("content-encoding", coding)];
        let answer = server.send("POST", "/v1/traces", &headers, &body);
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{coding}: {answer}");
        assert!(answer.head.contains("application/x-protobuf"), "{answer}");
    }
    let json = br#"{"resourceSpans": [{"scopeSpans": [{"spans": [
        {"traceId": "00000000000000000000000000000000", "spanId": "eee19b7ec3c1b174", "name": "a"},
        {"traceId": "5b8e", "spanId": "eee19b7ec3c1b174", "name": "b"},
        {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "c"}
    ]}]}]}"#;
    let answer = server.post("/v1/traces", "application/json; charset=utf-8", json);
    assert_eq!(answer.status, 200, "{answer}");
    let partial = &answer.json()["partialSuccess"];
    assert_eq!(partial["rejectedSpans"], "2", "{answer}");
    let told = partial["errorMessage"].as_str().unwrap();
    assert!(told.contains("all zero") && told.contains("2 bytes instead of 16"), "{told}");
    assert_figure(&server, "sample_received_spans_total", 4);
    assert_figure(&server, "requests_rejected_records_total", 2);
}

#[tokio::test]
async fn over_grpc_codings_codes_health_and_reflection_are_those_of_serve() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Question;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;
    let server = sample("grpc", &["--max-body", "1000"]);
    let channel = channel(&server).await;
    for coding in
        [CompressionEncoding::Gzip, CompressionEncoding::Deflate, CompressionEncoding::Zstd]
    {
        let mut packing = TraceServiceClient::new(channel.clone()).send_compressed(coding);
        packing.export(spans(vec![span(1)])).await.unwrap();
        let bomb = packing.export(large(50_000)).await.unwrap_err();
        assert_eq!(bomb.code(), Code::ResourceExhausted, "{bomb}");
    }
    let mut client = TraceServiceClient::new(channel.clone());
    let too_large = client.export(large(1_001)).await.unwrap_err();
    assert_eq!(too_large.code(), Code::ResourceExhausted, "{too_large}");
    let bad = Span { trace_id: vec![0; 16], ..span(4) };
    let answer = client.export(spans(vec![bad, span(5)])).await.unwrap().into_inner();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("all zero"), "{}", partial.error_message);

    let mut packed = tonic::Request::new(spans(vec![span(1)]));
    packed.metadata_mut().insert("grpc-encoding", "br".parse().unwrap());
    let refused = client.export(packed).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let accepted = refused.metadata().get("grpc-accept-encoding").unwrap();
    assert_eq!(accepted, "identity,gzip,deflate,zstd");
    let mut heavy = tonic::Request::new(spans(vec![span(1)]));
    heavy.metadata_mut().insert("x-heavy", "^".repeat(20 << 10).parse().unwrap());
    let refused = client.export(heavy).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_figure(&server, "refused_requests_total{reason=\"too_large\"}", 4);
    assert_figure(&server, "refused_requests_total{reason=\"headers\"}", 1);

    let mut health = HealthClient::new(channel.clone());
    for service in ["", "opentelemetry.proto.collector.trace.v1.TraceService"] {
        let service = service.to_owned();
        let answer = health.check(HealthCheckRequest { service }).await.unwrap();
        assert_eq!(answer.into_inner().status, 1, "serving");
    }
    let service = "opentelemetry.proto.collector.logs.v1.LogsService".to_owned();
    let unknown = health.check(HealthCheckRequest { service }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "logs are not taken");
    let question = ServerReflectionRequest {
        message_request: Some(Question::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let asked = futures::stream::iter([question]);
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
    let Some(Answer::ListServicesResponse(listed)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list")
    };
    let listed: Vec<_> = listed.service.into_iter().map(|service| service.name).collect();
    assert!(listed.iter().any(|name| name.ends_with("TraceService")), "{listed:?}");
    assert!(!listed.iter().any(|name| name.ends_with("LogsService")), "{listed:?}");

    // HTTP at the port for gRPC, and the other way round.
    let mut stream = TcpStream::connect(server.grpc).unwrap();
    stream.write_all(&request("POST", "/v1/traces", &[PROTOBUF], b"", 0)).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = parse(&answer);
    let port = format!("port {}", server.http.port());
    assert!(answer.status == 415 && answer.text().contains(&port), "{answer}");
    let at_http = Channel::from_shared(format!("http://{}", server.http)).unwrap();
    let mut client = TraceServiceClient::new(at_http.connect().await.unwrap());
    let refused = client.export(spans(vec![span(1)])).await.unwrap_err();
    let port = format!("port {}", server.grpc.port());
    assert!(
        refused.code() == Code::Unimplemented && refused.message().contains(&port),
        "{refused}"
    );
}

#[tokio::test]
async fn senders_of_logs_and_metrics_are_told_that_spans_are_taken_only() {
    const TOLD: &str = "slipring sample takes spans only";
    let server = sample("kinds", &[]);
    for path in ["/v1/logs", "/v1/metrics"] {
        for headers in [[PROTOBUF], [JSON]] {
            let answer = server.send("POST", path, &headers, b"");
            assert!(answer.status == 404 && answer.text().contains(TOLD), "{path}: {answer}");
            assert!(answer.head.contains(headers[0].1), "{answer}");
        }
    }
    let channel = channel(&server).await;
    let mut logs = LogsServiceClient::new(channel.clone());
    let mut metrics = MetricsServiceClient::new(channel);
    let refused = [
        logs.export(ExportLogsServiceRequest::default()).await.unwrap_err(),
        metrics.export(ExportMetricsServiceRequest::default()).await.unwrap_err(),
    ];
    for refused in refused {
        assert_eq!(refused.code(), Code::Unimplemented);
        assert!(refused.message().contains(TOLD), "{refused}");
    }
    assert_figure(&server, "refused_requests_total{reason=\"not_taken\"}", 6);
    until("the warning", || server.said().contains(TOLD));
}

#[tokio::test]
async fn a_token_and_tls_guard_both_ports() {
    const TOKEN: &str = "correct-horse-battery-staple";
    let config = config("guarded");
    let (folder, token) = (config.parent().unwrap(), config.with_file_name("token"));
    std::fs::write(&token, TOKEN).unwrap();
    let files = Files::make(folder);
    let to = "http://127.0.0.1:9";
    let server = Server::sample(&config, to, &["--token-file", token.to_str().unwrap()]);
    let one = spans(vec![span(1)]).encode_to_vec();
    let bearer = format!("Bearer {TOKEN}");
    let with = [PROTOBUF, ("authorization", &*bearer)];
    assert_eq!(server.send("POST", "/v1/traces", &[PROTOBUF], &one).status, 401);
    assert_eq!(server.send("POST", "/v1/traces", &with, &one).status, 200);
    assert_eq!([server.get("/metrics").status, server.get("/readyz").status], [401, 200]);
    let mut client = TraceServiceClient::new(channel(&server).await);
    let refused = client.export(spans(vec![span(1)])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut call = tonic::Request::new(spans(vec![span(1)]));
    call.metadata_mut().insert("authorization", bearer.parse().unwrap());
    client.export(call).await.unwrap();
    drop(server);

    let server = Server::sample(&config, to, &files.arguments());
    assert_eq!(tls::get(server.http, &files, "http/1.1", "/readyz").await, 200);
    let mut client = TraceServiceClient::new(tls::channel(server.grpc, &files).await);
    client.export(spans(vec![span(1)])).await.unwrap();
}

/// Starts `sample` with arguments that are wrong; the exit status, and what it says.
fn wrong(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(SLIPRING)
        .arg("sample")
        .args(arguments)
        .env_remove("SLIPRING_TOKEN")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_is_wrong_at_the_start_is_told_with_what_to_write_instead() {
    let good = config("wrong");
    let (file, good) = (good.with_file_name("wrong.toml"), good.to_str().unwrap());
    std::fs::write(&file, "quiet = 7\n").unwrap();
    let (bad, to) = (file.to_str().unwrap(), "grpc://127.0.0.1:9");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (taken_address, own) = (format!("127.0.0.1:{port}"), format!("grpc://localhost:{port}"));
    let cases: [(&[&str], i32, &[&str]); 10] = [
        (&["--to", to], 2, &["--config <FILE>"]),
        (&["--config", good], 2, &["--to <ENDPOINT>"]),
        (&["--config", good, "--to", "backend:4317"], 3, &["none of grpc://", "write grpc://"]),
        (&["--config", good, "--to", to, "--to-ca", bad], 3, &["--to-ca", "write grpcs://"]),
        (&["--config", "missing.toml", "--to", to], 3, &["--config missing.toml: No such file"]),
        (&["--config", bad, "--to", to], 3, &["wrong.toml: ", "line 1", "such as \"250ms\""]),
        (&["--config", good, "--to", to, "--http", ":0"], 3, &["--http 0.0.0.0:0", "--insecure"]),
        (
            &["--config", good, "--to", to, "--grpc", &taken_address, "--http", "127.0.0.1:0"],
            3,
            &["OTLP/gRPC", "give another --grpc"],
        ),
        (
            &["--config", good, "--to", to, "--max-body", "2k", "--max-in-flight", "1k"],
            3,
            &["--max-in-flight 1024 leaves no room"],
        ),
        (
            &["--config", good, "--to", to, "--max-waiting", "1k"],
            3,
            &["--max-waiting 1024 leaves no room", "max_span_bytes"],
        ),
    ];
    for (arguments, status, told) in cases {
        let (code, said) = wrong(arguments);
        assert_eq!(code, Some(status), "{arguments:?}: {said}");
        for told in told {
            assert!(said.contains(told), "{arguments:?}: {told}: {said}");
        }
    }
    let (_, said) = wrong(&["--config", good, "--to", "https://user:secret-7@backend:4318"]);
    assert!(said.contains("more than a host") && !said.contains("secret-7"), "{said}");
    // The port is free again: the sampler listens there, and would send to itself.
    drop(taken);
    let (code, said) =
        wrong(&["--config", good, "--to", &own, "--grpc", &taken_address, "--http", "127.0.0.1:0"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("own address; give the backend's"), "{said}");
}
