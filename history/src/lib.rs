#![doc = include_str!("guide.md")]
#![deny(missing_docs)]

mod absorb;
mod block;
mod bounded;
mod column;
mod dictionary;
mod history;
mod queue;
mod read;
mod row;
mod seen;
mod settings;
mod stats;
mod taps;
mod tier;
mod wire;

pub use history::MetricHistory;
pub use read::{RecallError, RecallReport, Recalled};
pub use settings::{HistoryError, Settings};
pub use stats::Stats;
