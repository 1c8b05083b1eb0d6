//! The identity of spans: both sides of a call may share an id, and at-least-once delivery repeats
//! spans. The results are the same in every order of arrival.

use slipring::span::{SpanKind, StatusCode};
use slipring::trace::{Trace, TraceOrder};
use slipring::{Resource, Scope, Source, Span, SpanId, Store, TraceId};

const TRACE: u128 = 7;

fn span(service: &str, kind: SpanKind, id: u64, parent: u64, start: u64, end: u64) -> Span {
    let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
    Span::builder()
        .source(&source)
        .trace_id(TraceId::from(TRACE))
        .span_id(SpanId::from(id))
        .parent_span_id((parent > 0).then(|| SpanId::from(parent)))
        .kind(kind)
        .start_unix_nanos(start)
        .end_unix_nanos(end)
        .build()
}

fn orders<T: Clone>(list: &[T]) -> Vec<Vec<T>> {
    if list.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in 0..list.len() {
        let mut rest = list.to_vec();
        let one = rest.remove(first);
        all.extend(orders(&rest).into_iter().map(|rest| [vec![one.clone()], rest].concat()));
    }
    all
}

/// For each span: its service, id, depth, parent's service and self time.
type Shown = Vec<(String, u64, u32, Option<String>, u64)>;

fn shown_spans(trace: &Trace) -> Shown {
    let service = |place: usize| trace.spans[place].span.service().to_owned();
    let one = |place: usize| {
        let one = &trace.spans[place];
        (
            service(place),
            one.span.span_id().into(),
            one.depth,
            one.parent.map(service),
            one.self_time,
        )
    };
    (0..trace.spans.len()).map(one).collect()
}

/// Checks that the trace, and the store's answers about it, are the same in every order of arrival.
fn the_same_in_every_order(spans: &[Span]) -> (Trace, Store<Span>) {
    let mut first: Option<(Trace, _)> = None;
    let mut last = None;
    for spans in orders(spans) {
        let store: Store<Span> = Store::builder().manual().build().unwrap();
        store.push_batch(spans).unwrap();
        let trace = store.trace(TRACE).unwrap();
        let graph = store.query().service_graph().unwrap();
        let rest =
            (trace.summary(), trace.critical_path(), graph.services, graph.calls, graph.unlinked);
        match &first {
            None => first = Some((trace, rest)),
            Some(first) => assert_eq!((&first.0, &first.1), (&trace, &rest)),
        }
        last = Some(store);
    }
    (first.unwrap().0, last.unwrap())
}

fn calls(store: &Store<Span>) -> Vec<(String, String, u64, u64)> {
    let calls = store.query().service_graph().unwrap().calls;
    calls
        .into_iter()
        .map(|call| (call.caller.into(), call.callee.into(), call.calls, call.errors))
        .collect()
}

fn edge(caller: &str, callee: &str, calls: u64, errors: u64) -> (String, String, u64, u64) {
    (caller.to_owned(), callee.to_owned(), calls, errors)
}

#[test]
fn the_sides_of_a_call_may_share_an_id() {
    let (trace, store) = the_same_in_every_order(&[
        span("frontend", SpanKind::Client, 2, 1, 10, 90),
        span("backend", SpanKind::Server, 2, 1, 20, 80),
        span("backend", SpanKind::Internal, 3, 2, 30, 70),
    ]);
    let (frontend, backend) = ("frontend".to_owned(), "backend".to_owned());
    assert_eq!(
        shown_spans(&trace),
        [
            (frontend.clone(), 2, 0, None, 20),
            (backend.clone(), 2, 1, Some(frontend), 20),
            (backend.clone(), 3, 2, Some(backend), 40),
        ]
    );
    assert_eq!((trace.duplicates, trace.duration(), trace.summary().spans), (0, 80, 3));
    assert_eq!(calls(&store), [edge("frontend", "backend", 1, 0)]);
    assert_eq!(trace.critical_path().len(), 5);
}

#[test]
fn a_child_of_a_shared_id_belongs_to_the_span_of_its_own_service() {
    let (trace, store) = the_same_in_every_order(&[
        span("a", SpanKind::Server, 1, 0, 1, 100),
        span("a", SpanKind::Client, 2, 1, 10, 90),
        span("b", SpanKind::Server, 2, 1, 20, 80),
        // An internal span of the client's library, and the next call.
        span("a", SpanKind::Internal, 3, 2, 11, 12),
        span("b", SpanKind::Client, 4, 2, 30, 70),
        span("c", SpanKind::Server, 4, 2, 40, 60),
    ]);
    let depths: Vec<(String, u64, u32)> = shown_spans(&trace)
        .into_iter()
        .map(|(service, id, depth, ..)| (service, id, depth))
        .collect();
    let expected = [("a", 1, 0), ("a", 2, 1), ("a", 3, 2), ("b", 2, 2), ("b", 4, 3), ("c", 4, 4)];
    assert_eq!(depths, expected.map(|(service, id, depth)| (service.to_owned(), id, depth)));
    assert_eq!(calls(&store), [edge("a", "b", 1, 0), edge("b", "c", 1, 0)]);
}

#[test]
fn a_callee_of_a_shared_id_belongs_to_the_innermost_span() {
    let (trace, store) = the_same_in_every_order(&[
        span("a", SpanKind::Client, 2, 0, 10, 90),
        span("b", SpanKind::Server, 2, 0, 20, 80),
        span("a", SpanKind::Server, 3, 2, 30, 70),
    ]);
    assert_eq!(shown_spans(&trace)[2].3.as_deref(), Some("b"));
    assert_eq!(calls(&store), [edge("a", "b", 1, 0), edge("b", "a", 1, 0)]);
}

#[test]
fn the_inner_side_of_a_shared_root_is_no_root() {
    let (_, store) = the_same_in_every_order(&[
        span("a", SpanKind::Client, 2, 0, 10, 90),
        span("b", SpanKind::Server, 2, 0, 20, 80),
    ]);
    assert_eq!(store.query().traces().root_service("a").collect().unwrap().len(), 1);
    assert_eq!(store.query().traces().root_service("b").collect().unwrap().len(), 0);
}

#[test]
fn redelivered_spans_are_one_and_the_most_complete_is_shown() {
    let early = span("a", SpanKind::Server, 1, 0, 10, 0);
    let whole = span("a", SpanKind::Server, 1, 0, 10, 50)
        .to_builder()
        .status(StatusCode::Error, "")
        .build();
    let (trace, store) =
        the_same_in_every_order(&[early, whole.clone(), whole.clone(), whole.clone()]);
    assert_eq!(trace.duplicates, 3);
    assert_eq!(trace.spans[0].span, whole);
    let graph = store.query().service_graph().unwrap();
    assert_eq!((graph.services[0].spans, graph.services[0].errors), (1, 1));
}

#[test]
fn different_spans_with_one_id_are_all_shown() {
    let base = span("a", SpanKind::Internal, 1, 0, 10, 20);
    let others = [
        span("b", SpanKind::Internal, 1, 0, 10, 20),
        span("a", SpanKind::Server, 1, 0, 10, 20),
        span("a", SpanKind::Internal, 1, 0, 11, 20),
        base.clone().to_builder().name("other").build(),
    ];
    for other in others {
        let (trace, _) = the_same_in_every_order(&[base.clone(), other]);
        assert_eq!((trace.spans.len(), trace.duplicates), (2, 0));
    }
}

#[test]
fn many_spans_with_one_id_cost_linear_time() {
    let many = 200_000;
    let mut spans: Vec<Span> =
        (0..many).map(|n| span("a", SpanKind::Client, 2, 1, 1 + n, 1 << 30)).collect();
    spans.extend((0..many).map(|n| span("b", SpanKind::Server, 2, 1, 1 + n, 1 << 30)));
    spans.extend((0..many).map(|n| span("c", SpanKind::Internal, 3, 2, 1 + n, 1 << 30)));
    assert_eq!(Trace::assemble(TraceId::from(TRACE), spans).spans.len() as u64, 3 * many);
}

#[test]
fn unknown_times_are_left_out_of_durations() {
    let year = 365 * 24 * 3600 * 1_000_000_000;
    let store: Store<Span> = Store::builder().manual().build().unwrap();
    let spans = [
        span("a", SpanKind::Server, 1, 0, 50 * year, 50 * year + 100),
        span("a", SpanKind::Internal, 2, 1, 0, 50 * year + 50),
        span("a", SpanKind::Internal, 3, 1, 50 * year + 10, 0),
    ];
    let (trace, _) = the_same_in_every_order(&spans);
    assert_eq!((trace.duration(), trace.times().start), (100, 50 * year));
    assert_eq!(trace.spans.iter().map(|one| one.self_time).collect::<Vec<_>>(), [100, 0, 0]);
    store.push_batch(spans.to_vec()).unwrap();
    let slow = span("a", SpanKind::Server, 1, 0, 50 * year, 50 * year + 200)
        .to_builder()
        .trace_id(TraceId::from(8u128))
        .build();
    store.push(slow).unwrap();
    let slowest = store.query().traces().order(TraceOrder::Slowest).collect().unwrap();
    assert_eq!(slowest.iter().map(|one| one.duration).collect::<Vec<_>>(), [200, 100]);
    assert_eq!(store.query().traces().at_least(201).collect().unwrap(), []);
    assert_eq!(store.query().duration(201..).count(), Ok(0));
    assert_eq!(
        store.query().duration(..=300).count(),
        Ok(2),
        "the duration of the other spans is unknown"
    );
    assert_eq!(store.query().duration::<u64>(..).count(), Ok(4));
    let nothing_known =
        Trace::assemble(TraceId::from(TRACE), vec![span("a", SpanKind::Server, 1, 0, 0, 0)]);
    assert_eq!((nothing_known.duration(), nothing_known.times()), (0, 0..0));
}
