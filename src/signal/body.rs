//! Where records' bytes lie: in the request that they came in, or in a chunk that a thread fills.
//!
//! ```text
//!  body (one reference count)                        chunk (one reference count)
//!  ┌──────────────────────────────────┬─────────┐    ┌───────┬───────┬───────┬─ ─ ─┐
//!  │ bytes of a request, or of its    │ sources │    │ bytes │ bytes │ bytes │     │  each with its source
//!  │ records alone                    │         │    └───────┴───────┴───────┴─ ─ ─┘
//!  └──────────────────────────────────┴─────────┘        ▲
//!        ▲                                 ▲             └── place
//!        └── start, length                 └── number
//!  record: [ head | body | source | start | length ]
//! ```

use super::{Ledger, Shared, Source};
use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::sync::OnceLock;

/// Bytes that records share, and what encloses them. Immutable, but for a chunk's places that are
/// still empty.
pub(crate) enum Body {
    Whole { bytes: Bytes, sources: Box<[Source]> },
    Chunk(Box<[OnceLock<Place>]>),
}

/// A record's bytes in a chunk.
pub(crate) struct Place {
    bytes: Bytes,
    source: Source,
}

/// Where in its body a record lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    /// The number of its source; in a chunk, of its place.
    pub(crate) number: u32,
    pub(crate) start: u32,
    pub(crate) length: u32,
}

/// What is known of a `Bytes` that is shared: its counters lie apart.
const COUNTERS: usize = 32;

impl Body {
    /// Makes a body whose records take so many of its bytes.
    pub(crate) fn whole(bytes: Bytes, sources: Box<[Source]>, records: usize) -> Shared<Self> {
        let beside = bytes.len().saturating_sub(records) + size_of_val(&*sources) + COUNTERS;
        Shared::with_heap_bytes(Body::Whole { bytes, sources }, beside)
    }

    /// Makes a body of one record.
    pub(crate) fn alone(bytes: &[u8], source: &Source) -> (Shared<Self>, At) {
        let at = At { number: 0, start: 0, length: bytes.len() as u32 };
        let sources = Box::new([source.clone()]);
        (Self::whole(Bytes::copy_from_slice(bytes), sources, bytes.len()), at)
    }

    /// Returns a record's bytes.
    #[inline]
    pub(crate) fn bytes(&self, at: At) -> &[u8] {
        match self {
            Body::Whole { bytes, .. } => bytes
                .get(at.start as usize..at.start as usize + at.length as usize)
                .unwrap_or_default(),
            Body::Chunk(places) => place(places, at).map_or(&[], |place| &place.bytes),
        }
    }

    /// Returns a record's source.
    #[inline]
    pub(crate) fn source(&self, at: At) -> &Source {
        match self {
            Body::Whole { sources, .. } => sources.get(at.number as usize),
            Body::Chunk(places) => place(places, at).map(|place| &place.source),
        }
        .unwrap_or_else(|| Source::unknown())
    }

    /// Charges what records share with this one.
    #[inline]
    pub(crate) fn charge(body: &Shared<Self>, at: At, ledger: &Ledger) {
        let first = body.charge_once(ledger);
        match &**body {
            // One that is charged has had its sources charged.
            Body::Whole { sources, .. } if first => {
                sources.iter().for_each(|source| source.charge(ledger))
            }
            Body::Whole { .. } => {}
            Body::Chunk(_) => body.source(at).charge(ledger),
        }
    }
}

#[inline]
fn place(places: &[OnceLock<Place>], at: At) -> Option<&Place> {
    places.get(at.number as usize)?.get()
}

/// Records in a chunk at most.
const PLACES: usize = if cfg!(test) { 8 } else { 128 };

/// A chunk has at least and at most so many bytes, for records of this size on average.
const LEAST: usize = 1 << 10;
const MOST: usize = 16 << 10;

/// A chunk with less room than this is full: so much is wasted at most.
const LEFT: usize = 192;

/// Bytes of sources that a chunk keeps until its last record has gone.
const SOURCES: usize = 32 << 10;

/// What a thread writes records with.
#[derive(Default)]
struct Desk {
    /// One for each kind of record: what stays for long is not to keep what goes soon.
    chunks: [Option<Chunk>; 3],
    /// Lists that builders wrote into, for the next.
    spare: Vec<Vec<u8>>,
}

struct Chunk {
    body: Shared<Body>,
    room: BytesMut,
    /// Records in it, and their bytes.
    used: usize,
    filled: usize,
    /// The source of the last one, and bytes of all sources.
    source: Option<Source>,
    sources: usize,
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::default();
}

/// Lends an empty buffer to write into.
pub(crate) fn borrow_buffer() -> Vec<u8> {
    DESK.try_with(|desk| desk.try_borrow_mut().ok()?.spare.pop()).ok().flatten().unwrap_or_default()
}

/// Takes a buffer back, so that the next record needs no allocation.
pub(crate) fn return_buffer(mut buffer: Vec<u8>) {
    const SPARE: usize = 4;
    if buffer.capacity() == 0 || buffer.capacity() > MOST / 4 {
        return;
    }
    buffer.clear();
    // At a thread's end there is no desk any more.
    let _ = DESK.try_with(|desk| {
        if let Ok(mut desk) = desk.try_borrow_mut()
            && desk.spare.len() < SPARE
        {
            desk.spare.push(buffer);
        }
    });
}

/// What a chunk has records of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    Spans,
    Logs,
    Points,
}

/// Copies a record into this thread's chunk; a large one gets a body of its own. An allocation for
/// some hundred records.
pub(crate) fn keep(kind: Of, bytes: &[u8], source: &Source) -> (Shared<Body>, At) {
    let kept = DESK.try_with(|desk| desk.try_borrow_mut().ok()?.keep(kind, bytes, source));
    kept.ok().flatten().unwrap_or_else(|| Body::alone(bytes, source))
}

impl Desk {
    fn keep(&mut self, kind: Of, bytes: &[u8], source: &Source) -> Option<(Shared<Body>, At)> {
        if bytes.len() > MOST / 4 {
            return None;
        }
        let goes_on = |chunk: &Chunk| {
            let known = chunk.source.as_ref().is_some_and(|last| last.same(source));
            chunk.has_place() && (known || chunk.sources < SOURCES) && chunk.left() >= LEFT
        };
        if self.chunks[kind as usize]
            .as_ref()
            .is_some_and(|chunk| goes_on(chunk) && chunk.left() < bytes.len())
        {
            // Others will fit.
            return None;
        }
        if !self.chunks[kind as usize].as_ref().is_some_and(goes_on) {
            let (places, room) =
                self.chunks[kind as usize].take().map_or((PLACES, PLACES * 128), Chunk::end);
            let chunk = Chunk::new(places.min(PLACES), room.clamp(LEAST, MOST).max(bytes.len()));
            self.chunks[kind as usize] = Some(chunk);
        }
        let chunk = self.chunks[kind as usize].as_mut()?;
        chunk.room.extend_from_slice(bytes);
        let place = Place { bytes: chunk.room.split().freeze(), source: source.clone() };
        let Body::Chunk(places) = &*chunk.body else { return None };
        let at = At { number: chunk.used as u32, start: 0, length: bytes.len() as u32 };
        places[chunk.used].set(place).ok()?;
        chunk.used += 1;
        chunk.filled += bytes.len();
        if !chunk.source.as_ref().is_some_and(|last| last.same(source)) {
            chunk.sources += source.bytes_beside(chunk.source.as_ref());
            chunk.source = Some(source.clone());
        }
        Some((chunk.body.clone(), at))
    }
}

impl Chunk {
    fn new(places: usize, room: usize) -> Self {
        let places: Box<[OnceLock<Place>]> = (0..places).map(|_| OnceLock::new()).collect();
        // What records take of the room is their own; what is left over is known in the end.
        let beside = size_of_val(&*places) + COUNTERS;
        let body = Shared::with_heap_bytes(Body::Chunk(places), beside);
        Self {
            body,
            room: BytesMut::with_capacity(room),
            used: 0,
            filled: 0,
            source: None,
            sources: 0,
        }
    }

    /// Ends the chunk, counts the room left over as wasted, and returns how large the next one
    /// should be: places, and room.
    fn end(self) -> (usize, usize) {
        self.body.add_heap_bytes(self.left());
        (self.used + self.used / 8 + 1, self.filled + self.filled / 16)
    }

    fn left(&self) -> usize {
        self.room.capacity() - self.room.len()
    }

    fn has_place(&self) -> bool {
        matches!(&*self.body, Body::Chunk(places) if self.used < places.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{Resource, Scope};

    #[test]
    fn a_chunk_is_left_when_it_is_full_and_large_records_stay_out() {
        let source = Source::new(&Resource::new([("service.name", "cart")]), &Scope::default());
        let kept: Vec<_> =
            (0..3 * PLACES).map(|number| keep(Of::Logs, &[number as u8; 10], &source)).collect();
        for (number, (body, at)) in kept.iter().enumerate() {
            assert_eq!(body.bytes(*at), [number as u8; 10]);
            assert!(body.source(*at).same(&source));
        }
        let bodies = kept.windows(2).filter(|pair| !pair[0].0.same(&pair[1].0)).count();
        assert!((2..=4).contains(&bodies), "{bodies}");
        let (body, at) = keep(Of::Logs, &[7; MOST], &source);
        assert!(matches!(*body, Body::Whole { .. }));
        assert_eq!(body.bytes(at), [7; MOST]);
    }

    #[test]
    fn a_chunks_source_is_charged_with_the_first_record_that_has_it() {
        let source = Source::new(&Resource::new([("service.name", "ad")]), &Scope::default());
        let (body, at) = keep(Of::Logs, b"ab", &source);
        let ledger = Ledger::default();
        Body::charge(&body, at, &ledger);
        Body::charge(&body, at, &ledger);
        assert!(ledger.bytes() >= source.heap_bytes());
    }
}
