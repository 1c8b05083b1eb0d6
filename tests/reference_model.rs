//! Compares the store with its reference model: after every call, every lookup gives the same
//! answer, and the invariants hold.

mod model;

use model::{Ask, Operation, Pair, Retention, Shape};
use proptest::prelude::*;

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => (any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(trace, service, name)| Operation::Push { trace, service, name }),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(records, trace)| Operation::Batch { records, trace }),
        3 => (0u8..8).prop_map(|quarters| Operation::Step { quarters }),
        1 => Just(Operation::Flush),
        1 => Just(Operation::Clear),
        1 => (any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(index, key, limit)| Operation::Lookup { index, key, limit }),
        4 => ask().prop_map(Operation::Ask),
        2 => Just(Operation::Bookmark),
        1 => any::<u8>().prop_map(|back| Operation::Get { back }),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(back, pushes)| Operation::Visit { back, pushes }),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    (
        any::<u8>(),
        any::<[u8; 3]>(),
        any::<(u8, u8)>(),
        any::<u8>(),
        any::<u8>(),
        any::<u8>(),
        any::<u8>(),
    )
        .prop_map(|(conditions, keys, time, order, limit, since, until)| Ask {
            conditions,
            keys,
            time,
            order,
            limit,
            since,
            until,
        })
}

fn shape(narrow: bool) -> impl Strategy<Value = Shape> {
    (0u8..64, 0u8..4, 0u8..8, retention()).prop_map(move |(capacity, shards, slack, retention)| {
        Shape { capacity, shards, slack, narrow, retention }
    })
}

fn retention() -> impl Strategy<Value = Retention> {
    let some = |most: u8| prop_oneof![Just(0), 1..most];
    (some(64), some(5), some(16)).prop_map(|(bytes, hours, class)| Retention {
        bytes,
        hours,
        class,
    })
}

/// Repeats the calls until the store has wrapped ten times.
fn run(shape: Shape, operations: &[Operation]) {
    let mut pair = Pair::new(shape);
    let enough = 10 * pair.capacity() + 1;
    while pair.pushes() < enough {
        for &operation in operations {
            pair.apply(operation);
            pair.compare();
        }
        pair.apply(Operation::Batch { records: 7, trace: 3 });
    }
    pair.compare();
    pair.finish();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_equals_the_models(shape in shape(false), operations in prop::collection::vec(operation(), 1..60)) {
        run(shape, &operations);
    }

    #[test]
    fn every_answer_equals_the_models_when_fingerprints_collide(shape in shape(true), operations in prop::collection::vec(operation(), 1..60)) {
        run(shape, &operations);
    }
}
