//! (m) Eviction before a record's turn, by bytes, by age or by a clear: it is counted, every hook is told the reason by which,
//! and who waits for bytes is woken.

use loom::sync::Mutex;
use loom::thread;
use slipring::EvictReason;
use slipring_loom_tests::{LIVELOCK, Record, assert_caught, explore, lookup, push_a_third, push_without_room, small};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BYTES: usize = size_of::<Record>();

#[test]
fn who_waits_for_bytes_is_woken() {
    explore("bytes", 2, || {
        let store = small(4, 1).max_bytes(BYTES).build().unwrap();
        push_without_room(&store, |store, record| store.push(record).map(drop).unwrap());
    });
}

/// The only record of a key has to go, for its bytes, while a reader is on its way to it.
#[test]
fn what_goes_for_its_bytes_is_shown_or_counted() {
    explore("cut by bytes", 2, || {
        let store = small(4, 1).max_bytes(2 * BYTES).build().unwrap();
        let other = push_a_third(&store);
        let news = store.query().since(&store.beginning()).key("key", 1u64);
        let report = news.for_each(|_, record| record.check()).unwrap();
        assert_eq!(report.shown + report.missed, 1, "neither shown nor counted");
        other.join().unwrap();
        store.flush().unwrap();
        assert_eq!([1, 2, 3].map(|key| lookup(&store, key).len()), [0, 1, 1]);
        store.audit().unwrap();
    });
}

/// Records go by capacity, by age and by a clear at once; hooks hear of each the reason by which it is counted.
#[test]
fn hooks_hear_the_reason_that_is_counted() {
    explore("reasons", 2, || {
        let store = small(1, 2).max_age(Duration::from_secs(1)).build().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        store.on_evict(move |_, record: &Record, reason| {
            record.check();
            hears.lock().unwrap().push(reason);
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
        let heard = heard.lock().unwrap();
        let of = |wanted| heard.iter().filter(|&&reason| reason == wanted).count() as u64;
        let counted = [evicted.capacity, evicted.cleared, evicted.age];
        let told = [EvictReason::Capacity, EvictReason::Cleared, EvictReason::Age].map(of);
        assert_eq!(told, counted, "told another reason than is counted");
        assert_eq!(evicted.total(), 2);
    });
}

/// A clear beside a push whose claim has the oldest leave by capacity.
#[test]
fn whoever_clears_counts_only_what_has_not_left() {
    explore("told as counted", 3, || {
        let store = small(1, 2).build().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        store.on_evict(move |_, _: &Record, reason| hears.lock().unwrap().push(reason));
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
        let heard = heard.lock().unwrap();
        let told = [EvictReason::Capacity, EvictReason::Cleared]
            .map(|wanted| heard.iter().filter(|&&reason| reason == wanted).count() as u64);
        assert_eq!(told, [evicted.capacity, evicted.cleared], "told another reason than is counted");
    });
}

/// A thread goes from one class to the other and back, beside one that does as well: its records keep their order.
#[test]
fn classes_keep_a_threads_order() {
    explore("classes", 2, || {
        // Large enough for runs of two.
        let store = small(65, 1).class(1, |record: &Record| *record.body % 100 == 1).build().unwrap();
        let push = |store: &slipring::Store<Record>, key| {
            let places = [0, 1, 2].map(|number| store.push(Record::new(key, number)).unwrap().shard());
            assert_eq!(places, [0, 1, 0]);
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
        assert_caught(fault, "who_waits_for_bytes_is_woken", LIVELOCK);
    }
    assert_caught("ByteLimitUnseen", "what_goes_for_its_bytes_is_shown_or_counted", "neither shown nor counted");
    assert_caught("ClassKeepsStamp", "classes_keep_a_threads_order", "out of order");
}
