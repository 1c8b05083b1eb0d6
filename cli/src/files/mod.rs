//! Files of telemetry: their sizes, reading them into stores, and writing what stores hold.

pub mod export;
pub mod load;
pub mod save;
pub mod size;
mod tally;

pub use crate::report::Replayed as Loaded;
pub use tally::Tally;
