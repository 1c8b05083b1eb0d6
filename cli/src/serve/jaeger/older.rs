//! The older API: `/api/…`, whose answers stand in `{data, total, limit, offset, errors}`.
//!
//! Jaeger removed `/api/services`, `/api/operations` and the search at `/api/traces` from its own
//! server in August 2026. Grafana and older versions of Jaeger UI ask for them.

use super::adjusted::Adjusted;
use super::parameters::Parameters;
use super::search::{self, Search, USUAL_DEPTH, moments};
use super::{directory, golang, held, id, model, part, with_cut};
use crate::serve::api::{Problem, find};
use crate::serve::app::App;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use slipring::{Telemetry, TraceId};
use std::collections::BTreeMap;
use std::sync::Arc;

const MICROSECOND: i128 = 1_000;
const MILLISECOND: i128 = 1_000_000;
const DAY: i64 = 24 * 3_600 * 1_000;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operations_of))
        .route("/api/operations", get(operations))
        .route("/api/traces", get(traces))
        .route("/api/traces/{id}", get(trace))
        .route("/api/dependencies", get(dependencies))
}

/// An answer.
#[derive(Serialize)]
struct Envelope<T> {
    data: T,
    /// As in Jaeger, only lists of names are counted.
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<Vec<Told>>,
}

/// What went wrong.
#[derive(Serialize)]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

impl<T> Envelope<T> {
    fn of(data: T, total: usize) -> Self {
        Self { data, total, limit: 0, offset: 0, errors: None }
    }
}

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
        refused(status, what)
    }
}

/// Answers with an error.
pub fn refused(status: StatusCode, msg: String) -> Response {
    let told = Told { code: Some(status.as_u16()), msg, trace_id: None };
    let answer = Envelope { errors: Some(vec![told]), ..Envelope::of((), 0) };
    (status, Json(answer)).into_response()
}

/// Writes answers: on lines of their own with `prettyPrint`.
#[derive(Clone, Copy)]
struct Form {
    is_pretty: bool,
}

impl Form {
    fn of(asked: &Parameters) -> Self {
        Self { is_pretty: asked.get("prettyPrint").is_some_and(|value| value != "false") }
    }

    fn write<T: Serialize>(self, answer: &Envelope<T>) -> Result<Response, Problem> {
        if !self.is_pretty {
            return Ok(Json(answer).into_response());
        }
        let mut written = Vec::new();
        let by_four = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut written, by_four);
        answer.serialize(&mut serializer)?;
        Ok(([(header::CONTENT_TYPE, "application/json")], written).into_response())
    }
}

/// Says which parameter is wrong.
fn wrong(name: &str, what: String) -> Problem {
    Problem::Bad(format!("unable to parse param '{name}': {what}"))
}

/// Reads a parameter that is a whole number.
fn whole(asked: &Parameters, name: &str) -> Result<Option<i64>, Problem> {
    let read = |text| golang::whole("strconv.ParseInt", text);
    asked.get(name).map(read).transpose().map_err(|what| wrong(name, what))
}

fn now() -> i128 {
    jiff::Timestamp::now().as_nanosecond()
}

async fn services(State(app): State<Arc<App>>, asked: Parameters) -> Result<Response, Refused> {
    let form = Form::of(&asked);
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let services = directory::services(keep.as_deref(), telemetry)?;
        let total = services.len();
        form.write(&Envelope::of(services, total))
    };
    Ok(find(app, answer).await?)
}

/// Answers with the names of a service's operations; as in Jaeger, null if there are none.
async fn operations_of(
    State(app): State<Arc<App>>,
    service: Result<Path<String>, PathRejection>,
    asked: Parameters,
) -> Result<Response, Refused> {
    let (form, service) = (Form::of(&asked), part(service)?);
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let operations = directory::operations(keep.as_deref(), telemetry, &service, None)?;
        let mut names: Vec<String> = operations.into_iter().map(|one| one.name).collect();
        names.dedup();
        let total = names.len();
        form.write(&Envelope::of(Some(names).filter(|names| !names.is_empty()), total))
    };
    Ok(find(app, answer).await?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: String,
    span_kind: &'static str,
}

async fn operations(State(app): State<Arc<App>>, asked: Parameters) -> Result<Response, Refused> {
    let form = Form::of(&asked);
    let needed = || Problem::Bad("parameter 'service' is required".to_owned());
    let service = asked.get("service").ok_or_else(needed)?.to_owned();
    let kind = asked.get("spanKind").map(str::to_owned);
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let operations =
            directory::operations(keep.as_deref(), telemetry, &service, kind.as_deref())?;
        let show = |one: directory::Operation| Operation { name: one.name, span_kind: one.kind };
        let told: Vec<Operation> = operations.into_iter().map(show).collect();
        let total = told.len();
        form.write(&Envelope::of(told, total))
    };
    Ok(find(app, answer).await?)
}

/// Reads a truth value.
fn truth(asked: &Parameters, name: &str) -> Result<bool, Problem> {
    let read = asked.get(name).map(golang::truth).transpose();
    Ok(read.map_err(|what| wrong(name, what))?.unwrap_or(false))
}

/// Reads the tags, in both forms.
fn tags(asked: &Parameters) -> Result<BTreeMap<String, String>, Problem> {
    let mut tags = BTreeMap::new();
    for tag in asked.all("tag") {
        let (name, value) = tag.split_once(':').ok_or_else(|| {
            let what = "malformed 'tag' parameter, expecting key:value, received";
            Problem::Bad(format!("{what}: {tag}"))
        })?;
        tags.insert(name.to_owned(), value.to_owned());
    }
    for text in asked.all("tags").filter(|text| !text.is_empty()) {
        tags.extend(search::tags(text).map_err(|what| {
            let wrong = "malformed 'tags' parameter, cannot unmarshal JSON";
            Problem::Bad(format!("{wrong}: {what}"))
        })?);
    }
    Ok(tags)
}

/// Reads a duration.
fn duration(asked: &Parameters, name: &str) -> Result<i64, Problem> {
    let read = asked.get(name).map(golang::duration).transpose();
    Ok(read.map_err(|what| wrong(name, what))?.unwrap_or(0))
}

/// Which traces are asked for.
enum Asked {
    These(Vec<TraceId>),
    Such(Search),
}

impl Asked {
    /// Reads the parameters. Reports the first that is wrong, in the order in which Jaeger reads
    /// them.
    fn read(asked: &Parameters) -> Result<Self, Problem> {
        let at = |number: i64| i128::from(number) * MICROSECOND;
        let from =
            whole(asked, "start")?.map_or_else(|| now() - i128::from(2 * DAY) * MILLISECOND, at);
        let until = whole(asked, "end")?.map_or_else(now, at);
        let tags = tags(asked)?;
        let limit = asked.get("limit").map(|text| {
            let number = golang::whole("strconv.ParseInt", text)?;
            let is_short = i32::try_from(number).is_ok();
            is_short
                .then_some(number)
                .ok_or_else(|| format!("strconv.ParseInt: parsing {text:?}: value out of range"))
        });
        let limit = limit.transpose().map_err(Problem::Bad)?.unwrap_or(USUAL_DEPTH);
        let (least, most) = (duration(asked, "minDuration")?, duration(asked, "maxDuration")?);
        let ids: Result<Vec<TraceId>, String> = asked.all("traceID").map(id::hexadecimal).collect();
        let mut ids =
            ids.map_err(|what| Problem::Bad(format!("cannot parse traceID param: {what}")))?;
        if least != 0 && most != 0 && most < least {
            let what = "'maxDuration' should be greater than 'minDuration'";
            return Err(Problem::Bad(what.to_owned()));
        }
        if !ids.is_empty() {
            let mut seen = std::collections::HashSet::new();
            ids.retain(|id| seen.insert(*id));
            return Ok(Self::These(ids));
        }
        let named = |name| asked.get(name).unwrap_or_default().to_owned();
        Ok(Self::Such(Search {
            service: named("service"),
            operation: named("operation"),
            times: moments(from, until),
            least,
            most,
            tags,
            depth: search::depth(limit)?,
        }))
    }
}

async fn traces(State(app): State<Arc<App>>, asked: Parameters) -> Result<Response, Refused> {
    let form = Form::of(&asked);
    let (question, raw) = (Asked::read(&asked)?, truth(&asked, "raw")?);
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let (mut missing, mut is_cut) = (Vec::new(), false);
        let traces = match &question {
            Asked::Such(search) => {
                let (traces, report) = search.find(keep.as_deref(), telemetry)?;
                is_cut = report.cut;
                traces
            }
            Asked::These(ids) => {
                let found = |id: &TraceId| {
                    let trace = held(keep.as_deref(), telemetry, *id);
                    if trace.is_none() {
                        missing.push(Told {
                            code: None,
                            msg: "trace not found".to_owned(),
                            trace_id: Some(id::shown(*id)),
                        });
                    }
                    trace
                };
                ids.iter().filter_map(found).collect()
            }
        };
        let adjusted = traces.iter().map(|trace| Adjusted::of(trace, raw)).collect();
        let adjusted = with_cut(adjusted, is_cut);
        let traces: Vec<model::Trace<'_>> = adjusted.into_iter().map(model::Trace::of).collect();
        let errors = Some(missing).filter(|missing| !missing.is_empty());
        form.write(&Envelope { errors, ..Envelope::of(traces, 0) })
    };
    Ok(find(app, answer).await?)
}

/// Answers with a trace. Times are read and not needed: the id alone finds it.
async fn trace(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    asked: Parameters,
) -> Result<Response, Refused> {
    let form = Form::of(&asked);
    let id = id::any(&part(id)?).map_err(Problem::Bad)?;
    whole(&asked, "start")?;
    whole(&asked, "end")?;
    let raw = truth(&asked, "raw")?;
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let not_found = || Problem::NotFound("trace not found".to_owned());
        let trace = held(keep.as_deref(), telemetry, id).ok_or_else(not_found)?;
        form.write(&Envelope::of([model::Trace::of(Adjusted::of(&trace, raw))], 0))
    };
    Ok(find(app, answer).await?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    parent: String,
    child: String,
    call_count: u64,
}

async fn dependencies(State(app): State<Arc<App>>, asked: Parameters) -> Result<Response, Refused> {
    let form = Form::of(&asked);
    let until = whole(&asked, "endTs")?.map_or_else(now, |end| i128::from(end) * MILLISECOND);
    let lookback = whole(&asked, "lookback")?.unwrap_or(DAY);
    if lookback < 0 {
        let what = format!("end time must be greater than start time: lookback is {lookback}");
        return Err(Problem::Bad(what).into());
    }
    let times = moments(until - i128::from(lookback) * MILLISECOND, until);
    let service = asked.get("service").map(str::to_owned);
    let keep = app.keep.clone();
    let answer = move |telemetry: &Telemetry| {
        let takes_part = |link: &directory::Link| {
            service.as_ref().is_none_or(|service| [&link.parent, &link.child].contains(&service))
        };
        let show = |link: directory::Link| Dependency {
            parent: link.parent,
            child: link.child,
            call_count: link.calls,
        };
        let links = directory::links(keep.as_deref(), telemetry, times)?;
        let told: Vec<Dependency> = links.into_iter().filter(takes_part).map(show).collect();
        form.write(&Envelope::of(told, 0))
    };
    Ok(find(app, answer).await?)
}
