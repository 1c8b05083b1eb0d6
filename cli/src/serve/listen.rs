//! Connections: so many at once, each with so much time for its headers, and none cut off while it is answered.

use super::timed::Timed;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

#[derive(Clone, Copy)]
pub struct Limits {
    pub connections: usize,
    pub timeout: Duration,
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
        .max_concurrent_streams(128)
        .max_header_list_size(64 << 10);
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    loop {
        // Further peers wait in the system's queue.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.expect("it is never closed"),
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
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
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(routes.clone());
        let connection = builder
            .serve_connection_with_upgrades(TokioIo::new(Timed::new(stream, limits.timeout)), service)
            .into_owned();
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
