//! Reads requests in protobuf: scans a request field by field, and checks each record in place.
//!
//! The messages between a request and its records are never decoded as a whole. Nothing is
//! allocated for them, and a damaged one costs only itself.

use super::drafts::{self, data_of, elements};
use super::kind::Kind;
use super::reading::Reading;
use super::record_bytes::RecordBytes;
use crate::signal::body;
use crate::signal::draft::Draft;
use crate::signal::source::Source;
use crate::wire::{Elements, Raw};

/// Iterates over the messages in the fields of this number, up to the first damaged field.
fn messages(container: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let elements = elements(container, number)
        .map_while(Result::ok)
        .filter(move |element| element.number == number);
    elements.map(|element| element.raw.bytes())
}

/// Returns an iterator over the points in a metric's data, up to the first damaged field. Fields of
/// other types may stand before, between or after them.
fn points_in(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let elements = Elements::of(data).map_while(Result::ok).filter(|element| element.number == 1);
    elements
        .take_while(|element| matches!(element.raw, Raw::Bytes(_)))
        .map(|element| element.raw.bytes())
}

/// Returns the number of records: 1 for a span or a log record, and the number of points for a
/// metric, at least 1.
fn records_in(kind: Kind, record: &[u8]) -> u64 {
    if kind != Kind::Metrics {
        return 1;
    }
    let data =
        elements(record, 3).map_while(Result::ok).filter(|element| drafts::is_data(element.number));
    // Data of another type replaces the data before it.
    let (_, points) = data.fold((0, 0), |(tag, points), data| {
        let before = if data.number == tag { points } else { 0 };
        (data.number, before + points_in(data.raw.bytes()).count() as u64)
    });
    points.max(1)
}

fn records_in_scope(kind: Kind, scope: &[u8]) -> u64 {
    messages(scope, 2).map(|record| records_in(kind, record)).sum::<u64>().max(1)
}

fn records_in_resource(kind: Kind, resource: &[u8]) -> u64 {
    messages(resource, 2).map(|scope| records_in_scope(kind, scope)).sum::<u64>().max(1)
}

pub(super) fn read(kind: Kind, request: &[u8], reading: &mut Reading<'_>) -> Result<(), String> {
    // Check the whole outer message before any record is delivered.
    elements(request, 1).try_for_each(|element| element.map(|_| ()))?;
    let mut draft = Draft { bytes: body::borrow_buffer() };
    for resource in messages(request, 1) {
        if let Err(wrong) = read_resource(kind, resource, &mut draft, reading) {
            reading.reject(records_in_resource(kind, resource), &wrong);
        }
    }
    body::return_buffer(draft.bytes);
    Ok(())
}

fn read_resource(
    kind: Kind,
    container: &[u8],
    draft: &mut Draft,
    reading: &mut Reading<'_>,
) -> Result<(), String> {
    let resource = drafts::resource(draft, container, reading)?;
    for scope in messages(container, 2) {
        if let Err(wrong) = read_scope(kind, scope, &resource, draft, reading) {
            reading.reject(records_in_scope(kind, scope), &wrong);
        }
    }
    Ok(())
}

fn read_scope(
    kind: Kind,
    container: &[u8],
    resource: &Source,
    draft: &mut Draft,
    reading: &mut Reading<'_>,
) -> Result<(), String> {
    let source = drafts::scope(draft, resource, container, reading)?;
    for record in messages(container, 2) {
        let read = match kind {
            Kind::Metrics => read_metric(record, &source, draft, reading),
            _ => reading.record(kind, RecordBytes::InRequest(record), &source),
        };
        if let Err(wrong) = read {
            reading.reject(records_in(kind, record), &wrong);
        }
    }
    Ok(())
}

fn read_metric(
    record: &[u8],
    origin: &Source,
    draft: &mut Draft,
    reading: &mut Reading<'_>,
) -> Result<(), String> {
    let Some(data) = data_of(record)? else {
        // A metric without data has no records to lose, but damage in it is still reported.
        let empty = drafts::metric(draft, record, (5, &[]), origin, reading);
        return empty.map(|_| ());
    };
    let source = drafts::metric(draft, record, (data.tag, &data.merged()), origin, reading)?;
    for point in data.pieces().flat_map(points_in) {
        if let Err(wrong) = reading.point(data.tag, RecordBytes::InRequest(point), &source) {
            reading.reject(1, &wrong);
        }
    }
    Ok(())
}
