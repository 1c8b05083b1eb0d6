//! Runs the comparisons: `cargo run --release -p slipring-benches -- quick`.

use clap::{Parser, Subcommand};
use slipring_benches::alloc::Counting;
use slipring_benches::contender::{fixed, lifelike};
use slipring_benches::parts::{self, Options, check, targets};
use slipring_benches::report::Part;
use slipring_benches::workload::{
    Logs, Metrics, ShopLogs, ShopPoints, ShopSpans, Traces, Workload,
};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Measures slipring beside other stores, all in the same run, and writes tables and plots.
///
/// In every round, each store runs once in each case, one after the other. Figures are medians of
/// the rounds. Ratios are taken within each round. Every store's answers are checked before it is
/// timed. Tables go to standard output; tables, plots (SVG) and all figures (JSON) go into a
/// folder.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Sets the number of rounds whose medians are taken, such as 3 [default: 5, or 3 with --quick]
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Writes tables, plots and figures into this folder
    #[arg(long, global = true, value_name = "DIR", default_value = "target/slipring-benches")]
    out: PathBuf,
    /// Measures fewer cases in shorter runs, for any part
    #[arg(long, global = true)]
    quick: bool,
    /// Sets how many minutes the soak pushes at full speed, such as 2.5 [default: 60, or 10 with
    /// `all`]
    #[arg(long, global = true, value_name = "M")]
    minutes: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum Command {
    /// Measures every part: 25 minutes on two cores
    All,
    /// Measures most parts briefly: two minutes on two cores
    Quick,
    /// Measures records per second until indexed, by producers and batches, for all peers
    Ingest,
    /// Measures what a push costs its producer: p50, p99, p99.9 and the maximum
    Latency,
    /// Times lookups of traces, errors and services during ingest
    Lookups,
    /// Times every form of query, beside a scan with the same answer, in stores of several sizes
    Queries,
    /// Measures what a push costs in larger stores, and with more or fewer keys
    Growth,
    /// Measures OTLP requests until their records can be queried, beside prost with locks and maps
    Otlp,
    /// Measures the program, which must be built first: `serve` with four clients over HTTP, and
    /// `replay` of JSON lines
    Program,
    /// Measures index bytes per record, allocations per push, and resident memory over time
    Memory,
    /// Measures what an idle store costs, and how soon it indexes after a push
    Idle,
    /// Pushes at full speed for an hour or for `--minutes`, and measures memory, lag and the cost
    /// of a push over time
    Soak,
    /// Checks the answers of every store under every workload, and measures nothing
    Check,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let quick = arguments.quick || arguments.command == Command::Quick;
    let minutes =
        arguments.minutes.unwrap_or(if arguments.command == Command::All { 10.0 } else { 60.0 });
    let options = Options {
        rounds: arguments.rounds.map_or(if quick { 3 } else { 5 }, usize::from),
        quick,
        long_run: Duration::try_from_secs_f64(minutes * 60.0).unwrap_or_default(),
    };
    let parts: &[fn(&Options) -> Part] = match arguments.command {
        // Parts that measure the whole process come first, while the process is new.
        Command::All | Command::Quick => &[
            parts::memory::run,
            parts::idle::run,
            parts::otlp::run,
            parts::ingest::run,
            parts::latency::run,
            parts::lookups::run,
            parts::queries::run,
            parts::growth::run,
        ],
        Command::Ingest => &[parts::ingest::run],
        Command::Latency => &[parts::latency::run],
        Command::Lookups => &[parts::lookups::run],
        Command::Queries => &[parts::queries::run],
        Command::Growth => &[parts::growth::run],
        Command::Memory => &[parts::memory::run],
        Command::Otlp => &[parts::otlp::run],
        Command::Program => &[parts::program::run],
        Command::Idle => &[parts::idle::run],
        Command::Soak => &[parts::soak::run],
        Command::Check => {
            check_all();
            return ExitCode::SUCCESS;
        }
    };
    // The soak comes first, while the machine has been quiet.
    let soak: &[fn(&Options) -> Part] =
        if arguments.command == Command::All && !quick { &[parts::soak::run] } else { &[] };
    let mut done = Vec::new();
    let saved = soak.iter().chain(parts).try_for_each(|measure| {
        done.push(measure(&options));
        finish(&done[done.len() - 1], &arguments.out)
    });
    let saved = saved.and_then(|()| {
        targets::run(&options, &done).map_or(Ok(()), |part| finish(&part, &arguments.out))
    });
    match saved {
        Ok(()) => {
            eprintln!("Tables, plots and figures are in {}", arguments.out.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot write to {}: {error}", arguments.out.display());
            ExitCode::FAILURE
        }
    }
}

fn finish(part: &Part, folder: &Path) -> io::Result<()> {
    println!("{part}");
    part.save(folder)
}

fn check_all() {
    check(Traces::NAME, &fixed::<Traces>());
    check(Logs::NAME, &fixed::<Logs>());
    check(Metrics::NAME, &fixed::<Metrics>());
    check(ShopSpans::NAME, &lifelike::<ShopSpans>());
    check(ShopLogs::NAME, &lifelike::<ShopLogs>());
    check(ShopPoints::NAME, &lifelike::<ShopPoints>());
}
