//! Spans, modeled on OpenTelemetry's `Span`.

use super::body::{At, Body, Gathered, RecordKind};
use super::offset::Offset;
use super::value_ref::value_if_named;
use super::written::Written;
use super::{
    AttributesRef, Index, Key, Ledger, ResourceRef, ScopeRef, Shared, Signal, Source, SpanEvents,
    SpanId, SpanKind, SpanLinks, StatusCode, StatusRef, TraceId, ValueRef, by_service, by_trace,
    is_text,
};
use crate::wire::{Field, Fields, Raw, Writer, field_of};
use std::fmt;
use std::ops::Range;

/// One operation of a trace: OpenTelemetry's `Span`, with its resource and scope.
///
/// The span is stored as its encoded bytes, which the accessors read in place: those of the request
/// that it came in, or those that [`builder`](Span::builder) wrote. A clone costs one atomic
/// increment. Accessors are O(1) unless their documentation says `O(bytes)`; these scan the record
/// for their field.
///
/// Indexes: `trace` (the trace id; no key if it is all zero), `service` (the resource's
/// `service.name`, or `unknown_service`) and `name` (no key if it is empty, which the protocol
/// treats as unknown). The timestamp is the span's start.
///
/// ```
/// use slipring::{Key, Resource, Scope, Signal, Source, Span};
/// use slipring::span::SpanKind;
///
/// let resource = Resource::new([("service.name", "cart")]);
/// let source = Source::new(&resource, &Scope { name: "http-server".into(), ..Scope::default() });
/// let span = Span::builder()
///     .source(&source)
///     .trace_id(0x4bf92f3577b34da6a3ce929d0e0e4736)
///     .span_id(0x00f067aa0ba902b7)
///     .name("GET /cart")
///     .kind(SpanKind::Server)
///     .start_unix_nanos(1_760_000_000_000_000_000)
///     .end_unix_nanos(1_760_000_000_001_250_000)
///     .attribute("http.response.status_code", 200)
///     .build();
/// assert_eq!(span.duration(), 1_250_000);
/// assert_eq!(Span::INDEXES[1].key(&span), Some(Key::Text("cart")));
/// ```
#[derive(Clone)]
pub struct Span {
    head: Head,
    body: Shared<Body>,
    at: At,
}

// Slots hold spans inline, so each byte added here enlarges every slot of every store.
const _: () = assert!(size_of::<Span>() == 32);

/// Where the frequently read fields lie, and the kind and the status themselves. Ids that are not
/// valid have no offset.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    /// Known writers write the ids and the name first.
    trace_id: Offset<1>,
    span_id: Offset<1>,
    parent_span_id: Offset<2>,
    start: Offset<2>,
    end: Offset<2>,
    name: Offset<1>,
    /// The kind in the lower half, the status code in the upper half.
    kind_and_status: u8,
    layout: Layout,
}

/// What a reader of some fields may skip: 15 bits for the number of the span's bytes from its first
/// attribute, event or link on, behind all that a reader of these would have to skip; and a bit that
/// tells whether there is a `tracestate`.
#[derive(Clone, Copy, Debug, Default)]
struct Layout([u8; 2]);

impl Layout {
    /// The bit for a `tracestate`.
    const TRACE_STATE: u16 = 1 << 15;
    /// Stands for as many bytes and more.
    const MANY: u16 = Self::TRACE_STATE - 1;

    fn bits(self) -> u16 {
        u16::from_le_bytes(self.0)
    }

    /// Notes that a list begins with this number of bytes left, unless one has begun before.
    fn see_list(&mut self, left: usize) {
        if self.bits() & Self::MANY == 0 {
            let left = u16::try_from(left).unwrap_or(Self::MANY).min(Self::MANY);
            self.0 = (self.bits() | left).to_le_bytes();
        }
    }

    fn see_trace_state(&mut self) {
        self.0 = (self.bits() | Self::TRACE_STATE).to_le_bytes();
    }

    fn has_trace_state(self) -> bool {
        self.bits() & Self::TRACE_STATE != 0
    }

    /// Returns the part of the span's bytes that has all lists.
    fn lists(self, bytes: &[u8]) -> &[u8] {
        match self.bits() & Self::MANY {
            Self::MANY => bytes,
            length => &bytes[bytes.len().saturating_sub(length.into())..],
        }
    }
}

impl Head {
    /// Returns whether the trace id and the span id are both set.
    #[cfg(feature = "otlp")]
    pub(crate) fn has_ids(&self) -> bool {
        self.trace_id.is_set() && self.span_id.is_set()
    }

    /// Notes a field of a message of this length, if the head says anything of it.
    #[inline]
    pub(crate) fn see(&mut self, field: Field<'_>, length: usize) {
        let is_span_id = || SpanId::of_wire(Some(field.raw)).is_some();
        match field.number {
            1 if TraceId::of_wire(Some(field.raw)).is_some() => {
                self.trace_id = Offset::of(length, field.left);
            }
            2 if is_span_id() => self.span_id = Offset::of(length, field.left),
            4 if is_span_id() => self.parent_span_id = Offset::of(length, field.left),
            5 => self.name = Offset::of(length, field.left),
            6 => {
                let kind = SpanKind::from_number(field.raw.number() as i32).unwrap_or_default();
                self.kind_and_status |= kind as u8;
            }
            7 => self.start = Offset::of(length, field.left),
            8 => self.end = Offset::of(length, field.left),
            3 => self.layout.see_trace_state(),
            9 | 11 | 13 => self.layout.see_list(field.left),
            15 => {
                let code = field_of(field.raw.bytes(), 3).map_or(0, Raw::number);
                let code = StatusCode::from_number(code as i32).unwrap_or_default();
                self.kind_and_status |= (code as u8) << 4;
            }
            _ => {}
        }
    }
}

impl Span {
    /// Returns the id of the span's trace, or all zero if it has none.
    pub fn trace_id(&self) -> TraceId {
        self.head.trace_id.bytes(self.bytes(), 1).map_or_else(TraceId::default, TraceId::from)
    }

    /// Returns the span's own id within the trace.
    pub fn span_id(&self) -> SpanId {
        self.head.span_id.bytes(self.bytes(), 2).map_or_else(SpanId::default, SpanId::from)
    }

    /// Returns the id of the parent span, or `None` for a root span.
    pub fn parent_span_id(&self) -> Option<SpanId> {
        self.head.parent_span_id.bytes(self.bytes(), 4).map(SpanId::from)
    }

    /// Returns W3C Trace Context's `tracestate`, or an empty text if there is none. O(1) if there is
    /// none, and O(bytes) otherwise.
    pub fn trace_state(&self) -> &str {
        if self.head.layout.has_trace_state() { self.text(3) } else { "" }
    }

    /// Returns the flags. Bits 0 to 7 are W3C's [trace flags](Span::trace_flags). Bits 8 and 9 tell
    /// whether the [parent is remote](Span::parent_is_remote). The other bits are reserved, and
    /// returned as they arrived. O(bytes).
    pub fn flags(&self) -> u32 {
        self.number_of(16) as u32
    }

    /// Returns the name, such as `GET /cart`. O(bytes of the name).
    pub fn name(&self) -> &str {
        let name = self.head.name.read(self.bytes(), |record| field_of(record, 5));
        name.map_or("", Raw::text)
    }

    /// Returns the span's relation to its parent and its children.
    pub fn kind(&self) -> SpanKind {
        SpanKind::from_number(i32::from(self.head.kind_and_status & 15)).unwrap_or_default()
    }

    /// Returns the start time, in nanoseconds since the Unix epoch, or 0 if it is unknown.
    pub fn start_unix_nanos(&self) -> u64 {
        self.head.start.fixed64(self.bytes(), |record| field_of(record, 7))
    }

    /// Returns the end time, in nanoseconds since the Unix epoch, or 0 if it is unknown, as for a
    /// span that has not ended.
    pub fn end_unix_nanos(&self) -> u64 {
        self.head.end.fixed64(self.bytes(), |record| field_of(record, 8))
    }

    /// Returns the attributes.
    pub fn attributes(&self) -> AttributesRef<'_> {
        AttributesRef::of(self.lists(), 9)
    }

    /// Returns the part of the bytes that has all attributes, events and links.
    fn lists(&self) -> &[u8] {
        self.head.layout.lists(self.bytes())
    }

    /// Calls `test` with the values of this name among the span's own attributes, until it returns
    /// true. Returns whether it did, and whether there are events or links, which may have the name
    /// too. Goes through the span's fields once.
    pub(crate) fn any_own_value(
        &self,
        name: &str,
        test: &mut dyn FnMut(ValueRef<'_>) -> bool,
    ) -> (bool, bool) {
        let mut has_more = false;
        let found = Fields::of(self.lists()).any_bytes(|number, bytes| match number {
            9 => value_if_named(bytes, name).is_some_and(&mut *test),
            11 | 13 => {
                has_more = true;
                false
            }
            _ => false,
        });
        (found, has_more)
    }

    /// Returns the number of attributes that were discarded before the record arrived. O(bytes).
    pub fn dropped_attributes_count(&self) -> u32 {
        self.number_of(10) as u32
    }

    /// Returns the events.
    pub fn events(&self) -> SpanEvents<'_> {
        SpanEvents::of(self.lists(), 11)
    }

    /// Returns the number of events that were discarded before the record arrived. O(bytes).
    pub fn dropped_events_count(&self) -> u32 {
        self.number_of(12) as u32
    }

    /// Returns the links to spans of this trace or of others.
    pub fn links(&self) -> SpanLinks<'_> {
        SpanLinks::of(self.lists(), 13)
    }

    /// Returns the number of links that were discarded before the record arrived. O(bytes).
    pub fn dropped_links_count(&self) -> u32 {
        self.number_of(14) as u32
    }

    /// Returns the status. O(bytes), because of the message. [`status_code`](Span::status_code) is
    /// O(1).
    pub fn status(&self) -> StatusRef<'_> {
        let message = self.field(15).and_then(|status| field_of(status.bytes(), 2));
        StatusRef { code: self.status_code(), message: message.map_or("", Raw::text) }
    }

    /// Returns the status without its message.
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_number(i32::from(self.head.kind_and_status >> 4)).unwrap_or_default()
    }

    /// Returns the duration, in nanoseconds. It is 0 if the start or the end is unknown, or if the
    /// end lies before the start.
    pub fn duration(&self) -> u64 {
        self.known_duration().unwrap_or(0)
    }

    /// Returns the duration, in nanoseconds, or `None` if the start or the end is unknown.
    pub(crate) fn known_duration(&self) -> Option<u64> {
        let (start, end) = (self.start_unix_nanos(), self.end_unix_nanos());
        (start > 0 && end > 0).then(|| end.saturating_sub(start))
    }

    /// Returns W3C's trace flags. Bit 0 means that the trace is sampled. O(bytes).
    pub fn trace_flags(&self) -> u8 {
        self.flags() as u8
    }

    /// Returns the span with another [`tracestate`](Self::trace_state); an empty text removes it.
    /// All other bytes stay the same, unknown fields included. O(bytes). Like a
    /// [builder](Self::builder), it writes into a chunk that the thread fills.
    ///
    /// ```
    /// use slipring::Span;
    ///
    /// let span = Span::builder().name("GET /").trace_state("vendor=1").build();
    /// let sampled = span.with_trace_state("ot=th:c,vendor=1");
    /// assert_eq!((sampled.name(), sampled.trace_state()), ("GET /", "ot=th:c,vendor=1"));
    /// assert_eq!(sampled.with_trace_state("vendor=1").bytes(), span.bytes());
    /// ```
    pub fn with_trace_state(&self, state: &str) -> Self {
        let mut written = Written::default();
        self.write_with_trace_state(state, written.writer().0);
        // What the head says of the bytes' layout may be another now.
        let mut head = Head::default();
        let length = written.fields().rest().len();
        written.fields().for_each(|field| head.see(field, length));
        let (body, at) = written.keep(RecordKind::Spans, Some(self.source()));
        Self { head, body, at }
    }

    /// Appends the bytes that the span has with another [`tracestate`](Self::trace_state), as
    /// [`with_trace_state`](Self::with_trace_state) does. O(bytes).
    ///
    /// ```
    /// use slipring::Span;
    ///
    /// let span = Span::builder().name("GET /").build();
    /// let mut bytes = Vec::new();
    /// span.write_with_trace_state("ot=th:c", &mut bytes);
    /// assert_eq!(bytes, span.with_trace_state("ot=th:c").bytes());
    /// ```
    pub fn write_with_trace_state(&self, state: &str, to: &mut Vec<u8>) {
        let bytes = self.bytes();
        // The field replaces the one that is there, or goes before the first with a higher number.
        let (mut start, mut end) = (bytes.len(), bytes.len());
        let mut fields = Fields::of(bytes);
        loop {
            let before = bytes.len() - fields.rest().len();
            match fields.next() {
                Some(field) if field.number < 3 => continue,
                Some(field) => {
                    start = start.min(before);
                    end = end.min(before);
                    if field.number == 3 {
                        (start, end) = (before, bytes.len() - fields.rest().len());
                        break;
                    }
                    if !self.head.layout.has_trace_state() {
                        break;
                    }
                }
                None => break,
            }
        }
        let mut writer = Writer(to);
        writer.0.extend_from_slice(&bytes[..start]);
        writer.bytes(3, state.as_bytes());
        writer.0.extend_from_slice(&bytes[end..]);
    }

    /// Makes spans of encoded bytes that lie in ranges of a body, each with the number of its source
    /// among `sources`. The body is theirs alone, and is freed with the last of them. O(bytes), with
    /// three allocations.
    ///
    /// The ranges must have what [`bytes`](Self::bytes) returned for a span. It is meant for
    /// consumers that hold the bytes of many spans and few spans, such as a sampler. Of other bytes,
    /// or without the source, it makes spans that say less, or something else.
    ///
    /// ```
    /// use slipring::Span;
    ///
    /// let span = Span::builder().trace_id(7).span_id(1).name("GET /").build();
    /// let (bytes, source) = (span.bytes().to_vec(), span.source().clone());
    /// let place = (0, 0..bytes.len());
    /// assert_eq!(Span::of_body(bytes, vec![source], &[place]), [span]);
    /// ```
    ///
    /// # Panics
    /// If the body has 2³² - 1 bytes or more, or there are as many sources.
    pub fn of_body(
        body: Vec<u8>,
        sources: Vec<Source>,
        places: &[(usize, Range<usize>)],
    ) -> Vec<Self> {
        assert!(body.len().max(sources.len()) < u32::MAX as usize, "a body has at most 2³² bytes");
        let most = body.len();
        let places = places.iter().map(|(number, range)| {
            let (start, end) = (range.start.min(most), range.end.min(most));
            let length = end.saturating_sub(start) as u32;
            At { number: (*number).min(u32::MAX as usize) as u32, start: start as u32, length }
        });
        let own: usize = places.clone().map(|at| at.length as usize).sum();
        let body = Body::whole(body.into(), sources.into(), own);
        let span = |at| {
            let mut head = Head::default();
            let bytes = body.bytes(at);
            Fields::of(bytes).for_each(|field| head.see(field, bytes.len()));
            Self { head, body: body.clone(), at }
        };
        places.map(span).collect()
    }

    /// Returns whether the parent is in another process, or `None` if that is unknown. O(bytes).
    pub fn parent_is_remote(&self) -> Option<bool> {
        let flags = self.flags();
        (flags & 0x100 != 0).then_some(flags & 0x200 != 0)
    }
}

impl Span {
    fn text(&self, number: u32) -> &str {
        self.field(number).map_or("", Raw::text)
    }
}

record! { Span {
    trace_id, span_id, parent_span_id, trace_state, flags, name, kind, start_unix_nanos in nanos, end_unix_nanos in nanos, attributes,
    dropped_attributes_count, events, dropped_events_count, links, dropped_links_count, status, resource, scope,
} }

impl Signal for Span {
    const NAME: &'static str = "span";
    type Indexes = [Index<Self>; 3];
    const INDEXES: Self::Indexes = [
        by_trace(|span: &Self| span.trace_id().key())
            .sharing(|span, other| span.trace_id() == other.trace_id()),
        by_service(|span: &Self| Some(Key::Text(span.service()))).sharing(Self::has_source_of),
        Index::new("name", |span: &Self| {
            Some(span.name()).filter(|name| !name.is_empty()).map(Key::Text)
        })
        .accepting(is_text, "a span's name; spans without a name are not in this index"),
    ];

    fn timestamp(&self) -> u64 {
        self.start_unix_nanos()
    }

    /// Returns whether the status is an error.
    fn is_error(&self) -> bool {
        self.status_code() == StatusCode::Error
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a part of a span.
    type Part<'a> = &'a dyn Fn(&mut Writer<'_>);

    #[test]
    fn a_head_knows_its_lists_and_its_trace_state_in_any_order_and_length() {
        for length in [1, 100, 32_600, 32_767, 40_000, 70_000] {
            let attribute = |writer: &mut Writer<'_>| {
                writer.nested(9, |writer| {
                    writer.bytes(1, b"name");
                    writer.nested(2, |writer| writer.bytes(1, "x".repeat(length).as_bytes()));
                });
            };
            let state = |writer: &mut Writer<'_>| writer.bytes(3, b"vendor=1");
            let orders: [&[Part<'_>]; 5] = [
                &[],
                &[&attribute],
                &[&state, &attribute, &attribute],
                &[&attribute, &state, &attribute],
                &[&attribute, &attribute, &state],
            ];
            for (order, parts) in orders.iter().enumerate() {
                let mut bytes = Vec::new();
                let mut writer = Writer(&mut bytes);
                writer.bytes(1, &[7; 16]);
                parts.iter().for_each(|part| part(&mut writer));
                let place = (0, 0..bytes.len());
                let span = Span::of_body(bytes, vec![Source::default()], &[place]).remove(0);
                let wanted = if order < 2 { "" } else { "vendor=1" };
                assert_eq!(span.trace_state(), wanted, "{order} {length}");
                let attributes = [0, 1, 2, 2, 2][order];
                assert_eq!(span.attributes().iter().count(), attributes, "{order} {length}");
                let with = span.with_trace_state("other=2");
                assert_eq!(with.trace_state(), "other=2", "{order} {length}");
                assert_eq!(with.attributes().iter().count(), attributes, "{order} {length}");
                assert_eq!(with.with_trace_state("").trace_state(), "");
            }
        }
    }

    #[test]
    fn places_beyond_a_body_make_empty_spans() {
        let span = Span::builder().trace_id(7).name("GET /").build();
        let bytes = span.bytes().to_vec();
        let all = bytes.len();
        let places = [(0, 0..all), (9, 0..all), (0, 900..9_000), (0, all..2)];
        let spans = Span::of_body(bytes, vec![span.source().clone()], &places);
        assert_eq!(spans[0], span);
        assert_eq!((spans[1].name(), spans[1].service()), ("GET /", "unknown_service"));
        assert_eq!([spans[2].name(), spans[3].name()], ["", ""]);
        assert!(Span::of_body(Vec::new(), Vec::new(), &[]).is_empty());
    }
}
