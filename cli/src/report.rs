//! Reports the stores' contents, as text or in JSON.

use crate::Fallible;
use crate::memory::Resident;
use crate::text::{counted, mebibytes, milliseconds, printable, rate, thousands};
use serde::Serialize;
use slipring::Indexes as _;
use slipring::otlp::Rejected;
use slipring::query::KeyCount;
use slipring::span::StatusCode;
use slipring::store::{Audit, AuditError, Stats};
use slipring::telemetry::TelemetryStats;
use slipring::trace::{TraceOrder, TraceSummary};
use slipring::{KeyBuf, Query, Severity, Signal, Span, Store, Telemetry};
use std::cmp::Reverse;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// The number of keys per index in the report, and the number that are printed.
const TOP_KEYS: usize = 50;
const PRINTED_KEYS: usize = 5;
/// The number of traces in each list of the report.
const TRACES: usize = 5;

/// The report at the end of a command.
#[derive(Serialize)]
pub struct Report {
    /// The contents of the replayed files.
    #[serde(flatten)]
    replayed: Option<Replayed>,
    stats: TelemetryStats,
    /// The process's resident memory.
    memory: Option<Resident>,
    indexes: Vec<Index>,
    slowest_traces: Vec<TraceSummary>,
    failing_traces: Vec<TraceSummary>,
    /// The result of the audit.
    audit: Verdict,
    /// Whether each offered record is held, was evicted or was rejected.
    conserved: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    InOrder(Audit),
    Breach(String),
}

/// The keys of one index.
#[derive(Serialize)]
struct Index {
    signal: &'static str,
    index: &'static str,
    distinct: u64,
    /// The keys with the most records.
    top: Vec<KeyCount>,
}

/// Contents of all files that were replayed.
#[derive(Serialize)]
pub struct Replayed {
    files: Vec<FileReport>,
    records: u64,
    seconds: f64,
    records_per_second: u64,
    /// The reasons for rejections, with their numbers of records, the most frequent first. Only the
    /// first few distinct reasons are listed.
    rejected: Vec<(String, u64)>,
    /// The number of records rejected for other reasons.
    otherwise_rejected: u64,
    /// The first problems, by file and line.
    problems: Vec<Problem>,
    /// The number of other problems.
    other_problems: u64,
    /// Whether the user stopped the replay before the end.
    pub interrupted: bool,
}

/// Contents of one file.
#[derive(Default, Serialize)]
pub struct FileReport {
    pub file: String,
    pub spans: u64,
    pub log_records: u64,
    pub metric_points: u64,
    /// Records that could not be read, and records that the stores rejected.
    pub rejected: u64,
    /// The records that the stores rejected. They are also included in the counts by signal above.
    pub not_kept: u64,
    /// Lines or messages that could not be parsed as a request.
    pub damaged: u64,
}

/// A problem in a file.
#[derive(Serialize)]
pub struct Problem {
    pub file: String,
    /// The number of the line or message, counted from 1.
    pub line: u64,
    pub what: String,
    /// The number of equal problems in the file.
    pub again: u64,
}

impl Problem {
    fn line(&self) -> String {
        let (file, what) = (printable(&self.file), printable(&self.what));
        let again = match self.again {
            0 => String::new(),
            again => format!(" (and {} like it)", thousands(again)),
        };
        format!("{file}:{}: {what}{again}", self.line)
    }
}

impl FileReport {
    pub fn of(path: impl AsRef<Path>) -> Self {
        Self { file: path.as_ref().display().to_string(), ..Self::default() }
    }

    pub fn add(&mut self, other: &Self) {
        self.spans += other.spans;
        self.log_records += other.log_records;
        self.metric_points += other.metric_points;
        self.rejected += other.rejected;
        self.not_kept += other.not_kept;
        self.damaged += other.damaged;
    }

    fn records(&self) -> u64 {
        self.spans + self.log_records + self.metric_points - self.not_kept
    }
}

impl Replayed {
    pub fn new(
        files: Vec<FileReport>,
        rejected: &Rejected,
        problems: Vec<Problem>,
        other_problems: u64,
        took: Duration,
    ) -> Self {
        let mut reasons: Vec<_> =
            rejected.reasons().map(|(reason, records)| (reason.to_owned(), records)).collect();
        reasons.sort_by_key(|(_, records)| Reverse(*records));
        let otherwise_rejected =
            rejected.records() - reasons.iter().map(|(_, records)| records).sum::<u64>();
        let records = files.iter().map(FileReport::records).sum();
        let records_per_second = rate(records, took);
        let seconds = took.as_secs_f64();
        Self {
            files,
            records,
            seconds,
            records_per_second,
            rejected: reasons,
            otherwise_rejected,
            problems,
            other_problems,
            interrupted: false,
        }
    }

    /// Describes in a line what was read.
    pub fn summary(&self) -> String {
        let mut all = FileReport::default();
        self.files.iter().for_each(|file| all.add(file));
        let from = match &self.files[..] {
            [file] => printable(&file.file).into_owned(),
            files => counted(files.len() as u64, "file"),
        };
        let troubles = [(all.rejected, "record"), (all.damaged, "line")];
        let words = ["rejected", "damaged"];
        let troubles = troubles.iter().zip(words).filter(|((number, _), _)| *number > 0);
        let troubles: String = troubles
            .map(|((number, what), word)| format!(", {} {word}", counted(*number, what)))
            .collect();
        format!(
            "read {}, {} and {} from {from} in {:.2} s{troubles}",
            counted(all.spans, "span"),
            counted(all.log_records, "log record"),
            counted(all.metric_points, "metric point"),
            self.seconds
        )
    }

    /// Describes each of the first problems in a line.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let more = (self.other_problems > 0)
            .then(|| format!("and {} others", thousands(self.other_problems)));
        self.problems.iter().map(Problem::line).chain(more)
    }

    pub fn is_in_order(&self) -> bool {
        self.problems.is_empty()
            && self.files.iter().all(|file| file.rejected == 0 && file.damaged == 0)
    }
}

impl Report {
    pub fn of(telemetry: &Telemetry, replayed: Option<Replayed>) -> Fallible<Self> {
        let slowest = |query: Query<'_, Span>| {
            query.traces().order(TraceOrder::Slowest).limit(TRACES).collect()
        };
        let stats = telemetry.stats();
        let conserves = |stats: &Stats| {
            stats.offered == stats.count + stats.evicted.total() + stats.rejected.total()
        };
        let conserved =
            [&stats.traces, &stats.logs, &stats.metrics].iter().all(|stats| conserves(stats));
        Ok(Self {
            replayed,
            memory: Resident::now(),
            indexes: [
                indexes(telemetry.traces())?,
                indexes(telemetry.logs())?,
                indexes(telemetry.metrics())?,
            ]
            .into_iter()
            .flatten()
            .collect(),
            slowest_traces: slowest(telemetry.traces().query())?,
            failing_traces: slowest(telemetry.traces().query().status(StatusCode::Error))?,
            audit: match telemetry.audit() {
                Ok(audit) => Verdict::InOrder(audit),
                Err(AuditError::Breach(breach)) => Verdict::Breach(breach.to_string()),
                Err(error) => return Err(error.into()),
            },
            conserved,
            stats,
        })
    }

    pub fn is_in_order(&self) -> bool {
        self.conserved
            && matches!(self.audit, Verdict::InOrder(_))
            && self.replayed.as_ref().is_none_or(Replayed::is_in_order)
    }

    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(replayed) = &self.replayed {
            replayed.print(out)?;
        }
        print_stats(out, [&self.stats.traces, &self.stats.logs, &self.stats.metrics])?;
        if let Some(memory) = &self.memory {
            writeln!(
                out,
                "\nThe process took {memory}; slots and indexes take memory as they are used"
            )?;
        }
        for index in self.indexes.iter().filter(|index| index.distinct > 0) {
            let (signal, name, distinct) = (index.signal, index.index, thousands(index.distinct));
            writeln!(out, "\n{signal}s by {name}, {distinct} distinct")?;
            for key in index.top.iter().take(PRINTED_KEYS) {
                writeln!(
                    out,
                    "  {:>10}  {}",
                    thousands(key.count),
                    printable(&named(index, &key.key))
                )?;
            }
        }
        print_traces(out, "The slowest traces", &self.slowest_traces)?;
        print_traces(out, "The slowest failing traces", &self.failing_traces)?;
        writeln!(out)?;
        match (&self.audit, self.conserved) {
            (Verdict::Breach(breach), _) => writeln!(out, "Audit: NOT in order: {breach}"),
            (_, false) => writeln!(
                out,
                "Audit: NOT in order: a record is neither held nor evicted nor rejected"
            ),
            (Verdict::InOrder(audit), true) => writeln!(
                out,
                "Audit: {} records and {} index entries are in order; each record is held, was evicted or was rejected",
                thousands(audit.records),
                thousands(audit.entries)
            ),
        }
    }
}

fn indexes<T: Signal>(store: &Store<T>) -> Fallible<Vec<Index>> {
    let of = |index: &slipring::Index<T>| {
        let index = index.name();
        let mut top = store.key_counts(index)?;
        let distinct = top.len() as u64;
        top.truncate(TOP_KEYS);
        Ok(Index { signal: T::NAME, index, distinct, top })
    };
    T::INDEXES.as_slice().iter().map(of).collect()
}

impl Replayed {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let width =
            self.files.iter().map(|file| file.file.chars().count()).max().unwrap_or(0).min(60);
        writeln!(
            out,
            "{:width$}{:>12}{:>14}{:>16}{:>11}{:>10}",
            "", "spans", "log records", "metric points", "rejected", "damaged"
        )?;
        let mut row = |file: &FileReport| {
            let counts =
                [file.spans, file.log_records, file.metric_points, file.rejected, file.damaged];
            let [spans, logs, points, rejected, damaged] = counts.map(thousands);
            writeln!(
                out,
                "{:width$}{spans:>12}{logs:>14}{points:>16}{rejected:>11}{damaged:>10}",
                printable(&file.file)
            )
        };
        self.files.iter().try_for_each(&mut row)?;
        if self.files.len() > 1 {
            let mut all = FileReport::of("all");
            self.files.iter().for_each(|file| all.add(file));
            row(&all)?;
        }
        let (records, rate) = (counted(self.records, "record"), thousands(self.records_per_second));
        let interrupted = if self.interrupted { ", interrupted before the end" } else { "" };
        writeln!(out, "\n{records} in {:.2} s, {rate}/s{interrupted}", self.seconds)?;
        if !self.rejected.is_empty() {
            writeln!(out, "\nRejected, because")?;
            for (reason, records) in &self.rejected {
                writeln!(out, "  {:>10}  {}", thousands(*records), printable(reason))?;
            }
            if self.otherwise_rejected > 0 {
                writeln!(out, "  {:>10}  for other reasons", thousands(self.otherwise_rejected))?;
            }
        }
        if !self.problems.is_empty() {
            writeln!(out, "\nDamaged or rejected")?;
            for problem in self.problems() {
                writeln!(out, "  {problem}")?;
            }
        }
        Ok(())
    }
}

/// Formats a key for people: severities by their names.
fn named(index: &Index, key: &KeyBuf) -> String {
    match key {
        KeyBuf::Int(number) if index.index == "severity" => {
            let name = i32::try_from(*number).ok().and_then(|number| Severity(number).name());
            name.map_or_else(|| key.to_string(), str::to_owned)
        }
        _ => key.to_string(),
    }
}

/// Prints the statistics of the three signals side by side.
fn print_stats(out: &mut impl Write, signals: [&Stats; 3]) -> io::Result<()> {
    type Show = fn(&Stats) -> String;
    const ROWS: [(&str, Show); 10] = [
        ("offered", |stats| thousands(stats.offered)),
        ("held", |stats| thousands(stats.count)),
        ("evicted", |stats| thousands(stats.evicted.total())),
        ("rejected", |stats| thousands(stats.rejected.total())),
        ("payload", |stats| mebibytes(stats.data_memory_bytes)),
        ("indexes", |stats| mebibytes(stats.index_memory_bytes)),
        ("memory in all", |stats| mebibytes(stats.total_memory_bytes)),
        ("pushes that waited", |stats| thousands(stats.waits)),
        ("batches by producers", |stats| thousands(stats.assists)),
        ("panics caught", |stats| thousands(stats.caught_panics)),
    ];
    writeln!(out)?;
    let heads = signals.map(|stats| format!("{}s of {}", stats.signal, thousands(stats.capacity)));
    let width = heads.iter().map(|head| head.len() + 2).fold(20, usize::max);
    let mut row = |name: &str, [traces, logs, metrics]: [String; 3]| {
        writeln!(out, "{name:22}{traces:>width$}{logs:>width$}{metrics:>width$}")
    };
    row("", heads)?;
    ROWS.iter().try_for_each(|(name, show)| row(name, signals.map(show)))
}

fn print_traces(out: &mut impl Write, heading: &str, traces: &[TraceSummary]) -> io::Result<()> {
    if traces.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{heading}")?;
    for trace in traces {
        let (took, spans) = (milliseconds(trace.duration), counted(trace.spans, "span"));
        let (root, name) = (printable(&trace.root_service), printable(&trace.root_name));
        let failed = if trace.errors == 0 {
            String::new()
        } else {
            format!(", {} failed", thousands(trace.errors))
        };
        let partial = if trace.partial { ", in part" } else { "" };
        writeln!(
            out,
            "  {} {took:>14}  {spans} of {}{failed}{partial}: {root} {name}",
            trace.trace_id,
            counted(trace.services.len() as u64, "service")
        )?;
    }
    Ok(())
}
