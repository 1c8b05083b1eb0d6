//! Traces, and the graph of services.

use super::find::find;
use super::problem::{Problem, none, take};
use crate::answer;
use crate::serve::app::App;
use crate::serve::ask::{Asked, trace_id};
use crate::serve::given::Given;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use slipring::Span;
use slipring::trace::TraceOrder;
use std::sync::Arc;

/// Parameters of traces, beside the conditions on their spans.
pub const OF_TRACES: [&str; 3] = ["root_service", "root_name", "at_least"];

/// Answers with traces in a line each.
pub async fn traces(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    let mut given = given.read()?;
    // Orders of traces are others than those of spans.
    let order = match take(&mut given, "order")?.as_deref() {
        None | Some("newest") => TraceOrder::Newest,
        Some("slowest") => TraceOrder::Slowest,
        Some(other) => {
            return Err(Problem::Bad(format!("order={other}: give newest or slowest")));
        }
    };
    let known = [&OF_TRACES[..], &["limit"]].concat();
    let asked = Asked::read::<Span>(&given, &known).map_err(Problem::Bad)?;
    let [root_service, root_name, at_least] = OF_TRACES
        .map(|own| given.iter().find(|(name, _)| name == own).map(|(_, value)| value.clone()));
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
        let (mut traces, report) = traces.limit(asked.limit() + 1).assemble_with_report()?;
        let more = traces.len() > asked.limit();
        traces.truncate(asked.limit());
        let told = answer::TraceList {
            traces: traces.iter().map(answer::TraceSummary::of).collect(),
            more,
            report: answer::Report::of(&report),
        };
        Ok(Json(told).into_response())
    })
    .await
}

/// Answers with everything that is held of a trace.
pub async fn trace(
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
        Ok(Json(answer::Trace::of(trace_id, &found)).into_response())
    })
    .await
}

/// Answers which service calls which.
pub async fn graph(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    let asked = Asked::read::<Span>(&given.read()?, &[]).map_err(Problem::Bad)?;
    find(app, move |telemetry| {
        let graph = asked.conditions(telemetry.traces().query()).service_graph()?;
        Ok(Json(answer::Graph::of(&graph)).into_response())
    })
    .await
}
