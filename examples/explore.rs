//! What one can ask of the last minutes of telemetry: the slowest traces as waterfalls, errors by
//! service, who calls whom, how fast a counter grows, and errors as they come.
//!
//! `cargo run --release --example explore -- [seconds to follow, 2 if not given]`

use slipring::error::WaitError;
use slipring::metric::{MetricKind, Series};
use slipring::query::By;
use slipring::span::StatusCode;
use slipring::trace::{PathSegment, Trace, TraceOrder, TraceSpan};
use slipring::{LogRecord, Severity, Telemetry};
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Requests of the shop that are in the stores before anything is asked: some minutes of it.
const REQUESTS: usize = 3_000;
const SCRAPES: usize = 30;
/// Columns of a waterfall.
const WIDTH: usize = 48;
/// Spans of a trace that are shown: of those that took at least a fiftieth of it, the first ones.
const ROWS: usize = 14;

fn main() -> ExitCode {
    let seconds = match std::env::args().nth(1).map(|seconds| seconds.parse()) {
        None => 2.0,
        Some(Ok(seconds)) if (0.0..=3_600.0).contains(&seconds) => seconds,
        Some(_) => {
            eprintln!("usage: explore [seconds to follow new errors, 0 to 3600]");
            return ExitCode::from(2);
        }
    };
    match explore(Duration::from_secs_f64(seconds), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads this has seen enough.
        Err(error)
            if error
                .downcast_ref()
                .is_some_and(|e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn explore(follow: Duration, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let telemetry = Telemetry::builder().traces(60_000).build()?;
    let mut shop = shop::Shop::new(7);
    fill(&telemetry, &mut shop)?;
    let stats = telemetry.stats();
    let counts = [&stats.traces, &stats.logs, &stats.metrics].map(|stats| stats.count);
    writeln!(
        out,
        "The shop's last {} spans, {} log records, {} metric points",
        counts[0], counts[1], counts[2]
    )?;

    slowest_traces(&telemetry, out)?;
    errors_by_service(&telemetry, out)?;
    service_graph(&telemetry, out)?;
    rates(&telemetry, out)?;
    new_errors(&telemetry, shop, follow, out)?;
    telemetry.shutdown()?;
    Ok(())
}

fn fill(telemetry: &Telemetry, shop: &mut shop::Shop) -> Result<(), Box<dyn Error>> {
    for request in 0..REQUESTS {
        let shop::Request { spans, logs } = shop.request();
        telemetry.traces().push_batch(spans).map_err(|error| error.reason)?;
        telemetry.logs().push_batch(logs).map_err(|error| error.reason)?;
        if request % (REQUESTS / SCRAPES) == 0 {
            telemetry.metrics().push_batch(shop.metrics()).map_err(|error| error.reason)?;
        }
    }
    Ok(())
}

fn milliseconds(nanoseconds: u64) -> String {
    format!("{:.1} ms", nanoseconds as f64 / 1e6)
}

fn heading(out: &mut impl Write, text: &str, started: Instant) -> io::Result<()> {
    writeln!(out, "\n{text} (asked and answered in {:.1?})\n", started.elapsed())
}

fn slowest_traces(telemetry: &Telemetry, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let slowest =
        telemetry.traces().query().traces().order(TraceOrder::Slowest).limit(2).assemble()?;
    heading(out, "The slowest traces", started)?;
    slowest.iter().try_for_each(|trace| waterfall(trace, out))?;
    Ok(())
}

fn waterfall(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    let (whole, path) = (trace.times(), trace.critical_path());
    let errors = trace.errors().count();
    let services = trace.services().len();
    writeln!(
        out,
        "{}: {}, {} spans of {services} services, {errors} failed{}",
        trace.trace_id,
        milliseconds(trace.duration()),
        trace.spans.len(),
        if trace.partial { ", only a part is left" } else { "" },
    )?;
    let column = |time: u64| {
        let share = (time - whole.start) as f64 / trace.duration().max(1) as f64;
        ((share * WIDTH as f64) as usize).min(WIDTH - 1)
    };
    let tells = |&(_, one): &(usize, &TraceSpan)| one.span.duration() >= trace.duration() / 50;
    let mut shown = 0;
    for (place, one) in trace.spans.iter().enumerate().filter(tells).take(ROWS) {
        shown += 1;
        let mut bar = vec![' '; WIDTH];
        bar[column(one.span.start_unix_nanos())..=column(one.span.end_unix_nanos())].fill('─');
        for PathSegment { times, .. } in path.iter().filter(|segment| segment.span == place) {
            bar[column(times.start)..=column(times.end)].fill('█');
        }
        let bar: String = bar.into_iter().collect();
        let failed = if one.span.status().code == StatusCode::Error { "✗" } else { " " };
        let name = format!(
            "{}{} {}",
            "  ".repeat(one.depth as usize),
            one.span.service(),
            one.span.name()
        );
        writeln!(out, "  {bar} {failed} {name:.52} {}", milliseconds(one.span.duration()))?;
    }
    if trace.spans.len() > shown {
        writeln!(out, "  … and {} more", trace.spans.len() - shown)?;
    }
    let mut on_path: HashMap<usize, u64> = HashMap::new();
    path.iter()
        .for_each(|one| *on_path.entry(one.span).or_default() += one.times.end - one.times.start);
    if let Some((place, time)) = on_path.into_iter().max_by_key(|&(place, time)| (time, place)) {
        let span = &trace.spans[place].span;
        let (name, service) = (&span.name(), span.service());
        writeln!(out, "  Waited for longest: {name} of {service}, {}\n", milliseconds(time))?;
    }
    Ok(())
}

fn errors_by_service(telemetry: &Telemetry, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let failed = telemetry.traces().query().status(StatusCode::Error);
    let failed = failed.group(By::index("service"), |span| Some(span.duration() as f64))?;
    heading(out, "Failed spans by service", started)?;
    for group in &failed.groups {
        let service = group.key.as_ref().map(ToString::to_string).unwrap_or_default();
        let median = milliseconds(group.quantile(0.5).unwrap_or_default() as u64);
        writeln!(out, "  {service:16}{:>6}   half of them within {median}", group.count)?;
    }
    Ok(())
}

fn service_graph(telemetry: &Telemetry, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let graph = telemetry.traces().query().service_graph()?;
    heading(out, "Who calls whom", started)?;
    writeln!(out, "  {:36}{:>8}{:>9}{:>12}{:>12}", "", "calls", "failed", "p50", "p99")?;
    for call in graph.calls.iter().take(12) {
        let (who, failed) =
            (format!("{} → {}", call.caller, call.callee), call.error_rate() * 100.0);
        let [p50, p99] = [0.5, 0.99].map(|share| milliseconds(call.latency(share)));
        writeln!(out, "  {who:36}{:>8}{failed:>8.1}%{p50:>12}{p99:>12}", call.calls)?;
    }
    Ok(())
}

fn rates(telemetry: &Telemetry, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let counters = telemetry.metrics().query().key("type", "sum").series()?;
    let grows =
        |one: &&Series| matches!(one.metric().kind(), MetricKind::Sum { monotonic: true, .. });
    // The ones that grow fastest tell most.
    let mut fastest: Vec<(&Series, f64)> = counters
        .iter()
        .filter(grows)
        .filter_map(|one| Some((one, one.rate()?)))
        .filter(|(_, r)| *r > 0.0)
        .collect();
    fastest.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    fastest.dedup_by(|(a, _), (b, _)| a.metric().name() == b.metric().name());
    heading(out, "How fast counters grow, by the second", started)?;
    for (series, rate) in fastest.iter().take(4) {
        let rates: Vec<f64> =
            series.increments().iter().filter_map(|one| one.per_second()).collect();
        let (name, unit) = (series.metric().name(), series.metric().unit());
        let service = series.resource().service().unwrap_or_default();
        writeln!(out, "  {:32} {rate:>14.1} {unit:10} {name} of {service}", sparkline(&rates))?;
    }
    Ok(())
}

fn sparkline(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    values.iter().map(|value| BARS[((value.max(0.0) / most) * 7.0).round() as usize]).collect()
}

/// The shop goes on in a thread of its own; here comes what goes wrong in it.
fn new_errors(
    telemetry: &Telemetry,
    mut shop: shop::Shop,
    follow: Duration,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    writeln!(out, "\nErrors as they come, for {follow:.1?}\n")?;
    let mut errors = telemetry.logs().follow(|query| query.severity_at_least(Severity::ERROR))?;
    let until = Instant::now() + follow;
    let producer = {
        let telemetry = telemetry.clone();
        thread::spawn(move || {
            while Instant::now() < until {
                let shop::Request { spans, logs } = shop.request();
                let _ = (telemetry.traces().push_batch(spans), telemetry.logs().push_batch(logs));
                thread::sleep(Duration::from_millis(2));
            }
        })
    };
    let (mut seen, mut missed) = (0, 0);
    loop {
        match errors.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Some(news)) => {
                missed += news.report.missed;
                for log in news.iter() {
                    seen += 1;
                    if seen <= 10 {
                        writeln!(out, "  {}", line(log))?;
                    }
                }
            }
            Ok(None) | Err(WaitError::Timeout) => break,
            Err(error) => return Err(error.into()),
        }
    }
    producer.join().expect("a shop does not panic");
    writeln!(
        out,
        "  {seen} errors came, {missed} records were evicted before they were looked at"
    )?;
    Ok(())
}

fn line(log: &LogRecord) -> String {
    let body = log.body().as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{:6}{:16}{body:.80}", log.severity(), log.service())
}
