//! Questions to an archive's files, and their answers.

use super::file::{Opened, Wanted, open};
use super::records::records;
use super::remote::{Meter, Remote};
use crate::archive::runtime;
use crate::columns::{LAST, time};
use crate::place::{File, Place};
use crate::settings::Settings;
use crate::table::Table;
use parquet::errors::ParquetError;
use slipring::otlp::{Reader, Request};
use slipring::{LogRecord, MetricPoint, Signal, Span, TraceId};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::timeout;

const NANOS_AN_HOUR: i64 = 3_600_000_000_000;

/// The files of an archive, to be asked. Other processes may write them meanwhile, or delete them.
///
/// A question blocks its thread. It must not be asked on a thread that runs asynchronous tasks, where
/// it panics: use a thread for blocking calls.
#[derive(Clone, Debug)]
pub struct Files {
    place: Place,
    most_records: usize,
    most_bytes: usize,
    most_files: usize,
    timeout: Duration,
}

/// Records from files, the oldest first.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Recalled {
    /// The spans.
    pub spans: Vec<Span>,
    /// The log records.
    pub logs: Vec<LogRecord>,
    /// The metric points.
    pub points: Vec<MetricPoint>,
    /// What was read.
    pub report: ReadReport,
}

/// What was read for an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadReport {
    /// Files that may have had records of the answer, by their folders.
    pub files: u64,
    /// Files of these that were opened.
    pub files_opened: u64,
    /// Row groups in these.
    pub row_groups: u64,
    /// Row groups that were read: neither statistics nor bloom filters ruled them out.
    pub row_groups_read: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Requests to the object store.
    pub requests: u64,
    /// Rows that match and are no records: spans made by hand may lack ids.
    pub unreadable: u64,
    /// Files that were deleted meanwhile.
    pub gone: u64,
    /// Files that could not be read.
    pub failed: u64,
    /// Why the last of these could not be read.
    pub last_error: Option<String>,
    /// Whether all files were read that may have records of the answer. If not, files could not be
    /// read, or the answer would be too large: ask for less time.
    pub complete: bool,
}

/// Why files could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecallError {
    /// The files could not be listed.
    #[error("the files cannot be listed: {0}")]
    List(String),
    /// The system has no room for what reading needs.
    #[error("files cannot be read: {0}; free some memory or open files")]
    System(String),
}

/// The state of one answer.
struct Answer<'a> {
    files: &'a Files,
    runtime: Arc<Runtime>,
    meter: Arc<Meter>,
    reader: Reader,
    found: Request,
    bytes: usize,
    report: ReadReport,
}

impl Files {
    /// Makes files of a place known. The settings say how large answers may be.
    pub fn new(place: Place, settings: &Settings) -> Self {
        Self {
            place,
            most_records: settings.answer_records,
            most_bytes: settings.answer_bytes,
            most_files: settings.answer_files,
            timeout: settings.attempt_timeout,
        }
    }

    /// Returns where the files are.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Finds the spans and log records of a trace. Of each row group, the bloom filter is looked at,
    /// and no more if that rules the trace out. O(files).
    ///
    /// # Errors
    /// [`RecallError`] if the files cannot be listed.
    pub fn trace(&self, id: TraceId) -> Result<Recalled, RecallError> {
        self.recall(&[Table::Traces, Table::Logs], &Wanted::Trace(id.to_string()))
    }

    /// Finds the spans that began in a range of time, in nanoseconds since the Unix epoch. Files
    /// are ruled out by their hour, and row groups by their statistics.
    ///
    /// # Errors
    /// [`RecallError`] if the files cannot be listed.
    pub fn spans(&self, times: Range<u64>) -> Result<Recalled, RecallError> {
        self.between(&[Table::Traces], times)
    }

    /// Finds the log records of a range of time, as [`spans`](Self::spans) does.
    ///
    /// # Errors
    /// [`RecallError`] if the files cannot be listed.
    pub fn logs(&self, times: Range<u64>) -> Result<Recalled, RecallError> {
        self.between(&[Table::Logs], times)
    }

    /// Finds the metric points of a range of time, as [`spans`](Self::spans) does.
    ///
    /// # Errors
    /// [`RecallError`] if the files cannot be listed.
    pub fn points(&self, times: Range<u64>) -> Result<Recalled, RecallError> {
        self.between(&Table::METRICS, times)
    }

    fn between(&self, tables: &[Table], times: Range<u64>) -> Result<Recalled, RecallError> {
        if times.is_empty() {
            let report = ReadReport { complete: true, ..ReadReport::default() };
            return Ok(Recalled { report, ..Recalled::default() });
        }
        self.recall(tables, &Wanted::Times(time(times.start)..=time(times.end - 1)))
    }

    fn recall(&self, tables: &[Table], wanted: &Wanted) -> Result<Recalled, RecallError> {
        let runtime = runtime().map_err(|error| RecallError::System(error.to_string()))?;
        let mut answer = Answer {
            files: self,
            runtime: Arc::new(runtime),
            meter: Arc::default(),
            reader: Reader::default().in_place(),
            found: Request::default(),
            bytes: 0,
            report: ReadReport { complete: true, ..ReadReport::default() },
        };
        for table in tables {
            answer.ask(*table, wanted)?;
        }
        let Answer { found, mut report, meter, .. } = answer;
        report.bytes_read = meter.bytes.load(Ordering::Relaxed);
        report.requests = meter.requests.load(Ordering::Relaxed);
        let Request { mut spans, mut logs, mut points, .. } = found;
        spans.sort_by_key(Signal::timestamp);
        logs.sort_by_key(Signal::timestamp);
        points.sort_by_key(Signal::timestamp);
        Ok(Recalled { spans, logs, points, report })
    }
}

/// Returns whether a file's folder may have such records.
fn may_have(file: &File, wanted: &Wanted) -> bool {
    let hour = |times: &RangeInclusive<i64>, hour: u64| {
        let begin = i64::try_from(hour).unwrap_or(i64::MAX).saturating_mul(NANOS_AN_HOUR);
        begin <= *times.end() && begin.saturating_add(NANOS_AN_HOUR) > *times.start()
    };
    match (wanted, file.hour) {
        // Times are cut off in the year 2262, hours are not.
        (Wanted::Times(times), number) if number > 0 && *times.end() < LAST => hour(times, number),
        _ => true,
    }
}

impl Answer<'_> {
    fn ask(&mut self, table: Table, wanted: &Wanted) -> Result<(), RecallError> {
        let tables = [table];
        let listing = async { timeout(self.files.timeout, self.files.place.list(&tables)).await };
        let listed = self.runtime.block_on(listing);
        let late = |_| RecallError::List("it took too long".to_owned());
        let files = listed.map_err(late)?.map_err(|error| RecallError::List(error.to_string()))?;
        for file in files.iter().filter(|file| may_have(file, wanted)) {
            self.report.files += 1;
            if self.report.files_opened >= self.files.most_files as u64 || self.is_full() {
                self.report.complete = false;
                continue;
            }
            if let Err(error) = self.read(table, file, wanted) {
                self.report.complete = false;
                if is_gone(&error) {
                    self.report.gone += 1;
                } else {
                    self.report.failed += 1;
                    self.report.last_error = Some(format!("{}: {error}", file.meta.location));
                }
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.found.len() >= self.files.most_records || self.bytes >= self.files.most_bytes
    }

    fn read(&mut self, table: Table, file: &File, wanted: &Wanted) -> Result<(), ParquetError> {
        let remote = Remote {
            store: Arc::clone(&self.files.place.store),
            path: file.meta.location.clone(),
            size: file.meta.size,
            runtime: Arc::clone(&self.runtime),
            timeout: self.files.timeout,
            meter: Arc::clone(&self.meter),
        };
        self.report.files_opened += 1;
        let Opened { row_groups, row_groups_read, rows } = open(remote, table, wanted)?;
        self.report.row_groups += row_groups;
        self.report.row_groups_read += row_groups_read;
        for batch in rows.into_iter().flatten() {
            if self.is_full() {
                self.report.complete = false;
                break;
            }
            let (read, unreadable) = records(table, &batch?, &self.reader)?;
            self.report.unreadable += unreadable;
            self.take(read);
        }
        Ok(())
    }

    /// Takes records, as many as the answer may have.
    fn take(&mut self, read: Request) {
        let mut left = self.files.most_records - self.found.len();
        let most_bytes = self.files.most_bytes;
        let mut cut = false;
        let mut fits = |bytes: usize| {
            cut |= left == 0 || self.bytes + bytes > most_bytes;
            if !cut {
                left -= 1;
                self.bytes += bytes;
            }
            !cut
        };
        let spans =
            read.spans.into_iter().take_while(|span| fits(size_of::<Span>() + span.bytes().len()));
        self.found.spans.extend(spans);
        let logs = read
            .logs
            .into_iter()
            .take_while(|log| fits(size_of::<LogRecord>() + log.bytes().len()));
        self.found.logs.extend(logs);
        let points = read
            .points
            .into_iter()
            .take_while(|point| fits(size_of::<MetricPoint>() + point.bytes().len()));
        self.found.points.extend(points);
        self.report.complete &= !cut;
    }
}

fn is_gone(error: &ParquetError) -> bool {
    match error {
        ParquetError::External(error) => {
            matches!(error.downcast_ref(), Some(object_store::Error::NotFound { .. }))
        }
        _ => false,
    }
}
