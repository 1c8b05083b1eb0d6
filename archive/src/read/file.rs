//! Which rows of a file are read: by statistics, bloom filters and, page by page, their values.

use super::remote::Remote;
use super::search::Search;
use crate::columns::time;
use crate::rows::{ENVELOPE, RECORD};
use crate::table::Table;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{BooleanArray, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicate, ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions,
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowFilter,
};
use parquet::bloom_filter::Sbbf;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use slipring::TraceId;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Rows that are read at a time.
const AT_ONCE: usize = 1_024;

/// The traces of which bloom filters are asked at most: each costs a look, and of many, some seem to
/// be everywhere. Not measured.
const ASKED_OF_FILTERS: usize = 256;

/// Which records are asked for, as columns hold them.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Ids of traces in digits.
    traces: Option<Arc<HashSet<String>>>,
    times: Option<RangeInclusive<i64>>,
    services: Option<Arc<HashSet<String>>>,
}

/// A column that says which rows are wanted.
#[derive(Clone)]
enum Condition {
    Texts(Arc<HashSet<String>>),
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
    pub(crate) fn of(search: &Search) -> Self {
        let is_any = search.times == (0..=u64::MAX);
        let times = (!is_any).then(|| time(*search.times.start())..=time(*search.times.end()));
        let ids = |ids: &Vec<TraceId>| Arc::new(ids.iter().map(TraceId::to_string).collect());
        let traces = search.traces.as_ref().map(ids);
        let services = |services: &Vec<String>| Arc::new(services.iter().cloned().collect());
        Self { traces, times, services: search.services.as_ref().map(services) }
    }

    /// Returns the columns that say which rows are wanted, those that leave the fewest first.
    fn conditions(&self, table: Table) -> Vec<(&'static str, Condition)> {
        let traces = self.traces.as_ref();
        let services = self.services.as_ref();
        let mut conditions = Vec::new();
        conditions.extend(traces.map(|ids| ("TraceId", Condition::Texts(Arc::clone(ids)))));
        conditions
            .extend(services.map(|names| ("ServiceName", Condition::Texts(Arc::clone(names)))));
        let times = self.times.as_ref();
        conditions
            .extend(times.map(|times| (table.time_column(), Condition::Times(times.clone()))));
        conditions
    }
}

impl Condition {
    /// Returns which rows have it.
    fn select(&self, batch: &RecordBatch) -> BooleanArray {
        let column = batch.column(0);
        match self {
            Self::Texts(wanted) => {
                let texts = column.as_string_opt::<i32>();
                let is_wanted = |one: Option<&str>| one.is_some_and(|one| wanted.contains(one));
                texts.into_iter().flatten().map(|one| Some(is_wanted(one))).collect()
            }
            Self::Times(times) => {
                let column = column.as_primitive_opt::<TimestampNanosecondType>();
                let all = column.into_iter().flatten();
                all.map(|time| Some(time.is_some_and(|time| times.contains(&time)))).collect()
            }
        }
    }

    /// Returns whether a row group may have it, by its statistics.
    fn may_be_in(&self, statistics: Option<&Statistics>) -> bool {
        match (self, statistics) {
            (Self::Times(times), Some(Statistics::Int64(values))) => {
                values.min_opt().is_none_or(|least| least <= times.end())
                    && values.max_opt().is_none_or(|most| most >= times.start())
            }
            // A minimum that was shortened is a lower bound, and a maximum an upper one.
            (Self::Texts(wanted), Some(Statistics::ByteArray(values))) => {
                wanted.iter().any(|text| {
                    let text = text.as_bytes();
                    values.min_opt().is_none_or(|least| least.data() <= text)
                        && values.max_opt().is_none_or(|most| most.data() >= text)
                })
            }
            _ => true,
        }
    }
}

/// Returns the times of a row group, by its statistics.
fn times_of(row_group: &RowGroupMetaData, leaf: usize) -> RangeInclusive<i64> {
    match row_group.column(leaf).statistics() {
        Some(Statistics::Int64(values)) => {
            *values.min_opt().unwrap_or(&i64::MIN)..=*values.max_opt().unwrap_or(&i64::MAX)
        }
        _ => i64::MIN..=i64::MAX,
    }
}

/// Opens a file to read what is wanted. `wants` says whether records of such times are of use.
pub(crate) fn open(
    remote: Remote,
    table: Table,
    wanted: &Wanted,
    wants: &dyn Fn(RangeInclusive<i64>) -> bool,
) -> Result<Opened> {
    let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
    let metadata = ArrowReaderMetadata::load(&remote, options)?;
    let schema = metadata.parquet_schema().clone();
    let leaf_of =
        |name: &str| schema.columns().iter().position(|column| column.path().parts() == [name]);
    let path = remote.path.clone();
    let needed = |name: &str| {
        leaf_of(name).ok_or_else(|| ParquetError::General(format!("{path} has no column {name}")))
    };
    let times = needed(table.time_column())?;
    let conditions = wanted.conditions(table);
    let conditions = conditions.into_iter().map(|(name, one)| Ok((needed(name)?, one)));
    let conditions = conditions.collect::<Result<Vec<_>>>()?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(remote, metadata);
    let row_groups = builder.metadata().num_row_groups();
    let mut chosen = Vec::new();
    for number in 0..row_groups {
        let row_group = builder.metadata().row_group(number);
        let may_have =
            |(leaf, one): &(usize, Condition)| one.may_be_in(row_group.column(*leaf).statistics());
        let mut has_it = conditions.iter().all(may_have) && wants(times_of(row_group, times));
        let few = wanted.traces.as_ref().filter(|ids| ids.len() <= ASKED_OF_FILTERS);
        if let Some(ids) = few.filter(|_| has_it) {
            let filter = builder.get_row_group_column_bloom_filter(number, needed("TraceId")?)?;
            let may_be = |filter: Sbbf| ids.iter().any(|id| filter.check(id.as_str()));
            has_it = filter.is_none_or(may_be);
        }
        if has_it {
            chosen.push(number);
        }
    }
    let (row_groups, row_groups_read) = (row_groups as u64, chosen.len() as u64);
    if chosen.is_empty() {
        return Ok(Opened { row_groups, row_groups_read, rows: None });
    }
    let filters = conditions.into_iter().map(|(leaf, one)| {
        let select = move |batch: RecordBatch| Ok(one.select(&batch));
        let filter = ArrowPredicateFn::new(ProjectionMask::leaves(&schema, [leaf]), select);
        Box::new(filter) as Box<dyn ArrowPredicate>
    });
    let columns = columns_of_records(table).iter().filter_map(|name| leaf_of(name));
    let rows = builder
        .with_row_groups(chosen)
        .with_projection(ProjectionMask::leaves(&schema, columns))
        .with_row_filter(RowFilter::new(filters.collect()))
        .with_batch_size(AT_ONCE)
        .build()?;
    Ok(Opened { row_groups, row_groups_read, rows: Some(rows) })
}
