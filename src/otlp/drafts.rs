//! Encodes what encloses records (resources, scopes, metrics) as parts that the records share.
//!
//! The enclosing fields are kept as they arrived, including fields that the protocol does not
//! define. If a resource, a scope or a metric's data is given several times, the messages are
//! merged, as protobuf requires; of several schema URLs, the last one counts. Irregular messages
//! are rewritten.

use super::reading::Reading;
use crate::signal::draft::{Draft, Envelope, Layout, MetricParts, Part};
use crate::signal::{MetricKind, Source, Temporality};
use crate::wire::schema::{self, Schema};
use crate::wire::{Checked, Element, Elements, Field, Raw, Writer, check, regular};
use smallvec::SmallVec;

/// The name of an enclosing message, and the schema to check it against.
struct Enclosing {
    name: &'static str,
    schema: &'static Schema,
}

/// Iterates over the fields of a request, or of a message that encloses records. Fields with a
/// number up to `known` must be length-delimited.
pub(super) fn elements(
    message: &[u8],
    known: u32,
) -> impl Iterator<Item = Result<Element<'_>, String>> {
    Elements::of(message).map(move |element| {
        let element = element.map_err(|wrong| wrong.to_string())?;
        match element.raw {
            Raw::Bytes(_) => Ok(element),
            _ if element.number > known => Ok(element),
            _ => Err(other_type(element.number)),
        }
    })
}

fn other_type(number: u32) -> String {
    format!("field {number} has the wrong wire type: OTLP defines it with another")
}

/// A list of the messages that another one encloses, so that they need not be parsed again. It has
/// room for some, since a short message may enclose very many.
#[derive(Debug, Default)]
pub(super) struct Enclosed<'a>(SmallVec<[&'a [u8]; 4]>);

impl<'a> Enclosed<'a> {
    /// The most messages that are listed: 16 KiB of list. More are rare and cost a second parse.
    /// The number itself was not measured.
    const MOST: usize = 1024;

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn add(&mut self, message: &'a [u8]) {
        let length = self.0.len();
        if length < Self::MOST {
            if length == self.0.capacity() {
                // Beyond the few that lie inline, the list is allocated once.
                self.0.reserve_exact(Self::MOST - length);
            }
            self.0.push(message);
        }
    }

    /// Iterates over all enclosed messages. Those that the list had no room for are taken from
    /// `all`, which are the enclosed messages parsed again.
    pub(super) fn each<I: Iterator<Item = &'a [u8]>>(
        &self,
        all: impl FnOnce() -> I,
    ) -> impl Iterator<Item = &'a [u8]> {
        let rest = (self.0.len() == Self::MOST).then(|| all().skip(Self::MOST));
        self.0.iter().copied().chain(rest.into_iter().flatten())
    }
}

/// Encodes a message that encloses records, without the records (field 2), and lists these.
fn enclose<'a>(
    draft: &mut Draft,
    message: &'a [u8],
    enclosed: &mut Enclosed<'a>,
    reading: &Reading<'_>,
    what: &Enclosing,
) -> Result<Envelope, String> {
    /// Other fields are remembered, so that the message need not be parsed again if it has few.
    const FEW: usize = 6;
    draft.clear();
    enclosed.clear();
    let (mut last, mut last_url) = (usize::MAX, usize::MAX);
    let (mut messages, mut first_enclosed) = (0, message.len());
    let (mut others, mut count) = (SmallVec::<[Element<'a>; FEW]>::new(), 0);
    for element in elements(message, 3) {
        let element = element?;
        match element.number {
            1 => (last, messages) = (element.start, messages + 1),
            2 => {
                first_enclosed = first_enclosed.min(element.start);
                enclosed.add(element.raw.bytes());
                continue;
            }
            3 if std::str::from_utf8(element.raw.bytes()).is_err() => {
                return Err("schemaUrl is not valid UTF-8".to_owned());
            }
            3 => last_url = element.start,
            _ => {}
        }
        count += 1;
        if count <= FEW {
            others.push(element);
        }
    }
    let mut envelope = Envelope::default();
    let mut merged = Vec::new();
    let mut behind = None;
    let mut place = |element: Element<'a>| {
        let bytes = element.raw.bytes();
        if element.start > first_enclosed && behind.is_none() {
            behind = Some(draft.bytes.len());
        }
        match element.number {
            1 => {
                // Several messages are merged by concatenating their fields.
                if messages > 1 {
                    merged.extend_from_slice(bytes);
                }
                if element.start == last {
                    let bytes = if messages > 1 { &merged } else { bytes };
                    reading
                        .check("the message", bytes.len())
                        .map_err(|wrong| format!("{}: {wrong}", what.name))?;
                    envelope.message = append_message(draft, bytes, what)
                        .map_err(|wrong| format!("{}: {wrong}", what.name))?;
                }
            }
            3 if element.start == last_url => {
                reading.check("schemaUrl", bytes.len())?;
                let field = draft.part(&message[element.start..element.end]);
                envelope.schema_url =
                    draft.within(field, element.end - element.start - bytes.len(), bytes.len());
            }
            3 => {}
            _ => drop(draft.part(&message[element.start..element.end])),
        }
        Ok::<(), String>(())
    };
    if count <= FEW {
        others.into_iter().try_for_each(place)?;
    } else {
        let mut others = elements(message, 3).flatten().filter(|element| element.number != 2);
        others.try_for_each(&mut place)?;
    }
    let behind = behind.unwrap_or(draft.bytes.len());
    envelope.after = draft.since(behind);
    envelope.before = draft.before(behind);
    Ok(envelope)
}

/// Appends a resource or a scope as field 1, and returns the range of the message itself.
fn append_message(draft: &mut Draft, bytes: &[u8], what: &Enclosing) -> Result<Part, String> {
    let written;
    let bytes = match check(what.schema, bytes, |_| ()).map_err(|wrong| wrong.to_string())? {
        Checked::Regular => bytes,
        Checked::Irregular => {
            written = regular(what.schema, bytes);
            &written
        }
    };
    Writer(&mut draft.bytes).always_bytes(1, bytes);
    Ok(draft.since(draft.bytes.len() - bytes.len()))
}

/// Creates the source for a `ResourceSpans`, or for its counterpart in other signals, and lists its
/// scopes.
pub(super) fn resource<'a>(
    draft: &mut Draft,
    message: &'a [u8],
    enclosed: &mut Enclosed<'a>,
    reading: &Reading<'_>,
) -> Result<Source, String> {
    let what = Enclosing { name: "resource", schema: &schema::RESOURCE };
    let envelope = enclose(draft, message, enclosed, reading, &what)?;
    Ok(reading.source(draft, draft.resource_layout(envelope), None))
}

/// Creates the source for a `ScopeSpans`, or for its counterpart in other signals, within this
/// resource, and lists its records.
pub(super) fn scope<'a>(
    draft: &mut Draft,
    resource: &Source,
    message: &'a [u8],
    enclosed: &mut Enclosed<'a>,
    reading: &Reading<'_>,
) -> Result<Source, String> {
    let what = Enclosing { name: "scope", schema: &schema::SCOPE };
    let envelope = enclose(draft, message, enclosed, reading, &what)?;
    Ok(reading.source(draft, Layout::Scope(envelope), Some(resource)))
}

/// Returns whether a metric's field of this number holds the metric's data.
pub(super) fn is_data(number: u32) -> bool {
    matches!(number, 5 | 7 | 9 | 10 | 11)
}

/// A metric's data: one field, or several fields whose messages are merged.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    /// The field number. A metric without data counts as a gauge.
    pub(super) tag: u32,
    /// The first field's message, and the bytes of the metric behind it if there are more.
    first: &'a [u8],
    others: &'a [u8],
}

/// Returns a metric's data. Of data of several types, the last type counts.
pub(super) fn data_of(metric: &[u8]) -> Result<Data<'_>, String> {
    const GAUGE: u32 = 5;
    let (mut data, mut behind) = (Data { tag: GAUGE, first: &[], others: &[] }, None);
    for element in elements(metric, 3) {
        let Element { number: tag, raw, end, .. } = element?;
        match (is_data(tag), raw, behind) {
            (false, ..) => {}
            (true, Raw::Bytes(_), Some(behind)) if data.tag == tag => {
                data.others = &metric[behind..]
            }
            (true, Raw::Bytes(first), _) => {
                (data, behind) = (Data { tag, first, others: &[] }, Some(end))
            }
            _ => return Err(other_type(tag)),
        }
    }
    Ok(data)
}

impl<'a> Data<'a> {
    /// Iterates over the fields' messages.
    pub(super) fn pieces(self) -> impl Iterator<Item = &'a [u8]> {
        let others = Elements::of(self.others).flatten().filter(move |one| one.number == self.tag);
        std::iter::once(self.first).chain(others.map(|one| one.raw.bytes()))
    }
}

/// Creates the source for a metric with this data, within this scope, and lists the data's points.
pub(super) fn metric<'a>(
    draft: &mut Draft,
    metric: &[u8],
    data: Data<'a>,
    points: &mut Enclosed<'a>,
    scope: &Source,
    reading: &Reading<'_>,
) -> Result<Source, String> {
    let of_data: usize = data.pieces().map(<[u8]>::len).sum();
    reading.check("metric", metric.len() - of_data)?;
    draft.clear();
    let (mut before, mut has_metadata, mut metadata_is_split) = (None, false, false);
    let mut start = 0;
    for element in elements(metric, 3) {
        let element = element?;
        if is_data(element.number) {
            if before.is_none() {
                before = Some(draft.since(start));
                start = draft.bytes.len();
            }
            continue;
        }
        if element.number == 12 {
            metadata_is_split |= before.is_some() && has_metadata;
            has_metadata |= before.is_none();
        }
        draft.part(&metric[element.start..element.end]);
    }
    let checked =
        check(&schema::METRIC, &draft.bytes, |_| ()).map_err(|wrong| wrong.to_string())?;
    let (mut before, mut after) = (before.unwrap_or_default(), draft.since(start));
    // The accessor of the metadata reads one side of the data only, so metadata on both sides is
    // moved behind the data.
    if checked == Checked::Irregular || metadata_is_split {
        let written = regular(&schema::METRIC, &draft.bytes);
        draft.clear();
        for metadata in [false, true] {
            for element in
                Elements::of(&written).flatten().filter(|one| (one.number == 12) == metadata)
            {
                draft.part(&written[element.start..element.end]);
            }
            if !metadata {
                before = draft.since(0);
            }
        }
        after = draft.since(before.range().end);
    }
    let tag = data.tag;
    let (rest, temporality, monotonic) = aggregation(draft, data, points)?;
    let kind = MetricKind::from_wire(tag, temporality, monotonic).unwrap_or(MetricKind::Gauge);
    let name = name_in(draft, [before, after]);
    let parts = MetricParts { before, after, tag, data: rest, kind, name };
    Ok(reading.source(draft, Layout::Metric(parts), Some(scope)))
}

/// Returns the range of the metric's name.
fn name_in(draft: &Draft, parts: [Part; 2]) -> Part {
    for part in parts {
        let bytes = draft.at(part);
        let name = Elements::of(bytes).flatten().find(|element| element.number == 1);
        if let Some(element) = name {
            let length = element.raw.bytes().len();
            return draft.within(part, element.end - length, length);
        }
    }
    Part::default()
}

/// Lists the points of a `Gauge`, a `Sum` and so on, and appends the other fields. Returns their
/// range, the temporality, and whether a sum is monotonic.
fn aggregation<'a>(
    draft: &mut Draft,
    data: Data<'a>,
    points: &mut Enclosed<'a>,
) -> Result<(Part, Temporality, bool), String> {
    let start = draft.bytes.len();
    points.clear();
    for piece in data.pieces() {
        for element in Elements::of(piece) {
            let element = element.map_err(|wrong| wrong.to_string())?;
            match (element.number, element.raw) {
                (1, Raw::Bytes(point)) => points.add(point),
                (1, _) => return Err(other_type(1)),
                _ => drop(draft.part(&piece[element.start..element.end])),
            }
        }
    }
    let (mut temporality, mut monotonic) = (0, 0);
    let see = |field: Field<'_>| match field.number {
        2 => temporality = field.raw.number(),
        3 => monotonic = field.raw.number(),
        _ => {}
    };
    let schema = schema::data(data.tag);
    let rest = &draft.bytes[start..];
    let checked = check(schema, rest, see).map_err(|wrong| wrong.to_string())?;
    if checked == Checked::Irregular {
        let written = regular(schema, rest);
        draft.bytes.truncate(start);
        draft.part(&written);
    }
    let temporality = Temporality::from_number(temporality as i32).unwrap_or_default();
    Ok((draft.since(start), temporality, monotonic != 0))
}
