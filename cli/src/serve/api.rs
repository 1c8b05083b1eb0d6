//! The query API: questions over HTTP, answers in JSON.

use super::app::App;
use super::ask::{Asked, Asking, PAGING, token, trace_id};
use super::given::Given;
use crate::Fallible;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, get, on};
use axum::{Json, Router};
use http_body_util::BodyExt;
use serde::Serialize;
use serde_json::{Value, json};
use slipring::metric::Series;
use slipring::otlp::Encoding;
use slipring::query::{Answer, KeyCount, Report};
use slipring::telemetry::{ServiceCounts, TraceTelemetry};
use slipring::trace::{PathSegment, ServiceCall, ServiceNode, TraceOrder, TraceSummary};
use slipring::{LogRecord, MetricPoint, Position, Signal, Span, Store, Telemetry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A question is asked in its URL, or in a body.
const ASKED: MethodFilter = MethodFilter::GET.or(MethodFilter::POST);

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api", get(|| async { Json(directory()) }))
        .route("/api/spans", on(ASKED, |app, asked| records::<Span>(app, asked, Telemetry::traces)))
        .route(
            "/api/logs",
            on(ASKED, |app, asked| records::<LogRecord>(app, asked, Telemetry::logs)),
        )
        .route(
            "/api/metrics",
            on(ASKED, |app, asked| records::<MetricPoint>(app, asked, Telemetry::metrics)),
        )
        .route(
            "/api/count/spans",
            on(ASKED, |app, asked| count::<Span>(app, asked, Telemetry::traces)),
        )
        .route(
            "/api/count/logs",
            on(ASKED, |app, asked| count::<LogRecord>(app, asked, Telemetry::logs)),
        )
        .route(
            "/api/count/metrics",
            on(ASKED, |app, asked| count::<MetricPoint>(app, asked, Telemetry::metrics)),
        )
        .route("/api/traces", on(ASKED, traces))
        .route("/api/traces/{id}", get(trace))
        .route("/api/graph", on(ASKED, graph))
        .route("/api/series", on(ASKED, series))
        .route("/api/services", get(services))
        .route("/api/keys/{signal}/{index}", get(keys))
        .route("/api/audit", get(audit))
        .route("/api/stats", get(stats))
        .route("/api/server", get(server))
}

/// What there is to ask.
fn directory() -> Value {
    json!({
        "/api/spans": "spans: trace, service, name, status (unset, ok, error), min_duration, max_duration, event (its name)",
        "/api/logs": "log records: trace, service, severity, min_severity, body (a pattern)",
        "/api/metrics": "metric points: name, service, type",
        "/api/count/{spans,logs,metrics}": "how many there are, by the same parameters",
        "/api/traces": "traces in a line each, by parameters of their spans; root_service, root_name, at_least, order=newest|slowest, limit; `more` says whether that left some out, `report` how spans that fit were found",
        "/api/traces/{id}": "a trace assembled, with its logs, and exemplars that point at it; the id in either case, with or without dashes and leading zeros",
        "/api/graph": "who calls whom, by parameters of spans; what has no spans of its own, such as a database, is a virtual node; durations in nanoseconds",
        "/api/series": "series of metrics, by parameters of metric points; limit; points, the latest of each, at most; `left_out` and `points_left_out` say how many others there are",
        "/api/services": "all services, with their numbers of spans, log records and metric points",
        "/api/keys/{spans,logs,metrics}/{index}": "the keys of an index with counts",
        "/api/stats": "what the stores keep, hold, have evicted and rejected, and their bytes",
        "/api/server": "the program's version, where it takes OTLP, and what became of the requests that it got",
        "/api/audit": "checks every index and slot against the records; while it runs, records come in more slowly",
        "/api/tail/{spans,logs,metrics}": "what comes in from now on, as server-sent events",
        "conditions of all these": {
            "since, until": "a date, a time as 2026-01-31T12:00:00Z, a number since 1970 (seconds to nanoseconds, by its size), or how long ago, as 15m",
            "min_duration, max_duration, at_least": "a duration with its unit, as 250ms",
            "service, name, type, trace, severity": "one of several, if given several times; service!=cart is any other, service~=cart* and service!~=cart* are patterns (services, names and types); severity=error is ERROR to ERROR4",
            "body, event": "as often as you like; body!=text, body~=pattern, body!~=pattern",
            "attribute": "[level:]name, !name, name=text, name!=text, name~pattern, name!~pattern, name>=number (>, <=, <), as often as you like; level: record, resource, scope, event, link, exemplar; a name with such signs in it stands in \"double quotes\"",
            "pattern": "* stands for any characters, ? for one; \\ before one of these three for itself",
            "values": "compared by what they display, so that 5* fits 503; an array fits by any of its elements, a map by any of its values, however deep; a negation asks that none fits",
            "in a URL": "a space is %20, < is %3C, > is %3E, & is %26, # is %23; without escaping: attribute=http.status_code.ge.500 (eq, ne, like, unlike, ge, gt, le, lt)",
            "in a body": "POST takes the same parameters in JSON: {\"service\": [\"cart\", \"shop\"], \"attribute\": \"http.status_code>=500\"}",
        },
        "where records are shown": {
            "order": "newest (by arrival), oldest, latest (by timestamp), earliest",
            "limit, after": "1 to 10,000 [100], as for traces and series; `next` of the page before",
            "format": "json, or otlp: an export request in OTLP/JSON",
        },
    })
}

/// What stands against an answer.
pub enum Problem {
    /// The question can't mean anything.
    Bad(String),
    NotFound(String),
    /// Too many questions are being answered.
    Busy,
    Failed(String),
}

impl<E: std::error::Error> From<E> for Problem {
    fn from(error: E) -> Self {
        Problem::Bad(error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, what) = match self {
            Problem::Bad(what) => (StatusCode::BAD_REQUEST, what),
            Problem::NotFound(what) => (StatusCode::NOT_FOUND, what),
            Problem::Busy => {
                let what =
                    "too many questions are being answered; come back in a moment".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, what)
            }
            Problem::Failed(what) => (StatusCode::INTERNAL_SERVER_ERROR, what),
        };
        (status, Json(json!({ "error": what }))).into_response()
    }
}

/// For what takes no parameters: one that is not heeded is not taken either, or the answer would be
/// to another question.
fn none(given: Given) -> Result<(), Problem> {
    match given.read()?.first() {
        None => Ok(()),
        Some((name, _)) => {
            Err(Problem::Bad(format!("there is no parameter {name}; there are none")))
        }
    }
}

/// Finds an answer on a thread that may take its time. As long as it is not read, it keeps its
/// place: only so many are in memory.
async fn find<R: IntoResponse>(
    app: Arc<App>,
    find: impl FnOnce(&Telemetry) -> Result<R, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    let place =
        tokio::time::timeout(Duration::from_secs(1), Arc::clone(&app.questions).acquire_owned())
            .await;
    let Ok(Ok(place)) = place else { return Err(Problem::Busy) };
    let answer = move || {
        let answer = find(&app.telemetry)?.into_response();
        let keep = |body: Body| {
            Body::new(body.map_frame(move |frame| {
                let _as_long = &place;
                frame
            }))
        };
        Ok(answer.map(keep))
    };
    let found = tokio::task::spawn_blocking(answer).await;
    found.unwrap_or_else(|error| {
        Err(Problem::Failed(format!("the question could not be answered: {error}")))
    })
}

type StoreOf<T> = fn(&Telemetry) -> &Store<T>;

async fn records<T: Asking>(
    State(app): State<Arc<App>>,
    given: Given,
    store: StoreOf<T>,
) -> Result<Response, Problem> {
    let asked = Asked::read::<T>(&given.read()?, &PAGING).map_err(Problem::Bad)?;
    find(app, move |telemetry| {
        let answer = asked.page(store(telemetry).query()).collect()?;
        if asked.otlp {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            return Ok((kind, answer.to_otlp(Encoding::Json)).into_response());
        }
        let page = Page::of(&answer).map_err(|error| Problem::Failed(error.to_string()))?;
        Ok(Json(page).into_response())
    })
    .await
}

// Answers are written as they are, not by way of values, which would take their bytes several
// times.

/// A report, without where to go on.
fn of_report(report: &Report) -> Fallible<Value> {
    let mut told = serde_json::to_value(report)?;
    if let Some(told) = told.as_object_mut() {
        told.remove("next");
        told.remove("bookmark");
    }
    Ok(told)
}

/// A page, with the token of the next one.
#[derive(Serialize)]
struct Page<'a, T> {
    next: Option<String>,
    positions: &'a [Position],
    records: &'a [T],
    report: Value,
}

impl<'a, T: Asking> Page<'a, T> {
    fn of(answer: &'a Answer<T>) -> Fallible<Self> {
        let next = answer.report.next.as_ref().map(token).transpose()?;
        let report = of_report(&answer.report)?;
        Ok(Self { next, positions: &answer.positions, records: &answer.records, report })
    }
}

async fn count<T: Asking>(
    State(app): State<Arc<App>>,
    given: Given,
    store: StoreOf<T>,
) -> Result<Response, Problem> {
    let asked = Asked::read::<T>(&given.read()?, &[]).map_err(Problem::Bad)?;
    find(app, move |telemetry| {
        let count = asked.conditions(store(telemetry).query()).count()?;
        Ok(Json(json!({ "count": count })))
    })
    .await
}

async fn traces(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    let mut given = given.read()?;
    // Orders of traces are others than those of spans.
    let mut orders = given.extract_if(.., |(name, _)| name == "order").map(|(_, order)| order);
    let (order, again) = (orders.next(), orders.next());
    drop(orders);
    let order = match (order.as_deref(), again) {
        (None | Some("newest"), None) => TraceOrder::Newest,
        (Some("slowest"), None) => TraceOrder::Slowest,
        (Some(other), None) => {
            return Err(Problem::Bad(format!("order={other}: give newest or slowest")));
        }
        (_, Some(again)) => {
            return Err(Problem::Bad(format!(
                "order={again}: order was given before; give it once"
            )));
        }
    };
    let own = ["root_service", "root_name", "at_least"];
    let asked =
        Asked::read::<Span>(&given, &[&own[..], &["limit"]].concat()).map_err(Problem::Bad)?;
    let own =
        own.map(|own| given.iter().find(|(name, _)| name == own).map(|(_, value)| value.clone()));
    let [root_service, root_name, at_least] = own;
    let at_least = at_least.map(|least| {
        crate::units::duration(&least).map_err(|what| format!("at_least={least}: {what}"))
    });
    let at_least = at_least.transpose().map_err(Problem::Bad)?;
    find(app, move |telemetry| {
        let mut traces = asked.conditions(telemetry.traces().query()).traces().order(order);
        if let Some(service) = root_service {
            traces = traces.root_service(service);
        }
        if let Some(name) = root_name {
            traces = traces.root_name(name);
        }
        if let Some(least) = at_least {
            traces = traces.at_least(least);
        }
        let (mut traces, report) = traces.limit(asked.limit() + 1).collect_with_report()?;
        let more = traces.len() > asked.limit();
        traces.truncate(asked.limit());
        let report = of_report(&report).map_err(|error| Problem::Failed(error.to_string()))?;
        Ok(Json(Traces { traces, more, report }))
    })
    .await
}

#[derive(Serialize)]
struct Traces {
    traces: Vec<TraceSummary>,
    /// Whether the limit left some out.
    more: bool,
    /// Of the search for spans that fit.
    report: Value,
}

/// A trace with what is worked out from it.
#[derive(Serialize)]
struct WholeTrace<'a> {
    #[serde(flatten)]
    found: &'a TraceTelemetry,
    critical_path: Option<Vec<PathSegment>>,
    summary: Option<TraceSummary>,
}

async fn trace(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    given: Given,
) -> Result<Response, Problem> {
    none(given)?;
    let trace_id = trace_id(&id).map_err(Problem::Bad)?;
    find(app, move |telemetry| {
        let found = telemetry.trace(trace_id);
        if found.trace.is_none() && found.logs.is_empty() && found.exemplars.is_empty() {
            return Err(Problem::NotFound(format!("nothing is here of trace {trace_id}")));
        }
        let critical_path = found.trace.as_ref().map(slipring::trace::Trace::critical_path);
        let summary = found.trace.as_ref().map(slipring::trace::Trace::summary);
        Ok(Json(WholeTrace { found: &found, critical_path, summary }).into_response())
    })
    .await
}

async fn graph(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    let asked = Asked::read::<Span>(&given.read()?, &[]).map_err(Problem::Bad)?;
    find(app, move |telemetry| {
        let graph = asked.conditions(telemetry.traces().query()).service_graph()?;
        let calls = graph.calls.iter().map(OneCall::of).collect();
        let told = Graph {
            services: &graph.services,
            calls,
            unlinked: graph.unlinked,
            report: &graph.report,
        };
        Ok(Json(told).into_response())
    })
    .await
}

/// A graph, with how long calls took instead of each one's duration.
#[derive(Serialize)]
struct Graph<'a> {
    services: &'a [ServiceNode],
    calls: Vec<OneCall<'a>>,
    unlinked: u64,
    report: &'a Report,
}

#[derive(Serialize)]
struct OneCall<'a> {
    #[serde(flatten)]
    call: &'a ServiceCall,
    p50: u64,
    p99: u64,
}

impl<'a> OneCall<'a> {
    fn of(call: &'a ServiceCall) -> Self {
        Self { call, p50: call.latency(0.5), p99: call.latency(0.99) }
    }
}

async fn series(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    let given = given.read()?;
    let asked = Asked::read::<MetricPoint>(&given, &["limit", "points"]).map_err(Problem::Bad)?;
    let most = given.iter().find(|(name, _)| name == "points").map(|(_, points)| points.as_str());
    let most = most.map_or(Ok(usize::MAX), |points| {
        let most = points.parse().ok().filter(|&most| most > 0);
        most.ok_or_else(|| Problem::Bad(format!("points={points}: give a number from 1 on")))
    })?;
    find(app, move |telemetry| {
        let mut series = asked.conditions(telemetry.metrics().query()).series()?;
        let all = series.len();
        series.truncate(asked.limit());
        let left_out = all - series.len();
        let told = AllSeries {
            series: series.iter_mut().map(|series| OneSeries::of(series, most)).collect(),
            left_out,
        };
        Ok(Json(told).into_response())
    })
    .await
}

#[derive(Serialize)]
struct AllSeries<'a> {
    series: Vec<OneSeries<'a>>,
    left_out: usize,
}

#[derive(Serialize)]
struct OneSeries<'a> {
    series: &'a Series,
    /// Of its earlier points, how many are not told.
    points_left_out: usize,
    rate: Option<Value>,
    median: Option<Value>,
    p99: Option<Value>,
}

impl<'a> OneSeries<'a> {
    /// With its latest points, at most so many; what is worked out is of all.
    fn of(series: &'a mut Series, most: usize) -> Self {
        // What is no number in JSON is in text, as in the points.
        let plain = |number: f64| slipring::Value::Double(number);
        let told = |number: Option<f64>| {
            number.and_then(|number| serde_json::to_value(plain(number)).ok())
        };
        let (rate, median, p99) =
            (told(series.rate()), told(series.quantile(0.5)), told(series.quantile(0.99)));
        let points_left_out = series.points.len().saturating_sub(most);
        series.points.drain(..points_left_out);
        Self { series, points_left_out, rate, median, p99 }
    }
}

#[derive(Serialize)]
struct Services {
    services: Vec<ServiceCounts>,
}

async fn stats(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    none(given)?;
    Ok(Json(app.telemetry.stats()).into_response())
}

async fn server(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    none(given)?;
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let counts = &app.counts;
    let listens = app.listens.get();
    let told = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "grpc": listens.map(|[grpc, _]| grpc.to_string()),
        "http": listens.map(|[_, http]| http.to_string()),
        "token": app.access.token.is_some(),
        "requests": {
            "taken": of(&counts.taken),
            "refused": of(&counts.refused),
            "overloaded": of(&counts.overloaded),
            "in_flight": app.in_flight(),
            "rejected_records": of(&counts.rejected_records),
        },
    });
    Ok(Json(told).into_response())
}

async fn services(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    none(given)?;
    find(app, |telemetry| Ok(Json(Services { services: telemetry.services() }))).await
}

async fn audit(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    none(given)?;
    find(app, |telemetry| {
        let audit = telemetry.audit().map_err(|error| Problem::Failed(error.to_string()))?;
        Ok(Json(audit).into_response())
    })
    .await
}

async fn keys(
    State(app): State<Arc<App>>,
    Path((signal, index)): Path<(String, String)>,
    given: Given,
) -> Result<Response, Problem> {
    none(given)?;
    #[derive(Serialize)]
    struct Keys {
        keys: Vec<KeyCount>,
    }
    fn of<T: Signal>(store: &Store<T>, index: &str) -> Result<Json<Keys>, Problem> {
        Ok(Json(Keys { keys: store.keys(index)? }))
    }
    find(app, move |telemetry| match signal.as_str() {
        "spans" => of(telemetry.traces(), &index),
        "logs" => of(telemetry.logs(), &index),
        "metrics" => of(telemetry.metrics(), &index),
        other => Err(Problem::NotFound(format!(
            "there is no signal {other}; there are spans, logs and metrics"
        ))),
    })
    .await
}
