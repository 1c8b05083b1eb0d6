//! Writes OTLP files into Parquet, says what that takes, and reads a trace and all spans back.
//!
//! `cargo run --release -p slipring-archive --example fill -- FOLDER FILE.jsonl…`
//!
//! The folder may also be the URL of a place on S3, with the feature `s3`.
//!
//! Each line of a file is an export request in JSON. Without files, the shop's telemetry is written.

use slipring::otlp::{Encoding, Request, encode};
use slipring::{Telemetry, otlp::Kind};
use slipring_archive::{Archive, Place, Settings};
use std::error::Error;
use std::time::Instant;

/// Requests as senders send them.
type Requests = Vec<(Kind, Vec<u8>)>;

/// Returns the requests of all files, as most senders send them.
fn requests(files: &[String]) -> Result<Requests, Box<dyn Error>> {
    let mut requests = Requests::new();
    let mut add = |request: Request| {
        if !request.spans.is_empty() {
            requests.push((Kind::Traces, encode(&request.spans, Encoding::Protobuf)));
        }
        if !request.logs.is_empty() {
            requests.push((Kind::Logs, encode(&request.logs, Encoding::Protobuf)));
        }
        if !request.points.is_empty() {
            requests.push((Kind::Metrics, encode(&request.points, Encoding::Protobuf)));
        }
    };
    for file in files {
        let text = std::fs::read(file)?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for line in lines {
            add(Request::read_json(line)?);
        }
    }
    if files.is_empty() {
        let mut shop = shop::Shop::new(7);
        for number in 0..2_000 {
            let shop::Request { spans, logs } = shop.request();
            let points = if number % 200 == 0 { shop.metrics() } else { Vec::new() };
            let mut request = Request::default();
            (request.spans, request.logs, request.points) = (spans, logs, points);
            add(request);
        }
    }
    Ok(requests)
}

/// Returns the bytes of a body as senders pack it.
fn gzip(body: &[u8]) -> usize {
    let mut packed = Vec::new();
    let mut reader = flate2::read::GzEncoder::new(body, flate2::Compression::default());
    std::io::Read::read_to_end(&mut reader, &mut packed).unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("give a folder to write to")?;
    let requests = requests(&arguments.collect::<Vec<_>>())?;
    let wire: usize = requests.iter().map(|(_, body)| body.len()).sum();
    let packed: usize = requests.iter().map(|(_, body)| gzip(body)).sum();

    // Small stores: nearly all passes the hooks and the queue.
    let telemetry = Telemetry::builder().traces(1_000).logs(1_000).metrics(1_000).build()?;
    let mut settings = Settings::default();
    // Nothing may be lost here, however slow the disk is.
    settings.queue_records = 1 << 20;
    settings.queue_bytes = 1 << 30;
    let archive = Archive::start(&telemetry, Place::open(&folder)?, &settings)?;
    let began = Instant::now();
    let (mut rejected, mut first) = (0, None);
    for (kind, body) in requests {
        if kind == Kind::Traces && first.is_none() {
            first = Request::read(kind, Encoding::Protobuf, &body)?.spans.first().cloned();
        }
        rejected += telemetry.ingest(kind, Encoding::Protobuf, body)?.records();
    }
    let stats = archive.finish()?;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} records in {} files: {wire} bytes on the wire, {packed} of these gzipped, {} in files, {:.1} a record",
        stats.written,
        stats.files,
        stats.written_bytes,
        stats.written_bytes as f64 / stats.written.max(1) as f64
    );
    println!(
        "{:.0} records/s; {} lost, {rejected} rejected",
        stats.written as f64 / seconds,
        stats.lost.total()
    );
    if let Some(span) = first {
        let found = archive.files().trace(span.trace_id())?;
        let report = &found.report;
        println!(
            "trace {}: {} spans and {} log records from {} of {} row groups, {} bytes in {} requests",
            span.trace_id(),
            found.spans.len(),
            found.logs.len(),
            report.row_groups_read,
            report.row_groups,
            report.bytes_read,
            report.requests
        );
        let all = archive.files().spans(0..u64::MAX)?;
        println!("{} spans read back, complete: {}", all.spans.len(), all.report.complete);
    }
    Ok(())
}
