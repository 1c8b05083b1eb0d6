//! How an answer was found.

use super::reach::Reach;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How an answer was found, and whether it is whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Report<'a> {
    /// How many records fitted and were shown or counted.
    pub shown: u64,
    /// Whether records that fit were, or may have been, evicted while the question was answered.
    pub cut: bool,
    /// For a page after another: how many records of its range were evicted since that page.
    pub missed: u64,
    /// Whether records that fit are known to have been evicted before the question was asked.
    pub partial: bool,
    /// The index that led to the records; null if the store was looked through.
    pub led_by: Option<Cow<'a, str>>,
    /// How many slots were looked at: the cost.
    pub looked_at: u64,
    /// How many records of the answer the store has evicted, and are here because their traces are
    /// kept. Absent if there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub from_kept: u64,
    /// How far the answer reaches back beyond the store: told if the history's files were asked, or
    /// the question is about times that the store does not hold any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Reach>,
    /// Whether records of kept traces may be here that an earlier page has shown, because the
    /// server has forgotten what this list has shown: it remembers the last 64 lists, and 250,000
    /// of their records. Absent if not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub may_repeat: bool,
}

fn is_false(told: &bool) -> bool {
    !told
}

pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Report<'_> {
    /// Shows a query's report.
    pub fn of(report: &slipring::query::Report) -> Self {
        Self {
            shown: report.shown,
            cut: report.cut,
            missed: report.missed,
            partial: report.partial,
            led_by: report.led_by.map(Cow::Borrowed),
            looked_at: report.looked_at,
            from_kept: 0,
            history: None,
            may_repeat: false,
        }
    }
}
