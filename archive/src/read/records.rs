//! Records from rows: the bytes that were blanked are filled again, and each record gets back what
//! was around it.

use crate::blank::Known;
use crate::rows::{ENVELOPE, RECORD, known_of_log, known_of_number, known_of_span};
use crate::table::Table;
use crate::wire::{TO_POINT, TO_RECORD, with_records};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use parquet::errors::{ParquetError, Result};
use slipring::otlp::{Encoding, Kind, Reader, Request};

/// The columns of some rows, by name.
struct Rows<'a>(&'a RecordBatch);

impl Rows<'_> {
    fn column(&self, name: &str) -> Result<&ArrayRef> {
        let column = self.0.column_by_name(name);
        column.ok_or_else(|| ParquetError::General(format!("a file has no column {name}")))
    }

    fn text(&self, name: &str, row: usize) -> Result<&str> {
        let texts = self.column(name)?.as_string_opt::<i32>();
        Ok(texts.ok_or_else(|| odd(name))?.value(row))
    }

    fn bytes(&self, name: &str, row: usize) -> Result<&[u8]> {
        let bytes = self.column(name)?.as_binary_opt::<i32>();
        Ok(bytes.ok_or_else(|| odd(name))?.value(row))
    }

    fn time(&self, name: &str, row: usize) -> Result<i64> {
        let times = self.column(name)?.as_primitive_opt::<TimestampNanosecondType>();
        Ok(times.ok_or_else(|| odd(name))?.value(row))
    }

    fn whole(&self, name: &str, row: usize) -> Result<u64> {
        let numbers = self.column(name)?.as_primitive_opt::<UInt64Type>();
        Ok(numbers.ok_or_else(|| odd(name))?.value(row))
    }

    /// Returns a value, if there is such a column, and one in this row.
    fn value(&self, name: &str, row: usize) -> Option<f64> {
        let values = self.0.column_by_name(name)?.as_primitive_opt::<Float64Type>()?;
        (!values.is_null(row)).then(|| values.value(row))
    }

    /// Returns a record's own bytes.
    fn record(&self, table: Table, row: usize, known: &mut Known) -> Result<Vec<u8>> {
        match table {
            Table::Traces => {
                let ids = [
                    self.text("TraceId", row)?,
                    self.text("SpanId", row)?,
                    self.text("ParentSpanId", row)?,
                ];
                let start = self.time("Timestamp", row)?;
                known_of_span(known, ids, start, self.whole("Duration", row)?);
            }
            Table::Logs => {
                let ids = [self.text("TraceId", row)?, self.text("SpanId", row)?];
                known_of_log(known, ids, self.time("Timestamp", row)?, self.text("Body", row)?);
            }
            _ => {
                let (start, at) = (self.time("StartTimeUnix", row)?, self.time("TimeUnix", row)?);
                known_of_number(known, start, at, self.value("Value", row));
            }
        }
        Ok(known.fill(self.bytes(RECORD, row)?))
    }
}

fn odd(name: &str) -> ParquetError {
    ParquetError::General(format!("a file's column {name} is of another type"))
}

/// Returns the records of some rows, in their order as far as they share what is around them, and
/// the number of rows that are no records: spans made by hand may lack ids, which the protocol does
/// not allow.
pub(crate) fn records(
    table: Table,
    batch: &RecordBatch,
    reader: &Reader,
) -> Result<(Request, u64)> {
    let (kind, path): (_, &[&[u64]]) = match table {
        Table::Traces => (Kind::Traces, &TO_RECORD),
        Table::Logs => (Kind::Logs, &TO_RECORD),
        _ => (Kind::Metrics, &TO_POINT),
    };
    let rows = Rows(batch);
    let mut groups: Vec<(&[u8], Vec<Vec<u8>>)> = Vec::new();
    let mut known = Known::default();
    for row in 0..batch.num_rows() {
        let envelope = rows.bytes(ENVELOPE, row)?;
        let record = rows.record(table, row, &mut known)?;
        match groups.last_mut().filter(|(last, _)| *last == envelope) {
            Some((_, records)) => records.push(record),
            None => groups.push((envelope, vec![record])),
        }
    }
    let mut all = Request::default();
    for (envelope, records) in groups {
        let body = with_records(envelope, path, &records);
        let read = reader.read(kind, Encoding::Protobuf, body, |part| {
            all.spans.extend(part.spans);
            all.logs.extend(part.logs);
            all.points.extend(part.points);
        });
        read.map_err(|error| ParquetError::External(Box::new(error)))?;
    }
    let unreadable = batch.num_rows().saturating_sub(all.len()) as u64;
    Ok((all, unreadable))
}
