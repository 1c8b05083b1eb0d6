//! Shares: a key has at most its part of the store, and a flood of one key leaves the others alone.

use slipring::error::{BuildError, Rejection};
use slipring::{Index, Key, KeyBuf, OnFull, Resource, Scope, Signal, Source, Span, Store};
use std::collections::HashMap;

const CAPACITY: usize = 2_000;

/// Spans of services, whose sources are made once.
#[derive(Default)]
struct Services(HashMap<String, Source>);

impl Services {
    fn span(&mut self, service: &str, number: u64) -> Span {
        let of = || Source::new(&Resource::new([("service.name", service)]), &Scope::default());
        let source = self.0.entry(service.to_owned()).or_insert_with(of);
        Span::builder().source(source).trace_id(1).span_id(number).build()
    }
}

fn counts(store: &Store<Span>) -> HashMap<String, u64> {
    let text = |key: KeyBuf| match key {
        KeyBuf::Text(text) => text.into(),
        other => panic!("{other:?} is no service"),
    };
    let counts = store.key_counts("service").unwrap();
    counts.into_iter().map(|one| (text(one.key), one.count)).collect()
}

/// Pushes 100 spans of one service for each span of ten others. Returns how many the others had.
fn flood(store: &Store<Span>, of_others: u64) {
    let mut services = Services::default();
    for number in 1..=of_others {
        store.push(services.span(&format!("quiet {}", number % 10), number)).unwrap();
        for _ in 0..100 {
            store.push(services.span("noisy", number)).unwrap();
        }
    }
}

#[test]
fn one_service_floods_and_the_others_keep_what_the_share_promises() {
    // No thread takes over from a stalled one: it would work on an index of its own, which grows anew.
    let builder = Store::builder().capacity(CAPACITY).shards(1).patience(None);
    let store = builder.clone().share("service", 20).build().unwrap();
    let bytes = || store.stats().index_memory_bytes;
    // As many as the capacity without the share.
    flood(&store, 1_600);
    let before = bytes();
    let held = counts(&store);
    let noisy = held["noisy"];
    assert!((380..=400).contains(&noisy), "{noisy}");
    let others =
        |number: u64| store.query().key("service", format!("quiet {}", number % 10).as_str());
    let kept: u64 = (0..10).map(|number| others(number).count().unwrap() as u64).sum();
    assert_eq!(kept, 1_600, "not one of them was evicted");

    // Once more, and it is the others that evict each other's oldest.
    flood(&store, 1_600);
    let held = counts(&store);
    assert!(held["noisy"] <= 400, "{held:?}");
    let kept: u64 = held.iter().filter(|(name, _)| *name != "noisy").map(|(_, count)| count).sum();
    assert!(kept >= 1_600, "{kept}");
    let stats = store.stats();
    assert_eq!((stats.capacity, bytes()), (CAPACITY as u64, before), "memory does not grow");
    assert!(stats.count <= stats.capacity);
    assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
    let shares = stats.shares.unwrap();
    assert_eq!((shares.keys, shares.beyond), (11, 0));
    assert_eq!(stats.class.unwrap().capacity, 100);
    assert!(shares.diverted >= 300_000, "{shares:?}");

    // Without shares, the flood leaves them next to nothing.
    let store = builder.build().unwrap();
    flood(&store, 1_600);
    assert!(counts(&store)["noisy"] > 1_960);
    assert_eq!(store.stats().shares, None);
}

#[test]
fn records_of_keys_beyond_those_that_are_counted_go_to_the_overflow() {
    let store = Store::builder().capacity(CAPACITY).shards(1).share("service", 20).build().unwrap();
    let mut services = Services::default();
    for number in 0..50_000 {
        store.push(services.span(&format!("service {}", number % 5_000), number)).unwrap();
    }
    let shares = store.stats().shares.unwrap();
    assert!(shares.keys <= shares.most_keys && shares.most_keys == 1_024, "{shares:?}");
    assert!(shares.beyond > 10_000, "{shares:?}");
    // A flood of one that was here before is still held to its share.
    let store = Store::builder().capacity(CAPACITY).shards(1).share("service", 20).build().unwrap();
    for number in 0..20_000 {
        store.push(services.span("noisy", number)).unwrap();
        store.push(services.span(&format!("service {}", number % 5_000), number)).unwrap();
    }
    store.flush().unwrap();
    let held = counts(&store);
    assert!(held["noisy"] <= 400, "{}", held["noisy"]);
    assert!(held.values().sum::<u64>() - held["noisy"] >= 1_600);
}

/// What lay in the rest uncounted would be taken back from those that are counted, when it leaves.
#[test]
fn a_key_that_once_was_beyond_is_held_to_its_share() {
    let store = Store::builder().capacity(CAPACITY).shards(1).share("service", 20).build().unwrap();
    let mut services = Services::default();
    let mut push = |service: &str| store.push(services.span(service, 1)).map(drop).unwrap();
    (0..1_500).for_each(|number| push(&format!("service {number}")));
    let beyond = || store.stats().shares.unwrap().beyond;
    let is_beyond = |name: &String| {
        let before = beyond();
        push(name);
        beyond() > before
    };
    let noisy = (0..).map(|number| format!("noisy {number}")).find(is_beyond).unwrap();
    let mut push = |service: &str| store.push(services.span(service, 1)).map(drop).unwrap();
    for number in 0..8_000 {
        push(&noisy);
        if number % 10 == 0 {
            push(&format!("service {}", number / 10));
        }
    }
    for number in 0..40_000 {
        push(&noisy);
        if number % 20 == 0 {
            push("quiet");
        }
    }
    store.flush().unwrap();
    assert!(counts(&store)[&noisy] <= 400, "{:?}", store.stats().shares);
}

/// A record whose time panics if it is 0.
#[derive(Clone)]
struct Timeless(u64);

impl Signal for Timeless {
    const NAME: &'static str = "timeless";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes = [Index::new("key", |_| Some(Key::Int(7)))];

    fn timestamp(&self) -> u64 {
        assert_ne!(self.0, 0, "this panic is caught");
        self.0
    }
}

#[test]
fn a_panic_after_a_record_was_counted_takes_the_count_back() {
    let builder = Store::<Timeless>::builder().capacity(1_000).shards(1);
    let store = builder.share("key", 20).manual().build().unwrap();
    (0..200).for_each(|_| assert!(store.push(Timeless(0)).is_err()));
    assert_eq!(store.stats().shares.unwrap().keys, 0);
}

#[cfg(feature = "async")]
#[test]
fn a_waker_that_panics_takes_the_count_back() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::task::{Context, RawWaker, RawWakerVTable, Waker};

    static PANICS: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("this panic is caught"), |_| {}, |_| {}, |_| {});
    // SAFETY: the functions do not look at the data.
    let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &PANICS)) };
    let builder = Store::<Timeless>::builder().capacity(1_000).shards(1);
    let store = builder.share("key", 20).manual().build().unwrap();
    store.push(Timeless(1)).unwrap();
    let mut panicked = 0;
    // Inside a visit, nothing can be made room for.
    let visit = |_, _: &Timeless| {
        while store.push(Timeless(1)).is_ok() {}
        for _ in 0..300 {
            let poll = || {
                let mut push = Box::pin(store.push_async(Timeless(1)));
                let _ = push.as_mut().poll(&mut Context::from_waker(&waker));
            };
            panicked += u64::from(catch_unwind(AssertUnwindSafe(poll)).is_err());
        }
    };
    store.query().limit(1).for_each(visit).unwrap();
    assert!(panicked > 0);
    store.clear();
    while store.step() {}
    assert_eq!((store.len(), store.stats().shares.unwrap().keys), (0, 0));
}

#[test]
fn records_that_are_refused_leave_nothing_of_their_keys_share_used_up() {
    let builder = Store::builder().capacity(1_000).shards(1).share("service", 20).manual();
    let store = builder.max_record_bytes(4_000).on_full(OnFull::Reject).build().unwrap();
    let mut services = Services::default();
    let source = services.span("a", 1).source().clone();
    let large = Span::builder().source(&source).name("x".repeat(9_000)).build();
    for _ in 0..500 {
        store.push(large.clone()).unwrap_err();
        store.push_batch(vec![large.clone(), services.span("b", 1), large.clone()]).unwrap_err();
    }
    // Inside a visit, nothing can be made room for.
    let mut refused = 0;
    let visit = |_, _: &Span| {
        for _ in 0..1_000 {
            refused += usize::from(store.push(services.span("a", 1)).is_err());
            let batch = (0..20).map(|one| services.span(["a", "c"][one % 2], 1)).collect();
            refused += store.push_batch(batch).map_or_else(|error| error.rejected.len(), |_| 0);
        }
    };
    store.query().limit(1).for_each(visit).unwrap();
    assert!(refused > 10_000, "{refused}");
    store.clear();
    while store.step() {}
    assert_eq!((store.len(), store.stats().shares.unwrap().keys), (0, 0), "all counts are back");
}

/// There is nowhere else for it: the rest is the other keys', and both parts together have the
/// store's bytes.
#[test]
fn beyond_its_share_a_key_has_no_record_larger_than_the_overflows_bytes() {
    let bytes = 1 << 20;
    let builder = Store::builder().capacity(1_000).shards(1).max_bytes(bytes);
    let store = builder.share("service", 40).build().unwrap();
    let span = |service: &str, length: usize| {
        let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
        Span::builder().source(&source).name("x".repeat(length)).build()
    };
    // A tenth of the bytes, as of the records.
    let too_large = bytes / 8;
    store.push(span("noisy", too_large)).unwrap();
    for _ in 0..400 {
        store.push(span("noisy", 1)).unwrap();
    }
    store.push(span("noisy", bytes / 20)).unwrap();
    let refused = store.push(span("noisy", too_large)).unwrap_err();
    let Rejection::TooLarge { bytes: of_record, most } = refused.reason else {
        panic!("{refused}")
    };
    assert!(of_record > too_large as u64 && (bytes as u64 / 12..too_large as u64).contains(&most));
    assert_eq!(refused.record.name().len(), too_large, "it is handed back");
    assert_eq!(store.stats().rejected.too_large, 1);
    // Another key has its share left, and evicts for it.
    store.push(span("quiet", too_large)).unwrap();
    store.push(span("quiet", bytes / 2)).unwrap();
    assert_eq!(counts(&store)["quiet"], 2);
}

#[test]
fn producers_that_race_hold_to_a_share() {
    let store = Store::builder().capacity(CAPACITY).share("service", 20).build().unwrap();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| flood(&store, 300));
        }
    });
    store.flush().unwrap();
    let held = counts(&store);
    assert!(held["noisy"] <= 400, "{held:?}");
    assert_eq!(held.values().sum::<u64>() - held["noisy"], 1_200, "all of the others");
}

#[test]
fn a_share_that_can_not_be_is_told() {
    let builder = Store::<Span>::builder().capacity(1_000);
    let told = |builder: slipring::StoreBuilder<Span>| builder.build().unwrap_err();
    let small = builder.clone().capacity(100).share("service", 3);
    assert_eq!(told(small), BuildError::Share { percent: 3, capacity: 100 });
    assert!(told(builder.clone().share("service", 100)).to_string().contains("1 to 99 %"));
    let error = told(builder.clone().share("colour", 20)).to_string();
    assert!(error.contains("no index \"colour\"") && error.contains("service"), "{error}");
    let both = builder.clone().error_class(10).share("service", 20);
    assert_eq!(told(both), BuildError::ShareAndClass);
    // The same builder makes stores whose shares are their own.
    let builder = builder.share("service", 20);
    let (one, other) = (builder.clone().build().unwrap(), builder.build().unwrap());
    one.push(Services::default().span("a", 1)).unwrap();
    let keys = [&one, &other].map(|store| store.stats().shares.unwrap().keys);
    assert_eq!(keys, [1, 0]);
}
