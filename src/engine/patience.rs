//! Detects that a thread has stopped making progress.

use crate::sync::Count;
use std::time::{Duration, Instant};

/// Watches a number that grows while a thread makes progress, and reports when it has stood still
/// for too long.
///
/// Its words are relaxed and order nothing. A thread that reads them at an unlucky moment waits
/// longer than needed, or takes over from a holder too early. Both cost time and are harmless.
#[derive(Debug)]
pub(crate) struct StallDetector {
    /// The longest time without progress. `None`: no limit.
    limit: Option<Duration>,
    created: Instant,
    /// The progress seen last, plus one.
    seen: Count,
    /// When that was seen first, in nanoseconds since `created`.
    since: Count,
}

impl StallDetector {
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self { limit, created: Instant::now(), seen: Count::default(), since: Count::default() }
    }

    /// Returns whether `progress` has been the same for at least the limit, as far as calls of this
    /// method have seen.
    pub(crate) fn is_stalled(&self, progress: u64) -> bool {
        let Some(limit) = self.limit else { return false };
        let now = self.created.elapsed().as_nanos() as u64;
        // The stored value is never 0, because 0 means that no progress has been seen yet.
        let progress = progress.wrapping_add(1);
        if self.seen.get() != progress {
            self.since.set(now);
            self.seen.set(progress);
            return false;
        }
        u128::from(now.saturating_sub(self.since.get())) >= limit.as_nanos()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_stands_still_is_stalled_and_one_that_changes_is_not() {
        let detector = StallDetector::new(Some(Duration::ZERO));
        assert!(!detector.is_stalled(0) && detector.is_stalled(0));
        assert!(!detector.is_stalled(1) && detector.is_stalled(1) && !detector.is_stalled(0));
        let endless = StallDetector::new(None);
        assert!(!endless.is_stalled(0) && !endless.is_stalled(0));
        let long = StallDetector::new(Some(Duration::from_secs(3_600)));
        assert!(!long.is_stalled(0) && !long.is_stalled(0));
    }
}
