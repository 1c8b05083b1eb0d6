//! A phase that runs every kind of thread at once.

use crate::sample::Sample;
use crate::scene::{KEYS, Outcome, Plan, Scene};
use crate::team::team;
use slipring::query::{Answer, By, Cursor};
use slipring::store::Follower;
use slipring::{OnFull, Order, Store, StoreBuilder};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

type Shape = fn(StoreBuilder<Sample>) -> StoreBuilder<Sample>;

/// Whether the store has hooks or subscribers. Without them, producers evict records too, not the
/// indexer alone.
#[derive(Clone, Copy, PartialEq)]
enum Observers {
    Some,
    None,
}

/// The kinds of stores: with default settings, with one shard that rejects when full, manual, with
/// retention rules, and with colliding fingerprints.
const SHAPES: [(Observers, Shape); 7] = [
    (Observers::Some, |builder| builder),
    (Observers::None, |builder| builder),
    (Observers::Some, |builder| builder.shards(1).on_full(OnFull::Reject)),
    (Observers::Some, |builder| builder.manual()),
    (Observers::None, |builder| builder.manual()),
    (Observers::Some, |builder| {
        let (class, bytes) = (200, 1_500 * size_of::<Sample>());
        builder.max_age(AGE).error_class(class).max_bytes(bytes).max_record_bytes(1 << 20)
    }),
    (Observers::None, |builder| builder.fingerprint_bits(4).shards(3)),
];

/// The maximum age of records, in stores that bound it.
const AGE: Duration = Duration::from_millis(30);

pub fn mixed(plan: &Plan) -> Outcome {
    let part = plan.length / SHAPES.len() as u32;
    SHAPES
        .into_iter()
        .map(|(observers, shape)| mix(plan, observers, shape, part))
        .fold(Outcome::default(), Outcome::and)
}

fn mix(plan: &Plan, observers: Observers, shape: Shape, length: Duration) -> Outcome {
    let scene = Scene::new(shape(Store::builder().capacity(plan.capacity)))
        .expect("the settings are valid");
    let hooked = Arc::new(AtomicU64::new(0));
    if observers == Observers::Some {
        let seen = Arc::clone(&hooked);
        scene.store.on_evict(move |_, sample, _| {
            assert!(sample.is_whole());
            seen.fetch_add(1, Relaxed);
        });
    }
    let mut followed = Followed::from_the_beginning(&scene);
    let streamed = AtomicU64::new(0);
    team(|team| {
        let scene = &scene;
        team.spawn(|| while_running(scene, |_| followed.go_on(scene)));
        if observers == Observers::Some {
            team.spawn(|| {
                while_running(scene, |_| _ = streamed.fetch_add(come_and_go(scene), Relaxed))
            });
        }
        team.spawn(|| while_running(scene, |turn| look_after(scene, turn)));
        for producer in 0..plan.producers {
            team.spawn(move || scene.produce(producer, Scene::ordinary));
        }
        let kinds: [fn(&Scene, u64); 4] = [one_key, page_by_page, whole, by_bookmark];
        for (reader, kind) in (0..plan.readers).flat_map(|reader| kinds.map(|kind| (reader, kind)))
        {
            team.spawn(move || while_running(scene, |turn| kind(scene, reader + turn)));
        }
        plan.rest(length);
        plan.until("records are cleared, and subscribers receive some", || {
            scene.store.stats().evicted.cleared > 0
                && (observers == Observers::None || streamed.load(Relaxed) > 0)
        });
        scene.stop();
    });
    // In stores with a maximum age, all records are due after this time, so that none leaves during
    // the final accounting.
    thread::sleep(4 * AGE);
    scene.settle(plan);
    if observers == Observers::Some {
        // A late indexer may still raise the low watermark past expired records.
        let evicted = || scene.store.stats().evicted.total();
        plan.until("hooks have seen each eviction once", || hooked.load(Relaxed) == evicted());
    }
    let stats = scene.store.stats();
    assert_eq!(stats.caught_panics, 0);
    let (followed, missed) = followed.end(&scene);
    assert_eq!(
        followed + missed,
        stats.offered - stats.rejected.total(),
        "some records were neither followed nor missed"
    );
    let outcome = scene.end(plan);
    let outcome =
        outcome.noting("cleared", stats.evicted.cleared).noting("streamed", streamed.into_inner());
    outcome.noting("followed", followed).noting("missed by followers", missed)
}

fn while_running(scene: &Scene, mut work: impl FnMut(u64)) {
    (0..).take_while(|_| scene.is_running()).for_each(&mut work);
}

/// Follows all records, and checks that each is received once and in its shard's order.
struct Followed {
    follower: Follower<Sample>,
    last: HashMap<usize, u64>,
    received: u64,
    missed: u64,
}

impl Followed {
    fn from_the_beginning(scene: &Scene) -> Self {
        let follower = scene.store.follow_from(scene.store.beginning(), |query| query.limit(500));
        Self {
            follower: follower.expect("the query can be followed"),
            last: HashMap::new(),
            received: 0,
            missed: 0,
        }
    }

    fn go_on(&mut self, scene: &Scene) {
        if let Ok(Some(news)) = self.follower.recv_timeout(Duration::from_millis(20)) {
            self.take(&news);
            scene.looked_up();
        }
    }

    fn take(&mut self, news: &Answer<Sample>) {
        for (position, sample) in news.positions.iter().zip(&news.records) {
            assert!(sample.is_whole());
            let before = self.last.insert(position.shard(), position.sequence());
            assert!(
                before.is_none_or(|before| before < position.sequence()),
                "{position} came after {before:?}"
            );
        }
        self.received += news.len() as u64;
        self.missed += news.report.missed;
    }

    fn end(mut self, scene: &Scene) -> (u64, u64) {
        while let Some(news) = self.follower.try_recv() {
            self.take(&news);
            scene.looked_up();
        }
        (self.received, self.missed + self.follower.missed())
    }
}

/// Runs a slow subscriber for a short time.
fn come_and_go(scene: &Scene) -> u64 {
    // The store may not have noticed yet that the previous stream is gone, or the store may have
    // ended.
    let Ok(stream) = scene.store.evictions(64) else { return 0 };
    thread::sleep(Duration::from_millis(2));
    let mut received = 0;
    while let Some(evicted) = stream.try_recv() {
        assert!(evicted.record.is_whole());
        received += 1;
        if received == 200 {
            break;
        }
    }
    received
}

/// Audits the store, checks its statistics, and clears it from time to time.
fn look_after(scene: &Scene, turn: u64) {
    thread::sleep(Duration::from_millis(7));
    scene.check_audit();
    let stats = scene.store.stats();
    assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
    assert!(stats.count <= stats.capacity && scene.store.len() as u64 <= stats.capacity);
    if turn.is_multiple_of(8) {
        scene.store.clear();
    }
}

fn one_key(scene: &Scene, turn: u64) {
    scene.look_up(turn % KEYS);
}

/// Queries pages in order of time, latest first.
fn page_by_page(scene: &Scene, turn: u64) {
    let mut cursor: Option<Cursor> = None;
    let mut last = u64::MAX;
    for _ in 0..4 {
        let query = scene.store.query().key("key", turn % KEYS).order(Order::Latest).limit(10);
        let query = cursor.iter().fold(query, |query, cursor| query.after(cursor));
        let page = query.collect().expect("the query is valid");
        for sample in &page.records {
            assert!(sample.is_whole() && sample.key == turn % KEYS);
            assert!(sample.time <= last, "{} came after {last}", sample.time);
            last = sample.time;
        }
        scene.looked_up();
        cursor = page.report.next;
        if cursor.is_none() {
            break;
        }
    }
}

/// All that is there: by several threads, in groups, as lists of keys.
fn whole(scene: &Scene, turn: u64) {
    let (store, capacity) = (&scene.store, scene.store.capacity());
    match turn % 4 {
        0 => {
            let all = store
                .query()
                .filter(|sample| sample.number % 2 == 0)
                .par_collect()
                .expect("the query is valid");
            assert!(all.iter().all(|sample| sample.is_whole() && sample.number % 2 == 0));
        }
        1 => {
            let groups = store.query().group(By::index("name"), |sample| Some(sample.time as f64));
            assert!(groups.expect("the index exists").groups.len() <= 5);
        }
        2 => {
            let keys = store.key_counts("key").expect("the index exists");
            assert!(keys.len() as u64 <= KEYS);
            assert!(store.keys("name").expect("the index exists").len() <= 5);
        }
        _ => {
            let mut seen = 0;
            let visit = |_, sample: &Sample| {
                assert!(sample.is_whole());
                seen += 1;
            };
            store.query().any_of("key", [1u64, 2, 3]).for_each(visit).expect("the index exists");
            assert!(seen <= capacity + capacity / 2);
        }
    }
    scene.looked_up();
}

/// Checks that the records between two bookmarks stay the same.
fn by_bookmark(scene: &Scene, turn: u64) {
    let from = scene.store.bookmark();
    thread::sleep(Duration::from_micros(turn % 500));
    let until = scene.store.bookmark();
    let between = || scene.store.query().since(&from).until(&until).order(Order::Oldest);
    let first = between().collect().expect("the bookmarks are this store's");
    let again = between().collect().expect("the bookmarks are this store's");
    assert!(first.iter().chain(again.iter()).all(Sample::is_whole));
    scene.looked_up();
    if again.report.missed == 0 && first.report.missed == 0 {
        let lens = (first.len(), again.len());
        assert!(
            first.positions == again.positions,
            "the records between two bookmarks changed: {lens:?} records"
        );
    }
}
