//! Records that have left their stores, in files.

use crate::text::counted;
use crate::{Fallible, units};
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slipring::Telemetry;
use slipring_archive::{Archive, Place, Settings};
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
        let archive = Place::open(place)
            .and_then(|place| Archive::start(telemetry, place, &settings))
            .map_err(|error| format!("--history {place}: {error}"))?;
        Ok(Some(archive))
    }
}

/// Writes what has left the stores, and unless it is in another file, ends them and writes what they
/// hold. Otherwise a start with that file would bring records back that the history has already.
pub fn finish(archive: &Archive, is_elsewhere: bool) -> Fallible<()> {
    let stats = if is_elsewhere { archive.finish_evicted() } else { archive.finish()? };
    let (written, lost) = (counted(stats.written, "record"), stats.lost.total());
    tracing::info!("{written} are in files at {}", archive.files().place());
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
            failed: stats.lost.failed + stats.lost.unknown + stats.lost.unfinished,
            errors: stats.errors,
            last_error: stats.last_error,
            deleted_files: stats.deleted_files,
            deleted_bytes: stats.deleted_bytes,
            deleted_records: stats.deleted_records,
        }
    }
}
