//! `slipring serve`: OTLP in over gRPC and HTTP, answers out over HTTP.

mod api;
mod app;
mod ask;
mod budget;
mod condition;
mod given;
mod grpc;
mod listen;
mod otlp;
mod own;
mod peer;
mod socket;
mod tail;
mod timed;

use crate::text::counted;
use crate::{End, Fallible, Keeping, USUAL};
use app::App;
use axum::Router;
use clap::Args;
use slipring::Telemetry;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Takes OTLP from clients into memory, and answers questions about it.
///
/// OTLP/gRPC on port 4317, OTLP/HTTP (protobuf and JSON, plain or gzip) and the query API on port 4318, on this machine only unless told
/// otherwise. A full store evicts its oldest records and never refuses a sender; where more comes in at once than may, the
/// answer is the protocol's retryable one. SIGINT or SIGTERM stops: requests under way are answered before.
///
/// Memory beside what the stores keep: up to twice `--max-in-flight` for requests as they come in; for each of two requests a core that
/// are being decoded `--max-body`, up to sixteen times that if they are lists of nothing in JSON, and up to two hundred times
/// `--max-record-bytes`; as long as they are not read, sixteen answers, each with its records and their JSON, at most those of a full
/// store, and sixteen tails, each with up to thirty times `--max-record-bytes`; and some buffers for each connection, 128 KiB or 16 KiB
/// for each of a hundred streams.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where OTLP/gRPC is taken
    #[arg(long, env = "SLIPRING_GRPC", default_value = "127.0.0.1:4317", value_name = "ADDRESS")]
    grpc: SocketAddr,
    /// Where OTLP/HTTP is taken and questions are answered
    #[arg(long, env = "SLIPRING_HTTP", default_value = "127.0.0.1:4318", value_name = "ADDRESS")]
    http: SocketAddr,
    /// The largest request in bytes, packed or not
    #[arg(long, env = "SLIPRING_MAX_BODY", default_value_t = 16 << 20, value_name = "BYTES")]
    max_body: usize,
    /// Bytes of requests that may be under way at once; beyond that, senders are asked to come back
    #[arg(long, env = "SLIPRING_MAX_IN_FLIGHT", default_value_t = 256 << 20, value_name = "BYTES")]
    max_in_flight: usize,
    /// Connections that may be open at once, on each port; further ones take the places of those that are idle, or wait
    #[arg(long, env = "SLIPRING_MAX_CONNECTIONS", default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Seconds in which a sender has to finish its request
    #[arg(long, env = "SLIPRING_TIMEOUT", default_value = "10", value_name = "SECONDS", value_parser = crate::seconds)]
    timeout: Duration,
    #[command(flatten)]
    keeping: Keeping,
}

pub fn run(arguments: &Arguments) -> Fallible<End> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SLIPRING_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let telemetry = arguments.keeping.build(USUAL)?;
    if arguments.max_in_flight < arguments.max_body {
        let (body, all) = (arguments.max_body, arguments.max_in_flight);
        return Err(format!("--max-in-flight {all} leaves no room for one request of --max-body {body}").into());
    }
    // Both listeners' connections, and what else is open.
    let wanted = 2 * u64::from(arguments.max_connections) + 128;
    let allowed = rlimit::increase_nofile_limit(wanted).unwrap_or(0);
    if (1..wanted).contains(&allowed) {
        tracing::warn!(
            "the system allows {allowed} open files; {wanted} would be needed for --max-connections on both ports"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let app = Arc::new(App::new(telemetry, arguments.max_body, arguments.max_in_flight, arguments.timeout));
    runtime.block_on(serve(arguments, &app))?;
    // Whoever still decodes is let finish.
    runtime.shutdown_timeout(arguments.timeout);
    let stats = app.telemetry.stats();
    app.telemetry.shutdown()?;
    let taken = [&stats.traces, &stats.logs, &stats.metrics].map(|stats| stats.offered - stats.rejected.total());
    let [spans, logs, points] = taken;
    let taken = [counted(spans, "span"), counted(logs, "log record"), counted(points, "metric point")];
    tracing::info!("stopped after {}", taken.join(", "));
    Ok(End::Well)
}

/// What is taken and answered over HTTP.
fn routes(app: Arc<App>, stopped: watch::Receiver<bool>) -> Router {
    Router::new()
        .merge(otlp::routes())
        .merge(api::routes())
        .merge(tail::routes(stopped))
        .merge(own::routes())
        .fallback(own::not_found)
        .with_state(app)
}

/// With its default limits.
fn by_itself(telemetry: Telemetry) -> Arc<App> {
    Arc::new(App::new(telemetry, 16 << 20, 256 << 20, Duration::from_secs(10)))
}

/// The same without sockets, for the fuzzer.
pub fn over_http(telemetry: Telemetry) -> Router {
    // Told to stop by nobody.
    let (_, stopped) = watch::channel(false);
    routes(by_itself(telemetry), stopped)
}

/// What is taken over gRPC, without sockets.
pub fn over_grpc(telemetry: Telemetry) -> Router {
    grpc::routes().with_state(by_itself(telemetry))
}

async fn serve(arguments: &Arguments, app: &Arc<App>) -> Fallible<()> {
    let bind = |address: SocketAddr, what: &'static str| async move {
        TcpListener::bind(address).await.map_err(|error| format!("{what} on {address}: {error}"))
    };
    let grpc = bind(arguments.grpc, "OTLP/gRPC").await?;
    let http = bind(arguments.http, "OTLP/HTTP").await?;
    let (stop, stopped) = watch::channel(false);
    let limits = listen::Limits { connections: arguments.max_connections, timeout: arguments.timeout };
    let (grpc_at, http_at) = (grpc.local_addr()?, http.local_addr()?);
    let of_http = routes(Arc::clone(app), stopped.clone());
    let of_grpc = grpc::routes().with_state(Arc::clone(app));
    let servers = [
        tokio::spawn(listen::run(grpc, of_grpc, limits, stopped.clone())),
        tokio::spawn(listen::run(http, of_http, limits, stopped)),
    ];
    tracing::info!("OTLP/gRPC on {grpc_at}, OTLP/HTTP and questions on http://{http_at}");
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {},
        _ = terminate.recv() => {},
    }
    tracing::info!("stopping; requests under way are answered");
    app.stop();
    let _ = stop.send(true);
    for server in servers {
        server.await?;
    }
    Ok(())
}
