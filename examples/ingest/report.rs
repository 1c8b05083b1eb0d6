//! What the stores have to say in the end, for people to read.

use crate::Fallible;
use slipring::{KeyCount, Severity, Span, SpanId, Stats, StatusCode, Telemetry};
use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Instant;

type Children<'a> = HashMap<Option<SpanId>, Vec<&'a Span>>;

/// The three signals side by side.
pub fn print_stats(out: &mut impl Write, signals: [&Stats; 3]) -> io::Result<()> {
    type Cell = fn(&Stats) -> String;
    const ROWS: [(&str, &str, Cell); 14] = [
        ("offered", "records", |stats| thousands(stats.offered)),
        ("held", "records", |stats| thousands(stats.count)),
        ("evicted", "records", |stats| thousands(stats.evicted.total())),
        ("rejected", "records", |stats| thousands(stats.rejected.total())),
        ("1st index", "keys", |stats| index(stats, 0)),
        ("2nd index", "keys", |stats| index(stats, 1)),
        ("3rd index", "keys", |stats| index(stats, 2)),
        ("indexes", "MiB", |stats| mebibytes(stats.index_memory_bytes)),
        ("data", "MiB", |stats| mebibytes(stats.data_memory_bytes)),
        ("memory in all", "MiB", |stats| mebibytes(stats.total_memory_bytes)),
        ("had to wait", "pushes", |stats| thousands(stats.waits)),
        ("assists", "batches", |stats| thousands(stats.assists)),
        ("indexer lag", "records", |stats| thousands(stats.indexer_lag)),
        ("caught", "panics", |stats| thousands(stats.caught_panics)),
    ];
    writeln!(out)?;
    let mut row = |name, unit, [traces, logs, metrics]: [String; 3]| {
        writeln!(out, "{name:14}{unit:>8}{traces:>20}{logs:>20}{metrics:>20}")
    };
    let heading = |stats: &Stats| format!("{}s of {}", stats.signal, thousands(stats.capacity));
    row("", "", signals.map(heading))?;
    ROWS.iter().try_for_each(|(name, unit, cell)| row(name, unit, signals.map(cell)))
}

/// Some questions, their answers, and how long these took.
pub fn print_answers(out: &mut impl Write, telemetry: &Telemetry) -> Fallible<()> {
    let started = Instant::now();
    let errors = telemetry.logs().query().key("severity", Severity::ERROR).limit(100).collect()?;
    writeln!(out, "\nThe newest errors ({} found in {:.1?}):", errors.len(), started.elapsed())?;
    for log in errors.iter().take(5) {
        let body = log.body.as_ref().map(ToString::to_string).unwrap_or_default();
        writeln!(out, "  {:16}{body:.90}", log.resource.service().unwrap_or_default())?;
    }
    let started = Instant::now();
    let services = telemetry.traces().keys("service")?;
    writeln!(out, "\nServices, by spans ({} found in {:.1?}):", services.len(), started.elapsed())?;
    for KeyCount { key, count, .. } in &services {
        writeln!(out, "  {key:16}{:>6}", thousands(*count))?;
    }
    // Of the traces with these errors, the newest one that lacks no span's parent and fits on a screen.
    let is_in = |id: SpanId, spans: &[Span]| spans.iter().any(|span| span.span_id == id);
    for trace in errors.iter().filter_map(|log| log.trace_id) {
        let started = Instant::now();
        let mut spans = telemetry.traces().query().key("trace", trace).collect()?.into_records();
        let took = started.elapsed();
        let whole = spans.iter().all(|span| span.parent_span_id.is_none_or(|parent| is_in(parent, &spans)));
        if whole && (5..=25).contains(&spans.len()) {
            spans.sort_by_key(|span| span.start_unix_nanos);
            let mut children = Children::new();
            spans.iter().for_each(|span| children.entry(span.parent_span_id).or_default().push(span));
            writeln!(out, "\nTrace {trace} ({} spans found in {took:.1?}):", spans.len())?;
            return Ok(print_tree(out, &children, None, 1)?);
        }
    }
    Ok(())
}

fn print_tree(out: &mut impl Write, children: &Children<'_>, parent: Option<SpanId>, depth: usize) -> io::Result<()> {
    for span in children.get(&parent).into_iter().flatten() {
        let (millis, service) = (span.duration() as f64 / 1e6, span.resource.service().unwrap_or_default());
        let failed = if span.status.code == StatusCode::Error { ", failed" } else { "" };
        writeln!(out, "{millis:10.3} ms{:indent$}{service}: {}{failed}", "", span.name, indent = 2 * depth)?;
        print_tree(out, children, Some(span.span_id), depth + 1)?;
    }
    Ok(())
}

fn index(stats: &Stats, number: usize) -> String {
    let index = &stats.indexes[number];
    format!("{} {}", thousands(index.entries), index.name)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// The number, with commas.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
