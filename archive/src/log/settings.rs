//! What a log may take.

use std::path::PathBuf;
use std::time::Duration;

/// The log of what waits for its file: [`Settings::log`](crate::Settings::log).
///
/// ```
/// use slipring_archive::{LogSettings, LogSync, Settings};
/// use std::time::Duration;
///
/// let mut log = LogSettings::new("/var/lib/slipring/log");
/// log.sync = LogSync::Every(Duration::from_millis(200));
/// let mut settings = Settings::default();
/// settings.log = Some(log);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSettings {
    /// The folder of the log, on a disk of this machine. One process at a time may use it.
    pub folder: PathBuf,
    /// When what was logged is synced to the disk. Default: once a second.
    pub sync: LogSync,
    /// Bytes of the log. What does not fit is not logged, and counted. Marks of batches that are
    /// done, 25 bytes each, go beyond it. Damaged segments that were set
    /// aside count beside that: there are eight at most. Default: 1 GiB.
    pub bytes: u64,
    /// Bytes of a file of the log, beyond which another is begun. Default: 16 MiB.
    pub segment_bytes: u64,
}

/// When a log is synced to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogSync {
    /// After each write, which has up to 1,024 records. While the disk syncs, evicted records wait in the
    /// queue: it has to be large enough for that.
    EachWrite,
    /// After this time, by a thread of its own that nothing waits for. If the machine fails, what was
    /// written since is lost; if only the process does, nothing is.
    Every(Duration),
}

impl LogSettings {
    /// Returns the defaults, for a log in this folder, which is made if it is not there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            sync: LogSync::Every(Duration::from_secs(1)),
            bytes: 1 << 30,
            segment_bytes: 16 << 20,
        }
    }
}
