//! Records that are evicted from a later shard while a query is in an earlier one are reported: the
//! answer is marked as cut. An earlier version lost them silently.

use slipring::{Index, Key, Signal, Store};
use std::cell::RefCell;

type Once = Box<dyn FnOnce()>;

thread_local! {
    /// Called at the first comparison of a key, which happens inside a query.
    static ON_FIRST_KEY: RefCell<Option<Once>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Record(u64);

impl Signal for Record {
    const NAME: &'static str = "record";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes = [Index::new("key", |record| {
        if let Some(run) = ON_FIRST_KEY.with(|hook| hook.borrow_mut().take()) {
            run();
        }
        Some(Key::Int(record.0))
    })];

    fn timestamp(&self) -> u64 {
        0
    }
}

/// The key's last record is evicted and a new one is pushed, between the query's beginning and its
/// read of the directory.
#[test]
fn a_key_that_came_back_does_not_hide_evicted_records() {
    // Without a limit, keys are compared when records are shown; with one, when they are found. The
    // hook runs there.
    [usize::MAX, 100].into_iter().for_each(lose_a_key_that_comes_back);
}

fn lose_a_key_that_comes_back(limit: usize) {
    let store: Store<Record> =
        Store::builder().capacity(8).slack(64).shards(2).manual().build().unwrap();
    for _ in 0..8 {
        store.push(Record(1)).unwrap();
    }
    store.flush().unwrap();
    let other = store.clone();
    let replace_records = move || {
        let writer = std::thread::spawn(move || {
            for key in [2, 1] {
                for _ in 0..8 {
                    other.push(Record(key)).unwrap();
                }
                other.flush().unwrap();
            }
        });
        writer.join().unwrap();
    };
    ON_FIRST_KEY.with(|hook| *hook.borrow_mut() = Some(Box::new(replace_records)));
    let answer = store.query().key("key", 1u64).limit(limit).collect().unwrap();
    assert!(answer.len() >= 8 || answer.report.cut, "found {}", answer.len());
}

#[test]
fn a_query_over_shards_reports_evicted_records() {
    [usize::MAX, 100].into_iter().for_each(lose_some_in_each_shard);
}

fn lose_some_in_each_shard(limit: usize) {
    let store: Store<Record> =
        Store::builder().capacity(4).slack(8).shards(2).manual().build().unwrap();
    for _ in 0..4 {
        store.push(Record(1)).unwrap();
    }
    store.flush().unwrap();
    let other = store.clone();
    let overwrite = move || {
        let writer = std::thread::spawn(move || {
            for _ in 0..4 {
                other.push(Record(2)).unwrap();
            }
            other.flush().unwrap();
            while other.step() {}
        });
        writer.join().unwrap();
    };
    ON_FIRST_KEY.with(|hook| *hook.borrow_mut() = Some(Box::new(overwrite)));
    let answer = store.query().key("key", 1u64).limit(limit).collect().unwrap();
    assert!(answer.len() == 4 || answer.report.cut, "found {}", answer.len());
    let answer = store.query().key("key", 1u64).limit(limit).collect().unwrap();
    assert_eq!(
        (answer.len(), answer.report.cut),
        (0, false),
        "records evicted before the query began do not cut the answer"
    );
}

/// The records that were shown first stay, and the slots of the others are written again meanwhile.
/// The answer has fewer records than its limit.
#[test]
fn an_answer_below_its_limit_says_that_records_were_evicted() {
    for limit in [90, 1_000, usize::MAX] {
        let store: Store<Record> =
            Store::builder().capacity(100).slack(8).shards(1).manual().build().unwrap();
        let push = |store: &Store<Record>, key, records| {
            (0..records).for_each(|_| _ = store.push(Record(key)).unwrap());
        };
        // As many of the other key as there is slack: evicted records that could still be seen.
        [(1, 76), (2, 8), (1, 16)]
            .into_iter()
            .for_each(|(key, records)| push(&store, key, records));
        store.flush().unwrap();
        let mut shown = 0;
        let query = store.query().key("key", 1u64).limit(limit);
        let report = query.for_each(|_, _| {
            shown += 1;
            if shown == 8 {
                std::thread::scope(|scope| scope.spawn(|| push(&store, 1, 84)).join().unwrap());
            }
        });
        let report = report.unwrap();
        assert_eq!((report.shown, report.cut), (16, true), "limit {limit}: {report:?}");
    }
}
