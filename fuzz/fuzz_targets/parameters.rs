//! Questions over HTTP, whatever their parameters: each is answered with what was asked for or told
//! why not, in JSON, and never is the fault ours; pages follow one another to their end.

#![no_main]

use arbitrary::Arbitrary;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use slipring::{LogRecord, MetricPoint, Severity, Span, Telemetry, TraceId};
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

const PATHS: [&str; 18] = [
    "/api/spans",
    "/api/logs",
    "/api/metrics",
    "/api/count/spans",
    "/api/count/logs",
    "/api/count/metrics",
    "/api/group/spans",
    "/api/group/logs",
    "/api/group/metrics",
    "/api/openapi.json",
    "/api/traces",
    "/api/traces/00000000000000000000000000000001",
    "/api/graph",
    "/api/series",
    "/api/services",
    "/api/keys/spans/name",
    "/api/stats",
    "/api/",
];

const NAMES: [&str; 26] = [
    "trace",
    "service",
    "name",
    "severity",
    "type",
    "since",
    "until",
    "attribute",
    "order",
    "limit",
    "after",
    "format",
    "status",
    "min_duration",
    "max_duration",
    "min_severity",
    "body",
    "root_service",
    "root_name",
    "at_least",
    "by",
    "points",
    "step",
    "sum_by",
    "offset",
    "",
];

const VALUES: [&str; 22] = [
    "1",
    "0",
    "-1",
    "18446744073709551615",
    "error",
    "info",
    "newest",
    "oldest",
    "latest",
    "earliest",
    "otlp",
    "json",
    "15m",
    "2026-01-31T12:00:00Z",
    "00000000000000000000000000000001",
    "cart",
    "http.route=/api*",
    "record:a~*b*",
    "a>=1e308",
    "slowest",
    "10s",
    "attribute:http.route",
];

#[derive(Arbitrary, Debug)]
enum Given<'a> {
    Known(u8),
    Any(&'a str),
}

impl<'a> Given<'a> {
    fn text(&self, known: &[&'a str]) -> &'a str {
        match self {
            Given::Known(number) => known[usize::from(*number) % known.len()],
            Given::Any(text) => text,
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Question<'a> {
    Put { path: u8, parameters: Vec<(Given<'a>, Given<'a>)> },
    Raw(&'a str),
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("it starts"));

static ROUTES: LazyLock<Router> = LazyLock::new(|| {
    let telemetry =
        Telemetry::builder().traces(50).logs(50).metrics(50).build().expect("such stores can be");
    for number in 0..20 {
        let trace_id = TraceId::from(number % 4 + 1);
        let time = number as u64 * 1_000_000_000;
        let span =
            Span::builder().trace_id(trace_id).name("GET /cart").start_unix_nanos(time).build();
        let log = LogRecord::builder().trace_id(trace_id).severity(Severity(number as i32)).build();
        telemetry.traces().push(span).expect("it is open");
        telemetry.logs().push(log).expect("it is open");
        telemetry.metrics().push(MetricPoint::default()).expect("it is open");
    }
    slipring_cli::over_http(telemetry)
});

/// Asks; `None` if it can't even be said in HTTP.
fn ask(uri: &str) -> Option<(StatusCode, Value)> {
    let request = Request::get(uri).body(Body::empty()).ok()?;
    Some(RUNTIME.block_on(async {
        let answer = ROUTES.clone().oneshot(request).await.expect("routes do not fail");
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("an answer has an end").to_bytes();
        let value = serde_json::from_slice(&body);
        let body = String::from_utf8_lossy(&body);
        (status, value.unwrap_or_else(|error| panic!("{uri}: {status}: {error}: {body}")))
    }))
}

fuzz_target!(|question: Question<'_>| {
    let (path, mut query, most) = match &question {
        Question::Put { path, parameters } => {
            let path = PATHS[usize::from(*path) % PATHS.len()];
            let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let pairs = parameters.iter().take(8).map(|(name, value)| {
                format!("{}={}", escaped(name.text(&NAMES)), escaped(value.text(&VALUES)))
            });
            let limits = parameters.iter().take(8).filter(|(name, _)| name.text(&NAMES) == "limit");
            let most = limits.filter_map(|(_, value)| value.text(&VALUES).parse().ok()).max();
            (path, pairs.collect::<Vec<_>>().join("&"), most)
        }
        Question::Raw(text) => ("/api/spans", (*text).to_owned(), None),
    };
    for _ in 0..30 {
        let uri = format!("{path}?{query}");
        let Some((status, body)) = ask(&uri) else { return };
        let told = [StatusCode::OK, StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND];
        assert!(told.contains(&status), "{uri}: {status}: {body}");
        if status != StatusCode::OK {
            assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{uri}: {body}");
            return;
        }
        let pages =
            ["spans", "logs", "points"].map(|list| body[list].as_array().map_or(0, Vec::len));
        let records = pages.into_iter().max().unwrap_or(0);
        assert!(
            records <= most.unwrap_or(usize::MAX),
            "{uri}: {records} records on a page: {body}"
        );
        // The next page, if there is one: by the same parameters.
        let Some(next) = body["next"].as_str() else { return };
        let rest = query.split('&').filter(|pair| !pair.starts_with("after="));
        query = rest.chain([format!("after={next}").as_str()]).collect::<Vec<_>>().join("&");
    }
    panic!("{path}?{query}: twenty records have no thirty pages");
});
