//! How fast stores take requests with an archive behind them, and without; with its log, and without.
//!
//! `cargo run --release -p slipring-archive --example ingest -- FOLDER [SECONDS [ROUNDS [RECORDS]]]`
//!
//! The modes take turns, for so many seconds each (3), in so many rounds (3). With RECORDS, no more than
//! so many records a second are sent. The requests are the shop's, in protobuf, and one thread sends them.

use slipring::otlp::{Encoding, Kind, encode};
use slipring::{Telemetry, otlp::Request};
use slipring_archive::{Archive, LogSettings, LogSync, Place, Settings};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

/// A request as it is sent, and its records.
type Body = (Kind, bytes::Bytes, u64);

fn bodies() -> Vec<Body> {
    let mut shop = shop::Shop::new(7);
    let mut bodies: Vec<Body> = Vec::new();
    let mut waiting = Request::default();
    for number in 0..20_000 {
        let shop::Request { spans, logs } = shop.request();
        waiting.spans.extend(spans);
        waiting.logs.extend(logs);
        // As an SDK's batches: some hundred records each.
        if waiting.spans.len() >= 200 {
            let Request { spans, logs, .. } = std::mem::take(&mut waiting);
            let body = encode(&spans, Encoding::Protobuf);
            bodies.push((Kind::Traces, body.into(), spans.len() as u64));
            let body = encode(&logs, Encoding::Protobuf);
            bodies.push((Kind::Logs, body.into(), logs.len() as u64));
        }
        if number % 200 == 0 {
            let points = shop.metrics();
            let body = encode(&points, Encoding::Protobuf);
            bodies.push((Kind::Metrics, body.into(), points.len() as u64));
        }
    }
    bodies
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Without,
    Files,
    LogByTime,
    LogEach,
}

const MODES: [(Mode, &str); 4] = [
    (Mode::Without, "without"),
    (Mode::Files, "files"),
    (Mode::LogByTime, "files and log, synced each second"),
    (Mode::LogEach, "files and log, synced at each write"),
];

/// What one run gave.
#[derive(Clone, Copy, Default)]
struct Run {
    sent: f64,
    /// Of what left the stores while it was sent, the part that was lost.
    lost: f64,
    /// Records that left the stores and were not lost, a second.
    kept: f64,
}

fn run(
    folder: &Path,
    bodies: &[Body],
    mode: Mode,
    length: Duration,
    most: f64,
) -> Result<Run, Box<dyn Error>> {
    let telemetry = Telemetry::builder().traces(10_000).logs(10_000).metrics(10_000).build()?;
    let files = tempfile::tempdir_in(folder)?;
    let mut settings = Settings::default();
    let path = files.path().join("log");
    let mut log = LogSettings::new(path);
    match mode {
        Mode::LogByTime => settings.log = Some(log),
        Mode::LogEach => {
            log.sync = LogSync::EachWrite;
            settings.log = Some(log);
        }
        _ => {}
    }
    let path = files.path().join("files");
    let place = Place::open(path.to_str().ok_or("the folder's name is no text")?)?;
    let archive = match mode {
        Mode::Without => None,
        _ => Some(Archive::start(&telemetry, place, &settings)?),
    };
    let began = Instant::now();
    let mut sent = 0;
    for (kind, body, records) in bodies.iter().cycle() {
        if began.elapsed() >= length {
            break;
        }
        telemetry.ingest(*kind, Encoding::Protobuf, body.clone())?;
        sent += records;
        let due = Duration::from_secs_f64(sent as f64 / most);
        if let Some(early) = due.checked_sub(began.elapsed()) {
            std::thread::sleep(early);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut run = Run { sent: sent as f64 / seconds, ..Run::default() };
    if let Some(archive) = &archive {
        let stats = archive.stats();
        run.lost = stats.lost.total() as f64 / stats.evicted.max(1) as f64;
        run.kept = (stats.evicted - stats.lost.total()) as f64 / seconds;
        let stats = archive.finish()?;
        assert_eq!(
            stats.evicted + stats.drained,
            stats.written + stats.left + stats.lost.total(),
            "{stats:?}"
        );
    }
    Ok(run)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("give a folder to write to")?;
    let mut number = |default: f64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (seconds, rounds, most) = (number(3.0)?, number(3.0)? as usize, number(f64::INFINITY)?);
    let bodies = bodies();
    let records: u64 = bodies.iter().map(|body| body.2).sum();
    let bytes: usize = bodies.iter().map(|body| body.1.len()).sum();
    println!("{records} records in {} requests, {bytes} bytes, again and again", bodies.len());
    let mut all = vec![Vec::new(); MODES.len()];
    for _ in 0..rounds {
        for (at, (mode, _)) in MODES.iter().enumerate() {
            let length = Duration::from_secs_f64(seconds);
            all[at].push(run(Path::new(&folder), &bodies, *mode, length, most)?);
        }
    }
    let median = |runs: &[Run], of: fn(&Run) -> f64| {
        let mut figures: Vec<f64> = runs.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let without = median(&all[0], |run| run.sent);
    for (runs, (_, name)) in all.iter().zip(MODES) {
        let sent = median(runs, |run| run.sent);
        println!(
            "{name:36} {sent:>9.0} records/s sent, {:.2} of without; {:>8.0} records/s kept, {:>4.1} % lost",
            sent / without,
            median(runs, |run| run.kept),
            100.0 * median(runs, |run| run.lost),
        );
    }
    Ok(())
}
