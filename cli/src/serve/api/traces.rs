//! Traces, and the graph of services.

use super::find::find;
use super::list::{Listed, Wanted};
use super::problem::{Problem, take};
use super::tiers::Tiers;
use crate::answer;
use crate::serve::app::App;
use crate::serve::ask::{Asked, HISTORY, KEPT, trace_id};
use crate::serve::given::Given;
use crate::serve::past::{self, Files, NO_FILES, Reaching};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use slipring::telemetry::TraceTelemetry;
use slipring::trace::TraceOrder;
use slipring::{Span, TraceId};
use slipring_sampling::{KeptTrace, Records};
use std::sync::Arc;

/// Parameters of traces, beside the conditions on their spans.
pub const OF_TRACES: [&str; 5] = ["root_service", "root_name", "at_least", KEPT, HISTORY];

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
    let [root_service, root_name, at_least, ..] = OF_TRACES
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
        let limit = asked.limit() + 1;
        let (mut found, report, reach) = match Reaching::of(&of, store, &asked)? {
            Reaching::Files(files, since) => {
                let (found, report, reach) =
                    past::traces(&wanted, store, &asked, kept, (files, since), limit)?;
                (found, report, Some(reach))
            }
            Reaching::Memory(older) => {
                let (found, report) = wanted.find(store, conditions, kept, limit)?;
                let older = older
                    .map(|older| older.unless_found(!found.is_empty()).map(|()| older.shown()));
                (found, report, older.transpose()?)
            }
        };
        let more = found.len() > asked.limit();
        found.truncate(asked.limit());
        let mut report = answer::Report::of(&report);
        report.from_kept = found.iter().map(Listed::only_kept).sum();
        report.history = reach;
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
        if let Some(kept) = of.keep.as_ref().and_then(|keep| keep.get(trace_id)) {
            let whole = kept.with(telemetry);
            return told(&of, trace_id, whole.found, Some((&kept, whole.only_kept)), asks_files);
        }
        told(&of, trace_id, telemetry.trace(trace_id), None, asks_files)
    })
    .await
}

/// Tells what memory has of a trace, and if that was asked for, what files have.
fn told(
    app: &App,
    id: TraceId,
    mut found: TraceTelemetry,
    kept: Option<(&KeptTrace, Records)>,
    asks_files: bool,
) -> Result<Response, Problem> {
    let mut history = None;
    if asks_files {
        let files = Files::of(app);
        let files = files.ok_or_else(|| Problem::Bad(format!("{HISTORY}=true: {NO_FILES}")))?;
        let (all, from_files) = past::with_files(files, id, found)?;
        (found, history) = (all, Some(from_files));
    }
    if found.trace.is_none() && found.logs.is_empty() && found.exemplars.is_empty() {
        let files = match (asks_files, Files::of(app)) {
            (true, _) => ", nor in files",
            (false, Some(_)) => "; history=true looks in files, too",
            (false, None) => "",
        };
        return Err(Problem::NotFound(format!("nothing is here of trace {id}{files}")));
    }
    let mut told = answer::Trace::of(id, &found);
    told.history = history;
    told.kept = kept.map(|(kept, only_kept)| answer::Kept::of(kept, only_kept));
    if let Some(summary) = &mut told.summary {
        summary.kept = told.kept.clone();
    }
    Ok(Json(told).into_response())
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
