//! Threads that stand still, each where it hurts most, and the others that must not.

use super::sample::Sample;
use super::scene::{KEYS, Outcome, Plan, Scene, has_failed};
use super::suspend::Suspendable;
use super::team::team;
use slipring::{OnFull, Store};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How often a store must be filled while somebody stands still.
const FILLED: u64 = 4;

/// A reader that sleeps inside a query: under its mark, with a record in its hands.
pub fn sleeping_reader(plan: &Plan) -> Outcome {
    let scene = Scene::<0>::new(Store::builder().capacity(plan.capacity).shards(4)).expect("such a store can be");
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
                    assert!(sample.is_whole() && sample.number == number, "it is still the record it was");
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

/// Bytes of a record that are moved between a claim and its publication, so that a signal is likely to find a producer there.
const BULK: usize = 1 << 15;

/// Where threads rest until they are let through.
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

    /// Returns once so many threads rest.
    fn close(&self, plan: &Plan, threads: u64) {
        self.open.store(false, Relaxed);
        plan.until("all others rest", || self.resting.load(Relaxed) == threads);
    }

    fn open(&self) {
        self.open.store(true, Relaxed);
    }
}

/// A producer that is suspended between claim and publish, and many times wherever it has got to.
pub fn suspended_producer(plan: &Plan) -> Outcome {
    // Each record has 32 KiB.
    let capacity = (plan.capacity / 40).clamp(64, 4_096);
    let builder = Store::builder().capacity(capacity).shards(4).on_full(OnFull::Reject);
    let scene = Scene::<BULK>::new(builder).expect("such a store can be");
    let (gate, others) = (Gate::default(), plan.producers);
    let (mut suspended, mut in_between) = (0, 0);
    team(|team| {
        let (scene, gate) = (&scene, &gate);
        let (sender, victim) = mpsc::channel();
        let (_alive, leave) = mpsc::channel::<()>();
        team.spawn(move || {
            sender.send(Suspendable::this()).expect("somebody waits for it");
            let push = || (0..).take_while(|_| scene.is_running()).for_each(|count| scene.push_bulk(VICTIM, count));
            // Whatever happens in there, the thread stays until it may leave.
            let pushed = catch_unwind(AssertUnwindSafe(push));
            let _ = leave.recv();
            pushed.unwrap_or_else(|panic| resume_unwind(panic));
        });
        for producer in 0..others {
            team.spawn(move || {
                (0..).take_while(|_| scene.is_running()).for_each(|count| {
                    gate.pass(scene);
                    scene.push_bulk(producer, count);
                });
            });
        }
        let victim: Suspendable = victim.recv().expect("it has started");
        // Everybody else rests: what is claimed and not there is the victim's.
        let stands_in_between = || scene.store.len() > scene.store.query().count().expect("it can be asked");
        let until = Instant::now() + plan.length;
        gate.close(plan, others);
        while (Instant::now() < until || in_between == 0) && !has_failed() && !plan.stop.is_asked() {
            thread::sleep(Duration::from_micros(suspended * 37 % 700));
            // SAFETY: it does not end before it may leave, which is when `_alive` is dropped, below.
            let held = unsafe { victim.suspend() };
            suspended += 1;
            let hit = stands_in_between();
            if hit || suspended % 8 == 0 {
                gate.open();
                let stands =
                    if hit { "a producer stands between claim and publish" } else { "a producer stands somewhere" };
                others_go_on(plan, scene, stands);
                gate.close(plan, others);
            }
            in_between += u64::from(hit);
            drop(held);
            assert!(suspended < 100_000, "no signal has found a producer between claim and publish");
        }
        scene.stop();
    });
    scene.end(plan).noting("suspended", suspended).noting("between claim and publish", in_between)
}

/// The number of the producer that is suspended.
const VICTIM: u64 = 1_000;

impl Scene<BULK> {
    fn push_bulk(&self, producer: u64, count: u64) {
        self.push(Self::ordinary(Sample::<BULK>::numbered(producer, count)));
    }
}

/// The indexer stands in a hook, for as long as it takes to fill the store: pushes come back, or wait, and nothing is lost.
pub fn starved_indexer(plan: &Plan) -> Outcome {
    starve(plan, OnFull::Reject).and(starve(plan, OnFull::Wait))
}

fn starve(plan: &Plan, on_full: OnFull) -> Outcome {
    let builder = Store::builder().capacity(plan.capacity).on_full(on_full);
    let scene = Scene::<0>::new(builder).expect("such a store can be");
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
        assert_eq!(after.total_memory_bytes, before.total_memory_bytes, "memory grows while the indexer stands still");
        (0..KEYS).for_each(|key| scene.look_up(key));
        starved.store(false, Relaxed);
        others_go_on(plan, scene, "the indexer catches up");
        scene.stop();
    });
    scene.end(plan)
}

/// A subscriber that never reads: what it has no room for is dropped and counted.
pub fn deaf_subscriber(plan: &Plan) -> Outcome {
    let scene = Scene::<0>::new(Store::builder().capacity(plan.capacity)).expect("such a store can be");
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
