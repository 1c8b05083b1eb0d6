//! Which rows of a file are read: by statistics, bloom filters and, page by page, their values.

use super::remote::Remote;
use crate::rows::{ENVELOPE, RECORD};
use crate::table::Table;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{BooleanArray, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowFilter,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use std::ops::RangeInclusive;

/// Rows that are read at a time.
const AT_ONCE: usize = 1_024;

/// Which records are asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// Those of the trace whose id has these digits.
    Trace(String),
    /// Those whose time is in this range.
    Times(RangeInclusive<i64>),
}

/// What one file has.
pub(crate) struct Opened {
    pub(crate) row_groups: u64,
    pub(crate) row_groups_read: u64,
    /// Nothing if no row group has any of it.
    pub(crate) rows: Option<ParquetRecordBatchReader>,
}

/// Returns the columns that records are made from, as far as a table has them.
fn columns_of_records(table: Table) -> &'static [&'static str] {
    match table {
        Table::Traces => {
            &["Timestamp", "TraceId", "SpanId", "ParentSpanId", "Duration", ENVELOPE, RECORD]
        }
        Table::Logs => &["Timestamp", "TraceId", "SpanId", "Body", ENVELOPE, RECORD],
        _ => &["StartTimeUnix", "TimeUnix", "Value", ENVELOPE, RECORD],
    }
}

impl Wanted {
    fn column(&self, table: Table) -> &'static str {
        match self {
            Self::Trace(_) => "TraceId",
            Self::Times(_) => table.time_column(),
        }
    }

    /// Returns which rows have it.
    fn select(&self, batch: &RecordBatch) -> BooleanArray {
        let column = batch.column(0);
        match self {
            Self::Trace(id) => {
                let ids = column.as_string_opt::<i32>();
                ids.into_iter().flatten().map(|one| Some(one == Some(id.as_str()))).collect()
            }
            Self::Times(times) => {
                let column = column.as_primitive_opt::<TimestampNanosecondType>();
                let all = column.into_iter().flatten();
                all.map(|time| Some(time.is_some_and(|time| times.contains(&time)))).collect()
            }
        }
    }
}

/// Returns whether a row group may have such times, by its statistics.
fn may_have(row_group: &RowGroupMetaData, leaf: usize, times: &RangeInclusive<i64>) -> bool {
    match row_group.column(leaf).statistics() {
        Some(Statistics::Int64(values)) => {
            values.min_opt().is_none_or(|least| least <= times.end())
                && values.max_opt().is_none_or(|most| most >= times.start())
        }
        _ => true,
    }
}

/// Opens a file to read what is wanted.
pub(crate) fn open(remote: Remote, table: Table, wanted: &Wanted) -> Result<Opened> {
    let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
    let metadata = ArrowReaderMetadata::load(&remote, options)?;
    let schema = metadata.parquet_schema().clone();
    let leaf_of =
        |name: &str| schema.columns().iter().position(|column| column.path().parts() == [name]);
    let name = wanted.column(table);
    let leaf = leaf_of(name)
        .ok_or_else(|| ParquetError::General(format!("{} has no column {name}", remote.path)))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(remote, metadata);
    let row_groups = builder.metadata().num_row_groups();
    let mut chosen = Vec::new();
    for number in 0..row_groups {
        let has_it = match wanted {
            Wanted::Times(times) => may_have(builder.metadata().row_group(number), leaf, times),
            Wanted::Trace(id) => {
                let filter = builder.get_row_group_column_bloom_filter(number, leaf)?;
                filter.is_none_or(|filter| filter.check(id.as_str()))
            }
        };
        if has_it {
            chosen.push(number);
        }
    }
    let (row_groups, row_groups_read) = (row_groups as u64, chosen.len() as u64);
    if chosen.is_empty() {
        return Ok(Opened { row_groups, row_groups_read, rows: None });
    }
    let wanted = wanted.clone();
    let filter = ArrowPredicateFn::new(
        ProjectionMask::leaves(&schema, [leaf]),
        move |batch: RecordBatch| Ok(wanted.select(&batch)),
    );
    let columns = columns_of_records(table).iter().filter_map(|name| leaf_of(name));
    let rows = builder
        .with_row_groups(chosen)
        .with_projection(ProjectionMask::leaves(&schema, columns))
        .with_row_filter(RowFilter::new(vec![Box::new(filter)]))
        .with_batch_size(AT_ONCE)
        .build()?;
    Ok(Opened { row_groups, row_groups_read, rows: Some(rows) })
}
