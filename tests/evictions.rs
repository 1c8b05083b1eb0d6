//! Hooks and streams: each evicted record is shown to hooks, and then sent to a stream or dropped,
//! exactly once.

mod support;

use slipring::error::{GetError, Rejection, StreamError, WaitError};
use slipring::{Index, Signal, Store};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use support::{Census, Counted};

fn manual(capacity: usize) -> Store<Counted> {
    Store::builder().capacity(capacity).shards(1).manual().build().unwrap()
}

fn settle(store: &Store<Counted>) {
    while store.step() {}
}

#[test]
fn a_hook_sees_each_evicted_record_before_its_slot_is_reused() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(8).shards(1).build().unwrap();
    let (sender, seen) = mpsc::channel();
    store.on_evict(move |position, record, _| {
        sender.send((position.sequence(), record.number)).unwrap()
    });
    for number in 0..100 {
        store.push(Counted::new(&census, 1, number)).unwrap();
    }
    let seen: Vec<_> =
        (0..92).map(|_| seen.recv_timeout(Duration::from_secs(10)).unwrap()).collect();
    assert!(seen.iter().copied().eq((0..92).map(|number| (number, number))));
}

#[test]
fn a_stream_gives_records_by_value_and_counts_what_it_missed() {
    let census = Census::new();
    let store = manual(4);
    let evictions = store.evictions(10).unwrap();
    assert_eq!(store.evictions(10).unwrap_err(), StreamError::Taken);
    assert_eq!(store.evictions(0).unwrap_err(), StreamError::NoCapacity);
    // The first does not fit into the address space, and the second into no machine's memory.
    for buffer in [usize::MAX, 1 << 45] {
        assert_eq!(store.evictions(buffer).unwrap_err(), StreamError::TooLarge(buffer));
    }
    for number in 0..34 {
        store.push(Counted::new(&census, 1, number)).unwrap();
        settle(&store);
    }
    assert_eq!(evictions.missed(), 20);
    let numbers: Vec<u64> =
        std::iter::from_fn(|| evictions.try_recv()).map(|evicted| evicted.record.number).collect();
    assert!(numbers.into_iter().eq(0..10));
    assert_eq!(evictions.recv_timeout(Duration::from_millis(1)).unwrap_err(), WaitError::Timeout);
    assert_eq!(census.alive(), 4);

    drop(evictions);
    let second = store.evictions(1).unwrap();
    store.push(Counted::new(&census, 1, 34)).unwrap();
    settle(&store);
    store.shutdown().unwrap();
    assert_eq!(second.recv().unwrap().map(|evicted| evicted.record.number), Some(30));
    assert!(second.recv().unwrap().is_none(), "a stream ends with its store");
    assert_eq!(store.evictions(1).unwrap_err(), StreamError::Closed);
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_hook_may_push_into_its_own_store_and_is_never_made_to_wait() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(4).shards(1).slack(2).build().unwrap();
    let outcomes = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let (weak, seen, made) = (store.downgrade(), Arc::clone(&outcomes), Arc::clone(&census));
    store.on_evict(move |_, record, _| {
        let Some(store) = weak.upgrade() else { return };
        if record.key == 1 {
            match store.push(Counted::new(&made, 2, record.number)) {
                Ok(_) => seen.0.fetch_add(1, Ordering::SeqCst),
                Err(error) => {
                    assert_eq!(error.reason, Rejection::Full);
                    seen.1.fetch_add(1, Ordering::SeqCst)
                }
            };
        }
        assert_eq!(store.flush(), Err(WaitError::Reentrant));
        assert_eq!(store.shutdown(), Err(WaitError::Reentrant));
        assert!(store.audit().is_err());
        assert!(!store.step());
    });
    for number in 0..200 {
        store.push(Counted::new(&census, 1, number)).unwrap();
    }
    store.flush().unwrap();
    store.audit().unwrap();
    let stats = store.stats();
    assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
    store.shutdown().unwrap();
    drop(store);
    assert!(outcomes.0.load(Ordering::SeqCst) + outcomes.1.load(Ordering::SeqCst) > 0);
    assert_eq!(census.alive(), 0);
}

#[test]
fn the_last_handle_may_be_dropped_inside_a_hook() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(1).shards(1).build().unwrap();
    let last = Arc::new(Mutex::new(Some(store.clone())));
    let held = Arc::clone(&last);
    let (sender, gone) = mpsc::channel();
    store.on_evict(move |_, _, _| {
        drop(held.lock().unwrap().take());
        let _ = sender.send(());
    });
    store.push(Counted::new(&census, 1, 0)).unwrap();
    let pushed = store.push(Counted::new(&census, 1, 1));
    drop(store);
    drop(pushed);
    gone.recv_timeout(Duration::from_secs(10)).unwrap();
    drop(last);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while census.alive() != 0 {
        assert!(std::time::Instant::now() < deadline, "{} records are left", census.alive());
        std::thread::yield_now();
    }
}

#[test]
fn a_visited_record_can_be_evicted_but_not_reclaimed() {
    let census = Census::new();
    let store = manual(2);
    let first = store.push(Counted::new(&census, 1, 0)).unwrap();
    let other = store.clone();
    store
        .visit(first, |record| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    other.push(Counted::new(&census, 1, 1)).unwrap();
                    other.push(Counted::new(&census, 1, 2)).unwrap();
                    settle(&other);
                    assert_eq!(other.get(first).unwrap_err(), GetError::Evicted);
                });
            });
            assert_eq!(record.number, 0);
            assert_eq!(census.alive(), 3);
        })
        .unwrap();
    settle(&store);
    assert_eq!(census.alive(), 2);
}

#[test]
fn a_record_in_use_when_the_store_ends_counts_as_missed() {
    for spare_slots in [0, 1] {
        let census = Census::new();
        let store: Store<Counted> = Store::builder()
            .capacity(1)
            .shards(1)
            .slack(2)
            .spare_slots(spare_slots)
            .manual()
            .build()
            .unwrap();
        let evictions = store.evictions(10).unwrap();
        let first = store.push(Counted::new(&census, 1, 0)).unwrap();
        let end = || {
            store.push(Counted::new(&census, 1, 1)).unwrap();
            settle(&store);
            store.shutdown().unwrap();
        };
        store.visit(first, |_| std::thread::scope(|scope| drop(scope.spawn(end)))).unwrap();
        assert!(evictions.recv().unwrap().is_none());
        assert_eq!(evictions.missed(), 2, "with {spare_slots} spare slots");
    }
}

#[test]
fn clear_and_shutdown_account_for_every_record() {
    let census = Census::new();
    let store = manual(8);
    let before: Vec<_> =
        (0..12).map(|n| store.push(Counted::new(&census, n % 3, n)).unwrap()).collect();
    store.clear();
    assert!(store.is_empty());
    assert_eq!(store.query().key("key", 1u64).count().unwrap(), 0);
    assert!(before.iter().all(|&position| store.get(position).unwrap_err() == GetError::Cleared));
    let after = store.push(Counted::new(&census, 1, 12)).unwrap();
    assert_eq!(store.get(after).unwrap().number, 12);
    let stats = store.stats();
    assert_eq!((stats.count, stats.evicted.capacity, stats.evicted.cleared), (1, 4, 8));
    settle(&store);
    store.audit().unwrap();
    assert_eq!(census.alive(), 1);

    store.shutdown().unwrap();
    store.shutdown().unwrap();
    let refused = store.push(Counted::new(&census, 1, 13)).unwrap_err();
    assert_eq!((refused.reason, refused.record.number), (Rejection::Closed, 13));
    assert_eq!(store.get(after).unwrap_err(), GetError::Cleared);
    let refused =
        store.push_batch(vec![refused.into_record(), Counted::new(&census, 1, 14)]).unwrap_err();
    assert_eq!(
        (refused.accepted, refused.rejected.len(), refused.reason),
        (0, 2, Rejection::Closed)
    );
    let stats = store.stats();
    assert_eq!(
        (stats.offered, stats.count, stats.evicted.total(), stats.rejected.closed),
        (16, 0, 13, 3)
    );
    drop((refused, store));
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_weak_handle_does_not_keep_the_store_alive() {
    let census = Census::new();
    let store = manual(2);
    let weak = store.downgrade();
    weak.upgrade().unwrap().push(Counted::new(&census, 1, 0)).unwrap();
    drop(store);
    assert!(weak.upgrade().is_none());
    assert_eq!(census.alive(), 0);
}

/// Records that need no drop are not read on eviction unless a hook or a stream wants them.
#[test]
fn records_without_heap_memory_reach_hooks_and_streams() {
    struct Plain(u64);
    impl Signal for Plain {
        const NAME: &'static str = "plain";
        type Indexes = [Index<Self>; 0];
        const INDEXES: Self::Indexes = [];
        fn timestamp(&self) -> u64 {
            self.0
        }
    }
    let store: Store<Plain> = Store::builder().capacity(4).shards(1).manual().build().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    store.on_evict(move |_, record, _| notes.lock().unwrap().push(record.0));
    let push = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            store.push(Plain(number)).map(drop).unwrap();
            while store.step() {}
        }
    };
    push(0..9);
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 4]);
    let stream = store.evictions(10).unwrap();
    push(9..11);
    assert_eq!(
        std::iter::from_fn(|| stream.try_recv()).map(|one| one.record.0).collect::<Vec<_>>(),
        [5, 6]
    );
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6]);
}

/// A task that waits for the stream is woken by each batch that is evicted, and by the store's end.
#[cfg(feature = "async")]
#[test]
fn a_task_receives_what_is_evicted_until_the_store_ends() {
    use futures::StreamExt;

    for manual in [false, true] {
        let census = Census::new();
        let builder = Store::<Counted>::builder().capacity(8).shards(1);
        let store = if manual { builder.manual() } else { builder }.build().unwrap();
        let evictions = store.evictions(1_000).unwrap();
        let (sender, received) = mpsc::channel();
        let task = std::thread::spawn(move || {
            futures::executor::block_on(evictions.for_each(|evicted| {
                sender.send(evicted.record.number).unwrap();
                std::future::ready(())
            }))
        });
        for number in 0..108 {
            store.push(Counted::new(&census, 1, number)).unwrap();
            while manual && store.step() {}
            if number >= 8 {
                let next = received.recv_timeout(Duration::from_secs(20));
                assert_eq!(next, Ok(number - 8));
            }
        }
        store.shutdown().unwrap();
        task.join().unwrap();
        assert!(received.recv().is_err(), "the stream has ended, and with it the task");
        drop(store);
        assert_eq!(census.alive(), 0);
    }
}
