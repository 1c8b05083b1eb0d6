//! A count of records, and of those that are malformed.

use super::super::Rejected;

/// Records that were gone through, and what of them was none.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) records: u64,
    pub(super) rejected: Rejected,
}

impl Counted {
    pub(super) fn reject(&mut self, records: u64, wrong: &str) {
        self.records += records;
        self.rejected.add(records, wrong);
    }
}
