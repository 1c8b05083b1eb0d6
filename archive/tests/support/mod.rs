//! Stores, settings and object stores for the tests.

#![allow(dead_code)]

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use slipring::otlp::{Encoding, Exported, Request, encode};
use slipring::{Signal, Store, Telemetry};
use slipring_archive::object_store::memory::InMemory;
use slipring_archive::object_store::path::Path;
use slipring_archive::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use slipring_archive::{Place, Settings};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
