//! `slipring serve`: takes OTLP over gRPC and HTTP, and answers queries over HTTP.

mod api;
mod app;
#[cfg(feature = "archive")]
mod archive;
mod arrivals;
mod ask;
mod condition;
mod dialect;
mod figures;
mod given;
pub mod health;
mod history;
pub mod holdings;
mod jaeger;
mod keep;
pub mod open;
mod page;
mod past;
mod tail;

use crate::receive::signals::{Asked, Signals};
use crate::receive::{Access, Bounds, Guard, Intake, Listening, Receiving, log};
use crate::text::{counted, mebibytes};
use crate::{End, Fallible, Keeping, USUAL, receive, units};
use app::App;
use axum::Router;
use clap::Args;
use slipring::Telemetry;
use slipring::telemetry::TelemetryStats;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Takes OTLP from clients into memory, and answers questions about it, also on a page for
/// browsers.
///
/// OTLP/gRPC on port 4317, OTLP/HTTP (protobuf and JSON, plain or packed by gzip, deflate or zstd)
/// and the query API on port 4318, on this machine only unless told otherwise. A full store evicts
/// its oldest records and never refuses a sender; where more comes in at once than may, the answer
/// is the protocol's retryable one. SIGINT or SIGTERM stops: requests under way are answered
/// before.
///
/// Memory beside what the stores keep: up to twice `--max-in-flight` for requests as they come in;
/// for each of two requests a core that are being decoded `--max-body`, twice that if they are
/// packed twice, 8 MiB more if by zstd, up to eight times that if they are lists of numbers in
/// JSON, and up to two hundred times `--max-record-bytes`; as long as they are not read, sixteen
/// answers, each with its records and their JSON, at most those of a full store, and sixteen tails,
/// each with up to thirty times `--max-record-bytes`; with `--metric-history`, a quarter of it and
/// 4 MiB for points that are on their way, and for each answer about series as much, a third of it
/// more, and points from it of up to its own bytes or 64 MiB if that is more; and some buffers
/// for each connection, 128 KiB or 33 KiB for each of a hundred streams. With `--keep`, what its
/// file allows, and 20 MB for what lists that are read page by page have shown.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    receiving: Receiving,
    #[command(flatten)]
    dialects: dialect::Dialects,
    #[command(flatten)]
    files: holdings::Files,
    #[command(flatten)]
    keeping: Keeping,
    /// Keeps traces whole beyond what the stores hold. The file has the policies that choose them,
    /// and the limits, as `sample --config` has them, and in a table [kept] how many, how large and
    /// how long; read again on SIGHUP
    #[arg(long, env = "SLIPRING_KEEP", value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Keeps metric points that leave their store, compressed, in up to this many bytes more, such
    /// as 64M; series are answered from both. Summaries and exemplars are not kept
    #[arg(long, env = "SLIPRING_METRIC_HISTORY", value_name = "BYTES", help_heading = "What is kept", value_parser = units::some_bytes)]
    metric_history: Option<usize>,
    #[cfg(feature = "archive")]
    #[command(flatten)]
    archive: archive::Filing,
}

pub fn run(arguments: &Arguments) -> Fallible<End> {
    let filter = log::filter()?;
    let arrivals = arrivals::Arrivals::new();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(arrivals.clone())
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let receiving = &arguments.receiving;
    let dialects = arguments.dialects.asked_for();
    let further: Vec<_> = dialects.iter().map(|one| (one.flag, one.address)).collect();
    let guard = receiving.guard(&further)?;
    let telemetry = arguments.keeping.build(USUAL)?;
    let slots = mebibytes(arguments.keeping.slots(USUAL));
    tracing::info!(
        "the stores take up to {slots} for slots and indexes, and what their records hold beside"
    );
    let of_store = arguments.keeping.max_bytes;
    let history = arguments.metric_history.map(|bytes| history::start(&telemetry, bytes, of_store));
    let history = history.transpose()?;
    let saving = arguments.files.saving()?;
    // Before anything is loaded, which may evict.
    #[cfg(feature = "archive")]
    let archive = arguments.archive.start(&telemetry)?;
    arguments.files.load(&telemetry)?;
    #[cfg(feature = "archive")]
    let loaded = taken(&telemetry.stats());
    let most = arguments.keeping.max_record_bytes;
    let keep = arguments.keep.as_deref().map(|file| keep::Keep::by(file, most, &telemetry));
    let keep = keep.transpose()?.map(Arc::new);
    receiving.allow_files(further.len());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let access = receiving.access(&guard);
    let mut app = App::new(telemetry, keep, receiving.bounds(), access);
    app.history = history;
    #[cfg(feature = "archive")]
    {
        app.archive = archive;
    }
    let app = Arc::new(app);
    let counting = runtime.spawn(arrivals.clone().count(Arc::clone(&app)));
    let served = runtime.block_on(serve(receiving, &dialects, &app, &guard));
    counting.abort();
    arrivals.clear();
    // Lets requests that are still being decoded finish.
    runtime.shutdown_timeout(receiving.timeout);
    let stats = app.telemetry.stats();
    let saved = served.and_then(|()| {
        let Some(saving) = &saving else { return Ok(false) };
        let kept = app.keep.as_deref().map(keep::Keep::finish);
        holdings::save(saving, &app.telemetry, kept.unwrap_or_default())?;
        Ok(true)
    });
    #[cfg(feature = "archive")]
    if let Some(archive) = &app.archive {
        // What could not be saved goes into the history, unless it is but what was loaded.
        let is_elsewhere = match &saved {
            Ok(is_saved) => *is_saved,
            Err(_) => taken(&stats) == loaded,
        };
        let finished = archive::finish(archive, is_elsewhere);
        match (&saved, finished) {
            (Err(_), Err(error)) => tracing::error!("the history: {error}"),
            (_, finished) => finished?,
        }
    }
    saved?;
    app.telemetry.shutdown()?;
    let [spans, logs, points] = taken(&stats);
    let taken =
        [counted(spans, "span"), counted(logs, "log record"), counted(points, "metric point")];
    tracing::info!("stopped after {}", taken.join(", "));
    Ok(End::Well)
}

/// Returns how many spans, log records and metric points the stores have taken.
fn taken(stats: &TelemetryStats) -> [u64; 3] {
    [&stats.traces, &stats.logs, &stats.metrics].map(|stats| stats.offered - stats.rejected.total())
}

/// Returns what is answered over HTTP beside OTLP: questions, figures and the page.
fn answers(app: Arc<App>, stopped: watch::Receiver<bool>) -> Router<Arc<Intake>> {
    Router::new()
        .merge(api::routes(stopped))
        .merge(figures::routes())
        .merge(page::routes())
        .with_state(app)
}

/// Returns the routes of the HTTP port.
fn routes(app: Arc<App>, stopped: watch::Receiver<bool>) -> Router {
    receive::over_http(Arc::clone(&app.intake), answers(app, stopped))
}

/// Returns the server's state with default limits.
fn by_itself(telemetry: Telemetry) -> Arc<App> {
    let (max_body, max_in_flight, timeout) = (16 << 20, 256 << 20, Duration::from_secs(10));
    let bounds = Bounds { max_body, max_in_flight, timeout };
    Arc::new(App::new(telemetry, None, bounds, Access::default()))
}

/// Returns the HTTP routes without sockets, for the fuzzer.
pub fn over_http(telemetry: Telemetry) -> Router {
    // Nothing ever sends on this channel.
    let (_, stopped) = watch::channel(false);
    routes(by_itself(telemetry), stopped)
}

/// Returns the gRPC routes without sockets, for the fuzzer.
pub fn over_grpc(telemetry: Telemetry) -> Router {
    receive::over_grpc(Arc::clone(&by_itself(telemetry).intake))
}

/// Waits until a signal asks to stop.
async fn asked_to_stop(mut signals: Signals) {
    while let Asked::Reload = signals.next().await {}
}

async fn serve(
    receiving: &Receiving,
    dialects: &[dialect::Dialect],
    app: &Arc<App>,
    guard: &Guard,
) -> Fallible<()> {
    let mut listening = Listening::bind(receiving).await?;
    for dialect in dialects {
        listening.also_bind(dialect.name, dialect.flag, dialect.address).await?;
    }
    let mut signals = Signals::listen(guard.has_files() || app.keep.is_some())?;
    let [_, http] = listening.addresses()?;
    let others = |stopped| answers(Arc::clone(app), stopped);
    let further = dialects.iter().map(|one| (one.routes)().with_state(Arc::clone(app))).collect();
    let serving = listening.serve(Arc::clone(&app.intake), guard, others, further).await?;
    if app.keep.is_some() {
        tokio::spawn(keep::advance(Arc::clone(app)));
    }
    let has_tls = guard.certificate.is_some();
    tracing::info!("the page is at {}", page::address(http, has_tls));
    while let Asked::Reload = signals.next().await {
        if guard.has_files() {
            guard.reload();
        }
        match app.keep.as_deref().map(keep::Keep::reload) {
            Some(Ok(())) => tracing::info!("the file of --keep was read again"),
            Some(Err(error)) => tracing::error!("not read again: {error}"),
            None => {}
        }
    }
    serving.stop().await
}
