//! Attacks stores in many ways, and checks after each attack that every record is accounted for.

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

/// Attacks stores in many ways: more producers than cores, readers that sleep, producers suspended
/// at the worst instruction, unusual keys and times, and panics in all user code.
///
/// Each phase ends with the audit and an accounting: every record that was pushed is held, was
/// evicted or was returned, and every record that was created is held or was dropped exactly once.
/// The run stops after the first phase that fails, with exit status 1. A run that Ctrl-C ends has
/// exit status 1 too.
#[derive(Debug, Parser)]
#[command(name = "slipring-stress", version)]
struct Arguments {
    /// Runs these phases, such as `mixed times` [default: all phases, one after the other]
    #[arg(value_name = "PHASE", value_parser = PossibleValuesParser::new(PHASES.map(|phase| phase.name)), hide_possible_values = true)]
    phases: Vec<String>,
    /// Sets the minimum duration of each phase, in seconds, such as 0.5
    #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = seconds)]
    length: Duration,
    /// Sets the number of records that the stores keep, such as 5000; fewer where records are large
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    capacity: u32,
    /// Sets the number of threads that push, such as 8 [default: four for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    producers: Option<u16>,
    /// Sets the number of readers of each kind, such as 2
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1_000))]
    readers: u16,
    /// Says that an emulator runs the program, whose memory the system counts with the program's: bounds
    /// what is allocated, not what is resident
    #[arg(long)]
    emulated: bool,
    /// Lists the phases
    #[arg(long, conflicts_with_all = ["length", "capacity", "producers", "readers", "emulated", "phases"])]
    list: bool,
    /// Writes the report as JSON
    #[arg(long)]
    json: bool,
}

/// An attack.
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
        what: "producers, readers of every kind, clears, hooks and subscribers, in seven kinds of stores",
        run: load::mixed,
    },
    Phase {
        name: "telemetry",
        what: "a shop's spans, logs and metrics in three stores, with queries for traces, series and graphs",
        run: telemetry::telemetry,
    },
    Phase {
        name: "sleeping-reader",
        what: "a reader sleeps inside a query",
        run: stalls::sleeping_reader,
    },
    Phase {
        name: "suspended-producers",
        what: "more producers than shards are suspended between claim and publish, or anywhere",
        run: stalls::suspended_producers,
    },
    Phase {
        name: "suspended-workers",
        what: "threads that index, count, audit and read are suspended anywhere, also while they hold an indexer lock",
        run: stalls::suspended_workers,
    },
    Phase {
        name: "starved-indexer",
        what: "the indexer sleeps in a hook, in stores that reject and in stores that wait",
        run: stalls::starved_indexer,
    },
    Phase {
        name: "deaf-subscriber",
        what: "a subscriber never reads",
        run: stalls::deaf_subscriber,
    },
    Phase { name: "one-key", what: "all records have the same keys", run: keys::one_key },
    Phase { name: "new-keys", what: "every record has a new key", run: keys::new_keys },
    Phase { name: "large-keys", what: "keys of 64 KiB, and empty keys", run: keys::large_keys },
    Phase {
        name: "bursts",
        what: "one service pushes bursts while others push slowly",
        run: keys::bursts,
    },
    Phase {
        name: "times",
        what: "timestamps that are zero, equal, decreasing, or at the ends of the range",
        run: times::times,
    },
    Phase {
        name: "panics",
        what: "panics in hooks, keys, clones, drops and filters; impossible sizes",
        run: panics::panics,
    },
    Phase {
        name: "dying-threads",
        what: "threads that end after a few calls, half of them by a panic",
        run: lives::dying_threads,
    },
    Phase {
        name: "short-lives",
        what: "stores that are created and dropped in a loop",
        run: lives::short_lives,
    },
];

/// The end of a phase.
#[derive(Serialize)]
struct Ended {
    phase: &'static str,
    seconds: f64,
    #[serde(flatten)]
    outcome: Option<Outcome>,
    /// The message of the first failed check or unexpected panic.
    failure: Option<String>,
}

#[derive(Serialize)]
struct Report {
    phases: Vec<Ended>,
    /// Whether the user stopped the run, possibly within its last phase and before other phases.
    stopped: bool,
    in_order: bool,
}

impl Report {
    fn verdict(&self) -> String {
        let phases = counted(self.phases.len() as u64, "phase");
        match (self.in_order, self.stopped) {
            (false, _) => "FAILED; later phases did not run".to_owned(),
            (true, true) => {
                format!("Stopped after {phases}, the last of which may have been cut short; no check failed up to there")
            }
            (true, false) => "In order: after each phase the audit found no breach, and each record was held, evicted or rejected, and \
                dropped once"
                .to_owned(),
        }
    }
}

/// Parses a number of seconds above 0.
fn seconds(text: &str) -> Result<Duration, String> {
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero())
        .ok_or_else(|| "give seconds above 0, such as 2 or 0.5".to_owned())
}

/// Formats a number with commas between thousands.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// Formats a count with its noun, in the plural unless the count is 1.
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

/// Runs the phases. Returns whether all of them ended without a failure.
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
        emulated: arguments.emulated,
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
            // Stop here, because a later phase would be blamed for what this one left behind.
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
    let failure =
        failure.or_else(|| outcome.is_none().then(|| "the phase ended in a panic".to_owned()));
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
