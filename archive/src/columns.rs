//! The columns of a table, filled row by row.

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, ListBuilder, MapBuilder,
    MapFieldNames, StringBuilder, TimestampNanosecondBuilder, UInt8Builder, UInt32Builder,
    UInt64Builder,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use slipring::attribute::{AttributesRef, ValueRef};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

type Map = MapBuilder<StringBuilder, StringBuilder>;

/// Beyond so many attributes, names that were seen are looked up instead of compared.
const FEW: usize = 32;

/// What a column holds.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Time,
    Text,
    Bytes,
    U8,
    U32,
    U64,
    I32,
    Flag,
    /// A double, or null if there is none.
    Double,
    /// Attributes as texts.
    Map,
    Times,
    Texts,
    U64s,
    Doubles,
    Maps,
}

enum Column {
    Time(TimestampNanosecondBuilder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    U8(UInt8Builder),
    U32(UInt32Builder),
    U64(UInt64Builder),
    I32(Int32Builder),
    Flag(BooleanBuilder),
    Double(Float64Builder),
    Map(Map),
    Times(ListBuilder<TimestampNanosecondBuilder>),
    Texts(ListBuilder<StringBuilder>),
    U64s(ListBuilder<UInt64Builder>),
    Doubles(ListBuilder<Float64Builder>),
    Maps(ListBuilder<Map>),
}

/// Rows that wait to be written. The values of a row are given column by column, in the order of the
/// table.
pub(crate) struct Columns {
    schema: SchemaRef,
    columns: Vec<Column>,
    next: usize,
    rows: usize,
}

fn map() -> Map {
    let names =
        MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    let value = Field::new("value", DataType::Utf8, false);
    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
        .with_values_field(value)
}

fn map_type() -> DataType {
    map().finish().data_type().clone()
}

fn element(data_type: DataType) -> Field {
    Field::new("element", data_type, false)
}

const TIME: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);

impl Column {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Time => Self::Time(Default::default()),
            Kind::Text => Self::Text(Default::default()),
            Kind::Bytes => Self::Bytes(Default::default()),
            Kind::U8 => Self::U8(Default::default()),
            Kind::U32 => Self::U32(Default::default()),
            Kind::U64 => Self::U64(Default::default()),
            Kind::I32 => Self::I32(Default::default()),
            Kind::Flag => Self::Flag(Default::default()),
            Kind::Double => Self::Double(Default::default()),
            Kind::Map => Self::Map(map()),
            Kind::Times => {
                Self::Times(ListBuilder::new(Default::default()).with_field(element(TIME)))
            }
            Kind::Texts => Self::Texts(
                ListBuilder::new(StringBuilder::new()).with_field(element(DataType::Utf8)),
            ),
            Kind::U64s => Self::U64s(
                ListBuilder::new(Default::default()).with_field(element(DataType::UInt64)),
            ),
            Kind::Doubles => Self::Doubles(
                ListBuilder::new(Default::default()).with_field(element(DataType::Float64)),
            ),
            Kind::Maps => Self::Maps(ListBuilder::new(map()).with_field(element(map_type()))),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Bytes(builder) => Arc::new(builder.finish()),
            Self::U8(builder) => Arc::new(builder.finish()),
            Self::U32(builder) => Arc::new(builder.finish()),
            Self::U64(builder) => Arc::new(builder.finish()),
            Self::I32(builder) => Arc::new(builder.finish()),
            Self::Flag(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Map(builder) => Arc::new(builder.finish()),
            Self::Times(builder) => Arc::new(builder.finish()),
            Self::Texts(builder) => Arc::new(builder.finish()),
            Self::U64s(builder) => Arc::new(builder.finish()),
            Self::Doubles(builder) => Arc::new(builder.finish()),
            Self::Maps(builder) => Arc::new(builder.finish()),
        }
    }
}

/// The last time that files hold, in the year 2262. DuckDB reads the one after it as infinity.
pub(crate) const LAST: i64 = i64::MAX - 1;

/// Returns a time as the files hold it: later ones are the last.
pub(crate) fn time(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or(LAST).min(LAST)
}

/// Returns a value as text: texts as they are, and lists and maps as JSON.
pub(crate) fn text(value: ValueRef<'_>) -> Cow<'_, str> {
    match value {
        ValueRef::Text(text) => Cow::Borrowed(text),
        ValueRef::Array(_) | ValueRef::Map(_) => {
            Cow::Owned(serde_json::to_string(&value).unwrap_or_default())
        }
        other => Cow::Owned(other.to_string()),
    }
}

/// Adds attributes as one map. A name that comes twice has its first value, as everywhere in
/// slipring: not all engines take maps with a key twice.
fn add_map(map: &mut Map, attributes: AttributesRef<'_>) -> Result<(), ArrowError> {
    let mut few: [&str; FEW] = [""; FEW];
    let mut many = HashSet::new();
    for (number, attribute) in attributes.iter().enumerate() {
        let is_new = if number < FEW {
            few[number] = attribute.key;
            !few[..number].contains(&attribute.key)
        } else {
            if number == FEW {
                many.extend(few);
            }
            many.insert(attribute.key)
        };
        if is_new {
            map.keys().append_value(attribute.key);
            map.values().append_value(text(attribute.value));
        }
    }
    map.append(true)
}

macro_rules! put {
    ($($name:ident $column:ident($type:ty) $(as $convert:expr)?;)*) => {$(
        pub(crate) fn $name(&mut self, value: $type) -> &mut Self {
            match self.next_column() {
                Column::$column(builder) => builder.append_value($($convert)?(value)),
                _ => unreachable!(concat!("the column is no ", stringify!($column))),
            }
            self
        }
    )*};
}

macro_rules! put_list {
    ($($name:ident $column:ident($type:ty) $(as $convert:expr)?;)*) => {$(
        pub(crate) fn $name(&mut self, values: impl IntoIterator<Item = $type>) -> &mut Self {
            match self.next_column() {
                Column::$column(builder) => {
                    for value in values {
                        builder.values().append_value($($convert)?(value));
                    }
                    builder.append(true);
                }
                _ => unreachable!(concat!("the column is no ", stringify!($column))),
            }
            self
        }
    )*};
}

impl Columns {
    pub(crate) fn new(table: &[(&str, Kind)]) -> Self {
        let mut columns: Vec<Column> = table.iter().map(|(_, kind)| Column::new(*kind)).collect();
        let field = |((name, kind), column): (&(&str, Kind), &mut Column)| {
            let data_type = column.finish().data_type().clone();
            Field::new(*name, data_type, matches!(kind, Kind::Double))
        };
        let fields: Vec<Field> = table.iter().zip(&mut columns).map(field).collect();
        Self { schema: Arc::new(Schema::new(fields)), columns, next: 0, rows: 0 }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn next_column(&mut self) -> &mut Column {
        self.next += 1;
        &mut self.columns[self.next - 1]
    }

    put! {
        time Time(u64) as time;
        text Text(&str) as std::convert::identity;
        bytes Bytes(&[u8]) as std::convert::identity;
        u8 U8(u8) as std::convert::identity;
        u32 U32(u32) as std::convert::identity;
        u64 U64(u64) as std::convert::identity;
        i32 I32(i32) as std::convert::identity;
        flag Flag(bool) as std::convert::identity;
    }

    put_list! {
        times Times(u64) as time;
        texts Texts(String) as std::convert::identity;
        u64s U64s(u64) as std::convert::identity;
        doubles Doubles(f64) as std::convert::identity;
    }

    pub(crate) fn double(&mut self, value: Option<f64>) -> &mut Self {
        match self.next_column() {
            Column::Double(builder) => builder.append_option(value),
            _ => unreachable!("the column is no Double"),
        }
        self
    }

    pub(crate) fn map(&mut self, attributes: AttributesRef<'_>) -> Result<&mut Self, ArrowError> {
        match self.next_column() {
            Column::Map(builder) => add_map(builder, attributes)?,
            _ => unreachable!("the column is no Map"),
        }
        Ok(self)
    }

    pub(crate) fn maps<'a>(
        &mut self,
        lists: impl IntoIterator<Item = AttributesRef<'a>>,
    ) -> Result<&mut Self, ArrowError> {
        match self.next_column() {
            Column::Maps(builder) => {
                for attributes in lists {
                    add_map(builder.values(), attributes)?;
                }
                builder.append(true);
            }
            _ => unreachable!("the column is no Maps"),
        }
        Ok(self)
    }

    /// Ends a row.
    pub(crate) fn end_row(&mut self) {
        debug_assert_eq!(self.next, self.columns.len(), "a row lacks columns");
        self.next = 0;
        self.rows += 1;
    }

    /// Takes the rows.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_what_duckdb_reads_as_infinity() {
        let most = i64::MAX as u64;
        assert_eq!([most - 2, most - 1].map(time), [i64::MAX - 2, i64::MAX - 1]);
        assert_eq!([most, most + 1, u64::MAX].map(time), [i64::MAX - 1; 3]);
    }
}
