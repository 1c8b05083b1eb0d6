//! What waits for its file survives in the log: each record is in a file once, whatever a crash has left
//! of log and files.

mod support;

use slipring::{Span, Telemetry};
use slipring_archive::object_store::memory::InMemory;
use slipring_archive::object_store::throttle::{ThrottleConfig, ThrottledStore};
use slipring_archive::{Archive, Files, LogSync, Place, Settings, Stats};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::{in_memory, manual, push, segments, shop, wait_for};

const SECOND: u64 = 1_000_000_000;
const ALWAYS: std::ops::Range<u64> = 0..u64::MAX;
const LONG: Duration = Duration::from_secs(60);

fn spans(ids: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = Span> {
    ids.map(|id| {
        let span = Span::builder().trace_id(u128::from(id)).span_id(id);
        span.start_unix_nanos(id * 100 * SECOND).name("GET /").build()
    })
}

/// The ids in the files, each as often as it is there.
fn ids(files: &Files) -> Vec<u64> {
    let found = files.spans(ALWAYS).unwrap();
    assert!(found.report.complete, "{:?}", found.report);
    support::ids_of(&found.spans)
}

/// With segments that a few records fill.
fn logging(folder: &Path) -> Settings {
    let mut settings = support::logging(folder);
    settings.log.as_mut().unwrap().segment_bytes = 4_000;
    settings
}

/// An archive that writes no file, and ends at once: what it has logged stays in the log, as after a
/// crash.
fn cut_off(folder: &Path, telemetry: &Telemetry, fill: impl FnOnce()) -> Stats {
    let never = ThrottleConfig { wait_put_per_call: LONG * 1_000, ..Default::default() };
    let store = ThrottledStore::new(InMemory::new(), never);
    let mut settings = logging(folder);
    settings.finish_timeout = Duration::ZERO;
    let place = Place::of_store(Arc::new(store), "history");
    let archive = Archive::start(telemetry, place, &settings).unwrap();
    fill();
    wait_for(&archive, |stats| stats.queued == 0);
    archive.finish_evicted()
}

/// Starts an archive with what is in the log, and ends it when all of that is written.
fn recover(folder: &Path, place: &Place) -> Stats {
    let archive = Archive::start(&manual(1), place.clone(), &logging(folder)).unwrap();
    archive.finish().unwrap()
}

/// A segment that begins as such, and goes on with so many bytes that are no frames.
fn damaged(bytes: usize) -> Vec<u8> {
    [&b"slrlog\0\x01one run."[..], &vec![7; bytes]].concat()
}

#[test]
fn what_was_not_written_is_written_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(10);
    let stats = cut_off(folder.path(), &telemetry, || push(telemetry.traces(), spans(1..=510)));
    assert_eq!((stats.evicted, stats.left, stats.lost.total()), (500, 500, 0), "{stats:?}");
    assert_eq!((stats.log.logged, stats.log.synced), (500, 500));
    assert!(stats.log.segments > 2, "{stats:?}");
    let place = in_memory();
    let stats = recover(folder.path(), &place);
    assert_eq!((stats.recovered, stats.written, stats.lost.total()), (500, 500, 0), "{stats:?}");
    assert_eq!(segments(folder.path()), [] as [PathBuf; 0]);
    assert!(ids(&Files::new(place.clone(), &Settings::default())).into_iter().eq(1..=500));
    let stats = recover(folder.path(), &place);
    assert_eq!((stats.recovered, stats.log.bytes), (0, 0), "there is nothing more");
}

#[test]
fn records_of_all_types_come_back_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(1);
    let request = shop(20);
    let stats = cut_off(folder.path(), &telemetry, || {
        push(telemetry.traces(), request.spans.clone());
        push(telemetry.logs(), request.logs.clone());
        push(telemetry.metrics(), request.points.clone());
    });
    assert_eq!(stats.lost.total(), 0, "{stats:?}");
    let place = in_memory();
    let stats = recover(folder.path(), &place);
    assert_eq!((stats.recovered + 3, stats.lost.total()), (request.len() as u64, 0), "{stats:?}");
    let files = Files::new(place, &Settings::default());
    let evicted = |count: usize| ..count - 1;
    let spans = &request.spans[evicted(request.spans.len())];
    assert_eq!(support::whole(&files.spans(ALWAYS).unwrap().spans), support::whole(spans));
    let logs = &request.logs[evicted(request.logs.len())];
    assert_eq!(support::whole(&files.logs(ALWAYS).unwrap().logs), support::whole(logs));
    let points = &request.points[evicted(request.points.len())];
    assert_eq!(support::whole(&files.points(ALWAYS).unwrap().points), support::whole(points));
}

#[test]
fn a_crash_between_a_file_and_its_mark_writes_nothing_twice() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let telemetry = manual(10);
    let place = in_memory();
    let archive = Archive::start(&telemetry, place.clone(), &logging(folder.path())).unwrap();
    push(telemetry.traces(), spans(1..=510));
    wait_for(&archive, |stats| stats.log.synced == 500);
    // As the disk is before any file is there.
    for path in segments(folder.path()) {
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    assert!(archive.flush(LONG));
    assert_eq!(archive.finish_evicted().written, 500);
    let stats = recover(copy.path(), &place);
    assert_eq!((stats.recovered, stats.written), (0, 0), "{stats:?}");
    assert!(ids(&Files::new(place, &Settings::default())).into_iter().eq(1..=500));
    assert_eq!(segments(copy.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_torn_end_costs_what_is_in_it_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(10);
    cut_off(folder.path(), &telemetry, || {
        for part in 0..5 {
            push(telemetry.traces(), spans(part * 100 + 1..=part * 100 + 100));
        }
    });
    let last = segments(folder.path()).pop().unwrap();
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 3]).unwrap();
    let place = in_memory();
    let stats = recover(folder.path(), &place);
    assert!(stats.log.torn_bytes > 0 && stats.log.damaged_bytes == 0, "{stats:?}");
    assert_eq!(stats.log.set_aside, 0);
    let ids = ids(&Files::new(place, &Settings::default()));
    assert_eq!(ids.len() as u64, stats.recovered);
    assert!(ids.len() < 490 && ids.windows(2).all(|two| two[0] < two[1]), "{}", ids.len());
}

#[test]
fn a_damaged_segment_gives_what_is_whole_in_it_and_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(10);
    cut_off(folder.path(), &telemetry, || {
        for part in 0..5 {
            push(telemetry.traces(), spans(part * 100 + 1..=part * 100 + 100));
        }
    });
    let all = segments(folder.path());
    assert!(all.len() > 1);
    let mut bytes = std::fs::read(&all[0]).unwrap();
    bytes[90] ^= 1;
    std::fs::write(&all[0], &bytes).unwrap();
    let place = in_memory();
    let stats = recover(folder.path(), &place);
    assert!(stats.log.damaged_bytes > 0, "{stats:?}");
    assert_eq!((stats.log.set_aside, stats.log.bytes), (1, 0), "{stats:?}");
    assert!(!all[0].exists() && all[0].with_extension("damaged").exists());
    let ids = ids(&Files::new(place, &Settings::default()));
    assert_eq!(ids.len() as u64, stats.recovered);
    assert!(!ids.is_empty() && ids.len() < 490);
}

#[test]
fn a_segment_of_which_nothing_is_whole_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("0000000000000001.log"), damaged(1_000)).unwrap();
    std::fs::write(folder.path().join("0000000000000003.log"), damaged(0)).unwrap();
    std::fs::write(folder.path().join("0000000000000002.log"), "").unwrap();
    let stats = recover(folder.path(), &in_memory());
    assert_eq!((stats.log.damaged_bytes, stats.log.set_aside), (1_000, 1), "{stats:?}");
    assert_eq!(segments(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn damaged_segments_do_not_become_ever_more() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..4 {
        for number in 1..=5 {
            let name = format!("{number:016}.log");
            std::fs::write(folder.path().join(name), damaged(1_000)).unwrap();
        }
        recover(folder.path(), &in_memory());
    }
    let count = std::fs::read_dir(folder.path()).unwrap().count();
    assert!(count <= 9, "eight, and the lock: {count}");
}

#[test]
fn a_log_that_is_full_is_counted_and_nothing_is_lost_without_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(10);
    let mut settings = logging(folder.path());
    let log = settings.log.as_mut().unwrap();
    log.bytes = 10_000;
    let archive = Archive::start(&telemetry, in_memory(), &settings).unwrap();
    for part in 0..10 {
        push(telemetry.traces(), spans(part * 100 + 1..=part * 100 + 100));
    }
    wait_for(&archive, |stats| stats.log.full + stats.log.logged == 990);
    let stats = archive.stats();
    assert!(stats.log.full > 100 && stats.log.logged > 10, "{stats:?}");
    assert!(stats.log.bytes <= 10_000);
    // Files make room.
    assert!(archive.flush(LONG));
    wait_for(&archive, |stats| stats.log.bytes < 5_000);
    push(telemetry.traces(), spans(1_001..=1_050));
    wait_for(&archive, |stats| stats.log.logged + stats.log.full == 1_040);
    assert!(archive.stats().log.logged > stats.log.logged);
    let files = archive.files().clone();
    let stats = archive.finish().unwrap();
    assert_eq!((stats.written, stats.lost.total()), (1_050, 0), "{stats:?}");
    assert!(ids(&files).into_iter().eq(1..=1_050));
}

#[test]
fn a_log_that_cannot_be_written_is_counted_and_costs_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(10);
    let path = folder.path().join("log");
    let archive = Archive::start(&telemetry, in_memory(), &logging(&path)).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    push(telemetry.traces(), spans(1..=110));
    wait_for(&archive, |stats| stats.log.failed == 100);
    assert!(archive.stats().last_error.is_some());
    // It is tried again with what comes next.
    std::fs::create_dir(&path).unwrap();
    push(telemetry.traces(), spans(111..=120));
    wait_for(&archive, |stats| stats.log.logged == 10);
    let stats = archive.finish().unwrap();
    assert_eq!((stats.written, stats.lost.total(), stats.log.failed), (120, 0, 100), "{stats:?}");
}

#[test]
fn one_archive_at_a_time_has_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::start(&manual(1), in_memory(), &logging(folder.path())).unwrap();
    let error = Archive::start(&manual(1), in_memory(), &logging(folder.path())).unwrap_err();
    assert!(error.to_string().contains("another process writes a log there"), "{error}");
    drop(archive);
    assert!(Archive::start(&manual(1), in_memory(), &logging(folder.path())).is_ok());
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Archive::start(&manual(1), in_memory(), &logging(&file)).unwrap_err();
    assert!(error.to_string().starts_with(&format!("the log in {}: ", file.display())), "{error}");
}

#[test]
fn a_thread_syncs_what_was_logged_after_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(10);
    let mut settings = logging(folder.path());
    settings.log.as_mut().unwrap().sync = LogSync::Every(Duration::from_millis(5));
    let archive = Archive::start(&telemetry, in_memory(), &settings).unwrap();
    push(telemetry.traces(), spans(1..=110));
    wait_for(&archive, |stats| stats.log.synced == 100);
    let stats = archive.finish().unwrap();
    assert_eq!((stats.written, stats.log.failed, stats.log.bytes), (110, 0, 0), "{stats:?}");
}

#[test]
fn what_cannot_be_written_stays_in_the_log_for_as_long_as_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(10);
    cut_off(folder.path(), &telemetry, || push(telemetry.traces(), spans(1..=110)));
    for _ in 0..3 {
        let stats = cut_off(folder.path(), &manual(1), || ());
        assert_eq!((stats.recovered, stats.lost.total()), (0, 0), "{stats:?}");
    }
    let place = in_memory();
    assert_eq!(recover(folder.path(), &place).recovered, 100);
    assert!(ids(&Files::new(place, &Settings::default())).into_iter().eq(1..=100));
}

#[test]
fn a_span_that_the_protocol_does_not_allow_is_counted_as_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(1);
    cut_off(folder.path(), &telemetry, || {
        push(telemetry.traces(), [Span::builder().name("no ids").build()]);
        push(telemetry.traces(), spans(1..=10));
    });
    let stats = recover(folder.path(), &in_memory());
    assert_eq!((stats.recovered, stats.written, stats.lost.unreadable), (10, 9, 1), "{stats:?}");
}
