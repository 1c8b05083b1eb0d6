//! Spans, after OpenTelemetry's `Span`.

use super::value::list_bytes;
use super::{Attributes, Key, Ledger, NO_SERVICE, Resource, Scope, Shared, Signal, SpanId, TraceId, no_text, no_trace};

/// One operation of a trace: OpenTelemetry's `Span`, with the resource and the scope that it travels with.
///
/// Indexes: `trace` (the trace id; none if it is all zero), `service` (the resource's `service.name`, or
/// `unknown_service`) and `name` (none if empty, which the protocol calls unknown). Its timestamp is its start.
///
/// ```
/// use slipring::{Attributes, Key, Resource, Scope, Signal, Span, SpanKind};
///
/// let resource = Resource::new(Attributes::from([("service.name", "cart")])).share();
/// let scope = Scope { name: "http-server".into(), ..Scope::default() }.share();
/// let span = Span {
///     trace_id: 0x4bf92f3577b34da6a3ce929d0e0e4736.into(),
///     span_id: 0x00f067aa0ba902b7.into(),
///     name: "GET /cart".into(),
///     kind: SpanKind::Server,
///     start_unix_nanos: 1_760_000_000_000_000_000,
///     end_unix_nanos: 1_760_000_000_001_250_000,
///     ..Span::new(resource, scope)
/// };
/// assert_eq!(span.duration(), 1_250_000);
/// assert_eq!(span.key(1), Some(Key::Text("cart")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Span {
    /// Which trace it belongs to.
    pub trace_id: TraceId,
    /// Which span of the trace it is.
    pub span_id: SpanId,
    /// The span that caused it; `None` for a root.
    pub parent_span_id: Option<SpanId>,
    /// W3C trace context's `tracestate`; empty if there is none.
    pub trace_state: Box<str>,
    /// Bits 0 to 7: W3C's [trace flags](Span::trace_flags). Bits 8 and 9: whether the
    /// [parent is remote](Span::parent_is_remote). The others are reserved, and kept as they came.
    pub flags: u32,
    /// What is done, such as `GET /cart`.
    pub name: Box<str>,
    /// How it stands to its parent and its children.
    pub kind: SpanKind,
    /// When it began, in nanoseconds since the Unix epoch; 0 if unknown.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::nanos"))]
    pub start_unix_nanos: u64,
    /// When it ended, in nanoseconds since the Unix epoch; 0 if unknown, as of one that is not over.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::nanos"))]
    pub end_unix_nanos: u64,
    /// What else is known of it.
    pub attributes: Attributes,
    /// Attributes that were discarded before they came here.
    pub dropped_attributes_count: u32,
    /// What happened during it.
    pub events: Box<[SpanEvent]>,
    /// Events that were discarded before they came here.
    pub dropped_events_count: u32,
    /// Spans that it has to do with, of this trace or of others.
    pub links: Box<[SpanLink]>,
    /// Links that were discarded before they came here.
    pub dropped_links_count: u32,
    /// How it ended.
    pub status: Status,
    /// The process that made it.
    pub resource: Shared<Resource>,
    /// The library that made it.
    pub scope: Shared<Scope>,
}

/// How a span stands to its parent and its children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum SpanKind {
    /// Not said; readers may take it for internal.
    #[default]
    Unspecified = 0,
    /// An operation within a process.
    Internal = 1,
    /// Handles a remote request.
    Server = 2,
    /// Makes a remote request.
    Client = 3,
    /// Hands a message to a broker.
    Producer = 4,
    /// Takes a message from a broker.
    Consumer = 5,
}

/// Something that happened during a span, such as an exception.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SpanEvent {
    /// When it happened, in nanoseconds since the Unix epoch.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::nanos"))]
    pub time_unix_nanos: u64,
    /// What happened.
    pub name: Box<str>,
    /// What else is known of it.
    pub attributes: Attributes,
    /// Attributes that were discarded before they came here.
    pub dropped_attributes_count: u32,
}

/// A span that another has to do with, such as the attempt that a retry repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SpanLink {
    /// The trace linked to.
    pub trace_id: TraceId,
    /// The span linked to.
    pub span_id: SpanId,
    /// The linked span's `tracestate`; empty if there is none.
    pub trace_state: Box<str>,
    /// What else is known of the link.
    pub attributes: Attributes,
    /// Attributes that were discarded before they came here.
    pub dropped_attributes_count: u32,
    /// The linked span's flags, laid out as [`Span::flags`] are.
    pub flags: u32,
}

/// How a span ended. The default, unset and without a message, is also what an absent status means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Status {
    /// Well, badly, or not said.
    pub code: StatusCode,
    /// What went wrong, for a developer to read; empty if nothing did.
    pub message: Box<str>,
}

/// Whether a span ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum StatusCode {
    /// Not said.
    #[default]
    Unset = 0,
    /// Well, as a developer or an operator decided.
    Ok = 1,
    /// Badly.
    Error = 2,
}

impl Span {
    /// A span of which only the source is known; fill in the rest. Allocates nothing.
    pub fn new(resource: Shared<Resource>, scope: Shared<Scope>) -> Self {
        Self {
            trace_id: TraceId::default(),
            span_id: SpanId::default(),
            parent_span_id: None,
            trace_state: Box::default(),
            flags: 0,
            name: Box::default(),
            kind: SpanKind::default(),
            start_unix_nanos: 0,
            end_unix_nanos: 0,
            attributes: Attributes::default(),
            dropped_attributes_count: 0,
            events: Box::default(),
            dropped_events_count: 0,
            links: Box::default(),
            dropped_links_count: 0,
            status: Status::default(),
            resource,
            scope,
        }
    }

    /// The name of the service that made it: its resource's, or `unknown_service`.
    pub fn service(&self) -> &str {
        self.resource.service_or_unknown()
    }

    /// How long it took, in nanoseconds; 0 if its start or its end is not known, or if its clock went backwards.
    pub fn duration(&self) -> u64 {
        self.known_duration().unwrap_or(0)
    }

    /// How long it took, in nanoseconds; `None` if its start or its end is not known.
    pub(crate) fn known_duration(&self) -> Option<u64> {
        let known = self.start_unix_nanos > 0 && self.end_unix_nanos > 0;
        known.then(|| self.end_unix_nanos.saturating_sub(self.start_unix_nanos))
    }

    /// W3C's trace flags: bit 0 says that the trace is sampled.
    pub fn trace_flags(&self) -> u8 {
        self.flags as u8
    }

    /// Whether the parent is in another process; `None` if that is not known.
    pub fn parent_is_remote(&self) -> Option<bool> {
        (self.flags & 0x100 != 0).then_some(self.flags & 0x200 != 0)
    }
}

/// Of a source that says nothing about itself. Costs two allocations: what has a source, or is one of many, is better
/// begun with [`new`](Span::new).
impl Default for Span {
    fn default() -> Self {
        Self::new(Resource::default().share(), Scope::default().share())
    }
}

impl Signal for Span {
    const NAME: &'static str = "span";
    type Indexes = [&'static str; 3];
    const INDEXES: Self::Indexes = ["trace", "service", "name"];

    fn key(&self, index: usize) -> Option<Key<'_>> {
        match index {
            0 => self.trace_id.key(),
            1 => Some(self.resource.service_key()),
            _ => (!self.name.is_empty()).then_some(Key::Text(&self.name)),
        }
    }

    fn wrong_key(index: usize, key: Key<'_>) -> Option<&'static str> {
        match index {
            0 => no_trace(key),
            1 => no_text(key, NO_SERVICE),
            _ => no_text(key, "a span's name; those without one are in no index by name"),
        }
    }

    fn timestamp(&self) -> u64 {
        self.start_unix_nanos
    }

    /// If its status says so.
    fn is_error(&self) -> bool {
        self.status.code == StatusCode::Error
    }

    fn heap_bytes(&self) -> usize {
        self.trace_state.len()
            + self.name.len()
            + self.attributes.heap_bytes()
            + list_bytes(&self.events, SpanEvent::heap_bytes)
            + list_bytes(&self.links, SpanLink::heap_bytes)
            + self.status.message.len()
    }

    fn charge(&self, ledger: &Ledger) {
        self.resource.charge(ledger);
        self.scope.charge(ledger);
    }
}

impl SpanKind {
    /// The kind with this number in the protocol, if it is one.
    pub fn from_number(number: i32) -> Option<Self> {
        use SpanKind::*;
        let kinds = [Unspecified, Internal, Server, Client, Producer, Consumer];
        kinds.into_iter().find(|kind| kind.number() == number)
    }

    /// Its number in the protocol.
    pub fn number(self) -> i32 {
        self as i32
    }
}

impl StatusCode {
    /// The code with this number in the protocol, if it is one.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Unset, Self::Ok, Self::Error].into_iter().find(|code| code.number() == number)
    }

    /// Its number in the protocol.
    pub fn number(self) -> i32 {
        self as i32
    }
}

impl SpanEvent {
    /// Bytes that the event owns on the heap, beyond itself.
    pub fn heap_bytes(&self) -> usize {
        self.name.len() + self.attributes.heap_bytes()
    }
}

impl SpanLink {
    /// Bytes that the link owns on the heap, beyond itself.
    pub fn heap_bytes(&self) -> usize {
        self.trace_state.len() + self.attributes.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A slot holds the span itself: what it grows by, every slot of every store grows by.
    const _: () = assert!(size_of::<Span>() <= 192);

    fn span() -> Span {
        let resource = Resource::new(Attributes::from([("service.name", "cart")])).share();
        Span { trace_id: 7.into(), name: "GET /cart".into(), ..Span::new(resource, Scope::default().share()) }
    }

    #[test]
    fn a_key_is_absent_where_the_protocol_says_unknown() {
        let known = span();
        let keys = [Key::Id(7), Key::Text("cart"), Key::Text("GET /cart")];
        assert_eq!([0, 1, 2].map(|index| known.key(index)), keys.map(Some));
        let unknown = Span::default();
        assert_eq!([0, 1, 2].map(|index| unknown.key(index)), [None, Some(Key::Text("unknown_service")), None]);
    }

    #[test]
    fn heap_bytes_leave_shared_parts_out_and_charge_counts_them() {
        let attributes = Attributes::from([("key", "value")]);
        let span = Span {
            events: [SpanEvent { name: "retry".into(), attributes: attributes.clone(), ..Default::default() }].into(),
            links: [SpanLink { trace_state: "a=b".into(), ..Default::default() }].into(),
            status: Status { code: StatusCode::Error, message: "timeout".into() },
            attributes,
            ..span()
        };
        let event = size_of::<SpanEvent>() + "retry".len() + 48;
        let link = size_of::<SpanLink>() + "a=b".len();
        assert_eq!(span.heap_bytes(), "GET /cart".len() + 48 + event + link + "timeout".len());

        let ledger = Ledger::default();
        span.charge(&ledger);
        span.clone().charge(&ledger);
        assert_eq!(ledger.bytes(), span.resource.heap_bytes() + span.scope.heap_bytes());
    }

    #[test]
    fn flags_and_times_are_read_as_the_protocol_lays_them_out() {
        let remote = |flags| Span { flags, ..span() }.parent_is_remote();
        assert_eq!([0x001, 0x201, 0x101, 0x301].map(remote), [None, None, Some(false), Some(true)]);
        assert_eq!(Span { flags: 0xffff_ff01, ..span() }.trace_flags(), 1);
        assert_eq!(Span { start_unix_nanos: 2, end_unix_nanos: 1, ..span() }.duration(), 0);
    }

    #[test]
    fn numbers_are_the_protocols() {
        for number in 0..6 {
            assert_eq!(SpanKind::from_number(number).map(SpanKind::number), Some(number));
        }
        assert_eq!((SpanKind::from_number(6), SpanKind::from_number(-1)), (None, None));
        assert_eq!(SpanKind::from_number(3), Some(SpanKind::Client));
        assert_eq!(StatusCode::from_number(2), Some(StatusCode::Error));
        assert_eq!(StatusCode::from_number(3), None);
    }
}
