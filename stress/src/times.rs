//! A phase with unusual timestamps.

use crate::sample::Sample;
use crate::scene::{KEYS, Outcome, Plan, Scene};
use crate::team::team;
use slipring::{Order, Store};
use std::ops::RangeInclusive;

/// Returns a timestamp: zero, equal to others, decreasing, jumping, or at either end of the range.
fn time(number: u64) -> u64 {
    let count = number & 0xFFFF_FFFF;
    match number % 8 {
        0 => 0,
        1 => u64::MAX,
        2 => 1_700_000_000_000_000_000,
        3 => u64::MAX - count,
        4 => count,
        5 => count.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        6 => u64::MAX / 2,
        _ => 1,
    }
}

const RANGES: [RangeInclusive<u64>; 6] = [
    0..=0,
    0..=1,
    u64::MAX..=u64::MAX,
    1_700_000_000_000_000_000..=1_700_000_000_000_000_000,
    2..=u64::MAX / 2,
    u64::MAX / 2 + 1..=u64::MAX - 1,
];

pub fn times(plan: &Plan) -> Outcome {
    let scene =
        Scene::<0>::new(Store::builder().capacity(plan.capacity)).expect("the settings are valid");
    team(|team| {
        let scene = &scene;
        for producer in 0..plan.producers {
            team.spawn(move || {
                scene.produce(producer, |number| {
                    Sample::new(number, number % KEYS, "timed", time(number))
                });
            });
        }
        for reader in 0..plan.readers {
            team.spawn(move || {
                (reader..).take_while(|_| scene.is_running()).for_each(|turn| {
                    let range = &RANGES[turn as usize % RANGES.len()];
                    for order in [Order::Latest, Order::Earliest] {
                        let query =
                            scene.store.query().key("key", turn % KEYS).between(range.clone());
                        let answer =
                            query.order(order).limit(50).collect().expect("the query is valid");
                        assert!(
                            answer
                                .iter()
                                .all(|sample| sample.is_whole() && range.contains(&sample.time))
                        );
                        let times = answer.iter().map(|sample| sample.time);
                        match order {
                            Order::Latest => assert!(times.is_sorted_by(|a, b| a >= b)),
                            _ => assert!(times.is_sorted()),
                        }
                    }
                    scene.looked_up();
                });
            });
        }
        scene.rest(plan);
        scene.stop();
    });
    for range in RANGES {
        let between =
            scene.store.query().between(range.clone()).count().expect("the query is valid");
        let looked = scene
            .store
            .query()
            .filter(|sample| range.contains(&sample.time))
            .count()
            .expect("the query is valid");
        assert_eq!(between, looked, "records between {range:?}");
    }
    scene.end(plan)
}
