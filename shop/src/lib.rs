//! A seeded generator of a web shop's telemetry, for slipring's examples, benches and tests.
//!
//! Twelve services in 30 instances serve visitors. The same seed yields the same telemetry on every
//! machine. Shops with different seeds never create the same trace id.
//!
//! - **Traces** of 1 to 100 spans: health checks and assets have one or two, pages about twenty, and
//!   orders up to a hundred. A refresh of the search index nests deepest. Endpoints and products
//!   follow Zipf's law. Calls fan out, fail and are retried; each retry links to the previous
//!   attempt. A failed call may or may not fail its caller. One service after the other has an
//!   incident, so that errors come in bursts. The event of an exception has a stack trace of some
//!   KiB. Occasionally a statement or a body is as large.
//! - **Logs** for about two fifths of the spans, with their trace ids: about 80 % information, 15 %
//!   debugging, 4 % warnings and 1 % errors. A few belong to no trace.
//! - **Metrics** of over a hundred names: cumulative and delta sums, gauges, histograms with
//!   exemplars, exponential histograms and summaries, about two thousand points per scrape.
//!
//! The shop has its own clock. It starts at [`START`]. Each request advances it by some
//! milliseconds, and each scrape to ten seconds after the previous scrape.
//!
//! ```
//! let mut shop = shop::Shop::new(7);
//! let shop::Request { spans, logs } = shop.request();
//! assert!(spans.iter().all(|span| span.trace_id() == spans[0].trace_id()));
//! assert!(logs.iter().all(|log| log.time_unix_nanos() >= shop::START));
//! assert!(shop.metrics().len() > 1_000);
//!
//! assert!(shop.spans().take(1_000).any(|span| span.name() == "GET /product/{id}"));
//! ```
//!
//! [`fixed`] has records of fixed sizes without heap memory, for benches in which creating a record
//! must cost next to nothing.

#![deny(missing_docs)]

mod failure;
pub mod fixed;
mod fleet;
mod ids;
pub mod load;
mod logs;
mod metrics;
mod plan;
mod rng;
mod semantics;
mod service;
mod skew;
mod visit;
mod walk;

#[cfg(test)]
mod tests;

use std::iter::repeat_with;

use slipring::span::SpanKind;
use slipring::{LogRecord, MetricPoint, Span};

use fleet::Fleet;
use ids::Ids;
use logs::Logs;
use metrics::{Meters, Recent};
use plan::ROOTS;
use rng::Rng;
use service::Service;
use skew::Skew;
use visit::Visits;
use walk::Walk;

/// The default opening time of a shop: the start of 2026 (UTC), in nanoseconds since the Unix
/// epoch.
pub const START: u64 = 1_767_225_600_000_000_000;

/// The time between two scrapes, in nanoseconds.
pub const SCRAPE_INTERVAL: u64 = 10_000_000_000;

/// The maximum time between two requests, in nanoseconds: 200 requests per second.
const GAP: u64 = 10_000_000;

/// A web shop with an endless stream of visitors.
pub struct Shop {
    fleet: Fleet,
    ids: Ids,
    rng: Rng,
    roots: Skew,
    visits: Visits,
    logs: Logs,
    meters: Meters,
    recent: Recent,
    /// The service that has an incident, and the time at which the incident ends.
    trouble: Option<(Service, u64)>,
    now: u64,
    scraped: u64,
}

/// The telemetry of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The spans of its trace, in the order in which they ended.
    pub spans: Vec<Span>,
    /// The log records of these spans, ordered by time.
    pub logs: Vec<LogRecord>,
}

impl Shop {
    /// Creates the shop with this seed, which opens at [`START`].
    pub fn new(seed: u64) -> Self {
        Self::opening_at(seed, START)
    }

    /// Creates the shop with this seed, which opens at this time, in nanoseconds since the Unix
    /// epoch.
    pub fn opening_at(seed: u64, now: u64) -> Self {
        let fleet = Fleet::new(seed, now);
        let meters = Meters::new(seed, &fleet, now);
        let weights: Vec<u64> = ROOTS.iter().map(|(_, weight)| *weight).collect();
        Self {
            fleet,
            ids: Ids::new(seed),
            rng: Rng::new(seed, 0x0074_7261_6365_7300),
            roots: Skew::of(&weights),
            visits: Visits::new(),
            logs: Logs::new(seed),
            meters,
            recent: Recent::default(),
            trouble: None,
            now,
            scraped: now,
        }
    }

    /// Returns the shop's time, in nanoseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Generates the next request's trace. Returns its spans in the order in which they ended, as
    /// an exporter receives them.
    pub fn trace(&mut self) -> Vec<Span> {
        self.now += self.rng.below(GAP);
        self.incident();
        let (root, _) = ROOTS[usize::from(self.roots.draw(&mut self.rng))];
        let visit = self.visits.next(&mut self.rng);
        let trouble = self.trouble.map(|(service, _)| service);
        let spans = Walk::new(&self.fleet, &mut self.ids, &mut self.rng, visit, trouble)
            .run(root, self.now);
        for span in spans.iter().filter(|span| span.kind() != SpanKind::Client) {
            if let Some(service) =
                Service::ALL.iter().position(|one| span.service() == one.facts().name)
            {
                self.recent[service] = Some((span.trace_id(), span.span_id()));
            }
        }
        spans
    }

    /// Generates the log records of these spans, ordered by time. They differ from call to call, as
    /// in two runs of the same request.
    pub fn logs_of(&mut self, spans: &[Span]) -> Vec<LogRecord> {
        self.logs.of(spans)
    }

    /// Generates the next request's spans and log records.
    pub fn request(&mut self) -> Request {
        let spans = self.trace();
        let logs = self.logs_of(&spans);
        Request { spans, logs }
    }

    /// Scrapes all instances, [`SCRAPE_INTERVAL`] after the previous scrape, or at the current time
    /// if that is later.
    pub fn metrics(&mut self) -> Vec<MetricPoint> {
        self.now = self.now.max(self.scraped + SCRAPE_INTERVAL);
        self.scraped = self.now;
        self.meters.scrape(&self.fleet, &self.recent, self.now)
    }

    /// Returns an endless iterator of requests.
    pub fn requests(&mut self) -> impl Iterator<Item = Request> {
        repeat_with(|| self.request())
    }

    /// Returns an endless iterator of spans, trace by trace.
    pub fn spans(&mut self) -> impl Iterator<Item = Span> {
        repeat_with(|| self.trace()).flatten()
    }

    /// Returns an endless iterator of log records, trace by trace.
    pub fn logs(&mut self) -> impl Iterator<Item = LogRecord> {
        repeat_with(|| self.request().logs).flatten()
    }

    /// Returns an endless iterator of metric points, scrape by scrape.
    pub fn points(&mut self) -> impl Iterator<Item = MetricPoint> {
        repeat_with(|| self.metrics()).flatten()
    }

    /// Ends an incident that is over, or begins one: about every minute, for one to three seconds.
    fn incident(&mut self) {
        match self.trouble {
            Some((_, until)) if until <= self.now => self.trouble = None,
            None if self.rng.below(12_000) == 0 => {
                let service = self.rng.pick(&Service::ALL);
                self.trouble =
                    Some((service, self.now + self.rng.between(1_000_000_000, 3_000_000_000)));
            }
            _ => {}
        }
    }
}
