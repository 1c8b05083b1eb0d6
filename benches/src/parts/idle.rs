//! Measures an idle store: what it costs, and how soon it indexes after a push.

use super::Options;
use crate::process;
use crate::report::{Better, Part, Table};
use shop::fixed::{FixedLogs, FixedMetrics, FixedSpan, FixedSpans};
use slipring::{Signal, Store};
use std::time::{Duration, Instant};

/// The time without a push after which the indexer is asleep.
const QUIET: Duration = Duration::from_millis(100);

/// Runs the part.
pub fn run(options: &Options) -> Part {
    let length = options.either(Duration::from_secs(5), Duration::from_secs(30));
    let mut processor = Table::new(
        "idle-processor",
        "Three full stores without a push",
        "% of a core",
        Better::Less,
    )
    .noting(format!("Processor time of the whole process, in {} s.", length.as_secs()));
    eprintln!("idle: {} s of doing nothing", length.as_secs());
    processor.add("", "spans, logs and metrics", "slipring", idle_share(length) * 100.0);

    let samples = options.either(40, 200);
    let mut waking = Table::new(
        "idle-waking",
        "From a push into an idle store to its indexing",
        "µs",
        Better::Less,
    )
    .noting(format!(
        "{samples} pushes, each after {} ms of quiet. Queries see the record at once.",
        QUIET.as_millis()
    ));
    eprintln!("idle: {samples} pushes into a quiet store");
    for (case, micros) in wakings(samples) {
        waking.add("", case, "slipring", micros);
    }
    options.part("idle", "Idle", vec![processor, waking])
}

/// Measures the share of one core that three idle stores use.
fn idle_share(length: Duration) -> f64 {
    let (_spans, _logs, _points) = (
        full(10_000, FixedSpans::new(1)),
        full(50_000, FixedLogs::new(1)),
        full(100_000, FixedMetrics::new(1)),
    );
    std::thread::sleep(QUIET);
    let (begun, before) = (Instant::now(), process::processor_time());
    std::thread::sleep(length);
    (process::processor_time() - before).as_secs_f64() / begun.elapsed().as_secs_f64()
}

fn full<T: Signal>(capacity: usize, records: impl Iterator<Item = T>) -> Store<T> {
    let mut records = records;
    crate::stretch::full(capacity, &mut records)
}

/// Measures the microseconds from a push to the indexing of its record.
fn wakings(samples: usize) -> [(&'static str, f64); 3] {
    // Keep few records, so that reading the indexer's lag is cheap.
    let store: Store<FixedSpan> =
        Store::builder().capacity(64).build().expect("the capacity is valid");
    let mut records = FixedSpans::new(1);
    (&store).extend(records.by_ref().take(256));
    let mut micros: Vec<f64> = records
        .take(samples)
        .map(|record| {
            std::thread::sleep(QUIET);
            let begun = Instant::now();
            store.push(record).expect("a store that waits when full rejects nothing");
            while store.stats().indexer_lag > 0 {
                std::hint::spin_loop();
            }
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share).round() as usize];
    [("p50", at(0.5)), ("p99", at(0.99)), ("max", at(1.0))]
}
