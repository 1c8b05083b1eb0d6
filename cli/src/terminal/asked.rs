//! The questions' command lines.

use crate::client::{Address, Parameters};
use clap::Args;
use std::path::PathBuf;

/// Whom to ask.
#[derive(Debug, Args)]
#[command(next_help_heading = "Whom to ask")]
pub struct Whom {
    /// A running server: http://host:port, or a port of this machine
    #[arg(long, env = "SLIPRING_SERVER", default_value_t, value_name = "ADDRESS")]
    pub server: Address,
    /// The server's token
    #[arg(long, env = "SLIPRING_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Asks a file instead of a server, as `replay` reads it; several times for several files
    #[arg(long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Prints the API's answer in JSON, as it is
    #[arg(long)]
    pub json: bool,
}

/// What records have to be like.
#[derive(Debug, Args)]
pub struct Conditions {
    /// Any parameter of the API, which GET /api lists: service!=cart, 'attribute=http.route~/a*'
    #[arg(value_name = "NAME=VALUE", value_parser = parameter)]
    given: Vec<(String, String)>,
    /// The service; several times for one of several
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// From when on: a time, or how long ago, such as 15m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Until when
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Splits a parameter at its first sign of equality, as a URL does.
fn parameter(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = split.ok_or_else(|| {
        "give NAME=VALUE, such as service=cart; a further file takes a --file of its own".to_owned()
    })?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Conditions {
    /// Returns the parameters that were given, by flags of this and other kinds.
    pub fn with<'a>(
        &'a self,
        flags: impl IntoIterator<Item = (&'a str, Option<String>)>,
    ) -> Parameters {
        let mut all = self.given.clone();
        all.extend(self.service.iter().map(|service| ("service".to_owned(), service.clone())));
        let times = [("since", self.since.clone()), ("until", self.until.clone())];
        for (name, value) in times.into_iter().chain(flags) {
            all.extend(value.map(|value| (name.to_owned(), value)));
        }
        all
    }
}

/// Adds a parameter unless it was given.
pub fn by_default(parameters: &mut Parameters, name: &str, value: impl ToString) {
    if !parameters.iter().any(|(given, _)| given == name) {
        parameters.push((name.to_owned(), value.to_string()));
    }
}

/// Lists traces, the newest first.
///
/// Example: slipring traces --service cart --failing --since 15m min_duration=100ms
#[derive(Debug, Args)]
pub struct Traces {
    #[command(flatten)]
    pub conditions: Conditions,
    /// With a span of this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// With a span that failed
    #[arg(long)]
    pub failing: bool,
    /// The slowest first
    #[arg(long)]
    pub slowest: bool,
    /// That take at least so long, such as 250ms
    #[arg(long, value_name = "DURATION")]
    pub at_least: Option<String>,
    /// How many at most [default: 20]
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    #[command(flatten)]
    pub whom: Whom,
}

/// Shows a trace as a waterfall, with its critical path, errors and logs.
///
/// Example: slipring trace 9791f17b738b70eb38079fb37dbbbdfd
#[derive(Debug, Args)]
pub struct Trace {
    /// The trace's id
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub whom: Whom,
}

/// Lists log records, the newest last.
///
/// Example: slipring logs --severity warn --body '*timeout*' --since 1h
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    pub conditions: Conditions,
    /// From this severity on, such as warn
    #[arg(long, value_name = "NAME")]
    pub severity: Option<String>,
    /// With a body like this pattern
    #[arg(long, value_name = "PATTERN")]
    pub body: Option<String>,
    /// Of this trace
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,
    /// How many at most [default: 50]
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    #[command(flatten)]
    pub whom: Whom,
}

/// Lists series of metrics with their latest values, rates and quantiles.
///
/// Example: slipring metrics --service cart name~=http.*
#[derive(Debug, Args)]
pub struct Metrics {
    #[command(flatten)]
    pub conditions: Conditions,
    /// The metric's name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How many at most [default: 50]
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    #[command(flatten)]
    pub whom: Whom,
}

/// Lists services, with their numbers of records.
///
/// Example: slipring services --file run.jsonl.zst
#[derive(Debug, Args)]
pub struct Services {
    #[command(flatten)]
    pub whom: Whom,
}

/// Shows which service calls which, how often, how long, and how often in vain.
///
/// Example: slipring graph --since 5m
#[derive(Debug, Args)]
pub struct Graph {
    #[command(flatten)]
    pub conditions: Conditions,
    #[command(flatten)]
    pub whom: Whom,
}

/// Shows records as they come in, one on a line, until it is interrupted.
///
/// Example: slipring tail logs --severity error
#[derive(Debug, Args)]
pub struct Tail {
    /// What to follow
    #[arg(value_enum, default_value_t, value_name = "SIGNAL")]
    pub signal: Signal,
    #[command(flatten)]
    pub conditions: Conditions,
    /// Log records from this severity on
    #[arg(long, value_name = "NAME")]
    pub severity: Option<String>,
    #[command(flatten)]
    pub whom: Whom,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Signal {
    Spans,
    #[default]
    Logs,
    Metrics,
}

impl Signal {
    pub fn name(self) -> &'static str {
        match self {
            Signal::Spans => "spans",
            Signal::Logs => "logs",
            Signal::Metrics => "metrics",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_split_as_in_a_url() {
        let split = |text| parameter(text).map(|(name, value)| format!("{name} {value}"));
        assert_eq!(split("service=cart"), Ok("service cart".to_owned()));
        assert_eq!(split("service!=cart"), Ok("service! cart".to_owned()));
        assert_eq!(split("attribute=a>=5"), Ok("attribute a>=5".to_owned()));
        assert!(split("run.jsonl").unwrap_err().contains("--file") && split("=x").is_err());
    }
}
