//! A history on a server that speaks S3. `ci/s3` starts one; without it, the tests say that they are
//! skipped.

#![cfg(feature = "s3")]

mod support;

use slipring::{LogRecord, Span};
use slipring_archive::{Archive, Cut, Files, Place, Search, Settings};
use std::ops::ControlFlow;
use std::process::Command;
use std::time::Duration;
use support::{manual, patient, push};

const LONG: Duration = Duration::from_secs(60);
const HOUR: u64 = 3_600_000_000_000;

/// Returns a place on the server, if there is one.
fn place(prefix: &str) -> Option<Place> {
    let Ok(bucket) = std::env::var("SLIPRING_S3") else {
        println!("skipped: no server; run ci/s3");
        return None;
    };
    // The server may be that of an earlier run.
    Some(Place::open(&format!("{bucket}/{prefix}-{}", std::process::id())).unwrap())
}

/// Returns settings with which no answer is cut on a slow machine.
fn unhurried() -> Settings {
    let mut settings = Settings::default();
    settings.answer_time = 10 * LONG;
    settings
}

/// Stops the server's process, or lets it go on.
struct Stalled(String);

impl Stalled {
    fn begin() -> Self {
        let server = std::env::var("SLIPRING_S3_SERVER").unwrap();
        assert!(Command::new("kill").args(["-STOP", &server]).status().unwrap().success());
        Self(server)
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-CONT", &self.0]).status();
    }
}

fn span(id: u64) -> Span {
    let span = Span::builder().trace_id(u128::from(id / 10 + 1)).span_id(id + 1).name("GET /");
    span.start_unix_nanos(HOUR * (1 + id / 100) + id).build()
}

#[test]
fn records_are_written_found_and_deleted() {
    let Some(place) = place("found") else { return };
    let telemetry = manual(10);
    let archive = Archive::start(&telemetry, place.clone(), &patient()).unwrap();
    push(telemetry.traces(), (0..1_000).map(span));
    push(telemetry.logs(), [LogRecord::builder().trace_id(7).body("hello").build()]);
    let stats = archive.finish().unwrap();
    assert_eq!((stats.written, stats.lost.total(), stats.errors), (1_001, 0, 0), "{stats:?}");
    let files = Files::new(place.clone(), &unhurried());
    let all = files.spans(0..u64::MAX).unwrap();
    let mut ids: Vec<u64> = all.spans.iter().map(|span| span.span_id().into()).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(1..=1_000) && all.report.complete, "{:?}", all.report);
    let found = files.trace(7.into()).unwrap();
    assert_eq!((found.spans.len(), found.logs.len()), (10, 1));
    let read = &found.report;
    assert!(read.row_groups_read < read.row_groups && read.requests > 0, "{read:?}");
    let hour = files.spans(3 * HOUR..4 * HOUR).unwrap();
    assert_eq!((hour.spans.len(), hour.report.files), (100, 1), "{:?}", hour.report);

    let mut settings = patient();
    settings.max_bytes = Some(1);
    let deleting = Archive::start(&manual(1), place, &settings).unwrap();
    while deleting.stats().deleted_records < 1_001 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(files.spans(0..u64::MAX).unwrap().spans.len(), 0);
}

#[test]
fn a_bucket_that_is_not_there_costs_counted_records_and_says_why() {
    if place("").is_none() {
        return;
    }
    let nowhere = Place::open("s3://not-there/history").unwrap();
    let telemetry = manual(10);
    let mut settings = patient();
    (settings.attempts, settings.finish_timeout) = (2, Duration::from_secs(5));
    let archive = Archive::start(&telemetry, nowhere, &settings).unwrap();
    push(telemetry.traces(), (0..100).map(span));
    let stats = archive.finish().unwrap();
    assert_eq!((stats.written, stats.lost.total()), (0, 100), "{stats:?}");
    let said = stats.last_error.unwrap();
    assert!(said.contains("NoSuchBucket") || said.contains("not-there"), "{said}");
    let error = archive.files().spans(0..u64::MAX).unwrap_err().to_string();
    assert!(error.contains("the files cannot be listed"), "{error}");
}

#[test]
fn a_server_that_stalls_slows_no_push_and_loses_nothing_that_fits() {
    let Some(place) = place("stalled") else { return };
    let telemetry = manual(10);
    let mut settings = patient();
    settings.attempt_timeout = Duration::from_millis(500);
    settings.attempts = 1_000;
    settings.finish_timeout = 10 * LONG;
    settings.file_age = Duration::from_millis(1);
    let archive = Archive::start(&telemetry, place.clone(), &settings).unwrap();
    push(telemetry.traces(), (0..100).map(span));
    assert!(archive.flush(LONG));
    let before = archive.stats();
    let stalled = Stalled::begin();
    // Nothing is written while the server stands still, and each push returns.
    push(telemetry.traces(), (100..5_000).map(span));
    while archive.stats().errors == before.errors {
        std::thread::sleep(Duration::from_millis(10));
    }
    let meanwhile = archive.stats();
    assert_eq!((meanwhile.written, meanwhile.evicted), (before.written, 4_990), "{meanwhile:?}");
    let mut short = Settings::default();
    short.answer_time = Duration::from_millis(300);
    let files = Files::new(place, &short);
    let asked = files.search(&Search::new(), &mut |_: Span| ControlFlow::<Cut>::Continue(()));
    assert!(asked.unwrap_err().to_string().contains("took too long"));
    drop(stalled);
    let stats = archive.finish().unwrap();
    assert_eq!((stats.written, stats.lost.total()), (5_000, 0), "{stats:?}");
    let all = Files::new(archive.files().place().clone(), &unhurried());
    assert_eq!(all.spans(0..u64::MAX).unwrap().spans.len(), 5_000);
}
