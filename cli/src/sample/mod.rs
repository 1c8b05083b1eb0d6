//! `slipring sample`: stands between senders and a backend, and forwards the traces that its
//! policies keep.

mod backend;
mod figures;
mod shared;
mod to;

use crate::receive::signals::{Asked, Signals};
use crate::receive::{About, Guard, Intake, Listening, Receiving, log};
use crate::text::{counted, in_one_line, printable};
use crate::{End, Fallible, units};
use backend::Backend;
use clap::Args;
use shared::Shared;
use slipring::otlp::Kind;
use slipring_sampling::forward::{ForwardSettings, ForwardStats, Forwarder, Sending};
use slipring_sampling::{Settings, config};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use to::To;

/// Forwards the traces that policies keep, and drops the others.
///
/// Takes spans as OTLP over gRPC and HTTP, as `serve` does, holds each trace until it is decided,
/// and sends what is kept to the backend. Logs and metrics are refused. `GET /metrics` tells where
/// every span went. SIGHUP reads the configuration again, the token and the certificate for senders, and
/// the files for the backend (`--to-…`), which connects anew; if one is wrong, what was read before stays.
/// SIGINT or SIGTERM decides about what is there, sends it within ten seconds, and stops, with exit
/// status 1 if kept spans were lost by then. For more than one machine, let the Collector's load
/// balancing exporter send each trace to one of several by its id.
///
/// Memory: `max_bytes` and `max_shared_bytes` of the file, 80 bytes for each of `remembered` and 220
/// for each of `max_traces`; `--max-waiting`, and 8 MiB for requests to the backend; and for
/// requests as they come in what `serve --help` says, with the file's `max_span_bytes` in place of
/// `--max-record-bytes`.
#[derive(Debug, Args)]
#[command(after_long_help = concat!(
    "Such a file is\n\n", include_str!("example.toml"),
    "\nTo try it on one machine:\n\n  \
     slipring serve --grpc 5317 --http 5318\n  \
     slipring sample --config sample.toml --to grpc://localhost:5317"))]
pub struct Arguments {
    /// The file with the limits and policies, in TOML; `--help` shows one
    #[arg(long, env = "SLIPRING_CONFIG", value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    backend: To,
    /// Bytes that kept spans may take until the backend has them; what does not fit is lost, and
    /// counted
    #[arg(long, env = "SLIPRING_MAX_WAITING", default_value = "64M", value_name = "BYTES", value_parser = units::some_bytes)]
    max_waiting: usize,
    #[command(flatten)]
    receiving: Receiving,
}

/// What peers are told of this program.
static ABOUT: About = About {
    kinds: &[Kind::Traces],
    others: "slipring sample takes spans only; send logs and metrics to their backend directly",
    questions: "GET /metrics tells where every span went",
    is_open: |_| false,
};

/// How often decisions are looked for.
const TICK: Duration = Duration::from_millis(50);

/// How often it is looked how the backend does.
const LOOK: Duration = Duration::from_secs(1);

/// How long the backend has for the last spans when the program stops.
const LAST: Duration = Duration::from_secs(10);

/// Reads the file, and checks what it says against the command line.
fn settings(file: &Path, max_waiting: usize) -> Fallible<Settings> {
    let wrong = |what: String| format!("--config {}: {}", file.display(), in_one_line(&what));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let settings = config::read(&text).map_err(|error| wrong(error.to_string()))?;
    let largest = settings.max_span_bytes;
    if max_waiting < largest {
        return Err(wrong(format!(
            "--max-waiting {max_waiting} leaves no room for one span of max_span_bytes, which is {largest}"
        ))
        .into());
    }
    Ok(settings)
}

pub fn run(arguments: &Arguments) -> Fallible<End> {
    tracing_subscriber::fmt()
        .with_env_filter(log::filter()?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let settings = settings(&arguments.config, arguments.max_waiting)?;
    let mut forward = arguments.backend.settings()?;
    forward.max_bytes = arguments.max_waiting;
    let guard = arguments.receiving.guard(&[])?;
    arguments.receiving.allow_files(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(arguments, &settings, forward, &guard));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn serve(
    arguments: &Arguments,
    settings: &Settings,
    forward: ForwardSettings,
    guard: &Guard,
) -> Fallible<End> {
    let (receiving, to) = (&arguments.receiving, forward.to.clone());
    let listening = Listening::bind(receiving).await?;
    if backend::is_one_of(&to, listening.addresses()?) {
        return Err(format!(
            "--to {to} is this program's own address; give the backend's, or other --grpc and --http"
        )
        .into());
    }
    let (forwarder, sending) = Forwarder::start(forward)?;
    let shared = Arc::new(Shared::new(settings, forwarder)?);
    let taking = Arc::clone(&shared);
    let take = Box::new(move |kind, encoding, message| taking.take(kind, encoding, message));
    let intake = Intake::new(take, &ABOUT, receiving.bounds(), receiving.access(guard));
    let mut signals = Signals::listen(true)?;
    let others = |_| figures::routes(Arc::clone(&shared));
    let serving = listening.serve(intake, guard, others, Vec::new()).await?;
    tracing::info!("kept traces go to {to}");
    let (mut tick, mut look) = (tokio::time::interval(TICK), tokio::time::interval(LOOK));
    let mut backend = Backend::default();
    loop {
        tokio::select! {
            _ = tick.tick() => shared.advance(Instant::now()),
            _ = look.tick() => backend.look(Instant::now(), &shared.forwarder.stats()),
            asked = signals.next() => match asked {
                Asked::Reload => reload(arguments, &shared, guard),
                Asked::Stop => break,
            },
        }
    }
    let before = lost(&shared.forwarder.stats());
    serving.stop().await?;
    let forwarded = stop(&shared, sending).await;
    Ok(if lost(&forwarded) > before { End::WithProblems } else { End::Well })
}

fn reload(arguments: &Arguments, shared: &Shared, guard: &Guard) {
    let read = settings(&arguments.config, arguments.max_waiting);
    match read.and_then(|settings| Ok(shared.reload(&settings)?)) {
        Ok(()) => tracing::info!("read {} again", arguments.config.display()),
        Err(error) => tracing::error!("the old settings stay: {error}"),
    }
    if guard.has_files() {
        guard.reload();
    }
    if arguments.backend.has_files() {
        let read = arguments.backend.settings();
        match read.and_then(|settings| Ok(shared.forwarder.renew(&settings)?)) {
            Ok(()) => {
                tracing::info!("read the files for the backend again; it is connected to anew")
            }
            Err(error) => tracing::error!("the backend's old files stay: {error}"),
        }
    }
}

/// Decides about what is there, sends it, and tells where every span went.
async fn stop(shared: &Shared, sending: Sending) -> ForwardStats {
    shared.flush(Instant::now());
    let forwarded = sending.finish(LAST).await;
    let stats = shared.sampler().stats();
    tracing::info!(
        "stopped after {}: {} kept, {} sampled out, {} evicted undecided, {} rejected; the backend took {} and \
         rejected {}, {} were lost",
        counted(stats.received, "span"),
        stats.kept().spans,
        stats.sampled_out().spans,
        stats.evicted.spans,
        stats.rejected_without_trace + stats.rejected_too_large,
        forwarded.sent,
        forwarded.refused,
        lost(&forwarded),
    );
    if let Some(losses) = losses(&forwarded) {
        tracing::warn!("{losses}");
    }
    forwarded
}

/// Returns the number of kept spans that were lost.
fn lost(forwarded: &ForwardStats) -> u64 {
    forwarded.lost_full + forwarded.lost_failed
}

/// Tells why kept spans were lost, if any were. What the backend says is made safe for a terminal.
fn losses(forwarded: &ForwardStats) -> Option<String> {
    let mut told = Vec::new();
    if forwarded.lost_failed > 0 {
        let why = forwarded.last_failure.as_deref().unwrap_or("it does not answer");
        let spans = counted(forwarded.lost_failed, "span");
        told.push(format!("the backend did not take {spans}: {}", printable(why)));
    }
    if forwarded.lost_full > 0 {
        let spans = counted(forwarded.lost_full, "span");
        told.push(format!("{spans} lost for want of room; if that lasts, raise --max-waiting"));
    }
    (!told.is_empty()).then(|| told.join("; "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_in_the_help_is_in_order() {
        let settings = super::config::read(include_str!("example.toml")).unwrap();
        assert_eq!(settings.policies.len(), 3);
    }

    #[test]
    fn losses_are_told_by_their_cause_and_safe_for_a_terminal() {
        let mut stats = super::ForwardStats::default();
        stats.last_failure = Some("Unavailable: \u{202e}\n".to_owned());
        assert_eq!(super::losses(&stats), None);
        stats.lost_full = 2;
        let room = "2 spans lost for want of room; if that lasts, raise --max-waiting";
        assert_eq!(super::losses(&stats).unwrap(), room);
        stats.lost_failed = 1;
        let failed = "the backend did not take 1 span: Unavailable: \\u{202e}\\n";
        assert_eq!(super::losses(&stats).unwrap(), format!("{failed}; {room}"));
    }
}
