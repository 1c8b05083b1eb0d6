//! Rows of tables, straight from what records show of themselves.

mod envelope;
mod logs;
mod points;
mod spans;

pub(crate) use envelope::{Envelopes, addresses};
pub(crate) use logs::known_of_log;
pub(crate) use points::known_of_number;
pub(crate) use spans::known_of_span;

use crate::blank::Known;
use crate::columns::{Columns, Kind};
use crate::table::Table;
use arrow_schema::ArrowError;
use slipring::otlp::{Encoding, Exported, encode};
use slipring::{LogRecord, MetricPoint, Source, Span};

/// The column of the bytes around a record: its resource and its scope, and a point's metric.
pub(crate) const ENVELOPE: &str = "OtlpEnvelope";

/// The column of a record's own bytes, see `blank`.
pub(crate) const RECORD: &str = "OtlpRecord";

/// What rows are written with.
pub(crate) struct Writing {
    pub(crate) columns: Columns,
    envelopes: Envelopes,
    known: Known,
    blanked: Vec<u8>,
}

/// A record that becomes a row.
pub(crate) trait Row: Exported + Clone {
    /// Returns the table that has a row for this record.
    fn table(&self) -> Option<Table>;

    fn shared(&self) -> &Source;

    fn own_bytes(&self) -> &[u8];

    /// Returns a record of this source that has no bytes.
    fn empty(source: &Source) -> Self;

    /// Puts records into the order of a file.
    fn sort(records: &mut [Self]);

    fn write(&self, writing: &mut Writing) -> Result<(), ArrowError>;

    /// Writes each record alone, so that it retains no request.
    fn detach_all(records: &mut [Self]);
}

/// Returns the columns of a table.
pub(crate) fn columns_of(table: Table) -> Vec<(&'static str, Kind)> {
    let mut columns = match table {
        Table::Traces => spans::COLUMNS.to_vec(),
        Table::Logs => logs::COLUMNS.to_vec(),
        metric => points::columns_of(metric),
    };
    columns.extend([(ENVELOPE, Kind::Bytes), (RECORD, Kind::Bytes)]);
    columns
}

impl Writing {
    pub(crate) fn new(table: Table) -> Self {
        Self {
            columns: Columns::new(&columns_of(table)),
            envelopes: Envelopes::default(),
            known: Known::default(),
            blanked: Vec::new(),
        }
    }

    /// Ends a row with the columns of bytes. What its other columns know of them is in `known`.
    fn end_row<T: Row>(&mut self, record: &T) {
        let envelope = self.envelopes.of(record);
        self.known.blank(record.own_bytes(), &mut self.blanked);
        self.columns.bytes(envelope).bytes(&self.blanked).end_row();
    }
}

/// Encodes a request with one record of this source, which has no bytes.
fn envelope<T: Row>(source: &Source) -> Vec<u8> {
    encode([&T::empty(source)], Encoding::Protobuf)
}

/// Returns an id's digits, or nothing if it is not set.
fn digits(id: Option<impl ToString>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

macro_rules! row {
    ($record:ident, $table:expr, $sort:expr, $write:expr) => {
        impl Row for $record {
            fn table(&self) -> Option<Table> {
                $table(self)
            }

            fn shared(&self) -> &Source {
                self.source()
            }

            fn own_bytes(&self) -> &[u8] {
                self.bytes()
            }

            fn empty(source: &Source) -> Self {
                Self::builder().source(source).build()
            }

            fn sort(records: &mut [Self]) {
                $sort(records)
            }

            fn write(&self, writing: &mut Writing) -> Result<(), ArrowError> {
                $write(self, writing)
            }

            fn detach_all(records: &mut [Self]) {
                Self::detach_together(records);
            }
        }
    };
}

row!(Span, |_: &Span| Some(Table::Traces), spans::sort, spans::write);
row!(LogRecord, |_: &LogRecord| Some(Table::Logs), logs::sort, logs::write);
row!(MetricPoint, points::table, points::sort, points::write);
