//! What of a request was not taken.

use std::fmt;

/// Reasons that are told apart; what comes with another one is counted without it.
const MOST_REASONS: usize = 8;

/// How many records were rejected, and why. Bounded, whatever the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    records: u64,
    reasons: Vec<(String, u64)>,
}

impl Rejected {
    /// How many.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Why, with how many records each: the first few reasons that occurred.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, u64)> {
        self.reasons.iter().map(|(reason, records)| (&**reason, *records))
    }

    /// Adds what was rejected elsewhere.
    pub fn merge(&mut self, other: &Self) {
        let told: u64 = other.reasons().map(|(_, records)| records).sum();
        other.reasons().for_each(|(reason, records)| self.add(records, reason));
        self.records += other.records - told;
    }

    pub(super) fn add(&mut self, records: u64, reason: &str) {
        self.records += records;
        if let Some((_, count)) = self.reasons.iter_mut().find(|(known, _)| known == reason) {
            *count += records;
        } else if self.reasons.len() < MOST_REASONS && records > 0 {
            self.reasons.push((reason.to_owned(), records));
        }
    }
}

/// In a line: `3 records rejected: traceId has 2 bytes instead of 16 (2); …`. Empty if there were none.
impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.records == 0 {
            return Ok(());
        }
        write!(f, "{} record{} rejected", self.records, if self.records == 1 { "" } else { "s" })?;
        let one = self.reasons.len() == 1 && self.reasons[0].1 == self.records;
        for (number, (reason, records)) in self.reasons.iter().enumerate() {
            f.write_str(if number == 0 { ": " } else { "; " })?;
            f.write_str(reason)?;
            if !one {
                write!(f, " ({records})")?;
            }
        }
        let told: u64 = self.reasons.iter().map(|(_, records)| records).sum();
        if told < self.records { write!(f, "; and others ({})", self.records - told) } else { Ok(()) }
    }
}
