//! Which small files become one, and the rows of that.
//!
//! A merged file is there before those that it was made from go, and its name says which these are. So
//! whoever lists both counts the merged one alone, and what a crash leaves is deleted by whoever lists it
//! next.

use crate::file::writer;
use crate::name::{BatchId, Covers, FileId, Name, Partition};
use crate::place::File;
use crate::rows::columns_of;
use crate::settings::{Merge, Settings};
use crate::table::Table;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{RecordBatch, StringArray, TimestampNanosecondArray};
use arrow_select::interleave::interleave_record_batch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

/// The most files that are merged at a time. Not measured.
const MOST_FILES: usize = 32;

/// Rows that are read at a time, of all files together, and written. Not measured.
const ROWS: usize = 4_096;
const ROWS_WRITTEN: usize = 2_048;

/// Bytes of rows in memory, as arrays: those that are read at a time of all files together, as far as
/// their ends tell; those beyond which they are written; and the most. Files that would take more stay as
/// they are. A test holds merging to the last; the others are not measured.
const BYTES_READ: usize = 32 << 20;
const BYTES_WRITTEN: usize = 96 << 20;
const MOST_BYTES: usize = 256 << 20;

/// Files of one folder that become one.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) partition: Partition,
    pub(crate) files: Vec<File>,
    /// The name of the file that they become.
    pub(crate) name: Name,
}

/// Returns the batches of these files by run. Ranges do not span what is `blocked`: other files' batches,
/// and those that are in no file yet.
fn covers(files: &[&File], blocked: &[Covers]) -> Vec<Covers> {
    let mut parts: Vec<Covers> = files.iter().flat_map(|file| file.name.covers.clone()).collect();
    parts.sort_unstable();
    let mut all: Vec<Covers> = Vec::new();
    for part in parts {
        let is_between = |other: &Covers, last: u64| {
            other.run == part.run && other.last > last && other.first < part.first
        };
        match all.last_mut() {
            Some(last)
                if last.run == part.run
                    && !blocked.iter().any(|other| is_between(other, last.last)) =>
            {
                last.last = last.last.max(part.last);
            }
            _ => all.push(part),
        }
    }
    all
}

/// Returns which of these files of one folder become one, if some do.
fn group(
    partition: Partition,
    mut small: Vec<&File>,
    all: &[&File],
    waiting: &[FileId],
    least: usize,
    settings: &Settings,
) -> Option<Group> {
    small.sort_by_key(|file| file.name.covers.first().copied());
    let name_of = |files: &[&File]| {
        let waiting = waiting.iter().filter(|file| file.partition == partition);
        let of_batch = |file: &FileId| {
            let BatchId { run, number } = file.batch;
            Covers { run, first: number, last: number }
        };
        let others = all.iter().filter(|one| !files.iter().any(|file| file.name == one.name));
        let others = others.flat_map(|file| file.name.covers.clone());
        let blocked: Vec<Covers> = others.chain(waiting.map(of_batch)).collect();
        let made = files.iter().map(|file| file.written()).max()?;
        let made = made.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        // What names say may be odd: then the rows are not as many.
        let records = files.iter().map(|file| file.records).fold(0, u64::saturating_add);
        Some(Name { made, covers: covers(files, &blocked), records })
    };
    let least = least.min(MOST_FILES);
    let fits = |chosen: &[&File]| {
        let bytes = chosen.iter().map(|file| file.meta.size).fold(0, u64::saturating_add);
        bytes <= settings.merge_bytes
            && chosen.len() <= MOST_FILES
            && name_of(chosen).is_some_and(|name| name.fits())
    };
    let mut chosen: Vec<&File> = Vec::new();
    'files: for file in small {
        chosen.push(file);
        while chosen.len() > 1 && !fits(&chosen) {
            if chosen.len() > least {
                chosen.pop();
                break 'files;
            }
            // The first has no room for others, so it keeps them from nothing.
            chosen.remove(0);
        }
    }
    let name = name_of(&chosen).filter(|_| chosen.len() >= least)?;
    Some(Group { partition, files: chosen.into_iter().cloned().collect(), name })
}

/// Returns the files that become one, of each folder at most once.
pub(crate) fn groups(
    files: &[File],
    settings: &Settings,
    run: u64,
    waiting: &[FileId],
    this_hour: u64,
) -> Vec<Group> {
    let mut folders: BTreeMap<Partition, Vec<&File>> = BTreeMap::new();
    for file in files {
        folders.entry(file.partition()).or_default().push(file);
    }
    let is_small = |file: &&File| {
        file.meta.size < settings.merge_below
            && match settings.merge {
                Merge::Nothing => false,
                Merge::Own => file.name.covers.iter().all(|covers| covers.run == run),
                Merge::All => true,
            }
    };
    let of_folder = |(partition, files): (Partition, Vec<&File>)| {
        let small = files.iter().copied().filter(is_small).collect();
        let least = if partition.is_over(this_hour) { 2 } else { settings.merge_files };
        group(partition, small, &files, waiting, least, settings)
    };
    folders.into_iter().filter_map(of_folder).collect()
}

/// What files of a table are sorted by.
enum Keys {
    Times(StringArray, TimestampNanosecondArray),
    Names(StringArray, StringArray),
}

/// The next row of a file.
struct Cursor {
    rows: ParquetRecordBatchReader,
    keys: Keys,
    /// Which of the arrays in memory has it, and where.
    batch: usize,
    row: usize,
}

impl Keys {
    fn of(table: Table, batch: &RecordBatch) -> Result<Self> {
        let [first, second] = *table.order() else {
            return Err(ParquetError::General("a table is sorted by two columns".to_owned()));
        };
        let column = |name| batch.column_by_name(name).ok_or_else(|| odd(name));
        let text = |name| -> Result<StringArray> {
            Ok(column(name)?.as_string_opt().ok_or_else(|| odd(name))?.clone())
        };
        Ok(match table {
            Table::Traces | Table::Logs => {
                let times = column(second)?.as_primitive_opt::<TimestampNanosecondType>();
                Self::Times(text(first)?, times.ok_or_else(|| odd(second))?.clone())
            }
            _ => Self::Names(text(first)?, text(second)?),
        })
    }
}

impl Cursor {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, two) = (self.row, other.row);
        match (&self.keys, &other.keys) {
            (Keys::Times(a, x), Keys::Times(b, y)) => {
                a.value(one).cmp(b.value(two)).then_with(|| x.value(one).cmp(&y.value(two)))
            }
            (Keys::Names(a, x), Keys::Names(b, y)) => {
                a.value(one).cmp(b.value(two)).then_with(|| x.value(one).cmp(y.value(two)))
            }
            _ => Ordering::Equal,
        }
    }
}

fn odd(name: &str) -> ParquetError {
    ParquetError::General(format!("a file's column {name} is not as the archive writes it"))
}

/// Merges the rows of files, each of which is sorted. They are copied as they are. If `is_late` says so
/// between some rows and the next, there is no file.
pub(crate) fn merge(
    table: Table,
    files: Vec<Bytes>,
    records: u64,
    settings: &Settings,
    is_late: &dyn Fn() -> bool,
) -> Result<Option<Vec<u8>>> {
    let schema = crate::columns::Columns::new(&columns_of(table)).schema().clone();
    let mut writer = writer(table, settings, schema.clone())?;
    let count = files.len().max(1);
    let mut arrays: Vec<RecordBatch> = Vec::new();
    let mut cursors = Vec::new();
    for file in files {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        if builder.schema().fields() != schema.fields() {
            return Err(ParquetError::General("a file has other columns".to_owned()));
        }
        let at_once = rows_at_once(builder.metadata(), count);
        let mut rows = builder.with_batch_size(at_once).build()?;
        if let Some(first) = rows.next().transpose()? {
            let (keys, batch) = (Keys::of(table, &first)?, arrays.len());
            arrays.push(first);
            cursors.push(Cursor { rows, keys, batch, row: 0 });
            check(&arrays)?;
        }
    }
    let mut next: Vec<(usize, usize)> = Vec::new();
    let mut written = 0;
    while !cursors.is_empty() {
        let least = (0..cursors.len()).min_by(|one, two| cursors[*one].cmp(&cursors[*two]));
        let Some(least) = least else { break };
        let cursor = &mut cursors[least];
        next.push((cursor.batch, cursor.row));
        cursor.row += 1;
        let mut has_read = false;
        if cursor.row == arrays[cursor.batch].num_rows() {
            match cursor.rows.next().transpose()? {
                Some(batch) => {
                    (cursor.keys, cursor.batch, cursor.row) =
                        (Keys::of(table, &batch)?, arrays.len(), 0);
                    arrays.push(batch);
                    has_read = true;
                }
                None => _ = cursors.remove(least),
            }
        }
        let is_large = has_read && bytes_of(&arrays) > BYTES_WRITTEN;
        if next.len() < ROWS_WRITTEN && !is_large && !cursors.is_empty() {
            continue;
        }
        if is_late() {
            return Ok(None);
        }
        written += next.len() as u64;
        writer.write(&interleave_record_batch(&arrays.iter().collect::<Vec<_>>(), &next)?)?;
        next.clear();
        // What was read and is not written yet stays.
        let mut left = Vec::new();
        for cursor in &mut cursors {
            left.push(arrays[cursor.batch].clone());
            cursor.batch = left.len() - 1;
        }
        arrays = left;
        check(&arrays)?;
    }
    if written != records {
        let found = format!("they have {written} rows, and {records} by their names");
        return Err(ParquetError::General(found));
    }
    writer.into_inner().map(Some)
}

/// Returns how many rows are read at a time of one of so many files. What they take in memory is an
/// average, by the end of the file: texts there may be in dictionaries, and are not in memory.
fn rows_at_once(file: &ParquetMetaData, count: usize) -> usize {
    let mut bytes = 0_i64;
    for column in file.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let texts = column.unencoded_byte_array_data_bytes().unwrap_or(0);
        bytes = bytes.saturating_add(column.uncompressed_size().max(texts).max(0));
    }
    let rows = file.file_metadata().num_rows().max(1);
    let bytes_a_row = usize::try_from(bytes / rows).unwrap_or(usize::MAX).max(1);
    (BYTES_READ / count / bytes_a_row).clamp(1, (ROWS / count).max(64))
}

fn check(arrays: &[RecordBatch]) -> Result<()> {
    if bytes_of(arrays) > MOST_BYTES {
        return Err(ParquetError::General("their rows take too much memory".to_owned()));
    }
    Ok(())
}

fn bytes_of(arrays: &[RecordBatch]) -> usize {
    arrays.iter().map(RecordBatch::get_array_memory_size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectMeta;
    use slipring::Span;

    fn file(name: &Name) -> File {
        let meta = ObjectMeta {
            location: name.to_string().into(),
            last_modified: Default::default(),
            size: 10,
            e_tag: None,
            version: None,
        };
        File { meta, name: name.clone(), records: name.records, table: Table::Logs, hour: 5 }
    }

    #[test]
    fn files_whose_names_are_full_keep_no_others_from_being_merged() {
        let settings = Settings { merge: Merge::All, ..Settings::default() };
        let name = |run: u64| {
            let covers = vec![Covers { run: run << 40, first: 7, last: 7 }];
            Name { made: 1, covers, records: 3 }
        };
        let mut files: Vec<File> = (1..=40).map(|run| file(&name(run))).collect();
        loop {
            let found = groups(&files, &settings, 0, &[], 1_000);
            let Some(group) = found.into_iter().next() else { break };
            files.retain(|file| !group.files.iter().any(|merged| merged.name == file.name));
            files.push(file(&group.name));
        }
        assert!(files.len() < 12, "{}", files.len());
        assert_eq!(files.iter().map(|file| file.records).sum::<u64>(), 40 * 3);
    }

    #[test]
    fn of_large_rows_few_are_read_at_a_time_though_a_dictionary_has_them() {
        let rows_of = |text: String| {
            let span = Span::builder().trace_id(7).span_id(8).attribute("x", text.as_str()).build();
            let mut spans = vec![span; 100];
            let encoded =
                crate::file::encode(Table::Traces, &mut spans, &Settings::default(), &|| false);
            let bytes = Bytes::from(encoded.unwrap().unwrap());
            let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
            rows_at_once(builder.metadata(), 16)
        };
        assert_eq!(rows_of("x".to_owned()), 256);
        assert!((1..=21).contains(&rows_of("x".repeat(100_000))), "100 KB twice, or once and more");
    }
}
