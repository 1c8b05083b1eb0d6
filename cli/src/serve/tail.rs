//! A live tail: what comes in and is asked for, as server-sent events.

use super::api::{Given, Problem, parameters};
use super::ask::{Asked, Asking};
use super::take::App;
use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures::{Stream, StreamExt};
use serde_json::json;
use slipring::{LogRecord, MetricPoint, Span, Store, Telemetry};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::watch;

/// Records that come at a time, at the most.
const AT_A_TIME: usize = 64;

pub fn routes(stopped: watch::Receiver<bool>) -> Router<Arc<App>> {
    let (spans, logs, metrics) = (stopped.clone(), stopped.clone(), stopped);
    Router::new()
        .route("/api/tail/spans", get(|app, given| tail::<Span>(app, given, Telemetry::traces, spans)))
        .route("/api/tail/logs", get(|app, given| tail::<LogRecord>(app, given, Telemetry::logs, logs)))
        .route("/api/tail/metrics", get(|app, given| tail::<MetricPoint>(app, given, Telemetry::metrics, metrics)))
}

/// Each record an event; `missed` says how many were evicted before this client got to them. It ends when the server stops.
async fn tail<T: Asking + Unpin>(
    State(app): State<Arc<App>>,
    given: Given,
    store: fn(&Telemetry) -> &Store<T>,
    mut stopped: watch::Receiver<bool>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let asked = Asked::read::<T>(&parameters(given)?, &[]).map_err(Problem::Bad)?;
    let follower = store(&app.telemetry).follow(move |query| asked.conditions(query).limit(AT_A_TIME))?;
    let events = follower.flat_map(|news| {
        let missed =
            (news.report.missed > 0).then(|| Event::default().event("missed").data(news.report.missed.to_string()));
        let record = |(position, record): (&_, &_)| {
            let data = json!({ "position": position, "record": record });
            Event::default().data(data.to_string())
        };
        let records: Vec<Event> = news.positions.iter().zip(&news.records).map(record).collect();
        futures::stream::iter(missed.into_iter().chain(records).map(Ok))
    });
    let events = events.take_until(Box::pin(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }));
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}
