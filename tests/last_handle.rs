//! A store's last handle may be dropped anywhere: inside a visit, a query or a hook, of this store
//! or another.

mod support;

use slipring::{Position, Store};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Census, Counted};

/// Creates a store that holds two of five pushed records. Its hook holds a follower of the store
/// itself. Returns the store, the number of the hook's runs, and a token that is unshared once the
/// hook is dropped.
fn store_that_keeps_itself(
    census: &Arc<Census>,
    manual: bool,
) -> (Store<Counted>, Arc<AtomicU64>, Arc<()>) {
    let builder = Store::<Counted>::builder().capacity(2).shards(1).slack(8);
    let store = if manual { builder.manual() } else { builder }.build().unwrap();
    let (seen, freed) = (Arc::new(AtomicU64::new(0)), Arc::new(()));
    let captured = (store.follow(|query| query).unwrap(), Arc::clone(&freed));
    let count = Arc::clone(&seen);
    store.on_evict(move |_, _, _| {
        let _ = &captured;
        count.fetch_add(1, Ordering::SeqCst);
    });
    for number in 0..5 {
        store.push(Counted::new(census, 1, number)).unwrap();
    }
    (store, seen, freed)
}

fn other(census: &Arc<Census>) -> (Store<Counted>, Position) {
    let store = Store::<Counted>::builder().capacity(4).shards(1).manual().build().unwrap();
    let position = store.push(Counted::new(census, 1, 0)).unwrap();
    (store, position)
}

fn is_freed_soon(freed: &Arc<()>) -> bool {
    let given_up = Instant::now() + Duration::from_secs(20);
    while Arc::strong_count(freed) > 1 && Instant::now() < given_up {
        std::thread::sleep(Duration::from_millis(1));
    }
    Arc::strong_count(freed) == 1
}

#[test]
fn a_store_dropped_inside_another_stores_visit_ends_after_the_visit() {
    for manual in [true, false] {
        let (census, others) = (Census::new(), Census::new());
        let (around, position) = other(&others);
        let (store, seen, freed) = store_that_keeps_itself(&census, manual);
        around
            .visit(position, |_| {
                around.visit(position, |_| drop(store)).unwrap();
                if manual {
                    assert_eq!(Arc::strong_count(&freed), 2, "the store ended inside the visit");
                }
            })
            .unwrap();
        assert!(is_freed_soon(&freed), "the hook and what it captured were not dropped");
        assert_eq!(
            (seen.load(Ordering::SeqCst), census.alive()),
            (3, 0),
            "the hook did not see every evicted record"
        );
    }
}

#[test]
fn a_store_dropped_inside_a_visit_that_panics_ends() {
    let (census, others) = (Census::new(), Census::new());
    let (around, position) = other(&others);
    let (store, seen, freed) = store_that_keeps_itself(&census, true);
    let visit = || {
        around.visit(position, |_| {
            drop(store);
            resume_unwind(Box::new("a visitor that panics"));
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(visit)).is_err());
    assert_eq!((Arc::strong_count(&freed), seen.load(Ordering::SeqCst), census.alive()), (1, 3, 0));
}

#[test]
fn a_store_dropped_inside_a_hook_ends_after_the_step() {
    for manual in [true, false] {
        let (census, others) = (Census::new(), Census::new());
        let builder = Store::<Counted>::builder().capacity(1).shards(1);
        let around = if manual { builder.manual() } else { builder }.build().unwrap();
        let (store, seen, freed) = store_that_keeps_itself(&census, true);
        let held = std::sync::Mutex::new(Some(store));
        around.on_evict(move |_, _, _| drop(held.lock().unwrap().take()));
        for number in 0..2 {
            around.push(Counted::new(&others, 1, number)).unwrap();
        }
        around.step();
        assert!(is_freed_soon(&freed));
        assert_eq!((seen.load(Ordering::SeqCst), census.alive()), (3, 0));
    }
}

#[test]
fn stores_dropped_inside_each_others_shutdown_end() {
    const STORES: usize = 500;
    let (census, others) = (Census::new(), Census::new());
    let mut freed = Vec::new();
    let mut last = None;
    for _ in 0..STORES {
        let (store, _, alone) = store_that_keeps_itself(&census, true);
        freed.push(alone);
        let within = last.take();
        store.on_evict(move |_, _, _| {
            // The hook drops the inner store with itself.
            let _ = &within;
        });
        last = Some(store);
    }
    let (around, position) = other(&others);
    around.visit(position, |_| drop(last)).unwrap();
    assert!(freed.iter().all(|freed| Arc::strong_count(freed) == 1));
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_store_dropped_on_another_thread_during_a_visit_ends_on_that_thread() {
    let (census, others) = (Census::new(), Census::new());
    let (around, position) = other(&others);
    let (store, seen, freed) = store_that_keeps_itself(&census, true);
    around
        .visit(position, |_| {
            std::thread::scope(|scope| {
                scope.spawn(|| drop(store));
            });
            assert_eq!(
                (Arc::strong_count(&freed), seen.load(Ordering::SeqCst)),
                (1, 3),
                "the store did not end on the other thread"
            );
        })
        .unwrap();
}
