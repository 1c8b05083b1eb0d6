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
/// In every round each store runs once in each case, one after the other; figures are medians of
/// the rounds, ratios are taken within each round. Every store is checked for right answers before
/// it is timed. Tables go to stdout, and with the plots (SVG) and all figures (JSON) into a folder.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Rounds whose medians are taken [default: 5, if quick 3]
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Where tables, plots and figures go
    #[arg(long, global = true, value_name = "DIR", default_value = "target/slipring-benches")]
    out: PathBuf,
    /// Fewer cases and shorter runs, also of a single part
    #[arg(long, global = true)]
    quick: bool,
    /// How long the soak pushes at full speed [default: 60; 10 if everything is measured]
    #[arg(long, global = true, value_name = "M")]
    minutes: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum Command {
    /// Everything: 25 minutes on two cores
    All,
    /// A bit of everything: two minutes on two cores
    Quick,
    /// Records a second until indexed, by producers and batches, for all peers
    Ingest,
    /// What a push costs its producer: p50, p99, p99.9 and the longest
    Latency,
    /// Traces, errors and services looked up while records come in
    Lookups,
    /// Every form of query, and a scan that answers the same, in stores of several sizes
    Queries,
    /// What a push costs in larger stores, and with more or fewer keys
    Growth,
    /// OTLP requests until they can be asked for, beside prost with locks and maps
    Otlp,
    /// The program: `serve` with four clients over HTTP, `replay` of JSON lines; build it first
    Program,
    /// Bytes of index by record, allocations by push, resident memory over time
    Memory,
    /// What a store with nothing to do costs, and how soon it wakes
    Idle,
    /// An hour at full speed, or as many minutes as you say: memory, lag and the cost of a push
    /// over time
    Soak,
    /// Only checks the answers of every store under every workload
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
        // What looks at the whole process comes first, as long as that is new.
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
    // On a machine that has been quiet so far.
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
            eprintln!("can't write to {}: {error}", arguments.out.display());
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
