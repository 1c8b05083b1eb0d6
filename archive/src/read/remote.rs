//! A file in an object store, read range by range.

use super::search::Cut;
use bytes::{Buf, Bytes};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// What is read at a time where it is not known how much is needed.
const AHEAD: u64 = 64 << 10;

/// How much one answer may read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: u64,
    pub(crate) until: Instant,
}

/// What was read of all files, and whether that is all that may be.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: Limits,
    bytes: AtomicU64,
    requests: AtomicU64,
    /// What was met first. Those who pass errors on do not keep what these are.
    cut: OnceLock<Cut>,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, bytes: AtomicU64::new(0), requests: AtomicU64::new(0), cut: OnceLock::new() }
    }

    /// Returns the bytes that were read, and the requests for them.
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.requests.load(Ordering::Relaxed))
    }

    /// Returns which limit was met.
    pub(crate) fn cut(&self) -> Option<Cut> {
        self.cut.get().copied()
    }

    /// Returns the time that is left.
    pub(crate) fn left(&self) -> Duration {
        self.limits.until.saturating_duration_since(Instant::now())
    }

    /// Notes and returns whether no time is left.
    pub(crate) fn is_late(&self) -> bool {
        let is_late = self.left().is_zero();
        if is_late {
            self.cut.get_or_init(|| Cut::Time);
        }
        is_late
    }

    /// Counts bytes that are about to be read, unless they are too many or too late.
    fn admit(&self, bytes: u64) -> Result<()> {
        let read = self.bytes.load(Ordering::Relaxed).saturating_add(bytes);
        if read > self.limits.bytes {
            self.cut.get_or_init(|| Cut::BytesRead);
        }
        if self.is_late() || read > self.limits.bytes {
            return Err(ParquetError::General("a limit of the answer was met".to_owned()));
        }
        self.bytes.store(read, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
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
        self.meter.admit(length as u64)?;
        let patience = self.timeout.min(self.meter.left());
        let read = async { timeout(patience, self.store.get_range(&self.path, start..end)).await };
        let read = self.runtime.block_on(read);
        let late = |_| {
            self.meter.is_late();
            ParquetError::General(format!("{} was not read in time", self.path))
        };
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
