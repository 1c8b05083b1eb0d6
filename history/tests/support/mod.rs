//! Points and stores for the tests.

#![allow(dead_code)]

use slipring::metric::{Metric, MetricKind, PointValue, Temporality};
use slipring::{MetricPoint, Source, Store};
use slipring_history::Settings;

pub const SECOND: u64 = 1_000_000_000;

/// A sum that grows.
pub fn sum(temporality: Temporality) -> MetricKind {
    MetricKind::Sum { temporality, monotonic: true }
}

pub fn source(name: &str, kind: MetricKind) -> Source {
    Source::default().with_metric(&Metric::new(name, kind))
}

/// A point at a second, with an attribute that names its series.
pub fn point(
    source: &Source,
    host: &str,
    second: u64,
    value: impl Into<PointValue>,
) -> MetricPoint {
    let builder = MetricPoint::builder().source(source).attribute("host", host);
    builder.time_unix_nanos(second * SECOND).value(value).build()
}

/// A store without a thread, of one shard: who pushes evicts.
pub fn manual(capacity: usize) -> Store<MetricPoint> {
    Store::builder().capacity(capacity).shards(1).manual().build().unwrap()
}

/// Settings with which nothing is lost on a slow machine.
pub fn patient(bytes: usize) -> Settings {
    let mut settings = Settings::with_bytes(bytes);
    settings.queue_points = 1 << 16;
    settings.queue_bytes = 256 << 20;
    settings.answer_bytes = 1 << 30;
    settings.patience = std::time::Duration::from_secs(60);
    settings
}
