//! Whatever a sender puts into a request, over HTTP or gRPC, packed or not, or said to be: what the
//! library reads of it is taken, once; of what it does not read nothing is; and never is the fault
//! ours.

#![no_main]

use arbitrary::Arbitrary;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use flate2::{Compression, write::GzEncoder};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use slipring::Telemetry;
use slipring::otlp::{Encoding, Kind, Request as Export, gunzip};
use std::io::Write;
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Protobuf,
    Json,
    Grpc,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    /// It says so, and is not.
    Claimed,
}

#[derive(Arbitrary, Debug)]
struct Sent<'a> {
    kind: u8,
    way: Way,
    packing: Packing,
    /// By how much a frame's length is wrong.
    off: i8,
    message: &'a [u8],
}

/// The stores, and the ways to them.
struct Served {
    telemetry: Telemetry,
    http: Router,
    grpc: Router,
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("it starts"));

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let telemetry =
        Telemetry::builder().traces(50).logs(50).metrics(50).build().expect("such stores can be");
    let (http, grpc) =
        (slipring_cli::over_http(telemetry.clone()), slipring_cli::over_grpc(telemetry.clone()));
    Served { telemetry, http, grpc }
});

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// Sends it; the answer's status, its headers or trailers, and its body.
fn send(routes: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
    RUNTIME.block_on(async {
        let (head, body) =
            routes.clone().oneshot(request).await.expect("routes do not fail").into_parts();
        let body = body.collect().await.expect("an answer has an end");
        let trailers = body.trailers().cloned();
        (head.status, trailers.unwrap_or(head.headers), body.to_bytes().to_vec())
    })
}

fuzz_target!(|sent: Sent<'_>| {
    let kinds = [
        (Kind::Traces, "/v1/traces", "trace.v1.TraceService"),
        (Kind::Logs, "/v1/logs", "logs.v1.LogsService"),
        (Kind::Metrics, "/v1/metrics", "metrics.v1.MetricsService"),
    ];
    let (kind, path, service) = kinds[usize::from(sent.kind) % kinds.len()];
    let Served { telemetry, http, grpc } = &*SERVED;
    let offered =
        || {
            let stats = telemetry.stats();
            let all = [&stats.traces, &stats.logs, &stats.metrics];
            assert!(all.iter().all(|stats| stats.offered
                == stats.count + stats.evicted.total() + stats.rejected.total()));
            all.map(|stats| stats.offered)
        };
    let encoding = if sent.way == Way::Json { Encoding::Json } else { Encoding::Protobuf };
    let message =
        if sent.packing == Packing::Gzip { gzip(sent.message) } else { sent.message.to_vec() };
    let unpacked = match sent.packing {
        Packing::Claimed => gunzip(&message, 16 << 20).ok(),
        _ => Some(sent.message.to_vec()),
    };
    let length_is_right = sent.way != Way::Grpc || sent.off == 0;
    let read = unpacked
        .filter(|_| length_is_right)
        .and_then(|bytes| Export::read(kind, encoding, &bytes).ok());

    let before = offered();
    let packed = sent.packing != Packing::None;
    let taken = if sent.way == Way::Grpc {
        let length = (message.len() as i64 + i64::from(sent.off)) as u32;
        let frame = [&[u8::from(packed)][..], &length.to_be_bytes(), &message].concat();
        let path = format!("/opentelemetry.proto.collector.{service}/Export");
        let mut request = Request::post(path).header("content-type", "application/grpc");
        if packed {
            request = request.header("grpc-encoding", "gzip");
        }
        let (status, end, _) = send(grpc, request.body(Body::from(frame)).expect("it can be said"));
        assert_eq!(status, StatusCode::OK, "gRPC tells failures in its own way");
        // Taken, or the sender's fault.
        match end["grpc-status"].as_bytes() {
            b"0" => true,
            b"3" => false,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    } else {
        let content =
            if sent.way == Way::Json { "application/json" } else { "application/x-protobuf" };
        let mut request = Request::post(path).header("content-type", content);
        if packed {
            request = request.header("content-encoding", "gzip");
        }
        let (status, _, body) =
            send(http, request.body(Body::from(message)).expect("it can be said"));
        assert!([StatusCode::OK, StatusCode::BAD_REQUEST].contains(&status), "{status}");
        assert!(
            sent.way != Way::Json || serde_json::from_slice::<serde_json::Value>(&body).is_ok()
        );
        status == StatusCode::OK
    };
    let came = offered().iter().sum::<u64>() - before.iter().sum::<u64>();
    let read = read.map(|read| read.len() as u64);
    assert_eq!(taken, read.is_some());
    assert_eq!(came, read.unwrap_or(0));
});
