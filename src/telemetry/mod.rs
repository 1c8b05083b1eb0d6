//! The three signals' stores together.

mod together;

pub use together::{PointedExemplar, ServiceCounts, TelemetryBookmark, TelemetryNews, TraceTelemetry};

use crate::engine::settings::OnFull;
use crate::error::{BuildError, WaitError};
use crate::signal::{LogRecord, MetricPoint, Signal, Span};
use crate::store::Stats;
use crate::store::Store;
use crate::store::{Audit, AuditError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A store of spans, one of log records and one of metric points.
///
/// A handle, like each [`Store`] in it: clones share the stores.
///
/// ```
/// use slipring::Telemetry;
///
/// let telemetry = Telemetry::builder().traces(1_000).logs(5_000).metrics(10_000).build()?;
/// telemetry.logs().push(slipring::LogRecord::default())?;
/// assert_eq!(telemetry.stats().logs.count, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Telemetry {
    traces: Store<Span>,
    logs: Store<LogRecord>,
    metrics: Store<MetricPoint>,
    named: Arc<together::Named>,
    /// Sources that were seen before, of each kind.
    #[cfg(feature = "otlp")]
    known: Arc<[crate::otlp::Known; 3]>,
}

/// Builds a [`Telemetry`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct TelemetryBuilder {
    traces: usize,
    logs: usize,
    metrics: usize,
    on_full: OnFull,
    max_age: Option<Duration>,
    manual: bool,
}

/// The statistics of all three stores.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TelemetryStats {
    /// Of the spans.
    pub traces: Stats,
    /// Of the log records.
    pub logs: Stats,
    /// Of the metric points.
    pub metrics: Stats,
    /// All bytes of all three.
    pub total_memory_bytes: u64,
}

impl Telemetry {
    /// Starts with the default capacities: 10,000 spans, 50,000 log records, 100,000 metric points.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder {
            traces: Span::DEFAULT_CAPACITY,
            logs: LogRecord::DEFAULT_CAPACITY,
            metrics: MetricPoint::DEFAULT_CAPACITY,
            on_full: OnFull::default(),
            max_age: None,
            manual: false,
        }
    }

    /// Of three stores that are there already, each built as it is to be: with a class for errors, a bound on bytes.
    ///
    /// ```
    /// use slipring::{Store, Telemetry};
    ///
    /// let traces = Store::builder().capacity(50_000).error_class(5_000).build()?;
    /// let logs = Store::builder().max_bytes(64 << 20).build()?;
    /// let telemetry = Telemetry::new(traces, logs, Store::builder().build()?);
    /// assert_eq!(telemetry.traces().capacity(), 50_000);
    /// # Ok::<(), slipring::BuildError>(())
    /// ```
    pub fn new(traces: Store<Span>, logs: Store<LogRecord>, metrics: Store<MetricPoint>) -> Self {
        Self {
            traces,
            logs,
            metrics,
            named: Arc::default(),
            #[cfg(feature = "otlp")]
            known: Arc::default(),
        }
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn known(&self, kind: crate::otlp::Kind) -> &crate::otlp::Known {
        &self.known[kind as usize]
    }

    /// The spans.
    pub fn traces(&self) -> &Store<Span> {
        &self.traces
    }

    /// The log records.
    pub fn logs(&self) -> &Store<LogRecord> {
        &self.logs
    }

    /// The metric points.
    pub fn metrics(&self) -> &Store<MetricPoint> {
        &self.metrics
    }

    /// [`Store::stats`] of each.
    pub fn stats(&self) -> TelemetryStats {
        let (traces, logs, metrics) = (self.traces.stats(), self.logs.stats(), self.metrics.stats());
        let total_memory_bytes = traces.total_memory_bytes + logs.total_memory_bytes + metrics.total_memory_bytes;
        TelemetryStats { traces, logs, metrics, total_memory_bytes }
    }

    /// [`Store::flush`] of each.
    ///
    /// # Errors
    /// As there.
    pub fn flush(&self) -> Result<(), WaitError> {
        self.traces.flush()?;
        self.logs.flush()?;
        self.metrics.flush()
    }

    /// [`Store::flush_timeout`] of each, for this long in all.
    ///
    /// # Errors
    /// As there.
    pub fn flush_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        let started = Instant::now();
        self.traces.flush_timeout(timeout)?;
        self.logs.flush_timeout(timeout.saturating_sub(started.elapsed()))?;
        self.metrics.flush_timeout(timeout.saturating_sub(started.elapsed()))
    }

    /// [`Store::clear`] of each, one after the other.
    pub fn clear(&self) {
        self.traces.clear();
        self.logs.clear();
        self.metrics.clear();
    }

    /// [`Store::audit`] of each; the sums.
    ///
    /// # Errors
    /// As there, of the first store that has a breach.
    pub fn audit(&self) -> Result<Audit, AuditError> {
        Ok(self.traces.audit()? + self.logs.audit()? + self.metrics.audit()?)
    }

    /// [`Store::shutdown`] of each.
    ///
    /// # Errors
    /// As there; then none is shut down.
    pub fn shutdown(&self) -> Result<(), WaitError> {
        self.traces.shutdown()?;
        self.logs.shutdown()?;
        self.metrics.shutdown()
    }
}

impl TelemetryBuilder {
    /// How many spans to keep.
    pub fn traces(mut self, spans: usize) -> Self {
        self.traces = spans;
        self
    }

    /// How many log records to keep.
    pub fn logs(mut self, records: usize) -> Self {
        self.logs = records;
        self
    }

    /// How many metric points to keep.
    pub fn metrics(mut self, points: usize) -> Self {
        self.metrics = points;
        self
    }

    /// See [`Builder::on_full`](crate::Builder::on_full).
    pub fn on_full(mut self, policy: OnFull) -> Self {
        self.on_full = policy;
        self
    }

    /// See [`Builder::max_age`](crate::Builder::max_age); the same for all three.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// See [`Builder::manual`](crate::Builder::manual).
    pub fn manual(mut self) -> Self {
        self.manual = true;
        self
    }

    /// Builds the three stores.
    ///
    /// # Errors
    /// As [`Builder::build`](crate::Builder::build), for the first store that can't be.
    pub fn build(self) -> Result<Telemetry, BuildError> {
        Ok(Telemetry::new(self.store(self.traces)?, self.store(self.logs)?, self.store(self.metrics)?))
    }

    fn store<T: Signal>(&self, capacity: usize) -> Result<Store<T>, BuildError> {
        let mut builder = Store::builder().capacity(capacity).on_full(self.on_full);
        if let Some(age) = self.max_age {
            builder = builder.max_age(age);
        }
        if self.manual { builder.manual() } else { builder }.build()
    }
}
