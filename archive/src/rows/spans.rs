//! Spans as rows of `otel_traces`.

use super::{Writing, digits};
use crate::blank::Known;
use crate::columns::{Kind, time};
use arrow_schema::ArrowError;
use slipring::Span;
use slipring::span::{SpanKind, StatusCode};

pub(super) const COLUMNS: [(&str, Kind); 22] = [
    ("Timestamp", Kind::Time),
    ("TraceId", Kind::Text),
    ("SpanId", Kind::Text),
    ("ParentSpanId", Kind::Text),
    ("TraceState", Kind::Text),
    ("SpanName", Kind::Text),
    ("SpanKind", Kind::Text),
    ("ServiceName", Kind::Text),
    ("ResourceAttributes", Kind::Map),
    ("ScopeName", Kind::Text),
    ("ScopeVersion", Kind::Text),
    ("SpanAttributes", Kind::Map),
    ("Duration", Kind::U64),
    ("StatusCode", Kind::Text),
    ("StatusMessage", Kind::Text),
    ("Events.Timestamp", Kind::Times),
    ("Events.Name", Kind::Texts),
    ("Events.Attributes", Kind::Maps),
    ("Links.TraceId", Kind::Texts),
    ("Links.SpanId", Kind::Texts),
    ("Links.TraceState", Kind::Texts),
    ("Links.Attributes", Kind::Maps),
];

pub(super) fn sort(spans: &mut [Span]) {
    spans.sort_by(|one, other| {
        let times = || one.start_unix_nanos().cmp(&other.start_unix_nanos());
        one.service().cmp(other.service()).then_with(times)
    });
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "Internal",
        SpanKind::Server => "Server",
        SpanKind::Client => "Client",
        SpanKind::Producer => "Producer",
        SpanKind::Consumer => "Consumer",
        _ => "Unspecified",
    }
}

fn status(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Ok => "Ok",
        StatusCode::Error => "Error",
        _ => "Unset",
    }
}

/// Sets what the columns know of a span.
pub(crate) fn known_of_span(
    known: &mut Known,
    [trace, span, parent]: [&str; 3],
    start: i64,
    duration: u64,
) {
    known.clear();
    known.id(1, trace);
    known.id(2, span);
    known.id(4, parent);
    known.number(7, start as u64);
    known.number(8, (start as u64).wrapping_add(duration));
}

pub(super) fn write(span: &Span, writing: &mut Writing) -> Result<(), ArrowError> {
    let trace = digits(Some(span.trace_id()).filter(|id| !id.is_zero()));
    let own = digits(Some(span.span_id()).filter(|id| !id.is_zero()));
    let parent = digits(span.parent_span_id());
    let (start, duration) = (span.start_unix_nanos(), span.duration());
    let (scope, links, events) = (span.scope(), span.links(), span.events());
    known_of_span(&mut writing.known, [&trace, &own, &parent], time(start), duration);
    let columns = &mut writing.columns;
    columns.time(start).text(&trace).text(&own).text(&parent).text(span.trace_state());
    columns.text(span.name()).text(kind(span.kind())).text(span.service());
    columns.map(span.resource().attributes())?.text(scope.name()).text(scope.version());
    columns.map(span.attributes())?.u64(duration);
    columns.text(status(span.status_code())).text(span.status().message);
    columns.times(events.iter().map(|event| event.time_unix_nanos()));
    columns.texts(events.iter().map(|event| event.name().to_owned()));
    columns.maps(events.iter().map(|event| event.attributes()))?;
    columns
        .texts(links.iter().map(|link| digits(Some(link.trace_id()).filter(|id| !id.is_zero()))));
    columns.texts(links.iter().map(|link| digits(Some(link.span_id()).filter(|id| !id.is_zero()))));
    columns.texts(links.iter().map(|link| link.trace_state().to_owned()));
    columns.maps(links.iter().map(|link| link.attributes()))?;
    writing.end_row(span);
    Ok(())
}
