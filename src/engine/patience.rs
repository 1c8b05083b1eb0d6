//! How long somebody may stand still before others take it that he sleeps.

use crate::sync::Count;
use std::time::{Duration, Instant};

/// Watches a number that grows while somebody gets on. Notes that order nothing: who reads them at a bad moment waits longer, or
/// takes_over somebody too soon, which costs time and does no harm.
#[derive(Debug)]
pub(crate) struct Patience {
    /// `None`: without an end.
    lasts: Option<Duration>,
    begun: Instant,
    seen: Count,
    since: Count,
}

impl Patience {
    pub(crate) fn new(lasts: Option<Duration>) -> Self {
        Self { lasts, begun: Instant::now(), seen: Count::default(), since: Count::default() }
    }

    /// Whether the number has been the same for too long.
    pub(crate) fn is_out(&self, number: u64) -> bool {
        let Some(lasts) = self.lasts else { return false };
        let now = self.begun.elapsed().as_nanos() as u64;
        // Never 0, which nothing has been seen with.
        let number = number.wrapping_add(1);
        if self.seen.get() != number {
            self.since.set(now);
            self.seen.set(number);
            return false;
        }
        u128::from(now.saturating_sub(self.since.get())) >= lasts.as_nanos()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_where_a_number_stands_still_and_begins_anew_where_it_grows() {
        let patience = Patience::new(Some(Duration::ZERO));
        assert!(!patience.is_out(0) && patience.is_out(0));
        assert!(!patience.is_out(1) && patience.is_out(1) && !patience.is_out(0));
        let endless = Patience::new(None);
        assert!(!endless.is_out(0) && !endless.is_out(0));
        let long = Patience::new(Some(Duration::from_secs(3_600)));
        assert!(!long.is_out(0) && !long.is_out(0));
    }
}
