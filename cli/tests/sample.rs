//! `slipring sample`: from senders through samplers to a backend.

mod support;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::Server;

const CONFIG: &str = r#"
quiet = "200ms"
timeout = "2s"

[[policy]]
name = "errors"
rule = "error"

[[policy]]
name = "some"
rule = { probability = 0.5 }
"#;

fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Waits until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The spans of a trace: its id's last seven bytes are its randomness.
fn spans(trace: u8, ids: std::ops::Range<u8>) -> ExportTraceServiceRequest {
    let span = |id: u8| Span {
        trace_id: [vec![trace; 9], vec![trace.wrapping_mul(41); 7]].concat(),
        span_id: vec![id; 8],
        parent_span_id: if id == 1 { vec![] } else { vec![1; 8] },
        name: "work".into(),
        status: Some(Status { code: if trace == 7 { 2 } else { 0 }, ..Status::default() }),
        start_time_unix_nano: 1_760_000_000_000_000_000,
        end_time_unix_nano: 1_760_000_000_001_000_000,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: ids.map(span).collect(), ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

#[tokio::test]
async fn three_samplers_share_traces_by_their_ids_and_the_backend_gets_each_kept_one_whole() {
    let backend = Server::start(&[]);
    let config = file("three.toml", CONFIG);
    let grpc = format!("grpc://{}", backend.grpc);
    let http = format!("http://{}", backend.http);
    let samplers = [&grpc, &http, &grpc].map(|to| Server::sample(&config, to, &[]));
    let mut clients = Vec::new();
    for sampler in &samplers {
        let to = format!("http://{}", sampler.grpc);
        clients.push(TraceServiceClient::connect(to).await.unwrap());
    }
    for ids in [2..5, 1..2] {
        for trace in 1..=60u8 {
            // As a load balancer hashes trace ids.
            let client = &mut clients[usize::from(trace) % 3];
            client.export(spans(trace, ids.clone())).await.unwrap();
        }
    }
    let figures = samplers[0].get("/metrics").text();
    assert!(figures.contains("slipring_sample_received_spans_total 80"), "{figures}");
    let mut told = Vec::new();
    for sampler in samplers {
        // Elsewhere, because the clients have to answer meanwhile.
        told.push(tokio::task::spawn_blocking(|| sampler.stop()).await.unwrap());
    }
    assert!(told.iter().all(|(ended_well, _)| *ended_well), "{told:?}");
    let is_kept = |trace: u8| trace == 7 || trace.wrapping_mul(41) >= 0x80;
    let kept = (1..=60).filter(|&trace| is_kept(trace)).count();
    assert!((20..40).contains(&kept));
    assert_eq!(backend.ask("/api/count/spans")["count"], 4 * kept, "{told:?}");
    for trace in 1..=60u8 {
        let id: String = [vec![trace; 9], vec![trace.wrapping_mul(41); 7]]
            .concat()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let answer = backend.get(&format!("/api/traces/{id}"));
        let state = if trace == 7 { "" } else { "ot=th:8" };
        match is_kept(trace) {
            true => assert!(answer.text().contains(state) && answer.status == 200, "{answer}"),
            false => assert_eq!(answer.status, 404, "{answer}"),
        }
    }
}

#[tokio::test]
async fn the_configuration_is_read_again_and_a_wrong_one_is_told_with_its_line() {
    let config = file("reload.toml", CONFIG);
    let sampler = Server::sample(&config, "http://127.0.0.1:9", &[]);
    file("reload.toml", &CONFIG.replace("\"error\"", "{ all = [\"error\", \"never\"] }"));
    sampler.signal("-HUP");
    until("the new configuration", || sampler.said().contains("reload.toml again"));
    file("reload.toml", &CONFIG.replace("0.5", "5"));
    sampler.signal("-HUP");
    until("what is wrong", || sampler.said().contains("the old settings stay: --config"));
    assert!(sampler.said().contains("line 11"), "{}", sampler.said());
    let mut client = TraceServiceClient::connect(format!("http://{}", sampler.grpc)).await.unwrap();
    client.export(spans(7, 1..5)).await.unwrap();
    let wanted = "slipring_sample_sampled_out_spans_total{policy=\"errors\"} 4\n";
    until("the decision", || sampler.get("/metrics").text().contains(wanted));
}

/// What has been kept while nobody took it is sent as soon as somebody does.
#[tokio::test]
async fn a_backend_that_does_not_answer_is_told_and_gets_everything_when_it_does() {
    let config = file("outage.toml", CONFIG);
    // An address that is free, most likely also after that.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sampler = Server::sample(&config, &format!("grpc://{address}"), &[]);
    let mut client = TraceServiceClient::connect(format!("http://{}", sampler.grpc)).await.unwrap();
    client.export(spans(7, 1..5)).await.unwrap();
    until("why it fails", || sampler.said().contains("the backend fails: "));
    let said = sampler.said().to_lowercase();
    assert!(said.contains("refused") && said.contains("waiting: 4 spans"), "{said}");
    let backend = Server::start_on([&address.to_string(), "127.0.0.1:0"], &[]);
    assert_eq!(backend.grpc, address);
    until("the trace", || backend.ask("/api/count/spans")["count"] == 4);
    until("that it goes on", || sampler.said().contains("the backend takes spans again"));
}

/// A backend over HTTP that answers with the status and headers that are set.
fn backend(answer: &Arc<Mutex<&'static str>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, answer) = (listener.local_addr().unwrap(), Arc::clone(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let (mut reader, mut length) = (BufReader::new(&stream), 0);
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap();
            let head = *answer.lock().unwrap();
            let end = "connection: close\r\ncontent-length: 0\r\n\r\n";
            (&stream).write_all(format!("HTTP/1.1 {head}\r\n{end}").as_bytes()).unwrap();
        }
    });
    address
}

/// A sampler whose four spans wait for a backend that has asked for a minute and more.
async fn waiting(name: &str, answer: &Arc<Mutex<&'static str>>) -> Server {
    let to = format!("http://{}", backend(answer));
    let sampler = Server::sample(&file(name, CONFIG), &to, &[]);
    let mut client = TraceServiceClient::connect(format!("http://{}", sampler.grpc)).await.unwrap();
    client.export(spans(7, 1..5)).await.unwrap();
    until("why it fails", || sampler.said().contains("the backend fails: HTTP 503"));
    sampler
}

const BUSY: &str = "503 Service Unavailable\r\nretry-after: 100";

/// The status says whether spans were lost as it stopped.
#[tokio::test]
async fn a_stop_asks_the_backend_again_and_ends_well_if_it_takes_everything() {
    let answers = [("200 OK", true), ("400 Bad Request", false)];
    for (turn, (then, ends_well)) in answers.into_iter().enumerate() {
        let answer = Arc::new(Mutex::new(BUSY));
        let sampler = waiting(&format!("stop_{turn}.toml"), &answer).await;
        *answer.lock().unwrap() = then;
        let (ended_well, said) = tokio::task::spawn_blocking(|| sampler.stop()).await.unwrap();
        let lost = "WARN slipring_cli::sample: the backend did not take 4 spans: HTTP 400";
        assert_eq!((ended_well, !said.contains(lost)), (ends_well, ends_well), "{said}");
        let taken = if ends_well { "the backend took 4 " } else { "the backend took 0 " };
        assert!(said.contains(taken), "{said}");
    }
}
