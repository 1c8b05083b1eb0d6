//! Log records as rows of `otel_logs`.

use super::{Writing, digits};
use crate::blank::Known;
use crate::columns::{Kind, text, time};
use arrow_schema::ArrowError;
use slipring::{LogRecord, Signal};

pub(super) const COLUMNS: [(&str, Kind); 16] = [
    ("Timestamp", Kind::Time),
    ("TraceId", Kind::Text),
    ("SpanId", Kind::Text),
    ("TraceFlags", Kind::U8),
    ("SeverityText", Kind::Text),
    ("SeverityNumber", Kind::U8),
    ("ServiceName", Kind::Text),
    ("Body", Kind::Text),
    ("ResourceSchemaUrl", Kind::Text),
    ("ResourceAttributes", Kind::Map),
    ("ScopeSchemaUrl", Kind::Text),
    ("ScopeName", Kind::Text),
    ("ScopeVersion", Kind::Text),
    ("ScopeAttributes", Kind::Map),
    ("LogAttributes", Kind::Map),
    ("EventName", Kind::Text),
];

pub(super) fn sort(logs: &mut [LogRecord]) {
    logs.sort_by(|one, other| {
        let times = || one.timestamp().cmp(&other.timestamp());
        one.service().cmp(other.service()).then_with(times)
    });
}

/// Sets what the columns know of a log record.
pub(crate) fn known_of_log(known: &mut Known, [trace, span]: [&str; 2], at: i64, body: &str) {
    known.clear();
    known.number(1, at as u64);
    known.number(11, at as u64);
    known.id(9, trace);
    known.id(10, span);
    known.any_text(5, body);
}

pub(super) fn write(log: &LogRecord, writing: &mut Writing) -> Result<(), ArrowError> {
    let (trace, span) = (digits(log.trace_id()), digits(log.span_id()));
    let body = log.body().map(text).unwrap_or_default();
    let (resource, scope, at) = (log.resource(), log.scope(), log.timestamp());
    known_of_log(&mut writing.known, [&trace, &span], time(at), &body);
    let columns = &mut writing.columns;
    columns.time(at).text(&trace).text(&span).u8(log.flags() as u8).text(log.severity_text());
    columns.u8(log.severity().0.clamp(0, i32::from(u8::MAX)) as u8).text(log.service());
    columns.text(&body).text(resource.schema_url()).map(resource.attributes())?;
    columns.text(scope.schema_url()).text(scope.name()).text(scope.version());
    columns.map(scope.attributes())?.map(log.attributes())?.text(log.event_name());
    writing.end_row(log);
    Ok(())
}
