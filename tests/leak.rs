//! The test of the design that slipring replaces, in its own terms: its ring overwrote records while its index maps kept
//! pointing at them.

use slipring::{Key, KeyBuf, Signal, Store};

#[derive(Clone, Debug, PartialEq)]
struct Record {
    trace: &'static str,
    service: &'static str,
}

impl Signal for Record {
    const NAME: &'static str = "span";
    type Indexes = [&'static str; 2];
    const INDEXES: Self::Indexes = ["trace", "service"];

    fn key(&self, index: usize) -> Option<Key<'_>> {
        Some(Key::Text(if index == 0 { self.trace } else { self.service }))
    }

    fn timestamp(&self) -> u64 {
        0
    }
}

fn record(trace: &'static str, service: &'static str) -> Record {
    Record { trace, service }
}

#[test]
fn the_fourth_of_three_evicts_the_first_from_every_index() {
    let store = Store::builder().capacity(3).shards(1).build().unwrap();
    let count = |index, key: &'static str| store.query().key(index, key).count().unwrap();
    store.push(record("trace1", "svc1")).unwrap();
    store.push(record("trace2", "svc1")).unwrap();
    store.push(record("trace3", "svc2")).unwrap();
    assert_eq!((count("trace", "trace1"), count("service", "svc1"), count("service", "svc2")), (1, 2, 1));

    store.push(record("trace4", "svc2")).unwrap();
    assert_eq!((count("trace", "trace1"), count("service", "svc1"), count("service", "svc2")), (0, 1, 2));
    assert_eq!(store.len(), 3);

    store.flush().unwrap();
    assert_eq!((count("trace", "trace1"), count("service", "svc1"), count("service", "svc2")), (0, 1, 2));
    store.audit().unwrap();
}

#[test]
fn ten_wraps_later_every_index_has_the_bytes_it_had_after_one() {
    let store = Store::builder().capacity(3).shards(1).build().unwrap();
    let wrap = || {
        for trace in ["trace1", "trace2", "trace3"] {
            store.push(record(trace, "svc1")).unwrap();
        }
        store.flush().unwrap();
        let stats = store.stats();
        (stats.indexes, stats.index_memory_bytes, stats.total_memory_bytes, stats.count)
    };
    let after_one = wrap();
    for _ in 0..10 {
        assert_eq!(wrap(), after_one);
    }
    store.audit().unwrap();
}

#[test]
fn a_service_that_was_evicted_is_gone_from_the_list() {
    let store = Store::builder().capacity(3).shards(1).build().unwrap();
    store.push(record("trace1", "rare")).unwrap();
    let listed = |name: &str| store.keys("service").unwrap().iter().any(|count| count.key == KeyBuf::Text(name.into()));
    assert!(listed("rare"));
    for _ in 0..3 {
        store.push(record("trace2", "common")).unwrap();
    }
    assert!(!listed("rare"));
    assert!(listed("common"));
    assert_eq!(store.stats().index("service").unwrap().entries, 1);
}
