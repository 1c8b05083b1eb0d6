//! What the stores hold, and what the program does.

use super::find::find;
use super::problem::{Problem, none};
use super::tiers::Tiers;
use crate::answer;
use crate::serve::app::App;
use crate::serve::ask::{Asked, Asking, moment_token};
use crate::serve::given::Given;
use crate::serve::keep::Keep;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use slipring::error::QueryError;
use slipring::telemetry::TelemetryStats;
use slipring::{KeyBuf, LogRecord, MetricPoint, Span, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Answers with the stores' statistics.
pub async fn stats(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Told {
        #[serde(flatten)]
        stores: TelemetryStats,
        #[serde(skip_serializing_if = "Option::is_none")]
        kept: Option<serde_json::Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        metric_history: Option<answer::History>,
        #[cfg(feature = "archive")]
        #[serde(skip_serializing_if = "Option::is_none")]
        history: Option<crate::serve::archive::History>,
    }
    none(given)?;
    let kept = app.keep.as_ref().map(|keep| keep.figures().shown());
    let metric_history = app.history.as_ref().map(|history| answer::History::of(&history.stats()));
    let told = Told {
        stores: app.telemetry.stats(),
        kept,
        metric_history,
        #[cfg(feature = "archive")]
        history: app.archive.as_ref().map(crate::serve::archive::History::of),
    };
    Ok(Json(told).into_response())
}

/// Answers with what the program is and does.
pub async fn server(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    none(given)?;
    let intake = &app.intake;
    let (counts, listens) = (&intake.counts, intake.listens.get());
    let told = answer::Server {
        version: env!("CARGO_PKG_VERSION").into(),
        grpc: listens.map(|[grpc, _]| grpc.to_string()),
        http: listens.map(|[_, http]| http.to_string()),
        token: intake.access.token.is_some(),
        requests: answer::ServerRequests {
            taken: counts.taken(),
            refused: counts.refused(),
            overloaded: counts.overloaded(),
            in_flight: intake.in_flight() as u64,
            rejected_records: counts.rejected_records(),
        },
    };
    Ok(Json(told).into_response())
}

/// Answers with a name for this moment. Nothing is kept of it.
pub async fn moment(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    none(given)?;
    let now = jiff::Timestamp::now().as_nanosecond();
    let now = u64::try_from(now).unwrap_or_default();
    let moment = moment_token(&app.telemetry.bookmark());
    let moment = moment.map_err(|error| Problem::Failed(error.to_string()))?;
    let (time, time_unix_nanos) = (answer::Time(now), answer::Nanos(now));
    Ok(Json(answer::Moment { moment, time, time_unix_nanos }).into_response())
}

/// Answers with all services.
pub async fn services(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    none(given)?;
    let of = Arc::clone(&app);
    find(app, move |telemetry| {
        let keep = of.keep.as_deref();
        let counts = [
            key_counts::<Span>(telemetry.traces(), keep, "service")?,
            key_counts::<LogRecord>(telemetry.logs(), keep, "service")?,
            key_counts::<MetricPoint>(telemetry.metrics(), keep, "service")?,
        ];
        let mut services: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
        for (place, counts) in counts.iter().enumerate() {
            for (key, count) in counts {
                let KeyBuf::Text(service) = key else { continue };
                services.entry(service).or_default()[place] = *count;
            }
        }
        Ok(Json(answer::Services::of(services)).into_response())
    })
    .await
}

/// Counts records by the keys of an index, those of the store and of kept traces.
fn key_counts<T: Asking>(
    store: &Store<T>,
    keep: Option<&Keep>,
    index: &str,
) -> Result<Vec<(KeyBuf, u64)>, QueryError> {
    Tiers::new(store, &Asked::default(), keep).key_counts(index)
}

/// Checks the stores.
pub async fn audit(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    none(given)?;
    find(app, |telemetry| {
        let audit = telemetry.audit().map_err(|error| Problem::Failed(error.to_string()))?;
        Ok(Json(audit).into_response())
    })
    .await
}

/// Answers with the keys of an index.
pub async fn keys(
    State(app): State<Arc<App>>,
    Path((signal, index)): Path<(String, String)>,
    given: Given,
) -> Result<Response, Problem> {
    none(given)?;
    fn of<T: Asking>(
        store: &Store<T>,
        keep: Option<&Keep>,
        index: &str,
    ) -> Result<Response, Problem> {
        Ok(Json(answer::Keys::of(&key_counts(store, keep, index)?)).into_response())
    }
    let kept = app.keep.clone();
    find(app, move |telemetry| match signal.as_str() {
        "spans" => of(telemetry.traces(), kept.as_deref(), &index),
        "logs" => of(telemetry.logs(), kept.as_deref(), &index),
        "metrics" => of(telemetry.metrics(), kept.as_deref(), &index),
        other => Err(Problem::NotFound(format!(
            "there is no signal {other}; there are spans, logs and metrics"
        ))),
    })
    .await
}
