//! How far an answer reaches back, and what came from where.

use super::time::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far an answer reaches back beyond the stores: told if files were asked, or if the question
/// is about times that the stores do not hold any more.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// Whether the history's files were asked.
    pub asked: bool,
    /// Why files were not asked, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// The time from which on the store holds what came in; null if it has evicted nothing.
    pub memory_since: Time,
    /// How many records of the answer are in the store.
    pub from_memory: u64,
    /// How many are here because their traces are kept, and are not in the store.
    pub from_kept: u64,
    /// How many came from files, and are nowhere else.
    pub from_files: u64,
    #[serde(flatten)]
    pub read: FilesRead,
    /// Records, of any kind, that have left the stores and that nobody looks at: they were on their
    /// way to a file when files were listed, and could not be read there.
    pub waiting: u64,
    /// Records, of any kind, that have left the stores and are in no file: see `history` of
    /// /api/stats.
    pub lost: u64,
    /// Whether each record counts once. If not, so many records left the store while files were
    /// read that some may have been counted in both.
    pub each_once: bool,
    /// Whether all files were read that may have records of the answer. With `waiting` and `lost` at
    /// 0 as well, nothing is missing.
    pub complete: bool,
}

/// What was read of files.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct FilesRead {
    /// Files of the signal, and those of these that their folders did not rule out. A question that
    /// looks twice, or for two signals, counts the files of each look.
    pub files_listed: u64,
    pub files: u64,
    /// Files that were opened, and row groups in them.
    pub files_opened: u64,
    pub row_groups: u64,
    /// Row groups that neither statistics nor bloom filters ruled out.
    pub row_groups_read: u64,
    pub bytes_read: u64,
    /// Requests to the object store.
    pub requests: u64,
    /// Rows that fit and are no records: spans made by hand may lack ids.
    pub unreadable: u64,
    /// Files that were deleted after they were listed.
    pub gone: u64,
    /// Files that could not be read, and why the last one could not.
    pub failed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Why reading ended early, or what was left out for want of room; absent if nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
}
