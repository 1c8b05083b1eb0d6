//! `slipring sample`: stands between senders and a backend, and forwards the traces that its
//! policies keep.

mod figures;
mod server;

use crate::receive::signals::{Asked, Signals};
use crate::{End, Fallible, units};
use clap::Args;
use slipring_sampling::forward::{Endpoint, ForwardSettings, Forwarder, Sending};
use slipring_sampling::{Sampler, Settings, config};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Forwards the traces that policies keep, and drops the others.
///
/// Takes spans as OTLP over gRPC and HTTP on both addresses, holds each trace until it is decided,
/// and sends what is kept to the backend. `GET /metrics` tells where every span went. SIGHUP reads
/// the file again; if that is wrong, the old settings stay. SIGINT or SIGTERM decides about what is
/// there, sends it, and stops. For more than one machine, let the Collector's load balancing
/// exporter send each trace to one of several by its id.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The file with the limits and policies, in TOML
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where kept traces go: grpc://host:4317, or http://host:4318 with or without a path
    #[arg(long, value_name = "ENDPOINT")]
    to: Endpoint,
    /// Where OTLP/gRPC is taken
    #[arg(long, default_value = "127.0.0.1:4317", value_name = "ADDRESS")]
    grpc: SocketAddr,
    /// Where OTLP/HTTP is taken, and `GET /metrics` answered
    #[arg(long, default_value = "127.0.0.1:4318", value_name = "ADDRESS")]
    http: SocketAddr,
    /// The largest request in bytes, packed or not
    #[arg(long, default_value = "16M", value_name = "BYTES", value_parser = units::some_bytes)]
    max_body: usize,
    /// Bytes of kept spans that may wait for the backend; what does not fit is lost, and counted
    #[arg(long, default_value = "64M", value_name = "BYTES", value_parser = units::some_bytes)]
    max_waiting: usize,
}

/// What all requests share.
struct Shared {
    sampler: Mutex<Sampler>,
    forwarder: Forwarder,
    max_body: usize,
}

impl Shared {
    fn sampler(&self) -> MutexGuard<'_, Sampler> {
        // A sampler is intact after a panic.
        self.sampler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often decisions are looked for.
const TICK: Duration = Duration::from_millis(50);

/// How long the backend has for the last spans when the program stops.
const LAST: Duration = Duration::from_secs(10);

fn settings(file: &Path) -> Fallible<Settings> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(config::read(&text).map_err(|error| format!("{}: {error}", file.display()))?)
}

pub fn run(arguments: &Arguments) -> Fallible<End> {
    let sampler = Sampler::new(&settings(&arguments.config)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(arguments, sampler));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn serve(arguments: &Arguments, sampler: Sampler) -> Fallible<End> {
    let mut forward = ForwardSettings::to(arguments.to.clone());
    forward.max_bytes = arguments.max_waiting;
    let (forwarder, sending) = Forwarder::start(forward);
    let sampler = Mutex::new(sampler);
    let shared = Arc::new(Shared { sampler, forwarder, max_body: arguments.max_body });
    let mut signals = Signals::listen(true)?;
    for address in [arguments.grpc, arguments.http] {
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = listener.map_err(|error| format!("{address}: {error}"))?;
        eprintln!("slipring: takes OTLP on {}", listener.local_addr()?);
        let app = server::routes(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
    }
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                shared.sampler().advance(Instant::now(), &mut shared.forwarder.clone());
            }
            asked = signals.next() => match asked {
                Asked::Reload => reload(&arguments.config, &shared),
                Asked::Stop => break,
            },
        }
    }
    stop(&shared, sending).await;
    Ok(End::Well)
}

fn reload(file: &Path, shared: &Shared) {
    let reloaded = settings(file).and_then(|settings| Ok(shared.sampler().reload(&settings)?));
    match reloaded {
        Ok(()) => eprintln!("slipring: read {} again", file.display()),
        Err(error) => eprintln!("slipring: the old settings stay: {error}"),
    }
}

/// Decides about what is there, sends it, and tells where every span went.
async fn stop(shared: &Shared, sending: Sending) {
    shared.sampler().flush(Instant::now(), &mut shared.forwarder.clone());
    let forwarded = sending.finish(LAST).await;
    let stats = shared.sampler().stats();
    eprintln!(
        "slipring: of {} spans, {} were kept and {} sampled out; the backend took {} and rejected {}, {} were lost",
        stats.received,
        stats.kept().spans,
        stats.sampled_out().spans,
        forwarded.sent,
        forwarded.refused,
        forwarded.lost_full + forwarded.lost_failed,
    );
}
