//! Real metrics go through the history and come back, and take few bytes.

#[path = "../../tests/support/corpus.rs"]
mod corpus;
mod support;

use slipring::MetricPoint;
use slipring::metric::Series;
use slipring::otlp::Request;
use slipring_history::MetricHistory;
use support::{manual, patient};

fn points() -> Option<Vec<MetricPoint>> {
    let file = corpus::read("otlp/shop_metrics.jsonl")?;
    let lines = file.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let points = lines.take(66).flat_map(|line| Request::read_json(line).unwrap().points);
    Some(points.take(20_000).collect())
}

#[test]
fn real_points_come_back_from_a_quarter_of_their_bytes() {
    let Some(points) = points() else { return };
    let (store, bytes) =
        (manual(100), points.iter().map(|point| point.bytes().len()).sum::<usize>());
    let history = MetricHistory::start(&store, &patient(64 << 20)).unwrap();
    for some in points.chunks(1_000) {
        store.push_batch(some.to_vec()).unwrap();
        while store.step() {}
    }
    let recalled = history.series(store.query()).unwrap();
    assert!(recalled.report.complete);
    let named = |mut all: Vec<Series>| {
        let kind = |one: &Series| {
            (
                one.metric().name().to_owned(),
                format!("{:?}{:?}", one.metric().kind(), one.attributes),
            )
        };
        all.sort_by_cached_key(kind);
        all
    };
    let expected = named(Series::assemble(points.clone()));
    assert!(named(recalled.series) == expected, "all of them, bit for bit");
    history.compress();
    let stats = history.stats();
    assert_eq!(stats.held + 100, points.len() as u64);
    assert!(stats.block_bytes < bytes / 4, "{} of {bytes} bytes, {stats:?}", stats.block_bytes);
}
