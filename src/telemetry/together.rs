//! Queries over all three stores, and named bookmarks.

use super::Telemetry;
use crate::analysis::trace::Trace;
use crate::engine::bookmark::Bookmark;
use crate::error::{BookmarkError, QueryError};
use crate::query::{Answer, KeyCount};
use crate::signal::{Exemplar, ExemplarRef, KeyBuf, LogRecord, MetricPoint, Source, Span, TraceId};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Everything that the stores hold of one trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TraceTelemetry {
    /// The trace's spans, assembled; `None` if there are none.
    pub trace: Option<Trace>,
    /// The log records of the trace, by time.
    pub logs: Vec<LogRecord>,
    /// The exemplars that point at the trace, by time.
    pub exemplars: Vec<PointedExemplar>,
}

/// An exemplar and its metric.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PointedExemplar {
    /// The metric and the source that measured it.
    pub source: Source,
    /// The measurement.
    pub exemplar: Exemplar,
}

impl TraceTelemetry {
    /// Puts together records of one trace that do not come from one [`Telemetry`]: assembles the
    /// spans, sorts the log records by time, and takes the exemplars that point at the trace out of
    /// the points. All spans and log records are taken as those of this trace. O(n log n).
    ///
    /// ```
    /// use slipring::{LogRecord, Span, telemetry::TraceTelemetry};
    ///
    /// let spans = vec![Span::builder().trace_id(7).span_id(1).build()];
    /// let logs = vec![LogRecord::builder().trace_id(7).body("hello").build()];
    /// let found = TraceTelemetry::assemble(7, spans, logs, &[]);
    /// assert_eq!((found.trace.map(|trace| trace.spans.len()), found.logs.len()), (Some(1), 1));
    /// ```
    pub fn assemble(
        id: impl Into<TraceId>,
        spans: Vec<Span>,
        mut logs: Vec<LogRecord>,
        points: &[MetricPoint],
    ) -> Self {
        let id = id.into();
        logs.sort_by_key(crate::Signal::timestamp);
        let all = points.iter().flat_map(|point| PointedExemplar::all_of(point, id));
        let mut exemplars: Vec<PointedExemplar> = all.collect();
        exemplars.sort_by_key(|one| one.exemplar.time_unix_nanos);
        let trace = (!spans.is_empty()).then(|| Trace::assemble(id, spans));
        Self { trace, logs, exemplars }
    }
}

impl PointedExemplar {
    /// Returns the exemplars of a point that point at a trace.
    fn all_of(point: &MetricPoint, id: TraceId) -> Vec<Self> {
        let points_at = |exemplar: &ExemplarRef<'_>| exemplar.trace_id() == Some(id);
        let pointed = |exemplar: ExemplarRef<'_>| Self {
            source: point.source().clone(),
            exemplar: exemplar.to_exemplar(),
        };
        point.exemplars().iter().filter(points_at).map(pointed).collect()
    }
}

/// Serializes the metric and the resource in place of the source.
#[cfg(feature = "serde")]
impl serde::Serialize for PointedExemplar {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut pointed = serializer.serialize_struct("PointedExemplar", 3)?;
        pointed.serialize_field("metric", &self.source.metric())?;
        pointed.serialize_field("resource", &self.source.resource())?;
        pointed.serialize_field("exemplar", &self.exemplar)?;
        pointed.end()
    }
}

/// A service and the number of records that the stores hold of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServiceCounts {
    /// The service's name.
    pub service: Box<str>,
    /// The number of its spans.
    pub spans: u64,
    /// The number of its log records.
    pub logs: u64,
    /// The number of its metric points.
    pub metrics: u64,
}

/// A cut through all three stores, taken one after the other; see [`Bookmark`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TelemetryBookmark {
    /// The cut through the spans.
    pub traces: Bookmark,
    /// The cut through the log records.
    pub logs: Bookmark,
    /// The cut through the metric points.
    pub metrics: Bookmark,
}

/// The records that have arrived in the three stores since a bookmark, each in order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TelemetryNews {
    /// New spans. The report of this and of the other answers says how many were evicted unseen.
    pub traces: Answer<Span>,
    /// New log records.
    pub logs: Answer<LogRecord>,
    /// New metric points.
    pub metrics: Answer<MetricPoint>,
    /// The bookmark from which to continue.
    pub bookmark: TelemetryBookmark,
}

/// The named bookmarks, at most [`MOST_NAMES`].
#[derive(Debug, Default)]
pub(super) struct Named(Mutex<BTreeMap<Box<str>, TelemetryBookmark>>);

/// The most names that a [`Telemetry`] keeps, so that a caller that names bookmarks without end
/// cannot fill the memory.
const MOST_NAMES: usize = 1024;

impl Named {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, TelemetryBookmark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telemetry {
    /// Returns everything that the stores hold of one trace: its spans, its log records, and the
    /// exemplars that point at it. Spans and log records are found by their indexes. Exemplars have
    /// no index, so every metric point is looked at.
    pub fn trace(&self, id: impl Into<TraceId>) -> TraceTelemetry {
        let id = id.into();
        let mut logs = self
            .logs()
            .query()
            .key("trace", id)
            .collect()
            .expect("logs have this index")
            .into_records();
        // Sort by time; the stable sort keeps equal times in order of arrival.
        logs.reverse();
        logs.sort_by_key(crate::Signal::timestamp);
        let mut exemplars = Vec::new();
        let pointing = self
            .metrics()
            .query()
            .filter(move |point| point.exemplars().iter().any(|one| one.trace_id() == Some(id)));
        let collected = pointing
            .for_each_unordered(|_, point| exemplars.extend(PointedExemplar::all_of(point, id)));
        collected.expect("a query without an index is valid");
        exemplars.sort_by_key(|one| one.exemplar.time_unix_nanos);
        TraceTelemetry { trace: self.traces().trace(id), logs, exemplars }
    }

    /// Returns the services of which any store holds records, by name. O(records), without copies.
    pub fn services(&self) -> Vec<ServiceCounts> {
        let mut found: BTreeMap<Box<str>, ServiceCounts> = BTreeMap::new();
        let mut add = |counts: Result<Vec<KeyCount>, QueryError>,
                       field: fn(&mut ServiceCounts) -> &mut u64| {
            for KeyCount { key, count } in counts.expect("every signal has this index") {
                let KeyBuf::Text(service) = key else { continue };
                let none =
                    || ServiceCounts { service: service.clone(), spans: 0, logs: 0, metrics: 0 };
                *field(found.entry(service.clone()).or_insert_with(none)) = count;
            }
        };
        add(self.traces().key_counts("service"), |one| &mut one.spans);
        add(self.logs().key_counts("service"), |one| &mut one.logs);
        add(self.metrics().key_counts("service"), |one| &mut one.metrics);
        found.into_values().collect()
    }

    /// Returns a cut through the three stores as they are now: see [`since`](Telemetry::since).
    pub fn bookmark(&self) -> TelemetryBookmark {
        TelemetryBookmark {
            traces: self.traces().bookmark(),
            logs: self.logs().bookmark(),
            metrics: self.metrics().bookmark(),
        }
    }

    /// Returns everything that has arrived since a bookmark.
    ///
    /// ```
    /// use slipring::{LogRecord, Telemetry};
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// telemetry.name_bookmark("deployed", telemetry.bookmark())?;
    /// telemetry.logs().push(LogRecord::default())?;
    ///
    /// let since = telemetry.bookmark_named("deployed").expect("it was named");
    /// let news = telemetry.since(&since)?;
    /// assert_eq!((news.traces.len(), news.logs.len()), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`QueryError::OtherStore`] if the bookmark is of other stores.
    pub fn since(&self, bookmark: &TelemetryBookmark) -> Result<TelemetryNews, QueryError> {
        let mut traces = self.traces().query().since(&bookmark.traces).collect()?;
        let mut logs = self.logs().query().since(&bookmark.logs).collect()?;
        let mut metrics = self.metrics().query().since(&bookmark.metrics).collect()?;
        let next = |bookmark: &mut Option<Bookmark>| {
            bookmark.take().expect("a query since a bookmark returns the next one")
        };
        let bookmark = TelemetryBookmark {
            traces: next(&mut traces.report.bookmark),
            logs: next(&mut logs.report.bookmark),
            metrics: next(&mut metrics.report.bookmark),
        };
        Ok(TelemetryNews { traces, logs, metrics, bookmark })
    }

    /// Stores a bookmark under a name, visible to all handles. Returns the bookmark that had this
    /// name before.
    ///
    /// # Errors
    /// [`BookmarkError::TooMany`] if 1,024 other names are stored already.
    pub fn name_bookmark(
        &self,
        name: impl Into<Box<str>>,
        bookmark: TelemetryBookmark,
    ) -> Result<Option<TelemetryBookmark>, BookmarkError> {
        // Convert before locking: `into` may be the caller's code, which must not run under a lock.
        let name = name.into();
        let mut named = self.named.lock();
        if named.len() >= MOST_NAMES && !named.contains_key(&name) {
            return Err(BookmarkError::TooMany { most: MOST_NAMES });
        }
        Ok(named.insert(name, bookmark))
    }

    /// Returns the bookmark with this name.
    pub fn bookmark_named(&self, name: &str) -> Option<TelemetryBookmark> {
        self.named.lock().get(name).cloned()
    }

    /// Returns the names of all bookmarks, sorted.
    pub fn bookmark_names(&self) -> Vec<Box<str>> {
        self.named.lock().keys().cloned().collect()
    }

    /// Removes the bookmark with this name and returns it.
    pub fn forget_bookmark(&self, name: &str) -> Option<TelemetryBookmark> {
        self.named.lock().remove(name)
    }
}
