//! Small files become one, and each record is there once, before, meanwhile and after.

mod support;

use slipring::{LogRecord, Resource, Scope, Source, Span, Telemetry};
use slipring_archive::object_store::ObjectStoreExt;
use slipring_archive::object_store::memory::InMemory;
use slipring_archive::object_store::path::Path;
use slipring_archive::{Archive, Files, Merge, Place, Settings};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use support::{Failing, ids_of, manual, push, shop, tidy, wait_for, whole};

const HOUR: u64 = 3_600_000_000_000;
const ALWAYS: std::ops::Range<u64> = 0..u64::MAX;
const LONG: Duration = Duration::from_secs(60);

fn span(id: u64) -> Span {
    let service = ["checkout", "cart", "shipping"][id as usize % 3];
    let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
    let span = Span::builder().source(&source).trace_id(u128::from(id)).span_id(id);
    span.start_unix_nanos(100 * HOUR + id).name("GET /").build()
}

/// Writes so many files of ten spans each, and so many log records in one folder.
fn write(telemetry: &Telemetry, archive: &Archive, first: u64, files: u64) {
    for file in 0..files {
        let from = first + file * 10;
        push(telemetry.traces(), (from..from + 10).map(span));
        assert!(archive.flush(LONG));
    }
}

fn ids(files: &Files) -> Vec<u64> {
    ids_of(&files.spans(ALWAYS).unwrap().spans)
}

fn in_store(store: Arc<InMemory>) -> Place {
    Place::of_store(store, "history")
}

/// The names of all files.
fn names(store: &InMemory) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let list = slipring_archive::object_store::ObjectStore::list(store, None);
        let all: Vec<_> = futures_util::StreamExt::collect(list).await;
        all.into_iter().map(|meta| meta.unwrap().location.to_string()).collect()
    })
}

/// How many folders have files.
fn folders(store: &InMemory) -> usize {
    let names = names(store);
    let folders = names.iter().filter_map(|name| name.rsplit_once('/'));
    folders.map(|(folder, _)| folder).collect::<BTreeSet<_>>().len()
}

#[test]
fn files_of_an_hour_become_one_and_no_record_is_missing_or_twice_meanwhile() {
    let store = Arc::new(InMemory::new());
    let telemetry = manual(1);
    let settings = tidy(Merge::Own);
    let archive = Archive::start(&telemetry, in_store(Arc::clone(&store)), &settings).unwrap();
    let is_done = AtomicBool::new(false);
    let written = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut complete = 0;
            while !is_done.load(Ordering::SeqCst) {
                let before = written.load(Ordering::SeqCst);
                let found = archive.files().spans(ALWAYS).unwrap();
                let mut ids: Vec<u64> =
                    found.spans.iter().map(|span| span.span_id().into()).collect();
                ids.sort_unstable();
                assert!(ids.windows(2).all(|two| two[0] < two[1]), "twice");
                if found.report.complete {
                    assert!(ids.len() as u64 >= before, "{} of {before}", ids.len());
                    complete += 1;
                }
            }
            complete
        });
        for round in 0..25 {
            write(&telemetry, &archive, round * 20 + 1, 2);
            written.store(round * 20 + 19, Ordering::SeqCst);
        }
        wait_for(&archive, |stats| stats.merged_into > 3);
        is_done.store(true, Ordering::SeqCst);
        assert!(reading.join().unwrap() > 0);
    });
    let stats = archive.finish().unwrap();
    assert_eq!((stats.written, stats.lost.total(), stats.merges_failed), (500, 0, 0), "{stats:?}");
    assert!(ids(archive.files()).into_iter().eq(1..=500));
    assert_eq!(names(&store).len() as u64, stats.files + stats.merged_into - stats.merged_files);
}

#[test]
fn rows_are_copied_as_they_are_and_sorted_as_before() {
    let store = Arc::new(InMemory::new());
    let place = in_store(Arc::clone(&store));
    let telemetry = manual(1);
    let mut settings = tidy(Merge::Nothing);
    let archive = Archive::start(&telemetry, place.clone(), &settings).unwrap();
    let request = shop(100);
    let parts = 6;
    for part in 0..parts {
        push(telemetry.traces(), request.spans.iter().skip(part).step_by(parts).cloned());
        push(telemetry.logs(), request.logs.iter().skip(part).step_by(parts).cloned());
        push(telemetry.metrics(), request.points.clone());
        assert!(archive.flush(LONG));
    }
    archive.finish().unwrap();
    let before = Files::new(place.clone(), &settings);
    let (spans, logs, points) = (
        before.spans(ALWAYS).unwrap(),
        before.logs(ALWAYS).unwrap(),
        before.points(ALWAYS).unwrap(),
    );
    let folders = folders(&store);
    assert!(folders > 2 && names(&store).len() > 3 * folders);

    settings = tidy(Merge::All);
    // Hours long ago: two files are enough.
    let archive = Archive::start(&manual(1), place.clone(), &settings).unwrap();
    wait_for(&archive, |_| names(&store).len() == folders);
    let stats = archive.finish().unwrap();
    assert_eq!(stats.merges_failed, 0, "{stats:?}");
    let after = Files::new(place, &settings);
    assert_eq!(whole(&after.spans(ALWAYS).unwrap().spans), whole(&spans.spans));
    assert_eq!(whole(&after.logs(ALWAYS).unwrap().logs), whole(&logs.logs));
    assert_eq!(whole(&after.points(ALWAYS).unwrap().points), whole(&points.points));
    let found = after.trace(request.spans[0].trace_id()).unwrap();
    assert!(found.report.complete && !found.spans.is_empty(), "bloom filters are there, too");
}

#[test]
fn what_a_crash_leaves_of_merged_files_counts_once_and_is_deleted_by_the_next() {
    let store = Arc::new(InMemory::new());
    let place = in_store(Arc::clone(&store));
    let telemetry = manual(1);
    let mut settings = tidy(Merge::Nothing);
    let archive = Archive::start(&telemetry, place.clone(), &settings).unwrap();
    write(&telemetry, &archive, 1, 5);
    archive.finish().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let paths: Vec<Path> = names(&store).into_iter().map(Path::from).collect();
    let copies: Vec<(Path, _)> = runtime.block_on(async {
        let mut copies = Vec::new();
        for path in paths {
            let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
            copies.push((path, bytes));
        }
        copies
    });
    assert_eq!(copies.len(), 5 + 1);
    settings.merge = Merge::All;
    let archive = Archive::start(&manual(1), place.clone(), &settings).unwrap();
    wait_for(&archive, |stats| stats.merged_files == 6);
    archive.finish().unwrap();
    assert_eq!(names(&store).len(), 1);
    // As if none had been deleted.
    runtime.block_on(async {
        for (path, bytes) in copies {
            store.put(&path, bytes.into()).await.unwrap();
        }
    });
    let files = Files::new(place.clone(), &settings);
    assert!(ids(&files).into_iter().eq(1..=50));
    assert_eq!(files.spans(ALWAYS).unwrap().report.files, 1);
    settings.merge = Merge::Nothing;
    let archive = Archive::start(&manual(1), place, &settings).unwrap();
    wait_for(&archive, |stats| stats.merged_files == 6);
    assert_eq!(names(&store).len(), 1);
    assert!(ids(&files).into_iter().eq(1..=50));
}

#[test]
fn files_of_others_are_merged_only_if_that_was_asked_for() {
    let store = Arc::new(InMemory::new());
    let place = in_store(Arc::clone(&store));
    for first in [1, 101] {
        let telemetry = manual(1);
        let archive = Archive::start(&telemetry, place.clone(), &tidy(Merge::Own)).unwrap();
        write(&telemetry, &archive, first, 1);
        archive.finish().unwrap();
    }
    let before = names(&store);
    assert_eq!(before.len(), 4, "two each: what was evicted, and what was held");
    // Has looked at all folders once it has merged its own.
    let telemetry = manual(1);
    let archive = Archive::start(&telemetry, place.clone(), &tidy(Merge::Own)).unwrap();
    write(&telemetry, &archive, 201, 4);
    wait_for(&archive, |stats| stats.merged_into > 0);
    archive.finish().unwrap();
    assert!(before.iter().all(|name| names(&store).contains(name)));
    let archive = Archive::start(&manual(1), place.clone(), &tidy(Merge::All)).unwrap();
    wait_for(&archive, |_| names(&store).len() == 1);
    archive.finish().unwrap();
    let expected = (1..=10).chain(101..=110).chain(201..=240);
    assert!(ids(&Files::new(place, &Settings::default())).into_iter().eq(expected));
}

#[test]
fn a_merge_that_fails_leaves_the_files_and_is_counted() {
    let store = Arc::new(Failing::default());
    let place = Place::of_store(Arc::<Failing>::clone(&store), "history");
    let telemetry = manual(1);
    let archive = Archive::start(&telemetry, place.clone(), &tidy(Merge::Nothing)).unwrap();
    write(&telemetry, &archive, 1, 5);
    archive.finish().unwrap();
    store.failures.store(u64::MAX, Ordering::SeqCst);
    let archive = Archive::start(&manual(1), place.clone(), &tidy(Merge::All)).unwrap();
    wait_for(&archive, |stats| stats.merges_failed > 0);
    assert!(ids(archive.files()).into_iter().eq(1..=50));
    assert_eq!(archive.stats().merged_files, 0);
    // It is tried again, and not only in an hour.
    store.failures.store(0, Ordering::SeqCst);
    wait_for(&archive, |stats| stats.merged_files == 6);
    archive.finish().unwrap();
    assert!(ids(&Files::new(place, &Settings::default())).into_iter().eq(1..=50));
}

#[test]
fn files_that_cannot_be_merged_keep_no_others_from_it() {
    let store = Arc::new(InMemory::new());
    let place = in_store(Arc::clone(&store));
    let telemetry = manual(1);
    let archive = Archive::start(&telemetry, place.clone(), &tidy(Merge::Nothing)).unwrap();
    write(&telemetry, &archive, 1, 3);
    push(telemetry.logs(), (1..=9).map(|n| LogRecord::builder().time_unix_nanos(n * HOUR).build()));
    assert!(archive.flush(LONG));
    push(telemetry.logs(), (1..=9).map(|n| LogRecord::builder().time_unix_nanos(n * HOUR).build()));
    archive.finish().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let damaged = names(&store).into_iter().find(|name| name.contains("traces")).unwrap();
    runtime.block_on(async {
        store.put(&Path::from(damaged.as_str()), b"PAR1 no PAR1".to_vec().into()).await.unwrap()
    });
    let archive = Archive::start(&manual(1), place, &tidy(Merge::All)).unwrap();
    wait_for(&archive, |stats| stats.merges_failed > 1 && stats.merged_into >= 8);
    let stats = archive.finish().unwrap();
    assert_eq!((stats.merged_files, stats.merged_into), (16, 8), "{stats:?}");
    assert!(names(&store).contains(&damaged));
}

#[test]
fn files_that_are_large_or_few_stay() {
    let store = Arc::new(InMemory::new());
    let place = in_store(Arc::clone(&store));
    let telemetry = manual(1);
    let mut settings = tidy(Merge::Own);
    settings.merge_below = 1;
    let archive = Archive::start(&telemetry, place.clone(), &settings).unwrap();
    write(&telemetry, &archive, 1, 6);
    push(telemetry.logs(), (0..10).map(|n| LogRecord::builder().time_unix_nanos(n).build()));
    archive.finish().unwrap();
    assert_eq!(names(&store).len(), 8);
    // Of the hour that never ends, four are needed.
    settings.merge_below = 1 << 20;
    let telemetry = manual(1);
    let archive = Archive::start(&telemetry, place, &settings).unwrap();
    for _ in 0..3 {
        push(telemetry.logs(), (0..10).map(|n| LogRecord::builder().time_unix_nanos(n).build()));
        assert!(archive.flush(LONG));
    }
    write(&telemetry, &archive, 101, 2);
    // Their hour is long over.
    wait_for(&archive, |stats| stats.merged_into == 1);
    let stats = archive.finish_evicted();
    assert_eq!(stats.merged_files, 2, "{stats:?}");
}
