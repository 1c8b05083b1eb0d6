//! Phases with short-lived threads and short-lived stores.

use crate::sample::{Sample, Trouble, injected};
use crate::scene::{KEYS, Outcome, Plan, Scene};
use crate::system;
use crate::team::team;
use slipring::Store;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// The number of stores before memory is measured for the first time, and the minimum number before
/// it is measured for the last time.
const SETTLED: u64 = 50;
const STORES: u64 = 150;

/// The bytes per store that the allocator may retain after the store is freed: fewer than the slots
/// of one take.
const LEFT: u64 = 32 << 10;

/// Each producer and each reader ends after a few calls, and every other one by a panic: after its
/// calls, while it owns a follower, or while it visits a record.
pub fn dying_threads(plan: &Plan) -> Outcome {
    let scene =
        Scene::<0>::new(Store::builder().capacity(plan.capacity)).expect("the settings are valid");
    let lived = AtomicU64::new(0);
    let before = scene.store.stats().total_memory_bytes;
    team(|team| {
        let (scene, lived) = (&scene, &lived);
        for place in 0..plan.producers + plan.readers {
            team.spawn(move || {
                while scene.is_running() {
                    let life = lived.fetch_add(1, Relaxed);
                    let short = team.spawn(move || {
                        if place < plan.producers {
                            push_some(scene, life)
                        } else {
                            query_some(scene, life)
                        };
                        if life % 2 == 0 {
                            injected(Trouble::Thread);
                        }
                    });
                    // The thread is joined here, so its panic does not propagate.
                    let _ = short.join();
                }
            });
        }
        scene.rest(plan);
        scene.stop();
    });
    // Allows for directories of some keys, and for the pins of as many readers as ran at once, but
    // for nothing per thread that ever lived.
    let (lived, grown) =
        (lived.into_inner(), scene.store.stats().total_memory_bytes.saturating_sub(before));
    assert!(grown < 1 << 20, "memory grew by {grown} bytes after {lived} threads");
    scene.end(plan).noting("threads that lived", lived)
}

fn push_some(scene: &Scene, life: u64) {
    (0..life % 40)
        .for_each(|count| scene.push(Scene::ordinary(Sample::<0>::numbered(life, count))));
}

fn query_some(scene: &Scene, life: u64) {
    (0..life % 10).for_each(|turn| scene.look_up((life + turn) % KEYS));
    let mut follower = scene.store.follow(|query| query).expect("the query can be followed");
    let _ = follower.try_recv();
    match life % 4 {
        // Panics while the thread owns a follower.
        0 => injected(Trouble::Thread),
        // Panics inside a visit, while the record is pinned.
        2 => drop(scene.store.query().limit(1).for_each(|_, _| injected(Trouble::Visit))),
        _ => {}
    }
}

/// Stores are created, used by several threads, and dropped while handles, followers and streams
/// still exist.
pub fn short_lives(plan: &Plan) -> Outcome {
    let threads = system::threads();
    let until = Instant::now() + plan.length;
    // qemu-user 7.2 keeps 280 KiB of each thread that has ended, whatever the thread did.
    let memory = || if plan.emulated { system::allocated() } else { system::resident() };
    let (mut outcome, mut settled) = (Outcome::default(), 0);
    // Shared by the hooks of all stores.
    let token = Arc::new(());
    for round in 0.. {
        if round >= STORES && Instant::now() >= until || plan.stop.is_asked() {
            break;
        }
        outcome = outcome.and(short_life(plan, round, &token));
        if round == SETTLED {
            settled = memory();
        }
    }
    plan.until("the threads of stores end with their stores", || system::threads() <= threads);
    plan.until("stores end with their last handle", || Arc::strong_count(&token) == 1);
    let grown = memory().saturating_sub(settled);
    let stores = outcome.stores;
    assert!(
        stores < STORES || grown < LEFT * (stores - SETTLED),
        "memory grew by {grown} bytes after {stores} stores"
    );
    outcome
}

fn short_life(plan: &Plan, round: u64, token: &Arc<()>) -> Outcome {
    let builder = Store::builder().capacity(1 + round as usize * 37 % 2_000);
    let builder = if round % 3 == 2 { builder.manual() } else { builder };
    let scene = Scene::<0>::new(builder).expect("the settings are valid");
    let weak = scene.store.downgrade();
    let (inside, by_hook, token) =
        (weak.clone(), Arc::new([AtomicU64::new(0), AtomicU64::new(0)]), Arc::clone(token));
    let counts = Arc::clone(&by_hook);
    scene.store.on_evict(move |_, sample, _| {
        let _ = &token;
        // A hook may push into its own store; the store never waits for such a push.
        if sample.number % 100 == 50
            && let Some(store) = inside.upgrade()
        {
            let refused = store.push(Scene::ordinary(Sample::<0>::numbered(BY_HOOK, 0))).is_err();
            counts[0].fetch_add(1, Relaxed);
            counts[1].fetch_add(refused.into(), Relaxed);
        }
    });
    let stream = scene.store.evictions(16).expect("it is the store's first stream");
    let mut follower = scene.store.follow(|query| query).expect("the query can be followed");
    team(|team| {
        for producer in 0..plan.producers {
            let scene = &scene;
            team.spawn(move || {
                (0..500).for_each(|count| {
                    scene.push(Scene::ordinary(Sample::<0>::numbered(producer, count)))
                });
            });
        }
        team.spawn(|| (0..20).for_each(|key| scene.look_up(key)));
    });
    // The records in the stream must be dropped before the final accounting: with the stream, or
    // before.
    if !round.is_multiple_of(2) {
        while stream.try_recv().is_some() {}
    }
    drop(stream);
    scene.settle(plan);
    let [pushed, refused] = [&by_hook[0], &by_hook[1]].map(|count| count.load(Relaxed));
    scene.count(pushed, refused);
    while follower.try_recv().is_some() {}
    let outcome = if round.is_multiple_of(2) {
        let outcome = scene.end(plan);
        assert!(weak.upgrade().is_none(), "a store that was shut down outlives its last handle");
        assert!(
            matches!(follower.recv_timeout(Duration::from_secs(5)), Ok(None)),
            "a follower does not end with its store"
        );
        outcome
    } else {
        // The other way to end: the last handle is dropped while a follower waits.
        let waiting = thread::spawn(move || follower.recv());
        let outcome = scene.end_by_drop(plan);
        assert!(
            matches!(waiting.join(), Ok(Ok(_))),
            "a waiting follower does not end with its store"
        );
        outcome
    };
    outcome.noting("pushed by hooks", pushed - refused).noting("refused to hooks", refused)
}

/// The producer number of records that hooks push.
const BY_HOOK: u64 = 1 << 20;
