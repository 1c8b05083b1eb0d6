//! What an archive may take, and why it could not be started.

use crate::log::{LogSettings, LogSync};
use std::path::PathBuf;
use std::time::Duration;

/// The limits of an [`Archive`](crate::Archive).
///
/// ```
/// use slipring_archive::Settings;
/// use std::time::Duration;
///
/// let mut settings = Settings::default();
/// settings.file_age = Duration::from_secs(60);
/// settings.max_bytes = Some(10 << 30);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The number of evicted records that may wait for the archive's thread. The queue takes 88
    /// bytes for each. Default: 65,536.
    pub queue_records: usize,
    /// Bytes of the records that may wait for the archive's thread, each with its resource, scope
    /// and metric. Default: 32 MiB.
    pub queue_bytes: usize,
    /// Bytes of records, as they came, at which a file is written. A source counts once a file, and one of
    /// more than 4 KiB with each record, since each row may hold it. Default: 64 MiB.
    pub file_bytes: usize,
    /// How long a record waits for its file to be written. Default: 5 minutes.
    pub file_age: Duration,
    /// Bytes of the records that wait for their files, of all tables and hours together, counted as
    /// for `file_bytes`. When there is half of this, the largest file is written early. Default: 128 MiB.
    pub batch_bytes: usize,
    /// The number of hours of one table that files are collected for at a time, beside the last
    /// three by the clock. Records of further hours go into files under `date=1970-01-01/hour=00`,
    /// as do records without a time. So a sender whose clock runs wild makes no more files than
    /// others. Default: 24.
    pub open_hours: usize,
    /// The most records in a row group of a file, which is what engines read and skip at a time.
    /// Default: 131,072.
    pub row_group_records: usize,
    /// The level of compression, from 1 to 22. Default: 3. Of the records' own bytes it is three higher,
    /// and of the ids of spans 1, which suits digits best.
    pub zstd_level: i32,
    /// How often a file is tried to be written at least. It is tried on as long as `batch_bytes` has
    /// room for what comes meanwhile; then its records are given up and counted. Default: 5.
    pub attempts: u32,
    /// How long one attempt may take. Default: 30 s.
    pub attempt_timeout: Duration,
    /// How long the thread waits after the first attempt that failed. It doubles with each, up to 64
    /// times. Default: 250 ms.
    pub backoff: Duration,
    /// How long `finish` may take to write what is held. What is not written by then is counted as
    /// lost. Default: 60 s.
    pub finish_timeout: Duration,
    /// The log of what waits for its file, so that it survives the process. Default: none.
    pub log: Option<LogSettings>,
    /// The age at which files are deleted, by when they were written. Default: never.
    pub max_age: Option<Duration>,
    /// Bytes of all files, beyond which the oldest are deleted. Default: none.
    pub max_bytes: Option<u64>,
    /// Which small files of one table and hour are merged into one. Default: those of this archive.
    pub merge: Merge,
    /// Bytes of a file below which it is small. Default: 8 MiB.
    pub merge_below: u64,
    /// The number of small files that are merged while their hour is not over. When it has been over for an
    /// hour, two are. Default: 8.
    pub merge_files: usize,
    /// Bytes of all files that are merged at a time. Default: 64 MiB.
    pub merge_bytes: u64,
    /// How often the archive looks for files to delete and to merge. Default: 1 minute.
    pub tidy_every: Duration,
    /// The most records in an answer. Default: 100,000.
    pub answer_records: usize,
    /// Bytes of the records in an answer. Default: 64 MiB.
    pub answer_bytes: usize,
    /// The most files that one answer opens, those of the latest hours first. Default: 10,000.
    pub answer_files: usize,
    /// Bytes of files that one answer reads at most. Default: 512 MiB.
    pub answer_read_bytes: u64,
    /// How long an answer reads files. Default: 10 s.
    pub answer_time: Duration,
}

/// Which files are merged: see [`Settings::merge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Merge {
    /// None.
    Nothing,
    /// Those that this archive has written, whatever others do at the same place.
    Own,
    /// Those of earlier archives, too. No other archive may merge or write at the same place meanwhile.
    All,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_records: 65_536,
            queue_bytes: 32 << 20,
            file_bytes: 64 << 20,
            file_age: Duration::from_secs(300),
            batch_bytes: 128 << 20,
            open_hours: 24,
            row_group_records: 131_072,
            zstd_level: 3,
            attempts: 5,
            attempt_timeout: Duration::from_secs(30),
            backoff: Duration::from_millis(250),
            finish_timeout: Duration::from_secs(60),
            log: None,
            max_age: None,
            max_bytes: None,
            merge: Merge::Own,
            merge_below: 8 << 20,
            merge_files: 8,
            merge_bytes: 64 << 20,
            tidy_every: Duration::from_secs(60),
            answer_records: 100_000,
            answer_bytes: 64 << 20,
            answer_files: 10_000,
            answer_read_bytes: 512 << 20,
            answer_time: Duration::from_secs(10),
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), ArchiveError> {
        let counts = [
            ("queue_records", self.queue_records),
            ("queue_bytes", self.queue_bytes),
            ("file_bytes", self.file_bytes),
            ("batch_bytes", self.batch_bytes),
            ("row_group_records", self.row_group_records),
            ("attempts", self.attempts as usize),
            ("answer_records", self.answer_records),
            ("answer_bytes", self.answer_bytes),
            ("answer_files", self.answer_files),
            ("tidy_every", self.tidy_every.as_nanos().min(1) as usize),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ArchiveError::Zero(name));
        }
        if let Some(log) = &self.log {
            let is_never = matches!(log.sync, LogSync::Every(time) if time.is_zero());
            let sizes = [
                ("log.sync", u64::from(!is_never)),
                ("log.bytes", log.bytes),
                ("log.segment_bytes", log.segment_bytes),
            ];
            if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
                return Err(ArchiveError::Zero(name));
            }
        }
        if self.merge_files < 2 {
            return Err(ArchiveError::MergeFiles(self.merge_files));
        }
        if !(1..=22).contains(&self.zstd_level) {
            return Err(ArchiveError::Level(self.zstd_level));
        }
        Ok(())
    }
}

/// Why an archive could not be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// A setting that has to be at least 1 is 0.
    #[error("`{0}` is 0; give at least 1")]
    Zero(&'static str),
    /// There is no such level of compression.
    #[error("`zstd_level` is {0}; give a level from 1 to 22")]
    Level(i32),
    /// The place for the files cannot be used.
    #[error("{place}: {reason}")]
    Place {
        /// The place as it was given.
        place: String,
        /// What is wrong with it, and what to give instead.
        reason: String,
    },
    /// Fewer than two files cannot be merged.
    #[error("`merge_files` is {0}; give at least 2, or merge nothing")]
    MergeFiles(usize),
    /// The log cannot be opened.
    #[error("the log in {}: {reason}", folder.display())]
    Log {
        /// The folder as it was given.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system could not start the archive's thread, or its runtime.
    #[error("the archive's thread could not be started: {0}; free some threads")]
    Thread(String),
}
