//! Log records, modeled on OpenTelemetry's `LogRecord`.

use super::body::{At, Body, Gathered};
use super::offset::Offset;
use super::{
    AttributesRef, Index, Key, Ledger, ResourceRef, ScopeRef, Severity, Shared, Signal, Source,
    SpanId, TraceId, ValueRef, by_service, by_trace,
};
use crate::wire::{Field, Raw, field_of};
use std::fmt;

/// A log record: OpenTelemetry's `LogRecord`, with its resource and scope.
///
/// The record is stored as its encoded bytes, which the accessors read in place, as for a
/// [`Span`](crate::Span).
///
/// Indexes: `trace` (the trace id; no key if it is absent or all zero), `service` (the resource's
/// `service.name`, or `unknown_service`) and `severity` (the severity number; no key if it is not
/// above 0). The timestamp is the record's time, or the observed time if the time is unknown.
///
/// ```
/// use slipring::{Key, LogRecord, Resource, Scope, Severity, Signal, Source};
///
/// let source = Source::new(&Resource::new([("service.name", "cart")]), &Scope::default());
/// let record = LogRecord::builder()
///     .source(&source)
///     .time_unix_nanos(1_760_000_000_000_000_000)
///     .severity(Severity::WARN)
///     .body("cart is nearly full")
///     .build();
/// assert_eq!(LogRecord::INDEXES[0].key(&record), None);
/// assert_eq!(LogRecord::INDEXES[2].key(&record), Some(Key::from(Severity::WARN)));
/// ```
#[derive(Clone)]
pub struct LogRecord {
    head: Head,
    body: Shared<Body>,
    at: At,
}

// Slots hold records inline, so each byte added here enlarges every slot of every store.
const _: () = assert!(size_of::<LogRecord>() == 32);

/// The severity, and where other frequently read fields lie. Ids that are not valid have no offset.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    severity: Severity,
    trace_id: Offset<2>,
    span_id: Offset<2>,
    /// The record's time, or the observed time if the time is unknown.
    time: Offset<2>,
}

impl Head {
    /// Notes a field of a message of this length, if the head says anything of it.
    #[inline]
    pub(crate) fn see(&mut self, field: Field<'_>, length: usize) {
        match field.number {
            1 if field.raw.number() != 0 => self.time = Offset::of(length, field.left),
            2 => self.severity = Severity(field.raw.number() as i32),
            9 if TraceId::of_wire(Some(field.raw)).is_some() => {
                self.trace_id = Offset::of(length, field.left);
            }
            10 if SpanId::of_wire(Some(field.raw)).is_some() => {
                self.span_id = Offset::of(length, field.left);
            }
            11 if !self.time.is_set() => self.time = Offset::of(length, field.left),
            _ => {}
        }
    }
}

impl LogRecord {
    /// Returns the time of the event, in nanoseconds since the Unix epoch, or 0 if it is unknown.
    /// O(bytes). The [`timestamp`](Signal::timestamp) is O(1).
    pub fn time_unix_nanos(&self) -> u64 {
        self.number_of(1)
    }

    /// Returns the time at which a collector first observed the event, in nanoseconds since the
    /// Unix epoch, or 0 if it is unknown. O(bytes).
    pub fn observed_unix_nanos(&self) -> u64 {
        self.number_of(11)
    }

    /// Returns the severity: the protocol's `severity_number`.
    pub fn severity(&self) -> Severity {
        self.head.severity
    }

    /// Returns the severity in the source's own words, or an empty text if it was not given.
    /// O(bytes).
    pub fn severity_text(&self) -> &str {
        self.text(3)
    }

    /// Returns the body: text, or a structured value. O(bytes).
    pub fn body(&self) -> Option<ValueRef<'_>> {
        self.field(5).map(|value| ValueRef::of(value.bytes()))
    }

    /// Returns the attributes.
    pub fn attributes(&self) -> AttributesRef<'_> {
        AttributesRef::of(self.bytes(), 6)
    }

    /// Returns the number of attributes that were discarded before the record arrived. O(bytes).
    pub fn dropped_attributes_count(&self) -> u32 {
        self.number_of(7) as u32
    }

    /// Returns the flags. Bits 0 to 7 are W3C's trace flags. The other bits are reserved, and
    /// returned as they arrived. O(bytes).
    pub fn flags(&self) -> u32 {
        self.number_of(8) as u32
    }

    /// Returns the trace during which the record was emitted, if there was one.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.head.trace_id.bytes(self.bytes(), 9).map(TraceId::from)
    }

    /// Returns the span during which the record was emitted, if there was one.
    pub fn span_id(&self) -> Option<SpanId> {
        self.head.span_id.bytes(self.bytes(), 10).map(SpanId::from)
    }

    /// Returns the event name, which identifies the structure of the body and of the attributes. It
    /// is empty if the record is not an event. O(bytes).
    pub fn event_name(&self) -> &str {
        self.text(12)
    }
}

impl LogRecord {
    fn text(&self, number: u32) -> &str {
        self.field(number).map_or("", Raw::text)
    }
}

record! { LogRecord {
    time_unix_nanos in nanos, observed_unix_nanos in nanos, severity, severity_text, body, attributes, dropped_attributes_count, flags,
    trace_id, span_id, event_name, resource, scope,
} }

impl Signal for LogRecord {
    const NAME: &'static str = "log";
    type Indexes = [Index<Self>; 3];
    const INDEXES: Self::Indexes = [
        by_trace(|log: &Self| log.trace_id()?.key())
            .sharing(|log, other| log.trace_id() == other.trace_id()),
        by_service(|log: &Self| Some(Key::Text(log.service()))).sharing(Self::has_source_of),
        Index::new("severity", |log: &Self| {
            let is_known = log.head.severity > Severity::UNSPECIFIED;
            is_known.then(|| log.head.severity.into())
        })
        .sharing(|log, other| log.head.severity == other.head.severity)
        .accepting(
            |key| matches!(key, Key::Int(number) if (1..=i32::MAX as u64).contains(&number)),
            "a severity: `Severity::ERROR`, or a number from 1 to 24; records without a severity are not in this index",
        ),
    ];
    const DEFAULT_CAPACITY: usize = 50_000;

    fn timestamp(&self) -> u64 {
        let known = |record| field_of(record, 1).filter(|time| time.number() != 0);
        let search = |record| known(record).or_else(|| field_of(record, 11));
        self.head.time.fixed64(self.bytes(), search)
    }

    /// Returns whether the severity is [`Severity::ERROR`] or above.
    fn is_error(&self) -> bool {
        self.head.severity >= Severity::ERROR
    }

    fn heap_bytes(&self) -> usize {
        self.at.length as usize
    }

    fn detach(&mut self) {
        *self = self.detached();
    }

    #[inline]
    fn charge(&self, ledger: &Ledger) {
        Body::charge(&self.body, self.at, ledger);
    }
}
