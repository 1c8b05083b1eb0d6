//! What the three stores know together.

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
    /// Its spans, assembled; `None` if there are none.
    pub trace: Option<Trace>,
    /// What was logged during it, by time.
    pub logs: Vec<LogRecord>,
    /// Measurements that point at it, by time.
    pub exemplars: Vec<PointedExemplar>,
}

/// An exemplar, and what it is one of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PointedExemplar {
    /// The metric that was measured, and who measured it.
    pub source: Source,
    /// The measurement.
    pub exemplar: Exemplar,
}

/// With the metric and the resource in place of the source.
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

/// A service and how much the stores hold of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServiceCounts {
    /// Its name.
    pub service: Box<str>,
    /// Spans of it.
    pub spans: u64,
    /// Log records of it.
    pub logs: u64,
    /// Metric points of it.
    pub metrics: u64,
}

/// A cut through all three stores, one after the other; see [`Bookmark`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TelemetryBookmark {
    /// Through the spans.
    pub traces: Bookmark,
    /// Through the log records.
    pub logs: Bookmark,
    /// Through the metric points.
    pub metrics: Bookmark,
}

/// What has arrived in the three stores since a bookmark, each in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TelemetryNews {
    /// Spans. How many were evicted unseen is in the report, here and below.
    pub traces: Answer<Span>,
    /// Log records.
    pub logs: Answer<LogRecord>,
    /// Metric points.
    pub metrics: Answer<MetricPoint>,
    /// From where to go on.
    pub bookmark: TelemetryBookmark,
}

/// Bookmarks that have names. Few: [`MOST_NAMES`].
#[derive(Debug, Default)]
pub(super) struct Named(Mutex<BTreeMap<Box<str>, TelemetryBookmark>>);

/// Names that a [`Telemetry`] keeps at the most, so that whoever names bookmarks without end does not fill the memory.
const MOST_NAMES: usize = 1024;

impl Named {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, TelemetryBookmark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telemetry {
    /// Everything of one trace: its spans, what was logged during it, and the exemplars that point at it. The first two by
    /// their indexes; exemplars have none, so every metric point is looked at.
    pub fn trace(&self, id: impl Into<TraceId>) -> TraceTelemetry {
        let id = id.into();
        let mut logs = self.logs().query().key("trace", id).collect().expect("logs have this index").into_records();
        // Oldest arrival first, and by time where that is known.
        logs.reverse();
        logs.sort_by_key(crate::Signal::timestamp);
        let mut exemplars = Vec::new();
        let points_at = move |exemplar: &ExemplarRef<'_>| exemplar.trace_id() == Some(id);
        let pointing = self.metrics().query().filter(move |point| point.exemplars().iter().any(|one| points_at(&one)));
        let collected = pointing.for_each_unordered(|_, point| {
            let exemplar = |exemplar: ExemplarRef<'_>| PointedExemplar {
                source: point.source().clone(),
                exemplar: exemplar.to_exemplar(),
            };
            exemplars.extend(point.exemplars().iter().filter(points_at).map(exemplar));
        });
        collected.expect("a query without an index is one");
        exemplars.sort_by_key(|one| one.exemplar.time_unix_nanos);
        TraceTelemetry { trace: self.traces().trace(id), logs, exemplars }
    }

    /// The services that any store holds something of, by name. O(records), without copies.
    pub fn services(&self) -> Vec<ServiceCounts> {
        let mut found: BTreeMap<Box<str>, ServiceCounts> = BTreeMap::new();
        let mut add = |counts: Result<Vec<KeyCount>, QueryError>, field: fn(&mut ServiceCounts) -> &mut u64| {
            for KeyCount { key, count } in counts.expect("every signal has this index") {
                let KeyBuf::Text(service) = key else { continue };
                let none = || ServiceCounts { service: service.clone(), spans: 0, logs: 0, metrics: 0 };
                *field(found.entry(service.clone()).or_insert_with(none)) = count;
            }
        };
        add(self.traces().keys("service"), |one| &mut one.spans);
        add(self.logs().keys("service"), |one| &mut one.logs);
        add(self.metrics().keys("service"), |one| &mut one.metrics);
        found.into_values().collect()
    }

    /// A cut through the three stores as they are now.
    pub fn bookmark(&self) -> TelemetryBookmark {
        TelemetryBookmark {
            traces: self.traces().bookmark(),
            logs: self.logs().bookmark(),
            metrics: self.metrics().bookmark(),
        }
    }

    /// Everything that has arrived since a bookmark.
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
        let next = |bookmark: &mut Option<Bookmark>| bookmark.take().expect("a query since a bookmark gives the next");
        let bookmark = TelemetryBookmark {
            traces: next(&mut traces.report.bookmark),
            logs: next(&mut logs.report.bookmark),
            metrics: next(&mut metrics.report.bookmark),
        };
        Ok(TelemetryNews { traces, logs, metrics, bookmark })
    }

    /// Keeps a bookmark under a name, for all handles; one that had the name is replaced, and given back.
    ///
    /// # Errors
    /// [`BookmarkError::TooMany`] if 1,024 other names are kept already.
    pub fn name_bookmark(
        &self,
        name: impl Into<Box<str>>,
        bookmark: TelemetryBookmark,
    ) -> Result<Option<TelemetryBookmark>, BookmarkError> {
        // Before the lock: it is the caller's code (invariant 5).
        let name = name.into();
        let mut named = self.named.lock();
        if named.len() >= MOST_NAMES && !named.contains_key(&name) {
            return Err(BookmarkError::TooMany { most: MOST_NAMES });
        }
        Ok(named.insert(name, bookmark))
    }

    /// The bookmark with this name.
    pub fn bookmark_named(&self, name: &str) -> Option<TelemetryBookmark> {
        self.named.lock().get(name).cloned()
    }

    /// The names of bookmarks, in order.
    pub fn bookmark_names(&self) -> Vec<Box<str>> {
        self.named.lock().keys().cloned().collect()
    }

    /// Forgets the bookmark with this name, and gives it back.
    pub fn forget_bookmark(&self, name: &str) -> Option<TelemetryBookmark> {
        self.named.lock().remove(name)
    }
}
