//! Phases that inject panics into all code that the store calls but does not own.

use crate::sample::{Sample, Trouble, injected, injections};
use crate::scene::{KEYS, Outcome, Plan, Scene};
use crate::team::team;
use slipring::Store;
use slipring::error::BuildError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub fn panics(plan: &Plan) -> Outcome {
    refused_sizes();
    // With hooks, only the indexer evicts records; without them, producers evict too.
    throw(plan, true).and(throw(plan, false))
}

fn throw(plan: &Plan, hooked: bool) -> Outcome {
    let scene =
        Scene::<0>::new(Store::builder().capacity(plan.capacity)).expect("the settings are valid");
    let counted = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&counted);
    if hooked {
        scene.store.on_evict(|_, sample, _| {
            if sample.number % 11 == 0 {
                injected(Trouble::Hook);
            }
        });
        scene.store.on_evict(move |_, _, _| _ = counting.fetch_add(1, Relaxed));
    }
    let mut places = vec![Trouble::Key, Trouble::Drop];
    if hooked {
        places.push(Trouble::Hook);
    }
    if plan.readers > 0 {
        places.extend([Trouble::Clone, Trouble::Filter, Trouble::Visit]);
    }
    let before = injections();
    let thrown = |place: Trouble| injections()[place as usize] - before[place as usize];
    team(|team| {
        let scene = &scene;
        for producer in 0..plan.producers {
            team.spawn(move || scene.produce(producer, troubled));
        }
        for reader in 0..plan.readers {
            team.spawn(move || {
                (reader..).take_while(|_| scene.is_running()).for_each(|turn| {
                    // A panic in a clone, a filter or a visitor unwinds into the reader that runs
                    // it.
                    let _ = catch_unwind(AssertUnwindSafe(|| ask(scene, turn)));
                    scene.looked_up();
                });
            });
        }
        plan.rest(plan.length / 2);
        plan.until("the store is full, and every kind of panic has occurred", || {
            scene.store.stats().evicted.total() > 0 && places.iter().all(|place| thrown(*place) > 0)
        });
        scene.stop();
    });
    scene.settle(plan);
    let stats = scene.store.stats();
    if hooked {
        assert_eq!(
            counted.load(Relaxed),
            stats.evicted.total(),
            "the other hook did not see each eviction"
        );
    }
    // The store catches each panic in a key or a hook, and those panics in drops that happen in its
    // own calls.
    let (surely, drops) = (thrown(Trouble::Key) + thrown(Trouble::Hook), thrown(Trouble::Drop));
    assert!(
        (surely..=surely + drops).contains(&stats.caught_panics),
        "{surely} and up to {drops} panics: {stats:?}"
    );
    scene.end(plan).noting("caught panics", stats.caught_panics)
}

fn troubled(number: u64) -> Sample {
    let sample = Scene::ordinary(number);
    match number % 97 {
        3 => sample.troubled(Trouble::Key),
        5 => sample.troubled(Trouble::Clone),
        7 => sample.troubled(Trouble::Drop),
        _ => sample,
    }
}

fn ask(scene: &Scene, turn: u64) {
    let query = scene.store.query().key("key", turn % KEYS);
    let answered = match turn % 4 {
        0 => query.limit(20).collect().map(drop),
        1 => query
            .filter(|sample| if sample.number % 13 == 0 { injected(Trouble::Filter) } else { true })
            .count()
            .map(drop),
        2 => query
            .for_each(|_, sample| {
                if sample.number % 13 == 0 {
                    injected(Trouble::Visit)
                }
            })
            .map(drop),
        _ => query.par_collect().map(drop),
    };
    answered.expect("the query is valid");
}

/// Checks that impossible sizes are refused before anything is allocated.
fn refused_sizes() {
    for capacity in [usize::MAX, usize::MAX / size_of::<Sample>(), 1 << 40] {
        let refused = Store::<Sample>::builder().capacity(capacity).shards(1).build();
        assert!(matches!(refused, Err(BuildError::TooLarge { .. })), "{capacity} records");
    }
    let store = Store::<Sample>::builder().capacity(1).build().expect("one record is enough");
    assert!(store.evictions(usize::MAX).is_err());
}
