//! Phases with difficult keys: identical, unique, very long, and bursts of one service.

use crate::sample::Sample;
use crate::scene::{Outcome, Plan, Scene};
use crate::team::team;
use slipring::Store;
use std::thread;
use std::time::Duration;

/// Runs producers until the phase is over, and one reader beside them.
fn run(
    plan: &Plan,
    scene: &Scene,
    make: impl Fn(u64) -> Sample + Sync,
    look_up: impl Fn(u64) + Sync,
) {
    team(|team| {
        let (make, look_up) = (&make, &look_up);
        for producer in 0..plan.producers {
            team.spawn(move || scene.produce(producer, make));
        }
        for reader in 0..plan.readers {
            team.spawn(move || {
                (reader..).take_while(|_| scene.is_running()).for_each(|turn| {
                    look_up(turn);
                    scene.looked_up();
                });
            });
        }
        scene.rest(plan);
        scene.stop();
    });
}

fn scene(plan: &Plan) -> Scene {
    Scene::new(Store::builder().capacity(plan.capacity)).expect("the settings are valid")
}

/// Every record has the same two keys.
pub fn one_key(plan: &Plan) -> Outcome {
    let scene = scene(plan);
    let look_up = |_| {
        let count =
            scene.store.query().key("name", "the only one").count().expect("the index exists");
        assert!(count <= plan.capacity);
        scene.look_up(1);
    };
    run(plan, &scene, |number| Sample::new(number, 1, "the only one", number), look_up);
    scene.settle(plan);
    let entries = scene.store.stats().indexes.iter().map(|index| index.entries).max();
    assert!(entries <= Some(1), "{entries:?} keys");
    scene.end(plan)
}

/// No two records share a key, as with span names that contain an id. Indexes must take no more
/// memory than the held records need.
pub fn new_keys(plan: &Plan) -> Outcome {
    let scene = scene(plan);
    let name = |number: u64| format!("GET /cart/{number}");
    let look_up = |turn| {
        let number = Sample::<0>::numbered(0, turn);
        let answer =
            scene.store.query().key("name", &*name(number)).collect().expect("the index exists");
        assert!(
            answer.len() <= 1
                && answer.iter().all(|sample| sample.number == number && sample.is_whole())
        );
    };
    team(|team| {
        let scene = &scene;
        team.spawn(|| {
            let own = (0..).take_while(|_| scene.is_running());
            own.for_each(|count| scene.push_and_find(Sample::<0>::numbered(1 << 22, count)));
        });
        run(plan, scene, |number| Sample::new(number, number, name(number), number), look_up);
    });
    // Fills the store again without other threads: equally many keys must take as much memory as
    // before.
    scene.settle(plan);
    let fill = |round: u64| {
        for count in 0..2 * plan.capacity as u64 {
            let number = Sample::<0>::numbered(1 << 20 | round, count);
            scene.push(Sample::new(number, number, name(number), number));
        }
        scene.settle(plan);
        scene.store.stats()
    };
    let (first, last) = (fill(0), (1..4).map(fill).last().expect("there are rounds"));
    for index in &last.indexes {
        assert!(index.entries <= last.count, "{} keys of {} records", index.entries, last.count);
    }
    assert!(last.index_memory_bytes <= 2 * first.index_memory_bytes, "{first:?}, then {last:?}");
    scene.end(plan).noting("bytes of indexes", last.index_memory_bytes)
}

/// Keys of 64 KiB that differ only in their last byte, and empty keys.
pub fn large_keys(plan: &Plan) -> Outcome {
    const LARGE: usize = 64 << 10;
    let scene = Scene::new(Store::builder().capacity(plan.capacity.min(1_000)))
        .expect("the settings are valid");
    let name = |number: u64| match number % 5 {
        0 => String::new(),
        last => "k".repeat(LARGE - 1) + ["", "a", "b", "c", "d"][last as usize],
    };
    let look_up = |turn: u64| {
        let wanted = name(turn);
        let answer =
            scene.store.query().key("name", &*wanted).limit(5).collect().expect("the index exists");
        assert!(answer.iter().all(|sample| sample.name == wanted && sample.is_whole()));
    };
    run(plan, &scene, |number| Sample::new(number, number % 5, name(number), number), look_up);
    scene.settle(plan);
    let found =
        |last| scene.store.query().key("name", &*name(last)).count().expect("the index exists");
    assert_eq!(
        (0..5).map(found).sum::<usize>(),
        scene.store.len(),
        "some records are not found by their keys"
    );
    assert!(scene.store.key_counts("name").expect("the index exists").len() <= 5);
    scene.end(plan)
}

/// One service pushes bursts while others push slowly. The bursts evict the others' records by
/// arrival, and no index may degrade.
pub fn bursts(plan: &Plan) -> Outcome {
    let scene = scene(plan);
    team(|team| {
        let scene = &scene;
        for trickling in 1..=plan.producers {
            team.spawn(move || {
                (0..).take_while(|_| scene.is_running()).for_each(|count| {
                    scene.push(Sample::new(
                        Sample::<0>::numbered(trickling, count),
                        trickling,
                        "trickle",
                        count,
                    ));
                    thread::sleep(Duration::from_millis(1));
                });
            });
        }
        team.spawn(move || {
            let mut count = 0;
            while scene.is_running() {
                for _ in 0..plan.capacity {
                    count += 1;
                    scene.push(Sample::new(Sample::<0>::numbered(0, count), 0, "burst", count));
                }
                thread::sleep(Duration::from_millis(3));
            }
        });
        for reader in 0..plan.readers {
            team.spawn(move || {
                (reader..)
                    .take_while(|_| scene.is_running())
                    .for_each(|turn| scene.look_up(turn % (plan.producers + 1)))
            });
        }
        scene.rest(plan);
        scene.stop();
    });
    scene.settle(plan);
    let stats = scene.store.stats();
    let entries = |index| stats.index(index).map_or(0, |index| index.entries);
    assert!(
        entries("key") <= plan.producers + 1 && entries("name") <= 2,
        "keys of evicted records remain: {stats:?}"
    );
    // A record of a slow service is now the newest one, and must be held.
    let late = plan.producers + 1;
    scene.push(Sample::new(Sample::<0>::numbered(late, 0), late, "trickle", 0));
    let held = scene.store.query().key("key", late).count().expect("the index exists");
    assert_eq!(held, 1);
    scene.end(plan)
}
