//! Peers behind function pointers, so that peers of different types fill the columns of one table.

use crate::check::check;
use crate::ingest::{Load, ingest};
use crate::peers::{
    Concurrent, Copying, Evicting, Locked, Peer, Plain, Private, Record, Sharded, Sqlite,
    copying_alone,
};
use crate::workload::Workload;
use slipring::Store;

/// The capacity of a store while its answers are checked. It fills 2, 4 or 8 shards evenly with
/// runs of 64 records, so that the records that the shards keep are the newest of all.
pub const CHECKED: usize = 8_192;

/// A store under a workload, or a limit of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// The name in tables.
    pub name: &'static str,
    /// Whether the store is too slow for the longer comparisons, which leave it out.
    pub slow: bool,
    /// Checks the answers of a store of this capacity, and panics if one is wrong.
    pub check: fn(usize),
    /// Measures records per second.
    pub ingest: fn(Load) -> f64,
}

impl Contender {
    /// Creates the contender for a peer under a workload.
    pub fn new<W: Workload, P: Peer<W::Record>>() -> Self {
        Self { name: P::NAME, slow: P::SLOW, check: check_under::<W, P>, ingest: ingest::<W, P> }
    }

    /// Creates the contender that only copies records, which limits the ingest of any store.
    fn copying<W: Workload<Record: Copy>>() -> Self {
        let ingest =
            |load| copying_alone(W::CAPACITY, load, |seed| W::records(seed).take(64).collect());
        Self { name: "memcpy", slow: false, check: |_| (), ingest }
    }
}

fn check_under<W: Workload, P: Peer<W::Record>>(capacity: usize) {
    check::<W::Record, P>(capacity, W::records(1));
}

/// Returns the contenders for records of fixed size: slipring first, then the peers with locks,
/// then the limits, then the others.
pub fn fixed<W: Workload<Record: Plain + Copy>>() -> Vec<Contender> {
    let mut all = lifelike::<W>();
    all.insert(4, Contender::copying::<W>());
    all.push(Contender::new::<W, Sqlite<_>>());
    all
}

/// Returns the contenders for records that own heap memory.
pub fn lifelike<W: Workload<Record: Record>>() -> Vec<Contender> {
    vec![
        Contender::new::<W, Store<_>>(),
        Contender::new::<W, Locked<_>>(),
        Contender::new::<W, Sharded<_>>(),
        Contender::new::<W, Private<_>>(),
        Contender::new::<W, Concurrent<_>>(),
        Contender::new::<W, Evicting<_>>(),
        Contender::new::<W, Copying<_>>(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Logs, Metrics, ShopLogs, ShopPoints, ShopSpans, Traces};

    /// A capacity small enough for a debug build: two runs of 64 in each of eight shards.
    const FEW: usize = 1_024;

    #[test]
    fn all_peers_give_right_answers() {
        let contenders = [fixed::<Traces>(), fixed::<Logs>(), fixed::<Metrics>()];
        contenders.iter().flatten().for_each(|contender| (contender.check)(FEW));
    }

    #[test]
    fn all_peers_give_right_answers_for_records_with_heap_memory() {
        let contenders =
            [lifelike::<ShopSpans>(), lifelike::<ShopLogs>(), lifelike::<ShopPoints>()];
        contenders.iter().flatten().for_each(|contender| (contender.check)(FEW));
    }

    #[test]
    fn all_peers_accept_records_from_several_producers() {
        let load = Load { producers: 3, batch: 7, length: std::time::Duration::from_millis(1) };
        for contender in fixed::<Traces>().iter().filter(|contender| !contender.slow) {
            assert!((contender.ingest)(load) > 0.0, "{}", contender.name);
        }
    }
}
