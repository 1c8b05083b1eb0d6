//! A live tail: sends new records that match a query as server-sent events.

use super::api::Problem;
use super::app::App;
use super::ask::{Asked, Asking};
use super::given::Given;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt};
use serde_json::json;
use slipring::error::WaitError;
use slipring::store::Follower;
use slipring::{Store, Telemetry};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Maximum records per batch. They stay in memory while their client does not read.
const AT_A_TIME: usize = 4;

/// Interval at which a tail checks whether its client is still connected.
const LOOK: Duration = Duration::from_millis(200);

/// Each record an event; `missed` says how many were evicted before this client got to them. It
/// ends when the server stops.
pub async fn tail<T: Asking>(
    State(app): State<Arc<App>>,
    given: Given,
    store: fn(&Telemetry) -> &Store<T>,
    stopped: watch::Receiver<bool>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let asked = Asked::read::<T>(&given.read()?, &[]).map_err(Problem::Bad)?;
    let Ok(place) = Arc::clone(&app.tails).try_acquire_owned() else { return Err(Problem::Busy) };
    let follower =
        store(&app.telemetry).follow(move |query| asked.conditions(query).limit(AT_A_TIME))?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        follow(follower, &sender, &stopped);
    });
    let events = futures::stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    });
    Ok(Sse::new(events.map(Ok)).keep_alive(KeepAlive::default()))
}

/// Sends what comes in until the client has gone or the server stops; on a thread that may wait,
/// and compare for long.
fn follow<T: Asking>(
    mut follower: Follower<T>,
    events: &mpsc::Sender<Event>,
    stopped: &watch::Receiver<bool>,
) {
    while !events.is_closed() && !*stopped.borrow() {
        match follower.recv_timeout(LOOK) {
            Ok(None) | Err(WaitError::Reentrant) => return,
            // The wait timed out without a new record.
            Err(_) => {}
            Ok(Some(news)) => {
                let missed = (news.report.missed > 0)
                    .then(|| Event::default().event("missed").data(news.report.missed.to_string()));
                // Each is written when the one before it has been taken.
                let record =
                    |(&position, record): (_, &T)| {
                        let told = serde_json::to_string(&record.alone(position));
                        Event::default().data(told.unwrap_or_else(|error| {
                            json!({ "error": error.to_string() }).to_string()
                        }))
                    };
                let records = news.positions.iter().zip(&news.records).map(record);
                for mut event in missed.into_iter().chain(records) {
                    // A client that does not read must not keep a server from stopping.
                    while let Err(refused) = events.try_send(event) {
                        match refused {
                            mpsc::error::TrySendError::Full(again) if !*stopped.borrow() => {
                                event = again
                            }
                            _ => return,
                        }
                        std::thread::sleep(LOOK / 20);
                    }
                }
            }
        }
    }
}
