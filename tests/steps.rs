//! The cost of queries with indexes and time ranges, measured in records looked at, which is
//! deterministic, and not in time.

mod support;

use slipring::query::Report;
use slipring::{Order, Query, Store};
use support::{Census, Counted};

const SIZES: [u64; 5] = [10, 100, 1_000, 10_000, 100_000];

/// `size` records whose number is unique and in the order of time, and whose key is one of seven;
/// all indexed.
fn store(size: u64) -> Store<Counted> {
    let census = Census::new();
    let store: Store<Counted> =
        Store::builder().capacity(size as usize).shards(4).manual().build().unwrap();
    for number in 0..size * 2 {
        store.push(Counted::new(&census, number % 7, number)).map(drop).unwrap();
    }
    store.flush().unwrap();
    while store.step() {}
    store
}

fn report(query: Query<'_, Counted>) -> Report {
    query.for_each(|_, _| ()).unwrap()
}

/// Returns the report of the same query as a scan of every record.
fn scan(store: &Store<Counted>, test: impl Fn(&Counted) -> bool + Send + Sync) -> Report {
    report(store.query().filter(test))
}

#[test]
fn a_query_for_a_key_looks_only_at_records_with_the_key() {
    for size in SIZES {
        let store = store(size);
        let newest = size * 2 - 1;
        let by_index = report(store.query().key("number", newest));
        let by_scan = scan(&store, |record| record.number == newest);
        assert_eq!((by_index.shown, by_scan.shown), (1, 1));
        assert_eq!((by_index.looked_at, by_scan.looked_at), (1, size), "{size}");
        assert_eq!((by_index.led_by, by_scan.led_by), (Some("number"), None));

        let by_index = report(store.query().key("key", 3u64));
        let by_scan = scan(&store, |record| record.key == 3);
        assert_eq!(by_index.shown, by_scan.shown);
        // In each shard, the chain's last link may lead to an evicted record, which is not looked
        // at.
        assert_eq!(by_index.looked_at, by_index.shown, "{size}");
    }
}

#[test]
fn a_query_for_several_keys_looks_only_at_their_records() {
    for size in SIZES {
        let store = store(size);
        let wanted = [1u64, 4, 5];
        let by_index = report(store.query().any_of("key", wanted));
        assert_eq!(by_index.shown, scan(&store, move |record| wanted.contains(&record.key)).shown);
        assert_eq!(by_index.looked_at, by_index.shown, "{size}");
    }
}

#[test]
fn the_index_with_the_rarest_keys_drives_the_query() {
    for size in SIZES {
        let store = store(size);
        let number = size * 2 - 2;
        for query in [
            store.query().key("key", number % 7).key("number", number),
            store.query().key("number", number).key("key", number % 7),
        ] {
            let found = report(query);
            assert_eq!(
                (found.shown, found.looked_at, found.led_by),
                (1, 1, Some("number")),
                "{size}"
            );
        }
    }
}

#[test]
fn a_narrow_time_range_skips_most_blocks() {
    for size in SIZES.into_iter().filter(|size| *size >= 10_000) {
        let store = store(size);
        let (start, length) = (size + size / 3, size / 100);
        let by_time = report(store.query().between(start..start + length));
        assert_eq!(by_time.shown, length);
        // In each shard, two blocks of 64 lie partly in the range, and one run of pushes is out of
        // order.
        assert!(by_time.looked_at <= length + 4 * 3 * 64, "{size}: {}", by_time.looked_at);
        // A common key does not drive the query if the range is narrower.
        let both = report(store.query().key("key", 3u64).between(start..start + length));
        assert_eq!(both.led_by, None);
        assert!(both.looked_at <= by_time.looked_at);
        // A rare key does.
        let both = report(store.query().key("number", start).between(start..start + length));
        assert_eq!((both.led_by, both.looked_at), (Some("number"), 1));
    }
}

#[test]
fn a_query_with_a_limit_looks_at_few_more_records() {
    for size in SIZES.into_iter().filter(|size| *size >= 1_000) {
        let store = store(size);
        for order in [Order::Newest, Order::Oldest] {
            let page = report(store.query().order(order).limit(10));
            assert_eq!(page.shown, 10);
            // Each shard first contributes a quarter. The shards that hold the newest records then
            // contribute twice as many each time.
            assert!(page.looked_at <= 4 * 4 + 8 + 16 + 32, "{size} {order:?}: {}", page.looked_at);
        }
        let page = report(store.query().key("key", 3u64).limit(10));
        assert!(page.looked_at <= 4 * 4 + 8 + 16 + 32, "{size}: {}", page.looked_at);
        // An order by time looks at every record, since records arrive in any order.
        assert_eq!(report(store.query().order(Order::Latest).limit(10)).looked_at, size);
    }
}

#[test]
fn a_query_since_a_bookmark_looks_only_at_new_records() {
    for size in SIZES.into_iter().filter(|size| *size >= 100) {
        let store = store(size);
        let census = Census::new();
        let bookmark = store.bookmark();
        let new = 5;
        (0..new).for_each(|number| {
            store.push(Counted::new(&census, number % 7, 10 * size + number)).map(drop).unwrap()
        });
        let news = report(store.query().since(&bookmark));
        assert_eq!((news.shown, news.looked_at, news.missed), (new, new, 0), "{size}");
        let of_a_key = report(store.query().since(&bookmark).key("key", 3u64));
        assert!(of_a_key.looked_at <= new, "{size}: {}", of_a_key.looked_at);
    }
}

/// A record whose key function counts its calls on this thread.
struct Served(u64);

thread_local! {
    static KEYS_READ: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

impl slipring::Signal for Served {
    const NAME: &'static str = "served";
    type Indexes = [slipring::Index<Self>; 1];
    const INDEXES: Self::Indexes = [slipring::Index::new("service", |record| {
        KEYS_READ.set(KEYS_READ.get() + 1);
        Some(slipring::Key::Int(record.0))
    })];

    fn timestamp(&self) -> u64 {
        0
    }
}

/// Lists the keys. Returns them, and how many records were read for that.
fn keys_and_reads(store: &Store<Served>) -> (Vec<slipring::KeyBuf>, u64) {
    KEYS_READ.set(0);
    let keys = store.keys("service").unwrap();
    (keys, KEYS_READ.get())
}

#[test]
fn a_list_of_keys_reads_records_only_if_a_key_has_come_or_a_witness_has_left() {
    let store: Store<Served> = Store::builder().capacity(1_000).shards(4).manual().build().unwrap();
    let push = |records: u64, keys: u64| {
        for number in 0..records {
            store.push(Served(number % keys)).map(drop).unwrap();
        }
    };
    let listed = |keys: u64| (0..keys).map(slipring::KeyBuf::Int).collect::<Vec<_>>();
    push(2_000, 7);
    while store.step() {}
    assert_eq!(keys_and_reads(&store), (listed(7), 7));
    assert_eq!(keys_and_reads(&store), (listed(7), 0));
    push(50, 7);
    assert_eq!(keys_and_reads(&store), (listed(7), 0), "no key has come, and none has left");
    store.flush().unwrap();
    assert_eq!(keys_and_reads(&store), (listed(7), 0));
    push(8, 8);
    assert_eq!(keys_and_reads(&store), (listed(8), 8), "a key has come and is not indexed yet");
    while store.step() {}
    assert_eq!(keys_and_reads(&store), (listed(8), 8), "it has come to a directory");
    assert_eq!(keys_and_reads(&store), (listed(8), 0));
    push(2_000, 5);
    while store.step() {}
    assert_eq!(keys_and_reads(&store), (listed(5), 5), "all that was listed has left");
    assert_eq!(keys_and_reads(&store), (listed(5), 0));
    store.clear();
    assert_eq!(keys_and_reads(&store), (Vec::new(), 0));
    while store.step() {}
    push(600, 600);
    while store.step() {}
    for _ in 0..2 {
        assert_eq!(keys_and_reads(&store), (listed(600), 600), "too many keys to be kept");
    }
}
