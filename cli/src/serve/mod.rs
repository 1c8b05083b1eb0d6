//! `slipring serve`: takes OTLP over gRPC and HTTP, and answers queries over HTTP.

pub mod address;
mod api;
mod app;
mod arrivals;
mod ask;
mod budget;
mod condition;
mod door;
mod exposed;
mod given;
mod grpc;
mod headers;
pub mod health;
mod history;
pub mod holdings;
mod line;
pub mod listen;
pub mod open;
mod otlp;
mod own;
mod page;
mod peer;
mod process;
mod reflection;
pub mod signals;
mod socket;
mod tail;
mod timed;
mod tls;
pub mod token;
mod unpack;
mod warnings;

use crate::text::{counted, mebibytes};
use crate::{End, Fallible, Keeping, USUAL, memory, units};
use app::App;
use axum::Router;
use axum::middleware::from_fn_with_state;
use clap::Args;
use slipring::Telemetry;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::ServiceExt;

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
/// 4 MiB for points that are on their way, and as much for each answer about series; and some
/// buffers for each connection, 128 KiB or 33 KiB for each of a hundred streams.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where OTLP/gRPC is taken: host:port, or a port of this machine; `:4317` is that port on all
    /// its addresses
    #[arg(long, env = "SLIPRING_GRPC", default_value = "127.0.0.1:4317", value_name = "ADDRESS", value_parser = address::grpc)]
    grpc: SocketAddr,
    /// Where OTLP/HTTP is taken and questions are answered
    #[arg(long, env = "SLIPRING_HTTP", default_value = "127.0.0.1:4318", value_name = "ADDRESS", value_parser = address::http)]
    http: SocketAddr,
    /// Origins whose pages may send and ask, such as https://ui.example.com; `loopback` for all
    /// pages of this machine
    #[arg(long, env = "SLIPRING_CORS", value_name = "ORIGIN", value_delimiter = ',', num_args = 1.., value_parser = door::origin)]
    cors: Vec<String>,
    /// Names by which this server may be called over HTTP, beside addresses, localhost and names of
    /// local networks; others are refused, so that no foreign page reaches it under a name of its
    /// own. With `--cors`, all are taken
    #[arg(long, env = "SLIPRING_ALLOW_HOST", value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    allow_host: Vec<String>,
    /// The largest request in bytes, packed or not
    #[arg(long, env = "SLIPRING_MAX_BODY", default_value = "16M", value_name = "BYTES", value_parser = units::some_bytes)]
    max_body: usize,
    /// Bytes of requests that may be under way at once; beyond that, senders are asked to come back
    #[arg(long, env = "SLIPRING_MAX_IN_FLIGHT", default_value = "256M", value_name = "BYTES", value_parser = units::some_bytes)]
    max_in_flight: usize,
    /// Connections that may be open at once, on each port; further ones take the places of those
    /// that are idle, or wait
    #[arg(long, env = "SLIPRING_MAX_CONNECTIONS", default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Seconds in which a sender has to finish its request
    #[arg(long, env = "SLIPRING_TIMEOUT", default_value = "10", value_name = "SECONDS", value_parser = units::seconds)]
    timeout: Duration,
    #[command(flatten)]
    guarding: Guarding,
    #[command(flatten)]
    files: holdings::Files,
    #[command(flatten)]
    keeping: Keeping,
    /// Keeps metric points that leave their store, compressed, in up to this many bytes more, such
    /// as 64M; series are answered from both. Summaries and exemplars are not kept
    #[arg(long, env = "SLIPRING_METRIC_HISTORY", value_name = "BYTES", help_heading = "What is kept", value_parser = units::some_bytes)]
    metric_history: Option<usize>,
}

/// What keeps strangers away.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who may send and ask")]
struct Guarding {
    /// File with the token that every request has to carry, as `authorization: Bearer TOKEN`; read
    /// again on SIGHUP. The variable SLIPRING_TOKEN may hold the token itself instead
    #[arg(long, env = "SLIPRING_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with the certificate for TLS on both ports, in PEM, the server's own first; read again
    /// on SIGHUP
    #[arg(long, env = "SLIPRING_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// File with the certificate's private key, in PEM
    #[arg(long, env = "SLIPRING_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listens beyond this machine though there is neither a token nor TLS
    #[arg(long, env = "SLIPRING_INSECURE", value_parser = clap::builder::BoolishValueParser::new())]
    insecure: bool,
}

pub fn run(arguments: &Arguments) -> Fallible<End> {
    let filter = log_filter(std::env::var("SLIPRING_LOG").unwrap_or_default().trim())?;
    let arrivals = arrivals::Arrivals::new();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(arrivals.clone())
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let guard = Guard::find(&arguments.guarding)?;
    let addresses = [("--grpc", arguments.grpc), ("--http", arguments.http)];
    exposed::check(addresses, guard.guards())?;
    let telemetry = arguments.keeping.build(USUAL)?;
    let slots = mebibytes(arguments.keeping.slots(USUAL));
    tracing::info!(
        "the stores take up to {slots} for slots and indexes, and what their records hold beside"
    );
    if arguments.max_in_flight < arguments.max_body {
        let (body, all) = (arguments.max_body, arguments.max_in_flight);
        return Err(format!(
            "--max-in-flight {all} leaves no room for one request of --max-body {body}"
        )
        .into());
    }
    let history = arguments.metric_history.map(|bytes| history::start(&telemetry, bytes));
    let history = history.transpose()?;
    let saving = arguments.files.saving()?;
    arguments.files.load(&telemetry)?;
    // Connections of both listeners, and 128 for other open files.
    let wanted = 2 * u64::from(arguments.max_connections) + 128;
    let allowed = open_files(wanted);
    if (1..wanted).contains(&allowed) {
        tracing::warn!(
            "the system allows {allowed} open files; {wanted} would be needed for --max-connections on both ports"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let access = door::Access {
        cors: arguments.cors.clone(),
        hosts: arguments.allow_host.clone(),
        token: guard.token.clone(),
    };
    let mut app =
        App::new(telemetry, arguments.max_body, arguments.max_in_flight, arguments.timeout);
    app.access = access;
    app.history = history;
    let app = Arc::new(app);
    let counting = runtime.spawn(arrivals.clone().count(Arc::clone(&app)));
    let served = runtime.block_on(serve(arguments, &app, &guard));
    counting.abort();
    arrivals.clear();
    served?;
    // Lets requests that are still being decoded finish.
    runtime.shutdown_timeout(arguments.timeout);
    let stats = app.telemetry.stats();
    if let Some(saving) = saving {
        holdings::save(&saving, &app.telemetry)?;
    }
    app.telemetry.shutdown()?;
    let taken = [&stats.traces, &stats.logs, &stats.metrics]
        .map(|stats| stats.offered - stats.rejected.total());
    let [spans, logs, points] = taken;
    let taken =
        [counted(spans, "span"), counted(logs, "log record"), counted(points, "metric point")];
    tracing::info!("stopped after {}", taken.join(", "));
    Ok(End::Well)
}

/// What guards the server: a token, TLS, both, or nothing.
struct Guard {
    token: Option<Arc<token::Token>>,
    certificate: Option<Arc<tls::Certificate>>,
    insecure: bool,
}

impl Guard {
    fn find(guarding: &Guarding) -> Fallible<Self> {
        let files = guarding.tls_cert.as_deref().zip(guarding.tls_key.as_deref());
        let certificate =
            files.map(|(chain, key)| tls::Certificate::read(chain, key)).transpose()?;
        let token = token::Token::find(guarding.token_file.as_deref())?;
        Ok(Self { token, certificate, insecure: guarding.insecure })
    }

    fn guards(&self) -> exposed::Guards {
        let (token, tls) = (self.token.is_some(), self.certificate.is_some());
        exposed::Guards { token, tls, insecure: self.insecure }
    }

    fn has_files(&self) -> bool {
        self.certificate.is_some() || self.token.as_ref().is_some_and(|token| token.has_file())
    }

    /// Reads the files again. What can't be read stays as it is.
    fn reload(&self) {
        let token = self.token.as_ref().map(|token| token.reload());
        let certificate = self.certificate.as_ref().map(|certificate| certificate.reload());
        let mut wrong = [token, certificate].into_iter().flatten().filter_map(Result::err);
        match wrong.next() {
            Some(wrong) => tracing::error!("not read again: {wrong}"),
            None => tracing::info!("the token's and the certificate's files were read again"),
        }
    }
}

/// Allows this process so many open files, if the system lets it. Returns how many it allows; 0
/// where that is not known.
#[cfg(unix)]
fn open_files(wanted: u64) -> u64 {
    rlimit::increase_nofile_limit(wanted).unwrap_or(0)
}

#[cfg(not(unix))]
fn open_files(_: u64) -> u64 {
    0
}

/// Parses the log filter: a level, or a level per target. Rejects a word that is neither, which
/// `EnvFilter` would accept as a target that does not exist.
fn log_filter(text: &str) -> Fallible<tracing_subscriber::EnvFilter> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = if text.is_empty() { "info" } else { text };
    let is_known = |one: &str| {
        one.contains('=')
            || one.contains('[')
            || LEVELS.contains(&one.to_ascii_lowercase().as_str())
    };
    let unknown = text.split(',').map(str::trim).find(|one| !one.is_empty() && !is_known(one));
    let wrong = |what: String| {
        format!(
            "SLIPRING_LOG={text}: {what}; give off, error, warn, info, debug or trace, or target=level"
        )
    };
    if let Some(unknown) = unknown {
        return Err(wrong(format!("{unknown:?} is no level")).into());
    }
    tracing_subscriber::EnvFilter::try_new(text).map_err(|error| wrong(error.to_string()).into())
}

/// Returns the routes of the HTTP port.
fn routes(app: Arc<App>, stopped: watch::Receiver<bool>) -> Router {
    let access = app.access.clone();
    let routes = Router::new()
        .merge(otlp::routes())
        .merge(api::routes(stopped))
        .merge(own::routes())
        .merge(page::routes())
        .fallback(own::not_found)
        .method_not_allowed_fallback(own::not_so)
        .layer(from_fn_with_state(Arc::clone(&app), token::only_bearers))
        .layer(from_fn_with_state(Arc::clone(&app), door::only_ours))
        .with_state(app);
    let routes = if access.cors.is_empty() { routes } else { routes.layer(door::cors(&access)) };
    // `tidy` must run before a route is chosen.
    Router::new()
        .fallback_service(routes.into_service::<axum::body::Body>().map_request(door::tidy))
}

/// Returns the server's state with default limits.
fn by_itself(telemetry: Telemetry) -> Arc<App> {
    Arc::new(App::new(telemetry, 16 << 20, 256 << 20, Duration::from_secs(10)))
}

/// Returns the HTTP routes without sockets, for the fuzzer.
pub fn over_http(telemetry: Telemetry) -> Router {
    // Nothing ever sends on this channel.
    let (_, stopped) = watch::channel(false);
    routes(by_itself(telemetry), stopped)
}

/// Returns the gRPC routes without sockets, for the fuzzer.
pub fn over_grpc(telemetry: Telemetry) -> Router {
    grpc::routes(by_itself(telemetry))
}

/// Returns the allocator's free memory to the system when no request is in flight any more.
async fn give_memory_back(app: Arc<App>) {
    const LOOK: Duration = Duration::from_secs(5);
    let mut before = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let requests = app.counts.all();
        if requests != before && app.in_flight() == 0 {
            before = requests;
            let _ = tokio::task::spawn_blocking(memory::give_back).await;
        }
    }
}

/// Waits until a signal asks to stop.
async fn asked_to_stop() -> Fallible<()> {
    let mut signals = signals::Signals::listen(false)?;
    while let signals::Asked::Reload = signals.next().await {}
    Ok(())
}

async fn serve(arguments: &Arguments, app: &Arc<App>, guard: &Guard) -> Fallible<()> {
    let bind = |address: SocketAddr, what: &'static str| async move {
        TcpListener::bind(address).await.map_err(|error| format!("{what} on {address}: {error}"))
    };
    let grpc = bind(arguments.grpc, "OTLP/gRPC").await?;
    let http = bind(arguments.http, "OTLP/HTTP").await?;
    let mut signals = signals::Signals::listen(guard.has_files())?;
    let tls = guard.certificate.as_ref().map(tls::Certificate::acceptor).transpose()?;
    let has_tls = tls.is_some();
    let (stop, stopped) = watch::channel(false);
    let limits =
        listen::Limits { connections: arguments.max_connections, timeout: arguments.timeout };
    let (grpc_at, http_at) = (grpc.local_addr()?, http.local_addr()?);
    let of_http = routes(Arc::clone(app), stopped.clone());
    let _ = app.listens.set([grpc_at, http_at]);
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in ["", grpc::TRACES, grpc::LOGS, grpc::METRICS] {
        health.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    }
    let of_grpc = grpc::routes(Arc::clone(app))
        .route_service("/grpc.health.v1.Health/{method}", health_service);
    let tell = {
        let app = Arc::clone(app);
        move |from, wrong| {
            let wrong = match wrong {
                listen::Wrong::NoHttp(wrong) => wrong,
                listen::Wrong::Request(refusal) => {
                    app.refuse(refusal, Some(from));
                    return;
                }
            };
            let what = if has_tls {
                format!(
                    "this port speaks TLS: {wrong}; the sender is to be given https://, and to trust the certificate"
                )
            } else {
                format!(
                    "this is no HTTP: {wrong}; a sender that speaks TLS is to be given http://, not https://"
                )
            };
            app.refuse(app::Refusal::Malformed(what), Some(from));
        }
    };
    let [grpc, http] = [grpc, http].map(|listener| listen::Port { listener, tls: tls.clone() });
    let servers = [
        tokio::spawn(listen::run(grpc, of_grpc, limits, tell.clone(), stopped.clone())),
        tokio::spawn(listen::run(http, of_http, limits, tell, stopped)),
    ];
    tokio::spawn(give_memory_back(Arc::clone(app)));
    tracing::info!(
        "OTLP/gRPC on {grpc_at}, OTLP/HTTP and questions on {}://{http_at}",
        if has_tls { "https" } else { "http" }
    );
    tracing::info!("the page is at {}", page::address(http_at, has_tls));
    exposed::warn([grpc_at, http_at], guard.guards());
    while let signals::Asked::Reload = signals.next().await {
        guard.reload();
    }
    tracing::info!("stopping; requests under way are answered");
    app.stop();
    for service in ["", grpc::TRACES, grpc::LOGS, grpc::METRICS] {
        health.set_service_status(service, tonic_health::ServingStatus::NotServing).await;
    }
    let _ = stop.send(true);
    for server in servers {
        server.await?;
    }
    Ok(())
}
