//! Reads many requests whose records share their sources.

use super::{Encoding, Kind, Known, OtlpError, Rejected, Request};
use super::{read, read_in_place, read_json};
use bytes::Bytes;

/// Reads requests one after the other, for consumers other than a
/// [`Telemetry`](crate::Telemetry). The records of a request share their resource and scope with
/// those of earlier requests of the same process.
///
/// It remembers at most 1,024 resources and scopes, and keeps none of them alive.
///
/// ```
/// use slipring::otlp::{Encoding, Kind, Reader};
/// use slipring::Span;
///
/// let span = Span::builder().trace_id(7).span_id(7).name("GET /").build();
/// let body = slipring::otlp::encode([&span], Encoding::Protobuf);
/// let reader = Reader::default();
/// let mut spans = Vec::new();
/// let rejected = reader.read(Kind::Traces, Encoding::Protobuf, body, |part| spans.extend(part.spans))?;
/// assert!(rejected.is_empty());
/// assert_eq!(spans, [span]);
/// # Ok::<(), slipring::otlp::OtlpError>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    known: Known,
    largest: usize,
    in_place: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self { known: Known::default(), largest: usize::MAX, in_place: false }
    }
}

impl Reader {
    /// Sets the maximum size, in bytes, of a record and of a part that records share. Larger
    /// records are rejected. By default there is none.
    #[must_use]
    pub fn max_record_bytes(self, bytes: usize) -> Self {
        Self { largest: bytes, ..self }
    }

    /// Lets records in protobuf remain ranges of their request, whatever its size: nothing is
    /// copied, and each record retains the whole request. This suits consumers that are done with
    /// a record soon, or [detach](crate::Span::detach_together) what they hold.
    #[must_use]
    pub fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }

    /// Reads a request, and passes its records to `deliver` in parts. What
    /// [`Telemetry::ingest`](crate::Telemetry::ingest) says of copies and of checks is so here.
    /// Returns what was rejected. Several threads may read at once. O(bytes).
    ///
    /// # Errors
    /// As [`Request::read`]. Parts may have been delivered before the error.
    pub fn read(
        &self,
        kind: Kind,
        encoding: Encoding,
        body: impl Into<Bytes>,
        mut deliver: impl FnMut(Request),
    ) -> Result<Rejected, OtlpError> {
        let (body, known) = (body.into(), Some(&self.known));
        let mut all = Rejected::default();
        let mut pass = |mut part: Request| {
            all.merge(&std::mem::take(&mut part.rejected));
            deliver(part);
        };
        match encoding {
            Encoding::Protobuf if self.in_place => {
                read_in_place(kind, &body, self.largest, known, &mut pass)?
            }
            Encoding::Protobuf => {
                read(kind, &body, self.largest, known, Rejected::default(), &mut pass)?
            }
            Encoding::Json => read_json(Some(kind), &body, self.largest, known, &mut pass)?,
        }
        Ok(all)
    }
}
