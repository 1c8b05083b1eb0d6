//! The builder of spans.

use super::body::RecordKind;
use super::span::{Head, Span};
use super::written::Written;
use super::{
    AttributesRef, Source, SpanEvent, SpanId, SpanKind, SpanLink, StatusCode, TraceId, ValueRef,
};
use crate::wire::Fields;
use std::borrow::Cow;

/// Builds a [`Span`] by encoding it, field by field, into a chunk that the thread fills. A chunk
/// takes a few allocations and holds up to 128 spans; none is made per span.
///
/// Texts and values are borrowed until [`build`](SpanBuilder::build). Setting a field again
/// replaces its value. Attributes, events and links are added to those given before.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SpanBuilder<'a> {
    source: Option<Source>,
    trace_id: TraceId,
    span_id: SpanId,
    parent_span_id: SpanId,
    trace_state: Cow<'a, str>,
    flags: u32,
    name: Cow<'a, str>,
    kind: SpanKind,
    start: u64,
    end: u64,
    dropped: [u32; 3],
    code: StatusCode,
    message: Cow<'a, str>,
    /// Encoded attributes, events and links.
    lists: Written,
}

impl Span {
    /// Returns a builder whose fields all have the protocol's default values. See [`SpanBuilder`].
    pub fn builder<'a>() -> SpanBuilder<'a> {
        SpanBuilder::new()
    }

    /// Returns a builder initialized from this span, for tests and for processors that modify
    /// spans. Fields that the protocol does not define are dropped. O(bytes).
    pub fn to_builder(&self) -> SpanBuilder<'_> {
        SpanBuilder::from_span(self)
    }
}

impl<'a> SpanBuilder<'a> {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Returns a builder initialized from another span: see [`Span::to_builder`].
    pub(super) fn from_span(span: &'a Span) -> Self {
        let mut lists = Written::default();
        lists.copy(Fields::of(span.bytes()), &[(9, 9), (11, 11), (13, 13)]);
        let status = span.status();
        Self {
            source: Some(span.source().clone()),
            trace_id: span.trace_id(),
            span_id: span.span_id(),
            parent_span_id: span.parent_span_id().unwrap_or_default(),
            trace_state: span.trace_state().into(),
            flags: span.flags(),
            name: span.name().into(),
            kind: span.kind(),
            start: span.start_unix_nanos(),
            end: span.end_unix_nanos(),
            dropped: [
                span.dropped_attributes_count(),
                span.dropped_events_count(),
                span.dropped_links_count(),
            ],
            code: status.code,
            message: status.message.into(),
            lists,
        }
    }

    /// Sets the resource and scope. By default both are empty.
    pub fn source(mut self, source: &Source) -> Self {
        self.source = Some(source.clone());
        self
    }

    /// Sets the trace id: see [`Span::trace_id`].
    pub fn trace_id(mut self, id: impl Into<TraceId>) -> Self {
        self.trace_id = id.into();
        self
    }

    /// Sets the span id: see [`Span::span_id`].
    pub fn span_id(mut self, id: impl Into<SpanId>) -> Self {
        self.span_id = id.into();
        self
    }

    /// Sets the parent's span id: see [`Span::parent_span_id`]. `None` makes a root span.
    pub fn parent_span_id(mut self, id: impl Into<Option<SpanId>>) -> Self {
        self.parent_span_id = id.into().unwrap_or_default();
        self
    }

    /// Sets W3C Trace Context's `tracestate`: see [`Span::trace_state`].
    pub fn trace_state(mut self, state: impl Into<Cow<'a, str>>) -> Self {
        self.trace_state = state.into();
        self
    }

    /// Sets the flags: see [`Span::flags`].
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// Sets the name: see [`Span::name`].
    pub fn name(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the kind: see [`Span::kind`].
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the start: see [`Span::start_unix_nanos`].
    pub fn start_unix_nanos(mut self, time: u64) -> Self {
        self.start = time;
        self
    }

    /// Sets the end: see [`Span::end_unix_nanos`].
    pub fn end_unix_nanos(mut self, time: u64) -> Self {
        self.end = time;
        self
    }

    /// Adds an attribute.
    pub fn attribute<'v>(mut self, key: &str, value: impl Into<ValueRef<'v>>) -> Self {
        self.lists.attribute(9, key, value);
        self
    }

    /// Adds attributes.
    pub fn attributes<'v>(mut self, attributes: impl Into<AttributesRef<'v>>) -> Self {
        self.lists.attributes(9, attributes);
        self
    }

    /// Sets the number of discarded attributes: see [`Span::dropped_attributes_count`].
    pub fn dropped_attributes_count(mut self, count: u32) -> Self {
        self.dropped[0] = count;
        self
    }

    /// Adds an event.
    pub fn event(mut self, event: &SpanEvent) -> Self {
        self.lists.writer().nested(11, |writer| event.write(writer));
        self
    }

    /// Adds events.
    pub fn events<'e>(self, events: impl IntoIterator<Item = &'e SpanEvent>) -> Self {
        events.into_iter().fold(self, |builder, event| builder.event(event))
    }

    /// Sets the number of discarded events: see [`Span::dropped_events_count`].
    pub fn dropped_events_count(mut self, count: u32) -> Self {
        self.dropped[1] = count;
        self
    }

    /// Adds a link.
    pub fn link(mut self, link: &SpanLink) -> Self {
        self.lists.writer().nested(13, |writer| link.write(writer));
        self
    }

    /// Adds links.
    pub fn links<'l>(self, links: impl IntoIterator<Item = &'l SpanLink>) -> Self {
        links.into_iter().fold(self, |builder, link| builder.link(link))
    }

    /// Removes the links given so far.
    pub fn without_links(mut self) -> Self {
        let mut kept = Written::default();
        kept.copy(self.lists.fields(), &[(9, 9), (11, 11)]);
        self.lists = kept;
        self
    }

    /// Sets the number of discarded links: see [`Span::dropped_links_count`].
    pub fn dropped_links_count(mut self, count: u32) -> Self {
        self.dropped[2] = count;
        self
    }

    /// Sets the status: see [`Span::status`].
    pub fn status(mut self, code: StatusCode, message: impl Into<Cow<'a, str>>) -> Self {
        (self.code, self.message) = (code, message.into());
        self
    }

    /// Builds the span. O(bytes).
    pub fn build(self) -> Span {
        let mut written = Written::default();
        let mut writer = written.writer();
        writer.id(1, &self.trace_id.to_bytes());
        writer.id(2, &self.span_id.to_bytes());
        writer.bytes(3, self.trace_state.as_bytes());
        writer.id(4, &self.parent_span_id.to_bytes());
        writer.bytes(5, self.name.as_bytes());
        writer.number(6, self.kind as u64);
        writer.fixed64(7, self.start);
        writer.fixed64(8, self.end);
        self.lists.append_to(&mut writer);
        let [attributes, events, links] = self.dropped.map(u64::from);
        writer.number(10, attributes);
        writer.number(12, events);
        writer.number(14, links);
        if self.code != StatusCode::Unset || !self.message.is_empty() {
            writer.nested(15, |writer| {
                writer.bytes(2, self.message.as_bytes());
                writer.number(3, self.code as u64);
            });
        }
        writer.fixed32(16, self.flags);
        let mut head = Head::default();
        let length = written.fields().rest().len();
        written.fields().for_each(|field| head.see(field, length));
        let (body, at) = written.keep(RecordKind::Spans, self.source.as_ref());
        Span::of(head, body, at)
    }
}
