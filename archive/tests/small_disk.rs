//! A real file system that is full, with files and log on it: what is not written is counted, nothing is
//! there twice, and once there is room again all goes on.
//!
//! `ci/crashes` mounts one. `SLIPRING_SMALL_DISK` is its folder, of some MiB, with nothing of value in it.

mod support;

use slipring::Span;
use slipring_archive::{Archive, LogSettings, LogSync, Place, Settings};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use support::{manual, patient, push};

const HOUR: u64 = 3_600_000_000_000;

fn span(id: u64) -> Span {
    let span = Span::builder().trace_id(u128::from(id)).span_id(id).name("GET /");
    span.start_unix_nanos((id / 5_000 + 1) * HOUR + id).attribute("n", id as i64).build()
}

/// Fills a disk but for so many bytes.
fn fill(path: &Path, but: u64) {
    let mut ballast = std::fs::File::create(path).unwrap();
    let some = vec![7; 1 << 16];
    while ballast.write_all(&some).is_ok() {}
    let length = ballast.metadata().unwrap().len();
    ballast.set_len(length.saturating_sub(but)).unwrap();
}

fn settings(folder: &Path, room: usize) -> Settings {
    let mut settings = patient();
    let mut log = LogSettings::new(folder.join("log"));
    (log.sync, log.segment_bytes) = (LogSync::EachWrite, 50_000);
    settings.log = Some(log);
    (settings.file_bytes, settings.batch_bytes) = (100_000, room);
    settings.queue_records = 3_000;
    settings.tidy_every = Duration::from_millis(20);
    settings.answer_records = usize::MAX;
    settings
}

#[test]
#[ignore = "needs a small file system of its own"]
fn a_disk_that_is_full_costs_what_is_counted_and_nothing_twice() {
    let folder = std::env::var_os("SLIPRING_SMALL_DISK").expect("ci/crashes sets this");
    let rounds = std::env::var("SLIPRING_CRASHES").map_or(20, |text| text.parse().unwrap());
    let (mut written, mut lost, mut unlogged, mut errors) = (0, 0, 0, 0);
    for round in 0..rounds {
        let folder = Path::new(&folder).join("history");
        let place = Place::open(folder.join("files").to_str().unwrap()).unwrap();
        let ballast = folder.join("ballast");
        fill(&ballast, round % 10 * 8_192);
        let telemetry = manual(10);
        // From room for a file to room for all.
        let settings = settings(&folder, 150_000 << (round % 6));
        let archive = Archive::start(&telemetry, place, &settings).unwrap();
        for part in 0..100 {
            let ids = part * 200 + 1..=part * 200 + 200;
            push(telemetry.traces(), ids.map(span));
            std::thread::sleep(Duration::from_millis(1));
            if part == 70 {
                // At the latest: files and log compete for what is left.
                while archive.stats().errors == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
                std::fs::remove_file(&ballast).unwrap();
            }
        }
        let files = archive.files().clone();
        let stats = archive.finish().unwrap();
        assert_eq!(stats.evicted + stats.drained, 20_000, "{stats:?}");
        assert_eq!(stats.written + stats.lost.total(), 20_000, "{stats:?}");
        assert_eq!((stats.left, stats.log.bytes), (0, 0), "{stats:?}");
        let found = files.spans(0..u64::MAX).unwrap();
        assert!(found.report.complete, "{:?}", found.report);
        let ids: BTreeSet<u64> = found.spans.iter().map(|span| span.span_id().into()).collect();
        assert_eq!((ids.len(), ids.len() as u64), (found.spans.len(), stats.written), "{stats:?}");
        assert!(ids.last().is_some_and(|last| *last == 20_000), "it goes on once there is room");
        (written, lost) = (written + stats.written, lost + stats.lost.total());
        (unlogged, errors) = (unlogged + stats.log.failed, errors + stats.errors);
        std::fs::remove_dir_all(&folder).unwrap();
    }
    assert!(errors > 0 && unlogged > 0);
    println!(
        "{rounds} full disks: {written} records in files once, {lost} counted as lost, {unlogged} not \
         logged, {errors} errors"
    );
}
