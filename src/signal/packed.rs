//! Spans that wait in one allocation, in fewer bytes than records take.

use super::Source;
use super::body::{At, Body, Gathered};
use super::span::{Head, Span};
use crate::wire::{Fields, Raw, field_of};
use smallvec::SmallVec;
use std::fmt;

/// The bytes before each span: the number of its source, and its length.
const HEADER: usize = 8;

/// Spans that were copied out of their bodies into one allocation. Each takes 8 bytes beside its
/// own, where a [`Span`] takes 72, and holds no body of others.
///
/// This suits consumers that hold many spans and need few of them again, such as a sampler that
/// rejects most traces: spans that are dropped cost one deallocation together. They become records
/// again by [`into_spans`](Self::into_spans), which reads each of them once.
///
/// ```
/// use slipring::Span;
/// use slipring::span::PackedSpans;
///
/// let span = |id| Span::builder().trace_id(7).span_id(id).name(format!("step {id}")).build();
/// let mut packed = PackedSpans::default();
/// let first = packed.push(&span(1)).expect("there is room for two billion bytes");
/// packed.push(&span(2));
/// assert_eq!((packed.len(), packed.name(first)), (2, "step 1"));
/// assert_eq!(packed.into_spans(), [span(1), span(2)]);
/// ```
#[derive(Clone, Default)]
pub struct PackedSpans {
    /// For each span its header, and its bytes.
    bytes: Vec<u8>,
    /// What the spans share. Most traces have few services.
    sources: SmallVec<[Source; 4]>,
    count: u32,
}

/// The place of a span among others that are packed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedPlace(u32);

impl PackedSpans {
    /// Reserves room for this many spans that take this many bytes together. Room for more is
    /// reserved with it, in proportion to what is there, so that adding spans is O(bytes).
    pub fn reserve(&mut self, spans: usize, bytes: usize) {
        let more = bytes + spans * HEADER;
        if self.bytes.capacity() - self.bytes.len() < more {
            self.bytes.reserve_exact(more.max(self.bytes.len() / 2));
        }
    }

    /// Copies a span. Returns its place, or `None` if there is no room: there is for 2³¹ bytes.
    /// O(bytes), and a reference count if its source is another one than those of the spans before.
    pub fn push(&mut self, span: &Span) -> Option<PackedPlace> {
        let own = span.bytes();
        let place = self.bytes.len();
        if place + HEADER + own.len() > Gathered::MOST || self.count == u32::MAX {
            return None;
        }
        self.reserve(1, own.len());
        let number = self.number_of(span.source());
        let header = u64::from(number) | (own.len() as u64) << 32;
        self.bytes.extend_from_slice(&header.to_le_bytes());
        self.bytes.extend_from_slice(own);
        self.count += 1;
        Some(PackedPlace(place as u32))
    }

    /// Returns the number of a source, which is added if it is not among the last ones.
    fn number_of(&mut self, source: &Source) -> u32 {
        /// Records of few sources alternate. A look further back costs more than it saves.
        const BACK: usize = 8;
        let from = self.sources.len().saturating_sub(BACK);
        let known = self.sources[from..].iter().rposition(|known| known.ptr_eq(source));
        let number = known.map_or(self.sources.len(), |place| from + place);
        if known.is_none() {
            self.sources.push(source.clone());
        }
        number as u32
    }

    /// Returns the number of spans.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the sources of the spans, in the order in which they came. A source may stand there
    /// more than once. [Charge](Source::charge) them to count what the spans share.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Returns the bytes that are allocated, without those that the sources take.
    pub fn heap_bytes(&self) -> usize {
        let sources = if self.sources.spilled() { self.sources.capacity() } else { 0 };
        self.bytes.capacity() + sources * size_of::<Source>()
    }

    /// Returns the position of the span at a place, once its bytes are those of a body.
    fn at(&self, place: usize) -> Option<At> {
        at(&self.bytes, place)
    }

    fn own(&self, PackedPlace(place): PackedPlace) -> &[u8] {
        let at = self.at(place as usize);
        at.and_then(|at| self.bytes.get(at.start as usize..)?.get(..at.length as usize))
            .unwrap_or_default()
    }

    /// Returns the name of a span, or an empty text if the place is that of none.
    pub fn name(&self, place: PackedPlace) -> &str {
        field_of(self.own(place), 5).map_or("", Raw::text)
    }

    /// Returns the service of a span, as [`Span::service`] does.
    pub fn service(&self, PackedPlace(place): PackedPlace) -> &str {
        let number = self.at(place as usize).map_or(usize::MAX, |at| at.number as usize);
        self.sources.get(number).unwrap_or_else(|| Source::unknown()).service()
    }

    /// Makes records of the spans, in the order in which they came, in a body that only they share.
    /// O(bytes), with four allocations.
    pub fn into_spans(self) -> Vec<Span> {
        let Self { mut bytes, sources, count } = self;
        bytes.shrink_to_fit();
        let (all, headers) = (bytes.len(), count as usize * HEADER);
        let body = Body::whole(bytes.into(), sources.into_vec().into(), all - headers);
        let whole = body.bytes(At { number: 0, start: 0, length: all as u32 });
        let mut spans = Vec::with_capacity(count as usize);
        let mut place = 0;
        while let Some(position) = at(whole, place) {
            let mut head = Head::default();
            Fields::of(body.bytes(position)).for_each(|field| head.see(field));
            place += HEADER + position.length as usize;
            spans.push(Span::of(head, body.clone(), position));
        }
        spans
    }
}

/// Reads the header at a place.
fn at(bytes: &[u8], place: usize) -> Option<At> {
    let header = u64::from_le_bytes(*bytes.get(place..)?.first_chunk()?);
    let start = (place + HEADER) as u32;
    Some(At { number: header as u32, start, length: (header >> 32) as u32 })
}

impl fmt::Debug for PackedSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackedSpans").field("len", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{Resource, Scope, SpanId};

    fn span(service: &str, id: u64) -> Span {
        let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
        let span =
            Span::builder().source(&source).trace_id(7).span_id(id).name(format!("step {id}"));
        let span = span.parent_span_id((id > 1).then_some(SpanId::from(1)));
        span.start_unix_nanos(id).end_unix_nanos(9).attribute("id", id as i64).build()
    }

    #[test]
    fn spans_come_out_as_they_went_in() {
        let all: Vec<Span> = (1..100).map(|id| span(&format!("service {}", id % 20), id)).collect();
        let mut packed = PackedSpans::default();
        packed.reserve(3, 300);
        let places: Vec<_> = all.iter().map(|span| packed.push(span).unwrap()).collect();
        for (span, place) in all.iter().zip(places) {
            assert_eq!((packed.name(place), packed.service(place)), (span.name(), span.service()));
        }
        assert_eq!((packed.len(), packed.is_empty()), (99, false));
        // Each has a source of its own.
        assert_eq!(packed.sources().len(), 99);
        let own: usize = all.iter().map(|span| span.bytes().len() + HEADER).sum();
        let bytes = packed.heap_bytes();
        assert!(bytes >= own + 99 * 8 && bytes < 2 * own + 4 * 99 * 8, "{bytes} for {own}");
        let out = packed.clone().into_spans();
        assert_eq!(out, all);
        for (one, other) in out.iter().zip(&all) {
            assert_eq!(
                (one.bytes(), one.parent_span_id()),
                (other.bytes(), other.parent_span_id())
            );
            assert_eq!(one.attributes().get("id"), other.attributes().get("id"));
        }
    }

    #[test]
    fn spans_of_one_source_share_it_and_nothing_else() {
        let one = span("cart", 1);
        let other = Span::builder().source(one.source()).trace_id(7).span_id(2).build();
        let mut packed = PackedSpans::default();
        packed.push(&one);
        packed.push(&other);
        assert_eq!(packed.sources().len(), 1);
        assert!(packed.sources()[0].ptr_eq(one.source()));
        let spans = packed.into_spans();
        assert!(spans[0].source().ptr_eq(one.source()) && spans[1].source().ptr_eq(one.source()));
        assert!(PackedSpans::default().into_spans().is_empty());
    }
}
