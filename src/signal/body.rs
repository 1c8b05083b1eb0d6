//! Storage for the bytes of records: in the request that they arrived in, or in a chunk that a
//! thread fills with built records.
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

/// Bytes shared by records, with the sources of these records. A body is immutable, except that the
/// thread that fills a chunk sets the chunk's empty places.
pub(crate) enum Body {
    Whole { bytes: Bytes, sources: Box<[Source]> },
    Chunk(Box<[OnceLock<Place>]>),
}

/// The bytes and the source of one record in a chunk.
pub(crate) struct Place {
    bytes: Bytes,
    source: Source,
}

/// The position of a record in its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    /// The index of the record's source in a whole body, or of its place in a chunk.
    pub(crate) number: u32,
    pub(crate) start: u32,
    pub(crate) length: u32,
}

/// The approximate size of the reference counts of a shared `Bytes`, which are allocated
/// separately.
const COUNTERS: usize = 32;

impl Body {
    /// Creates a body. `records` is the number of bytes that the records account for themselves;
    /// the rest is charged to the body.
    pub(crate) fn whole(bytes: Bytes, sources: Box<[Source]>, records: usize) -> Shared<Self> {
        let overhead = bytes.len().saturating_sub(records) + size_of_val(&*sources) + COUNTERS;
        Shared::with_heap_bytes(Body::Whole { bytes, sources }, overhead)
    }

    /// Creates a body that holds one record.
    pub(crate) fn alone(bytes: &[u8], source: &Source) -> (Shared<Self>, At) {
        let at = At { number: 0, start: 0, length: bytes.len() as u32 };
        let sources = Box::new([source.clone()]);
        (Self::whole(Bytes::copy_from_slice(bytes), sources, bytes.len()), at)
    }

    /// Creates the body of the records that were gathered.
    pub(crate) fn gathered(of: Gathered) -> Shared<Self> {
        let records = of.bytes.len();
        Self::whole(of.bytes.into(), of.sources.into(), records)
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

    /// Returns whether two records have the same source, as far as that is seen without looking at
    /// it.
    #[inline]
    pub(crate) fn same_source(one: (&Shared<Self>, At), other: (&Shared<Self>, At)) -> bool {
        one.1.number == other.1.number && one.0.ptr_eq(other.0)
    }

    /// Charges the body and its sources to the ledger.
    #[inline]
    pub(crate) fn charge(body: &Shared<Self>, at: At, ledger: &Ledger) {
        let first = body.charge_once(ledger);
        match &**body {
            // A body charged before has had its sources charged along with it.
            Body::Whole { sources, .. } if first => {
                sources.iter().for_each(|source| source.charge(ledger))
            }
            Body::Whole { .. } => {}
            Body::Chunk(_) => body.source(at).charge(ledger),
        }
    }
}

/// Records that are copied into a body of their own.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    bytes: Vec<u8>,
    sources: Vec<Source>,
}

impl Gathered {
    /// The maximum number of bytes of the records of one body.
    pub(crate) const MOST: usize = u32::MAX as usize / 2;

    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), sources: Vec::with_capacity(1) }
    }

    /// Adds a record. Returns its position in the body to come.
    pub(crate) fn add(&mut self, bytes: &[u8], source: &Source) -> At {
        /// Records of few sources alternate. A look further back costs more than it saves.
        const BACK: usize = 8;
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        let from = self.sources.len().saturating_sub(BACK);
        let known = self.sources[from..].iter().rposition(|known| known.ptr_eq(source));
        let number = known.map_or(self.sources.len(), |place| from + place);
        if known.is_none() {
            self.sources.push(source.clone());
        }
        At { number: number as u32, start, length: bytes.len() as u32 }
    }
}

#[inline]
fn place(places: &[OnceLock<Place>], at: At) -> Option<&Place> {
    places.get(at.number as usize)?.get()
}

/// The maximum number of records in a chunk.
const PLACES: usize = if cfg!(test) { 8 } else { 128 };

/// The minimum and the maximum size of a chunk, in bytes. Between them, the size follows the
/// average size of the records in the chunk before.
const LEAST: usize = 1 << 10;
const MOST: usize = 16 << 10;

/// A chunk with less room than this, in bytes, counts as full. This bounds the room wasted per
/// chunk.
const LEFT: usize = 192;

/// A chunk accepts no further source once its sources take this many bytes, because it retains them
/// until its last record has been dropped.
const SOURCES: usize = 32 << 10;

/// The state with which a thread encodes records.
#[derive(Default)]
struct ThreadBuffers {
    /// One chunk for each kind of record. Kinds are kept apart so that a long-lived record of one
    /// kind does not retain the bytes of short-lived records of another.
    chunks: [Option<Chunk>; 3],
    /// Buffers that earlier builders returned, for reuse.
    spare: Vec<Vec<u8>>,
}

struct Chunk {
    body: Shared<Body>,
    room: BytesMut,
    /// The number of records in the chunk, and of their bytes.
    used: usize,
    filled: usize,
    /// The source of the last record, and the bytes of all sources.
    source: Option<Source>,
    sources: usize,
}

thread_local! {
    static THREAD_BUFFERS: RefCell<ThreadBuffers> = RefCell::default();
}

/// Returns an empty buffer to write into, from the thread's spare buffers if there is one.
pub(crate) fn borrow_buffer() -> Vec<u8> {
    THREAD_BUFFERS
        .try_with(|buffers| buffers.try_borrow_mut().ok()?.spare.pop())
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// Puts a buffer back among the thread's spare buffers, so that the next record needs no
/// allocation.
pub(crate) fn return_buffer(mut buffer: Vec<u8>) {
    const SPARE: usize = 4;
    if buffer.capacity() == 0 || buffer.capacity() > MOST / 4 {
        return;
    }
    buffer.clear();
    // The thread-local has already been destroyed if the thread is exiting.
    let _ = THREAD_BUFFERS.try_with(|buffers| {
        if let Ok(mut buffers) = buffers.try_borrow_mut()
            && buffers.spare.len() < SPARE
        {
            buffers.spare.push(buffer);
        }
    });
}

/// The kind of record that a chunk holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RecordKind {
    Spans,
    Logs,
    Points,
}

/// Copies a record into this thread's chunk. A large record gets a body of its own. A chunk takes a
/// few allocations and holds up to 128 records; none is made per record.
pub(crate) fn keep(kind: RecordKind, bytes: &[u8], source: &Source) -> (Shared<Body>, At) {
    let kept =
        THREAD_BUFFERS.try_with(|buffers| buffers.try_borrow_mut().ok()?.keep(kind, bytes, source));
    kept.ok().flatten().unwrap_or_else(|| Body::alone(bytes, source))
}

impl ThreadBuffers {
    fn keep(
        &mut self,
        kind: RecordKind,
        bytes: &[u8],
        source: &Source,
    ) -> Option<(Shared<Body>, At)> {
        if bytes.len() > MOST / 4 {
            return None;
        }
        let accepts_more = |chunk: &Chunk| {
            let known = chunk.source.as_ref().is_some_and(|last| last.ptr_eq(source));
            chunk.has_place() && (known || chunk.sources < SOURCES) && chunk.left() >= LEFT
        };
        if self.chunks[kind as usize]
            .as_ref()
            .is_some_and(|chunk| accepts_more(chunk) && chunk.left() < bytes.len())
        {
            // The chunk stays open, because smaller records still fit.
            return None;
        }
        if !self.chunks[kind as usize].as_ref().is_some_and(accepts_more) {
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
        if !chunk.source.as_ref().is_some_and(|last| last.ptr_eq(source)) {
            chunk.sources += source.bytes_beside(chunk.source.as_ref());
            chunk.source = Some(source.clone());
        }
        Some((chunk.body.clone(), at))
    }
}

impl Chunk {
    fn new(places: usize, room: usize) -> Self {
        let places: Box<[OnceLock<Place>]> = (0..places).map(|_| OnceLock::new()).collect();
        // Each record accounts for its own bytes of the room. `end` adds the room left over, once
        // it is known.
        let overhead = size_of_val(&*places) + COUNTERS;
        let body = Shared::with_heap_bytes(Body::Chunk(places), overhead);
        Self {
            body,
            room: BytesMut::with_capacity(room),
            used: 0,
            filled: 0,
            source: None,
            sources: 0,
        }
    }

    /// Closes the chunk and charges the unused room to its body. Returns the number of places and
    /// the room that the next chunk should have.
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
        let kept: Vec<_> = (0..3 * PLACES)
            .map(|number| keep(RecordKind::Logs, &[number as u8; 10], &source))
            .collect();
        for (number, (body, at)) in kept.iter().enumerate() {
            assert_eq!(body.bytes(*at), [number as u8; 10]);
            assert!(body.source(*at).ptr_eq(&source));
        }
        let bodies = kept.windows(2).filter(|pair| !pair[0].0.ptr_eq(&pair[1].0)).count();
        assert!((2..=4).contains(&bodies), "{bodies}");
        let (body, at) = keep(RecordKind::Logs, &[7; MOST], &source);
        assert!(matches!(*body, Body::Whole { .. }));
        assert_eq!(body.bytes(at), [7; MOST]);
    }

    #[test]
    fn a_chunks_source_is_charged_with_the_first_record_that_has_it() {
        let source = Source::new(&Resource::new([("service.name", "ad")]), &Scope::default());
        let (body, at) = keep(RecordKind::Logs, b"ab", &source);
        let ledger = Ledger::default();
        Body::charge(&body, at, &ledger);
        Body::charge(&body, at, &ledger);
        assert!(ledger.bytes() >= source.heap_bytes());
    }
}
