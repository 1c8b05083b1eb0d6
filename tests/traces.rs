//! Traces: random trees of spans, delivered in any order with losses and duplicates, are compared
//! with plain recomputations.

use proptest::prelude::*;
use slipring::span::StatusCode;
use slipring::trace::{Trace, TraceOrder, TraceSpan};
use slipring::{Resource, Scope, Source, Span, SpanId, Store, TraceId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const TRACE: u128 = 7;

fn span(id: u64, parent: Option<u64>, start: u64, end: u64) -> Span {
    Span::builder()
        .trace_id(TraceId::from(TRACE))
        .span_id(SpanId::from(id))
        .parent_span_id(parent.map(SpanId::from))
        .start_unix_nanos(start)
        .end_unix_nanos(end)
        .build()
}

/// Span `n` has the id `n + 1`. Its parent is any span, including itself, or none, or a span that
/// does not exist.
fn spans() -> impl Strategy<Value = Vec<Span>> {
    let one = (0..24u64, 1..60u64, 0..40u64);
    prop::collection::vec(one, 1..20).prop_map(|spans| {
        let spans = spans.into_iter().enumerate();
        let made = spans.map(|(number, (parent, start, length))| {
            span(number as u64 + 1, (parent > 0).then_some(parent), start, start + length)
        });
        made.collect()
    })
}

/// The order of delivery, with losses and duplicates.
fn delivery(spans: Vec<Span>) -> impl Strategy<Value = Vec<Span>> {
    let most = spans.len() * 2;
    prop::collection::vec(any::<prop::sample::Index>(), 1..=most)
        .prop_map(move |picks| picks.iter().map(|pick| pick.get(&spans).clone()).collect())
}

fn times(span: &Span) -> std::ops::Range<u64> {
    span.start_unix_nanos()..span.end_unix_nanos()
}

fn children(trace: &Trace, parent: usize) -> impl Iterator<Item = &TraceSpan> {
    trace.spans.iter().filter(move |one| one.parent == Some(parent))
}

fn check(trace: &Trace, delivered: &[Span]) {
    let ids: BTreeSet<SpanId> = delivered.iter().map(|span| span.span_id()).collect();
    let shown: Vec<SpanId> = trace.spans.iter().map(|one| one.span.span_id()).collect();
    assert_eq!(shown.iter().copied().collect::<BTreeSet<_>>(), ids);
    assert_eq!(shown.len(), ids.len(), "each once");
    assert_eq!(trace.duplicates as usize, delivered.len() - ids.len());
    for (place, one) in trace.spans.iter().enumerate() {
        match one.parent {
            Some(parent) => {
                assert!(parent < place, "a span comes before its parent");
                assert_eq!(Some(trace.spans[parent].span.span_id()), one.span.parent_span_id());
                assert_eq!(one.depth, trace.spans[parent].depth + 1);
                assert!(!one.orphan);
            }
            None => {
                assert_eq!(one.depth, 0);
                assert_eq!(one.orphan, one.span.parent_span_id().is_some());
                let gone = one.span.parent_span_id().is_none_or(|parent| !ids.contains(&parent));
                assert!(
                    gone || goes_round(trace, one),
                    "a span is at the top although its parent is in the trace"
                );
            }
        }
        let own = times(&one.span);
        let idle = own.filter(|moment| {
            !children(trace, place).any(|child| times(&child.span).contains(moment))
        });
        assert_eq!(one.self_time, idle.count() as u64);
    }
    let starts = |parent: Option<usize>| {
        let siblings =
            trace.spans.iter().filter(move |one| one.parent == parent && parent.is_some());
        siblings.map(|one| one.span.start_unix_nanos()).collect::<Vec<_>>()
    };
    assert!(
        (0..trace.spans.len()).all(|place| starts(Some(place)).is_sorted()),
        "siblings are not ordered by their start"
    );
}

/// Returns whether the span is its own ancestor.
fn goes_round(trace: &Trace, one: &TraceSpan) -> bool {
    let parents: HashMap<SpanId, Option<SpanId>> =
        trace.spans.iter().map(|one| (one.span.span_id(), one.span.parent_span_id())).collect();
    let mut at = one.span.parent_span_id();
    for _ in 0..=parents.len() {
        match at {
            Some(id) if id == one.span.span_id() => return true,
            Some(id) => at = parents.get(&id).copied().flatten(),
            None => return false,
        }
    }
    false
}

fn check_path(trace: &Trace) {
    let root = trace.root().unwrap();
    let path = trace.critical_path();
    let mut at = root.span.start_unix_nanos();
    for segment in &path {
        assert_eq!(segment.times.start, at, "the critical path has a gap");
        at = segment.times.end;
        let own = times(&trace.spans[segment.span].span);
        assert!(own.start <= segment.times.start && segment.times.end <= own.end);
        let ended_meanwhile = children(trace, segment.span)
            .filter(|child| child.span.start_unix_nanos() < child.span.end_unix_nanos())
            .any(|child| {
                segment.times.start < child.span.end_unix_nanos()
                    && child.span.end_unix_nanos() <= segment.times.end
            });
        assert!(!ended_meanwhile, "the segment spans a child that ended within it: {segment:?}");
    }
    assert_eq!(at, root.span.end_unix_nanos());
}

proptest! {
    #[test]
    fn a_trace_is_assembled_from_any_subset_of_its_spans(delivered in spans().prop_flat_map(delivery)) {
        let trace = Trace::assemble(TraceId::from(TRACE), delivered.clone());
        check(&trace, &delivered);
        check_path(&trace);
    }

    #[test]
    fn a_store_returns_the_same_trace_and_reports_losses(
        delivered in spans().prop_flat_map(delivery),
        capacity in 1usize..50,
        shards in 1usize..4,
        after in 0usize..60,
    ) {
        let shards = shards.min(capacity);
        let store: Store<Span> = Store::builder().capacity(capacity).shards(shards).manual().build().unwrap();
        let other = (0..after).map(|n| Span::builder().trace_id(TraceId::from(100 + n as u128)).build());
        let mut places = Vec::new();
        for span in delivered.iter().cloned().chain(other) {
            places.push(store.push(span).unwrap());
        }
        store.flush().unwrap();
        let left: Vec<Span> = places[..delivered.len()].iter().filter_map(|place| store.get(*place).ok()).collect();
        match store.trace(TRACE) {
            None => assert!(left.is_empty()),
            Some(trace) => {
                check(&trace, &left);
                assert_eq!(trace, at_most_partial(&trace, left.clone()));
                if shards == 1 {
                    assert_eq!(trace.partial, left.len() < delivered.len());
                } else {
                    assert!(!trace.partial || left.len() < delivered.len());
                }
            }
        }
    }
}

fn at_most_partial(trace: &Trace, left: Vec<Span>) -> Trace {
    let mut same = Trace::assemble(trace.trace_id, left);
    same.partial = trace.partial;
    same
}

#[test]
fn a_chain_of_a_hundred_thousand_spans_is_assembled() {
    let chain =
        (0..100_000).map(|n| span(n + 1, (n > 0).then_some(n), n + 1, 300_001 - n)).collect();
    let trace = Trace::assemble(TraceId::from(TRACE), chain);
    assert_eq!(trace.spans.last().unwrap().depth, 99_999);
    assert_eq!(trace.critical_path().len(), 199_999);
}

#[test]
fn a_trace_with_spans_evicted_in_one_shard_is_partial() {
    let store: Store<Span> = Store::builder().capacity(1_000).shards(2).manual().build().unwrap();
    let mut on = BTreeMap::new();
    // One span of the trace in each shard, then other records until one shard has evicted its span.
    while on.len() < 2 {
        let place = store.push(span(on.len() as u64 + 1, None, 0, 1)).unwrap();
        on.entry(place.shard()).or_insert(place);
    }
    store.flush().unwrap();
    assert!(!store.trace(TRACE).unwrap().partial);
    let mut number = 100u128;
    while on.values().all(|place| store.get(*place).is_ok()) {
        store.push(Span::builder().trace_id(TraceId::from(number)).build()).unwrap();
        while store.step() {}
        number += 1;
    }
    let trace = store.trace(TRACE).expect("one shard still has it");
    assert!(trace.partial);
}

fn of_service(service: &str, name: &str, failed: bool, span: Span) -> Span {
    let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
    let code = if failed { StatusCode::Error } else { StatusCode::Unset };
    span.to_builder().source(&source).name(name).status(code, "").build()
}

/// Two traces of three services: the first is slow and fails, the second has no root.
fn two_traces() -> Store<Span> {
    let store: Store<Span> = Store::builder().manual().build().unwrap();
    let second = |span: Span| span.to_builder().trace_id(TraceId::from(8u128)).build();
    let spans = vec![
        of_service("cart", "AddItem", true, span(2, Some(1), 20, 60)),
        of_service("stock", "Take", true, span(3, Some(2), 30, 50)),
        of_service("cart", "AddItem", true, span(2, Some(1), 20, 60)),
        of_service("shop", "POST /cart", true, span(1, None, 10, 100)),
        second(of_service("cart", "List", false, span(5, Some(4), 200, 230))),
        second(of_service("stock", "Look", false, span(6, Some(5), 210, 220))),
    ];
    store.push_batch(spans).unwrap();
    store
}

#[test]
fn summaries_show_the_newest_slowest_and_failing_traces() {
    let store = two_traces();
    let all = store.query().traces().collect().unwrap();
    assert_eq!(all.iter().map(|one| u128::from(one.trace_id)).collect::<Vec<_>>(), [8, 7]);
    let first = &all[1];
    assert_eq!(
        (&*first.root_service, &*first.root_name, first.has_root),
        ("shop", "POST /cart", true)
    );
    assert_eq!((first.start_unix_nanos, first.duration, first.spans, first.errors), (10, 90, 3, 3));
    assert_eq!(first.services, ["cart".into(), "shop".into(), "stock".into()]);
    assert!(!all[0].has_root && &*all[0].root_name == "List");

    let listed = |query: slipring::trace::TraceQuery<'_>| {
        query.collect().unwrap().iter().map(|one| u128::from(one.trace_id)).collect::<Vec<_>>()
    };
    assert_eq!(listed(store.query().traces().order(TraceOrder::Slowest)), [7, 8]);
    assert_eq!(listed(store.query().status(StatusCode::Error).traces()), [7]);
    assert_eq!(listed(store.query().traces().root_service("shop")), [7]);
    assert_eq!(listed(store.query().traces().root_name("List")), [8]);
    assert_eq!(listed(store.query().key("service", "stock").traces().limit(1)), [8]);
    assert_eq!(listed(store.query().traces().at_least(91)), [0u128; 0]);
    assert!(store.query().key("colour", 1u64).traces().collect().is_err());
}

#[test]
fn the_service_graph_counts_each_call_once() {
    let graph = two_traces().query().service_graph().unwrap();
    let calls: Vec<(&str, &str, u64, u64, u64)> = graph
        .calls
        .iter()
        .map(|c| (&*c.caller, &*c.callee, c.calls, c.errors, c.latency(0.5)))
        .collect();
    assert_eq!(calls, [("cart", "stock", 2, 1, 10), ("shop", "cart", 1, 1, 40)]);
    let services: Vec<(&str, u64, u64)> =
        graph.services.iter().map(|s| (&*s.service, s.spans, s.errors)).collect();
    assert_eq!(services, [("cart", 2, 1), ("shop", 1, 1), ("stock", 2, 1)]);
    assert_eq!(graph.unlinked, 1);
    assert_eq!(graph.calls[0].error_rate(), 0.5);
}
