//! `slipring serve --metric-history`: series over the store and the history, and what both hold.

mod support;

use serde_json::json;
use slipring::metric::{Metric, MetricKind, Temporality};
use slipring::otlp::{Encoding, encode};
use slipring::{MetricPoint, Source};
use std::process::Command;
use support::{SLIPRING, Server};

const SECOND: u64 = 1_000_000_000;
const BEGAN: u64 = 1_769_860_800 * SECOND;

#[test]
fn series_are_told_over_what_has_left_the_store() {
    let server = Server::start(&["--metrics", "100", "--shards", "1", "--metric-history", "4M"]);
    let kind = MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: true };
    let source = Source::default().with_metric(&Metric::new("orders", kind));
    let point = |at: u64| {
        let point = MetricPoint::builder().source(&source).start_unix_nanos(BEGAN);
        point.time_unix_nanos(BEGAN + at * SECOND).value(2 * at as i64).build()
    };
    let points: Vec<MetricPoint> = (1..=1_000).map(point).collect();
    for some in points.chunks(250) {
        let sent =
            server.post("/v1/metrics", "application/x-protobuf", &encode(some, Encoding::Protobuf));
        assert_eq!(sent.status, 200, "{sent}");
    }
    let told = server.ask("/api/series?name=orders&points=1");
    let series = &told["series"][0];
    assert_eq!(
        (&series["rate_per_second"], &series["points_left_out"]),
        (&json!(2.0), &json!(999)),
        "{told}"
    );
    let history = &told["history"];
    assert_eq!((&history["asked"], &history["complete"]), (&json!(true), &json!(true)), "{told}");
    let of = |name: &str| history[name].as_u64().unwrap();
    assert_eq!(of("points") + of("points_of_store"), 1_000);
    assert!(of("points") >= 900, "{told}");

    let stats = server.ask("/api/stats");
    let held = &stats["metric_history"];
    assert_eq!(
        (&held["points"], &held["missed"], &held["series"]),
        (&history["points"], &json!(0), &json!(1)),
        "{stats}"
    );
    assert_eq!(stats["metrics"]["capacity"], json!(100));
    let metrics = server.get("/metrics").text();
    for line in
        ["slipring_history_series 1", "slipring_history_gone_points_total{reason=\"expired\"} 0"]
    {
        assert!(metrics.lines().any(|one| one == line), "{metrics}");
    }
}

#[test]
fn without_the_flag_there_is_no_history() {
    let server = Server::start(&[]);
    assert!(server.ask("/api/series").get("history").is_none());
    assert!(server.ask("/api/stats").get("metric_history").is_none());
    let refused = Command::new(SLIPRING).args(["serve", "--metric-history", "5"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("at least 262144"), "{said}");
}
