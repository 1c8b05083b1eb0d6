//! A snapshot as an object store of the version that DataFusion reads from: the files of the history,
//! and what is in memory under names of its own.

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use futures_util::stream::{BoxStream, StreamExt};
use slipring_archive::{Snapshot, Table, object_store as newer};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Returns the path of what a snapshot has of a table in memory. The history has no such folder.
pub(crate) fn in_memory(table: Table) -> String {
    format!("slipring-memory/{}.parquet", table.name())
}

/// The files of a snapshot, to be read.
#[derive(Debug)]
pub(crate) struct OfSnapshot {
    files: Arc<dyn newer::ObjectStore>,
    memory: HashMap<Path, Bytes>,
}

impl OfSnapshot {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let parts = snapshot.parts().iter();
        let memory = parts.map(|part| (Path::from(in_memory(part.table)), part.memory.clone()));
        Self { files: Arc::clone(snapshot.store()), memory: memory.collect() }
    }
}

impl fmt::Display for OfSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a snapshot of slipring's stores and {}", self.files)
    }
}

fn meta(location: Path, size: u64) -> ObjectMeta {
    ObjectMeta { location, last_modified: Default::default(), size, e_tag: None, version: None }
}

fn range(range: &GetRange) -> newer::GetRange {
    match range {
        GetRange::Bounded(range) => newer::GetRange::Bounded(range.clone()),
        GetRange::Offset(first) => newer::GetRange::Offset(*first),
        GetRange::Suffix(count) => newer::GetRange::Suffix(*count),
    }
}

fn error(path: &Path, error: newer::Error) -> Error {
    match error {
        newer::Error::NotFound { .. } => {
            Error::NotFound { path: path.to_string(), source: Box::new(error) }
        }
        other => Error::Generic { store: "slipring", source: Box::new(other) },
    }
}

/// Refuses what is no reading.
fn refused<T>() -> Result<T> {
    Err(Error::NotImplemented { operation: "writing".into(), implementer: "a snapshot".into() })
}

#[async_trait]
impl ObjectStore for OfSnapshot {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let attributes = Default::default();
        if let Some(bytes) = self.memory.get(location) {
            let all = 0..bytes.len() as u64;
            let range = match &options.range {
                None => all,
                Some(asked) => asked.as_range(all.end).map_err(|error| Error::Generic {
                    store: "slipring",
                    source: Box::new(error),
                })?,
            };
            let part = bytes.slice(range.start as usize..range.end as usize);
            let part = futures_util::stream::once(async move { Ok(part) }).boxed();
            let payload = GetResultPayload::Stream(part);
            return Ok(GetResult {
                payload,
                meta: meta(location.clone(), bytes.len() as u64),
                range,
                attributes,
            });
        }
        let options = newer::GetOptions {
            range: options.range.as_ref().map(range),
            head: options.head,
            ..newer::GetOptions::default()
        };
        let path = newer::path::Path::from(location.as_ref());
        let found = self.files.get_opts(&path, options).await;
        let found = found.map_err(|one| error(location, one))?;
        let (size, range, path) = (found.meta.size, found.range.clone(), location.clone());
        let stream = found.into_stream().map(move |part| part.map_err(|one| error(&path, one)));
        let payload = GetResultPayload::Stream(stream.boxed());
        Ok(GetResult { payload, meta: meta(location.clone(), size), range, attributes })
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        // Tables know their files.
        futures_util::stream::empty().boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Ok(ListResult { common_prefixes: Vec::new(), objects: Vec::new() })
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        refused()
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        refused()
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        paths.map(|_| refused()).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        refused()
    }
}
