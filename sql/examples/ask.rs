//! Asks stores and the files behind them in SQL.
//!
//! `cargo run --example ask -- SQL FILE.jsonl…`
//!
//! Each line of a file is an export request in JSON. Stores hold a thousand records of each signal; the
//! others are in files.

use datafusion::prelude::SessionContext;
use slipring::Telemetry;
use slipring::otlp::Request;
use slipring_archive::{Archive, Place, Settings, Snapshot};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let sql = arguments.next().ok_or("give a question in SQL, and files")?;
    let folder = tempfile::tempdir()?;
    let telemetry = Telemetry::builder().traces(1_000).logs(1_000).metrics(1_000).build()?;
    let place = Place::open(folder.path().to_str().ok_or("the folder's name is no text")?)?;
    let archive = Archive::start(&telemetry, place, &Settings::default())?;
    for file in arguments {
        let text = std::fs::read(file)?;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let request = Request::read_json(line)?;
            telemetry.traces().push_batch(request.spans)?;
            telemetry.logs().push_batch(request.logs)?;
            telemetry.metrics().push_batch(request.points)?;
        }
    }
    let snapshot = Snapshot::take(&telemetry, &archive, Duration::from_secs(60))?;
    eprintln!("{:?}", snapshot.report());
    let session = SessionContext::new();
    slipring_sql::register(&session, &snapshot)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    runtime.block_on(async { session.sql(&sql).await?.show().await })?;
    Ok(())
}
