//! What a history may take, and why it could not be started.

use std::time::Duration;

/// The least bytes that a history can work with.
const LEAST_BYTES: usize = 256 << 10;

/// A history with more series than one for so many bytes would hold little but their names.
const SERIES_BYTES: usize = 512;

/// The limits of a [`MetricHistory`](crate::MetricHistory).
///
/// ```
/// use slipring_history::Settings;
///
/// let mut settings = Settings::with_bytes(64 << 20);
/// assert_eq!(settings.max_series, 65_536);
/// settings.max_series = 10_000;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Bytes that the history may take: blocks, points that wait to be compressed, and the
    /// dictionary of series. At least 256 KiB.
    pub max_bytes: usize,
    /// The number of series. When there are more, those of a single point go if they are half of
    /// all, and else those that have not had a point for longest.
    /// Default: one for each KiB of `max_bytes`.
    pub max_series: usize,
    /// The number of points at which a series' block is closed and compressed. Default: 512.
    pub block_points: usize,
    /// The number of evicted points that may wait for the history's thread. The queue takes 56
    /// bytes for each, in addition to `max_bytes`. Default: 65,536, fewer for small histories.
    pub queue_points: usize,
    /// Bytes of the points that may wait, each with its resource, scope and metric, in addition to
    /// `max_bytes`. Default: a quarter of `max_bytes`, at least 1 MiB. What waits counts against the
    /// store's own limit of bytes, if it has one, so this should be a small part of that.
    pub queue_bytes: usize,
    /// Bytes that the points may take which an answer builds from the history, in addition to all
    /// else. An answer that would take more is refused. Default: `max_bytes`, at least 64 MiB.
    pub answer_bytes: usize,
    /// How long an answer waits for points that are on their way from the store. Default: 1 s.
    pub patience: Duration,
}

impl Settings {
    /// Returns the default settings for a history of so many bytes.
    pub fn with_bytes(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            max_series: (max_bytes / 1024).max(64),
            block_points: 512,
            queue_points: (max_bytes / 512).clamp(4_096, 65_536),
            queue_bytes: (max_bytes / 4).max(1 << 20),
            answer_bytes: max_bytes.max(64 << 20),
            patience: Duration::from_secs(1),
        }
    }

    pub(crate) fn check(&self) -> Result<(), HistoryError> {
        if self.max_bytes < LEAST_BYTES {
            return Err(HistoryError::TooFewBytes { bytes: self.max_bytes, least: LEAST_BYTES });
        }
        let counts = [
            ("max_series", self.max_series),
            ("block_points", self.block_points),
            ("queue_points", self.queue_points),
            ("queue_bytes", self.queue_bytes),
            ("answer_bytes", self.answer_bytes),
        ];
        for (name, count) in counts {
            if count == 0 {
                return Err(HistoryError::Zero(name));
            }
            if u32::try_from(count).is_err() && !name.ends_with("_bytes") {
                return Err(HistoryError::TooLarge(name));
            }
        }
        let most = self.max_bytes / SERIES_BYTES;
        if self.max_series > most {
            return Err(HistoryError::TooManySeries { series: self.max_series, most });
        }
        Ok(())
    }
}

/// Why a history could not be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The history has too few bytes.
    #[error("{bytes} bytes are too few for a history; give at least {least}")]
    TooFewBytes {
        /// The bytes asked for.
        bytes: usize,
        /// The fewest bytes that suffice.
        least: usize,
    },
    /// The history has too few bytes for its series.
    #[error(
        "{series} series do not fit into the history; allow at most {most}, or give more bytes"
    )]
    TooManySeries {
        /// The series asked for.
        series: usize,
        /// The most that these bytes allow.
        most: usize,
    },
    /// A setting that has to be at least 1 is 0.
    #[error("`{0}` is 0; give at least 1")]
    Zero(&'static str),
    /// A number does not fit into 32 bits.
    #[error("`{0}` is above four thousand million; lower it")]
    TooLarge(&'static str),
    /// The system could not start the history's thread.
    #[error("the history's thread could not be started: {0}; free some threads")]
    Thread(String),
}
