//! Counts records, and the rejected ones among them.

use super::super::Rejected;

/// The number of records that were read, and the rejected ones among them.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) records: u64,
    pub(super) rejected: Rejected,
}

impl Counts {
    pub(super) fn reject(&mut self, records: u64, wrong: &str) {
        self.records += records;
        self.rejected.add(records, wrong);
    }
}
