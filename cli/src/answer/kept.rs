//! Traces that are kept beyond the stores.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Why a trace is kept, and what of an answer only kept traces have.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Kept<'a> {
    /// The name of the policy that kept it.
    pub policy: Cow<'a, str>,
    /// How many of its spans the store has evicted, so that they are here because it is kept.
    /// Those that were delivered twice count twice.
    pub spans: u64,
    /// How many of its log records, likewise.
    pub logs: u64,
    /// How many metric points with exemplars that point at it, likewise.
    pub points: u64,
    /// How many records of it were refused because it had become too large.
    pub refused: u64,
}

impl<'a> Kept<'a> {
    /// Shows why a trace is kept, how many records were refused, and how many the answer has that
    /// the stores lack.
    pub fn why(policy: &'a str, refused: u64, only_kept: slipring_sampling::Records) -> Self {
        Self {
            policy: Cow::Borrowed(policy),
            spans: only_kept.spans,
            logs: only_kept.logs,
            points: only_kept.points,
            refused,
        }
    }

    /// Shows a kept trace, of which the answer has so many records that the stores lack.
    pub fn of(
        kept: &'a slipring_sampling::KeptTrace,
        only_kept: slipring_sampling::Records,
    ) -> Self {
        Self::why(&kept.policy, kept.refused.all(), only_kept)
    }
}
