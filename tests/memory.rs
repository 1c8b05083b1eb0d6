//! Memory: the statistics agree with the allocator, a push allocates nothing, and no memory is
//! leaked.
//!
//! The tests run one at a time, because the counting allocator belongs to the whole process.

use shop::Shop;
use shop::fixed::{FixedLogs, FixedSpans};
use slipring::store::Stats;
use slipring::{Index, Key, LogRecord, MetricPoint, Signal, Span, Store};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

struct Counting;

thread_local! {
    /// The number of allocations by this thread.
    static OWN: Cell<u64> = const { Cell::new(0) };
}

static BYTES: AtomicU64 = AtomicU64::new(0);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every method forwards to the system's allocator. The counters do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as u64, SeqCst);
        ALLOCATIONS.fetch_add(1, SeqCst);
        OWN.set(OWN.get() + 1);
        // SAFETY: the caller keeps the contract of the system's allocator, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as u64, SeqCst);
        ALLOCATIONS.fetch_add(1, SeqCst);
        OWN.set(OWN.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as u64, SeqCst);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn within(stats: &Stats, allocated: u64, what: &str) {
    let said = stats.total_memory_bytes as f64;
    let off = (said - allocated as f64).abs() / allocated as f64;
    assert!(off < 0.05, "{what}: {said} said, {allocated} allocated, {:.1} % off", off * 100.0);
}

/// Fills a store to its capacity and far beyond, and compares the statistics with the allocator
/// each time. Each round has its own shop, which is dropped before the bytes are counted, so that
/// only the store holds what records share.
fn statistics_agree<T: Signal>(capacity: usize, what: &str, make: impl Fn(&mut Shop) -> Vec<T>) {
    let before = BYTES.load(SeqCst);
    let store: Store<T> = Store::builder().capacity(capacity).manual().build().unwrap();
    within(&store.stats(), BYTES.load(SeqCst) - before, &format!("{what}, empty"));
    for round in 0..4 {
        let mut shop = Shop::new(round);
        let mut pushed = 0;
        while pushed < capacity + 100 {
            pushed += store.push_batch(make(&mut shop)).unwrap();
        }
        drop(shop);
        store.flush().unwrap();
        while store.step() {}
        within(&store.stats(), BYTES.load(SeqCst) - before, &format!("{what}, round {round}"));
    }
    // A clear frees the records, and what they shared.
    store.clear();
    store.flush().unwrap();
    while store.step() {}
    within(&store.stats(), BYTES.load(SeqCst) - before, &format!("{what}, cleared"));
    drop(store);
    // The thread's own registration with the collector, and a retired table or two that wait for
    // it.
    let left = BYTES.load(SeqCst) as i64 - before as i64;
    assert!(left < 256 * 1024, "{what}: {left} bytes are left");
}

fn a_push_allocates_nothing<T: Signal>(capacity: usize, records: impl Iterator<Item = T>) {
    let store: Store<T> = Store::builder().capacity(capacity).manual().build().unwrap();
    let records: Vec<T> = records.take(8 * capacity).collect();
    let mut records = records.into_iter();
    let push = |records: &mut std::vec::IntoIter<T>| {
        store.push(records.next().unwrap()).unwrap();
    };
    // By now, directories have reached their size, and threads have registered with the collector.
    (0..4 * capacity).for_each(|_| push(&mut records));
    let before = ALLOCATIONS.load(SeqCst);
    (0..2 * capacity).for_each(|_| push(&mut records));
    let grown = ALLOCATIONS.load(SeqCst) - before;
    // What remains are replaced tables and the bags in which they wait to be freed. Neither grows
    // with the number of pushes.
    assert!(grown * 100 < capacity as u64, "{grown} allocations in {} pushes", 2 * capacity);

    let threaded: Store<T> = Store::builder().capacity(capacity).build().unwrap();
    let record = records.next().unwrap();
    threaded.push(records.next().unwrap()).unwrap();
    threaded.flush().unwrap();
    // Counts this thread's allocations only: the indexer's thread registers with the collector when
    // it first has work.
    let before = OWN.get();
    threaded.push(record).unwrap();
    assert_eq!(OWN.get(), before, "a push allocates nothing");
}

/// Every record has a new key of any length, and the store's bytes stay constant.
fn cardinality_leaves_no_trace() {
    #[derive(Clone)]
    struct Named(Box<str>);
    impl Signal for Named {
        const NAME: &'static str = "named";
        type Indexes = [Index<Self>; 1];
        const INDEXES: Self::Indexes = [Index::new("name", |named| Some(Key::Text(&named.0)))];
        fn timestamp(&self) -> u64 {
            0
        }
        fn heap_bytes(&self) -> usize {
            self.0.len()
        }
    }
    let store: Store<Named> = Store::builder().capacity(2_000).shards(1).manual().build().unwrap();
    let push = |number: u64| {
        store.push(Named(format!("GET /user/{number:016}").into())).unwrap();
    };
    let settle = || {
        store.flush().unwrap();
        while store.step() {}
    };
    (0..20_000).for_each(push);
    settle();
    let (bytes, said) = (BYTES.load(SeqCst), store.stats().total_memory_bytes);
    (20_000..200_000).for_each(push);
    settle();
    let grown = BYTES.load(SeqCst) as i64 - bytes as i64;
    assert!(grown.abs() < 64 * 1024, "{grown} bytes more after 180,000 new keys");
    assert_eq!(store.stats().index("name").unwrap().entries, 2_000);
    assert!(store.stats().total_memory_bytes.abs_diff(said) < 64 * 1024);
}

fn stores_come_and_go() {
    let store = || {
        let store: Store<LogRecord> = Store::builder().capacity(1_000).build().unwrap();
        store.push(LogRecord::default()).unwrap();
        let _stream = store.evictions(10).unwrap();
        store
    };
    (0..10).for_each(|_| drop(store()));
    let before = BYTES.load(SeqCst);
    (0..100).for_each(|_| drop(store()));
    let left = BYTES.load(SeqCst) as i64 - before as i64;
    assert!(left < 64 * 1024, "{left} bytes are left of 100 stores");
}

/// Returns requests of 512 spans, encoded on a thread whose allocations are not counted.
#[cfg(feature = "otlp")]
fn requests(count: usize) -> Vec<bytes::Bytes> {
    use slipring::otlp::{Encoding, encode};
    let mut shop = Shop::new(7);
    let mut spans = Vec::new();
    while spans.len() < count * 512 {
        spans.extend(shop.trace());
    }
    spans
        .chunks_exact(512)
        .take(count)
        .map(|spans| encode(spans, Encoding::Protobuf).into_boxed_slice().into())
        .collect()
}

#[cfg(feature = "otlp")]
fn manual_telemetry(spans: usize) -> slipring::Telemetry {
    let traces = Store::builder().capacity(spans).manual().build().unwrap();
    let logs = Store::builder().capacity(1_000).manual().build().unwrap();
    slipring::Telemetry::new(
        traces,
        logs,
        Store::builder().capacity(1_000).manual().build().unwrap(),
    )
}

/// A request of 512 spans allocates for the request and for what its spans share, not for each
/// span.
#[cfg(feature = "otlp")]
fn a_span_on_the_way_in_allocates_hardly_anything() {
    use slipring::otlp::{Encoding, Kind};
    let telemetry = slipring::Telemetry::builder().traces(10_000).build().unwrap();
    let take = |bodies: Vec<bytes::Bytes>| {
        for body in bodies {
            assert!(telemetry.ingest(Kind::Traces, Encoding::Protobuf, body).unwrap().is_empty());
        }
        telemetry.traces().flush().unwrap();
    };
    let mut bodies = requests(200);
    let counted = bodies.split_off(100);
    take(bodies);
    let before = ALLOCATIONS.load(SeqCst);
    take(counted);
    // The engine's allocations are included: it moves evicted records out of their slots into a
    // list, at most once for every sixteen that are pushed.
    let each = (ALLOCATIONS.load(SeqCst) - before) as f64 / (100.0 * 512.0);
    println!("{each:.4} allocations a span");
    assert!(each < 1.0 / 16.0 + 0.02, "{each:.4} allocations a span");
}

/// For records that are ranges of requests, the statistics agree with the allocator.
#[cfg(feature = "otlp")]
fn requests_are_counted_as_they_are_held() {
    use slipring::otlp::{Encoding, Kind};
    let before = BYTES.load(SeqCst);
    let telemetry = manual_telemetry(10_000);
    for round in 0..4 {
        for body in requests(30) {
            telemetry.ingest(Kind::Traces, Encoding::Protobuf, body).unwrap();
        }
        telemetry.traces().flush().unwrap();
        while telemetry.traces().step() {}
        let said =
            [telemetry.traces().stats(), telemetry.logs().stats(), telemetry.metrics().stats()];
        let said: u64 = said.iter().map(|stats| stats.total_memory_bytes).sum();
        let allocated = BYTES.load(SeqCst) - before;
        let off = said.abs_diff(allocated) as f64 / allocated as f64;
        println!("{round}: {said} said, {allocated} allocated");
        assert!(off < 0.05, "{said} said, {allocated} allocated, {:.1} % off", off * 100.0);
    }
}

/// The stores are large compared with this thread's open chunks, which belong to no store.
#[test]
fn statistics_agree_with_the_allocator() {
    statistics_agree::<Span>(8_000, "spans", Shop::trace);
    statistics_agree::<LogRecord>(10_000, "logs", |shop| shop.request().logs);
    statistics_agree::<MetricPoint>(20_000, "metrics", Shop::metrics);
    a_push_allocates_nothing(4_000, FixedSpans::new(1));
    a_push_allocates_nothing(20_000, FixedLogs::new(1));
    #[cfg(feature = "otlp")]
    a_span_on_the_way_in_allocates_hardly_anything();
    #[cfg(feature = "otlp")]
    requests_are_counted_as_they_are_held();
    cardinality_leaves_no_trace();
    stores_come_and_go();
}
