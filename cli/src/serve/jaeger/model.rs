//! Traces in the JSON of Jaeger's older API, as its UI reads them.

use super::adjusted::{Adjusted, AdjustedSpan};
use super::id;
use super::tags::{Tag, attributes, derived};
use serde::Serialize;
use slipring::attribute::ValueRef;
use slipring::span::{SpanEventRef, SpanLinkRef};
use std::collections::{BTreeMap, HashMap};

/// A trace.
#[derive(Debug, Serialize)]
pub struct Trace<'t> {
    #[serde(rename = "traceID")]
    trace_id: String,
    spans: Vec<Span<'t>>,
    processes: BTreeMap<String, Process<'t>>,
    /// Null if there are none.
    warnings: Option<Vec<String>>,
}

/// A span.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'t> {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    operation_name: &'t str,
    references: Vec<Reference>,
    /// Microseconds since the Unix epoch.
    start_time: u64,
    /// Microseconds.
    duration: u64,
    tags: Vec<Tag<'t>>,
    logs: Vec<Log<'t>>,
    #[serde(rename = "processID")]
    process_id: String,
    /// Null if there are none.
    warnings: Option<Vec<String>>,
}

/// A reference to a parent or to a linked span.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: &'static str,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

/// An event of a span.
#[derive(Debug, Serialize)]
struct Log<'t> {
    /// Microseconds since the Unix epoch.
    timestamp: u64,
    fields: Vec<Tag<'t>>,
}

/// A resource.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process<'t> {
    service_name: &'t str,
    tags: Vec<Tag<'t>>,
}

const CHILD_OF: &str = "CHILD_OF";
const FOLLOWS_FROM: &str = "FOLLOWS_FROM";

fn some(warnings: Vec<String>) -> Option<Vec<String>> {
    Some(warnings).filter(|warnings| !warnings.is_empty())
}

impl<'t> Trace<'t> {
    /// Shows a trace.
    pub fn of(trace: Adjusted<'t>) -> Self {
        let (trace_id, raw) = (id::shown(trace.id), trace.raw);
        let mut numbers: HashMap<(&[u8], &str), usize> = HashMap::new();
        let mut processes = BTreeMap::new();
        let mut show = |one: AdjustedSpan<'t>| {
            let resource = one.span.resource();
            let next = numbers.len() + 1;
            let number = *numbers.entry((resource.bytes(), resource.schema_url())).or_insert(next);
            let process_id = format!("p{number}");
            if number == next {
                processes.insert(process_id.clone(), Process::of(one.span, raw));
            }
            Span::of(one, process_id, trace_id.clone(), raw)
        };
        let spans = trace.spans.into_iter().map(&mut show).collect();
        Self { trace_id, spans, processes, warnings: some(trace.warnings) }
    }
}

impl<'t> Span<'t> {
    fn of(one: AdjustedSpan<'t>, process_id: String, trace_id: String, raw: bool) -> Self {
        let (start, end) = (one.span.start_unix_nanos(), one.span.end_unix_nanos());
        Self {
            span_id: one.id.to_string(),
            operation_name: one.span.name(),
            references: references(&one, &trace_id, raw),
            start_time: start / 1_000,
            duration: if end == 0 { 0 } else { end.saturating_sub(start) / 1_000 },
            tags: derived(one.span, raw),
            logs: one.span.events().iter().map(|event| Log::of(event, raw)).collect(),
            process_id,
            trace_id,
            warnings: some(one.warnings),
        }
    }
}

/// Returns the reference to a span's parent, and those to what it is linked to.
fn references(one: &AdjustedSpan<'_>, trace_id: &str, raw: bool) -> Vec<Reference> {
    let mut references: Vec<Reference> = Vec::new();
    let reference =
        |ref_type, trace_id: String, span_id: String| Reference { ref_type, trace_id, span_id };
    if let Some(parent) = one.parent {
        references.push(reference(CHILD_OF, trace_id.to_owned(), parent.to_string()));
    }
    for link in one.span.links().iter().filter(|link| raw || !link.trace_id().is_zero()) {
        let (of, to) = (id::shown(link.trace_id()), link.span_id());
        let kind = kind_of(link);
        match references.first_mut() {
            // A link to the parent says how it is one.
            Some(first) if one.parent == Some(to) && of == trace_id => first.ref_type = kind,
            _ => references.push(reference(kind, of, to.to_string())),
        }
    }
    references
}

fn kind_of(link: SpanLinkRef<'_>) -> &'static str {
    match link.attributes().get("opentracing.ref_type") {
        Some(ValueRef::Text("child_of")) => CHILD_OF,
        _ => FOLLOWS_FROM,
    }
}

impl<'t> Log<'t> {
    fn of(event: SpanEventRef<'t>, raw: bool) -> Self {
        let own = attributes(event.attributes(), raw);
        let is_free = event.attributes().get("event").is_none();
        let name = Some(event.name()).filter(|name| is_free && !name.is_empty());
        let name = name.map(|name| Tag::text("event", name));
        Self {
            timestamp: event.time_unix_nanos() / 1_000,
            fields: name.into_iter().chain(own).collect(),
        }
    }
}

impl<'t> Process<'t> {
    fn of(span: &'t slipring::Span, raw: bool) -> Self {
        let tags = attributes(span.resource().attributes(), raw);
        Self {
            service_name: span.service(),
            tags: tags.filter(|tag| tag.key != "service.name").collect(),
        }
    }
}
