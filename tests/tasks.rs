//! Followers as async streams, and awaited pushes.
#![cfg(feature = "async")]

mod support;

use futures::executor::block_on;
use futures::future::{join, poll_immediate};
use futures::stream::StreamExt;
use slipring::error::Rejection;
use slipring::{OnFull, Store};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use support::{Census, Counted};

#[test]
fn a_task_that_waits_for_room_is_woken() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder()
        .capacity(8)
        .shards(1)
        .slack(2)
        .spare_slots(0)
        .on_full(OnFull::Reject)
        .build()
        .unwrap();
    let first = store.push(Counted::new(&census, 1, 0)).map_err(|error| error.reason).unwrap();
    let (leave, left) = mpsc::channel::<()>();
    let (looking, looks) = mpsc::channel();
    let reader = {
        let store = store.clone();
        thread::spawn(move || {
            store.visit(first, |_| {
                looking.send(()).unwrap();
                left.recv().unwrap();
            })
        })
    };
    looks.recv().unwrap();
    // The room that the reader's pin leaves.
    while store.push(Counted::new(&census, 1, 1)).is_ok() {}
    let offered = store.stats().offered;
    let mut waiting = store.push_async(Counted::new(&census, 2, 2));
    assert!(block_on(poll_immediate(&mut waiting)).is_none());
    assert!(
        block_on(poll_immediate(&mut waiting)).is_none(),
        "polled again, the push keeps waiting"
    );
    let dropped = store.push_async(Counted::new(&census, 2, 3));
    drop(dropped);
    assert_eq!(store.stats().offered, offered, "a dropped push was counted as offered");
    let waiter = thread::spawn({
        let leave = leave.clone();
        move || {
            thread::sleep(Duration::from_millis(10));
            leave.send(()).unwrap();
        }
    });
    let position = block_on(waiting).map_err(|error| error.reason).unwrap();
    assert_eq!(store.visit(position, |record| record.key), Ok(2));
    waiter.join().unwrap();
    reader.join().unwrap().unwrap();
    store.shutdown().unwrap();
    let refused = block_on(store.push_async(Counted::new(&census, 2, 4))).map(drop).unwrap_err();
    assert_eq!((refused.reason, refused.record.number), (Rejection::Closed, 4));
}

#[test]
fn streams_give_each_record_once_or_count_it() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(1_000).shards(2).build().unwrap();
    let follow = || store.follow(|query| query).unwrap();
    let (one, other) = (follow(), follow());
    drop(follow());
    let producer = {
        let (store, census) = (store.clone(), census.clone());
        thread::spawn(move || {
            (0..30_000)
                .for_each(|number| store.push(Counted::new(&census, 1, number)).map(drop).unwrap());
            thread::sleep(Duration::from_millis(50));
            store.shutdown().unwrap();
        })
    };
    let sum = |stream: slipring::store::Follower<Counted>| {
        stream.fold(0, async |sum, news| sum + news.len() as u64 + news.report.missed)
    };
    let (one, other) = block_on(join(sum(one), sum(other)));
    producer.join().unwrap();
    assert_eq!((one, other), (30_000, 30_000));
}
