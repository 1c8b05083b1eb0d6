//! What an archive has written, what waits, and what was lost.

/// The counts and sizes of an [`Archive`](crate::Archive).
///
/// Each record that the stores evicted since the archive was started, and each that
/// [`finish`](crate::Archive::finish) took out of them, is counted once, at rest exactly:
/// `evicted + drained = queued + held + written + lost.total()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Records that the stores have evicted since the archive was started.
    pub evicted: u64,
    /// Records that were still in the stores when `finish` took them out.
    pub drained: u64,
    /// Records that wait for the archive's thread.
    pub queued: u64,
    /// Bytes of these, as far as they are known: see [`Settings::queue_bytes`](crate::Settings::queue_bytes).
    pub queued_bytes: usize,
    /// Records that wait for their file to be full or old enough, or are being written.
    pub held: u64,
    /// Bytes of these.
    pub held_bytes: usize,
    /// Records that are in files, deleted ones included.
    pub written: u64,
    /// Bytes of the files.
    pub written_bytes: u64,
    /// Files written.
    pub files: u64,
    /// Records that are in no file.
    pub lost: Lost,
    /// Attempts to write, list or delete files that have failed.
    pub errors: u64,
    /// What the last of these was.
    pub last_error: Option<String>,
    /// Files that were deleted for their age, or for the bytes of all.
    pub deleted_files: u64,
    /// Bytes of these.
    pub deleted_bytes: u64,
    /// Records in these.
    pub deleted_records: u64,
}

/// Records that are in no file, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// The queue was full: more records were evicted than could be written.
    pub no_room: u64,
    /// The store was cleared.
    pub cleared: u64,
    /// Their file could not be written, however often it was tried.
    pub failed: u64,
    /// They were not written before `finish` had to end.
    pub unfinished: u64,
    /// No table is for their type of metric.
    pub unknown: u64,
}

impl Lost {
    /// Returns the sum.
    pub fn total(&self) -> u64 {
        let Self { no_room, cleared, failed, unfinished, unknown } = *self;
        no_room + cleared + failed + unfinished + unknown
    }
}
