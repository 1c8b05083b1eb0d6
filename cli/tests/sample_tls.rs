//! `slipring sample` towards a backend over TLS, with a token and headers.

mod support;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use support::tls::Files;
use support::{SLIPRING, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{DEFAULT_VERSIONS, RootCertStore, ServerConfig};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A folder of a test's own, with a configuration that keeps everything at once, a token and a
/// certificate.
fn folder(name: &str) -> (PathBuf, Files) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sample_tls").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let config =
        "quiet = \"20ms\"\ntimeout = \"50ms\"\n[[policy]]\nname = \"all\"\nrule = \"always\"\n";
    std::fs::write(folder.join("sample.toml"), config).unwrap();
    std::fs::write(folder.join("token"), format!("{TOKEN}\n")).unwrap();
    let files = Files::make(&folder);
    (folder, files)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn send(sampler: &Server, id: u8) {
    let span = Span {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        name: "work".into(),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let request = ExportTraceServiceRequest { resource_spans };
    let answer = sampler.post("/v1/traces", "application/x-protobuf", &request.encode_to_vec());
    assert_eq!(answer.status, 200, "{answer}");
}

fn figure(sampler: &Server, name: &str) -> u64 {
    let figures = sampler.get("/metrics").text();
    let line = figures.lines().find_map(|line| line.strip_prefix(&format!("slipring_{name} ")));
    line.unwrap_or_else(|| panic!("no {name}: {figures}")).parse().unwrap()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Stops a sampler whose backend does not take its spans. Returns what it said.
fn said(sampler: Server) -> String {
    send(&sampler, 1);
    until("a try", || {
        figure(&sampler, "sample_retries_total")
            + figure(&sampler, "sample_lost_spans_total{cause=\"failed\"}")
            > 0
    });
    sampler.stop().1
}

#[test]
fn kept_spans_reach_a_backend_over_tls_that_wants_a_token() {
    let (folder, files) = folder("token");
    let token = folder.join("token");
    let config = folder.join("sample.toml");
    let guarded = [&files.arguments()[..], &["--token-file", text(&token)]].concat();
    let backend = Server::start(&guarded);
    let trusting = ["--to-ca", text(&files.cert), "--to-token-file", text(&token)];
    for (id, scheme, port) in [(1, "https", backend.http.port()), (2, "grpcs", backend.grpc.port())]
    {
        let to = format!("{scheme}://localhost:{port}");
        let sampler = Server::sample(&config, &to, &trusting);
        send(&sampler, id);
        until("the backend's answer", || figure(&sampler, "sample_forwarded_spans_total") == 1);
        let (ended_well, told) = sampler.stop();
        assert!(ended_well && told.contains(&format!("kept traces go to {to}")), "{told}");
        assert!(!told.contains(TOKEN), "{told}");
        // Without the token, the backend takes nothing.
        let sampler = Server::sample(&config, &to, &trusting[..2]);
        let told = said(sampler);
        assert!(told.contains("401") || told.contains("Unauthenticated"), "{told}");
    }
}

/// Writes a certificate and its key over those that are there.
fn renew(files: &Files, others: &Files) {
    std::fs::copy(&others.cert, &files.cert).unwrap();
    std::fs::copy(&others.key, &files.key).unwrap();
}

#[test]
fn files_for_the_backend_are_read_again_on_sighup() {
    let (folder, files) = folder("renewed");
    let (_, others) = self::folder("renewed_by");
    let (config, token) = (folder.join("sample.toml"), folder.join("token"));
    let guarded = [&others.arguments()[..], &["--token-file", text(&token)]].concat();
    let backend = Server::start(&guarded);
    let own_token = folder.join("own_token");
    std::fs::write(&own_token, "f".repeat(32)).unwrap();
    let all = ["--to-ca", text(&files.cert), "--to-token-file", text(&own_token)];
    for (scheme, port) in [("https", backend.http.port()), ("grpcs", backend.grpc.port())] {
        // It trusts another authority at first: its spans wait.
        let own = Files::make(&folder);
        std::fs::write(&own_token, "f".repeat(32)).unwrap();
        let to = format!("{scheme}://localhost:{port}");
        let sampler = Server::sample(&config, &to, &all);
        send(&sampler, 1);
        until("a try", || figure(&sampler, "sample_retries_total") > 0);
        // A file that is none changes nothing.
        std::fs::write(&own.cert, "none").unwrap();
        sampler.signal("-HUP");
        until("an error", || sampler.said().contains("the backend's old files stay: --to-ca"));
        // The right authority: the backend is reached, and does not know the token.
        renew(&own, &others);
        sampler.signal("-HUP");
        let failed = "sample_lost_spans_total{cause=\"failed\"}";
        until("the backend's refusal", || figure(&sampler, failed) == 1);
        std::fs::copy(&token, &own_token).unwrap();
        sampler.signal("-HUP");
        until("both", || {
            sampler.said().matches("read the files for the backend again").count() == 2
        });
        send(&sampler, 2);
        until("the backend's answer", || figure(&sampler, "sample_forwarded_spans_total") == 1);
        let (_, told) = sampler.stop();
        assert!(!told.contains(TOKEN) && !told.contains("ffffffff"), "{told}");
    }
}

#[test]
fn what_is_wrong_with_a_connection_is_told_with_what_to_do() {
    let (folder, files) = folder("wrong");
    let config = folder.join("sample.toml");
    let (_, others) = self::folder("other");
    let over_tls = Server::start(&files.arguments());
    // Its certificate is for another name.
    let named = folder.join("named");
    std::fs::create_dir_all(&named).unwrap();
    let made = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
    std::fs::write(named.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(named.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let named = Files::of(&named);
    let elsewhere = Server::start(&named.arguments());
    let plain = Server::start(&[]);
    let [own, other, named] = [&files, &others, &named].map(|files| ["--to-ca", text(&files.cert)]);
    let cases = [
        // Another authority.
        (format!("https://localhost:{}", over_tls.http.port()), &other[..], "--to-ca"),
        (format!("grpcs://localhost:{}", over_tls.grpc.port()), &other[..], "--to-ca"),
        // Another name.
        (
            format!("https://localhost:{}", elsewhere.http.port()),
            &named[..],
            "a name that its certificate has",
        ),
        (
            format!("grpcs://localhost:{}", elsewhere.grpc.port()),
            &named[..],
            "a name that its certificate has",
        ),
        // A port that speaks no TLS.
        (format!("https://localhost:{}", plain.http.port()), &own[..], "write http:// or grpc://"),
        (format!("grpcs://localhost:{}", plain.grpc.port()), &own[..], "write http:// or grpc://"),
        // A port that speaks nothing else.
        (
            format!("http://localhost:{}", over_tls.http.port()),
            &[][..],
            "write https:// or grpcs://",
        ),
        (
            format!("grpc://localhost:{}", over_tls.grpc.port()),
            &[][..],
            "write https:// or grpcs://",
        ),
    ];
    // Together, since each has ten seconds for its last spans.
    std::thread::scope(|threads| {
        for (to, trusted, told) in &cases {
            let config = &config;
            threads.spawn(move || {
                let said = said(Server::sample(config, to, trusted));
                assert!(said.contains(told), "{to}: {said}");
            });
        }
    });
}

/// A backend that wants a certificate of its client, and tells the heads of requests that it takes.
fn strict(files: &Files) -> (SocketAddr, Receiver<String>) {
    let certificates = |file: &Path| vec![CertificateDer::from_pem_file(file).unwrap()];
    let mut roots = RootCertStore::empty();
    roots.add(certificates(&files.cert).remove(0)).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(DEFAULT_VERSIONS)
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            certificates(&files.cert),
            PrivateKeyDer::from_pem_file(&files.key).unwrap(),
        );
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut read = vec![0; 64 << 10];
                let Ok(count) = stream.read(&mut read).await else { continue };
                let head = String::from_utf8_lossy(&read[..count]).into_owned();
                let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
                if tell.send(head).is_err() {
                    return;
                }
            }
        });
    });
    (address, told)
}

#[test]
fn a_backend_that_asks_for_a_certificate_is_shown_one_and_requests_carry_headers() {
    let (folder, files) = folder("client");
    let config = folder.join("sample.toml");
    let (address, told) = strict(&files);
    let to = format!("https://localhost:{}/otlp/v1/traces", address.port());
    let (cert, key) = (text(&files.cert), text(&files.key));
    let trusting = ["--to-ca", cert, "--to-header", "X-Scope-OrgID=shop"];
    let shown = [&trusting[..], &["--to-cert", cert, "--to-key", key]].concat();
    let sampler = Server::sample(&config, &to, &shown);
    send(&sampler, 1);
    let head = told.recv_timeout(Duration::from_secs(60)).unwrap().to_lowercase();
    assert!(head.starts_with("post /otlp/v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nx-scope-orgid: shop\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-protobuf\r\n"), "{head}");
    drop(sampler);
    let said = said(Server::sample(&config, &to, &trusting));
    assert!(said.contains("--to-cert and --to-key"), "{said}");
    // A certificate that the backend does not know is replaced by one that it does.
    let (_, others) = self::folder("client_renewed");
    let shown = ["--to-ca", cert, "--to-cert", text(&others.cert), "--to-key", text(&others.key)];
    let sampler = Server::sample(&config, &to, &shown);
    send(&sampler, 2);
    until("a try", || figure(&sampler, "sample_retries_total") > 0);
    renew(&others, &files);
    sampler.signal("-HUP");
    told.recv_timeout(Duration::from_secs(60)).unwrap();
}

#[test]
fn what_is_wrong_with_the_files_is_told_at_the_start() {
    let (folder, files) = folder("files");
    let (_, others) = self::folder("others");
    let config = folder.join("sample.toml");
    let (config, cert, key) = (text(&config), text(&files.cert), text(&files.key));
    let other_key = text(&others.key);
    let cases: [(&str, &[&str], i32, &str); 10] = [
        ("https://backend", &["--to-ca", "missing.pem"], 3, "--to-ca missing.pem: No such file"),
        ("https://backend", &["--to-ca", config], 3, "there is no certificate in PEM"),
        ("https://backend", &["--to-ca", cert, "--to-cert", cert], 2, "--to-key <FILE>"),
        (
            "https://backend",
            &["--to-ca", cert, "--to-cert", cert, "--to-key", cert],
            3,
            "no private key in PEM",
        ),
        (
            "https://backend",
            &["--to-ca", cert, "--to-cert", cert, "--to-key", other_key],
            3,
            "--to-key",
        ),
        (
            "http://backend",
            &["--to-cert", cert, "--to-key", key],
            3,
            "--to-cert has no use without TLS",
        ),
        ("http://backend", &["--to-header", "secret-7"], 3, "there is no = in it"),
        (
            "http://backend",
            &["--to-header", "host=secret-7"],
            3,
            "the header host is the protocol's own",
        ),
        ("http://backend", &["--to-header", "a b=secret-7"], 3, "no header's name"),
        (
            "http://backend",
            &["--to-token-file", "missing"],
            3,
            "--to-token-file missing: No such file",
        ),
    ];
    for (to, arguments, status, told) in cases {
        let all = [
            &[
                "sample",
                "--http",
                "127.0.0.1:0",
                "--grpc",
                "127.0.0.1:0",
                "--config",
                config,
                "--to",
                to,
            ],
            arguments,
        ]
        .concat();
        let tried = Command::new(SLIPRING).args(all).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&tried.stderr);
        assert_eq!(tried.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
        assert!(!said.contains("secret-7"), "{said}");
    }
    // This machine trusts whom the variables name: nobody here.
    let all = ["sample", "--config", config, "--to", "grpcs://backend:4317"];
    let tried = Command::new(SLIPRING)
        .args(all)
        .env("SSL_CERT_FILE", config)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tried.stderr);
    assert!(tried.status.code() == Some(3) && said.contains("give roots by --to-ca"), "{said}");
}
