//! Two producers lap each other and the indexer. No index entry outlives its slot, and each record
//! is dropped once.

use loom::thread;
use slipring_loom_tests::{RACE, Record, assert_caught, explore, lookup, small};

const MODEL: &str = "lapping_producers_leave_no_stale_entry";

#[test]
fn lapping_producers_leave_no_stale_entry() {
    explore("lapping", 1, || {
        let store = small(1, 1).build().unwrap();
        let producers: Vec<_> = (1..=2)
            .map(|key| {
                let store = store.clone();
                thread::spawn(move || {
                    for number in 0..2 {
                        // A push may fail with `Full`: the other producer may hold the indexer
                        // lock.
                        let _ = store.try_push(Record::new(key, number));
                    }
                })
            })
            .collect();
        store.step();
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        store.flush().unwrap();
        store.audit().unwrap();
        let found = lookup(&store, 1).len() + lookup(&store, 2).len();
        assert_eq!(found, store.len());
        let stats = store.stats();
        assert_eq!(stats.offered, 4);
        assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
        assert_eq!(stats.indexes[0].entries, stats.count);
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught("PublishRelaxed", MODEL, RACE);
    assert_caught("ReclaimedRelaxed", MODEL, RACE);
    assert_caught("EntryNotRemoved", MODEL, "leads to no");
}
