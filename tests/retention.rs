//! Retention by bytes, by age and by class, with concurrent threads.

mod support;

use slipring::attribute::{Attributes, KeyValue};
use slipring::error::Rejection;
use slipring::span::StatusCode;
use slipring::store::EvictReason;
use slipring::{
    Index, LogRecord, OnFull, Resource, Scope, Severity, Signal, Source, Span, Store, Telemetry,
    TraceId, Value,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Census, Counted};

fn log(bytes: usize) -> LogRecord {
    LogRecord::builder().body(&"x".repeat(bytes)).build()
}

/// The bytes of all live blobs.
static ALIVE: AtomicU64 = AtomicU64::new(0);

struct Blob(Box<[u8]>);

impl Blob {
    fn new(bytes: usize) -> Self {
        ALIVE.fetch_add(bytes as u64, Ordering::SeqCst);
        Self(vec![0; bytes].into())
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        ALIVE.fetch_sub(self.0.len() as u64, Ordering::SeqCst);
    }
}

impl Signal for Blob {
    const NAME: &'static str = "blob";
    type Indexes = [Index<Self>; 0];
    const INDEXES: Self::Indexes = [];

    fn timestamp(&self) -> u64 {
        0
    }

    fn heap_bytes(&self) -> usize {
        self.0.len()
    }
}

#[test]
fn bytes_are_bounded_at_every_moment() {
    const MOST: usize = 400_000;
    const LARGEST: usize = 20_000;
    const PRODUCERS: usize = 3;
    // A quarter more slots, one record beyond that, and the records that producers are pushing.
    const ALIVE_MOST: usize = MOST + MOST / 4 + LARGEST + PRODUCERS * 2 * LARGEST;
    for on_full in [OnFull::Wait, OnFull::Reject] {
        let builder = Store::builder().capacity(5_000).shards(2).max_bytes(MOST).on_full(on_full);
        let store: Store<Blob> = builder.build().unwrap();
        let done = AtomicBool::new(false);
        let refused = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|thread| {
                    let (store, refused) = (&store, &refused);
                    scope.spawn(move || {
                        for number in 0..4_000 {
                            let bytes = (number * 7_919 + thread) % LARGEST;
                            let pushed = if number % 3 == 0 {
                                store
                                    .push_batch([bytes, bytes / 2, 3].map(Blob::new).into())
                                    .map_err(|e| e.rejected.len())
                            } else {
                                store.push(Blob::new(bytes)).map(|_| 1).map_err(|_| 1)
                            };
                            refused.fetch_add(pushed.err().unwrap_or(0) as u64, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(ALIVE.load(Ordering::SeqCst) as usize <= ALIVE_MOST);
                    std::thread::yield_now();
                }
            });
            producers.into_iter().for_each(|producer| producer.join().unwrap());
            done.store(true, Ordering::Relaxed);
        });
        store.flush().unwrap();
        let stats = store.stats();
        let slots = stats.count as usize * size_of::<Blob>();
        assert_eq!(stats.rejected.total(), refused.load(Ordering::Relaxed));
        assert!(on_full == OnFull::Reject || stats.rejected.total() == 0);
        assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
        assert!(stats.evicted.bytes > 0);
        let mut kept = 0;
        store.query().for_each(|_, blob| kept += blob.heap_bytes()).unwrap();
        assert!(slots + kept <= MOST, "{slots} + {kept}");
        assert!(
            slots + kept + 2 * LARGEST > MOST,
            "more records were evicted than necessary: {slots} + {kept}"
        );
        store.audit().unwrap();
        store.shutdown().unwrap();
        assert_eq!(ALIVE.load(Ordering::SeqCst), 0);
    }
}

/// The bytes reserved for a push that finds no slot, or for the rejected part of a batch, are
/// released.
#[test]
fn the_bytes_of_refused_records_are_released() {
    let census = Census::new();
    let each = size_of::<Counted>();
    let builder = Store::builder()
        .capacity(4)
        .slack(4)
        .shards(1)
        .spare_slots(0)
        .max_bytes(4 * each)
        .on_full(OnFull::Reject)
        .manual();
    let store: Store<Counted> = builder.build().unwrap();
    let fill = || {
        let records = (0..20).map(|number| Counted::new(&census, number, number)).collect();
        store.push_batch(records).unwrap_or_else(|error| error.accepted)
    };
    let first = store.push(Counted::new(&census, 0, 0)).unwrap();
    let taken = store.visit(first, |_| fill()).unwrap();
    assert_eq!(taken, 4, "four records fit beside the visited one");
    for round in 0..100 {
        store.clear();
        while store.step() {}
        assert_eq!(census.alive(), 0, "round {round}");
        let first = store.push(Counted::new(&census, 0, 0)).unwrap();
        assert_eq!(store.visit(first, |_| fill()).unwrap(), taken, "round {round}");
    }
}

#[test]
fn bytes_of_shared_parts_are_bounded_too() {
    const MOST: usize = 1_000_000;
    const PART: usize = 50_000;
    let logs: Store<LogRecord> =
        Store::builder().capacity(1_000).shards(2).max_bytes(MOST).build().unwrap();
    let bare = logs.stats().data_memory_bytes;
    let of_one_resource = || {
        let attribute =
            KeyValue { key: "large".into(), value: Value::Text("x".repeat(PART).into()) };
        let source =
            Source::new(&Resource::new(Attributes::from(vec![attribute])), &Scope::default());
        let log = LogRecord::builder().source(&source).build();
        logs.push_batch(vec![log; 3]).unwrap();
    };
    let shared = || logs.stats().data_memory_bytes - bare;
    (0..500).for_each(|_| of_one_resource());
    let deadline = Instant::now() + Duration::from_secs(20);
    while shared() > MOST as u64 {
        assert!(Instant::now() < deadline, "{} bytes are shared", shared());
        std::thread::sleep(Duration::from_millis(1));
    }
    // Few more records were evicted than necessary.
    let kept = logs.len();
    assert!((3 * MOST / PART / 3..=3 * MOST / PART).contains(&kept), "{kept}");
    assert_eq!(logs.stats().evicted.total(), 1_500 - kept as u64);
}

#[test]
fn a_record_too_large_for_its_share_is_refused() {
    let store: Store<LogRecord> =
        Store::builder().capacity(100).shards(2).max_bytes(100_000).build().unwrap();
    let refused = store.push(log(60_000)).unwrap_err();
    assert!(
        matches!(refused.reason, Rejection::TooLarge { most: 50_000, .. }),
        "{:?}",
        refused.reason
    );
    store.push(log(40_000)).unwrap();
    assert_eq!(store.stats().rejected.too_large, 1);
}

#[test]
fn a_push_beyond_the_byte_limit_waits_for_bytes() {
    let store: Store<LogRecord> =
        Store::builder().capacity(100).shards(1).spare_slots(0).max_bytes(100_000).build().unwrap();
    let first = store.push(log(90_000)).unwrap();
    let pushed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        store
            .visit(first, |_| {
                scope.spawn(|| {
                    for _ in 0..3 {
                        store.push(log(90_000)).unwrap();
                        pushed.fetch_add(1, Ordering::SeqCst);
                    }
                });
                while store.stats().waits == 0 {
                    std::thread::yield_now();
                }
                assert_eq!(
                    pushed.load(Ordering::SeqCst),
                    1,
                    "a push was admitted before the visit ended"
                );
            })
            .unwrap();
    });
    assert_eq!(pushed.load(Ordering::SeqCst), 3);
    store.flush().unwrap();
    assert_eq!(store.len(), 1);
}

#[test]
fn old_records_are_evicted_without_new_pushes() {
    const AGE: Duration = Duration::from_millis(30);
    let store: Store<LogRecord> = Store::builder().capacity(1_000).max_age(AGE).build().unwrap();
    let evictions = store.evictions(10).unwrap();
    for round in 1..=3 {
        let pushed = Instant::now();
        store.push(log(10)).unwrap();
        let gone =
            evictions.recv_timeout(Duration::from_secs(20)).unwrap().expect("the store is open");
        assert!(pushed.elapsed() >= AGE);
        assert_eq!(gone.reason, EvictReason::Age);
        assert!(store.is_empty());
        assert_eq!(store.stats().evicted.age, round);
    }
    // The thread sleeps until there is work again.
    store.shutdown().unwrap();
}

#[test]
fn a_steady_stream_is_held_for_the_maximum_age() {
    let quarter = Duration::from_secs(15);
    let builder = Store::builder().capacity(1_000).shards(1).max_age(4 * quarter).manual();
    let store: Store<LogRecord> = builder.build().unwrap();
    let start = Instant::now();
    for number in 0..100 {
        store.push(LogRecord::builder().time_unix_nanos(number).build()).unwrap();
        store.step_at(|| start + quarter * number as u32);
        let there: Vec<u64> = store
            .query()
            .collect()
            .unwrap()
            .iter()
            .map(|record| record.time_unix_nanos())
            .collect();
        assert!(there.iter().copied().eq((0..=number).rev().take(4)), "{number}: {there:?}");
    }
}

/// A record that arrives after the clock was read is not filed under the time that was read.
#[test]
fn no_record_is_evicted_too_early() {
    let (age, late) = (Duration::from_secs(10), Duration::from_secs(1));
    let store: Store<LogRecord> =
        Store::builder().capacity(100).max_age(age).manual().build().unwrap();
    let start = Instant::now();
    let looks = AtomicU64::new(0);
    store.step_at(|| {
        // A second passes between this reading of the clock and the next, and a push happens in it.
        let look = looks.fetch_add(1, Ordering::Relaxed);
        if look == 0 {
            store.push(log(1)).unwrap();
        }
        start + late * u32::from(look > 0)
    });
    store.step_at(|| start + age);
    assert_eq!(store.len(), 1, "a record was evicted a second too early");
    store.step_at(|| start + age + late);
    assert_eq!(store.len(), 0);
}

#[test]
fn errors_outlive_a_flood_of_other_records() {
    let store: Store<Span> =
        Store::builder().capacity(5_000).shards(4).error_class(500).build().unwrap();
    let failed = AtomicU64::new(0);
    let lost = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..3u64 {
            let (store, failed) = (&store, &failed);
            scope.spawn(move || {
                for number in 0..40_000u64 {
                    let fails = number % 300 == 7;
                    failed.fetch_add(u64::from(fails), Ordering::Relaxed);
                    let code = if fails { StatusCode::Error } else { StatusCode::Ok };
                    let trace_id = TraceId::from(u128::from(thread + 1));
                    let span = Span::builder()
                        .trace_id(trace_id)
                        .start_unix_nanos(number)
                        .status(code, "")
                        .build();
                    store.push(span).unwrap();
                }
            });
        }
        // Each thread's spans keep their order across the classes, at every moment.
        scope.spawn(|| {
            for _ in 0..200 {
                for thread in 1..=3u64 {
                    let trace = store
                        .query()
                        .key("trace", TraceId::from(u128::from(thread)))
                        .collect()
                        .unwrap();
                    if !trace
                        .iter()
                        .is_sorted_by(|a, b| a.start_unix_nanos() > b.start_unix_nanos())
                    {
                        lost.lock().unwrap().push(thread);
                    }
                }
            }
        });
    });
    assert!(lost.into_inner().unwrap().is_empty(), "out of order");
    let failed = failed.into_inner();
    assert_eq!(
        store.query().status(StatusCode::Error).count().unwrap() as u64,
        failed,
        "none of {failed} was pushed out"
    );
    store.flush().unwrap();
    let stats = store.stats();
    let class = stats.class.unwrap();
    assert_eq!((class.capacity, class.count, class.evicted.total()), (500, failed, 0));
    assert_eq!((stats.capacity, stats.count), (5_000, 4_500 + failed));
    store.audit().unwrap();
}

#[test]
fn telemetry_passes_retention_settings_to_its_stores() {
    let logs = Store::builder().capacity(10).error_class(5).max_bytes(100_000).build().unwrap();
    let telemetry =
        Telemetry::new(Store::builder().build().unwrap(), logs, Store::builder().build().unwrap());
    telemetry.logs().push(LogRecord::builder().severity(Severity::FATAL).build()).unwrap();
    assert_eq!(telemetry.stats().logs.class.unwrap().count, 1);
    let telemetry = Telemetry::builder().max_age(Duration::from_millis(20)).build().unwrap();
    telemetry.logs().push(LogRecord::default()).unwrap();
    telemetry.traces().push(Span::default()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !(telemetry.logs().is_empty() && telemetry.traces().is_empty()) {
        assert!(Instant::now() < deadline, "{:?}", telemetry.stats());
        std::thread::sleep(Duration::from_millis(2));
    }
}
