//! The state of a request that is being read: the sources of its records, the records, and the
//! callback that receives them.

use super::kind::Kind;
use super::known::Known;
use super::record_bytes::RecordBytes;
use super::records::{self, Record};
use super::rejected::Rejected;
use super::request::Request;
use crate::signal::body::{self, At, Body};
use crate::signal::draft::{Draft, Layout};
use crate::signal::source::Source;
use crate::signal::{LogRecord, MetricPoint, Span};
use bytes::Bytes;

/// An upper bound on the size, in bytes, of the note that is kept for each record while its request
/// is read.
const NOTE: usize = 32;

/// The minimum number of records that are delivered together, for requests whose records are
/// delivered in parts.
const DELIVERED: usize = 512;

/// The sizes of requests, in bytes, between which records remain ranges of the request. From a
/// shorter request they are copied, since its bytes may be a part of a larger buffer. From a longer
/// one they are copied in pieces of at most `LONG` bytes, since a record that is held for long
/// retains its whole piece.
const SHORT: usize = 4 << 10;
const LONG: usize = 256 << 10;

/// Records are delivered once the rewritten ones among them exceed this many bytes.
const WRITTEN: usize = 256 << 10;

/// A request that is being read.
pub(super) struct Reading<'a> {
    /// The request's bytes, of which records may remain ranges.
    body: Bytes,
    /// Whether records remain ranges of the request, whatever its size.
    pub(super) in_place: bool,
    /// The maximum size, in bytes, of a record or of a part that records share.
    pub(super) largest: usize,
    known: Option<&'a Known>,
    pub(super) rejected: Rejected,
    /// The number of noted records at which they are delivered.
    most: usize,
    delivered: bool,
    deliver: &'a mut dyn FnMut(Request),
    spans: Window<Span>,
    logs: Window<LogRecord>,
    points: Window<MetricPoint>,
}

/// Records that were read and are not delivered yet.
struct Window<T: Record> {
    notes: Vec<(T::Head, Note)>,
    sources: Vec<Source>,
    /// The bytes of records that were rewritten, and so are no ranges of the request.
    written: Vec<u8>,
    /// The number of bytes of all records.
    bytes: usize,
}

impl<T: Record> Default for Window<T> {
    fn default() -> Self {
        Self { notes: Vec::new(), sources: Vec::new(), written: Vec::new(), bytes: 0 }
    }
}

/// The position of a noted record.
struct Note {
    at: At,
    /// Whether the position is in the request, not in the rewritten bytes.
    in_request: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        body: Bytes,
        largest: usize,
        known: Option<&'a Known>,
        deliver: &'a mut dyn FnMut(Request),
    ) -> Self {
        // The notes take no more memory than the request does, except for small requests.
        let most = (body.len() / NOTE).max(DELIVERED);
        Self {
            body,
            in_place: false,
            largest,
            known,
            rejected: Rejected::default(),
            most,
            delivered: false,
            deliver,
            spans: Window::default(),
            logs: Window::default(),
            points: Window::default(),
        }
    }

    pub(super) fn too_large(&self, what: &str) -> String {
        format!(
            "{what} takes more than {} bytes; make it smaller, or raise `max_record_bytes`",
            self.largest
        )
    }

    /// Returns an error if `bytes` exceeds the maximum size.
    pub(super) fn check(&self, what: &str, bytes: usize) -> Result<(), String> {
        if bytes <= self.largest { Ok(()) } else { Err(self.too_large(what)) }
    }

    /// Returns a source with these bytes: an existing one, if it was seen before.
    pub(super) fn source(&self, draft: &Draft, layout: Layout, origin: Option<&Source>) -> Source {
        match self.known {
            Some(known) => known.find(draft, layout, origin),
            None => draft.share(layout, origin),
        }
    }

    pub(super) fn reject(&mut self, records: u64, reason: &str) {
        self.rejected.add(records, reason);
    }

    /// Checks a span or a log record, and notes it.
    pub(super) fn record(
        &mut self,
        kind: Kind,
        record: RecordBytes<'_>,
        source: &Source,
    ) -> Result<(), String> {
        self.check("the record", record.bytes().len())?;
        match kind {
            Kind::Traces => records::span(record, |head, record| {
                note(&mut self.spans, &self.body, head, record, source)
            })?,
            Kind::Logs => records::log(record, |head, record| {
                note(&mut self.logs, &self.body, head, record, source)
            })?,
            Kind::Metrics => unreachable!("points are read one by one with `point`"),
        }
        self.deliver_if_many();
        Ok(())
    }

    /// Checks a point of a metric whose data is in the field of this number, and notes the point.
    pub(super) fn point(
        &mut self,
        tag: u32,
        record: RecordBytes<'_>,
        source: &Source,
    ) -> Result<(), String> {
        self.check("the record", record.bytes().len())?;
        records::point(tag, record, |head, record| {
            note(&mut self.points, &self.body, head, record, source)
        })?;
        self.deliver_if_many();
        Ok(())
    }

    fn deliver_if_many(&mut self) {
        let notes = self.spans.notes.len() + self.logs.notes.len() + self.points.notes.len();
        let written =
            self.spans.written.len() + self.logs.written.len() + self.points.written.len();
        if notes >= self.most || written > WRITTEN {
            self.delivered = true;
            self.deliver_all();
        }
    }

    fn deliver_all(&mut self) {
        let whole = (!self.delivered || self.in_place).then_some(&self.body);
        (self.deliver)(Request {
            spans: self.spans.seal(&self.body, whole, self.in_place),
            logs: self.logs.seal(&self.body, whole, self.in_place),
            points: self.points.seal(&self.body, whole, self.in_place),
            rejected: std::mem::take(&mut self.rejected),
        });
    }

    /// Delivers the remaining records, and what was rejected.
    pub(super) fn finish(mut self) {
        self.deliver_all();
    }
}

fn note<T: Record>(
    window: &mut Window<T>,
    body: &Bytes,
    head: T::Head,
    record: RecordBytes<'_>,
    source: &Source,
) {
    if window.notes.is_empty() {
        // Most requests of this size have about this many records.
        window.notes.reserve((body.len() / 128).min(DELIVERED));
        window.sources.reserve((body.len() / 1_024).clamp(1, 64));
    }
    if !window.sources.last().is_some_and(|last| last.ptr_eq(source)) {
        window.sources.push(source.clone());
    }
    let (start, in_request) = match record {
        RecordBytes::InRequest(bytes) => (bytes.as_ptr() as usize - body.as_ptr() as usize, true),
        RecordBytes::Elsewhere(bytes) => {
            window.written.extend_from_slice(bytes);
            (window.written.len() - bytes.len(), false)
        }
    };
    let length = record.bytes().len();
    window.bytes += length;
    let at =
        At { number: window.sources.len() as u32 - 1, start: start as u32, length: length as u32 };
    window.notes.push((head, Note { at, in_request }));
}

impl<T: Record> Window<T> {
    /// Builds the noted records. They remain ranges of the request where that wastes little memory;
    /// otherwise their bytes are copied.
    fn seal(&mut self, request: &Bytes, whole: Option<&Bytes>, in_place: bool) -> Vec<T> {
        /// With fewer records than this, a body of their own costs more than places in the thread's
        /// chunk.
        const FEW: usize = 16;
        let window = std::mem::take(self);
        let Window { notes, sources, written, bytes } = window;
        // The bytes of a short request may be a part of a larger buffer. A long request would be
        // retained whole by any of its records. At least four fifths of the request must be
        // records.
        let stays = |whole: &&Bytes| {
            let wastes_little =
                (SHORT..=LONG).contains(&whole.len()) && (whole.len() - bytes) * 4 <= bytes;
            written.is_empty() && (in_place || wastes_little)
        };
        if let Some(whole) = whole.filter(stays) {
            let body = Body::whole(whole.clone(), sources.into(), bytes);
            return notes
                .into_iter()
                .map(|(head, note)| T::of(head, body.clone(), note.at))
                .collect();
        }
        let bytes_of = |note: &Note| {
            let from: &[u8] = if note.in_request { request } else { &written };
            &from[note.at.start as usize..][..note.at.length as usize]
        };
        let mut records = Vec::with_capacity(notes.len());
        let mut rest = &notes[..];
        while !rest.is_empty() {
            let (mut count, mut bytes) = (0, 0);
            while count < rest.len()
                && (count == 0 || bytes + bytes_of(&rest[count].1).len() <= LONG)
            {
                bytes += bytes_of(&rest[count].1).len();
                count += 1;
            }
            let (piece, others) = rest.split_at(count);
            rest = others;
            if count < FEW {
                records.extend(piece.iter().map(|(head, note)| {
                    let (body, at) =
                        body::keep(T::KIND, bytes_of(note), &sources[note.at.number as usize]);
                    T::of(*head, body, at)
                }));
                continue;
            }
            let numbers = piece[0].1.at.number..=piece[count - 1].1.at.number;
            let of_piece = &sources[*numbers.start() as usize..=*numbers.end() as usize];
            let mut copied = Vec::with_capacity(bytes);
            piece.iter().for_each(|(_, note)| copied.extend_from_slice(bytes_of(note)));
            let body = Body::whole(copied.into(), of_piece.into(), bytes);
            let mut start = 0;
            records.extend(piece.iter().map(|(head, note)| {
                let at =
                    At { number: note.at.number - numbers.start(), start, length: note.at.length };
                start += at.length;
                T::of(*head, body.clone(), at)
            }));
        }
        records
    }
}
