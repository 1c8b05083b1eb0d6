//! Reads requests in either encoding.

use super::kind::{Encoding, Kind, OtlpError};
use super::known::Known;
use super::reading::Reading;
use super::rejected::Rejected;
use super::request::Request;
use super::{json, protobuf};
use bytes::Bytes;

impl Request {
    /// Reads a request of this kind. O(bytes).
    ///
    /// Unknown fields are skipped. In JSON, records of another kind are rejected and counted. So
    /// are records in lists that stand in a wrong place, such as `spans` in the request itself, and
    /// records with a field whose name is in snake case, such as `trace_id`.
    /// A short request can hold many records: [`Telemetry::ingest`](crate::Telemetry::ingest)
    /// stores them as they are read.
    ///
    /// [`OtlpError`] if the request cannot be parsed.
    pub fn read(kind: Kind, encoding: Encoding, body: &[u8]) -> Result<Self, OtlpError> {
        Self::read_whole(Some(kind), encoding, body)
    }

    /// Reads a request in JSON of any kind, such as each line of the output of the Collector's file
    /// exporter.
    ///
    /// As [`read`](Request::read), and also if the request contains nothing that is known.
    pub fn read_json(body: &[u8]) -> Result<Self, OtlpError> {
        Self::read_whole(None, Encoding::Json, body)
    }

    fn read_whole(kind: Option<Kind>, encoding: Encoding, body: &[u8]) -> Result<Self, OtlpError> {
        let mut whole = Request::default();
        let mut deliver = |part: Request| {
            join(&mut whole.spans, part.spans);
            join(&mut whole.logs, part.logs);
            join(&mut whole.points, part.points);
            whole.rejected.merge(&part.rejected);
        };
        match (encoding, kind) {
            (Encoding::Protobuf, Some(kind)) => {
                let body = Bytes::copy_from_slice(body);
                read(kind, &body, usize::MAX, None, Rejected::default(), &mut deliver)?;
            }
            _ => read_json(kind, body, usize::MAX, None, &mut deliver)?,
        }
        Ok(whole)
    }
}

/// Appends records. If there are none yet, the vector is moved, not copied.
fn join<T>(all: &mut Vec<T>, some: Vec<T>) {
    if all.is_empty() { *all = some } else { all.extend(some) }
}

/// A callback that receives the records of a request, one part at a time.
pub(crate) type Deliver<'a> = &'a mut dyn FnMut(Request);

pub(crate) fn read(
    kind: Kind,
    body: &Bytes,
    largest: usize,
    known: Option<&Known>,
    rejected: Rejected,
    deliver: Deliver<'_>,
) -> Result<(), OtlpError> {
    let mut reading = Reading::new(body.clone(), largest, known, deliver);
    reading.rejected = rejected;
    read_into(reading, kind, body)
}

/// Reads a request whose records remain ranges of it, whatever its size.
pub(crate) fn read_in_place(
    kind: Kind,
    body: &Bytes,
    largest: usize,
    known: Option<&Known>,
    deliver: Deliver<'_>,
) -> Result<(), OtlpError> {
    let mut reading = Reading::new(body.clone(), largest, known, deliver);
    reading.in_place = true;
    read_into(reading, kind, body)
}

fn read_into(mut reading: Reading<'_>, kind: Kind, body: &Bytes) -> Result<(), OtlpError> {
    let wrong = |what: String| OtlpError { encoding: Encoding::Protobuf, what };
    is_countable(body).map_err(wrong)?;
    protobuf::read(kind, body, &mut reading).map_err(wrong)?;
    reading.finish();
    Ok(())
}

/// Reads a request in JSON, as [`read`] does, after rewriting it in protobuf. If `kind` is `None`,
/// the request's fields determine what it carries.
pub(crate) fn read_json(
    kind: Option<Kind>,
    body: &[u8],
    largest: usize,
    known: Option<&Known>,
    deliver: Deliver<'_>,
) -> Result<(), OtlpError> {
    let wrong = |what: String| OtlpError { encoding: Encoding::Json, what };
    is_countable(body).map_err(wrong)?;
    let json::Read { requests, mut rejected } = json::read(kind, body).map_err(wrong)?;
    for (kind, request) in requests {
        let request = Bytes::from(request.into_boxed_slice());
        read(kind, &request, largest, known, std::mem::take(&mut rejected), deliver)?;
    }
    if !rejected.is_empty() {
        deliver(Request { rejected, ..Request::default() });
    }
    Ok(())
}

fn is_countable(body: &[u8]) -> Result<(), String> {
    u32::try_from(body.len())
        .map(|_| ())
        .map_err(|_| "the body has 4 GiB or more; send smaller batches".to_owned())
}
