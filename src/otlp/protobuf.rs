//! Reads requests in protobuf: scans a request field by field, and checks each record in place.
//!
//! The messages between a request and its records are never decoded as a whole. Nothing is
//! allocated for them, and a damaged one costs only itself.

use super::drafts::{self, Enclosed, data_of, elements};
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

/// The state of the reading of one request that its parts share.
struct Reader<'a, 'r, 'd> {
    kind: Kind,
    draft: Draft,
    /// What the resource, the scope and the metric that are being read enclose.
    scopes: Enclosed<'a>,
    records: Enclosed<'a>,
    points: Enclosed<'a>,
    reading: &'r mut Reading<'d>,
}

pub(super) fn read(kind: Kind, request: &[u8], reading: &mut Reading<'_>) -> Result<(), String> {
    // Check the whole outer message before any record is delivered.
    elements(request, 1).try_for_each(|element| element.map(|_| ()))?;
    let draft = Draft { bytes: body::borrow_buffer() };
    let [scopes, records, points] = Default::default();
    let mut reader = Reader { kind, draft, scopes, records, points, reading };
    for resource in messages(request, 1) {
        if let Err(wrong) = reader.read_resource(resource) {
            reader.reading.reject(records_in_resource(kind, resource), &wrong);
        }
    }
    body::return_buffer(reader.draft.bytes);
    Ok(())
}

impl<'a> Reader<'a, '_, '_> {
    fn read_resource(&mut self, container: &'a [u8]) -> Result<(), String> {
        let mut scopes = std::mem::take(&mut self.scopes);
        let resource = drafts::resource(&mut self.draft, container, &mut scopes, self.reading)?;
        for scope in scopes.each(|| messages(container, 2)) {
            if let Err(wrong) = self.read_scope(scope, &resource) {
                self.reading.reject(records_in_scope(self.kind, scope), &wrong);
            }
        }
        self.scopes = scopes;
        Ok(())
    }

    fn read_scope(&mut self, container: &'a [u8], resource: &Source) -> Result<(), String> {
        let mut records = std::mem::take(&mut self.records);
        let source =
            drafts::scope(&mut self.draft, resource, container, &mut records, self.reading)?;
        for record in records.each(|| messages(container, 2)) {
            let read = match self.kind {
                Kind::Metrics => self.read_metric(record, &source),
                kind => self.reading.record(kind, RecordBytes::InRequest(record), &source),
            };
            if let Err(wrong) = read {
                self.reading.reject(records_in(self.kind, record), &wrong);
            }
        }
        self.records = records;
        Ok(())
    }

    /// Reads a metric. One without data has no records to lose, but damage in it is still reported.
    fn read_metric(&mut self, metric: &'a [u8], scope: &Source) -> Result<(), String> {
        let Self { draft, points, reading, .. } = self;
        let data = data_of(metric)?;
        let source = drafts::metric(draft, metric, data, points, scope, reading)?;
        for point in points.each(|| data.pieces().flat_map(points_in)) {
            if let Err(wrong) = reading.point(data.tag, RecordBytes::InRequest(point), &source) {
                reading.reject(1, &wrong);
            }
        }
        Ok(())
    }
}
