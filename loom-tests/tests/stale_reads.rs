//! A reader runs after a writer and sees of it whatever the memory model allows: some words as they
//! were before, some as they are now. It shows each record that it looks for, or says that it
//! missed some.
//!
//! These models need no preemptions, because the reads are stale instead. So they reach what takes
//! many steps of the writer.

use loom::thread;
use slipring::{Index, Key, Query, Signal, Store};
use slipring_loom_tests::{assert_caught, explore};

/// A record with a key and a time, and without a destructor.
#[derive(Clone, Copy, Debug)]
struct Timed {
    key: u64,
    time: u64,
}

impl Signal for Timed {
    const NAME: &'static str = "timed";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes = [Index::new("key", |timed| Some(Key::Int(timed.key)))];

    fn timestamp(&self) -> u64 {
        self.time
    }
}

/// A store whose reader sees stale words.
struct Model(Store<Timed>);

impl Model {
    /// Creates a store with these records, each with a key and a time.
    fn new(capacity: usize, records: &[(u64, u64)]) -> Self {
        let store = Store::builder().capacity(capacity).shards(1).slack(2).manual();
        let model = Self(store.build().unwrap());
        records.iter().for_each(|&(key, time)| model.push_and_step(key, time));
        model
    }

    fn push(&self, key: u64, time: u64) {
        self.0.push(Timed { key, time }).unwrap();
    }

    fn push_and_step(&self, key: u64, time: u64) {
        self.push(key, time);
        while self.0.step() {}
    }

    /// Runs a part of the writer on a thread of its own: the fences of the other parts do not order
    /// what it stores.
    fn apart(&self, run: impl FnOnce(&Store<Timed>) + Send + 'static) {
        let store = self.0.clone();
        thread::spawn(move || run(&store)).join().unwrap();
    }

    /// Runs the writer, and a query that looks for the record of this sequence. Panics if the query
    /// neither shows it nor reports that it missed some.
    fn check(
        self,
        sequence: u64,
        query: fn(Query<'_, Timed>) -> Query<'_, Timed>,
        writer: impl FnOnce(&Self),
    ) {
        let store = self.0.clone();
        let reader = thread::spawn(move || {
            let report = query(store.query().since(&store.beginning())).for_each(|_, _| ());
            let report = report.unwrap();
            assert!(
                report.shown == 1 || report.cut || report.missed > sequence,
                "lost without being reported: {report:?}"
            );
        });
        writer(&self);
        reader.join().unwrap();
        self.0.audit().unwrap();
    }
}

/// A key leaves, and its directory word becomes empty.
#[test]
fn a_key_leaves() {
    explore("leaves", 0, || {
        Model::new(2, &[(2, 0), (1, 0)]).check(
            1,
            |query| query.key("key", 1_u64),
            |model| {
                model.push(2, 0);
                model.push(2, 0);
                // Indexes both, and evicts the first record. So the next step only evicts.
                model.0.step();
                model.apart(|store| _ = store.step());
            },
        );
    });
}

/// Three keys have the same home line. One of them has overflowed it, and another has left before
/// it. When the first of these leaves as well, the line has empty words again.
#[test]
fn a_key_leaves_with_one_that_has_overflowed_its_line() {
    explore("overflow", 0, || {
        Model::new(2, &[(1, 0), (4, 0), (6, 0)]).check(
            1,
            |query| query.key("key", 4_u64),
            |model| {
                model.push(2, 0);
                model.push(10, 0);
                model.0.step();
                model.apart(|store| _ = store.step());
            },
        );
    });
}

/// The place of a record gets another one, and a link that ends where the former one led on.
#[test]
fn a_link_is_overwritten() {
    explore("link", 0, || {
        Model::new(3, &[(1, 1), (1, 9), (2, 9)]).check(
            0,
            |query| query.key("key", 1_u64).between(0_u64..=5),
            |model| {
                (0..3).for_each(|_| model.push_and_step(2, 9));
                model.apart(|store| store.push(Timed { key: 3, time: 9 }).map(drop).unwrap());
                model.apart(|store| _ = store.step());
            },
        );
    });
}

#[test]
fn planted_faults_are_caught() {
    const LOST: &str = "lost without being reported";
    assert_caught("EntryRemovedRelaxed", "a_key_leaves", LOST);
    assert_caught(
        "OverflowUndoneRelaxed",
        "a_key_leaves_with_one_that_has_overflowed_its_line",
        LOST,
    );
    assert_caught("IndexedWithoutFence", "a_link_is_overwritten", LOST);
}
