//! Eviction by bytes, by age or by a clear, before the capacity requires it. The eviction is
//! counted, every hook is told the reason under which it is counted, and a producer that waits for
//! bytes is woken.

use loom::sync::Mutex;
use loom::thread;
use slipring::store::EvictReason;
use slipring_loom_tests::{
    LIVELOCK, Record, assert_caught, explore, lookup, push_a_third_record, push_without_room, small,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BYTES: usize = size_of::<Record>();

#[test]
fn a_producer_that_waits_for_bytes_is_woken() {
    explore("bytes", 2, || {
        let store = small(4, 1).max_bytes(BYTES).build().unwrap();
        push_without_room(&store, |store, record| store.push(record).map(drop).unwrap());
    });
}

/// The only record of a key is evicted for its bytes while a reader is on its way to it.
#[test]
fn a_record_evicted_for_its_bytes_is_shown_or_counted() {
    explore("cut by bytes", 1, || {
        let store = small(4, 1).max_bytes(2 * BYTES).build().unwrap();
        let other = push_a_third_record(&store);
        let news = store.query().since(&store.beginning()).key("key", 1u64);
        let report = news.for_each(|_, record| record.check()).unwrap();
        assert_eq!(report.shown + report.missed, 1, "neither shown nor counted");
        other.join().unwrap();
        store.flush().unwrap();
        assert_eq!([1, 2, 3].map(|key| lookup(&store, key).len()), [0, 1, 1]);
        store.audit().unwrap();
    });
}

/// Records are evicted by capacity, by age and by a clear at the same time. Hooks are told the
/// reason under which each is counted.
#[test]
fn hooks_are_told_the_reason_that_is_counted() {
    explore("reasons", 2, || {
        let store = small(1, 2).max_age(Duration::from_secs(1)).build().unwrap();
        let reasons = Arc::new(Mutex::new(Vec::new()));
        let hook_reasons = Arc::clone(&reasons);
        store.on_evict(move |_, record: &Record, reason| {
            record.check();
            hook_reasons.lock().unwrap().push(reason);
        });
        let start = Instant::now();
        store.push(Record::new(1, 0)).unwrap();
        store.step_at(|| start);
        let others = [
            {
                let store = store.clone();
                thread::spawn(move || store.push(Record::new(1, 1)).map(drop).unwrap())
            },
            {
                let store = store.clone();
                thread::spawn(move || store.clear())
            },
        ];
        store.step_at(|| start + Duration::from_secs(1));
        others.into_iter().for_each(|other| other.join().unwrap());
        store.clear();
        while store.step_at(|| start) {}
        let evicted = store.stats().evicted;
        let reasons = reasons.lock().unwrap();
        let of = |wanted| reasons.iter().filter(|&&reason| reason == wanted).count() as u64;
        let counted = [evicted.capacity, evicted.cleared, evicted.age];
        let told = [EvictReason::Capacity, EvictReason::Cleared, EvictReason::Age].map(of);
        assert_eq!(told, counted, "hooks were told another reason than is counted");
        assert_eq!(evicted.total(), 2);
    });
}

/// A thread that evicts what another thread has just cleared knows why. The shard is never over its
/// capacity.
#[test]
fn a_cleared_record_is_not_evicted_for_capacity() {
    explore("why cleared", 3, || {
        let store = small(2, 1).build().unwrap();
        store.on_evict(|_, _: &Record, reason| {
            assert_eq!(reason, EvictReason::Cleared, "another reason");
        });
        store.push(Record::new(1, 0)).unwrap();
        let clearer = {
            let store = store.clone();
            thread::spawn(move || store.clear())
        };
        while store.step() {}
        clearer.join().unwrap();
        while store.step() {}
        let stats = store.stats();
        assert_eq!((stats.evicted.cleared, stats.caught_panics), (1, 0), "another reason");
    });
}

/// A clear concurrent with a push whose claim evicts the oldest record by capacity.
#[test]
fn a_clear_counts_only_records_not_yet_evicted() {
    explore("told as counted", 3, || {
        let store = small(1, 2).build().unwrap();
        let reasons = Arc::new(Mutex::new(Vec::new()));
        let hook_reasons = Arc::clone(&reasons);
        store.on_evict(move |_, _: &Record, reason| hook_reasons.lock().unwrap().push(reason));
        store.push(Record::new(1, 0)).unwrap();
        let clearer = {
            let store = store.clone();
            thread::spawn(move || store.clear())
        };
        store.push(Record::new(1, 1)).unwrap();
        store.step();
        clearer.join().unwrap();
        store.clear();
        while store.step() {}
        let evicted = store.stats().evicted;
        let reasons = reasons.lock().unwrap();
        let told = [EvictReason::Capacity, EvictReason::Cleared]
            .map(|wanted| reasons.iter().filter(|&&reason| reason == wanted).count() as u64);
        assert_eq!(
            told,
            [evicted.capacity, evicted.cleared],
            "hooks were told another reason than is counted"
        );
    });
}

/// A thread pushes to one class, the other, and the first again, as does another thread. Each
/// thread's records keep their order.
#[test]
fn classes_keep_a_threads_order() {
    explore("classes", 2, || {
        // The capacity is large enough for runs of two.
        let store =
            small(65, 1).class(1, |record: &Record| *record.body % 100 == 1).build().unwrap();
        let push = |store: &slipring::Store<Record>, key| {
            let shards =
                [0, 1, 2].map(|number| store.push(Record::new(key, number)).unwrap().shard());
            assert_eq!(shards, [0, 1, 0]);
        };
        let other = {
            let store = store.clone();
            thread::spawn(move || push(&store, 1))
        };
        store.push(Record::new(2, 0)).unwrap();
        assert!(lookup(&store, 1).is_sorted_by(|a, b| a > b), "out of order");
        other.join().unwrap();
        let found = lookup(&store, 1);
        assert!(found.is_sorted_by(|a, b| a > b), "out of order: {found:?}");
    });
}

#[test]
fn planted_faults_are_caught() {
    for fault in ["WaitWithoutLook", "ReclaimWithoutWake"] {
        assert_caught(fault, "a_producer_that_waits_for_bytes_is_woken", LIVELOCK);
    }
    assert_caught(
        "ByteLimitUnseen",
        "a_record_evicted_for_its_bytes_is_shown_or_counted",
        "neither shown nor counted",
    );
    assert_caught("ClassKeepsStamp", "classes_keep_a_threads_order", "out of order");
}
