//! Rewrites a request in JSON as requests in protobuf, one for each kind of records, in a single
//! pass over the text.
//!
//! A malformed record is left out and counted, and so are the records of a malformed resource,
//! scope or metric. Rules that apply to protobuf too, such as the lengths of ids, are checked when
//! the protobuf is read.

use super::super::{Kind, Rejected};
use super::container::{Misplaced, Resources};
use super::message::Output;
use super::place::{Container, Level};
use super::scalar::{Reason, Scalar};
use super::visit::{FieldName, Seed, Visit, skip};
use super::{bare, surrogates};
use serde::de::{Error, MapAccess, SeqAccess, Unexpected};

/// The requests in protobuf, one for each kind of records, and the records that were rejected.
#[derive(Default)]
pub(in super::super) struct Read {
    pub(in super::super) requests: Vec<(Kind, Vec<u8>)>,
    pub(in super::super) rejected: Rejected,
}

/// Reads a request of this kind. If `kind` is `None`, the request's fields determine its kinds.
pub(in super::super) fn read(kind: Option<Kind>, body: &[u8]) -> Result<Read, Reason> {
    let body = &*surrogates::replaced(body);
    read_once(kind, body).or_else(|error| {
        // Some writers, Python's among them, write NaN and infinities without quotes, which is not
        // valid JSON.
        match bare::quoted(body).map(|quoted| read_once(kind, &quoted)) {
            Some(Ok(read)) => Ok(read),
            _ => Err(error),
        }
    })
}

fn read_once(kind: Option<Kind>, body: &[u8]) -> Result<Read, Reason> {
    use serde::de::DeserializeSeed;
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    // The depth of values is limited by `wire::depth`, and unknown values are skipped without
    // recursion.
    deserializer.disable_recursion_limit();
    let mut request =
        Request { kind, any: kind.is_some(), output: Output::default(), read: Read::default() };
    // In protobuf, requests take about half as many bytes.
    request.output.bytes.reserve(body.len() / 2);
    let read = Seed(&mut request).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    read.map_err(|error| error.to_string())?;
    if !request.any {
        return Err(
            "the object has neither resourceSpans nor resourceLogs nor resourceMetrics".to_owned()
        );
    }
    Ok(request.read)
}

struct Request {
    /// The kind of records to read. `None` reads all kinds.
    kind: Option<Kind>,
    /// Whether the request contained a known field, or was empty.
    any: bool,
    output: Output,
    read: Read,
}

impl Request {
    fn resources<'de, A: MapAccess<'de>>(
        &mut self,
        kind: Kind,
        is_snake: bool,
        object: &mut A,
    ) -> Result<(), A::Error> {
        let mut rejected = Rejected::default();
        let result = object.next_value_seed(Seed(Resources {
            kind,
            output: &mut self.output,
            rejected: &mut rejected,
        }))?;
        let Some(records) = result else { return Ok(()) };
        let misplaced = match (is_snake, self.kind) {
            (true, _) => Some(Container { kind, level: Level::Request }.has_snake_list()),
            (false, Some(wanted)) if wanted != kind => {
                let [name, other] = [kind, wanted].map(Kind::container);
                Some(format!("{name} instead of {other}; send them to /v1/{}", kind.name()))
            }
            _ => None,
        };
        self.any = true;
        // Records in the wrong place are rejected, not ignored, so that their sender learns of the
        // mistake.
        match misplaced {
            Some(wrong) => {
                self.output.bytes.clear();
                self.read.rejected.add(records, &wrong);
            }
            None => {
                self.read.requests.push((kind, std::mem::take(&mut self.output.bytes)));
                self.read.rejected.merge(&rejected);
            }
        }
        Ok(())
    }

    /// Rejects the records of a list that stands deeper in a request.
    fn misplaced<'de, A: MapAccess<'de>>(
        &mut self,
        what: Container,
        name: &str,
        object: &mut A,
    ) -> Result<(), A::Error> {
        let place = Level::Request;
        let misplaced = Misplaced { what, place, output: &mut self.output };
        let records = object.next_value_seed(Seed(misplaced))?;
        let request = Container { kind: what.kind, level: place };
        self.read.rejected.add(records, &request.has_list_of(what, name));
        Ok(())
    }
}

impl<'de> Visit<'de> for &mut Request {
    type Out = ();

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<(), E> {
        Err(E::invalid_type(scalar.unexpected(), &"an object"))
    }

    fn list<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::invalid_type(Unexpected::Seq, &"an object"))
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut is_empty = true;
        while let Some(found) = object.next_key_seed(FieldName(Container::with_list))? {
            is_empty = false;
            match found {
                Some((Container { kind, level: Level::Request }, is_snake, _)) => {
                    self.resources(kind, is_snake, &mut object)?;
                }
                Some((what, _, name)) => self.misplaced(what, name, &mut object)?,
                None => skip(&mut object)?,
            }
        }
        // An empty object is a valid request.
        self.any |= is_empty;
        Ok(())
    }
}
