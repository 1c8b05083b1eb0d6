//! Checks each record completely when it arrives.
//!
//! A record is kept as it arrived, including fields that the protocol does not define. An irregular
//! record (see [`wire`](crate::wire)) is rewritten, so that our readers and others decode it to the
//! same content.

use super::record_bytes::RecordBytes;
use crate::signal::body::{At, Body, RecordKind};
use crate::signal::metric_point::Shape;
use crate::signal::{self, LogRecord, MetricPoint, Shared, Signal, Span};
use crate::wire::schema::{self, Schema};
use crate::wire::{Checked, Field, Raw, check, field_of, regular};
use std::cell::Cell;

/// A record that is a range of a body.
pub(super) trait Record: Signal {
    /// The frequently read fields.
    type Head: Copy;
    const KIND: RecordKind;

    fn of(head: Self::Head, body: Shared<Body>, at: At) -> Self;
}

macro_rules! record {
    ($record:ident, $module:ident, $of:ident) => {
        impl Record for $record {
            const KIND: RecordKind = RecordKind::$of;
            type Head = signal::$module::Head;

            fn of(head: Self::Head, body: Shared<Body>, at: At) -> Self {
                $record::of(head, body, at)
            }
        }
    };
}

record!(Span, span, Spans);
record!(LogRecord, log, Logs);
record!(MetricPoint, metric_point, Points);

/// Checks a message, rewrites it if it is irregular, and passes it to `take` with the head that
/// `see` collected from its fields.
#[inline(always)]
fn checked<H: Copy>(
    schema: &'static Schema,
    record: RecordBytes<'_>,
    head: H,
    see: impl Fn(&mut H, Field<'_>, usize),
    take: impl FnOnce(H, RecordBytes<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let mut found = head;
    let length = record.bytes().len();
    match check(schema, record.bytes(), |field| see(&mut found, field, length))
        .map_err(|wrong| wrong.to_string())?
    {
        Checked::Regular => take(found, record),
        Checked::Irregular => {
            let written = regular(schema, record.bytes());
            let mut found = head;
            check(schema, &written, |field| see(&mut found, field, written.len()))
                .map_err(|wrong| wrong.to_string())?;
            take(found, RecordBytes::Elsewhere(&written))
        }
    }
}

/// Checks a required id.
fn required<const N: usize>(field: &str, bytes: &[u8]) -> Result<(), String> {
    match <[u8; N]>::try_from(bytes) {
        Ok(id) if id == [0; N] => Err(format!("{field} is all zero")),
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{field} has {} bytes instead of {N}", bytes.len())),
    }
}

/// Returns an error that names the invalid id of a span. The trace id and the span id are required.
/// The parent's id may be absent or all zero.
#[cold]
fn wrong_ids(span: &[u8]) -> Result<(), String> {
    let id = |number| field_of(span, number).map_or(&[][..], Raw::bytes);
    let parent = id(4);
    if !parent.is_empty() && parent.len() != 8 {
        return Err(format!("parentSpanId has {} bytes instead of 8", parent.len()));
    }
    required::<16>("traceId", id(1))?;
    required::<8>("spanId", id(2))
}

pub(super) fn span(
    record: RecordBytes<'_>,
    take: impl FnOnce(signal::span::Head, RecordBytes<'_>),
) -> Result<(), String> {
    let parent_is_sound = Cell::new(true);
    let see = |head: &mut signal::span::Head, field: Field<'_>, length| {
        if field.number == 4 {
            parent_is_sound.set(matches!(field.raw.bytes().len(), 0 | 8));
        }
        head.see(field, length);
    };
    checked(&schema::SPAN, record, signal::span::Head::default(), see, |head, record| {
        if !head.has_ids() || !parent_is_sound.get() {
            wrong_ids(record.bytes())?;
        }
        take(head, record);
        Ok(())
    })
}

pub(super) fn log(
    record: RecordBytes<'_>,
    take: impl FnOnce(signal::log::Head, RecordBytes<'_>),
) -> Result<(), String> {
    let see = |head: &mut signal::log::Head, field: Field<'_>, length| head.see(field, length);
    checked(&schema::LOG, record, signal::log::Head::default(), see, |head, record| {
        take(head, record);
        Ok(())
    })
}

pub(super) fn point(
    tag: u32,
    record: RecordBytes<'_>,
    take: impl FnOnce(signal::metric_point::Head, RecordBytes<'_>),
) -> Result<(), String> {
    let shape = Shape::of(tag);
    let schema = match shape {
        Shape::Number => &schema::NUMBER,
        Shape::Histogram => &schema::HISTOGRAM,
        Shape::Exponential => &schema::EXPONENTIAL,
        Shape::Summary => &schema::SUMMARY,
    };
    let see =
        |head: &mut signal::metric_point::Head, field: Field<'_>, length| head.see(field, length);
    checked(schema, record, signal::metric_point::Head::of(shape), see, |head, record| {
        take(head, record);
        Ok(())
    })
}
