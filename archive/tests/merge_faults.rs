//! Names, files and stores that are odd: merging deletes nothing that is in no other file, and goes on.

mod support;

use slipring::{Span, Telemetry};
use slipring_archive::object_store::memory::InMemory;
use slipring_archive::object_store::path::Path;
use slipring_archive::object_store::throttle::{ThrottleConfig, ThrottledStore};
use slipring_archive::object_store::{ObjectStore, ObjectStoreExt};
use slipring_archive::{Archive, Files, Merge, Place, Settings};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{ids_at as ids, manual, push, tidy, wait_for};

const HOUR: u64 = 3_600_000_000_000;
const ALWAYS: std::ops::Range<u64> = 0..u64::MAX;
const LONG: Duration = Duration::from_secs(60);
const FOLDER: &str = "history/otel_traces/date=1970-01-01/hour=05";

/// Writes so many files of ten spans each.
fn write(telemetry: &Telemetry, archive: &Archive, files: u64) {
    for file in 0..files {
        let span = |id| {
            let span = Span::builder().trace_id(u128::from(id)).span_id(id);
            span.start_unix_nanos(100 * HOUR + id).name("GET /").build()
        };
        push(telemetry.traces(), (file * 10 + 1..=file * 10 + 10).map(span));
        assert!(archive.flush(LONG));
    }
}

fn in_store(store: &Arc<InMemory>) -> Place {
    Place::of_store(Arc::<InMemory>::clone(store), "history")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn names(store: &dyn ObjectStore) -> Vec<String> {
    runtime().block_on(async {
        let all: Vec<_> = futures_util::StreamExt::collect(store.list(None)).await;
        all.into_iter().map(|meta| meta.unwrap().location.to_string()).collect()
    })
}

fn put(store: &InMemory, path: &str) {
    runtime().block_on(store.put(&Path::from(path), "odd".into())).unwrap();
}

#[test]
fn a_name_that_says_more_than_its_file_has_deletes_and_hides_nothing() {
    let store = Arc::new(InMemory::new());
    let telemetry = manual(1);
    let archive = Archive::start(&telemetry, in_store(&store), &tidy(Merge::Nothing)).unwrap();
    write(&telemetry, &archive, 3);
    archive.finish_evicted();
    let one = names(&*store)[0].clone();
    let (folder, name) = one.rsplit_once('/').unwrap();
    let run = name.split('-').nth(1).unwrap();
    // As a copy that was cut off.
    put(&store, &format!("{folder}/9999999999999-{run}-0.18446744073709551615-1.parquet"));
    put(&store, &format!("{FOLDER}/0000000000001-0000000000000002-0.3-7.parquet"));
    put(&store, &format!("{FOLDER}/0000000000001-0000000000000002-0-7.parquet"));
    let archive = Archive::start(&manual(1), in_store(&store), &tidy(Merge::Nothing)).unwrap();
    // All were looked at.
    wait_for(&archive, |stats| stats.merged_files == 1);
    archive.finish().unwrap();
    assert_eq!(names(&*store).len(), 5);
    assert!(ids(&in_store(&store)).into_iter().eq(1..=29));
}

#[test]
fn two_names_that_cover_each_other_do_not_delete_each_other() {
    let store = Arc::new(InMemory::new());
    let (one, two) = ("0000000000000002-0.3", "0000000000000003-0.3");
    put(&store, &format!("{FOLDER}/0000000000001-{one}_{two}-7.parquet"));
    put(&store, &format!("{FOLDER}/0000000000001-{two}_{one}-7.parquet"));
    put(&store, &format!("{FOLDER}/0000000000001-0000000000000002-3-7.parquet"));
    let archive = Archive::start(&manual(1), in_store(&store), &tidy(Merge::Nothing)).unwrap();
    wait_for(&archive, |stats| stats.merged_files == 1);
    drop(archive);
    assert_eq!(names(&*store).len(), 2);
}

#[test]
fn numbers_in_names_end_neither_a_thread_nor_an_answer() {
    let store = Arc::new(InMemory::new());
    for number in 1..=4 {
        let batch = format!("0000000000001-0000000000000002-{number}");
        put(&store, &format!("{FOLDER}/{batch}-18446744073709551615.parquet"));
    }
    let hour = "date=2023-11-14/hour=18446744073709551615";
    put(&store, &format!("history/otel_traces/{hour}/0000000000001-0000000000000002-3-7.parquet"));
    let mut settings = tidy(Merge::All);
    let archive = Archive::start(&manual(1), in_store(&store), &settings).unwrap();
    wait_for(&archive, |stats| stats.merges_failed > 0);
    assert!(archive.files().spans(ALWAYS).unwrap().spans.is_empty());
    drop(archive);
    settings.max_bytes = Some(1);
    let archive = Archive::start(&manual(1), in_store(&store), &settings).unwrap();
    wait_for(&archive, |stats| stats.deleted_files == 4);
    assert_eq!(archive.stats().deleted_records, u64::MAX);
}

#[test]
fn a_link_that_leads_back_does_not_end_answers() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder.path().to_str().unwrap()).unwrap();
    let telemetry = manual(1);
    let archive = Archive::start(&telemetry, place.clone(), &tidy(Merge::Nothing)).unwrap();
    write(&telemetry, &archive, 1);
    drop(archive);
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path(), folder.path().join("otel_traces/back")).unwrap();
    assert!(ids(&place).into_iter().eq(1..=9));
}

/// As the archive merges on a disk: the merged file is renamed to its place, then the others go.
#[test]
fn an_answer_that_misses_records_on_a_disk_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder.path().to_str().unwrap()).unwrap();
    let hour = folder.path().join("otel_traces/date=1970-01-01/hour=05");
    std::fs::create_dir_all(&hour).unwrap();
    // As many entries as a busy hour may have.
    for n in 0..300 {
        std::fs::write(hour.join(format!("other-{n}")), "").unwrap();
    }
    let put = |name: &str| {
        std::fs::write(hour.join("staged#1"), "x").unwrap();
        std::fs::rename(hour.join("staged#1"), hour.join(name)).unwrap();
    };
    let file = |n: u64| format!("0000000000001-0000000000000002-{n}-7.parquet");
    let merged = |n: u64| format!("0000000000001-0000000000000002-0.{n}-{}.parquet", n * 7 + 7);
    put(&merged(1));
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let files = Files::new(place.clone(), &Settings::default());
            let mut missed = 0;
            while !is_done.load(SeqCst) {
                let report = files.spans(ALWAYS).unwrap().report;
                missed += u64::from(report.complete && report.files == 0);
            }
            missed
        });
        for n in 2..1_000 {
            put(&file(n));
            put(&merged(n));
            std::fs::remove_file(hour.join(merged(n - 1))).unwrap();
            std::fs::remove_file(hour.join(file(n))).unwrap();
        }
        is_done.store(true, SeqCst);
        assert_eq!(reading.join().unwrap(), 0);
    });
}

#[test]
fn the_end_leaves_no_records_twice_for_other_engines() {
    let slow = Duration::from_millis(100);
    let slow = ThrottleConfig { wait_delete_per_call: slow, ..Default::default() };
    let store = Arc::new(ThrottledStore::new(InMemory::new(), slow));
    let telemetry = manual(1);
    let place = Place::of_store(Arc::<ThrottledStore<InMemory>>::clone(&store), "history");
    let archive = Archive::start(&telemetry, place.clone(), &tidy(Merge::Nothing)).unwrap();
    write(&telemetry, &archive, 4);
    archive.finish_evicted();
    let archive = Archive::start(&manual(1), place, &tidy(Merge::All)).unwrap();
    wait_for(&archive, |stats| stats.merged_into == 1);
    let stats = archive.finish_evicted();
    assert_eq!(names(&*store).len(), 1, "{stats:?}");
}

#[test]
fn the_end_waits_for_no_list_of_files_to_delete() {
    let never = ThrottleConfig { wait_list_per_call: LONG * 1_000, ..Default::default() };
    let store = Arc::new(ThrottledStore::new(InMemory::new(), never));
    let mut settings = tidy(Merge::Nothing);
    settings.max_bytes = Some(1 << 40);
    settings.attempt_timeout = LONG;
    settings.finish_timeout = Duration::ZERO;
    let archive = Archive::start(&manual(1), Place::of_store(store, "history"), &settings).unwrap();
    // For its third thread to have begun, most likely.
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    archive.finish_evicted();
    assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
}
