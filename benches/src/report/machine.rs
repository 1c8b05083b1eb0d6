//! The origin of figures: machine, compiler, commit, day and command.

use serde::Serialize;
use std::process::Command;

/// The machine, the compiler, the commit, the day and the command of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    /// The processor's name.
    pub processor: String,
    /// The number of cores that the process may use.
    pub cores: usize,
    /// The compiler's version.
    pub rustc: &'static str,
    /// The commit, followed by `+` if the working tree had uncommitted changes.
    pub commit: String,
    /// The day, in UTC.
    pub date: String,
    /// The command that repeats the measurement.
    pub command: String,
    /// The number of rounds whose medians are shown.
    pub rounds: usize,
}

impl Origin {
    /// Describes this process on this machine, now.
    pub fn here(rounds: usize) -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Self {
            processor: processor().unwrap_or_else(|| "an unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            rustc: env!("BUILT_BY"),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            date: output_of("date", &["-u", "+%Y-%m-%d"])
                .unwrap_or_else(|| "an unknown day".to_owned()),
            command: format!("cargo run --release -p slipring-benches -- {}", arguments.join(" ")),
            rounds,
        }
    }

    /// Formats the origin in one line, for plots.
    pub fn brief(&self) -> String {
        let Self { processor, cores, rustc, commit, date, rounds, .. } = self;
        format!(
            "{processor}, {cores} cores · {rustc} · commit {commit} · {date} · medians of {rounds}"
        )
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}. `{}`", self.brief(), self.command)
    }
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn commit() -> Option<String> {
    let commit = output_of("git", &["rev-parse", "--short", "HEAD"])?;
    let changed =
        output_of("git", &["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    Some(if changed { commit + "+" } else { commit })
}

/// Runs a program and returns its standard output, or `None` if it is missing or fails.
fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
