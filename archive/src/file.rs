//! Records to a Parquet file in memory.

use crate::columns::Kind;
use crate::queue::source_bytes;
use crate::rows::{ENVELOPE, RECORD, Row, Writing, columns_of};
use crate::settings::Settings;
use crate::table::Table;
use arrow_schema::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;

/// Rows that are converted at a time.
const AT_ONCE: usize = 2_048;

/// Bytes of records with what is around them that are converted at a time. As texts they may take six
/// times as much, and a column of texts holds no more than 2 GiB.
const BYTES_AT_ONCE: usize = 32 << 20;

/// Bytes of a column's dictionary, beyond which its further values are not in it.
const DICTIONARY: usize = 1 << 20;

/// Bytes of the dictionary of envelopes, which are large and few.
const ENVELOPES: usize = 8 << 20;

/// The level of compression of ids. A higher one finds texts of digits in each other, and what it writes
/// of that takes more than the digits.
const IDS: i32 = 1;

/// How much higher the level is of the records' own bytes, which are much alike.
const MORE: i32 = 3;

/// The highest level.
const MOST: i32 = 22;

/// Texts that differ from row to row, or nearly so.
const NO_DICTIONARY: [&str; 1] = ["Body"];

/// Ids, in digits, that differ from row to row.
const RANDOM: [&str; 2] = ["SpanId", "ParentSpanId"];

fn path(parts: &[&str]) -> ColumnPath {
    ColumnPath::new(parts.iter().map(|part| (*part).to_owned()).collect())
}

/// Sets what suits a column of this kind.
fn with_column(
    builder: WriterPropertiesBuilder,
    name: &str,
    kind: Kind,
    level: i32,
) -> Result<WriterPropertiesBuilder, ParquetError> {
    let zstd = |level| Ok::<_, ParquetError>(Compression::ZSTD(ZstdLevel::try_new(level)?));
    let plain = path(&[name]);
    let element = path(&[name, "list", "element"]);
    let without = |builder: WriterPropertiesBuilder, path: ColumnPath, encoding| {
        builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, encoding)
    };
    Ok(match kind {
        Kind::Time => without(builder, plain.clone(), Encoding::DELTA_BINARY_PACKED)
            .set_column_statistics_enabled(plain, EnabledStatistics::Page),
        Kind::U64 => without(builder, plain, Encoding::DELTA_BINARY_PACKED),
        Kind::Times => without(builder, element, Encoding::DELTA_BINARY_PACKED),
        Kind::Double => without(builder, plain, Encoding::BYTE_STREAM_SPLIT),
        _ if name == "TraceId" => builder
            .set_column_bloom_filter_enabled(plain.clone(), true)
            .set_column_bloom_filter_fpp(plain, 0.01),
        _ if name == ENVELOPE => builder
            .set_column_dictionary_page_size_limit(plain.clone(), ENVELOPES)
            .set_column_statistics_enabled(plain, EnabledStatistics::None),
        _ if name == RECORD => without(builder, plain.clone(), Encoding::PLAIN)
            .set_column_compression(plain.clone(), zstd((level + MORE).min(MOST))?)
            .set_column_statistics_enabled(plain, EnabledStatistics::None),
        _ if RANDOM.contains(&name) => builder
            .set_column_compression(plain.clone(), zstd(IDS)?)
            .set_column_dictionary_enabled(plain, false),
        _ if NO_DICTIONARY.contains(&name) => builder.set_column_dictionary_enabled(plain, false),
        _ => builder,
    })
}

fn properties(
    table: Table,
    settings: &Settings,
    schema: &Schema,
) -> Result<WriterProperties, ParquetError> {
    let level = ZstdLevel::try_new(settings.zstd_level)?;
    let fields = schema.fields();
    let sorted_by = table.order().iter().filter_map(|name| {
        // No column before those that order a table has more than one leaf, except for maps.
        let leaf = fields.iter().take_while(|field| field.name() != name);
        let leaves =
            leaf.map(|field| 1 + usize::from(field.data_type().is_nested())).sum::<usize>();
        let column_idx = i32::try_from(leaves).ok()?;
        Some(SortingColumn { column_idx, descending: false, nulls_first: false })
    });
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("slipring ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_page_size_limit(DICTIONARY)
        .set_max_row_group_row_count(Some(settings.row_group_records))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(sorted_by.collect()));
    for (name, kind) in columns_of(table) {
        builder = with_column(builder, name, kind, settings.zstd_level)?;
    }
    Ok(builder.build())
}

/// Returns how many of these records are converted at a time: one at least.
fn fitting<T: Row>(records: &[T]) -> usize {
    let mut bytes = 0;
    let fits = |record: &&T| {
        bytes += record.own_bytes().len() + source_bytes(record.shared());
        bytes <= BYTES_AT_ONCE
    };
    records.iter().take(AT_ONCE).take_while(fits).count().max(1)
}

/// Begins a file in memory.
pub(crate) fn writer(
    table: Table,
    settings: &Settings,
    schema: SchemaRef,
) -> Result<ArrowWriter<Vec<u8>>, ParquetError> {
    let properties = properties(table, settings, &schema)?;
    ArrowWriter::try_new(Vec::new(), schema, Some(properties))
}

/// Writes records into a file, sorted. If `is_late` says so between some rows and the next, there is no
/// file.
pub(crate) fn encode<T: Row>(
    table: Table,
    records: &mut [T],
    settings: &Settings,
    is_late: &dyn Fn() -> bool,
) -> Result<Option<Vec<u8>>, ParquetError> {
    T::sort(records);
    let mut writing = Writing::new(table);
    let mut writer = writer(table, settings, writing.columns.schema().clone())?;
    let mut left = &*records;
    while !left.is_empty() {
        if is_late() {
            return Ok(None);
        }
        let (rows, others) = left.split_at(fitting(left));
        left = others;
        rows.iter().try_for_each(|record| record.write(&mut writing))?;
        writer.write(&writing.columns.take()?)?;
    }
    writer.into_inner().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::{Resource, Scope, Source, Span};

    #[test]
    fn a_file_that_would_be_late_is_given_up_between_rows() {
        let mut spans = vec![Span::builder().trace_id(1).span_id(2).build(); 3 * AT_ONCE];
        let asked = std::cell::Cell::new(0);
        let mut encode = |late: usize| {
            asked.set(0);
            let is_late = || {
                asked.set(asked.get() + 1);
                asked.get() > late
            };
            encode(Table::Traces, &mut spans, &Settings::default(), &is_late).unwrap()
        };
        assert!(encode(2).is_none());
        assert!(encode(3).is_some());
        assert_eq!(asked.get(), 3);
    }

    #[test]
    fn a_large_resource_is_not_converted_for_thousands_of_rows_at_once() {
        let spans = |bytes: usize| {
            let resource = Resource::new([("a", "x".repeat(bytes))]);
            let source = Source::new(&resource, &Scope::default());
            vec![Span::builder().source(&source).build(); 5_000]
        };
        assert_eq!(fitting(&spans(10)), AT_ONCE);
        let some = fitting(&spans(1 << 20));
        assert!((10..=32).contains(&some), "{some}");
        assert_eq!(fitting(&spans(40 << 20)[..2]), 1);
        assert_eq!(fitting(&spans(10)[..3]), 3);
    }
}
