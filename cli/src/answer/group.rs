//! Records counted by what they have in common.

use super::report::is_zero;
use super::{Number, Report};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Groups of records.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Groups<'a> {
    pub groups: Vec<Group>,
    /// Whether the limit left some out.
    pub more: bool,
    /// How many groups the limit left out.
    pub left_out: usize,
    /// The seconds that `rate_per_second` divides by: from `since` to `until` where they are given,
    /// else from the first record that fits to the last. Of what the stores hold: kept records that
    /// they have evicted count in no rate.
    pub seconds: Option<Number>,
    pub report: Report<'a>,
}

/// Records that have something in common.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// What they have in common: a value for each `by`; null where the records have none.
    pub key: BTreeMap<String, Option<String>>,
    pub count: u64,
    /// How many of them the store has evicted, and are here because their traces are kept. Absent
    /// if there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub from_kept: u64,
    /// Spans that failed; log records from ERROR on; always 0 for metric points.
    pub errors: u64,
    pub rate_per_second: Option<Number>,
    /// Of spans: how long half of them took at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_nanos: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_nanos: Option<u64>,
    /// Of metric points: the value that half of the gauges and sums have at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<Number>,
}
