//! Files on a disk: where they are, that no part of one is ever seen, and how little of them is read.

mod support;

use slipring::{LogRecord, Resource, Scope, Source, Span};
use slipring_archive::{Archive, Files, Place, Settings};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{in_memory, manual, patient, push};

const HOUR: u64 = 3_600_000_000_000;
const LONG: Duration = Duration::from_secs(60);

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

fn span(trace: u64, id: u64, nanos: u64, service: &str) -> Span {
    let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
    let span = Span::builder().source(&source).trace_id(u128::from(trace)).span_id(id);
    span.start_unix_nanos(nanos).name("GET /").build()
}

#[test]
fn each_hour_of_a_table_has_a_folder_and_odd_hours_have_one_together() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(1);
    let mut settings = patient();
    settings.open_hours = 2;
    let place = Place::open(folder.path().to_str().unwrap()).unwrap();
    let archive = Archive::start(&telemetry, place, &settings).unwrap();
    let day = 19_675 * 24; // 2023-11-14
    let hours = [day + 1, day + 2, day + 3, day + 1, 0];
    push(telemetry.traces(), (1..).zip(hours).map(|(id, hour)| span(id, id, hour * HOUR, "a")));
    push(telemetry.logs(), [LogRecord::builder().time_unix_nanos((day + 5) * HOUR).build()]);
    archive.finish().unwrap();
    let files = all_files(folder.path());
    let mut folders: Vec<_> = files
        .iter()
        .map(|file| file.parent().unwrap().strip_prefix(folder.path()).unwrap().to_str().unwrap())
        .collect();
    folders.sort_unstable();
    assert_eq!(
        folders,
        [
            "otel_logs/date=2023-11-14/hour=05",
            "otel_traces/date=1970-01-01/hour=00",
            "otel_traces/date=2023-11-14/hour=01",
            "otel_traces/date=2023-11-14/hour=02",
        ]
    );
    let again = Files::new(Place::open(folder.path().to_str().unwrap()).unwrap(), &settings);
    assert_eq!(again.spans((day + 3) * HOUR..(day + 4) * HOUR).unwrap().spans.len(), 1);
}

#[test]
fn no_part_of_a_file_is_ever_seen() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(10);
    let mut settings = patient();
    settings.file_bytes = 100_000;
    let place = Place::open(folder.path().to_str().unwrap()).unwrap();
    let archive = Archive::start(&telemetry, place, &settings).unwrap();
    let is_done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut seen = 0;
            while !is_done.load(Ordering::Relaxed) {
                for file in all_files(folder.path()) {
                    if file.extension().is_some_and(|end| end == "parquet") {
                        let bytes = std::fs::read(file).unwrap();
                        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
                        seen += 1;
                    }
                }
            }
            seen
        });
        for part in 0..20 {
            let ids = part * 1_000 + 1..=part * 1_000 + 1_000;
            push(telemetry.traces(), ids.map(|id| span(id, id, id, "a")));
        }
        assert!(archive.flush(LONG));
        is_done.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    });
    let stats = archive.stats();
    assert!(stats.files > 5, "{stats:?}, {seen} seen");
    let files = all_files(folder.path());
    assert_eq!(files.len() as u64, stats.files, "nothing is left beside the files");
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!(bytes, stats.written_bytes);
}

#[test]
fn a_trace_is_found_through_bloom_filters_and_a_time_through_statistics() {
    let telemetry = manual(1);
    let mut settings = patient();
    settings.row_group_records = 500;
    let archive = Archive::start(&telemetry, in_memory(), &settings).unwrap();
    // Two hours, each a file of four row groups.
    let hours = [100, 101];
    let spans = hours.into_iter().flat_map(|hour| {
        (0..2_000).map(move |n| span(hour * 1_000_000 + n / 10 + 1, n + 1, hour * HOUR + n, "a"))
    });
    push(telemetry.traces(), spans);
    assert!(archive.flush(LONG));
    let files = archive.files();
    let found = files.trace(100_000_008.into()).unwrap();
    assert_eq!(found.spans.len(), 10);
    let all = &found.report;
    assert_eq!((all.files, all.files_opened, all.row_groups), (2, 2, 8));
    assert!(all.row_groups_read < 4 && all.complete, "{all:?}");

    let found = files.spans(101 * HOUR + 600..101 * HOUR + 700).unwrap();
    assert_eq!(found.spans.len(), 100);
    let some = &found.report;
    assert_eq!((some.files, some.row_groups, some.row_groups_read), (1, 4, 1));
    assert!(some.bytes_read < archive.stats().written_bytes / 2, "{some:?}");
    assert_eq!(files.trace(5.into()).unwrap().spans.len(), 0);
    assert!(files.spans(50 * HOUR..99 * HOUR).unwrap().report.files == 0);
}

#[test]
fn an_answer_that_would_be_too_large_is_cut_and_says_so() {
    let telemetry = manual(1);
    let archive = Archive::start(&telemetry, in_memory(), &patient()).unwrap();
    push(telemetry.traces(), (1..=3_001).map(|id| span(7, id, id, "a")));
    assert!(archive.flush(LONG));
    let ask = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        let found = Files::new(archive.files().place().clone(), &settings).trace(7.into()).unwrap();
        (found.spans.len(), found.report.complete)
    };
    assert_eq!(ask(|_| {}), (3_000, true));
    assert_eq!(ask(|settings| settings.answer_records = 1_500), (1_500, false));
    assert_eq!(ask(|settings| settings.answer_records = 3_000), (3_000, true));
    let (spans, complete) = ask(|settings| settings.answer_bytes = 10_000);
    assert!(spans > 10 && spans < 200 && !complete, "{spans}");
}

#[test]
fn a_damaged_file_is_told_and_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(1);
    let place = Place::open(folder.path().to_str().unwrap()).unwrap();
    let archive = Archive::start(&telemetry, place, &patient()).unwrap();
    for hour in [100, 101] {
        push(telemetry.traces(), (1..=50).map(|id| span(id, id, hour * HOUR + id, "a")));
        assert!(archive.flush(LONG));
    }
    let files = all_files(&folder.path().join("otel_traces/date=1970-01-05/hour=04"));
    let file = files.iter().find(|file| file.to_str().unwrap().ends_with("-49.parquet")).unwrap();
    let whole = std::fs::read(file).unwrap();
    for cut in [0, 7, whole.len() / 2, whole.len() - 1] {
        std::fs::write(file, &whole[..cut]).unwrap();
        let found = archive.files().spans(0..u64::MAX).unwrap();
        assert_eq!((found.report.failed, found.report.complete), (1, false));
        assert_eq!(found.spans.len(), 50, "those of the other files");
        assert!(found.report.last_error.unwrap().contains("hour=04"));
    }
}

#[test]
fn old_files_are_deleted_and_counted() {
    let telemetry = manual(1);
    let place = in_memory();
    let run = |max_bytes| {
        let mut settings = patient();
        settings.max_bytes = max_bytes;
        let archive = Archive::start(&telemetry, place.clone(), &settings).unwrap();
        push(telemetry.traces(), (1..=50).map(|id| span(id, id, 100 * HOUR + id, "a")));
        assert!(archive.flush(LONG));
        // The archive looks at old files when it starts.
        while max_bytes.is_some() && archive.stats().deleted_files == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let stats = archive.stats();
        (stats.deleted_files, stats.deleted_records)
    };
    assert_eq!(run(None), (0, 0));
    let (files, records) = run(Some(1));
    assert!(files >= 1 && records >= 49, "{files} files, {records} records");
}

#[test]
fn files_of_others_stay_and_empty_folders_go() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder.path().to_str().unwrap()).unwrap();
    let telemetry = manual(1);
    let archive = Archive::start(&telemetry, place.clone(), &patient()).unwrap();
    push(telemetry.traces(), (1..=50).map(|id| span(id, id, 100 * HOUR + id, "a")));
    assert!(archive.flush(LONG));
    drop(archive);
    let table = folder.path().join("otel_traces");
    let old = std::time::SystemTime::now() - 1_000 * Duration::from_secs(3_600);
    let age = |path: &Path| {
        std::fs::File::options().append(true).open(path).unwrap().set_modified(old).unwrap();
    };
    all_files(folder.path()).iter().for_each(|path| age(path));
    let foreign =
        [table.join("part-0.parquet"), table.join("date=1970-01-01/hour=00/part-0.parquet")];
    for path in &foreign {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "mine").unwrap();
        age(path);
    }
    let mut settings = patient();
    settings.max_age = Some(Duration::from_secs(3_600));
    let archive = Archive::start(&manual(1), place, &settings).unwrap();
    // The archive looks at old files when it starts, and after that at its clock.
    while archive.stats().deleted_files == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    archive.finish().unwrap();
    let stats = archive.stats();
    assert_eq!((stats.deleted_files, stats.deleted_records), (1, 49), "{stats:?}");
    assert!(foreign.iter().all(|path| path.exists()));
    assert_eq!(all_files(folder.path()).len(), 2);
    assert!(!table.join("date=1970-01-05").exists(), "its only file is gone");
}

#[test]
fn what_is_later_than_files_hold_is_found_by_its_time() {
    let telemetry = manual(1);
    let archive = Archive::start(&telemetry, in_memory(), &patient()).unwrap();
    let times = [i64::MAX as u64, u64::MAX - 5, u64::MAX - 5];
    push(telemetry.traces(), (1..).zip(times).map(|(id, nanos)| span(id, id, nanos, "a")));
    assert!(archive.flush(LONG));
    let found = archive.files().spans(u64::MAX - 10..u64::MAX).unwrap();
    let times: Vec<_> = found.spans.iter().map(Span::start_unix_nanos).collect();
    assert!(times.contains(&(u64::MAX - 5)), "{times:?}");
    let found = archive.files().spans(i64::MAX as u64..i64::MAX as u64 + 1).unwrap();
    assert!(!found.spans.is_empty());
}

#[test]
fn a_place_that_is_none_says_what_to_give() {
    let error = Place::open("gopher://x").unwrap_err().to_string();
    assert!(error.contains("give a folder, file:///folder or s3://bucket/prefix"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(Place::open(file.to_str().unwrap()).is_err());
    let url = format!("file://{}", folder.path().join("new").display());
    assert!(Place::open(&url).is_ok() && folder.path().join("new").is_dir());
}
