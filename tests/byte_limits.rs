//! The byte limit applies per shard and class. In an earlier version it was one limit for the whole
//! store, and waiting pushes held part of it.

use slipring::error::Rejection;
use slipring::{Index, OnFull, Signal, Store};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// A record that reports a given number of heap bytes, and whether it is an error.
struct Sized {
    bytes: usize,
    error: bool,
    /// Gives the record a destructor.
    _body: Box<u64>,
}

impl Sized {
    fn of(bytes: usize) -> Self {
        Self { bytes, error: false, _body: Box::new(0) }
    }

    fn error(bytes: usize) -> Self {
        Self { error: true, ..Self::of(bytes) }
    }
}

impl Signal for Sized {
    const NAME: &'static str = "sized";
    type Indexes = [Index<Self>; 0];
    const INDEXES: Self::Indexes = [];

    fn timestamp(&self) -> u64 {
        0
    }

    fn heap_bytes(&self) -> usize {
        self.bytes
    }

    fn is_error(&self) -> bool {
        self.error
    }
}

/// Pushes from another thread, which is not inside a visit. Returns the number of accepted records.
fn push_elsewhere(
    store: &Store<Sized>,
    records: usize,
    record: impl Fn() -> Sized + Send,
) -> usize {
    std::thread::scope(|scope| {
        let push = move || {
            let accepted = |_: &usize| {
                let deadline = Instant::now() + Duration::from_secs(5);
                while store.try_push(record()).is_err() {
                    if Instant::now() > deadline {
                        return false;
                    }
                    std::thread::yield_now();
                }
                true
            };
            (0..records).take_while(accepted).count()
        };
        scope.spawn(push).join().unwrap()
    })
}

#[test]
fn a_stalled_reader_holds_the_bytes_of_one_shard_only() {
    let store: Store<Sized> = Store::builder()
        .capacity(4_000)
        .shards(4)
        .spare_slots(0)
        .max_bytes(1_000_000)
        .build()
        .unwrap();
    let first = store.push(Sized::of(900)).unwrap();
    let taken = store.visit(first, |_| push_elsewhere(&store, 10_000, || Sized::of(900))).unwrap();
    assert_eq!(taken, 10_000, "the pinned shard does not stop pushes to the others");
}

#[test]
fn pushes_that_wait_in_one_class_hold_no_bytes_of_another() {
    let builder = Store::builder()
        .capacity(1_000)
        .shards(1)
        .spare_slots(0)
        .max_bytes(1_000_000)
        .error_class(10);
    let store: Store<Sized> = builder.build().unwrap();
    let first = store.push(Sized::error(0)).unwrap();
    let ready = Barrier::new(4);
    std::thread::scope(|scope| {
        store
            .visit(first, |_| {
                scope.spawn(|| while store.try_push(Sized::error(0)).is_ok() {}).join().unwrap();
                for _ in 0..3 {
                    scope.spawn(|| {
                        ready.wait();
                        store
                            .push_batch((0..16).map(|_| Sized::error(9_000)).collect())
                            .map_err(|e| e.reason)
                            .unwrap();
                    });
                }
                ready.wait();
                while store.stats().waits < 3 {
                    std::thread::yield_now();
                }
                assert_eq!(store.stats().waits, 3, "each waiting push is counted once");
                assert_eq!(push_elsewhere(&store, 1_000, || Sized::of(500)), 1_000);
            })
            .unwrap();
    });
}

#[test]
fn a_record_larger_than_a_head_can_count_is_refused() {
    let store: Store<Sized> =
        Store::builder().capacity(100).shards(1).max_bytes(40 << 30).build().unwrap();
    let refused = store.push(Sized::of(8 << 30)).map_err(|error| error.reason).unwrap_err();
    assert!(matches!(refused, Rejection::TooLarge { .. }), "{refused}");
    (0..50).for_each(|_| {
        store.push(Sized::of(3 << 30)).map(drop).map_err(|error| error.reason).unwrap()
    });
    store.flush().unwrap();
    assert!(store.len() * (3 << 30) <= 40 << 30);
}

/// A producer inside a visit cannot reclaim. The indexer does it instead, and does not leave
/// evicted records in their slots while bytes are short.
#[test]
fn the_bytes_of_evicted_records_are_freed_soon() {
    let builder =
        Store::builder().capacity(100_000).shards(1).max_bytes(1_000_000).on_full(OnFull::Reject);
    let store: Store<Sized> = builder.build().unwrap();
    let other: Store<Sized> = Store::builder().build().unwrap();
    let anything = other.push(Sized::of(0)).unwrap();
    let mut taken = 0;
    other
        .visit(anything, |_| {
            let deadline = Instant::now() + Duration::from_secs(20);
            while taken < 20_000 {
                assert!(Instant::now() < deadline, "{taken} taken");
                taken += u64::from(store.push(Sized::of(900)).is_ok());
            }
        })
        .unwrap();
    let stats = store.stats();
    assert_eq!(stats.offered - stats.rejected.full, taken);
}

#[cfg(feature = "async")]
#[test]
fn tasks_that_wait_for_slots_do_not_wake_each_other() {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Wake, Waker};

    #[derive(Default)]
    struct Woken(AtomicU64);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    let store: Store<Sized> = Store::builder()
        .capacity(4)
        .slack(4)
        .shards(1)
        .spare_slots(0)
        .max_bytes(1 << 30)
        .build()
        .unwrap();
    let first = store.push(Sized::of(0)).unwrap();
    let polls = store.visit(first, |_| {
        let wait = || {
            while store.try_push(Sized::of(0)).is_ok() {}
            let tasks = [(); 2].map(|()| Arc::new(Woken::default()));
            let [mut one, mut other] =
                [pin!(store.push_async(Sized::of(0))), pin!(store.push_async(Sized::of(0)))];
            let mut polls = 0;
            for _ in 0..100 {
                for (future, woken) in [&mut one, &mut other].into_iter().zip(&tasks) {
                    if polls < 2 || woken.0.swap(0, Ordering::SeqCst) > 0 {
                        polls += 1;
                        let waker = Waker::from(Arc::clone(woken));
                        assert!(
                            future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
                        );
                    }
                }
            }
            polls
        };
        std::thread::scope(|scope| scope.spawn(wait).join().unwrap())
    });
    // Reclaims under way may wake the tasks once or twice.
    assert!(polls.unwrap() < 10, "the tasks keep waking each other");
}
