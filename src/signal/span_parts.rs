//! The events and links of spans, owned and borrowed.

use super::{Attributes, AttributesRef, ListRef, SpanId, TraceId};
use crate::wire::{Raw, Writer, field_of};
use std::fmt;

/// An event that occurred during a span, such as an exception.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SpanEvent {
    /// The time of the event, in nanoseconds since the Unix epoch.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::nanos"))]
    pub time_unix_nanos: u64,
    /// The name of the event.
    pub name: Box<str>,
    /// The attributes of the event.
    pub attributes: Attributes,
    /// The number of attributes that were discarded before the record arrived.
    pub dropped_attributes_count: u32,
}

/// A link to a related span, such as the attempt that a retry repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SpanLink {
    /// The id of the linked span's trace.
    pub trace_id: TraceId,
    /// The id of the linked span.
    pub span_id: SpanId,
    /// The linked span's `tracestate`. Empty if there is none.
    pub trace_state: Box<str>,
    /// The attributes of the link.
    pub attributes: Attributes,
    /// The number of attributes that were discarded before the record arrived.
    pub dropped_attributes_count: u32,
    /// The linked span's flags, in the layout of [`Span::flags`](super::Span::flags).
    pub flags: u32,
}

/// An event of a span, borrowed from it.
#[derive(Clone, Copy)]
pub struct SpanEventRef<'a>(&'a [u8]);

/// A link of a span, borrowed from it.
#[derive(Clone, Copy)]
pub struct SpanLinkRef<'a>(&'a [u8]);

/// The events of a span.
pub type SpanEvents<'a> = ListRef<'a, SpanEventRef<'a>>;

/// The links of a span.
pub type SpanLinks<'a> = ListRef<'a, SpanLinkRef<'a>>;

impl<'a> From<&'a [u8]> for SpanEventRef<'a> {
    fn from(message: &'a [u8]) -> Self {
        Self(message)
    }
}

impl<'a> From<&'a [u8]> for SpanLinkRef<'a> {
    fn from(message: &'a [u8]) -> Self {
        Self(message)
    }
}

fn number(message: &[u8], number: u32) -> u64 {
    field_of(message, number).map_or(0, Raw::number)
}

impl<'a> SpanEventRef<'a> {
    /// Returns the time of the event, in nanoseconds since the Unix epoch.
    pub fn time_unix_nanos(self) -> u64 {
        number(self.0, 1)
    }

    /// Returns the name of the event.
    pub fn name(self) -> &'a str {
        field_of(self.0, 2).map_or("", Raw::text)
    }

    /// Returns the attributes.
    pub fn attributes(self) -> AttributesRef<'a> {
        AttributesRef::of(self.0, 3)
    }

    /// Returns the number of attributes that were discarded before the record arrived.
    pub fn dropped_attributes_count(self) -> u32 {
        number(self.0, 4) as u32
    }
}

impl<'a> SpanLinkRef<'a> {
    /// Returns the id of the linked span's trace, or all zero if the link has no valid one.
    pub fn trace_id(self) -> TraceId {
        TraceId::of_wire(field_of(self.0, 1)).unwrap_or_default()
    }

    /// Returns the id of the linked span, or all zero if the link has no valid one.
    pub fn span_id(self) -> SpanId {
        SpanId::of_wire(field_of(self.0, 2)).unwrap_or_default()
    }

    /// Returns the linked span's `tracestate`, or an empty text if there is none.
    pub fn trace_state(self) -> &'a str {
        field_of(self.0, 3).map_or("", Raw::text)
    }

    /// Returns the attributes.
    pub fn attributes(self) -> AttributesRef<'a> {
        AttributesRef::of(self.0, 4)
    }

    /// Returns the number of attributes that were discarded before the record arrived.
    pub fn dropped_attributes_count(self) -> u32 {
        number(self.0, 5) as u32
    }

    /// Returns the linked span's flags, in the layout of [`Span::flags`](crate::Span::flags).
    pub fn flags(self) -> u32 {
        number(self.0, 6) as u32
    }
}

impl SpanEvent {
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.fixed64(1, self.time_unix_nanos);
        writer.bytes(2, self.name.as_bytes());
        AttributesRef::from(&self.attributes).write(3, writer);
        writer.number(4, self.dropped_attributes_count.into());
    }
}

impl SpanLink {
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.id(1, &self.trace_id.to_bytes());
        writer.id(2, &self.span_id.to_bytes());
        writer.bytes(3, self.trace_state.as_bytes());
        AttributesRef::from(&self.attributes).write(4, writer);
        writer.number(5, self.dropped_attributes_count.into());
        writer.fixed32(6, self.flags);
    }
}

view! {
    SpanEventRef { time_unix_nanos in nanos, name, attributes, dropped_attributes_count }
    SpanLinkRef { trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags }
}
