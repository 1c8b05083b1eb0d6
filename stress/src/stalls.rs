//! Phases that stall threads at the most harmful points. All other threads must make progress.

use crate::sample::Sample;
use crate::scene::{KEYS, Outcome, Plan, Scene, has_failed};
use crate::suspend::Suspendable;
use crate::team::team;
use slipring::store::Stats;
use slipring::{OnFull, Store};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How often the other threads must fill the store while a thread is stalled.
const FILLED: u64 = 4;

/// A reader that sleeps inside a query, with a record in its hands.
pub fn sleeping_reader(plan: &Plan) -> Outcome {
    let scene = Scene::<0>::new(Store::builder().capacity(plan.capacity).shards(4))
        .expect("such a store can be");
    let asleep = AtomicBool::new(false);
    let awake = AtomicBool::new(false);
    team(|team| {
        let scene = &scene;
        for producer in 0..plan.producers {
            team.spawn(move || scene.produce(producer, Scene::ordinary));
        }
        team.spawn(|| {
            while scene.is_running() && !asleep.load(Relaxed) {
                let sleep = |_, sample: &Sample| {
                    asleep.store(true, Relaxed);
                    let number = sample.number;
                    while !awake.load(Relaxed) && !has_failed() {
                        thread::sleep(Duration::from_millis(1));
                    }
                    assert!(
                        sample.is_whole() && sample.number == number,
                        "it is still the record it was"
                    );
                };
                scene.store.query().limit(1).for_each(sleep).expect("it can be asked");
            }
        });
        plan.until("a reader finds a record to sleep over", || asleep.load(Relaxed));
        others_go_on(plan, scene, "a reader sleeps in a query");
        awake.store(true, Relaxed);
        plan.rest(plan.length);
        scene.stop();
    });
    scene.end(plan)
}

/// Whoever pushes and asks is not kept from it.
fn others_go_on<const BODY: usize>(plan: &Plan, scene: &Scene<BODY>, while_what: &str) {
    let capacity = scene.store.capacity() as u64;
    let evicted = || scene.store.stats().evicted.total();
    let before = evicted();
    plan.until(&format!("{FILLED} times what the store holds comes in while {while_what}"), || {
        evicted() - before >= FILLED * capacity
    });
    (0..KEYS).for_each(|key| scene.look_up(key));
    scene.store.stats();
    assert!(scene.store.query().count().expect("it can be asked") as u64 <= capacity);
}

/// Bytes of a record that are moved between a claim and its publication, so that a signal is likely
/// to find a producer there.
const BULK: usize = 1 << 15;

/// A gate at which threads wait until it opens.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    resting: AtomicU64,
}

impl Gate {
    fn pass<const BODY: usize>(&self, scene: &Scene<BODY>) {
        if self.open.load(Relaxed) {
            return;
        }
        self.resting.fetch_add(1, Relaxed);
        while !self.open.load(Relaxed) && scene.is_running() {
            thread::sleep(Duration::from_micros(200));
        }
        self.resting.fetch_sub(1, Relaxed);
    }

    /// Returns once the given number of threads wait at the gate.
    fn close(&self, plan: &Plan, threads: u64) {
        self.open.store(false, Relaxed);
        plan.until("all others rest", || self.resting.load(Relaxed) == threads);
    }

    fn open(&self) {
        self.open.store(true, Relaxed);
    }
}

/// Shards of the stores in which threads are suspended: fewer than threads.
const SHARDS: usize = 2;

/// Number of threads that are suspended at the same time.
const VICTIMS: u64 = 6;

/// Runs work on threads that can be suspended, until the scene ends; each ends only when its entry
/// of the second list is dropped.
macro_rules! victims {
    ($team:expr, $scene:expr, $work:expr) => {{
        let (sender, came) = mpsc::channel();
        let mut leaves = Vec::new();
        for number in 0..VICTIMS {
            let (alive, leave) = mpsc::channel::<()>();
            leaves.push(alive);
            let (sender, scene) = (sender.clone(), $scene);
            $team.spawn(move || {
                sender.send(Suspendable::this()).expect("somebody waits for it");
                let work = || {
                    (0..)
                        .take_while(|_| scene.is_running())
                        .for_each(|count| $work(scene, number, count))
                };
                // Whatever happens in there, the thread stays until it may leave.
                let worked = catch_unwind(AssertUnwindSafe(work));
                let _ = leave.recv();
                worked.unwrap_or_else(|panic| resume_unwind(panic));
            });
        }
        let victims: Vec<Suspendable> =
            (0..VICTIMS).map(|_| came.recv().expect("it has started")).collect();
        (victims, leaves)
    }};
}

/// More producers than there are shards are suspended at once between claim and publish, and many
/// times wherever they have got to.
pub fn suspended_producers(plan: &Plan) -> Outcome {
    // Each record has 32 KiB.
    let capacity = (plan.capacity / 40).clamp(64, 4_096);
    let builder = Store::builder().capacity(capacity).shards(SHARDS).on_full(OnFull::Reject);
    let scene = Scene::<BULK>::new(builder).expect("such a store can be");
    let (gate, others) = (Gate::default(), plan.producers);
    let (mut suspended, mut in_between, mut most) = (0, 0, 0);
    team(|team| {
        let (scene, gate) = (&scene, &gate);
        let push = |scene: &Scene<BULK>, number, count| scene.push_bulk(VICTIM + number, count);
        let (victims, alive) = victims!(team, scene, push);
        for producer in 0..others {
            team.spawn(move || {
                (0..).take_while(|_| scene.is_running()).for_each(|count| {
                    gate.pass(scene);
                    scene.push_bulk(producer, count);
                });
            });
        }
        // Everybody else rests: what is claimed and not there is the victims'.
        let in_hand = || {
            scene.store.len().saturating_sub(scene.store.query().count().expect("it can be asked"))
        };
        let until = Instant::now() + plan.length;
        gate.close(plan, others);
        while (Instant::now() < until || most <= SHARDS) && !has_failed() && !plan.stop.is_asked() {
            thread::sleep(Duration::from_micros(suspended * 37 % 700));
            // SAFETY: every thread to be suspended is alive: it ends only once `alive` is dropped,
            // which happens below. And no other `Suspended` guard lives, as `suspend_all` requires.
            let held = unsafe { Suspendable::suspend_all(&victims) };
            suspended += 1;
            let claims = in_hand();
            most = most.max(claims);
            if claims > SHARDS || suspended % 8 == 0 {
                gate.open();
                others_go_on(
                    plan,
                    scene,
                    &format!("producers stand, {claims} of them between claim and publish"),
                );
                gate.close(plan, others);
            }
            in_between += claims as u64;
            drop(held);
            assert!(
                suspended < 100_000,
                "no signals have found enough producers between claim and publish"
            );
        }
        scene.stop();
        drop(alive);
    });
    let outcome = scene
        .end(plan)
        .noting("suspended", suspended)
        .noting("between claim and publish", in_between);
    outcome.noting("of these at once", most as u64)
}

/// Threads that index, count, audit and read are suspended wherever they have got to, also with the
/// token of a shard in their hands.
pub fn suspended_workers(plan: &Plan) -> Outcome {
    let builder = Store::builder().capacity(plan.capacity).shards(SHARDS).on_full(OnFull::Reject);
    let scene = Scene::<0>::new(builder).expect("such a store can be");
    let mut suspended = 0;
    team(|team| {
        let scene = &scene;
        let work = |scene: &Scene<0>, number: u64, count: u64| match (number + count) % 4 {
            0 => drop(scene.store.stats()),
            1 => scene.look_up(count % KEYS),
            2 if count % 64 == 2 => drop(scene.store.audit().expect("it is in order")),
            _ => drop(scene.store.step()),
        };
        let (victims, alive) = victims!(team, scene, work);
        for producer in 0..plan.producers {
            team.spawn(move || scene.produce(producer, Scene::ordinary));
        }
        let until = Instant::now() + plan.length;
        let relieved = || scene.store.stats().takeovers > 0;
        while (Instant::now() < until || !relieved()) && !has_failed() && !plan.stop.is_asked() {
            thread::sleep(Duration::from_micros(suspended * 37 % 700));
            // SAFETY: as in `suspended_producers`.
            let held = unsafe { Suspendable::suspend_all(&victims) };
            suspended += 1;
            others_go_on(plan, scene, "threads stand that index, count, audit and read");
            drop(held);
            assert!(suspended < 100_000, "no signal has found a thread with a token");
        }
        scene.stop();
        drop(alive);
    });
    let takeovers = scene.store.stats().takeovers;
    scene.end(plan).noting("suspended", suspended).noting("relieved", takeovers)
}

/// Number of the first suspended producer.
const VICTIM: u64 = 1_000;

impl Scene<BULK> {
    fn push_bulk(&self, producer: u64, count: u64) {
        self.push(Self::ordinary(Sample::<BULK>::numbered(producer, count)));
    }
}

/// The indexer stands in a hook, for as long as it takes to fill the store: pushes come back, or
/// wait, and nothing is lost.
pub fn starved_indexer(plan: &Plan) -> Outcome {
    starve(plan, OnFull::Reject).and(starve(plan, OnFull::Wait))
}

fn starve(plan: &Plan, on_full: OnFull) -> Outcome {
    let builder = Store::builder().capacity(plan.capacity).on_full(on_full);
    let scene = Scene::<0>::new(builder).expect("such a store can be");
    let at_first = scene.store.stats().index_memory_bytes;
    let starved = Arc::new(AtomicBool::new(true));
    let hungry = Arc::clone(&starved);
    scene.store.on_evict(move |_, _, _| {
        while hungry.load(Relaxed) && !has_failed() {
            thread::sleep(Duration::from_millis(1));
        }
    });
    team(|team| {
        let scene = &scene;
        for producer in 0..plan.producers {
            team.spawn(move || scene.produce(producer, Scene::ordinary));
        }
        match on_full {
            OnFull::Reject => plan.until("a full store rejects", || scene.refused() > 10_000),
            _ => plan.until("every producer waits", || {
                let offered = scene.store.stats().offered;
                thread::sleep(Duration::from_millis(20));
                let stats = scene.store.stats();
                stats.waits >= plan.producers && stats.offered == offered
            }),
        }
        let before = scene.store.stats();
        plan.rest(plan.length);
        let after = scene.store.stats();
        if on_full == OnFull::Wait {
            assert_eq!(
                after.offered, before.offered,
                "a producer that waits is let through while nothing is reclaimed"
            );
        }
        // Where somebody sleeps with a token, another index is made, of sixteen at the most.
        // Nothing else takes memory.
        let but_indexes = |stats: &Stats| stats.total_memory_bytes - stats.index_memory_bytes;
        assert_eq!(
            but_indexes(&after),
            but_indexes(&before),
            "memory grows while the indexer stands still"
        );
        assert!(
            after.index_memory_bytes < 16 * at_first,
            "indexes grow while the indexer stands still"
        );
        (0..KEYS).for_each(|key| scene.look_up(key));
        starved.store(false, Relaxed);
        others_go_on(plan, scene, "the indexer catches up");
        scene.stop();
    });
    scene.end(plan)
}

/// A subscriber that never reads: what it has no room for is dropped and counted.
pub fn deaf_subscriber(plan: &Plan) -> Outcome {
    let scene =
        Scene::<0>::new(Store::builder().capacity(plan.capacity)).expect("such a store can be");
    let buffer = plan.capacity as u64 / 100;
    let stream = scene.store.evictions(buffer as usize).expect("it is the first");
    team(|team| {
        let scene = &scene;
        for producer in 0..plan.producers {
            team.spawn(move || scene.produce(producer, Scene::ordinary));
        }
        plan.rest(plan.length);
        others_go_on(plan, scene, "a subscriber does not read");
        scene.stop();
    });
    // What was evicted lies in the buffer, or was missed.
    plan.until("what was evicted is handed on or missed", || {
        stream.missed() + buffer == scene.store.stats().evicted.total()
    });
    let missed = stream.missed();
    assert_eq!(std::iter::from_fn(|| stream.try_recv()).count() as u64, buffer);
    drop(stream);
    scene.end(plan).noting("missed by the subscriber", missed)
}
