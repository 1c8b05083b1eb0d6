//! Log records, after OpenTelemetry's `LogRecord`.

use super::{
    Attributes, Key, Ledger, NO_SERVICE, Resource, Scope, Severity, Shared, Signal, SpanId, TraceId, Value, no_text,
    no_trace,
};

/// One log record: OpenTelemetry's `LogRecord`, with the resource and the scope that it travels with.
///
/// Indexes: `trace` (the trace id; none if it is absent or all zero), `service` (the resource's `service.name`, or
/// `unknown_service`) and `severity` (its number; none if it is not above 0). Its timestamp is its time, or else the
/// time at which it was observed.
///
/// ```
/// use slipring::{Attributes, Key, LogRecord, Resource, Scope, Severity, Signal};
///
/// let resource = Resource::new(Attributes::from([("service.name", "cart")])).share();
/// let record = LogRecord {
///     time_unix_nanos: 1_760_000_000_000_000_000,
///     severity: Severity::WARN,
///     body: Some("cart is nearly full".into()),
///     ..LogRecord::new(resource, Scope::default().share())
/// };
/// assert_eq!(record.key(0), None);
/// assert_eq!(record.key(2), Some(Key::from(Severity::WARN)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LogRecord {
    /// When it happened, in nanoseconds since the Unix epoch; 0 if unknown.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::nanos"))]
    pub time_unix_nanos: u64,
    /// When a collector first saw it, in nanoseconds since the Unix epoch; 0 if unknown.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::nanos"))]
    pub observed_unix_nanos: u64,
    /// How grave it is; the protocol's `severity_number`.
    pub severity: Severity,
    /// How grave it is, in the source's own words; empty if not said.
    pub severity_text: Box<str>,
    /// What it says: text, or something with a structure.
    pub body: Option<Value>,
    /// What else is known of it.
    pub attributes: Attributes,
    /// Attributes that were discarded before they came here.
    pub dropped_attributes_count: u32,
    /// Bits 0 to 7: W3C's trace flags. The others are reserved, and kept as they came.
    pub flags: u32,
    /// The trace during which it was written.
    pub trace_id: Option<TraceId>,
    /// The span during which it was written.
    pub span_id: Option<SpanId>,
    /// What kind of event it is, which fixes what its body and attributes mean; empty if it is no such event.
    pub event_name: Box<str>,
    /// The process that wrote it.
    pub resource: Shared<Resource>,
    /// The library that wrote it.
    pub scope: Shared<Scope>,
}

impl LogRecord {
    /// A record of which only the source is known; fill in the rest. Allocates nothing.
    pub fn new(resource: Shared<Resource>, scope: Shared<Scope>) -> Self {
        Self {
            time_unix_nanos: 0,
            observed_unix_nanos: 0,
            severity: Severity::UNSPECIFIED,
            severity_text: Box::default(),
            body: None,
            attributes: Attributes::default(),
            dropped_attributes_count: 0,
            flags: 0,
            trace_id: None,
            span_id: None,
            event_name: Box::default(),
            resource,
            scope,
        }
    }

    /// The name of the service that wrote it: its resource's, or `unknown_service`.
    pub fn service(&self) -> &str {
        self.resource.service_or_unknown()
    }
}

/// Of a source that says nothing about itself. Costs two allocations: what has a source, or is one of many, is better
/// begun with [`new`](LogRecord::new).
impl Default for LogRecord {
    fn default() -> Self {
        Self::new(Resource::default().share(), Scope::default().share())
    }
}

impl Signal for LogRecord {
    const NAME: &'static str = "log";
    type Indexes = [&'static str; 3];
    const INDEXES: Self::Indexes = ["trace", "service", "severity"];
    const DEFAULT_CAPACITY: usize = 50_000;

    fn key(&self, index: usize) -> Option<Key<'_>> {
        match index {
            0 => self.trace_id?.key(),
            1 => Some(self.resource.service_key()),
            _ => (self.severity > Severity::UNSPECIFIED).then(|| self.severity.into()),
        }
    }

    fn wrong_key(index: usize, key: Key<'_>) -> Option<&'static str> {
        match index {
            0 => no_trace(key),
            1 => no_text(key, NO_SERVICE),
            _ => {
                let can_be = matches!(key, Key::Int(number) if (1..=i32::MAX as u64).contains(&number));
                (!can_be).then_some(
                    "a severity: `Severity::ERROR`, or a number from 1 to 24; one that was not said is in no index",
                )
            }
        }
    }

    fn timestamp(&self) -> u64 {
        if self.time_unix_nanos != 0 { self.time_unix_nanos } else { self.observed_unix_nanos }
    }

    /// From [`Severity::ERROR`] on.
    fn is_error(&self) -> bool {
        self.severity >= Severity::ERROR
    }

    fn heap_bytes(&self) -> usize {
        self.severity_text.len()
            + self.body.as_ref().map_or(0, Value::heap_bytes)
            + self.attributes.heap_bytes()
            + self.event_name.len()
    }

    fn charge(&self, ledger: &Ledger) {
        self.resource.charge(ledger);
        self.scope.charge(ledger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A slot holds the record itself: what it grows by, every slot of every store grows by.
    const _: () = assert!(size_of::<LogRecord>() <= 144);

    fn record() -> LogRecord {
        LogRecord::default()
    }

    #[test]
    fn keys_are_absent_where_nothing_is_said() {
        assert_eq!([0, 1, 2].map(|index| record().key(index).is_some()), [false, true, false]);
        assert_eq!(LogRecord { trace_id: Some(TraceId::default()), ..record() }.key(0), None);
        assert_eq!(LogRecord { trace_id: Some(5.into()), ..record() }.key(0), Some(Key::Id(5)));
        assert_eq!(LogRecord { severity: Severity(-1), ..record() }.key(2), None);
        assert_eq!(LogRecord { severity: Severity::FATAL4, ..record() }.key(2), Some(Key::Int(24)));
    }

    #[test]
    fn observed_time_stands_in_for_an_unknown_one() {
        let observed = LogRecord { observed_unix_nanos: 2, ..record() };
        assert_eq!(observed.timestamp(), 2);
        assert_eq!(LogRecord { time_unix_nanos: 1, ..observed }.timestamp(), 1);
    }

    #[test]
    fn heap_bytes_add_up() {
        let record = LogRecord {
            severity_text: "Warning".into(),
            body: Some(vec![Value::from("disk"), Value::Int(93)].into()),
            attributes: Attributes::from([("key", "value")]),
            event_name: "disk.full".into(),
            ..record()
        };
        assert_eq!(record.heap_bytes(), 7 + (2 * 24 + 4) + 48 + 9);
    }
}
