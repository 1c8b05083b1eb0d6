//! The regression that slipring was built to avoid: in the design that it replaces, the ring
//! overwrote records while the index maps kept pointing at them.

use slipring::{KeyBuf, Resource, Scope, Source, Span, Store, TraceId};

fn span(trace: u64, service: &str) -> Span {
    let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
    Span::builder().source(&source).trace_id(TraceId::from(u128::from(trace))).build()
}

fn three() -> Store<Span> {
    Store::builder().capacity(3).shards(1).build().unwrap()
}

/// Returns the numbers of spans of trace1, svc1 and svc2.
fn found(store: &Store<Span>) -> (usize, usize, usize) {
    let of = |service: &str| store.query().key("service", service).count().unwrap();
    (store.query().key("trace", TraceId::from(1)).count().unwrap(), of("svc1"), of("svc2"))
}

#[test]
fn a_fourth_record_evicts_the_first_of_three_from_every_index() {
    let store = three();
    store.push(span(1, "svc1")).unwrap();
    store.push(span(2, "svc1")).unwrap();
    store.push(span(3, "svc2")).unwrap();
    assert_eq!(found(&store), (1, 2, 1));

    store.push(span(4, "svc2")).unwrap();
    assert_eq!(found(&store), (0, 1, 2));
    assert_eq!(store.len(), 3);

    store.flush().unwrap();
    assert_eq!(found(&store), (0, 1, 2));
    store.audit().unwrap();
}

#[test]
fn indexes_take_as_many_bytes_after_ten_wraps_as_after_one() {
    let store = three();
    let wrap = || {
        (1..=3).for_each(|trace| {
            store.push(span(trace, "svc1")).unwrap();
        });
        store.flush().unwrap();
        let stats = store.stats();
        (stats.indexes, stats.index_memory_bytes, stats.count)
    };
    let after_one = wrap();
    for _ in 0..10 {
        assert_eq!(wrap(), after_one);
    }
    store.audit().unwrap();
}

#[test]
fn an_evicted_service_is_not_listed() {
    let store = three();
    let listed = |service: &str| {
        let services = store.key_counts("service").unwrap();
        services.iter().any(|count| count.key == KeyBuf::Text(service.into()))
    };
    store.push(span(1, "rare")).unwrap();
    assert!(listed("rare"));
    (0..3).for_each(|_| {
        store.push(span(2, "common")).unwrap();
    });
    assert!(!listed("rare"));
    assert!(listed("common"));
    assert_eq!(store.stats().index("service").unwrap().entries, 1);
}
