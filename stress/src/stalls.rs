//! Phases that stall threads at the most harmful points. All other threads must make progress.

use crate::sample::Sample;
use crate::scene::{KEYS, Outcome, Plan, Scene, has_failed};
use crate::suspend::{Suspendable, separate_heaps};
use crate::team::team;
use slipring::store::Stats;
use slipring::{OnFull, Store};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The number of times that the other threads must fill the store while a thread is stalled.
const FILLED: u64 = 4;

/// A reader sleeps inside a query while it pins a record.
pub fn sleeping_reader(plan: &Plan) -> Outcome {
    let scene = Scene::<0>::new(Store::builder().capacity(plan.capacity).shards(4))
        .expect("the settings are valid");
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
                        "the pinned record changed"
                    );
                };
                scene.store.query().limit(1).for_each(sleep).expect("the query is valid");
            }
        });
        plan.until("a reader visits a record", || asleep.load(Relaxed));
        check_progress(plan, scene, "a reader sleeps in a query");
        awake.store(true, Relaxed);
        plan.rest(plan.length);
        scene.stop();
    });
    scene.end(plan)
}

/// Checks that producers and readers make progress.
fn check_progress<const BODY: usize>(plan: &Plan, scene: &Scene<BODY>, while_what: &str) {
    let capacity = scene.store.capacity() as u64;
    let evicted = || scene.store.stats().evicted.total();
    let before = evicted();
    plan.until(&format!("{FILLED} times the capacity is evicted while {while_what}"), || {
        evicted() - before >= FILLED * capacity
    });
    (0..KEYS).for_each(|key| scene.look_up(key));
    scene.store.stats();
    assert!(scene.store.query().count().expect("the query is valid") as u64 <= capacity);
}

/// The size of a record that is copied between its claim and its publication. It is large, so that
/// a signal is likely to interrupt a producer there.
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

    /// Closes the gate, and returns once this number of threads wait at it.
    fn close(&self, plan: &Plan, threads: u64) {
        self.open.store(false, Relaxed);
        plan.until("all other producers wait at the gate", || {
            self.resting.load(Relaxed) == threads
        });
    }

    fn open(&self) {
        self.open.store(true, Relaxed);
    }
}

/// The number of shards of the stores in which threads are suspended: fewer than threads.
const SHARDS: usize = 2;

/// The number of threads that are suspended at the same time.
const VICTIMS: u64 = 6;

/// Runs work on threads that can be suspended, until the scene ends. Each thread ends only after
/// its entry in the second list has been dropped.
macro_rules! victims {
    ($team:expr, $scene:expr, $work:expr) => {{
        let (sender, came) = mpsc::channel();
        let mut leaves = Vec::new();
        for number in 0..VICTIMS {
            let (alive, leave) = mpsc::channel::<()>();
            leaves.push(alive);
            let (sender, scene) = (sender.clone(), $scene);
            $team.spawn(move || {
                sender.send(Suspendable::this()).expect("the main thread receives it");
                let work = || {
                    (0..)
                        .take_while(|_| scene.is_running())
                        .for_each(|count| $work(scene, number, count))
                };
                // The thread stays alive until it may leave, even if the work panics.
                let worked = catch_unwind(AssertUnwindSafe(work));
                let _ = leave.recv();
                worked.unwrap_or_else(|panic| resume_unwind(panic));
            });
        }
        let victims: Vec<Suspendable> =
            (0..VICTIMS).map(|_| came.recv().expect("the thread has started")).collect();
        (victims, leaves)
    }};
}

/// Suspends more producers than there are shards at once between claim and publish, and many times
/// at any instruction.
pub fn suspended_producers(plan: &Plan) -> Outcome {
    separate_heaps();
    // Each record has 32 KiB.
    let capacity = (plan.capacity / 40).clamp(64, 4_096);
    let builder = Store::builder().capacity(capacity).shards(SHARDS).on_full(OnFull::Reject);
    let scene = Scene::<BULK>::new(builder).expect("the settings are valid");
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
        // All other threads wait at the gate, so claims without a published record are the
        // suspended threads'.
        let in_hand = || {
            scene
                .store
                .len()
                .saturating_sub(scene.store.query().count().expect("the query is valid"))
        };
        let until = Instant::now() + plan.length;
        gate.close(plan, others);
        while (Instant::now() < until || most <= SHARDS) && !has_failed() && !plan.stop.is_asked() {
            thread::sleep(Duration::from_micros(suspended * 37 % 700));
            // SAFETY: every thread in `victims` is alive: it ends only once `alive` is dropped,
            // which happens below. No other `Suspended` guard exists, as `suspend_all` requires.
            let held = unsafe { Suspendable::suspend_all(&victims) };
            suspended += 1;
            let claims = in_hand();
            most = most.max(claims);
            if claims > SHARDS || suspended % 8 == 0 {
                gate.open();
                check_progress(
                    plan,
                    scene,
                    &format!("producers are suspended, {claims} of them between claim and publish"),
                );
                gate.close(plan, others);
            }
            in_between += claims as u64;
            drop(held);
            assert!(
                suspended < 100_000,
                "no signal interrupted enough producers between claim and publish"
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

/// Suspends threads that index, count, audit and read at any instruction, also while they hold an
/// indexer lock.
pub fn suspended_workers(plan: &Plan) -> Outcome {
    separate_heaps();
    let builder = Store::builder().capacity(plan.capacity).shards(SHARDS).on_full(OnFull::Reject);
    let scene = Scene::<0>::new(builder).expect("the settings are valid");
    let mut suspended = 0;
    team(|team| {
        let scene = &scene;
        let work = |scene: &Scene<0>, number: u64, count: u64| match (number + count) % 4 {
            0 => drop(scene.store.stats()),
            1 => scene.look_up(count % KEYS),
            2 if count % 64 == 2 => drop(scene.store.audit().expect("the audit finds no breach")),
            _ => drop(scene.store.step()),
        };
        let (victims, alive) = victims!(team, scene, work);
        for producer in 0..plan.producers {
            team.spawn(move || scene.produce(producer, Scene::ordinary));
        }
        let until = Instant::now() + plan.length;
        let was_taken_over = || scene.store.stats().takeovers > 0;
        while (Instant::now() < until || !was_taken_over())
            && !has_failed()
            && !plan.stop.is_asked()
        {
            thread::sleep(Duration::from_micros(suspended * 37 % 700));
            // SAFETY: as in `suspended_producers`.
            let held = unsafe { Suspendable::suspend_all(&victims) };
            suspended += 1;
            check_progress(plan, scene, "threads that index, count, audit and read are suspended");
            drop(held);
            assert!(
                suspended < 100_000,
                "no signal interrupted a thread that held an indexer lock"
            );
        }
        scene.stop();
        drop(alive);
    });
    let takeovers = scene.store.stats().takeovers;
    scene.end(plan).noting("suspended", suspended).noting("takeovers", takeovers)
}

/// The number of the first suspended producer.
const VICTIM: u64 = 1_000;

impl Scene<BULK> {
    fn push_bulk(&self, producer: u64, count: u64) {
        self.push(Self::ordinary(Sample::<BULK>::numbered(producer, count)));
    }
}

/// The indexer sleeps in a hook until the store is full: pushes are rejected or wait, and no record
/// is lost.
pub fn starved_indexer(plan: &Plan) -> Outcome {
    starve(plan, OnFull::Reject).and(starve(plan, OnFull::Wait))
}

fn starve(plan: &Plan, on_full: OnFull) -> Outcome {
    let builder = Store::builder().capacity(plan.capacity).on_full(on_full);
    let scene = Scene::<0>::new(builder).expect("the settings are valid");
    let initial_bytes = scene.store.stats().index_memory_bytes;
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
                "a waiting producer was admitted although nothing was reclaimed"
            );
        }
        // A shard whose indexer lock is held by a sleeping thread gets another index, at most
        // sixteen. Nothing else may take memory.
        let but_indexes = |stats: &Stats| stats.total_memory_bytes - stats.index_memory_bytes;
        assert_eq!(
            but_indexes(&after),
            but_indexes(&before),
            "memory grows while the indexer is stalled"
        );
        assert!(
            after.index_memory_bytes < 16 * initial_bytes,
            "indexes grow while the indexer is stalled"
        );
        (0..KEYS).for_each(|key| scene.look_up(key));
        starved.store(false, Relaxed);
        check_progress(plan, scene, "the indexer catches up");
        scene.stop();
    });
    scene.end(plan)
}

/// A subscriber never reads: records that its buffer has no room for are dropped and counted.
pub fn deaf_subscriber(plan: &Plan) -> Outcome {
    let scene =
        Scene::<0>::new(Store::builder().capacity(plan.capacity)).expect("the settings are valid");
    let buffer = plan.capacity as u64 / 100;
    let stream = scene.store.evictions(buffer as usize).expect("it is the store's first stream");
    team(|team| {
        let scene = &scene;
        for producer in 0..plan.producers {
            team.spawn(move || scene.produce(producer, Scene::ordinary));
        }
        plan.rest(plan.length);
        check_progress(plan, scene, "a subscriber does not read");
        scene.stop();
    });
    // Every evicted record is in the buffer or counted as missed.
    plan.until("every evicted record is buffered or missed", || {
        stream.missed() + buffer == scene.store.stats().evicted.total()
    });
    let missed = stream.missed();
    assert_eq!(std::iter::from_fn(|| stream.try_recv()).count() as u64, buffer);
    drop(stream);
    scene.end(plan).noting("missed by the subscriber", missed)
}
