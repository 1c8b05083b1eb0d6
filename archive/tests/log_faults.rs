//! Disks, stores and folders that do what they should not: no record of the log is lost and counted
//! nowhere, and nothing of others is touched.

mod support;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use slipring::{Span, Telemetry};
use slipring_archive::object_store::memory::InMemory;
use slipring_archive::object_store::path::Path as Location;
use slipring_archive::object_store::throttle::{ThrottleConfig, ThrottledStore};
use slipring_archive::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use slipring_archive::{Archive, LogSync, Merge, Place, Stats};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{ids_at as ids, in_memory, logging, manual, patient, push, segments, wait_for};

const SECOND: u64 = 1_000_000_000;
const LONG: Duration = Duration::from_secs(60);

/// A store in memory whose puts can wait, and whose lists can fail for the thread that writes files.
#[derive(Debug, Default)]
struct Odd {
    inner: InMemory,
    /// Where puts that were done went.
    puts: Mutex<Vec<String>>,
    puts_wait: AtomicBool,
    /// Lists fail while there are so many puts.
    lists_fail_at: Mutex<Vec<usize>>,
    lists_fail: AtomicBool,
    failed: AtomicBool,
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("odd")
    }
}

impl Odd {
    fn list_fails(&self) -> bool {
        if std::thread::current().name() != Some("slipring-files") {
            return false;
        }
        let fails = self.lists_fail.load(SeqCst)
            || self.lists_fail_at.lock().unwrap().contains(&self.puts.lock().unwrap().len());
        if fails {
            // Once only, unless it has to fail again.
            self.lists_fail_at.lock().unwrap().retain(|at| *at > 1);
            self.failed.store(true, SeqCst);
        }
        fails
    }
}

#[async_trait]
impl ObjectStore for Odd {
    async fn put_opts(
        &self,
        path: &Location,
        file: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        while self.puts_wait.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let put = self.inner.put_opts(path, file, opts).await;
        if std::thread::current().name() == Some("slipring-files") {
            self.puts.lock().unwrap().push(path.to_string());
        }
        put
    }

    async fn put_multipart_opts(
        &self,
        path: &Location,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, opts).await
    }

    async fn get_opts(&self, path: &Location, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Location>>,
    ) -> BoxStream<'static, Result<Location>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.list_fails() {
            let error = Error::Generic { store: "odd", source: "it cannot be listed".into() };
            return futures_util::stream::once(async { Err(error) }).boxed();
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Location>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn spans(ids: std::ops::RangeInclusive<u64>, apart: u64) -> impl Iterator<Item = Span> {
    ids.map(move |id| {
        let span = Span::builder().trace_id(u128::from(id)).span_id(id);
        span.start_unix_nanos(400_000 * SECOND + id * apart * SECOND).name("GET /").build()
    })
}

/// An archive that writes no file. What it has logged stays in the log, as after a crash.
fn cut_off(folder: &Path, telemetry: &Telemetry, segment_bytes: u64, parts: u64) -> Stats {
    // Each write to the log is a batch of its own, and each part one or more.
    cut_off_by(folder, telemetry, segment_bytes, 1, parts)
}

fn cut_off_by(
    folder: &Path,
    telemetry: &Telemetry,
    segment_bytes: u64,
    file_bytes: usize,
    parts: u64,
) -> Stats {
    let never = ThrottleConfig { wait_put_per_call: LONG * 1_000, ..Default::default() };
    let place = Place::of_store(Arc::new(ThrottledStore::new(InMemory::new(), never)), "history");
    let mut settings = logging(folder);
    let log = settings.log.as_mut().unwrap();
    (log.segment_bytes, log.sync) = (segment_bytes, LogSync::Every(LONG * 1_000));
    settings.finish_timeout = Duration::ZERO;
    settings.file_bytes = file_bytes;
    let archive = Archive::start(telemetry, place, &settings).unwrap();
    for part in 0..parts {
        push(telemetry.traces(), spans(part * 20 + 1..=part * 20 + 20, 1));
        let evicted = archive.stats().evicted;
        wait_for(&archive, |stats| stats.log.logged == evicted);
    }
    archive.finish_evicted()
}

fn in_odd(store: &Arc<Odd>) -> Place {
    Place::of_store(Arc::<Odd>::clone(store), "history")
}

#[test]
fn a_batch_whose_replay_fails_for_a_while_is_not_hidden_by_a_merge() {
    let folder = tempfile::tempdir().unwrap();
    // The bytes of a part.
    let telemetry = manual(1);
    let archive = Archive::start(&telemetry, in_memory(), &patient()).unwrap();
    push(telemetry.traces(), spans(1..=21, 1));
    wait_for(&archive, |stats| stats.held == 20);
    let part = archive.stats().held_bytes;
    // Each part evicts twenty, which are a batch.
    let telemetry = manual(1);
    push(telemetry.traces(), spans(1_001..=1_001, 1));
    let stats = cut_off_by(folder.path(), &telemetry, 16 << 20, part, 3);
    assert_eq!((stats.log.logged, stats.left), (60, 60), "{stats:?}");
    let store = Arc::new(Odd::default());
    // The second batch fails, then the third is written, and then the second fails for long.
    *store.lists_fail_at.lock().unwrap() = vec![1, 2];
    let mut settings = logging(folder.path());
    (settings.merge, settings.merge_files) = (Merge::All, 2);
    settings.tidy_every = Duration::from_millis(5);
    let archive = Archive::start(&manual(1), in_odd(&store), &settings).unwrap();
    wait_for(&archive, |stats| stats.merged_into > 0);
    store.lists_fail_at.lock().unwrap().clear();
    let stats = archive.finish().unwrap();
    assert!(store.failed.load(SeqCst));
    assert!(ids(&in_odd(&store)).into_iter().eq((1..=59).chain([1_001])), "{stats:?}");
    assert_eq!((stats.recovered, stats.lost.total(), stats.files), (60, 0, 3), "{stats:?}");
}

#[test]
fn marks_that_cannot_be_written_are_written_later_and_taken_names_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    cut_off(folder.path(), &manual(1), 1, 5);
    let last = segments(folder.path()).pop().unwrap();
    let last: u64 = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let store = Arc::new(Odd::default());
    store.puts_wait.store(true, SeqCst);
    let archive = Archive::start(&manual(1), in_odd(&store), &logging(folder.path())).unwrap();
    // More than are passed over at a time.
    for number in last + 1..last + 1_500 {
        std::fs::write(folder.path().join(format!("{number:016}.log")), "").unwrap();
    }
    store.puts_wait.store(false, SeqCst);
    wait_for(&archive, |stats| stats.log.waiting == 0 && stats.errors > 0);
    wait_for(&archive, |stats| stats.log.segments <= 1);
    let stats = archive.finish().unwrap();
    assert_eq!((stats.recovered, stats.log.bytes), (99, 0), "{stats:?}");
}

#[test]
fn files_of_others_in_the_logs_folder_stay() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| std::fs::write(folder.path().join(name), "127.0.0.1 GET /\n").unwrap();
    (1..=30).for_each(|day| write(&format!("202501{day:02}.log")));
    (1..=30).for_each(|number| write(&format!("{number:016}.damaged")));
    write("2025010112000000.log");
    write("photo.damaged");
    let archive = Archive::start(&manual(1), in_memory(), &logging(folder.path())).unwrap();
    let stats = archive.finish().unwrap();
    assert_eq!((stats.log.damaged_bytes, stats.log.set_aside), (16, 0), "it may be of the log");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 62 + 1, "and the lock");
}

#[test]
fn a_log_of_another_version_is_left_alone_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0000000000000001.log");
    std::fs::write(&path, b"slrlog\0\x02 and more that only that version knows").unwrap();
    let error = Archive::start(&manual(1), in_memory(), &logging(folder.path())).unwrap_err();
    assert!(error.to_string().contains("is of version 2 of the log"), "{error}");
    assert!(path.exists());
}

#[test]
fn damage_costs_the_frames_that_it_is_in() {
    for (at, width) in [(18, 1), (60, 2_048)] {
        let folder = tempfile::tempdir().unwrap();
        cut_off(folder.path(), &manual(1), 16 << 20, 20);
        let all = segments(folder.path());
        assert_eq!(all.len(), 1);
        let mut bytes = std::fs::read(&all[0]).unwrap();
        bytes[at..at + width].iter_mut().for_each(|byte| *byte ^= 1);
        std::fs::write(&all[0], &bytes).unwrap();
        let archive = Archive::start(&manual(1), in_memory(), &logging(folder.path())).unwrap();
        let stats = archive.finish().unwrap();
        assert!(stats.recovered > 300, "{width} bytes damaged: {stats:?}");
        assert!(stats.log.damaged_bytes >= width as u64 && stats.log.torn_bytes == 0, "{stats:?}");
        assert_eq!(stats.log.set_aside, 1);
    }
}

#[test]
fn a_segment_that_cannot_be_read_does_not_keep_the_program_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("0000000000000001.log")).unwrap();
    let archive = Archive::start(&manual(1), in_memory(), &logging(folder.path())).unwrap();
    archive.finish().unwrap();
    assert!(folder.path().join("0000000000000001.log").exists(), "it may be of others");
}

#[test]
fn a_batch_that_can_never_be_read_is_counted_and_keeps_no_room() {
    for is_there in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        cut_off(folder.path(), &manual(1), 1, 3);
        let store = Arc::new(Odd::default());
        store.lists_fail.store(true, SeqCst);
        let archive = Archive::start(&manual(1), in_odd(&store), &logging(folder.path())).unwrap();
        // After it was found at the start.
        let one = segments(folder.path()).remove(1);
        std::fs::remove_file(&one).unwrap();
        if is_there {
            std::fs::create_dir(&one).unwrap();
        }
        store.lists_fail.store(false, SeqCst);
        wait_for(&archive, |stats| stats.recovered == 59 && stats.log.segments <= 1);
        let stats = archive.finish().unwrap();
        assert!(stats.lost.unreadable > 0, "{stats:?}");
        assert_eq!(stats.written + stats.lost.unreadable, 59, "{stats:?}");
        assert_eq!(one.with_extension("damaged").exists(), is_there);
    }
}

#[test]
fn at_the_end_records_that_no_log_has_go_first() {
    let folder = tempfile::tempdir().unwrap();
    cut_off(folder.path(), &manual(1), 16 << 20, 4);
    let store = Arc::new(Odd::default());
    store.puts_wait.store(true, SeqCst);
    let telemetry = manual(1);
    let mut settings = logging(folder.path());
    settings.log.as_mut().unwrap().bytes = 1;
    settings.file_bytes = 1;
    let archive = Archive::start(&telemetry, in_odd(&store), &settings).unwrap();
    for id in 1_001..=1_004 {
        push(telemetry.traces(), spans(id..=id, 1));
        wait_for(&archive, |stats| stats.log.full == id - 1_001);
    }
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| archive.finish_evicted());
        // Once the archive ends, what is evicted does not count.
        let (mut id, mut evicted) = (2_000, u64::MAX);
        while archive.stats().evicted != evicted {
            evicted = archive.stats().evicted;
            id += 1;
            push(telemetry.traces(), spans(id..=id, 1));
        }
        std::thread::sleep(Duration::from_millis(50));
        store.puts_wait.store(false, SeqCst);
        assert_eq!(ending.join().unwrap().lost.unfinished, 0);
    });
    let puts = store.puts.lock().unwrap().clone();
    let run = |put: &String| put.rsplit('/').next().unwrap().split('-').nth(1).unwrap().to_owned();
    let runs: Vec<String> = puts.iter().map(run).collect();
    // One of the log was on its way. Then come those that no log has.
    let others = runs.iter().skip(1).take_while(|run| **run != runs[0]).count();
    let of_log = runs.iter().filter(|run| **run == runs[0]).count();
    assert!(others >= 3 && of_log > 1 && others + of_log == runs.len(), "{runs:?}");
}

#[test]
fn a_file_that_comes_to_its_place_after_its_part_in_the_log_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(10);
    let store = Arc::new(Odd::default());
    // A part of the batch is in the log, and its file is on its way.
    let mut settings = logging(folder.path());
    settings.log.as_mut().unwrap().bytes = 3_000;
    let archive = Archive::start(&telemetry, in_odd(&store), &settings).unwrap();
    for part in 0..10 {
        push(telemetry.traces(), spans(part * 20 + 1..=part * 20 + 20, 1));
        let evicted = archive.stats().evicted;
        wait_for(&archive, |stats| stats.log.logged + stats.log.full == evicted);
    }
    let stats = archive.finish_evicted();
    assert!(stats.log.full > 0 && stats.log.logged > 0, "{stats:?}");
    assert_eq!(stats.written, 190, "{stats:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let both = Arc::new(InMemory::new());
    runtime.block_on(async {
        use slipring_archive::object_store::ObjectStoreExt;
        let path = store.puts.lock().unwrap()[0].clone();
        let whole = store.inner.get(&path.as_str().into()).await.unwrap().bytes().await.unwrap();
        both.put(&path.as_str().into(), whole.into()).await.unwrap();
        // The same batch, as a start has written it that did not see the whole.
        let (name, _) = path.rsplit_once('-').unwrap();
        let part = format!("{name}-{}.parquet", stats.log.logged);
        both.put(&part.as_str().into(), vec![0; 9].into()).await.unwrap();
    });
    let place = Place::of_store(Arc::<InMemory>::clone(&both), "history");
    assert!(ids(&place).into_iter().eq(1..=190), "the part is passed over");
    let mut settings = patient();
    settings.tidy_every = Duration::from_millis(5);
    let archive = Archive::start(&manual(1), place, &settings).unwrap();
    wait_for(&archive, |stats| stats.merged_files == 1);
}

/// A folder in the place of a file of the log, which cannot be deleted as one.
#[test]
fn a_segment_that_cannot_be_deleted_counts_and_keeps_those_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = manual(1);
    let mut settings = logging(folder.path());
    // Each write to the log begins a segment.
    settings.log.as_mut().unwrap().segment_bytes = 1;
    let archive = Archive::start(&telemetry, in_memory(), &settings).unwrap();
    for part in 0..4 {
        push(telemetry.traces(), spans(part * 20 + 1..=part * 20 + 20, 1));
        let evicted = archive.stats().evicted;
        wait_for(&archive, |stats| stats.log.logged == evicted);
    }
    let before = segments(folder.path());
    assert!(before.len() > 3, "{before:?}");
    std::fs::remove_file(&before[0]).unwrap();
    std::fs::create_dir(&before[0]).unwrap();
    assert!(archive.flush(LONG));
    wait_for(&archive, |stats| stats.errors > 0);
    let stats = archive.stats();
    assert!(stats.log.segments as usize >= before.len(), "{stats:?}");
    assert!(before[1..].iter().all(|path| path.exists()), "they may have its marks");
    std::fs::remove_dir(&before[0]).unwrap();
    push(telemetry.traces(), spans(100..=120, 1));
    assert!(archive.flush(LONG));
    wait_for(&archive, |stats| stats.log.segments <= 1);
    assert!(before.iter().all(|path| !path.exists()));
}
