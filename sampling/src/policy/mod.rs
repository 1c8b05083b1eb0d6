//! Policies: which traces are kept.
//!
//! Each rule maps a trace to a rejection threshold, and never looks at the trace's randomness to do
//! so. Rules thus combine, and adjusted counts stay right: a trace that two rules match has the
//! lower of two thresholds with [`Any`](Rule::Any), and the higher with [`All`](Rule::All).

mod bucket;
mod compiled;
mod latency;
mod operations;
mod view;

pub(crate) use compiled::{Choice, Compiled};
pub(crate) use view::Evidence;
pub use view::TraceView;

use slipring::Match;
use slipring::query::Level;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A rule with a name. The name of the policy that kept a trace is kept beside it, and figures are
/// counted for each name.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The policy's name.
    pub name: Arc<str>,
    /// Its rule.
    pub rule: Rule,
}

impl Policy {
    /// Names a rule.
    pub fn new(name: impl Into<Arc<str>>, rule: Rule) -> Self {
        Self { name: name.into(), rule }
    }
}

/// A rule: it matches a trace or does not, and says with what probability a matching trace is kept.
/// That is 1, unless the rule says otherwise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Rule {
    /// Matches every trace.
    Always,
    /// Matches every trace, and keeps none: `First` with `All(condition, Never)` drops traces.
    Never,
    /// Matches if a span's status is an error.
    Error,
    /// Matches if the trace took longer. This is the root's own duration or, without a root, the
    /// longest span's, so that clocks that differ between machines do not count.
    SlowerThan(Duration),
    /// Matches if the trace took longer than most traces of its root operation lately.
    SlowerThanMost {
        /// The share of traces that are faster, such as 0.99.
        share: f64,
        /// The maximum number of operations that are told apart: 528 bytes each. A new one takes
        /// the place of one that was not seen lately.
        operations: usize,
    },
    /// Matches if an attribute of a span meets the condition.
    Attribute {
        /// The level at which it is looked for; `None` for any.
        level: Option<Level>,
        /// The attribute's name.
        name: Box<str>,
        /// The condition on its value.
        condition: Match,
    },
    /// Matches if the service of one of the spans meets the condition.
    Service(Match),
    /// Matches if the name of the root operation meets the condition: of the root or, without one,
    /// of the span that arrived first.
    Operation(Match),
    /// Matches traces with at least this many spans.
    SpansAtLeast(usize),
    /// Matches as long as there are tokens: a trace takes one, or as many as it has spans. Spans
    /// kept by this rule alone lose their threshold, because the probability with which they were
    /// kept is unknown.
    RateLimit {
        /// What is counted.
        unit: Unit,
        /// The number of tokens that become available in a second.
        per_second: f64,
        /// The maximum number of unused tokens. A trace of more spans gets through when they are
        /// all there, and leaves a debt.
        burst: f64,
    },
    /// Matches every trace, and keeps it with this probability, between 2⁻⁵⁶ and 1. Traces that
    /// another sampler sampled with a lower probability keep that one: in the specification's terms
    /// this is an equalizing sampler.
    Probability(f64),
    /// Matches the first few traces of each root operation in each span of time. As with
    /// [`RateLimit`](Rule::RateLimit), the spans lose their threshold.
    Few {
        /// The number of traces.
        count: u32,
        /// The span of time.
        per: Duration,
        /// The maximum number of operations that are told apart: 32 bytes each. A new one takes
        /// the place of one that was not seen lately.
        operations: usize,
    },
    /// Matches if the function returns true. A panic counts as false, and is counted.
    Custom(Predicate),
    /// Matches if all of these match. They are tried in order, up to the first that does not. A
    /// rate limit belongs at the end, where only traces that are kept otherwise take tokens.
    All(Vec<Rule>),
    /// Matches if one of these does. All are tried.
    Any(Vec<Rule>),
    /// The first of these that matches decides, also if its probability then rejects the trace.
    First(Vec<Rule>),
    /// Matches if the rule does not. Rules whose probability is not 1 cannot be negated.
    Not(Box<Rule>),
    /// A part with a name of its own.
    Named(Box<Policy>),
}

impl Rule {
    /// Makes a [`Rule::Attribute`] for attributes at any level.
    pub fn attribute(name: impl Into<Box<str>>, condition: Match) -> Self {
        Self::Attribute { level: None, name: name.into(), condition }
    }

    /// Names this part.
    #[must_use]
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Self::Named(Box::new(Policy::new(name, self)))
    }

    /// Makes a [`Rule::Custom`]. The spans of each trace that is decided are then made records for
    /// it, which is O(bytes), with four allocations.
    pub fn custom(test: impl Fn(&TraceView<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self::Custom(Predicate(Arc::new(test)))
    }
}

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Traces.
    Traces,
    /// Spans.
    Spans,
}

type Test = dyn Fn(&TraceView<'_>) -> bool + Send + Sync;

/// A function that tests traces.
#[derive(Clone)]
pub struct Predicate(Arc<Test>);

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Predicate")
    }
}

/// Why policies cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A probability is not between 2⁻⁵⁶ and 1.
    #[error("{0} is no probability between 2⁻⁵⁶ and 1")]
    Probability(f64),
    /// A share is not between 0 and 1.
    #[error("{0} is no share between 0 and 1, such as 0.99")]
    Share(f64),
    /// A rate is not above 0, or a burst is below 1.
    #[error("a rate of {per_second} with bursts of {burst} keeps nothing")]
    Rate {
        /// The tokens in a second.
        per_second: f64,
        /// The maximum number of unused tokens.
        burst: f64,
    },
    /// A rule that tells operations apart may remember none, or a count or a time is 0.
    #[error("{0} is 0")]
    Zero(&'static str),
    /// A rule whose probability is not 1 is negated.
    #[error("a rule that keeps some of the traces it matches cannot be negated")]
    Negated,
    /// There are too many conditions on single spans: errors, attributes and services.
    #[error("there are {0} conditions on errors, attributes and services; at most 64 are tested")]
    Conditions(usize),
    /// A condition is invalid.
    #[error(transparent)]
    Condition(#[from] slipring::error::QueryError),
    /// There are more names than decisions can tell apart.
    #[error("there are {0} named policies; at most 65,000 can be told apart")]
    Names(usize),
}
