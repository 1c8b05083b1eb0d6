//! The records that are pushed: records of fixed size shaped like the three signals, and records of
//! the shop that own heap memory.

mod lifelike;

pub use lifelike::{ShopLogs, ShopPoints, ShopSpans};

use shop::fixed::{FixedLog, FixedLogs, FixedMetric, FixedMetrics, FixedSpan, FixedSpans};
use slipring::Signal;

/// A kind of record, the capacity of a store for it, and a generator.
pub trait Workload {
    /// The name in tables.
    const NAME: &'static str;
    /// The capacity of a store, in records.
    const CAPACITY: usize;
    /// The record type.
    type Record: Signal + Clone + PartialEq;
    /// Returns an endless iterator of records. Each seed yields different records.
    fn records(seed: u64) -> impl Iterator<Item = Self::Record> + Send;
}

macro_rules! fixed {
    ($(#[$doc:meta])* $workload:ident, $name:literal, $capacity:literal, $record:ident, $records:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $workload;

        impl Workload for $workload {
            const NAME: &'static str = $name;
            const CAPACITY: usize = $capacity;
            type Record = $record;

            fn records(seed: u64) -> impl Iterator<Item = $record> + Send {
                $records(seed)
            }
        }
    };
}

fixed!(
    /// Spans of 480 bytes: 8 per trace, 12 services, 60 names.
    Traces, "traces, 480 B, 10K", 10_000, FixedSpan, FixedSpans::new
);
fixed!(
    /// Log records of 184 bytes: 8 per trace, 12 services, and severities of 80, 15, 4 and 1 %.
    Logs, "logs, 184 B, 50K", 50_000, FixedLog, FixedLogs::new
);
fixed!(
    /// Metric points of 136 bytes: 500 names, 12 services, 5 types.
    Metrics, "metrics, 136 B, 100K", 100_000, FixedMetric, FixedMetrics::new
);
