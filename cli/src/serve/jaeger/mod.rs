//! Jaeger's query API, so that Jaeger UI and Grafana read from these stores: both generations of
//! it, `/api/…` and `/api/v3/…`.
//!
//! Jaeger's server reads the same parameters, gives the same defaults and answers in the same
//! shapes; `docs/JAEGER.md` lists what differs. The searches go to the stores' own queries, and
//! traces are assembled as for the program's own API.

mod adjusted;
mod directory;
mod golang;
mod id;
mod model;
mod older;
mod otlp;
mod parameters;
mod search;
mod skew;
mod summary;
mod tags;
mod v3;

use super::api::{Problem, packed};
use super::app::App;
use super::keep::Keep;
use crate::receive::{Refusal, sender};
use adjusted::Adjusted;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use slipring::trace::Trace;
use slipring::{Telemetry, TraceId};
use std::sync::Arc;

/// Returns the routes of both generations.
pub fn routes() -> Router<Arc<App>> {
    older::routes()
        .merge(v3::routes())
        .layer(packed())
        .fallback(not_found)
        .method_not_allowed_fallback(not_so)
}

/// Answers with an error, in the form of the generation that the path belongs to.
fn refused(path: &str, status: StatusCode, what: String) -> Response {
    if path.starts_with("/api/v3") {
        v3::refused(status, &what)
    } else {
        older::refused(status, what)
    }
}

async fn not_found(request: Request) -> Response {
    let path = request.uri().path();
    let what = format!(
        "there is nothing at {path}: this port answers what Jaeger UI and Grafana ask of Jaeger, at /api and /api/v3; \
         the page of this server, OTLP and its own API are at its other port"
    );
    refused(path, StatusCode::NOT_FOUND, what)
}

/// Answers a request for a known path with a method that the path does not support.
async fn not_so(State(app): State<Arc<App>>, request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path().to_owned());
    let what = format!("{method} {path}: ask by GET; nothing can be sent to this port");
    let refusal = app.intake.refuse(Refusal::Unsupported(what), sender(&request.into_parts().0));
    refused(&path, StatusCode::METHOD_NOT_ALLOWED, refusal.what().to_owned())
}

/// Returns the part of a path that is a name or an id.
fn part(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let wrong = |rejection: PathRejection| Problem::Bad(rejection.body_text());
    path.map(|Path(part)| part).map_err(wrong)
}

/// Returns what is held of a trace, by the store and by the traces that are kept beyond it.
fn held(keep: Option<&Keep>, telemetry: &Telemetry, id: TraceId) -> Option<Trace> {
    match keep.and_then(|keep| keep.get(id)) {
        Some(kept) => Some(kept.assemble_with(telemetry.traces()).0),
        None => telemetry.traces().trace(id),
    }
}

/// Adds a warning to the first of the traces that a search found, if spans that fit were, or may
/// have been, evicted while it ran.
fn with_cut(mut traces: Vec<Adjusted<'_>>, is_cut: bool) -> Vec<Adjusted<'_>> {
    if let Some(first) = traces.first_mut().filter(|_| is_cut) {
        let what = "spans were evicted while traces were searched for; there may be more traces";
        first.warnings.push(what.to_owned());
        if let Some(span) = first.spans.first_mut().filter(|_| !first.raw) {
            span.warnings.push(what.to_owned());
        }
    }
    traces
}
