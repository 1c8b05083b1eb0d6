//! slipring's benches: the stores it is compared with, and how they are measured.
//!
//! `peers` are the stores, `workload` is what is pushed into them; `check` makes sure that each
//! answers right. `ingest`, `latency` and `lookup` measure one store in one situation; `parts` go
//! through the situations, round by round, and make of them what `report` writes down.

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
