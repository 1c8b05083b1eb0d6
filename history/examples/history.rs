//! Keeps a shop's metrics for longer than the store does, and says what that takes.
//!
//! `cargo run -p slipring-history --example history`

use slipring::{MetricPoint, Store};
use slipring_history::{MetricHistory, Settings};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let metrics: Store<MetricPoint> = Store::builder().capacity(5_000).build()?;
    let history = MetricHistory::start(&metrics, &Settings::with_bytes(16 << 20))?;

    // Half an hour of the shop: one scrape each ten seconds.
    let mut shop = shop::Shop::new(7);
    for _ in 0..180 {
        metrics.push_batch(shop.metrics())?;
    }
    metrics.flush()?;

    let recalled = history.series(metrics.query().key("name", "http.server.request.duration"))?;
    for series in recalled.series.iter().take(3) {
        let (first, last) = (&series.points[0], &series.points[series.points.len() - 1]);
        let seconds = (last.time_unix_nanos() - first.time_unix_nanos()) / 1_000_000_000;
        println!(
            "{} points over {seconds} s, 99th percentile {:?}",
            series.points.len(),
            series.quantile(0.99)
        );
    }

    let (held, stats) = (metrics.stats(), history.stats());
    println!(
        "the store holds {} points in {} KiB, the history {} of {} series in {} KiB",
        held.count,
        held.data_memory_bytes >> 10,
        stats.held,
        stats.series,
        stats.bytes >> 10,
    );
    Ok(())
}
