//! Answers questions on threads that may take their time, only so many at once.

use super::problem::Problem;
use crate::serve::app::App;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use slipring::Telemetry;
use std::sync::Arc;
use std::time::Duration;

/// Finds an answer on a thread that may block. An answer keeps its place until it has been read, so
/// that only so many are in memory.
pub async fn find<R: IntoResponse>(
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
