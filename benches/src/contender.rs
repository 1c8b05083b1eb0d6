//! Peers by name: a table's columns, whatever their types.

use crate::check::check;
use crate::ingest::{Load, ingest};
use crate::peers::{
    Concurrent, Copying, Evicting, Locked, Peer, Plain, Private, Record, Sharded, Sqlite,
    copying_alone,
};
use crate::workload::Workload;
use slipring::Store;

/// Records that a store keeps while it is checked. Runs of 64 fill 2, 4 or 8 shards of it evenly,
/// so that what each shard keeps are the newest records of all.
pub const CHECKED: usize = 8_192;

/// One store under one workload, or a limit.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// What tables call it.
    pub name: &'static str,
    /// Whether it is measured only where it has a chance.
    pub slow: bool,
    /// Panics if it gives wrong answers, with a store of this capacity.
    pub check: fn(usize),
    /// Records a second.
    pub ingest: fn(Load) -> f64,
}

impl Contender {
    /// This peer under this workload.
    pub fn new<W: Workload, P: Peer<W::Record>>() -> Self {
        Self { name: P::NAME, slow: P::SLOW, check: check_under::<W, P>, ingest: ingest::<W, P> }
    }

    /// Copying as a limit of ingest.
    fn copying<W: Workload<Record: Copy>>() -> Self {
        let ingest =
            |load| copying_alone(W::CAPACITY, load, |seed| W::records(seed).take(64).collect());
        Self { name: "memcpy", slow: false, check: |_| (), ingest }
    }
}

fn check_under<W: Workload, P: Peer<W::Record>>(capacity: usize) {
    check::<W::Record, P>(capacity, W::records(1));
}

/// All that take records of fixed size: slipring first, then the peers with a lock, then the
/// limits, then the others.
pub fn fixed<W: Workload<Record: Plain + Copy>>() -> Vec<Contender> {
    let mut all = lifelike::<W>();
    all.insert(4, Contender::copying::<W>());
    all.push(Contender::new::<W, Sqlite<_>>());
    all
}

/// All that take records with a heap.
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

    /// Small enough for a debug build: two runs of 64 in each of eight shards.
    const FEW: usize = 1_024;

    #[test]
    fn everybody_answers_right() {
        let contenders = [fixed::<Traces>(), fixed::<Logs>(), fixed::<Metrics>()];
        contenders.iter().flatten().for_each(|contender| (contender.check)(FEW));
    }

    #[test]
    fn everybody_answers_right_about_records_with_a_heap() {
        let contenders =
            [lifelike::<ShopSpans>(), lifelike::<ShopLogs>(), lifelike::<ShopPoints>()];
        contenders.iter().flatten().for_each(|contender| (contender.check)(FEW));
    }

    #[test]
    fn everybody_takes_records_from_several_producers() {
        let load = Load { producers: 3, batch: 7, length: std::time::Duration::from_millis(1) };
        for contender in fixed::<Traces>().iter().filter(|contender| !contender.slow) {
            assert!((contender.ingest)(load) > 0.0, "{}", contender.name);
        }
    }
}
