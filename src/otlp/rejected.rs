//! What of a request was not taken, and the response that says so.

use super::kind::{Encoding, Kind};
use prost::Message;
use std::fmt;

/// Reasons that are told apart; what comes with another one is counted without it.
const MOST_REASONS: usize = 8;

/// Characters of a reason at either end; what lies between them is left out.
const REASON_END: usize = 100;

/// Leaves out a reason's middle if it is long, as a foreign name may be.
fn shortened(reason: &str) -> Option<String> {
    // So is nearly each, and a request of nothing but nonsense brings half a million of them in a
    // MiB.
    if reason.len() <= 2 * REASON_END {
        return None;
    }
    let start = reason.char_indices().nth(REASON_END)?.0;
    let end = reason.char_indices().rev().nth(REASON_END - 1)?.0;
    (start < end).then(|| format!("{}…{}", &reason[..start], &reason[end..]))
}

/// How many records were rejected, and why. Bounded, whatever the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    records: u64,
    reasons: Vec<(String, u64)>,
}

impl Rejected {
    /// Returns the number of records that were rejected.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Returns whether there were none.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Iterates over the first few reasons, each with its number of records.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, u64)> {
        self.reasons.iter().map(|(reason, records)| (&**reason, *records))
    }

    /// Encodes the response to a request of this kind: empty if all was taken, else the protocol's
    /// *partial success*, with the number of rejected records and why.
    pub fn to_response(&self, kind: Kind, encoding: Encoding) -> Vec<u8> {
        let name = match kind {
            Kind::Traces => "rejectedSpans",
            Kind::Logs => "rejectedLogRecords",
            Kind::Metrics => "rejectedDataPoints",
        };
        match encoding {
            Encoding::Protobuf => Response::of(self).encode_to_vec(),
            Encoding::Json if self.is_empty() => b"{}".to_vec(),
            Encoding::Json => {
                let partial = serde_json::json!({ name: self.records.to_string(), "errorMessage": self.to_string() });
                serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
            }
        }
    }

    /// Adds what was rejected elsewhere.
    pub fn merge(&mut self, other: &Self) {
        let told: u64 = other.reasons().map(|(_, records)| records).sum();
        other.reasons().for_each(|(reason, records)| self.add(records, reason));
        self.records += other.records - told;
    }

    pub(crate) fn add(&mut self, records: u64, reason: &str) {
        self.records += records;
        let cut = shortened(reason);
        let reason = cut.as_deref().unwrap_or(reason);
        if let Some((_, count)) = self.reasons.iter_mut().find(|(known, _)| known == reason) {
            *count += records;
        } else if self.reasons.len() < MOST_REASONS && records > 0 {
            self.reasons.push((reason.to_owned(), records));
        }
    }
}

/// `ExportTraceServiceResponse`, and those of the other signals, which are written alike.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`, and so on.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

impl Response {
    fn of(rejected: &Rejected) -> Self {
        let partial = || PartialSuccess {
            rejected: rejected.records as i64,
            error_message: rejected.to_string(),
        };
        Self { partial_success: (!rejected.is_empty()).then(partial) }
    }
}

/// In a line: `3 records rejected: traceId has 2 bytes instead of 16 (2); …`. Empty if there were
/// none.
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
        if told < self.records {
            write!(f, "; and others ({})", self.records - told)
        } else {
            Ok(())
        }
    }
}
