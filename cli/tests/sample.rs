//! `slipring sample`: from senders through samplers to a backend.

mod support;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use support::{SLIPRING, Server};

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

/// A running `slipring sample`; killed when dropped.
struct Sample {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    addresses: [SocketAddr; 2],
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

impl Sample {
    fn start(config: &Path, to: &str) -> Self {
        let mut child = Command::new(SLIPRING)
            .args(["sample", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--to", to])
            .arg("--config")
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let addresses = [(); 2].map(|()| {
            let line = lines.next().expect("it says where it listens").unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"))
        });
        Self { child, lines, addresses }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Stops it; returns what it said last.
    fn stop(mut self) -> String {
        self.signal("-TERM");
        assert!(self.child.wait().unwrap().success());
        self.lines.by_ref().map_while(Result::ok).last().unwrap()
    }

    fn metrics(&self) -> String {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(self.addresses[1]).unwrap();
        let text = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
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
    let samplers = [&grpc, &http, &grpc].map(|to| Sample::start(&config, to));
    let mut clients = Vec::new();
    for sampler in &samplers {
        let to = format!("http://{}", sampler.addresses[0]);
        clients.push(TraceServiceClient::connect(to).await.unwrap());
    }
    for ids in [2..5, 1..2] {
        for trace in 1..=60u8 {
            // As a load balancer hashes trace ids.
            let client = &mut clients[usize::from(trace) % 3];
            client.export(spans(trace, ids.clone())).await.unwrap();
        }
    }
    let figures = samplers[0].metrics();
    assert!(figures.contains("slipring_sample_received_spans_total 80"), "{figures}");
    let told: Vec<String> = samplers.into_iter().map(Sample::stop).collect();
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
    let mut sampler = Sample::start(&config, "http://127.0.0.1:9");
    let wait_for = |sampler: &mut Sample, what: &str| {
        let line = sampler.lines.next().unwrap().unwrap();
        assert!(line.contains(what), "{line}");
        line
    };
    file("reload.toml", &CONFIG.replace("\"error\"", "\"never\""));
    sampler.signal("-HUP");
    wait_for(&mut sampler, "again");
    file("reload.toml", &CONFIG.replace("0.5", "5"));
    sampler.signal("-HUP");
    let line = wait_for(&mut sampler, "the old settings stay");
    assert!(line.contains("line 11"), "{line}");
    let to = format!("http://{}", sampler.addresses[0]);
    let mut client = TraceServiceClient::connect(to).await.unwrap();
    client.export(spans(7, 1..5)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let wanted = "slipring_sample_sampled_out_spans_total{policy=\"errors\"} 4";
    assert!(sampler.metrics().contains(wanted), "{}", sampler.metrics());

    let wrong = Command::new(SLIPRING)
        .args(["sample", "--to", "http://127.0.0.1:9", "--config"])
        .arg(file("wrong.toml", "quiet = 7\n"))
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("line 1"));
}
