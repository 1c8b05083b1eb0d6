//! `slipring serve --history`: records that leave the stores are in files, and so are those that are
//! held at the end.

mod support;

use serde_json::json;
use slipring::otlp::{Encoding, encode};
use slipring::{LogRecord, Span};
use slipring_archive::{Files, Place, Settings};
use support::Server;

const BEGAN: u64 = 1_769_860_800_000_000_000;

#[test]
fn records_are_in_files_once_they_have_left_and_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let flags = ["--history", place, "--history-wait", "10ms", "--history-max-age", "30d"];
    let stores = ["--traces", "100", "--logs", "100", "--shards", "1"];
    let server = Server::start(&[&flags[..], &stores].concat());
    let spans: Vec<Span> = (1..=1_000_u64)
        .map(|id| {
            let span = Span::builder().trace_id(u128::from(id / 10 + 1)).span_id(id).name("GET /");
            span.start_unix_nanos(BEGAN + id).end_unix_nanos(BEGAN + id + 5).build()
        })
        .collect();
    for some in spans.chunks(250) {
        let body = encode(some, Encoding::Protobuf);
        assert_eq!(server.post("/v1/traces", "application/x-protobuf", &body).status, 200);
    }
    let log = LogRecord::builder().trace_id(3).time_unix_nanos(BEGAN).body("hello").build();
    let body = encode([&log], Encoding::Protobuf);
    assert_eq!(server.post("/v1/logs", "application/x-protobuf", &body).status, 200);

    let written = || server.ask("/api/stats")["history"]["written"].as_u64().unwrap();
    while written() < 800 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let history = server.ask("/api/stats")["history"].clone();
    assert_eq!((&history["no_room"], &history["failed"]), (&json!(0), &json!(0)), "{history}");
    let metrics = server.get("/metrics").text();
    let line = "slipring_archive_lost_records_total{reason=\"no_room\"} 0";
    assert!(metrics.lines().any(|one| one == line), "{metrics}");

    let id = "00000000000000000000000000000003";
    assert_eq!(server.ask(&format!("/api/traces/{id}"))["spans"], json!([]), "only its log");
    let told = server.ask(&format!("/api/traces/{id}?history=true"));
    assert_eq!(told["spans"].as_array().unwrap().len(), 10, "{told}");
    let history = &told["history"];
    assert_eq!((&history["spans"], &history["complete"]), (&json!(10), &json!(true)), "{told}");
    assert!(history["bytes_read"].as_u64().unwrap() > 100, "{told}");
    let wrong = server.get(&format!("/api/traces/{id}?history=perhaps"));
    assert!(wrong.status == 400 && wrong.text().contains("give true or false"), "{wrong}");

    let (well, said) = server.stop();
    assert!(well && said.contains("1,001 records are in files"), "{said}");
    let files = Files::new(Place::open(place).unwrap(), &Settings::default());
    let mut ids: Vec<u64> =
        files.spans(0..u64::MAX).unwrap().spans.iter().map(|span| span.span_id().into()).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(1..=1_000));
    assert_eq!(files.logs(0..u64::MAX).unwrap().logs, [log]);
}

#[test]
fn what_was_logged_survives_kill_9_and_is_in_files_once_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (files, log) = (folder.path().join("files"), folder.path().join("log"));
    let (place, log) = (files.to_str().unwrap(), log.to_str().unwrap());
    let flags = ["--history", place, "--history-log", log, "--history-log-sync", "each"];
    let flags = [&flags[..], &["--traces", "100", "--shards", "1"]].concat();
    let spans: Vec<Span> = (1..=1_000_u64)
        .map(|id| {
            let span = Span::builder().trace_id(u128::from(id)).span_id(id).name("GET /");
            span.start_unix_nanos(BEGAN + id).end_unix_nanos(BEGAN + id + 5).build()
        })
        .collect();
    let server = Server::start(&flags);
    for some in spans.chunks(250) {
        let body = encode(some, Encoding::Protobuf);
        assert_eq!(server.post("/v1/traces", "application/x-protobuf", &body).status, 200);
    }
    let history = || server.ask("/api/stats")["history"].clone();
    while history()["log"]["synced"].as_u64().unwrap() < 900 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(history()["written"], json!(0), "nothing is due for five minutes");
    drop(server);

    let server = Server::start(&flags);
    let history = || server.ask("/api/stats")["history"].clone();
    while history()["recovered"].as_u64().unwrap() < 900 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let metrics = server.get("/metrics").text();
    let line = "slipring_archive_recovered_records_total 900";
    assert!(metrics.lines().any(|one| one == line), "{metrics}");
    let (well, said) = server.stop();
    assert!(well && said.contains("900 records are in files"), "{said}");
    let ids = || {
        let files = Files::new(Place::open(place).unwrap(), &Settings::default());
        let found = files.spans(0..u64::MAX).unwrap().spans;
        let mut ids: Vec<u64> = found.iter().map(|span| span.span_id().into()).collect();
        ids.sort_unstable();
        ids
    };
    assert!(ids().into_iter().eq(1..=900), "what the stores held was not logged");

    // A third start finds nothing more, and writes nothing twice.
    let (well, said) = Server::start(&flags).stop();
    assert!(well && said.contains("0 records are in files"), "{said}");
    assert!(ids().into_iter().eq(1..=900));
}
