//! Runs threads of every kind at once for some seconds (`SLIPRING_STRESS_SECONDS`), then checks
//! that each record is accounted for and that the audit finds no breach.

mod support;

use slipring::{OnFull, Store};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Census, Counted};

fn seconds() -> Duration {
    let seconds = std::env::var("SLIPRING_STRESS_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(2.0))
}

fn stress(store: &Store<Counted>, hooked: bool) {
    let census = Census::new();
    let stop = AtomicBool::new(false);
    let (handed_back, streamed) = (AtomicU64::new(0), AtomicU64::new(0));
    let seen = std::sync::Arc::new(AtomicU64::new(0));
    if hooked {
        let seen = std::sync::Arc::clone(&seen);
        store.on_evict(move |_, record, _| {
            assert_eq!(record.number % 7, record.key);
            seen.fetch_add(1, Ordering::Relaxed);
        });
    }
    let running = || !stop.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for thread in 0..3u64 {
            let (census, handed_back, store) = (&census, &handed_back, &store);
            scope.spawn(move || {
                let mut number = thread << 40;
                while running() {
                    number += 1;
                    let record = || Counted::new(census, number % 7, number);
                    let refused = match number % 50 {
                        0 => store
                            .push_batch((0..20).map(|_| record()).collect())
                            .map_or_else(|e| e.rejected.len(), |_| 0),
                        1 => usize::from(store.try_push(record()).is_err()),
                        _ => usize::from(store.push(record()).is_err()),
                    };
                    handed_back.fetch_add(refused as u64, Ordering::Relaxed);
                }
            });
        }
        for reader in 0..2u64 {
            scope.spawn(move || {
                let mut key = reader;
                while running() {
                    key = (key + 1) % 7;
                    let answer = store.query().key("key", key).limit(50).collect().unwrap();
                    assert!(
                        answer.iter().all(|record| record.key == key && record.number % 7 == key)
                    );
                    for (position, record) in answer.positions.iter().zip(&answer.records) {
                        if let Ok(found) = store.get(*position) {
                            assert_eq!(
                                found.number, record.number,
                                "a position never means another record"
                            );
                        }
                    }
                    assert!(store.len() <= store.capacity());
                    assert!(store.key_counts("key").unwrap().len() <= 7);
                }
            });
        }
        scope.spawn(|| {
            let mut rounds = 0;
            while running() {
                rounds += 1;
                if let Ok(stream) = store.evictions(100) {
                    std::thread::sleep(Duration::from_millis(3));
                    let records = std::iter::from_fn(|| stream.try_recv())
                        .map(|evicted| evicted.record.number % 7);
                    streamed.fetch_add(
                        records.filter(|key| *key < 7).count() as u64,
                        Ordering::Relaxed,
                    );
                }
                store.audit().unwrap();
                store.flush().unwrap();
                let stats = store.stats();
                assert_eq!(
                    stats.offered,
                    stats.count + stats.evicted.total() + stats.rejected.total()
                );
                if rounds % 8 == 1 {
                    store.clear();
                }
            }
        });
        // On a busy machine, it takes longer until everything has happened once.
        let all_happened = || {
            let evicted = store.stats().evicted;
            let streamed = streamed.load(Ordering::Relaxed) > 0;
            streamed
                && evicted.capacity > 0
                && evicted.cleared > 0
                && (!hooked || seen.load(Ordering::Relaxed) > 0)
        };
        let (until, at_last) =
            (Instant::now() + seconds(), Instant::now() + Duration::from_secs(120));
        while Instant::now() < until || !all_happened() && Instant::now() < at_last {
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
    });
    store.flush().unwrap();
    store.audit().unwrap();
    let stats = store.stats();
    assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
    assert_eq!(stats.rejected.total(), handed_back.load(Ordering::Relaxed));
    assert_eq!(stats.caught_panics, 0);
    assert!(stats.evicted.capacity > 0 && stats.evicted.cleared > 0, "{stats:?}");
    let visible: usize = (0..7u64).map(|key| store.query().key("key", key).count().unwrap()).sum();
    assert_eq!(visible as u64, stats.count);
    store.shutdown().unwrap();
    assert_eq!(census.alive(), 0, "every record was dropped once");
    assert!(!hooked || seen.load(Ordering::Relaxed) > 0);
    assert!(streamed.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_small_ring_under_every_kind_of_load() {
    let store = Store::builder().capacity(300).shards(3).slack(40).build().unwrap();
    stress(&store, false);
}

#[test]
fn a_ring_with_hooks_that_rejects() {
    let store = Store::builder().capacity(5_000).shards(2).on_full(OnFull::Reject).build().unwrap();
    stress(&store, true);
}

#[test]
fn a_ring_without_a_thread_and_with_colliding_fingerprints() {
    let store =
        Store::builder().capacity(500).shards(1).manual().fingerprint_bits(4).build().unwrap();
    stress(&store, false);
}
