//! The parts of the comparison. Each runs its cases, round by round, and fills tables.
//!
//! In every round, each store runs once in each case, one after the other, so that changes in the
//! machine's speed affect all stores alike. Ratios are taken within a round.

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

/// The extent of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The number of rounds whose medians are taken.
    pub rounds: usize,
    /// Whether to measure fewer cases, in shorter runs.
    pub quick: bool,
    /// The duration of the soak.
    pub long_run: Duration,
}

impl Options {
    /// Returns `quick` or `thorough`, by the options.
    pub fn either<T>(&self, quick: T, thorough: T) -> T {
        if self.quick { quick } else { thorough }
    }

    fn part(&self, name: &'static str, title: &'static str, tables: Vec<Table>) -> Part {
        Part { name, title, origin: Origin::here(self.rounds), tables }
    }

    /// Calls `round` once for each round.
    fn rounds(&self, what: &str, mut round: impl FnMut()) {
        for number in 1..=self.rounds {
            eprintln!("{what}: round {number} of {}", self.rounds);
            round();
        }
    }
}

/// Checks the answers of each store, before the store is timed.
pub fn check<'a>(what: &str, contenders: impl IntoIterator<Item = &'a Contender>) {
    for contender in contenders {
        eprintln!("{what}: checking the answers of {}", contender.name);
        (contender.check)(CHECKED);
    }
}

/// Formats a number with `K` for thousands and `M` for millions.
fn amount(number: usize) -> String {
    match number {
        1_000_000.. if number.is_multiple_of(1_000_000) => format!("{}M", number / 1_000_000),
        1_000.. if number.is_multiple_of(1_000) => format!("{}K", number / 1_000),
        _ => number.to_string(),
    }
}
