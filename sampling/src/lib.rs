#![doc = include_str!("guide.md")]
#![deny(missing_docs)]

#[cfg(feature = "config")]
pub mod config;
mod counts;
#[cfg(feature = "forward")]
pub mod forward;
mod kept;
mod policy;
mod record;
mod sampler;
mod settings;
mod sink;
mod threshold;
mod trace_state;

pub use counts::{Amount, Cause, PolicyCounts, Stats};
pub use kept::{
    Follower, Identity, Kept, KeptSettings, KeptStats, KeptTrace, Records, Seen, WholeTrace,
};
pub use policy::{Policy, PolicyError, Predicate, Rule, TraceView, Unit};
pub use record::{Record, hash_record};
pub use sampler::Sampler;
pub use settings::{OnFull, Settings, SettingsError};
pub use sink::{Sampled, Sink};
pub use threshold::{ParseThresholdError, Randomness, Threshold};
