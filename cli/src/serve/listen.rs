//! Connections: so many at once, each with so much time for its headers, and none cut off while it is answered.

use super::timed::Timed;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// How long one that has begun to speak just then, or is slow to go, is waited for.
const MAKING_ROOM: Duration = Duration::from_millis(20);

#[derive(Clone, Copy)]
pub struct Limits {
    pub connections: usize,
    pub timeout: Duration,
}

/// A place for one more connection. Where there is none, who has been silent for longest makes room, and then the next; if all speak,
/// it takes until one has ended, and further peers wait in the system's queue. `None` if it is time to stop.
async fn place(
    places: &Arc<Semaphore>,
    silent: &mut VecDeque<oneshot::Sender<()>>,
    stopped: &mut watch::Receiver<bool>,
) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Some(place);
        }
        while silent.pop_front().is_some_and(|told| told.send(()).is_err()) {}
        tokio::select! {
            place = Arc::clone(places).acquire_owned() => return place.ok(),
            () = tokio::time::sleep(MAKING_ROOM) => {},
            _ = stopped.wait_for(|stopped| *stopped) => return None,
        }
    }
}

/// Serves until told to stop; then until what is under way has been answered, or the time for that is over.
pub async fn run(listener: TcpListener, routes: Router, limits: Limits, mut stopped: watch::Receiver<bool>) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        // A peer that is gone is found out.
        .keep_alive_interval(limits.timeout)
        .keep_alive_timeout(limits.timeout)
        // Not fewer: a client that has not been told yet opens as many, and takes a refusal for a failure (RFC 9113, 6.5.2).
        .max_concurrent_streams(100)
        // Headers cost many times their bytes once they are apart, and each stream has its own.
        .max_header_list_size(8 << 10);
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    // Those that have said nothing yet, the oldest first.
    let mut silent = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No file descriptor is left, or the peer has gone already: neither gets better by haste.
                tracing::warn!("a connection was not accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = place(&places, &mut silent, &mut stopped).await else { break };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(routes.clone());
        let (stream, told) = Timed::new(stream, limits.timeout);
        if silent.len() >= 2 * limits.connections {
            silent.retain(|told: &oneshot::Sender<()>| !told.is_closed());
        }
        silent.push_back(told);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still under way after {:?}, and are cut off", limits.timeout);
    }
}
