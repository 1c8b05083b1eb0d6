//! Stores and files at one moment, as tables: each record once.
//!
//! # Each record once
//!
//! Records move from stores into files while a snapshot is taken, and small files may be merged. It
//! takes these steps:
//!
//! 1. It has what waits written, and lists the files (F).
//! 2. It takes a bookmark of each store, and reads what the store holds before it (R).
//! 3. It has what waits written again, lists the files again (G), and reads where each store's window
//!    begins then (E).
//! 4. It reads the files that are in G and not in F, and takes their records (N), without those that
//!    are in R at a position before E.
//!
//! The snapshot has R and N in memory, and the files that are in both F and G.
//!
//! *No record is there twice.* A record in a file of F left its store before step 2, so it is not in R.
//! A record of R that is in a file of G left its store after F was listed, so its file is not in F. It
//! left before G was listed, and E is read after that, so its position is before E: it is left out of N.
//! With E before G, a record that leaves between the two would be in R and in N. A merged file has the
//! records of those that it replaces, which are in G no more.
//!
//! *None is missing.* A record that was in the store when the bookmark was taken is in R, or it has left
//! before it was read. Then it was written in step 3 before G was listed, and is in a file of G. One that
//! had left before step 2 is in a file of F, or it was written since and is in a file of G.
//!
//! Records are told apart by their bytes. Of several that are equal and of which some left between the
//! steps, as many count as the place that has most of them says.

use super::files::{Answer, Files, OfTables, times_of};
use super::report::RecallError;
use super::search::{Cut, Search};
use crate::archive::Archive;
use crate::file::encode;
use crate::place::{CHANGES, File};
use crate::rows::Row;
use crate::settings::Settings;
use crate::table::Table;
use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::errors::ParquetError;
use slipring::error::QueryError;
use slipring::{Position, Store, Telemetry};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a snapshot is tried, if files are merged or deleted meanwhile. Not measured.
const ATTEMPTS: u32 = 3;

/// Records that are taken from files which appeared meanwhile. Not measured.
const MOST_NEW: usize = 1 << 20;

/// Stores and files at one moment: what [`slipring-sql`] makes tables of.
///
/// [`slipring-sql`]: https://docs.rs/slipring-sql
///
/// ```
/// use slipring::{Span, Telemetry};
/// use slipring_archive::{Archive, Place, Settings, Snapshot, Table};
/// use std::time::Duration;
///
/// let folder = tempfile::tempdir()?;
/// let telemetry = Telemetry::builder().traces(100).build()?;
/// let place = Place::open(folder.path().to_str().unwrap())?;
/// let archive = Archive::start(&telemetry, place, &Settings::default())?;
/// for id in 1..=500_u64 {
///     telemetry.traces().push(Span::builder().trace_id(7).span_id(id).build())?;
/// }
///
/// let snapshot = Snapshot::take(&telemetry, &archive, Duration::from_secs(60))?;
/// let spans = snapshot.parts().iter().find(|part| part.table == Table::Traces).unwrap();
/// let in_files: u64 = spans.files.iter().map(|file| file.records).sum();
/// assert_eq!(spans.memory_records + in_files, 500);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Snapshot {
    parts: Vec<Part>,
    report: SnapshotReport,
    store: Arc<dyn ObjectStore>,
}

/// One table of a snapshot.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Part {
    /// Which table.
    pub table: Table,
    /// What is in memory, as a Parquet file of the same columns as those of the history.
    pub memory: Bytes,
    /// The records in it.
    pub memory_records: u64,
    /// The files of the history that belong to the snapshot.
    pub files: Vec<FileInfo>,
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileInfo {
    /// Its path in the [object store](Snapshot::store).
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// The records in it, as its name says.
    pub records: u64,
    /// The times that its records may have, by its folder, in nanoseconds since the Unix epoch.
    pub times: RangeInclusive<u64>,
}

/// What a snapshot consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotReport {
    /// Records of the stores.
    pub from_stores: u64,
    /// Records that left the stores before they were read, and are in memory all the same: their files
    /// appeared while the snapshot was taken.
    pub moved: u64,
    /// Records in such files that were left out, since they left the stores after they were read.
    pub left_out: u64,
    /// Files.
    pub files: u64,
    /// Records that wait for a file and are missing: they could not be written in time.
    pub waiting: u64,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The files could not be listed or read.
    #[error(transparent)]
    Files(#[from] RecallError),
    /// A store could not be read.
    #[error(transparent)]
    Store(#[from] QueryError),
    /// What is in memory could not be made a table.
    #[error("what is in memory cannot be made a table: {0}")]
    Table(#[from] ParquetError),
    /// Files that appeared meanwhile could not be read.
    #[error("files that appeared meanwhile cannot be read: {0}; try again")]
    Moved(String),
}

/// What was read of a store.
struct Held<T> {
    records: Vec<T>,
    positions: Vec<Position>,
}

/// Files by table.
type Listed = HashMap<Table, Vec<File>>;

impl Snapshot {
    /// Takes a snapshot. It waits until what has left the stores is in files, at most `patience`; what
    /// is not written by then is missing and [counted](SnapshotReport::waiting). So each snapshot may
    /// leave some small files.
    ///
    /// O(records of the stores): they are held in memory as Parquet, packed. A snapshot holds no file
    /// back: reading one fails once it was merged or deleted.
    ///
    /// # Errors
    /// [`SnapshotError`] says what could not be read.
    ///
    /// # Panics
    /// On a thread that runs asynchronous tasks: use a thread for blocking calls.
    pub fn take(
        telemetry: &Telemetry,
        archive: &Archive,
        patience: Duration,
    ) -> Result<Self, SnapshotError> {
        let mut attempt = 1;
        loop {
            match Self::attempt(telemetry, archive, patience) {
                Err(SnapshotError::Moved(_)) if attempt < ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }

    /// Returns the tables.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns what the snapshot consists of.
    pub fn report(&self) -> &SnapshotReport {
        &self.report
    }

    /// Returns the object store that the files are in.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    fn attempt(
        telemetry: &Telemetry,
        archive: &Archive,
        patience: Duration,
    ) -> Result<Self, SnapshotError> {
        let until = Instant::now() + patience;
        let files = archive.files();
        let left = || until.saturating_duration_since(Instant::now());
        archive.flush(left());
        let before = listed(files)?;
        let spans = Held::of(telemetry.traces())?;
        let logs = Held::of(telemetry.logs())?;
        let points = Held::of(telemetry.metrics())?;
        let is_all = archive.flush(left());
        let stats = archive.stats();
        let after = listed(files)?;
        // Behind the list, so that whatever of the records read above is in a listed file is known to
        // have left.
        let oldest = [
            telemetry.traces().oldest_positions(),
            telemetry.logs().oldest_positions(),
            telemetry.metrics().oldest_positions(),
        ];
        let mut taking = Taking {
            files,
            before: before.values().flatten().map(|file| file.meta.location.clone()).collect(),
            after,
            parts: Vec::new(),
            report: SnapshotReport::default(),
        };
        taking.add(spans, &oldest[0])?;
        taking.add(logs, &oldest[1])?;
        taking.add(points, &oldest[2])?;
        let Taking { parts, mut report, .. } = taking;
        report.files = parts.iter().map(|part| part.files.len() as u64).sum();
        report.waiting = if is_all { 0 } else { stats.held + stats.queued };
        Ok(Self { parts, report, store: files.object_store() })
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("report", &self.report).finish_non_exhaustive()
    }
}

fn listed(files: &Files) -> Result<Listed, SnapshotError> {
    let answer = Answer::begin(files)?;
    let of = |table| {
        let listed = answer.list(&[table])?;
        let changes = || SnapshotError::Moved(CHANGES.to_owned());
        listed.is_whole.then_some((table, listed.files)).ok_or_else(changes)
    };
    Table::ALL.into_iter().map(of).collect()
}

impl<T: Row> Held<T> {
    /// Reads what a store holds of what has arrived by now.
    fn of(store: &Store<T>) -> Result<Self, QueryError> {
        let mut held = Self { records: Vec::new(), positions: Vec::new() };
        let bookmark = store.bookmark();
        store.query().until(&bookmark).for_each_unordered(|position, record| {
            held.records.push(record.clone());
            held.positions.push(position);
        })?;
        Ok(held)
    }
}

struct Taking<'a> {
    files: &'a Files,
    before: HashSet<Path>,
    after: Listed,
    parts: Vec<Part>,
    report: SnapshotReport,
}

impl Taking<'_> {
    /// Adds the tables of one signal.
    fn add<T: Row + OfTables>(
        &mut self,
        held: Held<T>,
        oldest: &[Position],
    ) -> Result<(), SnapshotError> {
        let Held { mut records, positions } = held;
        self.report.from_stores += records.len() as u64;
        let keys = RandomState::new();
        let mut left: HashMap<u64, u32> = HashMap::new();
        let has_left = |position: &Position| {
            oldest
                .get(position.shard())
                .is_some_and(|oldest| position.sequence() < oldest.sequence())
        };
        let leaving = records.iter().zip(&positions).filter(|(_, position)| has_left(position));
        leaving.for_each(|(record, _)| *left.entry(identity(record, &keys)).or_default() += 1);
        let (mut new, mut left_out): (Vec<T>, u64) = (Vec::new(), 0);
        let mut stay = HashMap::new();
        for table in T::TABLES {
            let all = self.after.remove(table).unwrap_or_default();
            let (staying, appeared): (Vec<File>, Vec<File>) =
                all.into_iter().partition(|file| self.before.contains(&file.meta.location));
            stay.insert(*table, staying);
            let mut answer = Answer::begin(self.files)?;
            let mut take = |record: T| match left.get_mut(&identity(&record, &keys)) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    left_out += 1;
                    ControlFlow::Continue(())
                }
                _ if new.len() == MOST_NEW => ControlFlow::Break(Cut::Records),
                _ => {
                    new.push(record);
                    ControlFlow::Continue(())
                }
            };
            answer.ask_files(*table, &appeared, &Search::new(), &mut take);
            let report = answer.end();
            if !report.complete {
                let why = report.cut.map(|cut| cut.to_string()).or(report.last_error);
                return Err(SnapshotError::Moved(why.unwrap_or_else(|| "they are gone".into())));
            }
        }
        self.report.moved += new.len() as u64;
        self.report.left_out += left_out;
        records.extend(new);
        self.encode(records, stay)
    }

    /// Makes a file of each table's records.
    fn encode<T: Row + OfTables>(
        &mut self,
        records: Vec<T>,
        mut stay: HashMap<Table, Vec<File>>,
    ) -> Result<(), SnapshotError> {
        let mut by_table: HashMap<Table, Vec<T>> = HashMap::new();
        for record in records {
            if let Some(table) = record.table() {
                by_table.entry(table).or_default().push(record);
            }
        }
        let settings = Settings { zstd_level: 1, ..Settings::default() };
        for table in T::TABLES {
            let mut records = by_table.remove(table).unwrap_or_default();
            let memory = encode(*table, &mut records, &settings, &|| false)?.unwrap_or_default();
            let files = stay.remove(table).unwrap_or_default();
            self.parts.push(Part {
                table: *table,
                memory: memory.into(),
                memory_records: records.len() as u64,
                files: files.iter().map(FileInfo::of).collect(),
            });
        }
        Ok(())
    }
}

impl FileInfo {
    fn of(file: &File) -> Self {
        Self {
            path: file.meta.location.to_string(),
            size: file.meta.size,
            records: file.records,
            times: times_of(file),
        }
    }
}

/// Returns what tells records apart: files give back each byte.
fn identity<T: Row>(record: &T, keys: &RandomState) -> u64 {
    let mut hasher = keys.build_hasher();
    let source = record.shared();
    let (resource, scope, metric) = (source.resource(), source.scope(), source.metric());
    record.own_bytes().hash(&mut hasher);
    (resource.bytes(), resource.schema_url(), scope.bytes(), scope.schema_url()).hash(&mut hasher);
    (metric.name(), metric.unit(), metric.description(), metric.kind()).hash(&mut hasher);
    hasher.finish()
}
