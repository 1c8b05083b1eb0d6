//! A table over memory and files.

use crate::store::in_memory;
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::physical_plan::ExecutionPlan;
use slipring_archive::{FileInfo, Part};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Returns the URL that plans name. A session has to know a store there, and nobody reads it.
pub(crate) fn url() -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse("slipring://snapshot")
}

/// A table of a snapshot: what is in memory and what is in files, with the columns of the files.
#[derive(Debug)]
pub(crate) struct Whole {
    schema: SchemaRef,
    /// Reads the snapshot's files. Plans hold it, so that they go on with their snapshot.
    readers: Arc<dyn ParquetFileReaderFactory>,
    time: &'static str,
    memory: PartitionedFile,
    memory_records: u64,
    files: Vec<FileInfo>,
}

impl Whole {
    /// Makes a table of a part of a snapshot.
    ///
    /// # Errors
    /// If what is in memory is no table.
    pub(crate) fn of(part: &Part, readers: Arc<dyn ParquetFileReaderFactory>) -> Result<Self> {
        let read = ArrowReaderMetadata::load(&part.memory, ArrowReaderOptions::new());
        let schema = Arc::clone(read.map_err(DataFusionError::from)?.schema());
        let time = part.table.time_column();
        let memory = PartitionedFile::new(in_memory(part.table), part.memory.len() as u64);
        let (files, memory_records) = (part.files.clone(), part.memory_records);
        Ok(Self { schema, readers, time, memory, memory_records, files })
    }

    /// Returns the files that may have rows of these filters, with what is in memory.
    fn files(&self, filters: &[Expr]) -> Vec<PartitionedFile> {
        let times = filters.iter().map(|one| times(one, self.time)).fold(all(), both);
        let may_have = |file: &&FileInfo| {
            // Later times than a row can say are in rows as the last one.
            let last = i64::try_from(*file.times.end()).unwrap_or(i64::MAX);
            let first = i64::try_from(*file.times.start()).unwrap_or(i64::MAX - 1);
            first <= *times.end() && last >= *times.start()
        };
        let files = self.files.iter().filter(may_have);
        let files = files.map(|file| PartitionedFile::new(file.path.clone(), file.size));
        (self.memory_records > 0).then(|| self.memory.clone()).into_iter().chain(files).collect()
    }
}

#[async_trait]
impl TableProvider for Whole {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut groups: Vec<Vec<PartitionedFile>> = Vec::new();
        let most = state.config().target_partitions().max(1);
        for (number, file) in self.files(filters).into_iter().enumerate() {
            match groups.get_mut(number % most) {
                Some(group) => group.push(file),
                None => groups.push(vec![file]),
            }
        }
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_parquet_file_reader_factory(Arc::clone(&self.readers));
        let scan = FileScanConfigBuilder::new(url()?, Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_projection_indices(projection.cloned())?
            // What a filter leaves is not known here.
            .with_limit(limit.filter(|_| filters.is_empty()))
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

fn all() -> RangeInclusive<i64> {
    i64::MIN..=i64::MAX
}

fn both(one: RangeInclusive<i64>, other: RangeInclusive<i64>) -> RangeInclusive<i64> {
    *one.start().max(other.start())..=*one.end().min(other.end())
}

/// Returns the times that rows of a filter can have: all, unless it says so.
fn times(filter: &Expr, column: &str) -> RangeInclusive<i64> {
    let is_time = |expr: &Expr| matches!(expr, Expr::Column(Column { name, .. }) if name == column);
    let nanos = |expr: &Expr| match expr {
        Expr::Literal(ScalarValue::TimestampNanosecond(nanos, _), _) => *nanos,
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            both(times(left, column), times(right, column))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (op, nanos) = match (is_time(left), nanos(right), nanos(left), is_time(right)) {
                (true, Some(nanos), ..) => (Some(*op), nanos),
                (.., Some(nanos), true) => (op.swap(), nanos),
                _ => return all(),
            };
            match op {
                Some(Operator::Eq) => nanos..=nanos,
                Some(Operator::Gt | Operator::GtEq) => nanos..=i64::MAX,
                Some(Operator::Lt | Operator::LtEq) => i64::MIN..=nanos,
                _ => all(),
            }
        }
        Expr::Between(between) if !between.negated && is_time(&between.expr) => {
            nanos(&between.low).unwrap_or(i64::MIN)..=nanos(&between.high).unwrap_or(i64::MAX)
        }
        _ => all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{ident, lit};

    #[test]
    fn times_are_read_from_filters_that_say_them() {
        let at = |nanos: i64| lit(ScalarValue::TimestampNanosecond(Some(nanos), None));
        let time = || ident("TimeUnix");
        let of = |filter: Expr| times(&filter, "TimeUnix");
        assert_eq!(of(time().gt_eq(at(5)).and(time().lt(at(9)))), 5..=9);
        assert_eq!(of(at(5).lt(time())), 5..=i64::MAX);
        assert_eq!(of(time().between(at(5), at(9))), 5..=9);
        assert_eq!(of(time().eq(at(7))), 7..=7);
        for any in [
            time().not_eq(at(7)),
            time().not_between(at(5), at(9)),
            ident("Other").gt(at(5)),
            time().gt(at(5)).or(ident("Other").eq(at(7))),
            time().gt(lit(5_i64)),
        ] {
            assert_eq!(of(any.clone()), all(), "{any}");
        }
    }
}
