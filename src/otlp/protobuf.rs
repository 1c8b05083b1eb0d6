//! Protobuf: a request is gone through field by field, and each record checked where it lies.
//!
//! What lies between a request and its records is never decoded as a whole, nothing is allocated for it, and what is damaged
//! in it costs only itself.

use super::Kind;
use super::drafts::{self, data_of, elements};
use super::reading::{Lies, Reading};
use crate::signal::source::{Draft, Source};
use crate::wire::{Elements, Raw};

/// The messages in the fields of this number, up to some damage.
fn messages(of: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let elements = elements(of).map_while(Result::ok).filter(move |element| element.number == number);
    elements.map(|element| element.raw.bytes())
}

/// The points in a metric's data, up to some damage. Beside them lie numbers, before or after.
fn points_in(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let elements = Elements::of(data).map_while(Result::ok).filter(|element| element.number == 1);
    elements.take_while(|element| matches!(element.raw, Raw::Bytes(_))).map(|element| element.raw.bytes())
}

/// The number of its records, or of its points where it is one of metrics.
fn records_in(kind: Kind, record: &[u8]) -> u64 {
    if kind != Kind::Metrics {
        return 1;
    }
    let data = elements(record).map_while(Result::ok).filter(|element| drafts::is_data(element.number)).last();
    data.map_or(0, |data| points_in(data.raw.bytes()).count() as u64).max(1)
}

fn records_in_scope(kind: Kind, scope: &[u8]) -> u64 {
    messages(scope, 2).map(|record| records_in(kind, record)).sum::<u64>().max(1)
}

fn records_in_resource(kind: Kind, resource: &[u8]) -> u64 {
    messages(resource, 2).map(|scope| records_in_scope(kind, scope)).sum::<u64>().max(1)
}

pub(super) fn read(kind: Kind, body: &[u8], reading: &mut Reading<'_>) -> Result<(), String> {
    // All of it, before anything is taken.
    elements(body).try_for_each(|element| element.map(|_| ()))?;
    let mut drafts = [Draft::default(), Draft::default()];
    for resource in messages(body, 1) {
        if let Err(wrong) = read_resource(kind, resource, &mut drafts, reading) {
            reading.reject(records_in_resource(kind, resource), &wrong);
        }
    }
    Ok(())
}

fn read_resource(kind: Kind, of: &[u8], drafts: &mut [Draft; 2], reading: &mut Reading<'_>) -> Result<(), String> {
    drafts::resource(&mut drafts[0], of, reading)?;
    let resource = drafts[0].bytes.len();
    for scope in messages(of, 2) {
        if let Err(wrong) = read_scope(kind, scope, resource, drafts, reading) {
            reading.reject(records_in_scope(kind, scope), &wrong);
        }
    }
    Ok(())
}

fn read_scope(
    kind: Kind,
    of: &[u8],
    resource: usize,
    [draft, of_metric]: &mut [Draft; 2],
    reading: &mut Reading<'_>,
) -> Result<(), String> {
    drafts::scope(draft, resource, of, reading)?;
    let source = reading.source(draft, None);
    for record in messages(of, 2) {
        let read = match kind {
            Kind::Metrics => read_metric(record, &source, of_metric, reading),
            _ => reading.record(kind, Lies::InRequest(record), &source),
        };
        if let Err(wrong) = read {
            reading.reject(records_in(kind, record), &wrong);
        }
    }
    Ok(())
}

fn read_metric(record: &[u8], origin: &Source, draft: &mut Draft, reading: &mut Reading<'_>) -> Result<(), String> {
    let data = data_of(record)?;
    let Some((tag, points)) = data else {
        // Nothing is lost, but what is damaged is told.
        let empty = drafts::metric(draft, record, (5, &[]), origin, reading);
        return empty.map(|_| ());
    };
    let source = drafts::metric(draft, record, (tag, points), origin, reading)?;
    for point in points_in(points) {
        if let Err(wrong) = reading.point(tag, Lies::InRequest(point), &source) {
            reading.reject(1, &wrong);
        }
    }
    Ok(())
}
