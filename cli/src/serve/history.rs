//! Metric points that have left their store.

use crate::Fallible;
use crate::answer;
use crate::serve::api::problem::Problem;
use slipring::metric::Series;
use slipring::{MetricPoint, Query, Telemetry};
use slipring_history::{MetricHistory, RecallError, Settings};

/// What waits for the history may take this part of the store's bytes, against which it counts.
const PART: usize = 8;

/// Starts to keep what leaves the store of metrics, which may take so many bytes itself.
pub fn start(
    telemetry: &Telemetry,
    bytes: usize,
    of_store: Option<usize>,
) -> Fallible<MetricHistory> {
    let mut settings = Settings::with_bytes(bytes);
    let most = of_store.map_or(usize::MAX, |bytes| (bytes / PART).max(1));
    settings.queue_bytes = settings.queue_bytes.min(most);
    let history = MetricHistory::start(telemetry.metrics(), &settings);
    Ok(history.map_err(|error| format!("--metric-history {bytes}: {error}"))?)
}

/// Finds the series of a query, in the store and in the history if there is one, and says what
/// came from where.
pub fn series(
    history: Option<&MetricHistory>,
    query: Query<'_, MetricPoint>,
) -> Result<(Vec<Series>, Option<answer::Recalled>), Problem> {
    let Some(history) = history else { return Ok((query.series()?, None)) };
    let recalled = history.series(query).map_err(|error| match error {
        RecallError::Query(error) => error.into(),
        RecallError::TooLarge { .. } => Problem::Bad(error.to_string()),
        other => Problem::Failed(other.to_string()),
    })?;
    let report = recalled.report;
    let told = answer::Recalled {
        asked: report.asked_history,
        points: report.from_history,
        points_of_store: report.from_store,
        complete: report.complete,
    };
    Ok((recalled.series, Some(told)))
}
