//! The builder of log records.

use super::body::RecordKind;
use super::log::{Head, LogRecord};
use super::written::Written;
use super::{AttributesRef, Severity, Source, SpanId, TraceId, ValueRef};
use std::borrow::Cow;

/// Builds a [`LogRecord`] by encoding it, field by field, into a chunk that the thread fills. A
/// chunk takes a few allocations and holds up to 128 records; none is made per record. It works as
/// [`SpanBuilder`](crate::span::SpanBuilder) does for spans.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct LogBuilder<'a> {
    source: Option<Source>,
    time: u64,
    observed: u64,
    severity: Severity,
    severity_text: Cow<'a, str>,
    body: Option<ValueRef<'a>>,
    dropped: u32,
    flags: u32,
    trace_id: TraceId,
    span_id: SpanId,
    event_name: Cow<'a, str>,
    attributes: Written,
}

impl LogRecord {
    /// Returns a builder whose fields all have the protocol's default values. See [`LogBuilder`].
    pub fn builder<'a>() -> LogBuilder<'a> {
        LogBuilder::new()
    }

    /// Returns a builder initialized from this record. Fields that the protocol does not define are
    /// dropped. O(bytes).
    pub fn to_builder(&self) -> LogBuilder<'_> {
        LogBuilder::from_log(self)
    }
}

impl<'a> LogBuilder<'a> {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Returns a builder initialized from another record: see [`LogRecord::to_builder`].
    pub(super) fn from_log(log: &'a LogRecord) -> Self {
        let mut attributes = Written::default();
        attributes.attributes(6, log.attributes());
        Self {
            source: Some(log.source().clone()),
            time: log.time_unix_nanos(),
            observed: log.observed_unix_nanos(),
            severity: log.severity(),
            severity_text: log.severity_text().into(),
            body: log.body(),
            dropped: log.dropped_attributes_count(),
            flags: log.flags(),
            trace_id: log.trace_id().unwrap_or_default(),
            span_id: log.span_id().unwrap_or_default(),
            event_name: log.event_name().into(),
            attributes,
        }
    }

    /// Sets the resource and scope. By default both are empty.
    pub fn source(mut self, source: &Source) -> Self {
        self.source = Some(source.clone());
        self
    }

    /// Sets the time: see [`LogRecord::time_unix_nanos`].
    pub fn time_unix_nanos(mut self, time: u64) -> Self {
        self.time = time;
        self
    }

    /// Sets the observed time: see [`LogRecord::observed_unix_nanos`].
    pub fn observed_unix_nanos(mut self, time: u64) -> Self {
        self.observed = time;
        self
    }

    /// Sets the severity: see [`LogRecord::severity`].
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Sets the severity in the source's own words: see [`LogRecord::severity_text`].
    pub fn severity_text(mut self, text: impl Into<Cow<'a, str>>) -> Self {
        self.severity_text = text.into();
        self
    }

    /// Sets the body: see [`LogRecord::body`].
    pub fn body(mut self, body: impl Into<ValueRef<'a>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Adds an attribute.
    pub fn attribute<'v>(mut self, key: &str, value: impl Into<ValueRef<'v>>) -> Self {
        self.attributes.attribute(6, key, value);
        self
    }

    /// Adds attributes.
    pub fn attributes<'v>(mut self, attributes: impl Into<AttributesRef<'v>>) -> Self {
        self.attributes.attributes(6, attributes);
        self
    }

    /// Sets the number of discarded attributes: see [`LogRecord::dropped_attributes_count`].
    pub fn dropped_attributes_count(mut self, count: u32) -> Self {
        self.dropped = count;
        self
    }

    /// Sets the flags: see [`LogRecord::flags`].
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// Sets the trace id: see [`LogRecord::trace_id`]. All zero means none.
    pub fn trace_id(mut self, id: impl Into<TraceId>) -> Self {
        self.trace_id = id.into();
        self
    }

    /// Sets the span id: see [`LogRecord::span_id`]. All zero means none.
    pub fn span_id(mut self, id: impl Into<SpanId>) -> Self {
        self.span_id = id.into();
        self
    }

    /// Sets the event's name: see [`LogRecord::event_name`].
    pub fn event_name(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.event_name = name.into();
        self
    }

    /// Builds the log record. O(bytes).
    pub fn build(self) -> LogRecord {
        let mut written = Written::default();
        let mut writer = written.writer();
        writer.fixed64(1, self.time);
        writer.number(2, self.severity.0 as i64 as u64);
        writer.bytes(3, self.severity_text.as_bytes());
        if let Some(body) = self.body {
            writer.nested(5, |writer| body.write(0, writer));
        }
        self.attributes.append_to(&mut writer);
        writer.number(7, self.dropped.into());
        writer.fixed32(8, self.flags);
        writer.id(9, &self.trace_id.to_bytes());
        writer.id(10, &self.span_id.to_bytes());
        writer.fixed64(11, self.observed);
        writer.bytes(12, self.event_name.as_bytes());
        let mut head = Head::default();
        let length = written.fields().rest().len();
        written.fields().for_each(|field| head.see(field, length));
        let (body, at) = written.keep(RecordKind::Logs, self.source.as_ref());
        LogRecord::of(head, body, at)
    }
}
