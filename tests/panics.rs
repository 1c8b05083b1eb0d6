//! Panics in user code are caught, counted, and cost at most the record they belong to.

mod support;

use slipring::Store;
use slipring::error::Rejection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use support::{Census, Counted, Trouble};

fn store(capacity: usize) -> Store<Counted> {
    Store::builder().capacity(capacity).shards(1).manual().build().unwrap()
}

/// The panics are intended, and their messages would only clutter the test's output.
fn quietly<R>(f: impl FnOnce() -> R) -> R {
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(f));
    let _ = std::panic::take_hook();
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

// This is one test, because the panic hook belongs to the whole process.
#[test]
fn a_panic_loses_no_other_record() {
    quietly(key_functions);
    quietly(batches);
    quietly(hooks);
    quietly(drops);
    quietly(drops_of_a_stream);
    quietly(drops_of_hooks);
    quietly(iterators);
    quietly(visits);
}

fn key_functions() {
    let census = Census::new();
    let store = store(4);
    let error = store.push(Counted::new(&census, 1, 0).troubled(Trouble::Key)).unwrap_err();
    assert_eq!((error.reason, error.record.number), (Rejection::Panicked, 0));
    store.push(Counted::new(&census, 1, 1)).unwrap();
    let stats = store.stats();
    assert_eq!(
        (stats.caught_panics, stats.rejected.panicked, stats.count, stats.offered),
        (1, 1, 1, 2)
    );
    store.audit().unwrap();
}

fn batches() {
    let census = Census::new();
    let store = store(100);
    let batch = (0..50).map(|number| {
        let trouble = if number % 7 == 3 { Trouble::Key } else { Trouble::None };
        Counted::new(&census, 1, number).troubled(trouble)
    });
    let error = store.push_batch(batch.collect()).unwrap_err();
    assert_eq!((error.accepted, error.reason), (43, Rejection::Panicked));
    assert!(error.rejected.iter().map(|record| record.number).eq([3, 10, 17, 24, 31, 38, 45]));
    let found = store.query().key("key", 1u64).collect().unwrap();
    assert!(
        found.iter().map(|record| record.number).eq((0..50).rev().filter(|number| number % 7 != 3))
    );
    assert_eq!(store.stats().rejected.panicked, 7);
}

fn hooks() {
    let census = Census::new();
    let store = store(2);
    let second = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let seen = Arc::clone(&second);
    store.on_evict(|_, record, _| assert!(record.number % 2 == 0, "a hook that panics"));
    store.on_evict(move |_, _, _| {
        seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    });
    for number in 0..20 {
        store.push(Counted::new(&census, 1, number)).unwrap();
    }
    while store.step() {}
    assert_eq!(store.stats().caught_panics, 9);
    assert_eq!(second.load(std::sync::atomic::Ordering::SeqCst), 18, "the other hook did not run");
    store.audit().unwrap();
    drop(store);
    assert_eq!(census.alive(), 0);
}

fn drops() {
    let census = Census::new();
    let store = store(4);
    for number in 0..40 {
        let trouble = if number % 5 == 0 { Trouble::Drop } else { Trouble::None };
        store.push(Counted::new(&census, 1, number).troubled(trouble)).unwrap();
    }
    while store.step() {}
    assert_eq!(census.alive(), 4);
    assert_eq!(store.stats().caught_panics, 8);
    store.audit().unwrap();
    // At shutdown too, a hook that panics does not prevent the others from running.
    store.push(Counted::new(&census, 1, 40).troubled(Trouble::Drop)).unwrap();
    drop(store);
    assert_eq!(census.alive(), 0);
}

/// The channel leaked the records behind one whose drop panicked.
fn drops_of_a_stream() {
    let census = Census::new();
    let store = store(1);
    let stream = store.evictions(100).unwrap();
    for number in 0..21 {
        let trouble = if number % 2 == 0 { Trouble::Drop } else { Trouble::None };
        store.push(Counted::new(&census, 1, number).troubled(trouble)).unwrap();
    }
    while store.step() {}
    assert_eq!(census.alive(), 21);
    drop(stream);
    assert_eq!((census.alive(), store.stats().caught_panics), (1, 10));
}

/// They were dropped together: one panic was counted, and a second at the same time aborts.
fn drops_of_hooks() {
    let census = Census::new();
    let store = store(1);
    for number in 0..3 {
        let captured = Counted::new(&census, 1, number).troubled(Trouble::Drop);
        store.on_evict(move |_, _, _| {
            let whole = &captured;
            assert!(whole.number < 3);
        });
    }
    store.shutdown().unwrap();
    assert_eq!((census.alive(), store.stats().caught_panics), (0, 3));
}

/// The records of a chunk were lost if the iterator panicked before the chunk was complete.
fn iterators() {
    let census = Census::new();
    let mut store = store(1_000);
    for ends_at in [0, 1, 255, 256, 300] {
        store.clear();
        let records = (0..).map(|number| {
            assert!(number < ends_at, "an iterator that panics");
            Counted::new(&census, 1, number)
        });
        let extended = catch_unwind(AssertUnwindSafe(|| store.extend(records)));
        assert!(extended.is_err(), "an iterator's own panic is the caller's");
        assert_eq!(store.len() as u64, ends_at);
    }
    // Refused records were dropped together, and the first panic came out of the call.
    store.shutdown().unwrap();
    let before = store.stats().caught_panics;
    let records = (0..3).map(|number| Counted::new(&census, 1, number).troubled(Trouble::Drop));
    store.extend(records);
    assert_eq!((census.alive(), store.stats().caught_panics - before), (0, 3));
}

fn visits() {
    let census = Census::new();
    let store = store(2);
    for number in 0..2 {
        store.push(Counted::new(&census, 1, number)).unwrap();
    }
    let visit = || store.query().key("key", 1u64).for_each(|_, _| panic!("a visitor that panics"));
    assert!(
        catch_unwind(AssertUnwindSafe(visit)).is_err(),
        "a visitor's own panic is the visitor's"
    );
    // The panicking visit has unpinned its slot, so the record can be reclaimed, and this thread
    // may wait again.
    for number in 2..10 {
        store.push(Counted::new(&census, 1, number)).unwrap();
    }
    store.flush().unwrap();
    while store.step() {}
    assert_eq!(census.alive(), 2);
}
