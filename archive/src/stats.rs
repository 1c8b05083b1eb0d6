//! What an archive has written, what waits, and what was lost.

/// The counts and sizes of an [`Archive`](crate::Archive).
///
/// Each record that the stores evicted since the archive was started, each that
/// [`finish`](crate::Archive::finish) took out of them, and each that an earlier archive left in the
/// [log](crate::Settings::log), is counted once, at rest exactly:
/// `evicted + drained + recovered = queued + held + written + left + lost.total()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Records that the stores have evicted since the archive was started.
    pub evicted: u64,
    /// Records that were still in the stores when `finish` took them out.
    pub drained: u64,
    /// Records that an earlier archive left in the log, and that were in no file. They are counted once
    /// they are in a file now, or lost.
    pub recovered: u64,
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
    /// Records that were not written when the archive ended, and are in the log for the next one.
    pub left: u64,
    /// Records that are in no file.
    pub lost: Lost,
    /// The log, if there is one.
    pub log: LogStats,
    /// Attempts that have failed: to make, write, list, merge or delete files, and to write, sync or
    /// read the log.
    pub errors: u64,
    /// What the last of these was.
    pub last_error: Option<String>,
    /// Files that were deleted for their age, or for the bytes of all.
    pub deleted_files: u64,
    /// Bytes of these.
    pub deleted_bytes: u64,
    /// Records in these.
    pub deleted_records: u64,
    /// Small files that were merged and are gone.
    pub merged_files: u64,
    /// Files that were made of these.
    pub merged_into: u64,
    /// Rounds in which small files were left as they are, once for all of a round: they could not be
    /// read or written, or their rows would have taken too much memory.
    pub merges_failed: u64,
}

/// The log of what waits for its file: see [`Settings::log`](crate::Settings::log).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStats {
    /// Records that were logged.
    pub logged: u64,
    /// Records of these, from the first on, that were synced to the disk. Once a sync has failed, it rises
    /// no more until the next start.
    pub synced: u64,
    /// Records that were not logged, as the log has as many bytes as it may.
    pub full: u64,
    /// Records that were not logged or not synced, as the disk failed.
    pub failed: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Files of the log.
    pub segments: u64,
    /// Batches that an earlier archive left and that are not known to be in a file yet. The one that is
    /// being written is not among them.
    pub waiting: u64,
    /// Bytes at the end of what an earlier archive wrote last that are no whole frame, as a crash leaves
    /// them. They are passed over.
    pub torn_bytes: u64,
    /// Bytes elsewhere that were not as they were written, or could not be read: their records are lost.
    /// Files count here, too, that are named as those of the log and begin with something else.
    pub damaged_bytes: u64,
    /// Files of the log that had such, and were set aside.
    pub set_aside: u64,
}

/// Records that are in no file, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// The queue was full: more records were evicted than could be written.
    pub no_room: u64,
    /// The store was cleared.
    pub cleared: u64,
    /// Their file could not be made, or not be written as long as there was room to wait.
    pub failed: u64,
    /// They were not written before `finish` had to end.
    pub unfinished: u64,
    /// No table is for their type of metric.
    pub unknown: u64,
    /// They were in the log, and could not be read: the disk failed, or a span that was made by hand lacks
    /// ids, which the protocol does not allow.
    pub unreadable: u64,
}

impl Lost {
    /// Returns the sum.
    pub fn total(&self) -> u64 {
        let Self { no_room, cleared, failed, unfinished, unknown, unreadable } = *self;
        no_room + cleared + failed + unfinished + unknown + unreadable
    }
}
