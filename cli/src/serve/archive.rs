//! Records that have left their stores, in files.

use crate::text::counted;
use crate::{Fallible, units};
use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slipring::Telemetry;
use slipring_archive::{Archive, LogSettings, LogSync, Merge, Place, Settings};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(next_help_heading = "What is kept")]
pub struct Filing {
    /// Writes what leaves the stores, and what they hold at the end if `--save` does not, into
    /// Parquet files: in a folder, or at s3://BUCKET/PREFIX if the program was built for that
    #[arg(long, env = "SLIPRING_HISTORY", value_name = "FOLDER|URL")]
    history: Option<String>,
    /// Deletes files of the history that are older, such as 30d
    #[arg(long, env = "SLIPRING_HISTORY_MAX_AGE", value_name = "TIME", requires = "history", value_parser = units::seconds)]
    history_max_age: Option<Duration>,
    /// Deletes the oldest files of the history while all have more bytes than this, such as 100G
    #[arg(long, env = "SLIPRING_HISTORY_MAX_BYTES", value_name = "BYTES", requires = "history", value_parser = units::some_bytes)]
    history_max_bytes: Option<usize>,
    /// Bytes of records that may wait for a file, beside the stores'; more are lost, and counted
    #[arg(long, env = "SLIPRING_HISTORY_HELD", value_name = "BYTES", requires = "history", default_value = "128M", value_parser = units::some_bytes)]
    history_held: usize,
    /// How long a record waits for its file to be full before it is written all the same
    #[arg(long, env = "SLIPRING_HISTORY_WAIT", value_name = "TIME", requires = "history", default_value = "5m", value_parser = units::seconds)]
    history_wait: Duration,
    /// Logs in this folder of a local disk what waits for a file: it survives kill -9, and what another
    /// start has left there is written into files. What the stores hold is not logged
    #[arg(long, env = "SLIPRING_HISTORY_LOG", value_name = "FOLDER", requires = "history")]
    history_log: Option<PathBuf>,
    /// When the log is synced to its disk: after a time, such as 200ms, by a thread that nothing waits
    /// for; or after `each` write, which survives power cuts and waits for the disk
    #[arg(long, env = "SLIPRING_HISTORY_LOG_SYNC", value_name = "TIME|each", requires = "history_log", default_value = "1s", value_parser = log_sync)]
    history_log_sync: LogSync,
    /// Bytes of the log; what does not fit is not logged, and counted
    #[arg(long, env = "SLIPRING_HISTORY_LOG_BYTES", value_name = "BYTES", requires = "history_log", default_value = "1G", value_parser = units::some_bytes)]
    history_log_bytes: usize,
    /// Which small files of one hour are merged into one: those that this start has written, all of the
    /// place if no other process writes there, or none
    #[arg(
        long,
        env = "SLIPRING_HISTORY_MERGE",
        value_name = "WHICH",
        requires = "history",
        default_value = "own"
    )]
    history_merge: Merging,
    /// Bytes of a file below which it is small
    #[arg(long, env = "SLIPRING_HISTORY_MERGE_BELOW", value_name = "BYTES", requires = "history", default_value = "8M", value_parser = units::some_bytes)]
    history_merge_below: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Merging {
    Own,
    All,
    None,
}

/// Parses when a log is synced.
fn log_sync(text: &str) -> Result<LogSync, String> {
    match text {
        "each" => Ok(LogSync::EachWrite),
        _ => units::seconds(text)
            .map(LogSync::Every)
            .map_err(|error| format!("{error}; or give `each`, to sync after each write")),
    }
}

impl Filing {
    /// Starts to write what leaves these stores, if that was asked for.
    pub fn start(&self, telemetry: &Telemetry) -> Fallible<Option<Archive>> {
        let Some(place) = &self.history else { return Ok(None) };
        let mut settings = Settings::default();
        settings.batch_bytes = self.history_held;
        settings.file_bytes = settings.file_bytes.min(self.history_held / 2).max(1);
        settings.queue_bytes = settings.queue_bytes.min(self.history_held / 4).max(1);
        settings.file_age = self.history_wait;
        settings.max_age = self.history_max_age;
        settings.max_bytes = self.history_max_bytes.map(|bytes| bytes as u64);
        settings.log = self.history_log.as_ref().map(|folder| {
            let mut log = LogSettings::new(folder);
            (log.sync, log.bytes) = (self.history_log_sync, self.history_log_bytes as u64);
            log
        });
        settings.merge = match self.history_merge {
            Merging::Own => Merge::Own,
            Merging::All => Merge::All,
            Merging::None => Merge::Nothing,
        };
        settings.merge_below = self.history_merge_below as u64;
        let archive = Place::open(place)
            .and_then(|place| Archive::start(telemetry, place, &settings))
            .map_err(|error| format!("--history {place}: {error}"))?;
        let log = archive.stats().log;
        if log.waiting > 0 || log.damaged_bytes > 0 {
            let left = counted(log.waiting, "file");
            let (torn, damaged) = (log.torn_bytes, log.damaged_bytes);
            tracing::info!(
                "the log has records of {left} that an earlier start has left; {torn} bytes at its end were torn, {damaged} elsewhere damaged"
            );
        }
        Ok(Some(archive))
    }
}

/// Writes what has left the stores, and unless it is in another file, ends them and writes what they
/// hold. Otherwise a start with that file would bring records back that the history has already.
pub fn finish(archive: &Archive, is_elsewhere: bool) -> Fallible<()> {
    let stats = if is_elsewhere { archive.finish_evicted() } else { archive.finish()? };
    let (written, lost) = (counted(stats.written, "record"), stats.lost.total());
    tracing::info!("{written} are in files at {}", archive.files().place());
    if stats.left > 0 {
        let left = counted(stats.left, "record");
        tracing::warn!("{left} are in no file yet, and in the log for the next start");
    }
    if lost > 0 {
        let why = stats.last_error.map(|error| format!("; the last error: {error}"));
        let lost = counted(lost, "record");
        tracing::error!("{lost} are in no file{}", why.unwrap_or_default());
    }
    Ok(())
}

/// What is in files, waits for them, and was lost.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// Where the files are.
    pub place: String,
    /// Records that have left the stores.
    pub evicted: u64,
    /// Records that wait, in the queue and for their file.
    pub queued: u64,
    pub held: u64,
    pub held_bytes: usize,
    /// Records, bytes and files that were written.
    pub written: u64,
    pub written_bytes: u64,
    pub files: u64,
    /// Records that are in no file: there was no room for them, they were cleared, or their file
    /// could not be written.
    pub no_room: u64,
    pub cleared: u64,
    pub failed: u64,
    /// Attempts that have failed, and the last one's error.
    pub errors: u64,
    pub last_error: Option<String>,
    /// Files that were deleted for their age, or for the bytes of all.
    pub deleted_files: u64,
    pub deleted_bytes: u64,
    pub deleted_records: u64,
    /// Small files that were merged and are gone, files that were made of these, and times that this
    /// failed.
    pub merged_files: u64,
    pub merged_into: u64,
    pub merges_failed: u64,
    /// Records that an earlier start had left in the log, and that are in files now, or lost.
    pub recovered: u64,
    /// The log of what waits for a file.
    pub log: HistoryLog,
}

/// The log of what waits for a file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HistoryLog {
    /// Records that were logged, and how many of these, from the first on, were synced to the disk.
    pub logged: u64,
    pub synced: u64,
    /// Records that were not logged: the log was full, or the disk failed.
    pub full: u64,
    pub failed: u64,
    /// Bytes and files of the log.
    pub bytes: u64,
    pub segments: u64,
    /// Files' worth of records that an earlier start has left, and that nobody has looked for yet.
    pub waiting: u64,
    /// Bytes of the log that were not as they had been written: at its end, and elsewhere. Files of it
    /// that had such and were set aside.
    pub torn_bytes: u64,
    pub damaged_bytes: u64,
    pub set_aside: u64,
}

impl History {
    pub fn of(archive: &Archive) -> Self {
        let stats = archive.stats();
        Self {
            place: archive.files().place().to_string(),
            evicted: stats.evicted,
            queued: stats.queued,
            held: stats.held,
            held_bytes: stats.held_bytes,
            written: stats.written,
            written_bytes: stats.written_bytes,
            files: stats.files,
            no_room: stats.lost.no_room,
            cleared: stats.lost.cleared,
            failed: stats.lost.total() - stats.lost.no_room - stats.lost.cleared,
            errors: stats.errors,
            last_error: stats.last_error,
            deleted_files: stats.deleted_files,
            deleted_bytes: stats.deleted_bytes,
            deleted_records: stats.deleted_records,
            merged_files: stats.merged_files,
            merged_into: stats.merged_into,
            merges_failed: stats.merges_failed,
            recovered: stats.recovered,
            log: HistoryLog {
                logged: stats.log.logged,
                synced: stats.log.synced,
                full: stats.log.full,
                failed: stats.log.failed,
                bytes: stats.log.bytes,
                segments: stats.log.segments,
                waiting: stats.log.waiting,
                torn_bytes: stats.log.torn_bytes,
                damaged_bytes: stats.log.damaged_bytes,
                set_aside: stats.log.set_aside,
            },
        }
    }
}
