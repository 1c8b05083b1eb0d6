//! Bookmarks, cursors and followers while records are pushed and evicted.

mod support;

use slipring::error::{QueryError, WaitError};
use slipring::query::Cursor;
use slipring::{Bookmark, Order, Query, Store};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use support::{Census, Counted};

fn store(capacity: usize, shards: usize) -> (std::sync::Arc<Census>, Store<Counted>) {
    (Census::new(), Store::builder().capacity(capacity).shards(shards).manual().build().unwrap())
}

fn push(store: &Store<Counted>, census: &std::sync::Arc<Census>, numbers: std::ops::Range<u64>) {
    numbers
        .for_each(|number| store.push(Counted::new(census, number % 2, number)).map(drop).unwrap());
}

fn numbers(answer: &slipring::query::Answer<Counted>) -> Vec<u64> {
    answer.iter().map(|record| record.number).collect()
}

#[test]
fn records_evicted_between_pages_are_counted() {
    for shards in [1, 3] {
        let (census, store) = store(30, shards);
        push(&store, &census, 0..30);
        let page = store.query().order(Order::Oldest).limit(10).collect().unwrap();
        assert_eq!(numbers(&page), (0..10).collect::<Vec<_>>());
        // Some of the fifteen evicted records had not been shown.
        push(&store, &census, 30..45);
        let gone = (10..30u64)
            .filter(|&number| store.query().key("number", number).count().unwrap() == 0)
            .count();
        let rest = store.query().after(&page.report.next.unwrap()).collect().unwrap();
        assert_eq!(rest.report.missed as usize, gone);
        assert_eq!(
            rest.len() + rest.report.missed as usize,
            20,
            "a page shows records that are newer than the first page"
        );
        assert!(rest.report.next.is_none());
    }
}

#[test]
fn pages_of_the_newest_end_at_the_oldest_record_held() {
    let (census, store) = store(30, 1);
    push(&store, &census, 0..30);
    let page = store.query().key("key", 1u64).limit(5).collect().unwrap();
    assert_eq!(numbers(&page), [29, 27, 25, 23, 21]);
    push(&store, &census, 30..45);
    let page = store
        .query()
        .key("key", 1u64)
        .after(&page.report.next.unwrap())
        .limit(5)
        .collect()
        .unwrap();
    assert_eq!(numbers(&page), [19, 17, 15]);
    assert_eq!(page.report.missed, 15, "0 to 14, asked for or not");
}

#[test]
fn records_between_two_bookmarks_can_be_queried() {
    let (census, store) = store(100, 2);
    push(&store, &census, 0..10);
    let first = store.bookmark();
    push(&store, &census, 10..30);
    let second = store.bookmark();
    push(&store, &census, 30..40);
    let between = store.query().since(&first).until(&second).collect().unwrap();
    assert_eq!(numbers(&between), (10..30).collect::<Vec<_>>());
    assert_eq!(between.report.bookmark, Some(second.clone()));
    let newest =
        store.query().since(&first).until(&second).order(Order::Newest).limit(2).collect().unwrap();
    assert_eq!(numbers(&newest), [29, 28]);
    assert!(store.query().since(&second).until(&first).collect().unwrap().is_empty());
}

#[test]
fn a_limit_bounds_an_answer_and_its_bookmark_continues_there() {
    let (census, store) = store(100, 3);
    push(&store, &census, 0..50);
    let (mut bookmark, mut all) = (store.beginning(), Vec::new());
    loop {
        let news = store.query().since(&bookmark).limit(7).collect().unwrap();
        all.extend(numbers(&news));
        bookmark = news.report.bookmark.clone().unwrap();
        if news.is_empty() {
            break;
        }
    }
    assert_eq!(all, (0..50).collect::<Vec<_>>());
    let none = store.query().since(&store.beginning()).limit(0).collect().unwrap();
    assert_eq!(none.report.bookmark, Some(store.beginning()));
    for order in [Order::Newest, Order::Oldest, Order::Latest] {
        let none = store.query().order(order).limit(0).collect().unwrap();
        assert_eq!(
            store.query().after(&none.report.next.unwrap()).count().unwrap(),
            50,
            "the next page has it all"
        );
    }
}

/// Bookmarks and cursors come from clients, which may send anything.
#[test]
fn forged_bookmarks_and_cursors_do_no_harm() {
    let (census, store) = store(30, 2);
    push(&store, &census, 0..50);
    let json = |bookmark: &Bookmark| serde_json::to_value(bookmark).unwrap();
    for next in [[u64::MAX; 2], [0, u64::MAX], [u64::MAX - 1, 3], [1 << 63; 2]] {
        let mut forged = json(&store.bookmark());
        forged["next"] = serde_json::json!(next);
        let forged: Bookmark = serde_json::from_value(forged).unwrap();
        let ask: [fn(Query<'_, Counted>) -> Query<'_, Counted>; 3] =
            [|query| query, |query| query.key("key", 1u64), |query| query.order(Order::Latest)];
        for ask in ask {
            assert!(ask(store.query()).since(&forged).count().unwrap() <= 30);
            assert!(ask(store.query()).until(&forged).count().unwrap() <= 30);
            assert!(ask(store.query()).since(&forged).until(&forged).count().unwrap() <= 30);
        }
        let page = store.query().limit(3).collect().unwrap().report.next.unwrap();
        let mut cursor = serde_json::to_value(page).unwrap();
        cursor["left"] = serde_json::json!([[next[0], next[1]], [next[1], next[0]]]);
        cursor["last"] =
            serde_json::json!({ "time": next[0], "stamp": 0, "sequence": next[1], "shard": 1000 });
        for order in ["newest", "oldest", "latest", "earliest"] {
            cursor["order"] = serde_json::json!(order);
            let cursor: Cursor = serde_json::from_value(cursor.clone()).unwrap();
            assert!(store.query().after(&cursor).limit(2).count().unwrap() <= 2);
            assert!(store.query().after(&cursor).key("key", 0u64).count().unwrap() <= 30);
        }
    }
    let mut other = json(&store.bookmark());
    other["next"] = serde_json::json!([1, 2, 3]);
    let other: Bookmark = serde_json::from_value(other).unwrap();
    assert_eq!(store.query().since(&other).count().unwrap_err(), QueryError::OtherStore);
    store.audit().unwrap();
}

#[test]
fn a_follower_gets_each_record_once_or_counts_it() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(1_000).shards(2).build().unwrap();
    let mut follower = store.follow(|query| query.limit(100)).unwrap();
    let (sender, receiver) = mpsc::channel();
    let listener = thread::spawn(move || {
        while let Some(news) = follower.recv().unwrap() {
            for producer in 0..3 {
                let numbers = numbers(&news);
                let own = numbers.iter().filter(|&&number| number / 20_000 == producer);
                assert!(
                    own.is_sorted_by(|a, b| a < b),
                    "records are not in their producer's order"
                );
            }
            sender.send((numbers(&news), news.report.missed)).unwrap();
        }
    });
    let producers: Vec<_> = (0..3u64)
        .map(|producer| {
            let (store, census) = (store.clone(), census.clone());
            thread::spawn(move || push(&store, &census, producer * 20_000..(producer + 1) * 20_000))
        })
        .collect();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    let (mut seen, mut missed) = (Vec::new(), 0);
    while seen.len() as u64 + missed < 60_000 {
        let Ok((numbers, more)) = receiver.recv_timeout(Duration::from_secs(20)) else { break };
        seen.extend(numbers);
        missed += more;
    }
    store.shutdown().unwrap();
    listener.join().unwrap();
    assert_eq!(seen.len() as u64 + missed, 60_000, "{missed} missed");
    seen.sort_unstable();
    assert!(seen.is_sorted_by(|a, b| a < b), "each once");
}

#[test]
fn a_follower_wakes_only_for_records_that_match() {
    let census = Census::new();
    let store: Store<Counted> = Store::builder().capacity(100).build().unwrap();
    let mut follower = store.follow(|query| query.key("key", 1u64)).unwrap();
    store.push(Counted::new(&census, 0, 1)).map(drop).unwrap();
    assert_eq!(follower.recv_timeout(Duration::from_millis(20)).unwrap_err(), WaitError::Timeout);
    store.push(Counted::new(&census, 1, 2)).map(drop).unwrap();
    assert_eq!(numbers(&follower.recv().unwrap().unwrap()), [2]);
    assert!(follower.try_recv().is_none());
    let inside = store.query().for_each(|_, _| {
        assert_eq!(follower.recv().unwrap_err(), WaitError::Reentrant);
    });
    assert_eq!(inside.unwrap().shown, 2);
    let mut all = store.follow_from(store.beginning(), |query| query).unwrap();
    assert_eq!(all.recv().unwrap().unwrap().len(), 2);
    drop(store);
    assert!(all.recv().unwrap().is_none(), "a follower keeps its store alive");
    assert!(follower.recv().unwrap().is_none());
}
