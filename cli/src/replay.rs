//! `slipring replay`: loads files into stores and reports their contents.

use crate::files::load::Load;
use crate::files::size;
use crate::report::Report;
use crate::stop::Stop;
use crate::text::write_json;
use crate::{End, Fallible, Keeping, memory, shown};
use clap::Args;
use slipring::otlp::Kind;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

/// Loads OTLP files into memory and reports their contents
///
/// Reads JSON as the Collector's file exporter writes it (one export request per line) or as `jq`
/// writes it (over many lines). Also reads messages in protobuf, each preceded by its length (four
/// bytes or a varint), and each possibly compressed with zstd. The whole file may be compressed
/// with gzip or zstd. `-` means standard input.
///
/// A damaged line is skipped, and a malformed record is rejected. Both are reported with their
/// line, and make the exit status 1. By default, the stores are large enough for the files, up to
/// two million records each.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Reads these files, such as `traces.jsonl logs.jsonl.gz`; `-` means standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Reads with one thread, so that records arrive in the order of the files
    #[arg(long)]
    ordered: bool,
    /// Limits the rate to N records per second, such as 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Reads the files this many times, such as 3; 0 repeats until interrupted
    #[arg(long = "loop", value_name = "TIMES", default_value_t = 1)]
    times: u64,
    /// Sets the signal of protobuf messages [default: the first of traces, logs and metrics that
    /// fits]
    #[arg(long, value_enum)]
    signal: Option<Signal>,
    /// Writes the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    keeping: Keeping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl From<Signal> for Kind {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Traces => Kind::Traces,
            Signal::Logs => Kind::Logs,
            Signal::Metrics => Kind::Metrics,
        }
    }
}

pub fn run(arguments: &Arguments) -> Fallible<End> {
    let reads_input = arguments.files.iter().any(|file| file.as_os_str() == "-");
    if reads_input && arguments.times != 1 {
        return Err("standard input can be read once; use --loop with files".into());
    }
    let sizes = size::sizes(&arguments.files)?;
    let telemetry = arguments.keeping.build(size::capacities(&sizes))?;
    let stop = Stop::listen()?;
    let started = Instant::now();
    let load = Load {
        files: &arguments.files,
        sizes: &sizes,
        ordered: arguments.ordered,
        rate: arguments.rate,
        times: arguments.times,
        signal: arguments.signal.map(Kind::from),
        stop: &stop,
    };
    let replayed = load.fill(&telemetry)?;
    telemetry.flush()?;
    memory::give_back();
    let report =
        Report::of(&telemetry, Some(replayed.into_report(started.elapsed(), stop.is_asked())))?;
    let out = &mut io::stdout().lock();
    if arguments.json {
        shown(write_json(out, &report))?;
    } else {
        shown(report.print(out))?;
    }
    Ok(if report.is_in_order() { End::Well } else { End::WithProblems })
}
