//! A word of a directory line is reused for another key, and a key leaves and comes back, while a
//! reader looks for it.

use loom::thread;
use slipring::{Index, Key, Signal};
use slipring_loom_tests::{Record, assert_caught, assert_caught_at, explore, small};

fn model(key: u64, second: u64, third: u64, bits: u32) {
    let store = small(2, 2).fingerprint_bits(bits).build().unwrap();
    store.push(Record::new(key, 0)).unwrap();
    store.flush().unwrap();
    let other = {
        let store = store.clone();
        thread::spawn(move || {
            let _ = store.try_push(Record::new(second, 0));
            let _ = store.try_push(Record::new(third, 0));
            store.step();
            let _ = store.try_push(Record::new(key, 1));
            store.step();
        })
    };
    let mut found = Vec::new();
    let report = store
        .query()
        .key("key", key)
        .for_each(|_, record| {
            record.check();
            assert_eq!(record.key, key);
            found.push(*record.body % 100);
        })
        .unwrap();
    assert!(found.is_sorted_by(|a, b| a > b), "found twice or out of order: {found:?}");
    // Records evicted before the query began must be reported as such.
    assert!(
        found.contains(&0) || report.cut || report.partial,
        "lost without being reported: {found:?} {report:?}"
    );
    other.join().unwrap();
    store.flush().unwrap();
    store.audit().unwrap();
}

#[test]
fn a_directory_word_is_reused() {
    // Keys of which the second leaves the first one's place in the ghost filter alone.
    for (key, second, third, bits) in [(1, 3, 2, 64), (1, 3, 2, 3), (4, 5, 6, 3), (2, 7, 5, 2)] {
        explore(&format!("cells {key} {second} {third} {bits}"), 1, move || {
            model(key, second, third, bits)
        });
    }
}

/// The slot of the only record is overwritten while a reader is about to look at its head.
#[test]
fn a_slot_is_overwritten() {
    explore("written again", 1, || {
        let store = small(1, 1).build().unwrap();
        store.push(Record::new(1, 0)).unwrap();
        store.flush().unwrap();
        let other = {
            let store = store.clone();
            thread::spawn(move || {
                store.push(Record::new(2, 0)).unwrap();
                store.step();
                // The overwriting thread is not the evicting one, so only what it stores tells the
                // reader of the eviction.
                let last = thread::spawn({
                    let store = store.clone();
                    move || drop(store.try_push(Record::new(2, 1)))
                });
                last.join().unwrap();
            })
        };
        let query = store.query().since(&store.beginning()).key("key", 1_u64);
        let report = query.for_each(|_, record| assert_eq!(*record, Record::new(1, 0))).unwrap();
        assert!(report.shown + report.missed > 0, "lost without being reported: {report:?}");
        other.join().unwrap();
    });
}

/// A record with two keys.
#[derive(Clone, Debug)]
struct Both {
    one: u64,
    other: u64,
}

impl Signal for Both {
    const NAME: &'static str = "both";
    type Indexes = [Index<Self>; 2];
    const INDEXES: Self::Indexes = [
        Index::new("one", |both| Some(Key::Int(both.one))),
        Index::new("other", |both| Some(Key::Int(both.other))),
    ];

    fn timestamp(&self) -> u64 {
        0
    }
}

#[test]
fn two_indexes_agree_at_every_instant() {
    explore("two indexes", 1, || {
        let store = small(2, 1).build().unwrap();
        store.push(Both { one: 1, other: 1 }).unwrap();
        store.push(Both { one: 1, other: 2 }).unwrap();
        store.flush().unwrap();
        let other = {
            let store = store.clone();
            thread::spawn(move || {
                store.push(Both { one: 2, other: 1 }).unwrap();
                store.step();
                let _ = store.try_push(Both { one: 1, other: 1 });
            })
        };
        let mut found = 0;
        let query = store.query().key("one", 1_u64).key("other", 1_u64);
        let report = query
            .for_each(|_, record| {
                assert_eq!((record.one, record.other), (1, 1));
                found += 1;
            })
            .unwrap();
        assert!(
            found > 0 || report.cut || report.partial,
            "lost without being reported: {report:?}"
        );
        other.join().unwrap();
        store.flush().unwrap();
        store.audit().unwrap();
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught(
        "EntryFollowedBlindly",
        "a_directory_word_is_reused",
        "lost without being reported",
    );
    for fault in ["BusyRelaxed", "HeadLookedAtOnce"] {
        assert_caught_at(2, fault, "a_slot_is_overwritten", "lost without being reported");
    }
}
