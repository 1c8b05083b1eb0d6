//! The benches of slipring: the stores that it is compared with, and the measurements.
//!
//! `peers` are the stores, and `workload` generates their records. `check` checks each store's
//! answers. `ingest`, `latency` and `lookup` measure one store in one setting. `parts` run these
//! measurements in all settings, round by round, and fill the tables that `report` writes.

#![deny(missing_docs)]

pub mod alloc;
pub mod check;
pub mod clock;
pub mod contender;
pub mod decoded;
pub mod ingest;
pub mod latency;
pub mod lookup;
pub mod parts;
pub mod peers;
pub mod process;
pub mod recent;
pub mod report;
pub mod stretch;
pub mod workload;
