//! `slipring`: keeps OpenTelemetry data from clients and files in memory, and answers queries.
//!
//! This crate is a library only so that the fuzzer can send requests to the program's routes.

mod arguments;
mod demo;
mod input;
mod memory;
mod replay;
mod report;
mod sample;
mod serve;
mod stop;
mod text;
mod units;

pub use serve::{over_grpc, over_http};

use clap::{Args, Parser, Subcommand};
use slipring::error::BuildError;
use slipring::{LogRecord, MetricPoint, Span, Store, Telemetry};
use std::process::ExitCode;
use std::time::Duration;

/// Keeps the last minutes of telemetry in memory, bounded, and answers what happened.
///
/// Spans, log records and metric points come from OTLP clients (`serve`), from files (`replay`) or
/// from a made-up shop (`demo`). Each of the three has a store of its own that keeps its newest
/// records and finds them by trace, service, severity, name or type.
#[derive(Debug, Parser)]
#[command(name = "slipring", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_long_help = "Exit status: 0 if all went well, 1 if some of the input was damaged or rejected, 2 if the command line is wrong, \
                       3 if it failed, 130 if it was interrupted twice.\n\nFirst try:  slipring demo\nThen:       slipring demo --write shop.jsonl && slipring replay shop.jsonl\nAnd then:   slipring serve",
    after_help = "First try:  slipring demo\nThen:       slipring demo --write shop.jsonl && slipring replay shop.jsonl\nAnd then:   slipring serve"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Replay(replay::Arguments),
    Demo(demo::Arguments),
    Sample(sample::Arguments),
}

/// Default numbers of spans, log records and metric points that the stores keep. `replay` derives
/// its own defaults from the sizes of its files.
const USUAL: [usize; 3] = [10_000, 50_000, 100_000];

/// What the stores keep.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What is kept")]
struct Keeping {
    /// Spans that are kept, the newest [default: 10,000; replay: by the files' size]
    #[arg(long, env = "SLIPRING_TRACES", value_name = "N", value_parser = units::amount)]
    traces: Option<usize>,
    /// Log records that are kept, the newest [default: 50,000; replay: by the files' size]
    #[arg(long, env = "SLIPRING_LOGS", value_name = "N", value_parser = units::amount)]
    logs: Option<usize>,
    /// Metric points that are kept, the newest [default: 100,000; replay: by the files' size]
    #[arg(long, env = "SLIPRING_METRICS", value_name = "N", value_parser = units::amount)]
    metrics: Option<usize>,
    /// Shards of each store; with 1, exactly the newest records are kept [default: two for each
    /// core, fewer in small stores]
    #[arg(long, env = "SLIPRING_SHARDS", value_name = "N")]
    shards: Option<usize>,
    /// How many of the records are for errors alone, in each hundred: error spans, and logs from
    /// ERROR on
    #[arg(long, env = "SLIPRING_ERROR_SHARE", value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
    error_share: Option<u8>,
    /// How long a record may stay: seconds, or a time such as 15m
    #[arg(long, env = "SLIPRING_MAX_AGE", value_name = "TIME", value_parser = units::seconds)]
    max_age: Option<Duration>,
    /// Bytes that each store's records may take, and as many again what they share (resource,
    /// scope, metric)
    #[arg(long, env = "SLIPRING_MAX_BYTES", value_name = "BYTES", value_parser = units::some_bytes)]
    max_bytes: Option<usize>,
    /// Bytes that one record may take; larger ones are rejected
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
                usize::try_from(errors).expect("a share is not more than the whole").max(1),
            );
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

/// How a command ended.
enum End {
    Well,
    /// The command finished, but some of the input was damaged or rejected.
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
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Sample(arguments) => sample::run(&arguments),
    };
    match ended {
        Ok(End::Well) => ExitCode::SUCCESS,
        Ok(End::WithProblems) => ExitCode::from(1),
        // The reader of the output has closed the pipe, as `head` does. That is no failure.
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
    use clap::CommandFactory;

    #[test]
    fn help_tells_what_is_usual() {
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
