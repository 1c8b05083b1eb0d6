//! Attacks stores from every side, and checks the books after each attack.

mod keys;
mod lives;
mod load;
mod panics;
mod sample;
mod scene;
mod stalls;
mod stop;
mod suspend;
mod system;
mod team;
mod telemetry;
mod times;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};
use scene::{Outcome, Plan};
use serde::Serialize;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
use stop::Stop;

/// Attacks stores from every side: more producers than cores, readers that sleep, producers
/// suspended where it hurts most, keys and times as they should not be, panics everywhere.
///
/// Each phase ends in the audit and in the books: everything that was pushed is held, has been
/// evicted or came back, and every record that was made is held or was dropped, once. The first
/// phase that does not end well is the last one, and the exit status is 1; so is that of a run that
/// Ctrl-C has ended.
#[derive(Debug, Parser)]
#[command(name = "slipring-stress", version)]
struct Arguments {
    /// The phases to run; all of them, one after the other, if none is named
    #[arg(value_name = "PHASE", value_parser = PossibleValuesParser::new(PHASES.map(|phase| phase.name)), hide_possible_values = true)]
    phases: Vec<String>,
    /// Seconds that each phase lasts, at least
    #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = seconds)]
    length: Duration,
    /// Records that the stores keep; fewer, where records are large
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    capacity: u32,
    /// Threads that push [default: four for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    producers: Option<u16>,
    /// Readers of each kind
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1_000))]
    readers: u16,
    /// Tells which phases there are
    #[arg(long, conflicts_with_all = ["length", "capacity", "producers", "readers", "phases"])]
    list: bool,
    /// Reports in JSON
    #[arg(long)]
    json: bool,
}

/// One attack.
#[derive(Clone, Copy, Serialize)]
struct Phase {
    name: &'static str,
    what: &'static str,
    #[serde(skip)]
    run: fn(&Plan) -> Outcome,
}

const PHASES: [Phase; 15] = [
    Phase {
        name: "mixed",
        what: "producers, readers of every kind, clears, hooks, subscribers; seven makes of store",
        run: load::mixed,
    },
    Phase {
        name: "telemetry",
        what: "a shop's spans, logs and metrics in three stores; traces, series, graphs",
        run: telemetry::telemetry,
    },
    Phase {
        name: "sleeping-reader",
        what: "a reader sleeps inside a query",
        run: stalls::sleeping_reader,
    },
    Phase {
        name: "suspended-producers",
        what: "more producers than shards stand between claim and publish, or anywhere",
        run: stalls::suspended_producers,
    },
    Phase {
        name: "suspended-workers",
        what: "threads that index, count, audit and read stand anywhere, with the token of a shard too",
        run: stalls::suspended_workers,
    },
    Phase {
        name: "starved-indexer",
        what: "the indexer stands in a hook; stores that reject, and that wait",
        run: stalls::starved_indexer,
    },
    Phase {
        name: "deaf-subscriber",
        what: "a subscriber never reads",
        run: stalls::deaf_subscriber,
    },
    Phase { name: "one-key", what: "one key for everything", run: keys::one_key },
    Phase { name: "new-keys", what: "a new key with every record", run: keys::new_keys },
    Phase { name: "large-keys", what: "keys of 64 KiB, and of nothing", run: keys::large_keys },
    Phase { name: "bursts", what: "one service bursts while others trickle", run: keys::bursts },
    Phase {
        name: "times",
        what: "timestamps zero, equal, backwards, at the ends of the range",
        run: times::times,
    },
    Phase {
        name: "panics",
        what: "panics in hooks, keys, clones, drops, tests; sizes that can't be",
        run: panics::panics,
    },
    Phase {
        name: "dying-threads",
        what: "threads that live for a few calls, and die in a panic",
        run: lives::dying_threads,
    },
    Phase {
        name: "short-lives",
        what: "stores made and dropped in a loop",
        run: lives::short_lives,
    },
];

/// How a phase ended.
#[derive(Serialize)]
struct Ended {
    phase: &'static str,
    seconds: f64,
    #[serde(flatten)]
    outcome: Option<Outcome>,
    /// What was not as it should be.
    failure: Option<String>,
}

#[derive(Serialize)]
struct Report {
    phases: Vec<Ended>,
    /// Whether the user ended it, maybe within its last phase and before others.
    stopped: bool,
    in_order: bool,
}

impl Report {
    fn verdict(&self) -> String {
        let phases = counted(self.phases.len() as u64, "phase");
        match (self.in_order, self.stopped) {
            (false, _) => "NOT in order; nothing was tried after that".to_owned(),
            (true, true) => {
                format!("Stopped after {phases}, of which the last may have been cut short; up to there all was in order")
            }
            (true, false) => "In order: after each phase the audit found nothing, and each record was held, evicted or rejected, and \
                dropped once"
                .to_owned(),
        }
    }
}

/// A number above 0, as seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero())
        .ok_or_else(|| "give seconds above 0, such as 2 or 0.5".to_owned())
}

/// Writes a number with a comma after each three digits.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// Writes a number and what it counts, with a plural s where there is not one.
fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(number), if number == 1 { "" } else { "s" })
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("slipring-stress: {error}");
            ExitCode::from(3)
        }
    }
}

/// Runs the phases. Returns whether all of them ended, and in order.
fn run(arguments: &Arguments) -> io::Result<bool> {
    let out = &mut io::stdout().lock();
    if arguments.list {
        return list(out, arguments.json).map(|()| true);
    }
    let cores = available_parallelism().map_or(1, usize::from);
    let plan = Plan {
        length: arguments.length,
        capacity: arguments.capacity as usize,
        producers: arguments.producers.map_or(4 * cores as u64, u64::from),
        readers: arguments.readers.into(),
        stop: Stop::listen().map_err(io::Error::other)?,
    };
    let chosen = |phase: &&Phase| {
        arguments.phases.is_empty() || arguments.phases.iter().any(|name| name == phase.name)
    };
    let phases: Vec<&Phase> = PHASES.iter().filter(chosen).collect();
    if !arguments.json {
        writeln!(
            out,
            "{} on {}, {} of each kind, {} records kept\n\n{:<20}{:>14}{:>14}{:>12}{:>12}{:>8}",
            counted(plan.producers, "producer"),
            counted(cores as u64, "core"),
            counted(plan.readers, "reader"),
            thousands(plan.capacity as u64),
            "phase",
            "offered",
            "evicted",
            "rejected",
            "lookups",
            "s"
        )?;
    }
    let style =
        ProgressStyle::with_template("{spinner} {msg}, {elapsed}").expect("the template is sound");
    scene::keep_panics();
    let mut ended = Vec::new();
    for phase in phases {
        if plan.stop.is_asked() {
            break;
        }
        let spinner = ProgressBar::new_spinner()
            .with_style(style.clone())
            .with_message(format!("{}: {}", phase.name, phase.what));
        spinner.enable_steady_tick(Duration::from_millis(250));
        let end = attack(phase, &plan);
        spinner.finish_and_clear();
        if !arguments.json {
            end.print(out)?;
        }
        let failed = end.failure.is_some();
        ended.push(end);
        if failed {
            // What it has left behind would be laid to the charge of the next.
            break;
        }
    }
    let stopped = plan.stop.is_asked();
    let report =
        Report { stopped, in_order: ended.iter().all(|end| end.failure.is_none()), phases: ended };
    if arguments.json {
        write_json(out, &report)?;
    } else {
        writeln!(out, "\n{}", report.verdict())?;
    }
    Ok(report.in_order && !stopped)
}

fn write_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

fn list(out: &mut impl Write, json: bool) -> io::Result<()> {
    if json {
        write_json(out, &PHASES.to_vec())?;
    } else {
        PHASES.iter().try_for_each(|Phase { name, what, .. }| writeln!(out, "{name:<20}{what}"))?;
    }
    Ok(())
}

fn attack(phase: &Phase, plan: &Plan) -> Ended {
    let started = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (phase.run)(plan))).ok();
    let failure = scene::take_failure();
    let failure = failure.or_else(|| outcome.is_none().then(|| "it ended in a panic".to_owned()));
    Ended { phase: phase.name, seconds: started.elapsed().as_secs_f64(), outcome, failure }
}

impl Ended {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let (phase, seconds) = (self.phase, self.seconds);
        if let Some(outcome) = &self.outcome {
            let counts = [
                outcome.offered,
                outcome.evicted.total(),
                outcome.rejected.total(),
                outcome.lookups,
            ];
            let [offered, evicted, rejected, lookups] = counts.map(thousands);
            writeln!(
                out,
                "{phase:<20}{offered:>14}{evicted:>14}{rejected:>12}{lookups:>12}{seconds:>8.1}"
            )?;
            let notes: Vec<_> = outcome
                .notes
                .iter()
                .map(|(what, number)| format!("{what} {}", thousands(*number)))
                .collect();
            if !notes.is_empty() {
                writeln!(out, "  {}", notes.join(", "))?;
            }
        } else {
            writeln!(out, "{phase:<20}{seconds:>68.1}")?;
        }
        match &self.failure {
            Some(failure) => writeln!(out, "  FAILED: {failure}"),
            None => Ok(()),
        }
    }
}
