//! `slipring`: keeps OpenTelemetry data from clients and files in memory, and answers queries.
//!
//! This crate is a library only so that the fuzzer can send requests to the program's routes.

pub mod answer;
mod arguments;
mod client;
mod completions;
mod demo;
mod diff;
mod files;
mod input;
mod mcp;
mod memory;
mod receive;
mod replay;
mod report;
mod sample;
mod serve;
mod stop;
mod terminal;
mod text;
mod units;

pub use serve::{over_grpc, over_http};

use clap::{Args, CommandFactory, Parser, Subcommand};
use slipring::error::BuildError;
use slipring::{LogRecord, MetricPoint, Span, Store, Telemetry};
use std::process::ExitCode;
use std::time::Duration;
use terminal::Asked;

/// Keeps recent OpenTelemetry data in bounded memory and answers queries about it
///
/// Spans, log records and metric points come from OTLP clients (`serve`), from files (`replay`) or
/// from a simulated shop (`demo`). Each signal has its own store, which keeps the newest records
/// and finds them by trace, service, severity, name or type.
#[derive(Debug, Parser)]
#[command(name = "slipring", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_long_help = "Exit status: 0 on success, 1 if some of the input was damaged or rejected, 2 if the command line is wrong, \
                       3 on any other failure, 130 if it was interrupted twice.\n\nFirst try:  slipring demo\nThen:       slipring demo --write shop.jsonl && slipring replay shop.jsonl\nAnd then:   slipring serve",
    after_help = "First try:  slipring demo\nThen:       slipring demo --write shop.jsonl && slipring replay shop.jsonl\nAnd then:   slipring serve"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Open(serve::open::Arguments),
    Replay(replay::Arguments),
    Demo(demo::Arguments),
    Health(serve::health::Arguments),
    Mcp(mcp::Arguments),
    Traces(terminal::Traces),
    Trace(terminal::Trace),
    Logs(terminal::Logs),
    Metrics(terminal::Metrics),
    Services(terminal::Services),
    Graph(terminal::Graph),
    Tail(terminal::Tail),
    Diff(diff::Arguments),
    Completions(completions::Arguments),
    Sample(sample::Arguments),
}

/// The default numbers of spans, log records and metric points that the stores keep. `replay`
/// derives its own defaults from the sizes of its files.
const USUAL: [usize; 3] = [10_000, 50_000, 100_000];

/// The options that determine what the stores keep.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What is kept")]
struct Keeping {
    /// Keeps the newest N spans, such as 100k [default: 10,000; replay and open: by the files' size]
    #[arg(long, env = "SLIPRING_TRACES", value_name = "N", value_parser = units::amount)]
    traces: Option<usize>,
    /// Keeps the newest N log records, such as 100k [default: 50,000; replay and open: by the files' size]
    #[arg(long, env = "SLIPRING_LOGS", value_name = "N", value_parser = units::amount)]
    logs: Option<usize>,
    /// Keeps the newest N metric points, such as 1M [default: 100,000; replay and open: by the files' size]
    #[arg(long, env = "SLIPRING_METRICS", value_name = "N", value_parser = units::amount)]
    metrics: Option<usize>,
    /// Splits each store into N shards, such as 4; with 1, exactly the newest records are kept
    /// [default: two for each core, fewer in small stores]
    #[arg(long, env = "SLIPRING_SHARDS", value_name = "N")]
    shards: Option<usize>,
    /// Reserves this percentage of the records for errors, such as 20: error spans, and logs of
    /// severity ERROR and above
    #[arg(long, env = "SLIPRING_ERROR_SHARE", value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
    error_share: Option<u8>,
    /// Limits what one service may take to this percentage of each store, such as 25: a noisy one
    /// evicts its own records, and not those of others
    #[arg(long, env = "SLIPRING_SERVICE_SHARE", value_name = "PERCENT", conflicts_with = "error_share", value_parser = clap::value_parser!(u8).range(1..=99))]
    service_share: Option<u8>,
    /// Evicts records after this time: seconds, or a time such as 15m
    #[arg(long, env = "SLIPRING_MAX_AGE", value_name = "TIME", value_parser = units::seconds)]
    max_age: Option<Duration>,
    /// Limits the bytes of each store's records, such as 256M, and separately, by the same number,
    /// the bytes of what they share (resource, scope, metric)
    #[arg(long, env = "SLIPRING_MAX_BYTES", value_name = "BYTES", value_parser = units::some_bytes)]
    max_bytes: Option<usize>,
    /// Rejects records of more than this many bytes, such as 64k
    #[arg(long, env = "SLIPRING_MAX_RECORD_BYTES", value_name = "BYTES", default_value = "1M", value_parser = units::some_bytes)]
    max_record_bytes: usize,
}

impl Keeping {
    /// Builds the stores. `default` gives the numbers of spans, log records and metric points for
    /// the options that are not set.
    fn build(&self, default: [usize; 3]) -> Fallible<Telemetry> {
        let slots = self.slots(default);
        if let Some(has) = memory::of_machine().filter(|&has| has < slots) {
            let [slots, has] = [slots, has].map(text::mebibytes);
            let kept = "--traces, --logs and --metrics";
            return Err(format!(
                "{kept} would take {slots} for slots and indexes alone, and this machine has {has}; lower them"
            )
            .into());
        }
        let [traces, logs, metrics] = self.kept(default);
        let metrics = self.store(metrics, false)?;
        Ok(Telemetry::new(self.store(traces, true)?, self.store(logs, true)?, metrics))
    }

    fn kept(&self, [traces, logs, metrics]: [usize; 3]) -> [usize; 3] {
        [self.traces.unwrap_or(traces), self.logs.unwrap_or(logs), self.metrics.unwrap_or(metrics)]
    }

    /// Returns the bytes that the stores' slots and indexes take, without the records' heap data.
    fn slots(&self, default: [usize; 3]) -> u64 {
        let [traces, logs, metrics] = self.kept(default);
        let all = [
            memory::of_slots::<Span>(traces),
            memory::of_slots::<LogRecord>(logs),
            memory::of_slots::<MetricPoint>(metrics),
        ];
        all.into_iter().fold(0, u64::saturating_add)
    }

    fn store<T: slipring::Signal>(
        &self,
        capacity: usize,
        has_errors: bool,
    ) -> Result<Store<T>, BuildError> {
        let mut builder =
            Store::builder().capacity(capacity).max_record_bytes(self.max_record_bytes);
        if let Some(shards) = self.shards {
            builder = builder.shards(shards);
        }
        if let Some(share) = self.error_share.filter(|_| has_errors) {
            let errors = capacity as u128 * u128::from(share) / 100;
            builder = builder.error_class(
                usize::try_from(errors)
                    .expect("a percentage of the capacity is at most the capacity")
                    .max(1),
            );
        }
        if let Some(percent) = self.service_share {
            builder = builder.share("service", percent);
        }
        if let Some(age) = self.max_age {
            builder = builder.max_age(age);
        }
        if let Some(bytes) = self.max_bytes {
            builder = builder.max_bytes(bytes);
        }
        builder.build()
    }
}

/// The result of a command that ran to its end.
enum End {
    Well,
    /// The command finished, but some of the input was damaged or rejected, or was lost on its way on.
    WithProblems,
}

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Runs the program: parses the command line and executes its command.
pub fn main() -> ExitCode {
    let arguments = match arguments::read() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let ended = match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Open(arguments) => serve::open::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Health(arguments) => serve::health::run(&arguments),
        Command::Mcp(arguments) => mcp::run(&arguments),
        Command::Traces(question) => terminal::run(&Asked::Traces(&question)),
        Command::Trace(question) => terminal::run(&Asked::Trace(&question)),
        Command::Logs(question) => terminal::run(&Asked::Logs(&question)),
        Command::Metrics(question) => terminal::run(&Asked::Metrics(&question)),
        Command::Services(question) => terminal::run(&Asked::Services(&question)),
        Command::Graph(question) => terminal::run(&Asked::Graph(&question)),
        Command::Tail(question) => terminal::run(&Asked::Tail(&question)),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Arguments::command()),
        Command::Sample(arguments) => sample::run(&arguments),
    };
    match ended {
        Ok(End::Well) => ExitCode::SUCCESS,
        Ok(End::WithProblems) => ExitCode::from(1),
        // The reader of the output has closed the pipe, as `head` does. This is not a failure.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slipring: {}", text::printable(&error.to_string()));
            ExitCode::from(3)
        }
    }
}

/// Treats a broken pipe while printing a report as success: a reader that stops reading early does
/// not change how the command ended.
fn shown<E: Into<Box<dyn std::error::Error + Send + Sync>>>(report: Result<(), E>) -> Fallible<()> {
    match report.map_err(Into::into) {
        Err(error) if is_broken_pipe(&*error) => Ok(()),
        other => other,
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    let kind = kind.or_else(|| error.downcast_ref::<serde_json::Error>()?.io_error_kind());
    kind == Some(std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_the_default_capacities() {
        let mut command = Arguments::command();
        for name in ["serve", "demo"] {
            let help = command.find_subcommand_mut(name).unwrap().render_long_help().to_string();
            for number in USUAL {
                let default = format!("[default: {};", text::thousands(number as u64));
                assert!(help.contains(&default), "{default} {help}");
            }
        }
    }
}
