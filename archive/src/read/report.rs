//! What was read for an answer, and why there is none.

use super::search::Cut;
use slipring::{LogRecord, MetricPoint, Span};

/// Records from files, the oldest first.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Recalled {
    /// The spans.
    pub spans: Vec<Span>,
    /// The log records.
    pub logs: Vec<LogRecord>,
    /// The metric points.
    pub points: Vec<MetricPoint>,
    /// What was read.
    pub report: ReadReport,
}

/// What was read for an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadReport {
    /// Files of the tables that were asked for.
    pub files_listed: u64,
    /// Files of these that may have had records of the answer, by their folders.
    pub files: u64,
    /// Files of these that were opened.
    pub files_opened: u64,
    /// Row groups in these.
    pub row_groups: u64,
    /// Row groups that were read: neither statistics nor bloom filters ruled them out.
    pub row_groups_read: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Requests to the object store.
    pub requests: u64,
    /// Records that were found: their times, traces and services are those that were looked for.
    pub records: u64,
    /// Rows that match and are no records: spans made by hand may lack ids.
    pub unreadable: u64,
    /// Files that were deleted meanwhile.
    pub gone: u64,
    /// Files that could not be read.
    pub failed: u64,
    /// Why the last of these could not be read, or that files came and went while they were listed.
    pub last_error: Option<String>,
    /// Which limit ended the answer early.
    pub cut: Option<Cut>,
    /// Whether all files were read that may have records of the answer. If not, files could not be
    /// read, they came and went each time that they were listed, or the answer was [cut](Self::cut): ask for less time.
    pub complete: bool,
}

/// Why files could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecallError {
    /// The files could not be listed.
    #[error("the files cannot be listed: {0}")]
    List(String),
    /// The system has no room for what reading needs.
    #[error("files cannot be read: {0}; free some memory or open files")]
    System(String),
}
