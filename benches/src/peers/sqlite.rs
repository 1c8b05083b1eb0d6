//! SQLite in memory, with a table of records and three indexes.

use super::{Peer, Producer, Record};
use parking_lot::Mutex;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql, params};
use shop::fixed::{FixedLog, FixedMetric, FixedSpan};
use slipring::Indexes as _;
use slipring::{Key, KeyBuf};
use std::marker::PhantomData;

/// A record that can be converted to bytes and back.
pub trait Plain: Record {
    /// Appends the record's bytes.
    fn write(&self, bytes: &mut Vec<u8>);
    /// Reads a record from its bytes.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! plain {
    ($($record:ident)*) => {$(
        impl Plain for $record {
            fn write(&self, bytes: &mut Vec<u8>) {
                $record::write(self, bytes);
            }

            fn read(bytes: &[u8]) -> Self {
                $record::read(bytes)
            }
        }
    )*};
}

plain!(FixedSpan FixedLog FixedMetric);

/// One connection under a lock, with prepared statements, no journal, and one transaction that
/// never ends. A new record replaces the one in its row.
pub struct Sqlite<T> {
    database: Mutex<Database>,
    capacity: i64,
    record: PhantomData<fn() -> T>,
}

struct Database {
    connection: Connection,
    next: i64,
    bytes: Vec<u8>,
}

struct Column<'a>(Option<Key<'a>>);

impl ToSql for Column<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            None => ToSqlOutput::Owned(Value::Null),
            Some(Key::Int(number)) => ToSqlOutput::Owned(Value::Integer(number as i64)),
            Some(Key::Id(id)) => ToSqlOutput::Owned(Value::Blob(id.to_be_bytes().into())),
            Some(Key::Text(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Some(Key::Bytes(bytes)) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Some(other) => panic!("a key of a new kind: {other:?}"),
        })
    }
}

impl<T: Plain> Peer<T> for Sqlite<T> {
    const NAME: &'static str = "SQLite in memory";
    const SLOW: bool = true;

    fn new(capacity: usize, _: usize) -> Self {
        let connection = Connection::open_in_memory().expect("SQLite works without a file");
        connection
            .execute_batch(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
                 CREATE TABLE records (place INTEGER PRIMARY KEY, sequence INTEGER, k0, k1, k2, record BLOB NOT NULL);
                 CREATE INDEX i0 ON records (k0, sequence);
                 CREATE INDEX i1 ON records (k1, sequence);
                 CREATE INDEX i2 ON records (k2, sequence);
                 BEGIN;",
            )
            .expect("the schema is right");
        let database = Mutex::new(Database { connection, next: 0, bytes: Vec::new() });
        Self { database, capacity: capacity as i64, record: PhantomData }
    }

    fn producer(&self, _: usize) -> impl Producer<T> + '_ {
        self
    }

    fn lookup(&self, index: usize, key: Key<'_>, limit: usize) -> Vec<T> {
        let database = self.database.lock();
        let query =
            format!("SELECT record FROM records WHERE k{index} = ? ORDER BY sequence DESC LIMIT ?");
        let mut statement = database.connection.prepare_cached(&query).expect("the query is right");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = statement.query_map(params![Column(Some(key)), limit], |row| {
            let bytes = row.get_ref(0)?.as_blob()?;
            Ok(T::read(bytes))
        });
        found.expect("the query runs").map(|record| record.expect("the record is a blob")).collect()
    }

    fn keys(&self, index: usize) -> Vec<(KeyBuf, u64)> {
        let database = self.database.lock();
        let query = format!(
            "SELECT k{index}, count(*) FROM records WHERE k{index} IS NOT NULL GROUP BY k{index}"
        );
        let mut statement = database.connection.prepare_cached(&query).expect("the query is right");
        let found = statement.query_map([], |row| {
            let key = match row.get_ref(0)? {
                ValueRef::Integer(number) => KeyBuf::Int(number as u64),
                ValueRef::Blob(id) => {
                    KeyBuf::Id(u128::from_be_bytes(id.try_into().expect("ids have 16 bytes")))
                }
                ValueRef::Text(text) => KeyBuf::Text(String::from_utf8_lossy(text).into()),
                other => panic!("keys are integers, blobs or texts, not {other:?}"),
            };
            Ok((key, row.get::<_, i64>(1)? as u64))
        });
        found.expect("the query runs").map(|key| key.expect("keys can be read")).collect()
    }
}

impl<T: Plain> Sqlite<T> {
    fn insert(&self, database: &mut Database, record: &T) {
        database.bytes.clear();
        record.write(&mut database.bytes);
        let insert = "REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)";
        let mut insert =
            database.connection.prepare_cached(insert).expect("the statement is right");
        let (place, key) = (database.next % self.capacity, |index: usize| {
            Column(T::INDEXES.as_slice()[index].key(record))
        });
        let values = params![place, database.next, key(0), key(1), key(2), database.bytes];
        insert.execute(values).expect("the insertion succeeds");
        database.next += 1;
    }
}

impl<T: Plain> Producer<T> for &Sqlite<T> {
    fn push(&mut self, record: T) {
        self.insert(&mut self.database.lock(), &record);
    }

    fn push_batch(&mut self, records: Vec<T>) {
        let mut database = self.database.lock();
        records.iter().for_each(|record| self.insert(&mut database, record));
    }
}
