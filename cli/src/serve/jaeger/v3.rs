//! The third API: `/api/v3/…`, with traces in OTLP/JSON.
//!
//! Parameters have the names of the protocol's JSON form, as Jaeger UI sends them, or their former
//! spelling in snake_case.

use super::adjusted::Adjusted;
use super::parameters::Parameters;
use super::search::{self, Search, USUAL_DEPTH, moments};
use super::summary::Summary;
use super::{directory, golang, held, id, otlp, part, with_cut};
use crate::serve::api::{Problem, find};
use crate::serve::app::App;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use slipring::Telemetry;
use slipring::trace::Trace;
use std::sync::Arc;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v3/services", get(services))
        .route("/api/v3/operations", get(operations))
        .route("/api/v3/traces", get(traces))
        .route("/api/v3/traces/{id}", get(trace))
        .route("/api/v3/trace-summaries", get(summaries))
        .route("/api/v3/dependencies", get(dependencies))
}

/// The canonical spelling of each parameter, and its former ones.
const SERVICE: &[&str] = &["query.serviceName", "query.service_name"];
const OPERATION: &[&str] = &["query.operationName", "query.operation_name"];
const FROM: &[&str] = &["query.startTimeMin", "query.start_time_min"];
const UNTIL: &[&str] = &["query.startTimeMax", "query.start_time_max"];
const LEAST: &[&str] = &["query.durationMin", "query.duration_min"];
const MOST: &[&str] = &["query.durationMax", "query.duration_max"];
const DEPTH: &[&str] = &["query.searchDepth", "query.search_depth", "query.num_traces"];
const ATTRIBUTES: &[&str] = &["query.attributes"];
const RAW: &[&str] = &["query.rawTraces", "query.raw_traces"];
const ONE_RAW: &[&str] = &["rawTraces", "raw_traces"];
const START: &[&str] = &["startTime", "start_time"];
const END: &[&str] = &["endTime", "end_time"];
const KIND: &[&str] = &["spanKind", "span_kind"];

/// Why a question has no answer, in the form of this API.
pub struct Refused(Problem);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, what) = self.0.told();
        refused(status, &what)
    }
}

/// Answers with an error.
pub fn refused(status: StatusCode, message: &str) -> Response {
    let told = json!({ "error": { "httpCode": status.as_u16(), "message": message } });
    (status, Json(told)).into_response()
}

/// Reads the parameter of these names, if it is given.
fn read<T>(
    asked: &Parameters,
    names: &[&str],
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Problem> {
    let Some((name, text)) = asked.either(names) else { return Ok(None) };
    let wrong = |what| Problem::Bad(format!("malformed parameter {name}: {what}"));
    read(text).map(Some).map_err(wrong)
}

/// Reads a time as RFC 3339 writes it, in nanoseconds since the Unix epoch.
fn time(text: &str) -> Result<i128, String> {
    // The plus of an offset becomes a space where a sender does not escape it.
    golang::time(&text.replace(' ', "+")).ok_or_else(|| {
        format!("parsing time {text:?} as \"2006-01-02T15:04:05.999999999Z07:00\": cannot parse it")
    })
}

fn text(asked: &Parameters, names: &[&str]) -> String {
    asked.either(names).map(|(_, text)| text.to_owned()).unwrap_or_default()
}

/// Reads which traces are asked for, and whether as they are. Reports the first parameter that is
/// wrong, in the order in which Jaeger reads them.
fn search(asked: &Parameters) -> Result<(Search, bool), Problem> {
    let tags = read(asked, ATTRIBUTES, search::tags)?.unwrap_or_default();
    if asked.get("query.filter").is_some() {
        let what = "structured filters are not served here; give query.attributes and the other parameters of query in place of query.filter";
        return Err(Problem::Bad(what.to_owned()));
    }
    let needed =
        || Problem::Bad("query.startTimeMin and query.startTimeMax are required".to_owned());
    if asked.either(FROM).is_none() || asked.either(UNTIL).is_none() {
        return Err(needed());
    }
    let from = read(asked, FROM, time)?.ok_or_else(needed)?;
    let until = read(asked, UNTIL, time)?.ok_or_else(needed)?;
    if from >= until {
        let what = "query.startTimeMin must be before query.startTimeMax";
        return Err(Problem::Bad(what.to_owned()));
    }
    let depth = read(asked, DEPTH, |text| golang::whole("strconv.Atoi", text))?;
    let search = Search {
        service: text(asked, SERVICE),
        operation: text(asked, OPERATION),
        times: moments(from, until),
        least: read(asked, LEAST, golang::duration)?.unwrap_or(0),
        most: read(asked, MOST, golang::duration)?.unwrap_or(0),
        tags,
        depth: 0,
    };
    let raw = read(asked, RAW, golang::truth)?.unwrap_or(false);
    Ok((Search { depth: search::depth(depth.unwrap_or(USUAL_DEPTH))?, ..search }, raw))
}

fn written<T: Serialize>(answer: &T) -> Result<Response, Problem> {
    Ok(Json(answer).into_response())
}

#[derive(Serialize)]
struct Services {
    services: Vec<String>,
}

async fn services(State(app): State<Arc<App>>) -> Result<Response, Refused> {
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let services = directory::services(keep.as_deref(), telemetry)?;
        written(&Services { services })
    };
    Ok(find(app, answer).await?)
}

#[derive(Serialize)]
struct Operations {
    operations: Vec<Operation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: String,
    span_kind: &'static str,
}

async fn operations(State(app): State<Arc<App>>, asked: Parameters) -> Result<Response, Refused> {
    let service = asked.get("service").unwrap_or_default().to_owned();
    let kind = asked.either(KIND).map(|(_, kind)| kind.to_owned());
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let found = directory::operations(keep.as_deref(), telemetry, &service, kind.as_deref())?;
        let operations = found.into_iter().map(|one| Operation {
            name: one.name,
            span_kind: if one.kind.is_empty() { "internal" } else { one.kind },
        });
        written(&Operations { operations: operations.collect() })
    };
    Ok(find(app, answer).await?)
}

/// Answers with traces, if there are any.
fn told(traces: &[Trace], raw: bool, is_cut: bool) -> Result<Response, Problem> {
    if traces.is_empty() {
        return Err(Problem::NotFound("No traces found".to_owned()));
    }
    let adjusted = traces.iter().map(|trace| Adjusted::of(trace, raw)).collect();
    let written = otlp::traces(&with_cut(adjusted, is_cut));
    let written = written.map_err(|error| Problem::Failed(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], written).into_response())
}

async fn traces(State(app): State<Arc<App>>, asked: Parameters) -> Result<Response, Refused> {
    let (search, raw) = search(&asked)?;
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let (traces, report) = search.find(keep.as_deref(), telemetry)?;
        told(&traces, raw, report.cut)
    };
    Ok(find(app, answer).await?)
}

/// Answers with a trace. Times are read and not needed: the id alone finds it.
async fn trace(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    asked: Parameters,
) -> Result<Response, Refused> {
    let wrong = |what| Problem::Bad(format!("malformed parameter trace_id: {what}"));
    let id = id::any(&part(id)?).map_err(wrong)?;
    read(&asked, START, time)?;
    read(&asked, END, time)?;
    let raw = read(&asked, ONE_RAW, golang::truth)?.unwrap_or(false);
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let trace = held(keep.as_deref(), telemetry, id);
        told(trace.as_slice(), raw, false)
    };
    Ok(find(app, answer).await?)
}

#[derive(Serialize)]
struct Summaries {
    summaries: Vec<Summary>,
}

async fn summaries(State(app): State<Arc<App>>, asked: Parameters) -> Result<Response, Refused> {
    let (search, _) = search(&asked)?;
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let (traces, _) = search.find(keep.as_deref(), telemetry)?;
        let summaries = traces.iter().map(|trace| Summary::of(&Adjusted::of(trace, false)));
        written(&Summaries { summaries: summaries.collect() })
    };
    Ok(find(app, answer).await?)
}

#[derive(Serialize)]
struct Dependencies {
    dependencies: Vec<Dependency>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    parent: String,
    child: String,
    /// As text: the protocol's JSON writes numbers of 64 bits so.
    call_count: String,
}

async fn dependencies(State(app): State<Arc<App>>, asked: Parameters) -> Result<Response, Refused> {
    let needed = |name: &str| Problem::Bad(format!("{name} is required"));
    let from = read(&asked, START, time)?.ok_or_else(|| needed("start_time"))?;
    let until = read(&asked, END, time)?.ok_or_else(|| needed("end_time"))?;
    if until <= from {
        return Err(Problem::Bad("end_time must be after start_time".to_owned()).into());
    }
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let links = directory::links(keep.as_deref(), telemetry, moments(from, until))?;
        let dependencies = links.into_iter().map(|link| Dependency {
            parent: link.parent,
            child: link.child,
            call_count: link.calls.to_string(),
        });
        written(&Dependencies { dependencies: dependencies.collect() })
    };
    Ok(find(app, answer).await?)
}
