//! The stores of all three signals together.

#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "opentelemetry")]
mod sdk;
mod together;

#[cfg(feature = "opentelemetry")]
pub use sdk::Exporter;

pub use together::{
    PointedExemplar, ServiceCounts, TelemetryBookmark, TelemetryNews, TraceTelemetry,
};

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
/// A cheap handle, like each [`Store`] in it: clones share the stores.
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
    /// For each kind, the sources that were decoded before, to be shared.
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
    max_bytes: Option<usize>,
    max_record_bytes: Option<usize>,
    shards: Option<usize>,
    spare_slots: Option<usize>,
    error_percent: Option<u8>,
    service_percent: Option<u8>,
    manual: bool,
}

/// The statistics of all three stores.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TelemetryStats {
    /// Statistics of the spans.
    pub traces: Stats,
    /// Statistics of the log records.
    pub logs: Stats,
    /// Statistics of the metric points.
    pub metrics: Stats,
    /// The total memory of all three stores, in bytes.
    pub total_memory_bytes: u64,
}

impl Telemetry {
    /// Returns a builder with the default capacities: 10,000 spans, 50,000 log records, 100,000
    /// metric points.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder {
            traces: Span::DEFAULT_CAPACITY,
            logs: LogRecord::DEFAULT_CAPACITY,
            metrics: MetricPoint::DEFAULT_CAPACITY,
            on_full: OnFull::default(),
            max_age: None,
            max_bytes: None,
            max_record_bytes: None,
            shards: None,
            spare_slots: None,
            error_percent: None,
            service_percent: None,
            manual: false,
        }
    }

    /// Creates a `Telemetry` from three existing stores, each built with options of its own, such
    /// as a class for errors or a byte limit.
    ///
    /// ```
    /// use slipring::{Store, Telemetry};
    ///
    /// let traces = Store::builder().capacity(50_000).error_class(5_000).build()?;
    /// let logs = Store::builder().max_bytes(64 << 20).build()?;
    /// let telemetry = Telemetry::new(traces, logs, Store::builder().build()?);
    /// assert_eq!(telemetry.traces().capacity(), 50_000);
    /// # Ok::<(), slipring::error::BuildError>(())
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

    /// Returns the store of spans.
    pub fn traces(&self) -> &Store<Span> {
        &self.traces
    }

    /// Returns the store of log records.
    pub fn logs(&self) -> &Store<LogRecord> {
        &self.logs
    }

    /// Returns the store of metric points.
    pub fn metrics(&self) -> &Store<MetricPoint> {
        &self.metrics
    }

    /// Returns [`Store::stats`] of each store.
    pub fn stats(&self) -> TelemetryStats {
        let (traces, logs, metrics) =
            (self.traces.stats(), self.logs.stats(), self.metrics.stats());
        let total_memory_bytes =
            traces.total_memory_bytes + logs.total_memory_bytes + metrics.total_memory_bytes;
        TelemetryStats { traces, logs, metrics, total_memory_bytes }
    }

    /// Calls [`Store::flush`] on each store.
    ///
    /// # Errors
    /// As [`Store::flush`].
    pub fn flush(&self) -> Result<(), WaitError> {
        self.traces.flush()?;
        self.logs.flush()?;
        self.metrics.flush()
    }

    /// Calls [`Store::flush_timeout`] on each store. The timeout covers all three calls.
    ///
    /// # Errors
    /// As [`Store::flush_timeout`].
    pub fn flush_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        let started = Instant::now();
        self.traces.flush_timeout(timeout)?;
        self.logs.flush_timeout(timeout.saturating_sub(started.elapsed()))?;
        self.metrics.flush_timeout(timeout.saturating_sub(started.elapsed()))
    }

    /// Calls [`Store::clear`] on each store, one after the other.
    pub fn clear(&self) {
        self.traces.clear();
        self.logs.clear();
        self.metrics.clear();
    }

    /// Calls [`Store::audit`] on each store. Returns the sums.
    ///
    /// # Errors
    /// As [`Store::audit`], for the first store that breaks an invariant.
    pub fn audit(&self) -> Result<Audit, AuditError> {
        Ok(self.traces.audit()? + self.logs.audit()? + self.metrics.audit()?)
    }

    /// Calls [`Store::shutdown`] on each store.
    ///
    /// # Errors
    /// As [`Store::shutdown`]. The call is refused before the first store is shut down, so then
    /// none is.
    pub fn shutdown(&self) -> Result<(), WaitError> {
        self.traces.shutdown()?;
        self.logs.shutdown()?;
        self.metrics.shutdown()
    }
}

impl TelemetryBuilder {
    /// Sets how many spans to keep.
    pub fn traces(mut self, spans: usize) -> Self {
        self.traces = spans;
        self
    }

    /// Sets how many log records to keep.
    pub fn logs(mut self, records: usize) -> Self {
        self.logs = records;
        self
    }

    /// Sets how many metric points to keep.
    pub fn metrics(mut self, points: usize) -> Self {
        self.metrics = points;
        self
    }

    /// Sets what a push does without room: see
    /// [`StoreBuilder::on_full`](crate::StoreBuilder::on_full).
    pub fn on_full(mut self, policy: OnFull) -> Self {
        self.on_full = policy;
        self
    }

    /// Limits the age of records: see [`StoreBuilder::max_age`](crate::StoreBuilder::max_age). The
    /// age applies to all three stores.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Limits the bytes of records: see
    /// [`StoreBuilder::max_bytes`](crate::StoreBuilder::max_bytes). Each of the three stores may
    /// keep so many bytes.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Limits the bytes of one record: see
    /// [`StoreBuilder::max_record_bytes`](crate::StoreBuilder::max_record_bytes). The limit applies
    /// to all three stores.
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record_bytes = Some(bytes);
        self
    }

    /// Sets the number of shards: see [`StoreBuilder::shards`](crate::StoreBuilder::shards). Each
    /// of the three stores has so many shards.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Sets the number of spare slots: see
    /// [`StoreBuilder::spare_slots`](crate::StoreBuilder::spare_slots). The number applies to each
    /// shard of all three stores.
    pub fn spare_slots(mut self, slots: usize) -> Self {
        self.spare_slots = Some(slots);
        self
    }

    /// Reserves a percentage of the spans and of the log records for
    /// [errors](crate::StoreBuilder::error_class), from 1 to 99. Metric points are no errors.
    ///
    /// ```
    /// use slipring::Telemetry;
    ///
    /// let telemetry = Telemetry::builder().traces(1_000).error_percent(10).build()?;
    /// let errors = telemetry.traces().stats().class.expect("there is a class for errors");
    /// assert_eq!(errors.capacity, 100);
    /// # Ok::<(), slipring::error::BuildError>(())
    /// ```
    pub fn error_percent(mut self, percent: u8) -> Self {
        self.error_percent = Some(percent);
        self
    }

    /// Limits what one service may take to a percentage of each store: see
    /// [`StoreBuilder::share`](crate::StoreBuilder::share). It takes the place of a class for errors.
    pub fn service_percent(mut self, percent: u8) -> Self {
        self.service_percent = Some(percent);
        self
    }

    /// Builds without indexer threads: see [`StoreBuilder::manual`](crate::StoreBuilder::manual).
    pub fn manual(mut self) -> Self {
        self.manual = true;
        self
    }

    /// Builds the three stores.
    ///
    /// # Errors
    /// As [`StoreBuilder::build`](crate::StoreBuilder::build), for the first store that cannot be
    /// built.
    pub fn build(self) -> Result<Telemetry, BuildError> {
        Ok(Telemetry::new(
            self.store(self.traces, self.error_percent)?,
            self.store(self.logs, self.error_percent)?,
            self.store(self.metrics, None)?,
        ))
    }

    fn store<T: Signal>(
        &self,
        capacity: usize,
        error_percent: Option<u8>,
    ) -> Result<Store<T>, BuildError> {
        let mut builder = Store::builder().capacity(capacity).on_full(self.on_full);
        if let Some(percent) = error_percent {
            builder = builder.error_class((capacity as u128 * u128::from(percent) / 100) as usize);
        }
        if let Some(percent) = self.service_percent {
            builder = builder.share("service", percent);
        }
        if let Some(bytes) = self.max_bytes {
            builder = builder.max_bytes(bytes);
        }
        if let Some(bytes) = self.max_record_bytes {
            builder = builder.max_record_bytes(bytes);
        }
        if let Some(shards) = self.shards {
            builder = builder.shards(shards);
        }
        if let Some(slots) = self.spare_slots {
            builder = builder.spare_slots(slots);
        }
        if let Some(age) = self.max_age {
            builder = builder.max_age(age);
        }
        if self.manual { builder.manual() } else { builder }.build()
    }
}
