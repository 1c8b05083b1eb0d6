//! The rejected records of a request, and the response that reports them.

use super::kind::{Encoding, Kind};
use prost::Message;
use std::fmt;

/// The maximum number of distinct reasons. Records with any other reason are counted without it.
const MOST_REASONS: usize = 8;

/// The number of characters kept at either end of a long reason. The characters between are left
/// out.
const REASON_END: usize = 100;

/// Shortens a long reason by leaving out its middle, or returns `None` if it is short enough. A
/// reason may quote a name of any length from the request.
fn shortened(reason: &str) -> Option<String> {
    // This cheap check comes first, because nearly all reasons are short, and a malformed request
    // of 1 MiB can produce half a million of them.
    if reason.len() <= 2 * REASON_END {
        return None;
    }
    let start = reason.char_indices().nth(REASON_END)?.0;
    let end = reason.char_indices().rev().nth(REASON_END - 1)?.0;
    (start < end).then(|| format!("{}…{}", &reason[..start], &reason[end..]))
}

/// The number of rejected records, and the reasons. Its size is bounded, whatever the request
/// contains.
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

    /// Returns whether no records were rejected.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Iterates over the first few distinct reasons, each with its number of records.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, u64)> {
        self.reasons.iter().map(|(reason, records)| (&**reason, *records))
    }

    /// Encodes the response to a request of this kind. It is empty if nothing was rejected, and
    /// otherwise the protocol's *partial success*, with the number of rejected records and the
    /// reasons.
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

    /// Adds the records rejected elsewhere.
    pub fn merge(&mut self, other: &Self) {
        let listed: u64 = other.reasons().map(|(_, records)| records).sum();
        other.reasons().for_each(|(reason, records)| self.add(records, reason));
        self.records += other.records - listed;
    }

    /// Adds records that were rejected after they had been read, and why. The reason is shortened
    /// if it is long, and left out if there are many others.
    ///
    /// ```
    /// let mut rejected = slipring::otlp::Rejected::default();
    /// rejected.add(2, "the trace is too large");
    /// assert_eq!(rejected.to_string(), "2 records rejected: the trace is too large");
    /// ```
    pub fn add(&mut self, records: u64, reason: &str) {
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

/// `ExportTraceServiceResponse`, and its counterparts for the other signals, which have the same
/// encoding.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`, and its counterparts.
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

/// Formats the reasons on one line: `3 records rejected: traceId has 2 bytes instead of 16 (2); …`.
/// The line is empty if no records were rejected.
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
        let listed: u64 = self.reasons.iter().map(|(_, records)| records).sum();
        if listed < self.records {
            write!(f, "; and others ({})", self.records - listed)
        } else {
            Ok(())
        }
    }
}
