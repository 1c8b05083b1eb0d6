#![doc = include_str!("guide.md")]
#![deny(missing_docs)]

#[cfg(feature = "config")]
pub mod config;
mod counts;
#[cfg(feature = "forward")]
pub mod forward;
mod kept;
mod policy;
mod sampler;
mod settings;
mod sink;
mod threshold;
mod trace_state;

pub use counts::{Amount, Cause, PolicyCounts, Stats};
pub use kept::{Kept, KeptSettings, KeptStats, KeptTrace};
pub use policy::{Policy, PolicyError, Predicate, Rule, TraceView, Unit};
pub use sampler::Sampler;
pub use settings::{OnFull, Settings, SettingsError};
pub use sink::{Sampled, Sink};
pub use threshold::{ParseThresholdError, Randomness, Threshold};
