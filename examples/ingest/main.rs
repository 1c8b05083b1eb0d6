//! A web shop's telemetry from four producers, two readers beside them, and at the end what the stores have to say.
//!
//! `cargo run --release --example ingest [seconds] [--json]`
//!
//! Exit status: 0 if all is well, 1 if a store is not in order or a call failed, 2 for an argument that means nothing.

mod report;

use report::{print_answers, print_stats, thousands};
use shop::{Request, Shop};
use slipring::{MetricPoint, QueryError, Severity, Stats, Telemetry, TraceId};
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const PRODUCERS: u64 = 4;
const READERS: usize = 2;
/// Requests that each producer prepares and sends again and again: making a record takes longer than storing it.
const PREPARED: u64 = 2_000;
/// Metric points that come with a request. The shop scrapes more seldom, but then they would hardly fill their store.
const POINTS: usize = 10;
/// From one live line to the next.
const LIVE: Duration = Duration::from_millis(250);

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;
type Pool = Vec<(Request, Vec<MetricPoint>)>;

fn main() -> ExitCode {
    let (duration, json) = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\nusage: cargo run --release --example ingest [seconds, default 5] [--json]");
            return ExitCode::from(2);
        }
    };
    let problems = run(duration, json).unwrap_or_else(|error| vec![format!("ingest failed: {error}")]);
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn arguments(given: impl Iterator<Item = String>) -> Result<(Duration, bool), String> {
    let (mut duration, mut json) = (Duration::from_secs(5), false);
    for argument in given {
        if argument == "--json" {
            json = true;
            continue;
        }
        let seconds = argument.parse().ok().filter(|seconds| *seconds > 0.0);
        duration = seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or_else(|| format!("{argument:?} is neither `--json` nor a number of seconds above 0"))?;
    }
    Ok((duration, json))
}

/// What was not in order in the end.
fn run(duration: Duration, json: bool) -> Fallible<Vec<String>> {
    let pools = prepare(json)?;
    let telemetry = Telemetry::builder().build()?;
    let (pushed, lookups) = ingest(&telemetry, &pools, duration, json)?;
    telemetry.flush()?;

    let stats = telemetry.stats();
    let signals = [&stats.traces, &stats.logs, &stats.metrics];
    let out = &mut io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&stats)?)?;
    } else {
        print_stats(out, signals)?;
        print_answers(out, &telemetry)?;
        writeln!(out, "\nLookups while records came in: {}", thousands(lookups))?;
    }
    let mut problems = unbalanced(signals, pushed);
    if problems.is_empty() && !json {
        writeln!(out, "Conservation: each of {} records is held or was evicted", thousands(pushed.iter().sum()))?;
    }
    match telemetry.audit() {
        Ok(audit) if !json => {
            let (records, entries) = (thousands(audit.records), thousands(audit.entries));
            writeln!(out, "Audit: {records} records and {entries} index entries are in order")?;
        }
        Ok(_) => {}
        Err(error) => problems.push(format!("Audit: {error}")),
    }
    Ok(problems)
}

/// Holds each store's counts against each other, and against what the producers themselves have counted.
fn unbalanced(signals: [&Stats; 3], pushed: [u64; 3]) -> Vec<String> {
    let balanced = |stats: &Stats| stats.offered == stats.count + stats.evicted.total() + stats.rejected.total();
    let pairs = signals.into_iter().zip(pushed);
    let broken = pairs.filter(|(stats, pushed)| stats.offered != *pushed || !balanced(stats));
    broken.map(|(stats, pushed)| format!("Conservation: {pushed} records were pushed, but {stats:?}")).collect()
}

fn prepare(json: bool) -> Fallible<Vec<Pool>> {
    let opening = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos() as u64;
    let ready = &AtomicU64::new(0);
    thread::scope(|scope| {
        let start = |seed| scope.spawn(move || fill_pool(Shop::opening_at(seed, opening), ready));
        let pools: Vec<_> = (1..=PRODUCERS).map(start).collect();
        while pools.iter().any(|pool| !pool.is_finished()) {
            let (ready, all) = (thousands(ready.load(Relaxed)), thousands(PRODUCERS * PREPARED));
            show(&format!("preparing: {ready} of {all} requests"), json)?;
            thread::sleep(LIVE);
        }
        Ok(pools.into_iter().map(|pool| pool.join().expect("a shop does not panic")).collect())
    })
}

fn fill_pool(mut shop: Shop, ready: &AtomicU64) -> Pool {
    let mut scrape = Vec::new().into_iter();
    let mut request = |_| {
        if scrape.len() < POINTS {
            scrape = shop.metrics().into_iter();
        }
        ready.fetch_add(1, Relaxed);
        (shop.request(), scrape.by_ref().take(POINTS).collect())
    };
    (0..PREPARED).map(&mut request).collect()
}

/// Producers and readers at work for this long: what was pushed of each signal, and how many lookups were answered.
fn ingest(telemetry: &Telemetry, pools: &[Pool], duration: Duration, json: bool) -> Fallible<([u64; 3], u64)> {
    let stop = &AtomicBool::new(false);
    thread::scope(|scope| {
        let producers: Vec<_> = pools.iter().map(|pool| scope.spawn(|| produce(telemetry, pool, stop))).collect();
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| read(telemetry, stop))).collect();
        let watched = watch(telemetry, duration, json);
        stop.store(true, Relaxed);
        let (mut pushed, mut lookups) = ([0; 3], 0);
        for producer in producers {
            let counts = producer.join().expect("a producer does not panic")?;
            pushed.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        for reader in readers {
            lookups += reader.join().expect("a reader does not panic")?;
        }
        watched?;
        Ok((pushed, lookups))
    })
}

fn produce(telemetry: &Telemetry, pool: &Pool, stop: &AtomicBool) -> Fallible<[u64; 3]> {
    let mut pushed = [0; 3];
    for (number, (request, points)) in pool.iter().cycle().enumerate() {
        if stop.load(Relaxed) {
            break;
        }
        let Request { spans, logs } = again(request, (number / pool.len()) as u128);
        pushed[0] += telemetry.traces().push_batch(spans)? as u64;
        pushed[1] += telemetry.logs().push_batch(logs)? as u64;
        pushed[2] += telemetry.metrics().push_batch(points.clone())? as u64;
    }
    Ok(pushed)
}

/// The request as it would come after so many laps: the same, but in a trace of its own.
fn again(request: &Request, lap: u128) -> Request {
    let anew = |trace: TraceId| TraceId::from(u128::from(trace) ^ lap << 64);
    let mut request = request.clone();
    for span in &mut request.spans {
        span.trace_id = anew(span.trace_id);
        span.links.iter_mut().for_each(|link| link.trace_id = anew(link.trace_id));
    }
    request.logs.iter_mut().for_each(|log| log.trace_id = log.trace_id.map(anew));
    request
}

/// What somebody on call asks again and again: which errors, in which traces, and which services are there at all.
fn read(telemetry: &Telemetry, stop: &AtomicBool) -> Result<u64, QueryError> {
    let mut lookups = 0;
    while !stop.load(Relaxed) {
        let errors = telemetry.logs().query().key("severity", Severity::ERROR).limit(20).collect()?;
        for trace in errors.iter().filter_map(|log| log.trace_id) {
            telemetry.traces().query().key("trace", trace).collect()?;
            lookups += 1;
        }
        telemetry.traces().keys("service")?;
        lookups += 2;
    }
    Ok(lookups)
}

fn watch(telemetry: &Telemetry, duration: Duration, json: bool) -> io::Result<()> {
    let started = Instant::now();
    let (mut before, mut offered_before) = (started, 0);
    while let Some(left) = duration.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
        thread::sleep(left.min(LIVE));
        let (stats, now) = (telemetry.stats(), Instant::now());
        let sum = |count: fn(&Stats) -> u64| count(&stats.traces) + count(&stats.logs) + count(&stats.metrics);
        let offered = sum(|stats| stats.offered);
        let rate = ((offered - offered_before) as f64 / (now - before).as_secs_f64()) as u64;
        (before, offered_before) = (now, offered);
        let counts =
            [rate, sum(|stats| stats.indexer_lag), sum(|stats| stats.evicted.total()), sum(|stats| stats.count)];
        let ([rate, lag, evicted, live], seconds) = (counts.map(thousands), (now - started).as_secs_f64());
        show(&format!("{seconds:4.1} s: {rate:>9} records/s, lag {lag:>6}, evicted {evicted:>10}, live {live}"), json)?;
    }
    Ok(())
}

/// A line that the next one takes the place of on a terminal, and follows elsewhere.
fn show(line: &str, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match (json, out.is_terminal()) {
        (true, _) => Ok(()),
        (_, true) => write!(out, "\r{line}\x1b[K").and_then(|()| out.flush()),
        (_, false) => writeln!(out, "{line}"),
    }
}
