//! The program's own endpoints: health, and metrics for Prometheus.

use super::app::{App, Refusal};
use super::door::sender;
use super::grpc::is_grpc;
use super::process;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use slipring::store::Stats;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

pub async fn not_found(State(app): State<Arc<App>>, request: Request) -> Response {
    if is_grpc(request.headers()) {
        let there = app
            .listens
            .get()
            .map_or_else(|| "another port".to_owned(), |[grpc, _]| format!("port {}", grpc.port()));
        let what = format!("this port takes OTLP/HTTP; send OTLP/gRPC to {there}");
        let refusal = app.refuse(Refusal::Unsupported(what), sender(&request.into_parts().0));
        return tonic::Status::unimplemented(refusal.what()).into_http::<Body>().into_response();
    }
    let what = format!(
        "there is nothing at {}; GET /api lists the questions, OTLP goes to /v1/traces, /v1/logs, /v1/metrics",
        request.uri().path()
    );
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        // The request is most likely telemetry sent to a wrong path, so that it is logged.
        app.refuse(Refusal::Unsupported(what.clone()), sender(&request.into_parts().0));
    }
    (StatusCode::NOT_FOUND, Json(serde_json::json!({ "error": what }))).into_response()
}

/// Answers a request for a known path with a method that the path does not support.
pub async fn not_so(State(app): State<Arc<App>>, request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let what = match path.strip_prefix("/v1/") {
        Some(_) => format!(
            "{method} {path}: telemetry comes by POST; GET /api lists what can be asked for"
        ),
        None => {
            format!("{method} {path}: ask by GET; OTLP goes to /v1/traces, /v1/logs, /v1/metrics")
        }
    };
    let refusal = app.refuse(Refusal::Unsupported(what), sender(&request.into_parts().0));
    (StatusCode::METHOD_NOT_ALLOWED, Json(serde_json::json!({ "error": refusal.what() })))
        .into_response()
}

async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    }
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, write_metrics(&app))
}

/// Formats the program's metrics in Prometheus' text format.
fn write_metrics(app: &App) -> String {
    let stats = app.telemetry.stats();
    let stats = [&stats.traces, &stats.logs, &stats.metrics];
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, figures: &[(String, u64)]| {
        let _ = writeln!(text, "# HELP slipring_{name} {help}\n# TYPE slipring_{name} {kind}");
        for (labels, figure) in figures {
            let _ = writeln!(text, "slipring_{name}{labels} {figure}");
        }
    };
    let each = |figure: fn(&Stats) -> u64| {
        stats.map(|stats| (format!("{{signal=\"{}\"}}", stats.signal), figure(stats)))
    };
    type Counts = fn(&Stats) -> Vec<(&'static str, u64)>;
    let by_reason = |counts: Counts| -> Vec<(String, u64)> {
        let of = |stats: &Stats| {
            let label = |(reason, count)| {
                (format!("{{signal=\"{}\",reason=\"{reason}\"}}", stats.signal), count)
            };
            counts(stats).into_iter().map(label).collect::<Vec<_>>()
        };
        stats.into_iter().flat_map(of).collect()
    };
    family(
        "capacity_records",
        "gauge",
        "Records that are kept at most.",
        &each(|stats| stats.capacity),
    );
    family("records", "gauge", "Records that are held.", &each(|stats| stats.count));
    family(
        "offered_records_total",
        "counter",
        "Records that were offered.",
        &each(|stats| stats.offered),
    );
    let evicted = by_reason(|stats| {
        let counts = stats.evicted;
        vec![
            ("capacity", counts.capacity),
            ("cleared", counts.cleared),
            ("age", counts.age),
            ("bytes", counts.bytes),
        ]
    });
    family("evicted_records_total", "counter", "Records that have left, by reason.", &evicted);
    let rejected = by_reason(|stats| {
        let counts = stats.rejected;
        vec![
            ("full", counts.full),
            ("closed", counts.closed),
            ("panicked", counts.panicked),
            ("too_large", counts.too_large),
        ]
    });
    family(
        "rejected_records_total",
        "counter",
        "Records that the stores did not take, by reason.",
        &rejected,
    );
    family(
        "memory_bytes",
        "gauge",
        "All bytes of a store.",
        &each(|stats| stats.total_memory_bytes),
    );
    family(
        "index_bytes",
        "gauge",
        "Bytes of its indexes.",
        &each(|stats| stats.index_memory_bytes),
    );
    family(
        "lag_records",
        "gauge",
        "Records that are not indexed yet; queries see them.",
        &each(|stats| stats.indexer_lag),
    );
    if let Some(history) = &app.history {
        let stats = history.stats();
        let one = |figure: u64| [(String::new(), figure)];
        family("history_points", "gauge", "Metric points in the history.", &one(stats.held));
        family("history_series", "gauge", "Series in the history.", &one(stats.series as u64));
        family("history_bytes", "gauge", "Bytes of the history.", &one(stats.bytes as u64));
        let gone = [
            ("missed", stats.missed),
            ("cleared", stats.cleared),
            ("summary", stats.summaries),
            ("too_large", stats.too_large),
            ("expired", stats.expired),
        ]
        .map(|(reason, count)| (format!("{{reason=\"{reason}\"}}"), count));
        let help = "Metric points that left their store and are not in the history, by reason.";
        family("history_gone_points_total", "counter", help, &gone);
    }
    let counts = &app.counts;
    let requests = [
        ("taken", &counts.taken),
        ("refused", &counts.refused),
        ("overloaded", &counts.overloaded),
    ]
    .map(|(outcome, count)| (format!("{{outcome=\"{outcome}\"}}"), count.load(Ordering::Relaxed)));
    family("requests_total", "counter", "OTLP requests, by outcome.", &requests);
    let rejected = [(String::new(), counts.rejected_records.load(Ordering::Relaxed))];
    family(
        "requests_rejected_records_total",
        "counter",
        "Records of taken requests that were malformed, too large, or not taken by the stores.",
        &rejected,
    );
    let in_flight = [(String::new(), app.in_flight() as u64)];
    family("requests_in_flight", "gauge", "OTLP requests under way.", &in_flight);
    let build = [(format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1)];
    family("build_info", "gauge", "The program, by its version.", &build);
    process::write_metrics(&mut text);
    text
}
