//! `slipring demo`: the telemetry of a simulated shop, so that trying the program needs no file and
//! no client.

use crate::report::Report;
use crate::stop::Stop;
use crate::text::{printable, thousands, write_json};
use crate::units::seconds;
use crate::{End, Fallible, Keeping, USUAL, shown};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use shop::load::{self, Pool};
use shop::{Request, Shop};
use slipring::error::QueryError;
use slipring::otlp::{self, Encoding};
use slipring::store::Stats;
use slipring::{Severity, Telemetry};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Shows the stores at work with a simulated web shop
///
/// Four producers push the shop's spans, logs and metrics for some seconds while two readers query
/// them. Then the contents of the stores and the result of the audit are reported.
///
/// With `--write`, the shop's telemetry is written to a file instead, as OTLP/JSON lines, for
/// `replay` or any other reader.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Runs the producers for this long: seconds, or a time such as 1m
    #[arg(default_value = "5", value_name = "SECONDS", value_parser = seconds)]
    length: Duration,
    /// Writes the shop's telemetry to this file, such as shop.jsonl; `-` means standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["length", "json"])]
    write: Option<PathBuf>,
    /// Writes this many requests of the shop's customers, such as 100
    #[arg(long, value_name = "N", default_value_t = 500, requires = "write")]
    requests: usize,
    /// Writes the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    keeping: Keeping,
}

const PRODUCERS: u64 = 4;
const READERS: usize = 2;
/// The number of requests that each producer prepares before the run and then pushes repeatedly.
/// They are prepared because generating a record takes longer than storing it.
const PREPARED: u64 = 2_000;
/// The interval between two updates of the progress bar.
const LIVE: Duration = Duration::from_millis(250);

pub fn run(arguments: &Arguments) -> Fallible<End> {
    if let Some(path) = &arguments.write {
        return write(path, arguments.requests);
    }
    let telemetry = arguments.keeping.build(USUAL)?;
    let stop = Stop::listen()?;
    let pools = prepare(PRODUCERS, PREPARED)?;
    let (pushed, lookups) = ingest(&telemetry, &pools, arguments.length, &stop)?;
    telemetry.flush()?;
    let report = Report::of(&telemetry, None)?;
    let stats = telemetry.stats();
    let offered = [&stats.traces, &stats.logs, &stats.metrics].map(|stats| stats.offered);
    let out = &mut io::stdout().lock();
    if arguments.json {
        shown(write_json(out, &report))?;
    } else {
        let lookups = thousands(lookups);
        shown(
            report
                .print(out)
                .and_then(|()| writeln!(out, "Lookups while records came in: {lookups}")),
        )?;
    }
    if offered != pushed {
        return Err(
            format!("{pushed:?} records were pushed, the stores were offered {offered:?}").into()
        );
    }
    Ok(if report.is_in_order() { End::Well } else { End::WithProblems })
}

/// Returns the shop's opening time, which is now, in nanoseconds since the Unix epoch.
fn opening() -> Fallible<u64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos() as u64)
}

fn write(path: &Path, requests: usize) -> Fallible<End> {
    let with_path = |error: io::Error| format!("{}: {error}", path.display());
    let mut out: Box<dyn Write> = match path {
        path if path == Path::new("-") => Box::new(io::stdout().lock()),
        path => Box::new(BufWriter::new(File::create(path).map_err(with_path)?)),
    };
    let mut shop = Shop::opening_at(1, opening()?);
    let (mut counts, mut line) = ([0; 3], Vec::new());
    for number in 0..requests {
        let Request { spans, logs } = shop.request();
        let points = if number % 50 == 0 { shop.metrics() } else { Vec::new() };
        let lists = [spans.len(), logs.len(), points.len()];
        let written = [
            otlp::encode(&spans, Encoding::Json),
            otlp::encode(&logs, Encoding::Json),
            otlp::encode(&points, Encoding::Json),
        ];
        for ((count, records), text) in counts.iter_mut().zip(lists).zip(written) {
            if records > 0 {
                *count += records as u64;
                line.clear();
                line.extend(text);
                line.push(b'\n');
                out.write_all(&line)?;
            }
        }
    }
    out.flush()?;
    let [spans, logs, points] = counts.map(thousands);
    eprintln!(
        "{spans} spans, {logs} log records and {points} metric points written to {}",
        printable(&path.display().to_string())
    );
    Ok(End::Well)
}

/// Generates `requests` requests for each of `producers` producers, one thread each.
fn prepare(producers: u64, requests: u64) -> Fallible<Vec<Pool>> {
    let opening = opening()?;
    let bar = bar(producers * requests, "preparing {bar:30} {pos} of {len} requests");
    let made = &AtomicU64::new(0);
    thread::scope(|scope| {
        let start = |seed| {
            scope.spawn(move || load::prepare(Shop::opening_at(seed, opening), requests, made))
        };
        let pools: Vec<_> = (1..=producers).map(start).collect();
        while pools.iter().any(|pool| !pool.is_finished()) {
            bar.set_position(made.load(Relaxed));
            thread::sleep(LIVE / 5);
        }
        bar.finish_and_clear();
        Ok(pools.into_iter().map(|pool| pool.join().expect("a shop does not panic")).collect())
    })
}

fn bar(length: u64, template: &str) -> ProgressBar {
    ProgressBar::new(length)
        .with_style(ProgressStyle::with_template(template).expect("the template is sound"))
}

/// Runs producers and readers for `length` or until the user stops them. Returns the number of
/// records pushed per signal and the number of lookups answered.
fn ingest(
    telemetry: &Telemetry,
    pools: &[Pool],
    length: Duration,
    stop: &Stop,
) -> Fallible<([u64; 3], u64)> {
    let over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let producers: Vec<_> =
            pools.iter().map(|pool| scope.spawn(|| load::push(telemetry, pool, over))).collect();
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| read(telemetry, over))).collect();
        watch(telemetry, length, stop);
        over.store(true, Relaxed);
        let (mut pushed, mut lookups) = ([0; 3], 0);
        for producer in producers {
            let counts = producer.join().expect("a producer does not panic")?;
            pushed.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        for reader in readers {
            lookups += reader.join().expect("a reader does not panic")?;
        }
        Ok((pushed, lookups))
    })
}

/// Repeats the lookups of an engineer on call until `over` is set: the newest error logs, their
/// traces, and the list of services. Returns the number of lookups.
fn read(telemetry: &Telemetry, over: &AtomicBool) -> Result<u64, QueryError> {
    let mut lookups = 0;
    while !over.load(Relaxed) {
        let errors =
            telemetry.logs().query().key("severity", Severity::ERROR).limit(20).collect()?;
        for trace in errors.iter().filter_map(|log| log.trace_id()) {
            telemetry.traces().query().key("trace", trace).collect()?;
            lookups += 1;
        }
        telemetry.traces().keys("service")?;
        lookups += 2;
    }
    Ok(lookups)
}

fn watch(telemetry: &Telemetry, length: Duration, stop: &Stop) {
    let bar = bar(length.as_millis() as u64, "{bar:30} {msg}");
    let started = Instant::now();
    let (mut before, mut offered_before) = (started, 0);
    while let Some(left) =
        length.checked_sub(started.elapsed()).filter(|left| !left.is_zero() && !stop.is_asked())
    {
        thread::sleep(left.min(LIVE));
        let (stats, now) = (telemetry.stats(), Instant::now());
        let sum = |count: fn(&Stats) -> u64| {
            count(&stats.traces) + count(&stats.logs) + count(&stats.metrics)
        };
        let offered = sum(|stats| stats.offered);
        let rate = ((offered - offered_before) as f64 / (now - before).as_secs_f64()) as u64;
        (before, offered_before) = (now, offered);
        let counts = [
            rate,
            sum(|stats| stats.indexer_lag),
            sum(|stats| stats.evicted.total()),
            sum(|stats| stats.count),
        ];
        let [rate, lag, evicted, held] = counts.map(thousands);
        bar.set_position(started.elapsed().as_millis() as u64);
        bar.set_message(format!("{rate} records/s, lag {lag}, evicted {evicted}, held {held}"));
    }
    bar.finish_and_clear();
}
