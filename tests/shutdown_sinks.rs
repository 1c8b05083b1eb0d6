//! Hooks and streams at shutdown. In an earlier version, values captured by hooks could deadlock or
//! kill the indexer, records under a reader's pin were dropped without being shown to hooks, and
//! sinks could be added after the shutdown.

mod support;

use slipring::error::StreamError;
use slipring::{Store, WeakStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use support::{Census, Counted};

fn stores(capacity: usize) -> impl Iterator<Item = Store<Counted>> {
    [true, false].into_iter().map(move |manual| {
        let builder = Store::<Counted>::builder().capacity(capacity).shards(1).slack(8);
        if manual { builder.manual() } else { builder }.build().unwrap()
    })
}

struct ShutsDown(WeakStore<Counted>);

impl Drop for ShutsDown {
    fn drop(&mut self) {
        if let Some(store) = self.0.upgrade() {
            assert!(store.shutdown().is_err(), "a shutdown from within the shutdown is refused");
        }
    }
}

#[test]
fn a_hooks_captured_value_may_shut_the_store_down() {
    for store in stores(4) {
        let captured = ShutsDown(store.downgrade());
        store.on_evict(move |_, _, _| {
            let _ = &captured;
        });
        let (sender, ended) = mpsc::channel();
        std::thread::spawn(move || sender.send(store.shutdown()).unwrap());
        assert_eq!(ended.recv_timeout(Duration::from_secs(20)).unwrap(), Ok(()));
    }
}

#[test]
fn a_hooks_captured_value_may_panic_when_dropped() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a hook's captured value panics");
        }
    }
    for store in stores(4) {
        let census = Census::new();
        let captured = Panics;
        store.on_evict(move |_, _, _| {
            let _ = &captured;
        });
        store.push(Counted::new(&census, 1, 0)).unwrap();
        store.shutdown().unwrap();
        assert_eq!(census.alive(), 0);
        assert_eq!((store.len(), store.stats().caught_panics), (0, 1));
    }
}

#[test]
fn hooks_see_records_that_a_reader_holds_at_shutdown() {
    for store in stores(2) {
        let census = Census::new();
        let seen = Arc::new(AtomicU64::new(0));
        let hooked = Arc::clone(&seen);
        store.on_evict(move |_, _, _| {
            hooked.fetch_add(1, Ordering::SeqCst);
        });
        let stream = store.evictions(8).unwrap();
        let first = store.push(Counted::new(&census, 1, 0)).unwrap();
        store
            .visit(first, |_| {
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        (1..5).for_each(|number| {
                            store.push(Counted::new(&census, 1, number)).unwrap();
                        });
                        store.shutdown().unwrap();
                    });
                });
            })
            .unwrap();
        let streamed = std::iter::from_fn(|| stream.try_recv()).count();
        let missed = stream.missed();
        assert_eq!(seen.load(Ordering::SeqCst), 3, "every record that capacity evicted");
        drop(store);
        assert_eq!(
            (streamed, missed, census.alive()),
            (2, 3, 0),
            "the stream misses the pinned record and those left at shutdown"
        );
    }
}

#[test]
fn records_left_at_shutdown_are_counted_as_missed_or_drained() {
    for store in stores(64) {
        let census = Census::new();
        let stream = store.evictions(8).unwrap();
        (0..50).for_each(|number| store.push(Counted::new(&census, 1, number)).map(drop).unwrap());
        store.flush().unwrap();
        assert_eq!(store.drain().unwrap_err(), StreamError::Taken);
        store.shutdown().unwrap();
        assert!(stream.recv().unwrap().is_none());
        assert_eq!((stream.missed(), store.stats().evicted.cleared), (50, 50));
        assert_eq!(store.drain().unwrap_err(), StreamError::Closed);
    }
    for store in stores(64) {
        let census = Census::new();
        let seen = Arc::new(AtomicU64::new(0));
        let hooked = Arc::clone(&seen);
        store.on_evict(move |_, _, _| {
            hooked.fetch_add(1, Ordering::SeqCst);
        });
        let places: Vec<_> =
            (0..50).map(|number| store.push(Counted::new(&census, 1, number)).unwrap()).collect();
        let inside = store.visit(places[0], |_| store.drain().unwrap_err()).unwrap();
        assert_eq!(inside, StreamError::Reentrant);
        let drained = store.drain().unwrap();
        let missed = drained.missed();
        let drained: Vec<_> = drained.into_iter().collect();
        assert!(drained.iter().map(|one| one.position).eq(places));
        assert!(drained.iter().map(|one| one.record.number).eq(0..50));
        assert_eq!((missed, seen.load(Ordering::SeqCst), store.len()), (0, 50, 0));
        drop((drained, store));
        assert_eq!(census.alive(), 0);
    }
}

#[test]
fn no_sink_can_be_added_after_shutdown() {
    for store in stores(2) {
        store.shutdown().unwrap();
        let captured = Arc::new(());
        let kept = Arc::clone(&captured);
        let own = store.clone();
        store.on_evict(move |_, _, _| {
            let _ = (&kept, &own);
        });
        assert_eq!(Arc::strong_count(&captured), 1, "a hook that can never run was not dropped");
        assert_eq!(store.evictions(1).unwrap_err(), StreamError::Closed);
    }
}
