//! Questions to an archive's files, and their answers.

use super::file::{Opened, Wanted, open};
use super::records::records;
use super::remote::{Limits, Meter, Remote};
use super::report::{ReadReport, RecallError, Recalled};
use super::search::{Cut, Filed, Search, Visitor};
use crate::archive::runtime;
use crate::columns::LAST;
use crate::place::{CHANGES, File, Listed, Place};
use crate::settings::Settings;
use crate::table::Table;
use object_store::ObjectStore;
use parquet::errors::ParquetError;
use slipring::otlp::{Reader, Request};
use slipring::{LogRecord, MetricPoint, Signal, Span, TraceId};
use std::ops::{ControlFlow, Range, RangeInclusive};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::time::timeout;

const NANOS_AN_HOUR: u64 = 3_600_000_000_000;

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
    most_read: u64,
    patience: Duration,
    timeout: Duration,
}

/// Records of which this crate's tables have rows.
pub(crate) trait OfTables: Signal {
    const TABLES: &'static [Table];
    /// Whether the tables have a column with the trace that a record is of.
    const HAS_TRACE: bool;

    /// Takes the records of this type.
    fn of(read: &mut Request) -> Vec<Self>;

    /// Returns the bytes of a record, with the handle.
    fn bytes_of(&self) -> usize;
}

macro_rules! of_tables {
    ($record:ident, $part:ident, $tables:expr, $has_trace:expr) => {
        impl OfTables for $record {
            const TABLES: &'static [Table] = $tables;
            const HAS_TRACE: bool = $has_trace;

            fn of(read: &mut Request) -> Vec<Self> {
                std::mem::take(&mut read.$part)
            }

            fn bytes_of(&self) -> usize {
                size_of::<Self>() + self.bytes().len()
            }
        }
    };
}

of_tables!(Span, spans, &[Table::Traces], true);
of_tables!(LogRecord, logs, &[Table::Logs], true);
of_tables!(MetricPoint, points, &Table::METRICS, false);

/// The state of one answer.
pub(super) struct Answer<'a> {
    files: &'a Files,
    runtime: Arc<Runtime>,
    meter: Arc<Meter>,
    reader: Reader,
    report: ReadReport,
}

/// Collects records within the limits of an answer.
struct Collected<T> {
    records: Vec<T>,
    most_records: usize,
    left_bytes: usize,
}

impl<T: OfTables> Visitor<T> for Collected<T> {
    fn take(&mut self, record: T) -> ControlFlow<Cut> {
        if self.records.len() == self.most_records {
            return ControlFlow::Break(Cut::Records);
        }
        let Some(left) = self.left_bytes.checked_sub(record.bytes_of()) else {
            return ControlFlow::Break(Cut::Bytes);
        };
        self.left_bytes = left;
        self.records.push(record);
        ControlFlow::Continue(())
    }
}

impl Files {
    /// Makes files of a place known. The settings say how large answers may be.
    pub fn new(place: Place, settings: &Settings) -> Self {
        Self {
            place,
            most_records: settings.answer_records,
            most_bytes: settings.answer_bytes,
            most_files: settings.answer_files,
            most_read: settings.answer_read_bytes,
            patience: settings.answer_time,
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
        let search = Search::new().traces([id]);
        let mut answer = Answer::begin(self)?;
        let mut spans = self.collected(0, self.most_bytes);
        answer.ask::<Span>(&search, &mut spans)?;
        let mut logs = self.collected(spans.records.len(), spans.left_bytes);
        answer.ask::<LogRecord>(&search, &mut logs)?;
        Ok(Recalled {
            spans: by_time(spans),
            logs: by_time(logs),
            report: answer.end(),
            ..Recalled::default()
        })
    }

    /// Finds the spans that began in a range of time, in nanoseconds since the Unix epoch. Files
    /// are ruled out by their hour, and row groups by their statistics.
    ///
    /// # Errors
    /// [`RecallError`] if the files cannot be listed.
    pub fn spans(&self, times: Range<u64>) -> Result<Recalled, RecallError> {
        let (spans, report) = self.between(times)?;
        Ok(Recalled { spans, report, ..Recalled::default() })
    }

    /// Finds the log records of a range of time, as [`spans`](Self::spans) does.
    ///
    /// # Errors
    /// [`RecallError`] if the files cannot be listed.
    pub fn logs(&self, times: Range<u64>) -> Result<Recalled, RecallError> {
        let (logs, report) = self.between(times)?;
        Ok(Recalled { logs, report, ..Recalled::default() })
    }

    /// Finds the metric points of a range of time, as [`spans`](Self::spans) does.
    ///
    /// # Errors
    /// [`RecallError`] if the files cannot be listed.
    pub fn points(&self, times: Range<u64>) -> Result<Recalled, RecallError> {
        let (points, report) = self.between(times)?;
        Ok(Recalled { points, report, ..Recalled::default() })
    }

    /// Passes the records that are looked for to a visitor, one by one, file by file: the files of
    /// the latest hours first, and of an hour the newest. In a file, rows are sorted by service and
    /// time. No more than some thousand records are in memory at a time, and what the visitor keeps.
    ///
    /// The search is bounded by [`Settings::answer_files`], [`Settings::answer_read_bytes`] and
    /// [`Settings::answer_time`], beside what the visitor says. What ended it is in
    /// [`ReadReport::cut`], with what was found until then.
    ///
    /// ```
    /// use slipring::{Span, Telemetry};
    /// use slipring_archive::{Archive, Place, Search, Settings};
    /// use std::ops::ControlFlow;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let telemetry = Telemetry::builder().build()?;
    /// let place = Place::open(folder.path().to_str().unwrap())?;
    /// let archive = Archive::start(&telemetry, place, &Settings::default())?;
    /// for id in 1..=9_u64 {
    ///     let span = Span::builder().trace_id(7).span_id(id).start_unix_nanos(id);
    ///     telemetry.traces().push(span.build())?;
    /// }
    /// archive.finish()?;
    ///
    /// let mut late = 0;
    /// let mut count = |span: Span| {
    ///     late += u64::from(span.start_unix_nanos() > 5);
    ///     ControlFlow::Continue(())
    /// };
    /// let report = archive.files().search(&Search::new().between(3..), &mut count)?;
    /// assert_eq!((late, report.records, report.complete), (4, 7, true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RecallError`] if the files cannot be listed, unless it is the time of the answer that ends it.
    pub fn search<T: Filed>(
        &self,
        search: &Search,
        visitor: &mut dyn Visitor<T>,
    ) -> Result<ReadReport, RecallError> {
        let mut answer = Answer::begin(self)?;
        answer.ask(search, visitor)?;
        Ok(answer.end())
    }

    /// Returns the object store that the files are in.
    pub(super) fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.place.store)
    }

    fn collected<T>(&self, records: usize, left_bytes: usize) -> Collected<T> {
        let most_records = self.most_records.saturating_sub(records);
        Collected { records: Vec::new(), most_records, left_bytes }
    }

    fn between<T: OfTables>(&self, times: Range<u64>) -> Result<(Vec<T>, ReadReport), RecallError> {
        let mut answer = Answer::begin(self)?;
        let mut found = self.collected(0, self.most_bytes);
        answer.ask::<T>(&Search::new().between(times), &mut found)?;
        Ok((by_time(found), answer.end()))
    }
}

fn by_time<T: Signal>(found: Collected<T>) -> Vec<T> {
    let mut records = found.records;
    records.sort_by_key(Signal::timestamp);
    records
}

/// Returns the times that the records of a file have, by its folder.
pub(super) fn times_of(file: &File) -> RangeInclusive<u64> {
    // Times are cut off in the year 2262, hours are not: later ones may be in any later folder.
    match file.hour {
        0 => 0..=u64::MAX,
        hour => {
            let begin = hour.saturating_mul(NANOS_AN_HOUR);
            begin..=begin.saturating_add(NANOS_AN_HOUR - 1)
        }
    }
}

/// Returns whether a file's folder may have such records.
fn may_have(file: &File, search: &Search) -> bool {
    let (times, wanted) = (times_of(file), &search.times);
    times.start() <= wanted.end() && times.end() >= wanted.start()
}

impl<'a> Answer<'a> {
    pub(super) fn begin(files: &'a Files) -> Result<Self, RecallError> {
        let runtime = runtime().map_err(|error| RecallError::System(error.to_string()))?;
        let limits = Limits { bytes: files.most_read, until: Instant::now() + files.patience };
        Ok(Self {
            files,
            runtime: Arc::new(runtime),
            meter: Arc::new(Meter::new(limits)),
            reader: Reader::default().in_place(),
            report: ReadReport { complete: true, ..ReadReport::default() },
        })
    }

    pub(super) fn end(self) -> ReadReport {
        let Self { mut report, meter, .. } = self;
        (report.bytes_read, report.requests) = meter.read();
        report
    }

    pub(super) fn list(&self, tables: &[Table]) -> Result<Listed, RecallError> {
        let patience = self.files.timeout.min(self.meter.left());
        let listing = async { timeout(patience, self.files.place.list(tables)).await };
        let listed = self.runtime.block_on(listing);
        let late = |_| RecallError::List("it took too long".to_owned());
        listed.map_err(late)?.map_err(|error| RecallError::List(error.to_string()))
    }

    /// Notes which limit was met. The first one is told.
    fn cut(&mut self, cut: Cut) {
        self.report.cut.get_or_insert(cut);
        self.report.complete = false;
    }

    fn ask<T: OfTables>(
        &mut self,
        search: &Search,
        visitor: &mut dyn Visitor<T>,
    ) -> Result<(), RecallError> {
        if search.times.is_empty() || (search.traces.is_some() && !T::HAS_TRACE) {
            return Ok(());
        }
        for table in T::TABLES {
            let listed = match self.list(&[*table]) {
                // What was found until now is told, and that it is not all.
                Err(_) if self.meter.is_late() => {
                    self.cut(Cut::Time);
                    return Ok(());
                }
                listed => listed?,
            };
            let Listed { mut files, is_whole, .. } = listed;
            if !is_whole {
                self.report.complete = false;
                self.report.last_error = Some(CHANGES.to_owned());
            }
            self.report.files_listed += files.len() as u64;
            files.retain(|file| may_have(file, search));
            // Those that may have any time come first, since they rule none out.
            files.sort_by_key(|file| match (file.hour, search.earliest_first) {
                (0, _) => 0,
                (hour, true) => hour,
                (hour, false) => u64::MAX - hour,
            });
            self.ask_files(*table, &files, search, visitor);
        }
        Ok(())
    }

    /// Asks files of one table, in their order.
    pub(super) fn ask_files<T: OfTables>(
        &mut self,
        table: Table,
        files: &[File],
        search: &Search,
        visitor: &mut dyn Visitor<T>,
    ) {
        let wanted = Wanted::of(search);
        for file in files {
            self.report.files += 1;
            if self.report.cut.is_some() || !visitor.wants(times_of(file)) {
                continue;
            }
            if self.report.files_opened >= self.files.most_files as u64 {
                self.cut(Cut::Files);
                continue;
            }
            let read = self.read(table, file, &wanted, visitor);
            // What is over is told by what met it, however that was passed on.
            if let Some(cut) = self.meter.cut() {
                self.cut(cut);
            } else if let Err(error) = read {
                self.report.complete = false;
                if is_gone(&error) {
                    self.report.gone += 1;
                } else {
                    self.report.failed += 1;
                    self.report.last_error = Some(format!("{}: {error}", file.meta.location));
                }
            }
        }
    }

    fn read<T: OfTables>(
        &mut self,
        table: Table,
        file: &File,
        wanted: &Wanted,
        visitor: &mut dyn Visitor<T>,
    ) -> Result<(), ParquetError> {
        let remote = Remote {
            store: Arc::clone(&self.files.place.store),
            path: file.meta.location.clone(),
            size: file.meta.size,
            runtime: Arc::clone(&self.runtime),
            timeout: self.files.timeout,
            meter: Arc::clone(&self.meter),
        };
        self.report.files_opened += 1;
        let wants = |times: RangeInclusive<i64>| {
            let first = u64::try_from(*times.start()).unwrap_or(0);
            let last = u64::try_from(*times.end()).unwrap_or(0);
            visitor.wants(first..=if *times.end() >= LAST { u64::MAX } else { last })
        };
        let Opened { row_groups, row_groups_read, rows } = open(remote, table, wanted, &wants)?;
        self.report.row_groups += row_groups;
        self.report.row_groups_read += row_groups_read;
        for batch in rows.into_iter().flatten() {
            let (mut read, unreadable) = records(table, &batch?, &self.reader)?;
            self.report.unreadable += unreadable;
            for record in T::of(&mut read) {
                self.report.records += 1;
                if let ControlFlow::Break(cut) = visitor.take(record) {
                    self.cut(cut);
                    return Ok(());
                }
            }
            if self.meter.is_late() {
                return Ok(());
            }
        }
        Ok(())
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
