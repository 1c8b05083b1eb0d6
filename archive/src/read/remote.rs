//! A file in an object store, read range by range.

use bytes::{Buf, Bytes};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// What is read at a time where it is not known how much is needed.
const AHEAD: u64 = 64 << 10;

/// What was read of all files.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) bytes: AtomicU64,
    pub(crate) requests: AtomicU64,
}

/// One file.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    pub(crate) size: u64,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) timeout: Duration,
    pub(crate) meter: Arc<Meter>,
}

impl Length for Remote {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Remote {
    type T = Ahead;

    fn get_read(&self, start: u64) -> Result<Ahead> {
        Ok(Ahead { file: self.clone(), at: start, read: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.saturating_add(length as u64);
        if end > self.size {
            return Err(ParquetError::EOF(format!("{} ends before byte {end}", self.path)));
        }
        let read =
            async { timeout(self.timeout, self.store.get_range(&self.path, start..end)).await };
        let read = self.runtime.block_on(read);
        self.meter.requests.fetch_add(1, Ordering::Relaxed);
        self.meter.bytes.fetch_add(length as u64, Ordering::Relaxed);
        let late = |_| ParquetError::General(format!("{} was not read in time", self.path));
        read.map_err(late)?.map_err(|error| ParquetError::External(Box::new(error)))
    }
}

/// Reads on from a place.
pub(crate) struct Ahead {
    file: Remote,
    at: u64,
    read: Bytes,
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.read.is_empty() {
            let length = AHEAD.min(self.file.size.saturating_sub(self.at));
            if length == 0 {
                return Ok(0);
            }
            let bytes = self.file.get_bytes(self.at, length as usize);
            self.read = bytes.map_err(std::io::Error::other)?;
            self.at += length;
        }
        let length = into.len().min(self.read.len());
        self.read.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}
