//! Traces in OTLP/JSON, as the third API shows them, with warnings as an attribute of their spans.

use super::adjusted::{Adjusted, AdjustedSpan};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use slipring::Span;
use slipring::otlp::{Encoding, encode};
use std::collections::HashMap;

/// The attribute by which Jaeger passes warnings on.
const WARNINGS: &str = "@jaeger@warnings";

/// Returns these traces one after the other, each with its resources.
pub fn traces(traces: &[Adjusted<'_>]) -> Result<String, serde_json::Error> {
    let mut all = String::from("{\"result\":{\"resourceSpans\":[");
    let mut is_first = true;
    for trace in traces {
        let spans = trace.spans.iter().map(|one| one.span);
        let request = encode(spans, Encoding::Json);
        let changed = changed(trace);
        if changed.is_empty() {
            // The messages stand as they are, and are not read.
            let Whole { resources } = serde_json::from_slice(&request)?;
            let resources = resources.map_or("[]", RawValue::get);
            let inner = resources.strip_prefix('[').and_then(|list| list.strip_suffix(']'));
            let inner = inner.unwrap_or_default().trim();
            if !inner.is_empty() && !std::mem::take(&mut is_first) {
                all.push(',');
            }
            all.push_str(inner);
            continue;
        }
        let mut request: Value = serde_json::from_slice(&request)?;
        adjust(&mut request, &changed);
        for resource in list(&mut request, "resourceSpans") {
            if !std::mem::take(&mut is_first) {
                all.push(',');
            }
            all.push_str(&serde_json::to_string(resource)?);
        }
    }
    all.push_str("]}}");
    Ok(all)
}

/// A request, of which only the place of its resources is found.
#[derive(Deserialize)]
struct Whole<'r> {
    #[serde(borrow, rename = "resourceSpans")]
    resources: Option<&'r RawValue>,
}

/// Returns the elements of a message's list.
fn list<'v>(message: &'v mut Value, name: &str) -> impl Iterator<Item = &'v mut Value> {
    message.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

/// What tells the spans of an assembled trace apart.
type Identity = (String, String, u64, String, String);

fn identity(span: &Span) -> Identity {
    let start = Some(span.start_unix_nanos()).filter(|&start| start > 0);
    (
        span.resource().service().unwrap_or_default().to_owned(),
        span.span_id().to_string(),
        u64::from(span.kind().number().unsigned_abs()),
        start.map(|start| start.to_string()).unwrap_or_default(),
        span.name().to_owned(),
    )
}

/// Returns the spans that Jaeger changes.
fn changed<'a, 't>(trace: &'a Adjusted<'t>) -> HashMap<Identity, &'a AdjustedSpan<'t>> {
    let changed = trace.spans.iter().filter(|one| {
        let named = one.span.parent_span_id().filter(|parent| !parent.is_zero());
        !one.warnings.is_empty() || one.id != one.span.span_id() || one.parent != named
    });
    changed.filter(|_| !trace.raw).map(|one| (identity(one.span), one)).collect()
}

/// Writes what Jaeger changes into the spans' messages.
fn adjust(request: &mut Value, changed: &HashMap<Identity, &AdjustedSpan<'_>>) {
    for resource in list(request, "resourceSpans") {
        let service = service(resource);
        for scope in list(resource, "scopeSpans") {
            for message in list(scope, "spans") {
                let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
                let kind = message["kind"].as_u64().unwrap_or(0);
                let start = text("startTimeUnixNano");
                let of = (service.clone(), text("spanId"), kind, start, text("name"));
                let Some(one) = changed.get(&of) else { continue };
                let Some(fields) = message.as_object_mut() else { continue };
                fields.insert("spanId".to_owned(), one.id.to_string().into());
                match one.parent {
                    Some(parent) => {
                        fields.insert("parentSpanId".to_owned(), parent.to_string().into())
                    }
                    None => fields.remove("parentSpanId"),
                };
                // A link without a trace leads nowhere: a warning says that it was removed.
                if let Some(links) = fields.get_mut("links").and_then(Value::as_array_mut) {
                    let is_set =
                        |id: &Value| id.as_str().is_some_and(|id| !id.trim_matches('0').is_empty());
                    links.retain(|link| link.get("traceId").is_some_and(is_set));
                }
                if !one.warnings.is_empty() {
                    warn(message, &one.warnings);
                }
            }
        }
    }
}

/// Returns the name of a resource's service.
fn service(message: &mut Value) -> String {
    let mut attributes = list(&mut message["resource"], "attributes");
    let name = attributes.find(|attribute| attribute["key"] == "service.name");
    name.and_then(|name| name["value"]["stringValue"].as_str()).unwrap_or_default().to_owned()
}

fn warn(message: &mut Value, warnings: &[String]) {
    let values: Vec<Value> =
        warnings.iter().map(|warning| json!({ "stringValue": warning })).collect();
    let attribute = json!({ "key": WARNINGS, "value": { "arrayValue": { "values": values } } });
    match message["attributes"].as_array_mut() {
        Some(attributes) => attributes.push(attribute),
        None => message["attributes"] = json!([attribute]),
    }
}
