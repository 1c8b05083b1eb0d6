//! Stores, settings and object stores for the tests.

#![allow(dead_code)]

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use slipring::otlp::{Encoding, Exported, Request, encode};
use slipring::{Signal, Span, Store, Telemetry};
use slipring_archive::object_store::memory::InMemory;
use slipring_archive::object_store::path::Path;
use slipring_archive::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use slipring_archive::{Archive, Files, LogSettings, LogSync, Merge, Place, Settings, Stats};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Stores of so many records each, without threads: who pushes evicts.
pub fn manual(records: usize) -> Telemetry {
    let builder = Telemetry::builder().traces(records).logs(records).metrics(records);
    builder.shards(1).manual().build().unwrap()
}

/// Settings with which nothing is written unless a test says so, and nothing is lost on a slow
/// machine.
pub fn patient() -> Settings {
    let mut settings = Settings::default();
    settings.queue_records = 1 << 19;
    settings.queue_bytes = 1 << 30;
    settings.batch_bytes = 1 << 30;
    settings.file_bytes = 1 << 30;
    settings.file_age = Duration::from_secs(3_600);
    settings.attempt_timeout = Duration::from_secs(60);
    settings.finish_timeout = Duration::from_secs(600);
    settings.backoff = Duration::from_millis(1);
    settings.zstd_level = 1;
    settings
}

/// Settings with a log in this folder, which is synced at each write.
pub fn logging(folder: &std::path::Path) -> Settings {
    let mut settings = patient();
    let mut log = LogSettings::new(folder);
    log.sync = LogSync::EachWrite;
    settings.log = Some(log);
    settings
}

/// Settings with which files are looked at each 5 ms, and four small ones of a folder are merged.
pub fn tidy(merge: Merge) -> Settings {
    let mut settings = patient();
    settings.tidy_every = Duration::from_millis(5);
    (settings.merge, settings.merge_files) = (merge, 4);
    settings
}

/// Waits until the figures are so. Ten minutes mean that they never will be.
#[track_caller]
pub fn wait_for(archive: &Archive, is_so: impl Fn(&Stats) -> bool) {
    let began = Instant::now();
    while !is_so(&archive.stats()) {
        assert!(began.elapsed() < Duration::from_secs(600), "{:?}", archive.stats());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns the ids of spans, sorted, each as often as it is there.
pub fn ids_of(spans: &[Span]) -> Vec<u64> {
    let mut ids: Vec<u64> = spans.iter().map(|span| span.span_id().into()).collect();
    ids.sort_unstable();
    ids
}

/// Returns the ids of the spans in all files of a place that can be read.
pub fn ids_at(place: &Place) -> Vec<u64> {
    ids_of(&Files::new(place.clone(), &Settings::default()).spans(0..u64::MAX).unwrap().spans)
}

/// Returns the files of a log, the oldest first.
pub fn segments(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    paths.sort_unstable();
    paths
}

/// Pushes records, and lets the store work until all is done.
pub fn push<T: Signal>(store: &Store<T>, records: impl IntoIterator<Item = T>) {
    let records: Vec<T> = records.into_iter().collect();
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        let some: Vec<T> = records.by_ref().take(500).collect();
        assert!(store.push_batch(some).is_ok());
        while store.step() {}
    }
}

/// What the shop sends for so many requests, and its metrics.
pub fn shop(requests: usize) -> Request {
    let mut shop = shop::Shop::new(7);
    let mut all = Request::default();
    for _ in 0..requests {
        let shop::Request { spans, logs } = shop.request();
        all.spans.extend(spans);
        all.logs.extend(logs);
    }
    all.points = shop.metrics();
    all
}

/// A place in memory.
pub fn in_memory() -> Place {
    Place::of_store(Arc::new(InMemory::new()), "history")
}

/// Each record alone in a request, with all that is around it, in any order: equal if the records
/// are, byte for byte.
pub fn whole<T: Exported>(records: &[T]) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = records.iter().map(|one| encode([one], Encoding::Protobuf)).collect();
    all.sort();
    all
}

/// An object store in memory that fails to put as often as it is told to.
#[derive(Debug, Default)]
pub struct Failing {
    pub inner: InMemory,
    pub failures: AtomicU64,
    pub puts: AtomicU64,
    pub before_list: BeforeList,
}

type Act = Box<dyn FnMut(&str) + Send>;

/// What a test does before files are listed.
#[derive(Default)]
pub struct BeforeList(Mutex<Option<Act>>);

impl BeforeList {
    /// Calls this with the folder before each list, until it is [forgotten](Self::forget).
    pub fn call(&self, act: impl FnMut(&str) + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(act));
    }

    pub fn forget(&self) {
        *self.0.lock().unwrap() = None;
    }
}

impl fmt::Debug for BeforeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BeforeList")
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, path: &Path, file: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        let left = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(Error::Generic { store: "failing", source: full.into() });
        }
        self.inner.put_opts(path, file, opts).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, opts).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if let Some(act) = self.before_list.0.lock().unwrap().as_mut() {
            act(prefix.map_or("", |prefix| prefix.as_ref()));
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
