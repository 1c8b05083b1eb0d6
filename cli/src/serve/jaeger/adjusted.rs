//! A trace as Jaeger's query service hands it out: each span with an id of its own, and with
//! warnings where something is odd about it.

use super::skew::Clocks;
use slipring::trace::{Trace, TraceSpan};
use slipring::{Span, SpanId, TraceId};
use std::collections::HashSet;

/// A trace as Jaeger hands it out.
pub struct Adjusted<'t> {
    pub id: TraceId,
    /// Each after its parent.
    pub spans: Vec<AdjustedSpan<'t>>,
    /// What is odd about the whole trace.
    pub warnings: Vec<String>,
    /// Whether it stands as its senders wrote it.
    pub raw: bool,
}

/// A span as Jaeger hands it out.
pub struct AdjustedSpan<'t> {
    pub span: &'t Span,
    /// Its own id or, if it shares that with its caller's span, a new one.
    pub id: SpanId,
    pub parent: Option<SpanId>,
    /// Whether the parent is not in the trace.
    pub orphan: bool,
    pub warnings: Vec<String>,
}

const EVICTED: &str = "spans of this trace were evicted from memory; what is shown is a part of it";
const CYCLE: &str =
    "the parents of this span form a cycle; it is shown as a root, because it began first";
const DUPLICATE: &str = "duplicate span IDs; skipping clock skew adjustment";
const NO_LINK: &str = "Invalid span link removed";

impl<'t> Adjusted<'t> {
    /// Adjusts a trace as Jaeger does, unless it is to be `raw`: as its senders wrote it.
    pub fn of(trace: &'t Trace, raw: bool) -> Self {
        let (ids, missing) = if raw { own_ids(trace) } else { unique_ids(trace) };
        let all: HashSet<SpanId> = ids.iter().copied().collect();
        let placed = trace.spans.iter().zip(&ids);
        let mut spans: Vec<AdjustedSpan<'_>> = placed
            .map(|(one, &id)| {
                let named = one.span.parent_span_id().filter(|parent| !parent.is_zero());
                let (parent, orphan) = match one.parent {
                    _ if raw => (named, named.is_some_and(|parent| !all.contains(&parent))),
                    Some(place) => (Some(ids[place]), false),
                    // A cycle of parents is cut, since readers look for roots.
                    None if one.orphan && named.is_some_and(|named| all.contains(&named)) => {
                        (None, false)
                    }
                    None => (named, named.is_some()),
                };
                AdjustedSpan { span: &one.span, id, parent, orphan, warnings: Vec::new() }
            })
            .collect();
        if !raw {
            warn(trace, &mut spans);
        }
        let mut warnings = Vec::new();
        if trace.partial {
            warnings.push(EVICTED.to_owned());
        }
        if missing {
            warnings.push("cannot assign unique span ID, too many spans in the trace".to_owned());
        }
        // Readers show the warnings of spans, and not all of them those of traces.
        if let Some(first) = spans.first_mut().filter(|_| !raw) {
            first.warnings.extend(warnings.iter().cloned());
        }
        Self { id: trace.trace_id, spans, warnings, raw }
    }
}

fn own_ids(trace: &Trace) -> (Vec<SpanId>, bool) {
    (trace.spans.iter().map(|one| one.span.span_id()).collect(), false)
}

/// Returns the spans' ids, and new ones for those that share theirs with their parents, as both
/// sides of a call do in Zipkin. Also returns whether there were too few.
fn unique_ids(trace: &Trace) -> (Vec<SpanId>, bool) {
    let used: HashSet<SpanId> = trace.spans.iter().map(|one| one.span.span_id()).collect();
    let mut unused = (1..=u64::MAX).map(SpanId::from).filter(|id| !used.contains(id));
    let mut missing = false;
    let of = |one: &TraceSpan| {
        let id = one.span.span_id();
        let is_shared = one.parent.is_some_and(|place| trace.spans[place].span.span_id() == id);
        if !is_shared {
            return id;
        }
        let new = unused.next();
        missing |= new.is_none();
        new.unwrap_or(id)
    };
    (trace.spans.iter().map(of).collect(), missing)
}

/// Notes what is odd about each span.
fn warn(trace: &Trace, spans: &mut [AdjustedSpan<'_>]) {
    let mut seen = HashSet::new();
    let mut clocks = Clocks::default();
    for (one, adjusted) in trace.spans.iter().zip(spans) {
        let warnings = &mut adjusted.warnings;
        if !seen.insert(adjusted.id) {
            warnings.push(DUPLICATE.to_owned());
        }
        if let Some(parent) = adjusted.parent.filter(|_| adjusted.orphan) {
            warnings.push(format!(
                "parent span ID={parent} is not in the trace; skipping clock skew adjustment"
            ));
        } else if one.orphan {
            warnings.push(CYCLE.to_owned());
        }
        warnings.extend(clocks.warning(one));
        match one.span.links().iter().filter(|link| link.trace_id().is_zero()).count() {
            0 => {}
            1 => warnings.push(NO_LINK.to_owned()),
            // Jaeger repeats the warning. A span of a few kilobytes may hold thousands of these.
            many => warnings.push(format!("{NO_LINK} ({many} times)")),
        }
    }
}
