//! The service graph: calls that only one side reports, failures of one side, and calls through
//! messages.

use slipring::attribute::Attributes;
use slipring::span::{SpanKind, SpanLink, StatusCode};
use slipring::trace::{NodeKind, ServiceGraph};
use slipring::{Resource, Scope, Source, Span, SpanId, Store, TraceId, Value};

fn span(service: &str, kind: SpanKind, trace: u128, id: u64, parent: u64) -> Span {
    in_namespace("", service, kind, trace, id, parent)
}

fn in_namespace(
    namespace: &str,
    service: &str,
    kind: SpanKind,
    trace: u128,
    id: u64,
    parent: u64,
) -> Span {
    let attributes =
        Attributes::from([("service.name", service), ("service.namespace", namespace)]);
    let source = Source::new(&Resource::new(attributes), &Scope::default());
    Span::builder()
        .source(&source)
        .trace_id(TraceId::from(trace))
        .span_id(SpanId::from(id))
        .parent_span_id((parent > 0).then(|| SpanId::from(parent)))
        .kind(kind)
        .start_unix_nanos(10)
        .end_unix_nanos(30)
        .build()
}

fn with(span: Span, attributes: &[(&str, Value)]) -> Span {
    span.to_builder().attributes(&attributes.iter().cloned().collect::<Attributes>()).build()
}

fn failed(span: Span) -> Span {
    span.to_builder().status(StatusCode::Error, "").build()
}

fn store(spans: Vec<Span>) -> Store<Span> {
    let store: Store<Span> = Store::builder().manual().build().unwrap();
    store.push_batch(spans).unwrap();
    store
}

fn graph(spans: Vec<Span>) -> ServiceGraph {
    let mut backwards = spans.clone();
    backwards.reverse();
    let (one, other) =
        [spans, backwards].map(|spans| store(spans).query().service_graph().unwrap()).into();
    assert_eq!(
        (&one.services, &one.calls, one.unlinked),
        (&other.services, &other.calls, other.unlinked)
    );
    one
}

/// An edge: caller, callee, calls, errors, and calls that only the caller reports.
fn calls(graph: &ServiceGraph) -> Vec<(&str, &str, u64, u64, u64)> {
    let call = |call: &'_ slipring::trace::ServiceCall| (call.calls, call.errors, call.unmatched);
    graph
        .calls
        .iter()
        .map(|one| (&*one.caller, &*one.callee, call(one).0, call(one).1, call(one).2))
        .collect()
}

fn kind(graph: &ServiceGraph, name: &str) -> NodeKind {
    graph.services.iter().find(|node| *node.service == *name).unwrap().kind
}

#[test]
fn a_callee_without_spans_is_a_virtual_node() {
    let text = |text: &str| Value::from(text);
    /// Attributes, the node's name, and its kind.
    type Case<'a> = (&'a [(&'a str, Value)], &'a str, NodeKind);
    let cases: [Case<'_>; 12] = [
        (&[("peer.service", text("payments"))], "payments", NodeKind::Virtual),
        (&[("service.peer.name", text("payments"))], "payments", NodeKind::Virtual),
        (&[("server.address", text("api.example.com"))], "api.example.com", NodeKind::Virtual),
        (&[("net.peer.name", text("old.example.com"))], "old.example.com", NodeKind::Virtual),
        (&[("network.peer.address", text("10.0.0.7"))], "10.0.0.7", NodeKind::Virtual),
        (
            &[("network.peer.address", text("10.0.0.7")), ("network.peer.port", Value::from(5432))],
            "10.0.0.7:5432",
            NodeKind::Virtual,
        ),
        (&[("db.system.name", text("postgresql"))], "postgresql", NodeKind::Database),
        (&[("db.system", text("mysql"))], "mysql", NodeKind::Database),
        (
            &[("db.system.name", text("postgresql")), ("db.namespace", text("orders"))],
            "orders",
            NodeKind::Database,
        ),
        (
            &[("db.name", text("orders")), ("server.address", text("db-1"))],
            "db-1",
            NodeKind::Database,
        ),
        (&[("messaging.system", text("kafka"))], "kafka", NodeKind::MessagingSystem),
        (
            &[("server.address", text("h")), ("peer.service", text("payments"))],
            "payments",
            NodeKind::Virtual,
        ),
    ];
    for (attributes, name, what) in cases {
        for by in [SpanKind::Client, SpanKind::Producer] {
            let graph = graph(vec![failed(with(span("shop", by, 1, 2, 0), attributes))]);
            assert_eq!(calls(&graph), [("shop", name, 1, 1, 1)], "{attributes:?}");
            assert_eq!(graph.calls[0].latency(0.5), 20);
            let queue = by == SpanKind::Producer && what == NodeKind::Virtual;
            assert_eq!(kind(&graph, name), if queue { NodeKind::MessagingSystem } else { what });
        }
    }
    let says_nothing = graph(vec![span("shop", SpanKind::Client, 1, 2, 0)]);
    assert!(says_nothing.calls.is_empty() && says_nothing.services.len() == 1);
    let no_caller = graph(vec![with(
        span("shop", SpanKind::Server, 1, 2, 0),
        &[("server.address", "me".into())],
    )]);
    assert!(no_caller.calls.is_empty(), "a server's own address");
}

#[test]
fn a_callee_with_spans_is_no_virtual_node() {
    let address: &[(&str, Value)] = &[("server.address", "cart:8080".into())];
    let graph = graph(vec![
        with(span("shop", SpanKind::Client, 1, 2, 0), address),
        span("cart", SpanKind::Server, 1, 3, 2),
        // A client span within a client span reports the same call.
        with(span("shop", SpanKind::Client, 2, 2, 0), address),
        with(span("shop", SpanKind::Client, 2, 3, 2), address),
        span("cart", SpanKind::Server, 2, 4, 3),
    ]);
    assert_eq!(calls(&graph), [("shop", "cart", 2, 0, 0)]);
    assert_eq!(graph.services.len(), 2);
}

#[test]
fn a_service_whose_span_is_missing_is_known_by_its_name() {
    let graph = graph(vec![
        with(span("shop", SpanKind::Client, 1, 2, 0), &[("peer.service", "cart".into())]),
        span("cart", SpanKind::Server, 2, 3, 0),
    ]);
    assert_eq!(calls(&graph), [("shop", "cart", 1, 0, 1)]);
    assert_eq!((graph.services.len(), kind(&graph, "cart")), (2, NodeKind::Service));
}

#[test]
fn services_outside_of_a_query_become_no_virtual_nodes() {
    let address: &[(&str, Value)] = &[("server.address", "10.0.0.1".into())];
    let store = store(vec![
        with(span("shop", SpanKind::Client, 1, 2, 0), address),
        span("cart", SpanKind::Server, 1, 3, 2),
        with(span("shop", SpanKind::Client, 2, 2, 0), &[("db.system", "redis".into())]),
    ]);
    let graph = store.query().key("service", "shop").service_graph().unwrap();
    assert_eq!(calls(&graph), [("shop", "redis", 1, 0, 1)]);
}

#[test]
fn an_error_on_either_side_counts_once() {
    let timed_out = vec![
        failed(span("shop", SpanKind::Client, 1, 2, 0)),
        span("cart", SpanKind::Server, 1, 3, 2),
    ];
    assert_eq!(calls(&graph(timed_out)), [("shop", "cart", 1, 1, 0)]);
    let both = vec![
        failed(span("shop", SpanKind::Client, 1, 2, 0)),
        failed(span("cart", SpanKind::Server, 1, 3, 2)),
    ];
    assert_eq!(calls(&graph(both)), [("shop", "cart", 1, 1, 0)]);
    // Other work of the caller is not part of the call.
    let other = vec![
        failed(span("shop", SpanKind::Server, 1, 2, 0)),
        span("cart", SpanKind::Server, 1, 3, 2),
    ];
    assert_eq!(calls(&graph(other)), [("shop", "cart", 1, 0, 0)]);
}

#[test]
fn a_consumer_is_called_by_the_producer_that_it_links_to() {
    let link = |trace: u128, id: u64| SpanLink {
        trace_id: trace.into(),
        span_id: id.into(),
        ..SpanLink::default()
    };
    let kafka: &[(&str, Value)] = &[("messaging.system", "kafka".into())];
    let batch = span("mailer", SpanKind::Consumer, 3, 5, 4)
        .to_builder()
        .links(&[link(1, 2), link(2, 2), link(1, 2), link(9, 9), link(0, 0)])
        .build();
    let graph = graph(vec![
        with(span("shop", SpanKind::Producer, 1, 2, 0), kafka),
        with(span("stock", SpanKind::Producer, 2, 2, 0), kafka),
        with(span("stock", SpanKind::Producer, 4, 2, 0), kafka),
        span("mailer", SpanKind::Internal, 3, 4, 0),
        batch,
        // The consumer links to its own parent: this is one message.
        span("audit", SpanKind::Consumer, 4, 6, 2).to_builder().links(&[link(4, 2)]).build(),
    ]);
    let expected =
        [("shop", "mailer", 1, 0, 0), ("stock", "audit", 1, 0, 0), ("stock", "mailer", 1, 0, 0)];
    assert_eq!(calls(&graph), expected);
    assert_eq!(graph.services.len(), 4, "no virtual node");
}

#[test]
fn services_of_one_name_in_two_namespaces_are_two() {
    let graph = graph(vec![
        in_namespace("blue", "cart", SpanKind::Client, 1, 2, 0),
        in_namespace("green", "cart", SpanKind::Server, 1, 3, 2),
    ]);
    let nodes: Vec<(&str, &str)> =
        graph.services.iter().map(|node| (&*node.namespace, &*node.service)).collect();
    assert_eq!(nodes, [("blue", "cart"), ("green", "cart")]);
    let call = &graph.calls[0];
    assert_eq!(
        (&*call.caller_namespace, &*call.callee_namespace, call.calls),
        ("blue", "green", 1)
    );
}

#[test]
fn a_call_without_known_times_has_no_duration() {
    let unknown = span("cart", SpanKind::Server, 2, 3, 2).to_builder().start_unix_nanos(0).build();
    let graph = graph(vec![
        span("shop", SpanKind::Client, 1, 2, 0),
        span("cart", SpanKind::Server, 1, 3, 2),
        span("shop", SpanKind::Client, 2, 2, 0),
        unknown,
    ]);
    assert_eq!((graph.calls[0].calls, &graph.calls[0].durations[..]), (2, &[20][..]));
}
