//! Arrival order across shards, and the shards' use of the capacity.

mod support;

use slipring::error::Rejection;
use slipring::{OnFull, Store};
use support::{Census, Counted};

#[test]
fn each_threads_order_is_kept_over_shards() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(40_000).shards(4).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (store, census) = (&store, &census);
            scope.spawn(move || {
                (0..3_000).for_each(|number| {
                    store.push(Counted::new(census, thread, number)).unwrap();
                })
            });
        }
    });
    for thread in 0..3u64 {
        let answer = store.query().key("key", thread).collect().unwrap();
        assert!(answer.iter().map(|record| record.number).eq((0..3_000).rev()));
        let newest = store.query().key("key", thread).limit(10).collect().unwrap();
        assert!(newest.iter().map(|record| record.number).eq((2_990..3_000).rev()));
    }
}

#[test]
fn one_producer_fills_all_shards_evenly() {
    let census = Census::new();
    let store: Store<Counted> =
        Store::builder().capacity(8_000).shards(4).manual().build().unwrap();
    for number in 0..20_000 {
        store.push(Counted::new(&census, 1, number)).unwrap();
    }
    assert_eq!(store.len(), 8_000);
    let answer = store.query().key("key", 1u64).collect().unwrap();
    let oldest = answer.records.last().unwrap().number;
    // Each shard keeps the newest quarter of its records. Runs of 50, a few for each of the other
    // shards, make up the difference.
    assert!(oldest >= 12_000 - 3 * 3 * 50, "{oldest}");
    assert!(answer.iter().map(|record| record.number).is_sorted_by(|a, b| a > b));
}

#[test]
fn a_push_into_a_full_ring_returns_the_record() {
    let census = Census::new();
    let builder =
        Store::<Counted>::builder().capacity(2).shards(1).slack(1).spare_slots(0).manual();
    let store = builder.on_full(OnFull::Reject).build().unwrap();
    let first = store.push(Counted::new(&census, 1, 0)).unwrap();
    let refused = store.visit(first, |_| {
        std::thread::scope(|scope| {
            let pushes = scope.spawn(|| {
                store.push(Counted::new(&census, 1, 1)).unwrap();
                store.push(Counted::new(&census, 1, 2)).unwrap();
                // The visit pins the first record's slot, and there are only three slots.
                let one = store.push(Counted::new(&census, 1, 3)).unwrap_err();
                let batch = store
                    .push_batch(vec![Counted::new(&census, 1, 4), Counted::new(&census, 1, 5)])
                    .unwrap_err();
                assert_eq!(
                    (batch.accepted, batch.rejected.len(), batch.reason),
                    (0, 2, Rejection::Full)
                );
                one
            });
            pushes.join().unwrap()
        })
    });
    let refused = refused.unwrap();
    assert_eq!(refused.reason, Rejection::Full);
    assert_eq!(store.stats().rejected.full, 3);
    assert_eq!(store.stats().waits, 0);
    store.push(refused.into_record()).unwrap();
    store.flush().unwrap();
    store.audit().unwrap();
}

#[test]
fn a_waiting_push_goes_on_when_the_reader_leaves() {
    let census = Census::new();
    for manual in [true, false] {
        let builder = Store::<Counted>::builder().capacity(2).shards(1).slack(1).spare_slots(0);
        let store = if manual { builder.manual() } else { builder }.build().unwrap();
        let first = store.push(Counted::new(&census, 1, 0)).unwrap();
        std::thread::scope(|scope| {
            let (ready, go) = std::sync::mpsc::channel();
            let store = &store;
            scope.spawn(move || {
                store.visit(first, |_| {
                    ready.send(()).unwrap();
                    while store.stats().waits == 0 {
                        std::thread::yield_now();
                    }
                })
            });
            go.recv().unwrap();
            for number in 1..20 {
                store.push(Counted::new(&census, 1, number)).unwrap();
            }
        });
        assert_eq!(store.len(), 2);
        assert!(store.stats().waits >= 1);
    }
}

#[test]
fn extend_takes_any_iterator() {
    let census = Census::new();
    let mut store: Store<Counted> =
        Store::builder().capacity(1_000).shards(1).manual().build().unwrap();
    store.extend((0..2_500).map(|number| Counted::new(&census, 7, number)));
    assert_eq!(store.len(), 1_000);
    assert_eq!(store.query().key("key", 7u64).count().unwrap(), 1_000);
    assert_eq!(store.query().key("number", 2_499u64).count().unwrap(), 1);
    assert!(
        store.query().key("colour", 1u64).count().unwrap_err().to_string().contains("\"number\"")
    );
    assert_eq!(store.query().count().unwrap(), 1_000);
    assert!(store.query().key("key", 7u64).limit(0).collect().unwrap().is_empty());
}

#[test]
fn only_records_that_are_too_large_are_returned() {
    use slipring::error::Rejection;
    use slipring::{LogRecord, Signal as _};

    let own = size_of::<LogRecord>();
    let log = |bytes: usize| LogRecord::builder().event_name("x".repeat(bytes)).build();
    // The size of the encoded record.
    let size = |bytes: usize| own + log(bytes).heap_bytes();
    let logs: Store<LogRecord> =
        Store::builder().capacity(100).max_record_bytes(size(10)).manual().build().unwrap();
    let reason =
        |bytes: usize| Rejection::TooLarge { bytes: size(bytes) as u64, most: size(10) as u64 };
    assert!(logs.push(log(10)).is_ok());
    let refused = logs.try_push(log(11)).unwrap_err();
    assert_eq!((refused.reason, refused.record.event_name().len()), (reason(11), 11));
    // Records of both sizes in a batch that takes several chunks.
    let refused = logs.push_batch(
        (0..60).map(|number| log(if number % 20 == 19 { 12 + number } else { 3 })).collect(),
    );
    let refused = refused.unwrap_err();
    assert_eq!((refused.accepted, refused.rejected.len(), refused.reason), (57, 3, reason(71)));
    assert!(refused.rejected.iter().all(|log| log.event_name().len() > 10));
    let stats = logs.stats();
    assert_eq!(
        (stats.count, stats.rejected.too_large, stats.rejected.total(), stats.offered),
        (58, 4, 4, 62)
    );
}
