//! Log records, after OpenTelemetry's `LogRecord`.

use super::body::{At, Body};
use super::{
    AttributesRef, Key, Ledger, NO_SERVICE, ResourceRef, ScopeRef, Severity, Shared, Signal,
    Source, SpanId, TraceId, ValueRef, no_text, no_trace,
};
use crate::wire::{Field, Raw, field_of};
use std::fmt;

/// One log record: OpenTelemetry's `LogRecord`, with the resource and the scope that it travels
/// with.
///
/// It is the bytes that it was encoded in, read in place, as a [`Span`](crate::Span) is.
///
/// Indexes: `trace` (the trace id; none if it is absent or all zero), `service` (the resource's
/// `service.name`, or `unknown_service`) and `severity` (its number; none if it is not above 0).
/// Its timestamp is its time, or else the time at which it was observed.
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
/// assert_eq!(record.key(0), None);
/// assert_eq!(record.key(2), Some(Key::from(Severity::WARN)));
/// ```
#[derive(Clone)]
pub struct LogRecord {
    head: Head,
    body: Shared<Body>,
    at: At,
}

// A slot holds the record itself: what it grows by, every slot of every store grows by.
const _: () = assert!(size_of::<LogRecord>() == 48);

/// What is asked for often. Bytes, so that nothing is lost to alignment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    trace_id: TraceId,
    /// When it happened, or else when it was observed.
    time: [u8; 8],
    severity: Severity,
}

impl Head {
    /// Takes note of a field of the message.
    #[inline]
    pub(crate) fn see(&mut self, field: Field<'_>) {
        match field.number {
            1 if field.raw.number() != 0 => self.time = field.raw.number().to_le_bytes(),
            2 => self.severity = Severity(field.raw.number() as i32),
            9 => self.trace_id = TraceId::of_wire(Some(field.raw)).unwrap_or_default(),
            11 if self.time == [0; 8] => self.time = field.raw.number().to_le_bytes(),
            _ => {}
        }
    }
}

impl LogRecord {
    /// Returns the time at which it happened, in nanoseconds since the Unix epoch; 0 if unknown.
    /// O(bytes); its [`timestamp`](Signal::timestamp) is O(1).
    pub fn time_unix_nanos(&self) -> u64 {
        self.number_of(1)
    }

    /// Returns the time at which a collector first saw it, in nanoseconds since the Unix epoch; 0
    /// if unknown. O(bytes).
    pub fn observed_unix_nanos(&self) -> u64 {
        self.number_of(11)
    }

    /// Returns its severity: the protocol's `severity_number`.
    pub fn severity(&self) -> Severity {
        self.head.severity
    }

    /// Returns its severity in the source's own words; empty if not said. O(bytes).
    pub fn severity_text(&self) -> &str {
        self.text(3)
    }

    /// Returns what it says: text, or a value with a structure. O(bytes).
    pub fn body(&self) -> Option<ValueRef<'_>> {
        self.field(5).map(|value| ValueRef::of(value.bytes()))
    }

    /// Returns the attributes.
    pub fn attributes(&self) -> AttributesRef<'_> {
        AttributesRef::of(self.bytes(), 6)
    }

    /// Returns the number of attributes that were discarded before the record came here. O(bytes).
    pub fn dropped_attributes_count(&self) -> u32 {
        self.number_of(7) as u32
    }

    /// Returns the flags. Bits 0 to 7 are W3C's trace flags. The others are reserved, and kept as
    /// they came. O(bytes).
    pub fn flags(&self) -> u32 {
        self.number_of(8) as u32
    }

    /// Returns the trace during which it was written, if there was one.
    pub fn trace_id(&self) -> Option<TraceId> {
        Some(self.head.trace_id).filter(|id| !id.is_zero())
    }

    /// Returns the span during which it was written, if there was one. O(bytes).
    pub fn span_id(&self) -> Option<SpanId> {
        SpanId::of_wire(self.field(10))
    }

    /// Returns the name of its kind of event, which fixes what its body and attributes mean; empty
    /// if it is no such event. O(bytes).
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
    type Indexes = [&'static str; 3];
    const INDEXES: Self::Indexes = ["trace", "service", "severity"];
    const DEFAULT_CAPACITY: usize = 50_000;

    fn key(&self, index: usize) -> Option<Key<'_>> {
        match index {
            0 => self.head.trace_id.key(),
            1 => Some(Key::Text(self.service())),
            _ => (self.head.severity > Severity::UNSPECIFIED).then(|| self.head.severity.into()),
        }
    }

    fn wrong_key(index: usize, key: Key<'_>) -> Option<&'static str> {
        match index {
            0 => no_trace(key),
            1 => no_text(key, NO_SERVICE),
            _ => {
                let can_be =
                    matches!(key, Key::Int(number) if (1..=i32::MAX as u64).contains(&number));
                (!can_be).then_some(
                    "a severity: `Severity::ERROR`, or a number from 1 to 24; one that was not said is in no index",
                )
            }
        }
    }

    fn timestamp(&self) -> u64 {
        u64::from_le_bytes(self.head.time)
    }

    /// Returns whether its severity is [`Severity::ERROR`] or graver.
    fn is_error(&self) -> bool {
        self.head.severity >= Severity::ERROR
    }

    fn heap_bytes(&self) -> usize {
        self.at.length as usize
    }

    fn detach(&mut self) {
        *self = self.detached();
    }

    fn charge(&self, ledger: &Ledger) {
        Body::charge(&self.body, self.at, ledger);
    }
}
