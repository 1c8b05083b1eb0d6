//! What the history costs: bytes a point, beside delta and XOR coding; how fast points are taken in
//! and blocks are made; how fast an hour of one series is read.
//!
//! `cargo bench -p slipring-history` prints a table for the shop corpus, if it is there, and for the
//! points of the `shop` package.

#[path = "../../tests/support/corpus.rs"]
mod corpus;
mod gorilla;

use pco::ChunkConfig;
use pco::standalone::simple_compress;
use slipring::otlp::Request;
use slipring::{MetricPoint, Store};
use slipring_history::{MetricHistory, Settings};
use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

const POINTS: usize = 512;
/// Points that are taken in at once.
const AT_ONCE: usize = 4_000;

fn main() {
    if let Some(points) = of_corpus() {
        report("shop corpus", &points);
    }
    let mut shop = shop::Shop::new(7);
    let generated: Vec<MetricPoint> = (0..300).flat_map(|_| shop.metrics()).collect();
    report("generator", &generated);
    read_an_hour();
    push(&generated);
}

fn of_corpus() -> Option<Vec<MetricPoint>> {
    let file = corpus::read("otlp/shop_metrics.jsonl")?;
    let lines = file.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let read = |line| Request::read_json(line).expect("the corpus is OTLP").points;
    Some(lines.flat_map(read).collect())
}

/// Times and values of number points, by series.
fn columns(points: &[MetricPoint]) -> Vec<(Vec<u64>, Vec<f64>)> {
    let mut all: HashMap<String, (Vec<u64>, Vec<f64>)> = HashMap::new();
    for point in points {
        let Some(value) = point.number() else { continue };
        let key = format!("{:?}{:?}", point.source(), point.attributes());
        let (times, values) = all.entry(key).or_default();
        times.push(point.time_unix_nanos());
        values.push(value);
    }
    all.into_values().collect()
}

fn report(name: &str, points: &[MetricPoint]) {
    println!("\n{name}: {} points", points.len());
    codecs(&columns(points));
    tiers(points);
}

/// Compares codecs on times and values alone, in blocks.
fn codecs(series: &[(Vec<u64>, Vec<f64>)]) {
    let config = ChunkConfig::default();
    let (mut numbers, mut by_pco, mut by_xor, mut took) = (0, [0, 0], [0, 0], Duration::ZERO);
    let long = series.iter().filter(|(times, _)| times.len() >= 64);
    for (times, values) in long {
        for (times, values) in times.chunks(POINTS).zip(values.chunks(POINTS)) {
            numbers += times.len();
            let started = Instant::now();
            by_pco[0] += simple_compress(times, &config).unwrap().len();
            by_pco[1] += simple_compress(values, &config).unwrap().len();
            took += started.elapsed();
            by_xor[0] += gorilla::times(times).div_ceil(8);
            by_xor[1] += gorilla::values(values).div_ceil(8);
        }
    }
    let each = |bytes: usize| bytes as f64 / numbers as f64;
    println!("  series of 64 number points and more, {numbers} points, bytes a point");
    for (codec, [times, values]) in [("pco", by_pco), ("delta and XOR", by_xor)] {
        println!(
            "    {codec:<14} times {:.2}, values {:.2}, both {:.2}",
            each(times),
            each(values),
            each(times + values)
        );
    }
    println!("    pco alone: {:.1} M points/s", numbers as f64 / took.as_secs_f64() / 1e6);
}

/// Sends points through a store into a history, some thousand at a time, as its thread takes them.
fn tiers(points: &[MetricPoint]) {
    let store: Store<MetricPoint> =
        Store::builder().capacity(1_000).shards(1).manual().build().unwrap();
    let mut settings = Settings::with_bytes(256 << 20);
    // What is below a quarter of the queue does not wake the history's own thread.
    settings.queue_points = 5 * AT_ONCE;
    settings.queue_bytes = 1 << 30;
    let history = MetricHistory::start(&store, &settings).unwrap();
    let ring_bytes =
        points.iter().map(|point| size_of_val(point) + point.bytes().len()).sum::<usize>();
    let (mut queued, mut took) = (0, Duration::ZERO);
    let take_in = || {
        let (queued, started) = (history.stats().queued, Instant::now());
        // Any answer takes in what waits.
        let _ = black_box(history.points(store.query().key("name", "no such name")));
        (queued, started.elapsed())
    };
    for some in points.chunks(AT_ONCE) {
        store.push_batch(some.to_vec()).unwrap();
        while store.step() {}
        let (more, time) = take_in();
        queued += more;
        took += time;
    }
    let started = Instant::now();
    history.compress();
    let closed = started.elapsed();
    let stats = history.stats();
    println!(
        "  history: {} series, {} blocks, {} points held, {} missed; {} KiB in blocks, {} KiB dictionary",
        stats.series,
        stats.blocks,
        stats.held,
        stats.missed,
        stats.block_bytes >> 10,
        stats.dictionary_bytes >> 10
    );
    println!(
        "    {:.2} bytes a point in blocks, all columns and overheads; the ring's own are {:.0}",
        stats.block_bytes as f64 / stats.held as f64,
        ring_bytes as f64 / points.len() as f64
    );
    let rate = |took: Duration| queued as f64 / took.as_secs_f64() / 1e6;
    println!(
        "    {queued} of {} taken in by this thread: {:.2} M points/s; with their last blocks {:.2}",
        stats.evicted,
        rate(took),
        rate(took + closed)
    );
}

/// Reads an hour of one series, a point each second, and each ten.
fn read_an_hour() {
    println!("\nan hour of one series");
    for every in [1_u64, 10] {
        let store: Store<MetricPoint> =
            Store::builder().capacity(10).shards(1).manual().build().unwrap();
        let history = MetricHistory::start(&store, &Settings::with_bytes(64 << 20)).unwrap();
        let source = slipring::Source::default();
        for at in 0..3_600 / every {
            let point = MetricPoint::builder().source(&source).attribute("host", "one");
            let time = 1_700_000_000_000_000_000 + at * every * 1_000_000_000;
            store.push(point.time_unix_nanos(time).value((at as f64).sin()).build()).unwrap();
        }
        while store.step() {}
        history.compress();
        let mut times: Vec<_> = (0..50)
            .map(|_| {
                let started = Instant::now();
                black_box(history.points(store.query()).unwrap());
                started.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!(
            "  a point each {every} s: decoded in {:?} (median), {:?} (p90)",
            times[25], times[45]
        );
    }
}

/// Pushes through a store with an indexer's thread, with a history behind it and without, in turn.
fn push(points: &[MetricPoint]) {
    println!("\npushes of one thread into a store of 100,000, in batches of 500");
    for round in 0..6 {
        let store: Store<MetricPoint> = Store::builder().capacity(100_000).build().unwrap();
        let has_history = round % 2 == 1;
        let history = has_history
            .then(|| MetricHistory::start(&store, &Settings::with_bytes(64 << 20)).unwrap());
        let batches: Vec<Vec<MetricPoint>> = points.chunks(500).map(<[_]>::to_vec).collect();
        let started = Instant::now();
        for batch in batches {
            store.push_batch(batch).unwrap();
        }
        let took = started.elapsed();
        let missed = history.map_or(0, |history| history.stats().missed);
        let told = if has_history { "with" } else { "without" };
        let speed = points.len() as f64 / took.as_secs_f64() / 1e6;
        println!("  {told:<8} {speed:.2} M points/s, {missed} missed by the history");
    }
}
