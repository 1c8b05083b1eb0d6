//! The parts of the comparison: each goes through its cases, round by round, and fills tables.
//!
//! In every round each store runs once in each case, one after the other, so that the machine's
//! moods hit all alike; ratios are taken within a round.

pub mod growth;
pub mod idle;
pub mod ingest;
pub mod latency;
pub mod lookups;
pub mod memory;
pub mod otlp;
pub mod program;
pub mod queries;
mod real_spans;
pub mod soak;
pub mod targets;

use crate::contender::{CHECKED, Contender};
use crate::report::{Origin, Part, Table};
use std::time::Duration;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rounds of which the medians are taken.
    pub rounds: usize,
    /// Fewer cases and shorter runs.
    pub quick: bool,
    /// For how long the soak goes on.
    pub long_run: Duration,
}

impl Options {
    /// One of two, by whether it has to be quick.
    pub fn either<T>(&self, quick: T, thorough: T) -> T {
        if self.quick { quick } else { thorough }
    }

    fn part(&self, name: &'static str, title: &'static str, tables: Vec<Table>) -> Part {
        Part { name, title, origin: Origin::here(self.rounds), tables }
    }

    /// Calls `round` as often as there are rounds.
    fn rounds(&self, what: &str, mut round: impl FnMut()) {
        for number in 1..=self.rounds {
            eprintln!("{what}: round {number} of {}", self.rounds);
            round();
        }
    }
}

/// Has each store checked for right answers. Before it is timed, it has to know them.
pub fn check<'a>(what: &str, contenders: impl IntoIterator<Item = &'a Contender>) {
    for contender in contenders {
        eprintln!("{what}: checking the answers of {}", contender.name);
        (contender.check)(CHECKED);
    }
}

/// Thousands and millions, in short.
fn amount(number: usize) -> String {
    match number {
        1_000_000.. if number.is_multiple_of(1_000_000) => format!("{}M", number / 1_000_000),
        1_000.. if number.is_multiple_of(1_000) => format!("{}K", number / 1_000),
        _ => number.to_string(),
    }
}
