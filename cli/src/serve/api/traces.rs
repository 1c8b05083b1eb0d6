//! Traces, and the graph of services.

use super::find::find;
use super::list::{Listed, Wanted};
use super::problem::{Problem, take};
use super::tiers::Tiers;
use crate::answer;
use crate::serve::app::App;
use crate::serve::ask::{Asked, KEPT, trace_id};
use crate::serve::given::Given;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use slipring::Span;
use slipring::trace::TraceOrder;
use std::sync::Arc;

/// Parameters of traces, beside the conditions on their spans.
pub const OF_TRACES: [&str; 4] = ["root_service", "root_name", "at_least", KEPT];

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
    let [root_service, root_name, at_least, _] = OF_TRACES
        .map(|own| given.iter().find(|(name, _)| name == own).map(|(_, value)| value.clone()));
    let at_least = at_least.map(|least| {
        crate::units::duration(&least).map_err(|what| format!("at_least={least}: {what}"))
    });
    let at_least = at_least.transpose().map_err(Problem::Bad)?;
    let wanted = Wanted { order, root_service, root_name, at_least: at_least.unwrap_or(0) };
    let of = Arc::clone(&app);
    find(app, move |telemetry| {
        let store = telemetry.traces();
        let conditions = || asked.conditions(store.query());
        let kept = of.keep.as_deref().map(|keep| (keep, asked.kept(keep)));
        let (mut found, report) = wanted.find(store, conditions, kept, asked.limit() + 1)?;
        let more = found.len() > asked.limit();
        found.truncate(asked.limit());
        let mut report = answer::Report::of(&report);
        report.from_kept = found.iter().map(Listed::only_kept).sum();
        let traces = found.iter().map(Listed::shown).collect();
        Ok(Json(answer::TraceList { traces, more, report }).into_response())
    })
    .await
}

/// Answers with everything that is held of a trace.
pub async fn trace(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    given: Given,
) -> Result<Response, Problem> {
    let asks_files = asks_files(given)?;
    let trace_id = trace_id(&id).map_err(Problem::Bad)?;
    let of = Arc::clone(&app);
    find(app, move |telemetry| {
        if asks_files {
            let (found, history) = with_files(&of, trace_id)?;
            if found.trace.is_none() && found.logs.is_empty() && found.exemplars.is_empty() {
                return Err(Problem::NotFound(format!(
                    "nothing is here of trace {trace_id}, nor in files"
                )));
            }
            let mut told = answer::Trace::of(trace_id, &found);
            told.history = Some(history);
            return Ok(Json(told).into_response());
        }
        if let Some(kept) = of.keep.as_ref().and_then(|keep| keep.get(trace_id)) {
            let whole = kept.with(telemetry);
            let mut told = answer::Trace::of(trace_id, &whole.found);
            told.kept = Some(answer::Kept::of(&kept, whole.only_kept));
            if let Some(summary) = &mut told.summary {
                summary.kept = told.kept.clone();
            }
            return Ok(Json(told).into_response());
        }
        let found = telemetry.trace(trace_id);
        if found.trace.is_none() && found.logs.is_empty() && found.exemplars.is_empty() {
            return Err(Problem::NotFound(format!("nothing is here of trace {trace_id}")));
        }
        Ok(Json(answer::Trace::of(trace_id, &found)).into_response())
    })
    .await
}

/// Returns whether the history's files are asked, too.
fn asks_files(given: Given) -> Result<bool, Problem> {
    let mut given = given.read()?;
    let asked = take(&mut given, "history")?;
    if let Some((name, _)) = given.first() {
        return Err(Problem::Bad(format!("there is no parameter {name}; there is history")));
    }
    match asked.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Problem::Bad(format!("history={other}: give true or false"))),
    }
}

/// Finds what the stores and the files have of a trace.
#[cfg(feature = "archive")]
fn with_files(
    app: &App,
    id: slipring::TraceId,
) -> Result<(slipring::telemetry::TraceTelemetry, answer::FromFiles), Problem> {
    crate::serve::archive::trace(app, id)
}

#[cfg(not(feature = "archive"))]
fn with_files(
    _: &App,
    _: slipring::TraceId,
) -> Result<(slipring::telemetry::TraceTelemetry, answer::FromFiles), Problem> {
    let what = "history=true: this program has no files; build it with the feature `archive`";
    Err(Problem::Bad(what.to_owned()))
}

/// Answers which service calls which.
pub async fn graph(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    let asked = Asked::read::<Span>(&given.read()?, &[KEPT]).map_err(Problem::Bad)?;
    let of = Arc::clone(&app);
    find(app, move |telemetry| {
        let store = telemetry.traces();
        let tiers = Tiers::new(store, &asked, of.keep.as_deref());
        let query = asked.conditions(store.query());
        let graph = query.service_graph_with(|visit| tiers.each_kept_span(visit))?;
        Ok(Json(answer::Graph::of(&graph)).into_response())
    })
    .await
}
