//! Who is let in: the token, TLS, and what happens beyond this machine without either.

mod support;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use support::tls::{Files, over_tls};
use support::{SLIPRING, Server};
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

const TOKEN: &str = "correct-horse-battery-staple";
const BEARER: (&str, &str) = ("authorization", "Bearer correct-horse-battery-staple");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// A folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("doors").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn token_file(name: &str) -> PathBuf {
    let file = folder(name).join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    file
}

/// Waits until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn slipring(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(SLIPRING).args(arguments).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn over_http_nothing_is_taken_or_told_without_the_token() {
    let file = token_file("http");
    let server = Server::start(&["--token-file", file.to_str().unwrap()]);
    let asked = [
        "/api/spans",
        "/api/count/logs",
        "/api/tail/logs",
        "/api/server",
        "/api/audit",
        "/metrics",
        "/none",
        "//api/spans",
        "/page/../api/spans",
        "/page/%2e%2e/api/spans",
    ];
    for path in asked {
        let answer = server.get(path);
        // What the page's folder is asked for is a name, not a path.
        let is_page = path.starts_with("/page/");
        assert_eq!(answer.status, if is_page { 404 } else { 401 }, "{path}: {answer}");
        let wrong = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(is_page || wrong.contains("authorization: Bearer"), "{wrong}");
        assert!(is_page || answer.head.contains("www-authenticate: Bearer"), "{answer}");
    }
    for wrong in ["Bearer wrong-horse-battery-staple", "Basic x", TOKEN] {
        let answer = server.send("GET", "/api/spans", &[("authorization", wrong)], b"");
        assert_eq!(answer.status, 401, "{wrong}: {answer}");
    }
    for path in ["/", "/page/app.js", "/api", "/healthz", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let refused = server.send("POST", "/v1/traces", &[PROTOBUF], b"");
    assert_eq!(refused.status, 401, "{refused}");
    // As the protocol wants it: a status in the encoding of the request, and none that says to retry.
    assert!(refused.head.contains("application/x-protobuf"), "{refused}");
    assert!(refused.text().contains("OTEL_EXPORTER_OTLP_HEADERS"), "{refused}");
    let large = vec![b' '; 1 << 20];
    let json = server.send("POST", "/v1/logs", &[("content-type", "application/json")], &large);
    assert!(json.status == 401 && json.json()["message"].is_string(), "{json}");

    assert_eq!(server.send("POST", "/v1/traces", &[PROTOBUF, BEARER], b"").status, 200);
    assert_eq!(server.send("GET", "/api/spans", &[BEARER], b"").status, 200);
    let (_, log) = server.stop();
    assert!(log.contains("refused a request from 127.0.0.1") && !log.contains(TOKEN), "{log}");
}

#[tokio::test]
async fn over_grpc_no_call_is_taken_without_the_token_but_health_is_told() {
    let file = token_file("grpc");
    let server = Server::start(&["--token-file", file.to_str().unwrap()]);
    let channel =
        Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap();
    let mut traces = TraceServiceClient::new(channel.clone());
    let refused = traces.export(ExportTraceServiceRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    let asked = ServerReflectionClient::new(channel.clone())
        .server_reflection_info(futures::stream::empty())
        .await;
    assert_eq!(asked.unwrap_err().code(), Code::Unauthenticated);
    let mut with =
        TraceServiceClient::with_interceptor(channel.clone(), |mut call: tonic::Request<()>| {
            call.metadata_mut().insert(BEARER.0, BEARER.1.parse().unwrap());
            Ok(call)
        });
    with.export(ExportTraceServiceRequest::default()).await.unwrap();
    let told = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    told.expect("health checks carry no token");
}

#[test]
fn the_token_comes_from_the_environment_and_a_file_is_read_again() {
    let said = slipring(&["serve", "--http", ":0", "--grpc", "0"], &[("SLIPRING_TOKEN", "short")]);
    let wrong = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.code() == Some(3) && wrong.contains("16 characters"), "{wrong}");

    let file = token_file("reload");
    let server = Server::start(&["--token-file", file.to_str().unwrap()]);
    let status = |token: &str| {
        let header = ("authorization", &*format!("Bearer {token}"));
        server.send("GET", "/api/spans", &[header], b"").status
    };
    assert_eq!(status(TOKEN), 200);
    std::fs::write(&file, "short").unwrap();
    server.signal("-HUP");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(status(TOKEN), 200, "a file that is not in order changes nothing");
    std::fs::write(&file, "another-horse-battery-staple").unwrap();
    server.signal("-HUP");
    until("the new token", || status("another-horse-battery-staple") == 200);
    assert_eq!(status(TOKEN), 401);
}

#[test]
fn beyond_this_machine_it_listens_only_behind_a_guard() {
    for flag in ["--http", "--grpc"] {
        let other = if flag == "--http" { "--grpc" } else { "--http" };
        let said = slipring(&["serve", other, "0", flag, "0.0.0.0:0"], &[]);
        let wrong = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(3), "{wrong}");
        for word in [flag, "SLIPRING_TOKEN", "--token-file", "--tls-cert", "--insecure"] {
            assert!(wrong.contains(word), "{word}: {wrong}");
        }
    }
    let file = token_file("beyond");
    let file = file.to_str().unwrap();
    for (arguments, warning) in
        [(&["--insecure"][..], "--insecure"), (&["--token-file", file], "no TLS")]
    {
        let server = Server::start_at("0.0.0.0:0", arguments);
        let (ended, log) = server.stop();
        assert!(ended && log.contains(warning), "{log}");
    }
}

#[tokio::test]
async fn both_ports_speak_tls_in_both_versions_of_http() {
    let files = Files::make(&folder("tls"));
    let server = Server::start(&files.arguments());
    for (port, alpn, expected) in [
        (server.http, &["h2", "http/1.1"][..], Some("h2")),
        (server.http, &["http/1.1"], Some("http/1.1")),
        (server.http, &[], None),
        (server.grpc, &["h2"], Some("h2")),
    ] {
        let stream = over_tls(port, &files, alpn).await.unwrap();
        let chosen = stream.get_ref().1.alpn_protocol().map(String::from_utf8_lossy);
        assert_eq!(chosen.as_deref(), expected, "{alpn:?}");
    }
    for version in ["h2", "http/1.1"] {
        assert_eq!(support::tls::get(server.http, &files, version, "/readyz").await, 200);
    }
    let channel = support::tls::channel(server.grpc, &files).await;
    let mut traces = TraceServiceClient::new(channel);
    traces.export(ExportTraceServiceRequest::default()).await.unwrap();

    // A sender that does not speak TLS is told apart, and told of.
    let answer = server.try_raw(b"GET /readyz HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let (ended, log) = server.stop();
    assert!(ended && log.contains("https://"), "{log}");
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_a_restart() {
    let old = Files::make(&folder("renewed"));
    let server = Server::start(&old.arguments());
    assert_eq!(support::tls::get(server.http, &old, "http/1.1", "/readyz").await, 200);
    let new = Files::make(&folder("renewed"));
    assert!(over_tls(server.http, &new, &[]).await.is_err(), "it is not read by itself");
    server.signal("-HUP");
    let deadline = Instant::now() + Duration::from_secs(20);
    while over_tls(server.http, &new, &[]).await.is_err() {
        assert!(Instant::now() < deadline, "it is never read");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(over_tls(server.http, &old, &[]).await.is_err());
    // A broken file leaves the certificate as it was.
    std::fs::write(&new.cert, "none").unwrap();
    server.signal("-HUP");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(over_tls(server.http, &new, &[]).await.is_ok());
}

#[tokio::test]
async fn handshakes_count_as_connections_and_end_in_time() {
    let files = Files::make(&folder("handshakes"));
    let arguments = [&files.arguments()[..], &["--max-connections", "2", "--timeout", "2"]];
    let server = Server::start(&arguments.concat());
    let silent = [server.connect(), server.connect()];
    // They make room for someone who speaks.
    let asked = support::tls::get(server.http, &files, "http/1.1", "/readyz");
    let status = tokio::time::timeout(Duration::from_secs(10), asked).await.expect("there is room");
    assert_eq!(status, 200);
    drop(silent);

    // The beginning of a handshake, and then nothing, or a byte now and then.
    for drips in [false, true] {
        let (mut stream, began) = (server.connect(), Instant::now());
        stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        loop {
            match stream.read(&mut [0; 64]) {
                Ok(0) => break,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                _ if drips => drop(stream.write_all(&[3])),
                _ => {}
            }
            assert!(began.elapsed() < Duration::from_secs(8), "drips: {drips}");
        }
        assert!(began.elapsed() > Duration::from_millis(1500), "drips: {drips}");
    }
}

#[test]
fn a_certificate_that_is_not_in_order_is_told_of() {
    let files = Files::make(&folder("wrong"));
    let other = Files::make(&folder("wrong-other"));
    let [cert, key, other] =
        [&files.cert, &files.key, &other.key].map(|file| file.to_str().unwrap());
    for (cert, key, code, word) in [
        (cert, "/none", 3, "--tls-key /none"),
        ("/none", key, 3, "--tls-cert /none"),
        (cert, cert, 3, "no private key"),
        (key, key, 3, "no certificate"),
        (cert, other, 3, "--tls-key"),
    ] {
        let arguments =
            ["serve", "--http", "0", "--grpc", "0", "--tls-cert", cert, "--tls-key", key];
        let said = slipring(&arguments, &[]);
        let wrong = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.code() == Some(code) && wrong.contains(word), "{word}: {wrong}");
    }
    let said = slipring(&["serve", "--tls-cert", cert], &[]);
    assert_eq!(said.status.code(), Some(2), "a certificate needs its key");
}

#[test]
fn health_tells_whether_a_server_takes_requests() {
    let files = Files::make(&folder("health"));
    let [cert, another] = ["health", "health-other"].map(|name| Files::make(&folder(name)).cert);
    let [plain, safe] =
        [Server::start(&[]), Server::start(&Files::of(&folder("health")).arguments())];
    drop(files);
    let health = |port: String, cert: Option<&Path>| {
        let mut command = Command::new(SLIPRING);
        command.args(["health", "--http", &port]);
        if let Some(cert) = cert {
            command.arg("--tls-cert").arg(cert);
        }
        command.output().unwrap().status.code()
    };
    assert_eq!(health(plain.http.to_string(), None), Some(0));
    // A server on all addresses is reached on this machine's.
    assert_eq!(health(format!(":{}", plain.http.port()), None), Some(0));
    assert_eq!(health(safe.http.to_string(), Some(&cert)), Some(0));
    assert_eq!(health(safe.http.to_string(), Some(&another)), Some(1));
    assert_eq!(health(safe.http.to_string(), None), Some(1));
    let port = plain.http.to_string();
    drop(plain);
    assert_eq!(health(port, None), Some(1));
}
