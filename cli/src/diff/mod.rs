//! `slipring diff`: compares the operations of two runs.

mod change;
mod operation;
mod source;

use crate::files::load::Load;
use crate::files::size;
use crate::stop::Stop;
use crate::terminal::{Cell, Screen, Table, Tone, figures, toned};
use crate::text::{counted, thousands, write_json};
use crate::{End, Fallible, shown};
use change::{Change, Changes, Verdict};
use clap::Args;
use operation::Operations;
use slipring::otlp::Request;
use source::Source;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;

/// Compares two runs: which operations (service and span name) got slower, started to fail,
/// appeared or vanished.
///
/// A run is a file, as `replay` reads it, or a running server's address. A median or a 99th
/// percentile counts as changed where it differs by the threshold and chance does not explain the
/// difference (three standard deviations of a rank test); so operations with few spans are silent.
///
/// Example: slipring diff before.jsonl.zst http://127.0.0.1:4318
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run that is compared with: a file, `-`, or http://host:port
    #[arg(value_name = "BEFORE")]
    before: Source,
    /// The run that may have changed
    #[arg(value_name = "AFTER")]
    after: Source,
    /// By how much a duration has to differ
    #[arg(long, value_name = "PERCENT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    threshold: u32,
    /// Shows the operations that have not changed, too
    #[arg(long)]
    all: bool,
    /// Ends with status 1 if an operation got slower or started to fail
    #[arg(long)]
    check: bool,
    /// The server's token
    #[arg(long, env = "SLIPRING_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Reports in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Fallible<End> {
    if [&arguments.before, &arguments.after].iter().all(|source| source.is_input()) {
        return Err("standard input can be read once; give a file or a server beside it".into());
    }
    let stop = Stop::listen()?;
    let (before, first) = read(&arguments.before, arguments, &stop)?;
    let (after, second) = read(&arguments.after, arguments, &stop)?;
    if stop.is_asked() {
        return Err("interrupted before both were read".into());
    }
    let changes = Changes::between(before, after, arguments.threshold);
    let out = &mut io::stdout().lock();
    let told = if arguments.json {
        write_json(out, &changes.report(&arguments.before, &arguments.after, arguments.all))
    } else {
        print(&changes, arguments, out).map_err(Into::into)
    };
    shown(told)?;
    let is_worse = arguments.check && changes.is_worse();
    Ok(if first && second && !is_worse { End::Well } else { End::WithProblems })
}

/// Reads a run's operations, and returns whether all of it was in order. Tells what was not.
fn read(source: &Source, arguments: &Arguments, stop: &Stop) -> Fallible<(Operations, bool)> {
    let files = [PathBuf::from(source.to_string())];
    let sizes = source.path().map_or(Ok(vec![None]), |path| size::sizes(&[path.to_owned()]))?;
    // A server that is not there is no damage.
    let opened = Mutex::new(source.open(arguments.token.as_deref())?);
    let load = Load { ordered: false, ..Load::in_order(&files, &sizes, stop) };
    let operations = Mutex::new(Operations::default());
    let tally = load.read(
        &|path, bytes| match opened.lock().ok().and_then(|mut opened| opened.take()) {
            Some(requests) => Ok(requests),
            None => crate::input::Requests::open(path, bytes),
        },
        &|request: Request| {
            let mut some = Operations::default();
            request.spans.iter().for_each(|span| some.add(span));
            operations.lock().expect("adding does not panic").merge(some);
            request.rejected
        },
    )?;
    let read = tally.into_report(std::time::Duration::ZERO, stop.is_asked());
    for problem in read.problems() {
        eprintln!("{problem}");
    }
    Ok((operations.into_inner().expect("adding does not panic"), read.is_in_order()))
}

fn print(changes: &Changes, arguments: &Arguments, out: &mut impl Write) -> io::Result<()> {
    let screen = Screen::of_stdout();
    let mut table =
        Table::new(&["", "~service", "~operation", "#spans", "#p50", "#p99", "#failed"]);
    for change in changes.shown(arguments.all) {
        table.row(row(change));
    }
    if !table.is_empty() {
        table.print(out, screen)?;
        writeln!(out)?;
    }
    let count = |verdict: Verdict| {
        let number = changes.count(verdict);
        (number > 0).then(|| format!("{} {}", thousands(number), verdict.words()))
    };
    let found: Vec<_> = Verdict::ALL.into_iter().filter_map(count).collect();
    let of = counted(changes.operations(), "operation");
    let found = if found.is_empty() { "nothing has changed".to_owned() } else { found.join(", ") };
    writeln!(out, "{of}: {found}")
}

/// Shows what was before and what is now, where both are known.
fn row(change: &Change) -> Vec<Cell> {
    let each = |figure: &dyn Fn(&change::Figures) -> String| match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{} → {}", figure(before), figure(after)),
        (Some(one), None) | (None, Some(one)) => figure(one),
        (None, None) => String::new(),
    };
    let words: Vec<_> = change.verdicts.iter().map(|verdict| verdict.words()).collect();
    let tone = match change.verdicts.first() {
        Some(Verdict::Failing | Verdict::Slower) => Tone::Bad,
        Some(Verdict::Appeared | Verdict::Vanished) => Tone::Warning,
        Some(Verdict::Faster | Verdict::Recovered) => Tone::Good,
        None => Tone::Dim,
    };
    vec![
        toned(words.join(", "), tone),
        change.service.as_str().into(),
        change.name.as_str().into(),
        each(&|figures| thousands(figures.spans)).into(),
        each(&|figures| figures::took_or_unknown(figures.p50_nanos)).into(),
        each(&|figures| figures::took_or_unknown(figures.p99_nanos)).into(),
        each(&|figures| figures::percent(figures.errors, figures.spans)).into(),
    ]
}
