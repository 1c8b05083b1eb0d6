//! What there is besides traces: services, their operations, and who calls whom.

use super::search::kind_name;
use crate::serve::api::{Problem, Tiers};
use crate::serve::ask::Asked;
use crate::serve::keep::Keep;
use slipring::span::SpanKind;
use slipring::{KeyBuf, Signal as _, Span, Telemetry};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// Passes the spans of kept traces to `visit`.
fn each_kept(keep: Option<&Keep>, telemetry: &Telemetry, mut visit: impl FnMut(&Span)) {
    Tiers::new(telemetry.traces(), &Asked::default(), keep).each_kept_span(&mut visit);
}

/// Returns the services that have spans, by name.
pub fn services(keep: Option<&Keep>, telemetry: &Telemetry) -> Result<Vec<String>, Problem> {
    let mut keys: BTreeSet<KeyBuf> = telemetry.traces().keys("service")?.into_iter().collect();
    let indexes = Span::INDEXES;
    let index = indexes.as_slice().iter().find(|index| index.name() == "service");
    let index = index.expect("spans have this index");
    each_kept(keep, telemetry, |span| {
        let key = index.key(span).map(|key| key.to_owned());
        keys.extend(key);
    });
    let name = |key| match key {
        KeyBuf::Text(name) => Some(String::from(name)),
        _ => None,
    };
    Ok(keys.into_iter().filter_map(name).collect())
}

/// An operation of a service: the name of spans, and one of their kinds.
pub struct Operation {
    pub name: String,
    /// Empty if the spans do not say.
    pub kind: &'static str,
}

/// Returns a service's operations, by name and kind; those of one kind if it is given.
pub fn operations(
    keep: Option<&Keep>,
    telemetry: &Telemetry,
    service: &str,
    kind: Option<&str>,
) -> Result<Vec<Operation>, Problem> {
    let mut found: BTreeMap<Box<str>, BTreeSet<SpanKind>> = BTreeMap::new();
    // No span has a service without a name.
    if !service.is_empty() {
        let mut note = |span: &Span| match found.get_mut(span.name()) {
            Some(kinds) => _ = kinds.insert(span.kind()),
            None => _ = found.insert(span.name().into(), [span.kind()].into()),
        };
        let spans = telemetry.traces().query().key("service", service);
        spans.clone().for_each(|_, span| note(span))?;
        each_kept(keep, telemetry, |span| {
            if spans.accepts(span) {
                note(span);
            }
        });
    }
    let each = found.into_iter().flat_map(|(name, kinds)| {
        let named = move |kind| Operation { name: name.to_string(), kind: kind_name(kind) };
        kinds.into_iter().map(named)
    });
    Ok(each.filter(|one| kind.is_none_or(|kind| kind == one.kind)).collect())
}

/// The calls from one service to another.
pub struct Link {
    pub parent: String,
    pub child: String,
    pub calls: u64,
}

/// Returns which services called which, most frequent first, by the spans that began at these
/// times. As in Jaeger, both sides of a call need a span. Services are told apart by their names.
pub fn links(
    keep: Option<&Keep>,
    telemetry: &Telemetry,
    times: Option<RangeInclusive<u64>>,
) -> Result<Vec<Link>, Problem> {
    let Some(times) = times else { return Ok(Vec::new()) };
    let query = telemetry.traces().query().between(times);
    let asked = Asked::default();
    let tiers = Tiers::new(telemetry.traces(), &asked, keep);
    let graph = query.service_graph_with(|visit| tiers.each_kept_span(visit))?;
    let mut found: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for call in &graph.calls {
        let calls = call.calls - call.unmatched;
        if calls > 0 {
            *found.entry((&*call.caller, &*call.callee)).or_default() += calls;
        }
    }
    let link = |((parent, child), calls): ((&str, &str), u64)| Link {
        parent: parent.to_owned(),
        child: child.to_owned(),
        calls,
    };
    let mut links: Vec<Link> = found.into_iter().map(link).collect();
    links.sort_by_key(|link| std::cmp::Reverse(link.calls));
    Ok(links)
}
