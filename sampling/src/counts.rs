//! What a sampler counts.

use std::sync::Arc;

/// Why a trace was decided when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Its root had arrived, and no span for a while.
    Quiet,
    /// Its time was over.
    Timeout,
    /// It had as many spans as a trace may have, or a GiB of them.
    Spans,
    /// Early: the undecided spans took too many bytes.
    Bytes,
    /// Early: what the undecided spans share took too many bytes.
    SharedBytes,
    /// Early: there were too many undecided traces.
    Traces,
    /// Early: its service took more than its share.
    Share,
    /// Early: the sampler was flushed.
    Flush,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 8] = [
        Self::Quiet,
        Self::Timeout,
        Self::Spans,
        Self::Bytes,
        Self::SharedBytes,
        Self::Traces,
        Self::Share,
        Self::Flush,
    ];

    /// Returns whether the trace was decided before its time.
    pub fn is_early(self) -> bool {
        !matches!(self, Self::Quiet | Self::Timeout | Self::Spans)
    }

    /// Returns the cause's name for figures, such as `shared_bytes`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Timeout => "timeout",
            Self::Spans => "spans",
            Self::Bytes => "bytes",
            Self::SharedBytes => "shared_bytes",
            Self::Traces => "traces",
            Self::Share => "share",
            Self::Flush => "flush",
        }
    }
}

/// Traces and spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Traces.
    pub traces: u64,
    /// Spans.
    pub spans: u64,
}

impl Amount {
    pub(crate) fn add(&mut self, traces: u64, spans: u64) {
        self.traces += traces;
        self.spans += spans;
    }
}

impl std::ops::Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { traces: self.traces + other.traces, spans: self.spans + other.spans }
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), std::ops::Add::add)
    }
}

/// What one policy decided. Spans that came late count with those of their trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyCounts {
    /// The policy's name.
    pub name: Arc<str>,
    /// What it kept.
    pub kept: Amount,
    /// What it matched and rejected.
    pub sampled_out: Amount,
}

/// The figures of a sampler. Each span that was received is counted in exactly one of `kept`,
/// `sampled_out`, `evicted`, `rejected` and `undecided`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Spans that were taken.
    pub received: u64,
    /// Spans without a trace id.
    pub rejected_without_trace: u64,
    /// Spans that were too large, or with which their undecided trace would have had more than 2 GiB.
    pub rejected_too_large: u64,
    /// What each policy decided, in the order in which their names first appear.
    pub policies: Vec<PolicyCounts>,
    /// What policies decided that a reload has removed.
    pub removed_policies: PolicyCounts,
    /// What no policy matched.
    pub unmatched: Amount,
    /// What left undecided.
    pub evicted: Amount,
    /// What is not decided yet.
    pub undecided: Amount,
    /// Decisions, by their cause.
    pub decisions: Vec<(Cause, u64)>,
    /// Spans that came after their trace was decided, and were kept with it. They are among what
    /// the policies kept.
    pub late_kept: u64,
    /// Spans that came after their trace was decided, and were rejected with it.
    pub late_sampled_out: u64,
    /// Bytes that undecided spans take.
    pub bytes: usize,
    /// Bytes that resources and scopes take.
    pub shared_bytes: usize,
    /// Decisions that are remembered.
    pub remembered: usize,
    /// Spans whose service had no share of its own, because there were too many services.
    pub spans_beyond_services: u64,
    /// Panics of custom rules.
    pub panics: u64,
}

impl Stats {
    /// Returns what was kept.
    pub fn kept(&self) -> Amount {
        self.all_policies().map(|policy| policy.kept).sum()
    }

    /// Returns what was rejected by policies, or because none matched.
    pub fn sampled_out(&self) -> Amount {
        self.all_policies().map(|policy| policy.sampled_out).sum::<Amount>() + self.unmatched
    }

    fn all_policies(&self) -> impl Iterator<Item = &PolicyCounts> {
        self.policies.iter().chain([&self.removed_policies])
    }

    /// Returns the number of traces that were decided before their time.
    pub fn early(&self) -> u64 {
        self.decisions.iter().filter(|(cause, _)| cause.is_early()).map(|(_, count)| count).sum()
    }

    /// Returns whether every span that was received is accounted for.
    pub fn is_balanced(&self) -> bool {
        let decided = self.kept().spans + self.sampled_out().spans + self.evicted.spans;
        let rejected = self.rejected_without_trace + self.rejected_too_large;
        self.received == decided + rejected + self.undecided.spans
    }
}
