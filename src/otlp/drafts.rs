//! What encloses records, put together for them to share: resources, scopes, metrics.
//!
//! Whatever encloses records is kept as it came, fields that nobody knows included; of a resource, a scope or a schema that is
//! there several times, the last. What is not regular is decoded and encoded again.

use super::reading::Reading;
use super::records::anew;
use crate::signal::source::{Draft, Envelope, MetricParts, Part};
use crate::signal::{MetricKind, Source, Temporality};
use crate::wire::schema::{self, Schema};
use crate::wire::{Checked, Element, Elements, Field, Raw, Writer, check};
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// What a resource or a scope is called, and how it is checked.
struct Enclosing {
    name: &'static str,
    schema: &'static Schema,
    anew: fn(&[u8]) -> Result<Vec<u8>, String>,
}

/// The fields of what encloses records, each of which lies in bytes where three should.
pub(super) fn elements(message: &[u8]) -> impl Iterator<Item = Result<Element<'_>, String>> {
    Elements::of(message).map(|element| {
        let element = element.map_err(|wrong| wrong.to_string())?;
        match element.raw {
            Raw::Bytes(_) => Ok(element),
            _ if element.number > 3 => Ok(element),
            _ => Err(format!("field {} has another wire type than the protocol's", element.number)),
        }
    })
}

/// Appends what encloses records, but for these (in field 2).
fn enclose(draft: &mut Draft, of: &[u8], reading: &Reading<'_>, what: &Enclosing) -> Result<Envelope, String> {
    let (mut last, mut last_url) = (usize::MAX, usize::MAX);
    for element in elements(of) {
        let element = element?;
        match element.number {
            1 => last = element.start,
            3 => last_url = element.start,
            _ => {}
        }
    }
    let mut envelope = Envelope::default();
    let mut start = draft.bytes.len();
    let mut seen = false;
    for element in elements(of) {
        let element = element?;
        let bytes = element.raw.bytes();
        match element.number {
            2 => {
                if !std::mem::replace(&mut seen, true) {
                    envelope.before = draft.since(start);
                    start = draft.bytes.len();
                }
            }
            1 if element.start == last => {
                reading.check("it", bytes.len()).map_err(|wrong| format!("{}: {wrong}", what.name))?;
                envelope.message = message(draft, bytes, what).map_err(|wrong| format!("{}: {wrong}", what.name))?;
            }
            3 if element.start == last_url => {
                if std::str::from_utf8(bytes).is_err() {
                    return Err("schemaUrl is no UTF-8".to_owned());
                }
                reading.check("schemaUrl", bytes.len())?;
                let field = draft.part(&of[element.start..element.end]);
                envelope.schema_url = draft.within(field, element.end - element.start - bytes.len(), bytes.len());
            }
            1 | 3 => {}
            _ => drop(draft.part(&of[element.start..element.end])),
        }
    }
    if seen {
        envelope.after = draft.since(start);
    } else {
        envelope.before = draft.since(start);
    }
    Ok(envelope)
}

/// Appends a resource or a scope, as field 1; where the message itself lies.
fn message(draft: &mut Draft, bytes: &[u8], what: &Enclosing) -> Result<Part, String> {
    let written;
    let bytes = match check(what.schema, bytes, |_| ()).map_err(|wrong| wrong.to_string())? {
        Checked::Regular => bytes,
        Checked::Irregular => {
            written = (what.anew)(bytes)?;
            &written
        }
    };
    Writer(&mut draft.bytes).always_bytes(1, bytes);
    Ok(draft.since(draft.bytes.len() - bytes.len()))
}

/// Begins with a `ResourceSpans`, or what it is called for other signals.
pub(super) fn resource(draft: &mut Draft, of: &[u8], reading: &Reading<'_>) -> Result<(), String> {
    draft.clear();
    let what = Enclosing { name: "resource", schema: &schema::RESOURCE, anew: anew::<Resource> };
    draft.layout.resource = enclose(draft, of, reading, &what)?;
    draft.find_service();
    Ok(())
}

/// Goes on with a `ScopeSpans`, or what it is called for other signals, after a resource of so many bytes.
pub(super) fn scope(draft: &mut Draft, resource: usize, of: &[u8], reading: &Reading<'_>) -> Result<(), String> {
    draft.bytes.truncate(resource);
    let what = Enclosing { name: "scope", schema: &schema::SCOPE, anew: anew::<InstrumentationScope> };
    draft.layout.scope = enclose(draft, of, reading, &what)?;
    Ok(())
}

/// `Metric`, but for its data.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OfMetric {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) description: String,
    #[prost(string, tag = "3")]
    pub(super) unit: String,
    #[prost(message, repeated, tag = "12")]
    pub(super) metadata: Vec<KeyValue>,
}

/// Numbers of a metric's field that hold data.
pub(super) fn is_data(number: u32) -> bool {
    matches!(number, 5 | 7 | 9 | 10 | 11)
}

/// A metric's data, if it has some: the number of its field, and what is in it. Of several, the last.
pub(super) fn data_of(metric: &[u8]) -> Result<Option<(u32, &[u8])>, String> {
    let mut data = None;
    for element in elements(metric) {
        let element = element?;
        if let (true, Raw::Bytes(bytes)) = (is_data(element.number), element.raw) {
            data = Some((element.number, bytes));
        }
    }
    Ok(data)
}

/// What the points of a metric share, with its data as [`data_of`] has it.
pub(super) fn metric(
    draft: &mut Draft,
    metric: &[u8],
    (tag, data): (u32, &[u8]),
    origin: &Source,
    reading: &Reading<'_>,
) -> Result<Source, String> {
    reading.check("metric", metric.len() - data.len())?;
    draft.clear();
    let mut checked = check(&schema::METRIC, metric, |_| ()).map_err(|wrong| wrong.to_string())?;
    let mut start = draft.bytes.len();
    let (mut before, mut described) = (None, false);
    for element in elements(metric) {
        let element = element?;
        if is_data(element.number) {
            if before.is_none() {
                before = Some(draft.since(start));
                start = draft.bytes.len();
            }
            continue;
        }
        if element.number == 12 {
            // Metadata on both sides of the data would have to be looked for on both.
            if before.is_some() && described {
                checked = Checked::Irregular;
            }
            described |= before.is_none();
        }
        draft.part(&metric[element.start..element.end]);
    }
    let mut after = draft.since(start);
    let mut before = before.unwrap_or_default();
    if checked == Checked::Irregular {
        let of = OfMetric::decode(metric).map_err(|error| error.to_string())?;
        draft.clear();
        let metadata = OfMetric { metadata: of.metadata.clone(), ..OfMetric::default() };
        before = draft.part(&OfMetric { metadata: Vec::new(), ..of }.encode_to_vec());
        after = draft.part(&metadata.encode_to_vec());
    }
    let (rest, temporality, monotonic) = aggregation(draft, data)?;
    let kind = MetricKind::from_wire(tag, temporality, monotonic).unwrap_or(MetricKind::Gauge);
    let name = name_in(draft, [before, after]);
    let parts = MetricParts { before, after, tag, data: rest, kind, name };
    draft.set_metric(parts);
    Ok(reading.source(draft, Some(origin)))
}

/// Where the name lies.
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

/// Appends what `Gauge`, `Sum` and so on have beside their points; and what that says.
fn aggregation(draft: &mut Draft, data: &[u8]) -> Result<(Part, Temporality, bool), String> {
    let (mut temporality, mut monotonic, mut others) = (0, 0, false);
    let mut wrong = false;
    let see = |field: Field<'_>| match (field.number, field.raw) {
        (1, Raw::Bytes(_)) => {}
        (1, _) => wrong = true,
        (2, raw) => temporality = raw.number(),
        (3, raw) => monotonic = raw.number(),
        _ => others = true,
    };
    let checked = check(&schema::DATA, data, see).map_err(|wrong| wrong.to_string())?;
    if wrong {
        return Err("field 1 has another wire type than the protocol's".to_owned());
    }
    let start = draft.bytes.len();
    if checked == Checked::Regular && others {
        for element in Elements::of(data).flatten().filter(|element| element.number != 1) {
            draft.part(&data[element.start..element.end]);
        }
    } else {
        let mut writer = Writer(&mut draft.bytes);
        writer.number(2, temporality);
        writer.number(3, monotonic);
    }
    let temporality = Temporality::from_number(temporality as i32).unwrap_or_default();
    Ok((draft.since(start), temporality, monotonic != 0))
}
