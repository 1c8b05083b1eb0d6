//! `slipring serve --history s3://…`. `ci/s3` starts a server for it; without one, the test says that it
//! is skipped.

mod support;

use serde_json::json;
use slipring::Span;
use slipring::otlp::{Encoding, encode};
use support::Server;

const BEGAN: u64 = 1_769_860_800_000_000_000;

#[test]
fn records_that_leave_are_on_s3_and_come_back() {
    let Ok(bucket) = std::env::var("SLIPRING_S3") else {
        println!("skipped: no server; run ci/s3");
        return;
    };
    let place = format!("{bucket}/program-{}", std::process::id());
    let flags = ["--history", &place, "--history-wait", "10ms", "--traces", "100", "--shards", "1"];
    let server = Server::start(&flags);
    let span = |id: u64| {
        let span = Span::builder().trace_id(u128::from(id / 10 + 1)).span_id(id + 1).name("GET /");
        span.start_unix_nanos(BEGAN + id).end_unix_nanos(BEGAN + id + 5).build()
    };
    for part in 0..4 {
        let some: Vec<Span> = (part * 250..(part + 1) * 250).map(span).collect();
        let body = encode(&some, Encoding::Protobuf);
        assert_eq!(server.post("/v1/traces", "application/x-protobuf", &body).status, 200);
    }
    let waits = || {
        let history = server.ask("/api/stats")["history"].clone();
        let of = |name: &str| history[name].as_u64().unwrap();
        of("written") < 800 || of("held") + of("queued") > 0
    };
    while waits() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let told = server.ask("/api/count/spans?history=true");
    assert_eq!(
        (&told["count"], &told["history"]["complete"]),
        (&json!(1_000), &json!(true)),
        "{told}"
    );
    let trace = server.ask("/api/traces/7?history=true");
    assert_eq!(trace["spans"].as_array().unwrap().len(), 10, "{trace}");
    let (well, said) = server.stop();
    assert!(well && said.contains("1,000 records are in files at s3://"), "{said}");
}
