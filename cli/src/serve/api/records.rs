//! Records, and how many there are.

use super::find::find;
use super::problem::Problem;
use crate::answer;
use crate::serve::app::App;
use crate::serve::ask::{Asked, Asking, MOMENT, PAGING, token};
use crate::serve::given::Given;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use slipring::otlp::Encoding;
use slipring::{Store, Telemetry};
use std::sync::Arc;

/// The store of a signal.
pub type StoreOf<T> = fn(&Telemetry) -> &Store<T>;

/// What records are asked for by, beside conditions.
pub const OF_RECORDS: [&str; 5] = [PAGING[0], PAGING[1], PAGING[2], PAGING[3], MOMENT];

/// Answers with records.
pub async fn records<T: Asking>(
    State(app): State<Arc<App>>,
    given: Given,
    store: StoreOf<T>,
) -> Result<Response, Problem> {
    let asked = Asked::read::<T>(&given.read()?, &OF_RECORDS).map_err(Problem::Bad)?;
    find(app, move |telemetry| {
        let answer = asked.page(store(telemetry).query()).collect()?;
        if asked.otlp {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            return Ok((kind, answer.to_otlp(Encoding::Json)).into_response());
        }
        let next = answer.report.next.as_ref().map(token).transpose();
        let next = next.map_err(|error| Problem::Failed(error.to_string()))?;
        // Written as it is, not by way of values, which would take its bytes several times.
        Ok(Json(T::answer(&answer, next)).into_response())
    })
    .await
}

/// Answers how many records there are.
pub async fn count<T: Asking>(
    State(app): State<Arc<App>>,
    given: Given,
    store: StoreOf<T>,
) -> Result<Response, Problem> {
    let asked = Asked::read::<T>(&given.read()?, &[MOMENT]).map_err(Problem::Bad)?;
    find(app, move |telemetry| {
        let count = asked.conditions(store(telemetry).query()).count()?;
        Ok(Json(answer::Count { count }))
    })
    .await
}
