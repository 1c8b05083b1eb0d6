//! Records that wait for their file.

use crate::archive::AT_ONCE;
use crate::file;
use crate::name::{BatchId, FileId, Partition};
use crate::queue::{Record, source_bytes};
use crate::rows::{Row, addresses};
use crate::settings::Settings;
use crate::table::Table;
use parquet::errors::ParquetError;
use slipring::otlp::{Encoding, Request, encode};
use slipring::{LogRecord, MetricPoint, Span};
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes of a source beyond which each row counts them. The texts of smaller ones are written once or
/// a few times a file, in dictionaries; those of larger ones once a row, at worst.
const LARGE_SOURCE: usize = 4_096;

const NANOS_AN_HOUR: u64 = 3_600_000_000_000;

/// Records of one table.
pub(crate) enum Records {
    Spans(Vec<Span>),
    Logs(Vec<LogRecord>),
    Points(Vec<MetricPoint>),
}

impl Records {
    pub(crate) fn none(table: Table) -> Self {
        match table {
            Table::Traces => Self::Spans(Vec::new()),
            Table::Logs => Self::Logs(Vec::new()),
            _ => Self::Points(Vec::new()),
        }
    }

    /// Adds the records of a request that are of this type.
    pub(crate) fn extend(&mut self, request: Request) {
        match self {
            Self::Spans(spans) => spans.extend(request.spans),
            Self::Logs(logs) => logs.extend(request.logs),
            Self::Points(points) => points.extend(request.points),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Spans(spans) => spans.len(),
            Self::Logs(logs) => logs.len(),
            Self::Points(points) => points.len(),
        }
    }
}

/// Records that were added to a batch, for the log.
pub(crate) struct Logged {
    pub(crate) file: FileId,
    records: Records,
}

impl Logged {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Encodes the records as an export request.
    pub(crate) fn request(&self) -> Vec<u8> {
        match &self.records {
            Records::Spans(spans) => encode(spans, Encoding::Protobuf),
            Records::Logs(logs) => encode(logs, Encoding::Protobuf),
            Records::Points(points) => encode(points, Encoding::Protobuf),
        }
    }
}

/// The records of one file.
pub(crate) struct Batch {
    pub(crate) file: FileId,
    records: Records,
    /// How many of the records are in the log.
    pub(crate) logged: u64,
    /// By address, the sources that the records hold.
    sources: HashSet<[usize; 3]>,
    pub(crate) bytes: usize,
    began: Instant,
}

/// Which records become rows of which files, and hold how much.
#[derive(Default)]
pub(crate) struct Batches {
    /// The run, and the number of its next batch.
    next: BatchId,
    open: BTreeMap<Partition, Batch>,
    pub(crate) bytes: usize,
    pub(crate) records: u64,
    /// Records whose metric has a type that no table is for.
    pub(crate) unknown: u64,
}

/// Some records, by type.
#[derive(Default)]
pub(crate) struct Sorted {
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
    points: Vec<MetricPoint>,
    bytes: usize,
}

/// Returns the bytes that a record adds to a file that has its source already, or may write.
fn row_bytes<T: Row>(record: &T) -> usize {
    let source = source_bytes(record.shared());
    let repeated = if source > LARGE_SOURCE { source } else { 0 };
    record.own_bytes().len() + size_of::<T>() + repeated
}

impl Sorted {
    pub(crate) fn add(&mut self, record: Record) {
        self.bytes += match &record {
            Record::Span(span) => row_bytes(span),
            Record::Log(log) => row_bytes(log),
            Record::Point(point) => row_bytes(point),
        };
        match record {
            Record::Span(span) => self.spans.push(span),
            Record::Log(log) => self.logs.push(log),
            Record::Point(point) => self.points.push(point),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len() + self.logs.len() + self.points.len()
    }

    /// Returns whether no more should be added: others may have the lock in between, and no file
    /// becomes much larger than it should.
    pub(crate) fn is_full(&self, settings: &Settings) -> bool {
        self.len() >= AT_ONCE || self.bytes >= settings.file_bytes
    }
}

trait Kept: Row {
    fn of(records: &mut Records) -> &mut Vec<Self>;
    fn all(records: Vec<Self>) -> Records;
}

macro_rules! kept {
    ($($record:ident as $variant:ident),*) => {$(
        impl Kept for $record {
            fn of(records: &mut Records) -> &mut Vec<Self> {
                match records {
                    Records::$variant(records) => records,
                    _ => unreachable!("a table has records of one type"),
                }
            }

            fn all(records: Vec<Self>) -> Records {
                Records::$variant(records)
            }
        }
    )*};
}

kept!(Span as Spans, LogRecord as Logs, MetricPoint as Points);

impl Batch {
    fn new(file: FileId, records: Records) -> Self {
        Self { file, records, logged: 0, sources: HashSet::new(), bytes: 0, began: Instant::now() }
    }

    /// Returns a batch that was read from the log.
    pub(crate) fn recovered(file: FileId, records: Records) -> Self {
        let mut batch = Self::new(file, Records::none(file.partition.table));
        match records {
            Records::Spans(spans) => spans.into_iter().for_each(|span| _ = batch.add(span)),
            Records::Logs(logs) => logs.into_iter().for_each(|log| _ = batch.add(log)),
            Records::Points(points) => points.into_iter().for_each(|point| _ = batch.add(point)),
        }
        batch.logged = batch.len() as u64;
        batch
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    fn add<T: Kept>(&mut self, record: T) -> usize {
        let mut bytes = row_bytes(&record);
        if self.sources.insert(addresses(&record)) {
            bytes += source_bytes(record.shared()) + size_of::<[usize; 3]>();
        }
        T::of(&mut self.records).push(record);
        self.bytes += bytes;
        bytes
    }

    /// Writes the file, or none if it becomes too late for that.
    pub(crate) fn encode(
        &mut self,
        settings: &Settings,
        is_late: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<u8>>, ParquetError> {
        let table = self.file.partition.table;
        match &mut self.records {
            Records::Spans(spans) => file::encode(table, spans, settings, is_late),
            Records::Logs(logs) => file::encode(table, logs, settings, is_late),
            Records::Points(points) => file::encode(table, points, settings, is_late),
        }
    }
}

impl Batches {
    /// The batches of a run, which has a number of its own.
    pub(crate) fn new(run: u64) -> Self {
        Self { next: BatchId { run, number: 0 }, ..Self::default() }
    }

    /// Adds records, detached from the requests that they came in. If there is a log, returns them for
    /// it: they share what the batches hold.
    pub(crate) fn add(&mut self, sorted: Sorted, open_hours: usize, has_log: bool) -> Vec<Logged> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut for_log = has_log.then(Vec::new);
        self.add_all(sorted.spans, now, open_hours, &mut for_log);
        self.add_all(sorted.logs, now, open_hours, &mut for_log);
        self.add_all(sorted.points, now, open_hours, &mut for_log);
        for_log.unwrap_or_default()
    }

    /// Counts records as logged.
    pub(crate) fn are_logged(&mut self, file: &FileId, records: u64) {
        let open = self.open.get_mut(&file.partition);
        if let Some(batch) = open.filter(|batch| batch.file.batch == file.batch) {
            batch.logged += records;
        }
    }

    /// Records that are detached together share one allocation. Only those of one file may, or one
    /// that waits long for its file would hold the bytes of others that were written.
    fn add_all<T: Kept>(
        &mut self,
        records: Vec<T>,
        now: Duration,
        open_hours: usize,
        for_log: &mut Option<Vec<Logged>>,
    ) {
        let this_hour = now.as_secs() / 3_600;
        let mut by_file: BTreeMap<Partition, Vec<T>> = BTreeMap::new();
        for record in records {
            let Some(table) = record.table() else {
                self.unknown += 1;
                continue;
            };
            let hour = record.timestamp() / NANOS_AN_HOUR;
            let partition = self.partition(table, hour, this_hour, open_hours);
            // The hour is open from now on, for the records that follow.
            self.open.entry(partition).or_insert_with(|| {
                let file = FileId { batch: self.next, partition, made: now.as_millis() as u64 };
                self.next.number += 1;
                Batch::new(file, Records::none(table))
            });
            by_file.entry(partition).or_default().push(record);
        }
        for (partition, mut records) in by_file {
            let Some(batch) = self.open.get_mut(&partition) else { continue };
            T::detach_all(&mut records);
            if let Some(for_log) = for_log {
                for_log.push(Logged { file: batch.file, records: T::all(records.clone()) });
            }
            self.records += records.len() as u64;
            self.bytes += records.into_iter().map(|record| batch.add(record)).sum::<usize>();
        }
    }

    fn partition(&self, table: Table, hour: u64, now: u64, open_hours: usize) -> Partition {
        let partition = Partition { table, hour };
        let is_recent = hour <= now && now - hour < 3;
        if is_recent || self.open.contains_key(&partition) {
            return partition;
        }
        let first = Partition { table, hour: 1 };
        let open = self.open.range(first..).take_while(|(open, _)| open.table == table);
        let others = open.filter(|(open, _)| open.hour > now || now - open.hour >= 3).count();
        if others < open_hours { partition } else { Partition { table, hour: 0 } }
    }

    /// Takes the batches that should be written: those that are large, those that are old, and while
    /// nothing `is_written` and all together have half of the room, the largest. The other half is for what
    /// comes while that file is made.
    pub(crate) fn take_due(
        &mut self,
        settings: &Settings,
        now: Instant,
        all: bool,
        is_written: bool,
    ) -> Vec<Batch> {
        let is_due = |batch: &Batch| {
            all || batch.bytes >= settings.file_bytes
                || now.saturating_duration_since(batch.began) >= settings.file_age
        };
        let due = self.open.iter().filter(|(_, batch)| is_due(batch));
        let mut due: Vec<Partition> = due.map(|(partition, _)| *partition).collect();
        if due.is_empty() && !is_written && self.bytes >= settings.batch_bytes.div_ceil(2) {
            let largest = self.open.iter().max_by_key(|(_, batch)| batch.bytes);
            due.extend(largest.map(|(partition, _)| *partition));
        }
        due.iter().filter_map(|partition| self.open.remove(partition)).collect()
    }

    /// Forgets a batch that was taken.
    pub(crate) fn forget(&mut self, records: u64, bytes: usize) {
        self.records -= records;
        self.bytes -= bytes;
    }

    /// Drops all records, those of batches that were taken included, and returns how many it were, and
    /// how many of the open batches' records are in the log.
    pub(crate) fn give_up(&mut self) -> (u64, u64) {
        let logged = std::mem::take(&mut self.open).into_values().map(|batch| batch.logged).sum();
        self.bytes = 0;
        (std::mem::take(&mut self.records), logged)
    }

    /// Returns what names the batches that are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = FileId> {
        self.open.values().map(|batch| batch.file)
    }

    /// Counts bytes of a batch that did not come through `add`.
    pub(crate) fn take_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Counts them no more.
    pub(crate) fn give_bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub(crate) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches_of(hours: impl IntoIterator<Item = u64>, open_hours: usize, now: u64) -> Vec<u64> {
        let mut batches = Batches::default();
        for hour in hours {
            let span = Span::builder().start_unix_nanos(hour * NANOS_AN_HOUR).build();
            batches.add_all(vec![span], Duration::from_secs(now * 3_600), open_hours, &mut None);
        }
        batches.open.keys().map(|partition| partition.hour).collect()
    }

    #[test]
    fn a_clock_that_runs_wild_opens_only_so_many_hours() {
        assert_eq!(batches_of([5, 500, 7, 600, 800, 5], 2, 1_000), [0, 5, 500]);
        assert_eq!(batches_of([5, 6, 1_000, 999, 998, 997], 2, 1_000), [0, 5, 6, 998, 999, 1_000]);
    }

    #[test]
    fn a_record_of_another_hour_is_not_in_the_allocation_of_those_around_it() {
        let span = |hour| Span::builder().start_unix_nanos(hour * NANOS_AN_HOUR).name("a").build();
        let mut batches = Batches::default();
        batches.add_all(vec![span(5), span(6), span(5)], Duration::from_secs(18_000), 1, &mut None);
        let mut files = batches.open.into_values().map(|mut batch| {
            let spans = std::mem::take(Span::of(&mut batch.records));
            spans.iter().map(|span| span.bytes().as_ptr_range()).collect::<Vec<_>>()
        });
        let (of_five, of_six) = (files.next().unwrap(), files.next().unwrap());
        assert_eq!((of_five.len(), of_six.len()), (2, 1));
        assert_eq!(of_five[0].end, of_five[1].start, "nothing lies between the two");
    }

    #[test]
    fn the_largest_is_written_while_there_is_room_for_what_comes_meanwhile() {
        let settings = Settings { batch_bytes: 4_000, ..Settings::default() };
        let span = |hour| Span::builder().start_unix_nanos(hour * NANOS_AN_HOUR).build();
        let mut batches = Batches::default();
        let take = |batches: &mut Batches, is_written| {
            batches.take_due(&settings, Instant::now(), false, is_written).len()
        };
        while batches.bytes < 1_900 {
            batches.add_all(vec![span(5), span(5), span(6)], Duration::ZERO, 5, &mut None);
            if batches.bytes < 2_000 {
                assert_eq!(take(&mut batches, false), 0);
            }
        }
        while batches.bytes < 2_000 {
            batches.add_all(vec![span(5)], Duration::ZERO, 5, &mut None);
        }
        assert_eq!(take(&mut batches, true), 0, "one at a time");
        assert_eq!(take(&mut batches, false), 1);
        assert!(batches.open().all(|file| file.partition.hour == 6));
    }

    #[test]
    fn a_source_is_counted_once_a_batch() {
        let resource = slipring::Resource::new([("a", "x".repeat(1_000))]);
        let source = slipring::Source::new(&resource, &slipring::Scope::default());
        let span = Span::builder().source(&source).name("a").build();
        let mut batches = Batches::default();
        batches.add_all(vec![span.clone()], Duration::ZERO, 1, &mut None);
        let first = batches.bytes;
        batches.add_all(vec![span.clone()], Duration::ZERO, 1, &mut None);
        assert!(first > 1_000);
        assert_eq!(batches.bytes - first, span.bytes().len() + size_of::<Span>());
    }

    #[test]
    fn a_large_source_counts_in_each_row_and_fills_files() {
        let resource = slipring::Resource::new([("a", "x".repeat(1 << 20))]);
        let source = slipring::Source::new(&resource, &slipring::Scope::default());
        let span = Span::builder().source(&source).name("a").build();
        let settings = Settings { file_bytes: 8 << 20, ..Settings::default() };
        let mut sorted = Sorted::default();
        while !sorted.is_full(&settings) {
            sorted.add(Record::Span(span.clone()));
        }
        assert!(sorted.len() <= 8, "{}", sorted.len());
        let mut batches = Batches::default();
        batches.add(sorted, 1, false);
        assert!(batches.bytes >= 8 << 20);
        assert_eq!(batches.take_due(&settings, Instant::now(), false, false).len(), 1);
    }
}
