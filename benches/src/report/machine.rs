//! Where figures come from: without that they say nothing.

use serde::Serialize;
use std::process::Command;

/// Machine, compiler, commit, day and command of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    /// The processor, as it calls itself.
    pub processor: String,
    /// Cores that the process may use.
    pub cores: usize,
    /// The compiler's version.
    pub rustc: &'static str,
    /// The commit, with a `+` if the tree had changes on top of it.
    pub commit: String,
    /// The day, UTC.
    pub date: String,
    /// What to type to measure again.
    pub command: String,
    /// Rounds whose medians are shown.
    pub rounds: usize,
}

impl Origin {
    /// Of this process, on this machine, now.
    pub fn here(rounds: usize) -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Self {
            processor: processor().unwrap_or_else(|| "an unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            rustc: env!("BUILT_BY"),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            date: said("date", &["-u", "+%Y-%m-%d"]).unwrap_or_else(|| "an unknown day".to_owned()),
            command: format!("cargo run --release -p slipring-benches -- {}", arguments.join(" ")),
            rounds,
        }
    }

    /// In one line, for plots.
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
    let commit = said("git", &["rev-parse", "--short", "HEAD"])?;
    let changed = said("git", &["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    Some(if changed { commit + "+" } else { commit })
}

/// What a program prints, if it is there and content.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
