//! Measures what a push costs in larger stores, and with more or fewer distinct keys.

use super::{Options, amount};
use crate::check::check;
use crate::contender::CHECKED;
use crate::ingest::{Load, ingest_into};
use crate::peers::{Locked, Peer, Private};
use crate::process;
use crate::recent::Draws;
use crate::report::{Better, Part, Table};
use shop::fixed::{FixedMetric, FixedMetrics};
use slipring::{Index, Key, Signal, Store};
use std::time::Duration;

/// The number of distinct keys for each of the three indexes.
type Distinct = [u64; 3];

/// A record of 64 bytes with any number of distinct keys in each index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed {
    time: u64,
    keys: Distinct,
    rest: [u64; 4],
}

const _: () = assert!(size_of::<Keyed>() == 64);

impl Signal for Keyed {
    const NAME: &'static str = "keyed";
    type Indexes = [Index<Self>; 3];
    const INDEXES: Self::Indexes = [
        Index::new("first", |keyed| Some(Key::Int(keyed.keys[0]))),
        Index::new("second", |keyed| Some(Key::Int(keyed.keys[1]))),
        Index::new("third", |keyed| Some(Key::Int(keyed.keys[2]))),
    ];

    fn timestamp(&self) -> u64 {
        self.time
    }
}

/// Returns records whose keys are drawn uniformly, each from this many.
pub fn keyed(distinct: Distinct, seed: u64) -> impl Iterator<Item = Keyed> + Send {
    (1..).zip(Draws(seed)).map(move |(time, draw)| {
        // Use different bits for each index, so that the keys are independent.
        let key = |shift: u32, among: u64| ((draw >> shift & 0xFFFF_FFFF) * among) >> 32;
        Keyed {
            time,
            keys: [key(0, distinct[0]), key(32, distinct[1]), key(16, distinct[2])],
            rest: [draw; 4],
        }
    })
}

/// Runs the part.
pub fn run(options: &Options) -> Part {
    let mut sizes = Table::new(
        "growth-capacity",
        "A push, by capacity (records of 136 bytes)",
        "ns",
        Better::Less,
    )
    .along("capacity")
    .noting("One producer in a closed loop, until the indexes have settled.");
    let mut keys = Table::new("growth-keys", "A push, by distinct keys (records of 64 bytes)", "ns", Better::Less).noting(
        "Keys are drawn evenly; the other two indexes have 12 and 5 keys, but for the last row, where every record carries \
         the same three.",
    );
    check::<FixedMetric, Store<_>>(CHECKED, FixedMetrics::new(1));
    for distinct in [[1_000, 12, 5], [1, 1, 1]] {
        check::<Keyed, Store<_>>(CHECKED, keyed(distinct, 1));
        check::<Keyed, Locked<_>>(CHECKED, keyed(distinct, 1));
    }
    let capacities: &[usize] = options.either(
        &[1_000, 10_000, 100_000, 1_000_000],
        &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    );
    let capacities = capacities
        .iter()
        .copied()
        .filter(|capacity| has_room(*capacity * size_of::<FixedMetric>()));
    let capacity = options.either(200_000, 1_000_000);
    let kinds = [
        ("1 key", [1, 12, 5]),
        ("1K keys", [1_000, 12, 5]),
        ("1M keys", [1_000_000, 12, 5]),
        ("one key in each", [1, 1, 1]),
    ];
    options.rounds("growth", || {
        for capacity in capacities.clone() {
            let mut add = |column, nanos| sizes.add("", &amount(capacity), column, nanos);
            add(<Store<FixedMetric> as Peer<_>>::NAME, sized::<Store<_>>(options, capacity));
            add(<Private<FixedMetric> as Peer<_>>::NAME, sized::<Private<_>>(options, capacity));
        }
        let panel = format!("capacity {}", amount(capacity));
        for (case, distinct) in kinds {
            let mut add = |column, nanos| keys.add(&panel, case, column, nanos);
            add(
                <Store<Keyed> as Peer<_>>::NAME,
                with_keys::<Store<_>>(options, capacity, distinct),
            );
            add(
                <Locked<Keyed> as Peer<_>>::NAME,
                with_keys::<Locked<_>>(options, capacity, distinct),
            );
            add(
                <Private<Keyed> as Peer<_>>::NAME,
                with_keys::<Private<_>>(options, capacity, distinct),
            );
        }
    });
    options.part("growth", "Growth", vec![sizes, keys])
}

fn sized<P: Peer<FixedMetric>>(options: &Options, capacity: usize) -> f64 {
    1e9 / ingest_into::<FixedMetric, P, _>(capacity, load(options), FixedMetrics::new)
}

fn with_keys<P: Peer<Keyed>>(options: &Options, capacity: usize, distinct: Distinct) -> f64 {
    1e9 / ingest_into::<Keyed, P, _>(capacity, load(options), |seed| keyed(distinct, seed))
}

fn load(options: &Options) -> Load {
    let length = options.either(Duration::from_millis(80), Duration::from_millis(400));
    Load { producers: 1, batch: 1, length }
}

/// Returns whether a store of this size, with its slack and its indexes, leaves at least half of
/// the available memory free.
fn has_room(bytes: usize) -> bool {
    let room = process::available();
    let has = room == 0 || 4 * bytes as u64 <= room;
    if !has {
        eprintln!(
            "growth: {} MB of records would not leave enough memory to others",
            bytes / 1_000_000
        );
    }
    has
}
