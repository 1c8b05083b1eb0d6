//! What a sampler keeps in mind, and for how long.

use crate::policy::{Policy, PolicyError};
use std::time::Duration;

/// The limits of a [`Sampler`](crate::Sampler) and its policies.
///
/// ```
/// use slipring_sampling::{Policy, Rule, Sampler, Settings};
/// use std::time::Duration;
///
/// let mut settings = Settings::default();
/// settings.max_bytes = 64 << 20;
/// settings.policies = vec![
///     Policy::new("errors", Rule::Error),
///     Policy::new("slow", Rule::SlowerThan(Duration::from_secs(2))),
///     Policy::new("rest", Rule::Probability(0.05)),
/// ];
/// assert!(Sampler::new(&settings).is_ok());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The policies. The first one that matches decides; a trace that none matches is rejected.
    pub policies: Vec<Policy>,
    /// Bytes that undecided spans may take, with everything that is kept for each span and trace.
    pub max_bytes: usize,
    /// Bytes that the resources and scopes of undecided spans may take. Those of kept spans count
    /// as long as they are held.
    pub max_shared_bytes: usize,
    /// The number of undecided traces.
    pub max_traces: usize,
    /// The number of spans at which a trace is decided.
    pub max_trace_spans: usize,
    /// Bytes of one span. Larger ones are rejected.
    pub max_span_bytes: usize,
    /// How long after its last span a trace is decided, once its root has arrived.
    pub quiet: Duration,
    /// How long after its first span a trace is decided.
    pub timeout: Duration,
    /// The number of decisions that are remembered for late spans, of each kind: kept traces and
    /// rejected ones. Each takes 40 bytes.
    pub remembered: usize,
    /// What happens when there is no room.
    pub on_full: OnFull,
    /// The part of `max_bytes` that the traces of one service may take, if there is a limit. A
    /// trace belongs to the service of the span that arrived first.
    pub share: Option<f64>,
    /// The number of services that have a share of their own. All others have one together.
    pub services: usize,
}

/// What a sampler does with the oldest traces when there is no room for new spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnFull {
    /// It decides about them with the spans that are there.
    #[default]
    Decide,
    /// It evicts them undecided. Spans that come later make new traces.
    Evict,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            max_bytes: 256 << 20,
            max_shared_bytes: 64 << 20,
            max_traces: 100_000,
            max_trace_spans: 50_000,
            max_span_bytes: 1 << 20,
            quiet: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            remembered: 100_000,
            on_full: OnFull::Decide,
            share: None,
            services: 1_000,
        }
    }
}

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A setting that has to be at least 1 is 0.
    #[error("`{0}` is 0")]
    Zero(&'static str),
    /// A number does not fit into 32 bits.
    #[error("`{0}` is above four thousand million")]
    TooLarge(&'static str),
    /// The share of a service is not between 0 and 1.
    #[error("`share` is {0}, and not a part of the whole between 0 and 1")]
    Share(f64),
    /// A policy is wrong.
    #[error("{0}")]
    Policy(#[from] PolicyError),
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let numbers = [
            ("max_bytes", self.max_bytes),
            ("max_shared_bytes", self.max_shared_bytes),
            ("max_traces", self.max_traces),
            ("max_trace_spans", self.max_trace_spans),
            ("max_span_bytes", self.max_span_bytes),
            ("timeout", self.timeout.as_micros() as usize),
        ];
        if let Some((name, _)) = numbers.iter().find(|(_, number)| *number == 0) {
            return Err(SettingsError::Zero(name));
        }
        let counts = [
            ("max_traces", self.max_traces),
            ("remembered", self.remembered),
            ("services", self.services),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count > u32::MAX as usize / 2) {
            return Err(SettingsError::TooLarge(name));
        }
        match self.share {
            Some(share) if !(share > 0.0 && share <= 1.0) => Err(SettingsError::Share(share)),
            _ => Ok(()),
        }
    }
}
