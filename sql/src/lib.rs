//! One SQL over [`slipring`]'s stores and the Parquet files behind them, by
//! [DataFusion](https://datafusion.apache.org).
//!
//! A [`Snapshot`] takes stores and files at one moment: of each store the records that came before a
//! bookmark, and the files with what has left by then. [`register`] makes its tables known to a
//! session, with the names and columns of the files: `otel_traces`, `otel_logs` and five
//! `otel_metrics_…`. So a question counts each record once, wherever it is, and questions that are
//! joined speak of the same moment.
//!
//! ```
//! use datafusion::prelude::SessionContext;
//! use slipring::{Span, Telemetry};
//! use slipring_archive::{Archive, Place, Settings, Snapshot};
//! use std::time::Duration;
//!
//! let folder = tempfile::tempdir()?;
//! let telemetry = Telemetry::builder().traces(100).build()?;
//! let place = Place::open(folder.path().to_str().unwrap())?;
//! let archive = Archive::start(&telemetry, place, &Settings::default())?;
//! for id in 1..=500_u64 {
//!     telemetry.traces().push(Span::builder().trace_id(7).span_id(id).name("GET /").build())?;
//! }
//!
//! let session = SessionContext::new();
//! let snapshot = Snapshot::take(&telemetry, &archive, Duration::from_secs(60))?;
//! slipring_sql::register(&session, &snapshot)?;
//! let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! let spans = runtime.block_on(async {
//!     session.sql("SELECT * FROM otel_traces WHERE \"SpanName\" = 'GET /'").await?.count().await
//! })?;
//! assert_eq!(spans, 500);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it costs
//!
//! A snapshot holds what the stores hold as Parquet, packed, and has what waits for its file written.
//! Questions read columns and row groups as they need them; files of hours that a question rules out
//! by its time column are not opened. Memory and time are bounded by the session's own settings.
//!
//! A snapshot holds no file back. If a file was merged into another or deleted since, a question
//! fails with the object store's word that it is not there: take another snapshot.
//!
//! DataFusion turns names without quotes into lower case, and the columns have capitals: write
//! `"SpanName"`. `docs/HISTORY.md` has examples.

#![deny(missing_docs)]

mod store;
mod table;

use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::error::Result;
use datafusion::object_store::memory::InMemory;
use datafusion::prelude::SessionContext;
use slipring_archive::Snapshot;
use std::sync::Arc;
use store::OfSnapshot;
use table::Whole;

/// Makes the tables of a snapshot known to a session. Those of an earlier one are replaced: questions
/// that have been planned go on with theirs. A session lets go of the snapshot before once the last of
/// these has ended.
///
/// # Errors
/// If the session takes no tables of these names.
pub fn register(session: &SessionContext, snapshot: &Snapshot) -> Result<()> {
    // A plan names a store of the session, though its tables read from the snapshot themselves.
    session.register_object_store(table::url()?.as_ref(), Arc::new(InMemory::new()));
    let store = Arc::new(OfSnapshot::of(snapshot));
    let readers = Arc::new(DefaultParquetFileReaderFactory::new(store));
    for part in snapshot.parts() {
        let table = Whole::of(part, Arc::clone(&readers) as _)?;
        session.deregister_table(part.table.name())?;
        session.register_table(part.table.name(), Arc::new(table))?;
    }
    Ok(())
}
