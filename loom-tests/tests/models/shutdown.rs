//! Shutdown concurrent with pushes. Each push is accepted or handed back, none is accepted
//! afterwards, every record is dropped once, and the indexer's thread ends.

use loom::thread;
use slipring::Store;
use slipring_loom_tests::{Dropped, assert_caught, explore};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn shut_down_during_a_push(manual: bool) {
    let drops = Arc::new(AtomicUsize::new(0));
    let record = || Dropped(Arc::clone(&drops));
    let builder = Store::builder().capacity(1).shards(1).slack(1);
    let store = if manual { builder.manual() } else { builder }.build().unwrap();
    let producer = {
        let (store, records) = (store.clone(), [record(), record()]);
        thread::spawn(move || {
            records.into_iter().filter_map(|record| store.push(record).ok()).count()
        })
    };
    store.shutdown().unwrap();
    assert!(store.push(record()).is_err(), "the store is shut down");
    let accepted = producer.join().unwrap() as u64;
    assert!(store.is_empty(), "what was accepted during the shutdown is gone as well");
    let stats = store.stats();
    assert_eq!((stats.offered, stats.rejected.closed), (3, 3 - accepted));
    assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
    drop(store);
    assert_eq!(drops.load(Ordering::Relaxed), 3);
}

#[test]
fn each_record_is_dropped_once() {
    explore("shutdown", 3, || shut_down_during_a_push(true));
}

#[test]
fn the_indexers_thread_ends() {
    explore("shutdown, with a thread", 1, || shut_down_during_a_push(false));
}

#[test]
fn planted_faults_are_caught() {
    assert_caught("ShardNotClosed", "each_record_is_dropped_once", "the store is shut down");
}
