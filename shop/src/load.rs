//! Load for stores: prepared requests that are pushed repeatedly, each time in new traces.

use crate::{Request, Shop};
use slipring::error::Rejection;
use slipring::span::{SpanLink, SpanLinkRef};
use slipring::{LogRecord, MetricPoint, Signal, Span, Store, Telemetry, TraceId};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The number of metric points that accompany a request. The shop scrapes more rarely, but at that
/// rate the points would hardly fill their store.
const POINTS: usize = 10;

/// Prepared requests, each with some metric points.
pub type Pool = Vec<(Request, Vec<MetricPoint>)>;

/// Prepares this many requests, and counts them in `made`.
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

/// Pushes records and returns their number. The number includes records that a full store rejects,
/// which the store's statistics count.
fn offer<T: Signal>(store: &Store<T>, records: Vec<T>) -> Result<u64, Rejection> {
    let offered = records.len() as u64;
    match store.push_batch(records) {
        Err(error) if error.reason == Rejection::Closed => Err(error.reason),
        Ok(_) | Err(_) => Ok(offered),
    }
}

/// Pushes a pool repeatedly until `over` is set. Returns the numbers of spans, log records and
/// points that it pushed.
///
/// # Errors
/// If a store is closed.
pub fn push(telemetry: &Telemetry, pool: &Pool, over: &AtomicBool) -> Result<[u64; 3], Rejection> {
    let mut pushed = [0; 3];
    for (number, (request, points)) in pool.iter().cycle().enumerate() {
        if over.load(Relaxed) {
            break;
        }
        let Request { spans, logs } = in_lap(request, (number / pool.len()) as u128);
        pushed[0] += offer(telemetry.traces(), spans)?;
        pushed[1] += offer(telemetry.logs(), logs)?;
        pushed[2] += offer(telemetry.metrics(), points.clone())?;
    }
    Ok(pushed)
}

/// Returns the request as it is pushed in this lap: the same, but in a trace of its own.
fn in_lap(request: &Request, lap: u128) -> Request {
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
