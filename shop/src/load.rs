//! Load for stores: prepared requests that are pushed again and again, each time in traces of their
//! own.

use crate::{Request, Shop};
use slipring::error::Rejection;
use slipring::span::{SpanLink, SpanLinkRef};
use slipring::{LogRecord, MetricPoint, Signal, Span, Store, Telemetry, TraceId};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Metric points that come with a request. The shop scrapes more seldom, but then they would hardly
/// fill their store.
const POINTS: usize = 10;

/// Requests, each with some metric points.
pub type Pool = Vec<(Request, Vec<MetricPoint>)>;

/// Prepares so many requests, and counts them in `made`.
pub fn prepare(mut shop: Shop, requests: u64, made: &AtomicU64) -> Pool {
    let mut scrape = Vec::new().into_iter();
    let mut request = |_| {
        if scrape.len() < POINTS {
            scrape = shop.metrics().into_iter();
        }
        made.fetch_add(1, Relaxed);
        (shop.request(), scrape.by_ref().take(POINTS).collect())
    };
    (0..requests).map(&mut request).collect()
}

/// Pushes these and returns how many there were. The store counts what it refuses.
fn offer<T: Signal>(store: &Store<T>, records: Vec<T>) -> Result<u64, Rejection> {
    let offered = records.len() as u64;
    match store.push_batch(records) {
        Err(error) if error.reason == Rejection::Closed => Err(error.reason),
        Ok(_) | Err(_) => Ok(offered),
    }
}

/// Pushes a pool round after round until `over` is set. Returns how many spans, log records and
/// points it pushed.
///
/// # Errors
/// If a store is closed.
pub fn push(telemetry: &Telemetry, pool: &Pool, over: &AtomicBool) -> Result<[u64; 3], Rejection> {
    let mut pushed = [0; 3];
    for (number, (request, points)) in pool.iter().cycle().enumerate() {
        if over.load(Relaxed) {
            break;
        }
        let Request { spans, logs } = again(request, (number / pool.len()) as u128);
        pushed[0] += offer(telemetry.traces(), spans)?;
        pushed[1] += offer(telemetry.logs(), logs)?;
        pushed[2] += offer(telemetry.metrics(), points.clone())?;
    }
    Ok(pushed)
}

/// Returns the request as it would come after so many laps: the same, but in a trace of its own.
fn again(request: &Request, lap: u128) -> Request {
    let anew = |trace: TraceId| TraceId::from(u128::from(trace) ^ lap << 64);
    let link = |link: SpanLinkRef<'_>| SpanLink {
        trace_id: anew(link.trace_id()),
        span_id: link.span_id(),
        trace_state: link.trace_state().into(),
        attributes: link.attributes().to_attributes(),
        dropped_attributes_count: link.dropped_attributes_count(),
        flags: link.flags(),
    };
    let span = |span: &Span| {
        let links: Vec<SpanLink> = span.links().iter().map(link).collect();
        span.to_builder().trace_id(anew(span.trace_id())).without_links().links(&links).build()
    };
    let log = |log: &LogRecord| match log.trace_id() {
        Some(trace) => log.to_builder().trace_id(anew(trace)).build(),
        None => log.clone(),
    };
    Request {
        spans: request.spans.iter().map(span).collect(),
        logs: request.logs.iter().map(log).collect(),
    }
}
