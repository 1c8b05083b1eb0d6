//! Re-entrant calls: inside a hook or a visit, a call that would wait for the engine returns at
//! once.

mod support;

use slipring::error::{StreamError, WaitError};
use slipring::{Index, Key, Signal, Store};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Census, Counted};

/// Panics unless `work` returns within a time that is long enough on any machine.
fn returns<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, came) = mpsc::channel();
    std::thread::spawn(move || done.send(run()));
    came.recv_timeout(Duration::from_secs(20)).expect("it returns")
}

const LONG: Duration = Duration::from_secs(3_600);

#[test]
fn a_stream_read_inside_a_visit_returns_a_record_or_an_error() {
    for manual in [true, false] {
        returns(move || {
            let census = Census::new();
            let builder = Store::<Counted>::builder().capacity(1).shards(1).slack(8).spare_slots(0);
            let store = if manual { builder.manual() } else { builder }.build().unwrap();
            let stream = store.evictions(64).unwrap();
            store.push(Counted::new(&census, 1, 0)).unwrap();
            let second = store.push(Counted::new(&census, 1, 1)).unwrap();
            let third = store.push(Counted::new(&census, 1, 2)).unwrap();
            let number = |evicted: Option<slipring::store::Evicted<Counted>>| {
                evicted.map(|evicted| evicted.record.number)
            };
            store.step();
            assert_eq!(number(stream.recv_timeout(LONG).unwrap()), Some(0));
            assert_eq!(number(stream.recv().unwrap()), Some(1));
            assert!(store.get(second).is_err());
            store
                .visit(third, |_| {
                    for number in 3..10 {
                        let _ = store.push(Counted::new(&census, 1, number));
                    }
                    assert_eq!(stream.recv().unwrap_err(), WaitError::Reentrant);
                    assert_eq!(stream.recv_timeout(LONG).unwrap_err(), WaitError::Reentrant);
                    assert_eq!(number((&stream).into_iter().next()), None);
                })
                .unwrap();
            store.step();
            assert_eq!(
                number((&stream).into_iter().next()),
                Some(2),
                "the stream does not continue outside of the visit"
            );
            store.step();
            let other = Store::<Counted>::builder().manual().build().unwrap();
            let within = other.push(Counted::new(&census, 1, 0)).unwrap();
            store.shutdown().unwrap();
            let rest = other.visit(within, |_| {
                let rest = (&stream).into_iter().count();
                assert_eq!(number(stream.recv().unwrap()), None, "the end is reported as an error");
                rest
            });
            assert!(rest.unwrap() >= 1, "no buffered record was returned");
        });
    }
}

#[test]
fn a_stream_read_inside_a_hook_does_not_block_the_indexer() {
    returns(|| {
        let census = Census::new();
        let store: Store<Counted> = Store::builder().capacity(2).shards(1).build().unwrap();
        let stream = Arc::new(Mutex::new(store.evictions(64).unwrap()));
        let (said, says) = mpsc::channel();
        let hooked = Arc::clone(&stream);
        store.on_evict(move |_, _, _| {
            let stream = hooked.lock().unwrap();
            (&*stream).into_iter().for_each(drop);
            let _ = said.send((stream.recv().unwrap_err(), stream.recv_timeout(LONG).unwrap_err()));
        });
        for number in 0..10 {
            store.push(Counted::new(&census, 1, number)).unwrap();
        }
        for _ in 0..8 {
            let said = says.recv_timeout(Duration::from_secs(20)).unwrap();
            assert_eq!(said, (WaitError::Reentrant, WaitError::Reentrant));
        }
        store.shutdown().unwrap();
    });
}

/// A record whose key function does something.
struct Acting(Arc<dyn Fn() + Send + Sync>);

impl Signal for Acting {
    const NAME: &'static str = "acting";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes = [Index::new("key", |acting| {
        (acting.0)();
        Some(Key::Int(1))
    })];

    fn timestamp(&self) -> u64 {
        0
    }
}

/// The audit ran it under the indexer lock, which the opening of a stream then took over from it.
#[test]
fn a_key_function_may_open_streams_inside_an_audit() {
    returns(|| {
        let store: Store<Acting> = Store::builder().capacity(100).manual().build().unwrap();
        let weak = store.downgrade();
        let (opened, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let act: Arc<dyn Fn() + Send + Sync> = {
            let (opened, refused) = (Arc::clone(&opened), Arc::clone(&refused));
            Arc::new(move || {
                let Some(store) = weak.upgrade() else { return };
                match store.evictions(4) {
                    Ok(_stream) => opened.fetch_add(1, Ordering::SeqCst),
                    Err(_) => refused.fetch_add(1, Ordering::SeqCst),
                };
            })
        };
        for _ in 0..50 {
            store.push(Acting(Arc::clone(&act))).map(drop).unwrap();
        }
        while store.step() {}
        let before = opened.load(Ordering::SeqCst);
        assert_eq!(store.audit().unwrap().records, 50);
        assert_eq!(opened.load(Ordering::SeqCst) - before, 50, "nobody else is indexing");
        assert_eq!((refused.load(Ordering::SeqCst), store.stats().takeovers), (0, 0));
    });
}

/// It waited for the thread that was indexing.
#[test]
fn a_stream_that_would_have_to_wait_is_not_opened_inside_a_visit() {
    returns(|| {
        let census = Census::new();
        let store: Store<Counted> = Store::builder().capacity(20_000).shards(1).build().unwrap();
        let place = store.push(Counted::new(&census, 1, 0)).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // An audit holds the indexer lock for most of its time.
            scope.spawn(|| {
                store
                    .push_batch((1..20_000).map(|n| Counted::new(&census, 1, n)).collect())
                    .unwrap();
                while !stop.load(Ordering::SeqCst) {
                    store.audit().unwrap();
                }
            });
            let refused = || match store.visit(place, |_| store.evictions(4)).unwrap() {
                Ok(_stream) => false,
                Err(error) => error == StreamError::Reentrant,
            };
            while !refused() {}
            stop.store(true, Ordering::SeqCst);
        });
        assert!(store.evictions(4).is_ok());
    });
}
