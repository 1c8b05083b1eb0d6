//! Requests by outcome.

use super::refusal::{Reason, Refusal};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts requests by outcome.
#[derive(Default)]
pub struct Counts {
    taken: AtomicU64,
    /// By reason.
    refused: [AtomicU64; Reason::ALL.len()],
    rejected_records: AtomicU64,
}

impl Counts {
    /// Counts a request that was taken, except for so many of its records.
    pub fn take(&self, rejected_records: u64) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.rejected_records.fetch_add(rejected_records, Ordering::Relaxed);
    }

    pub fn refuse(&self, refusal: &Refusal) {
        self.refused[refusal.reason() as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Returns the number of requests that were refused for this reason.
    pub fn refused_for(&self, reason: Reason) -> u64 {
        self.refused[reason as usize].load(Ordering::Relaxed)
    }

    /// Returns the number of requests whose senders were asked to come back.
    pub fn overloaded(&self) -> u64 {
        self.refused_for(Reason::Overloaded)
    }

    /// Returns the number of requests that were refused for any other reason.
    pub fn refused(&self) -> u64 {
        let others = Reason::ALL.into_iter().filter(|&reason| reason != Reason::Overloaded);
        others.map(|reason| self.refused_for(reason)).sum()
    }

    /// Returns the number of records that were rejected out of requests that were taken.
    pub fn rejected_records(&self) -> u64 {
        self.rejected_records.load(Ordering::Relaxed)
    }

    /// Returns the number of finished requests.
    pub fn all(&self) -> u64 {
        self.taken() + self.refused() + self.overloaded()
    }
}
