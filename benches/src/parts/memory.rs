//! Measures memory: the indexes' size, allocations, and whether memory stays constant however often
//! a store is filled.

use super::Options;
use crate::alloc::counted;
use crate::ingest::filling;
use crate::peers::{Concurrent, Locked, Peer, Producer, Sharded};
use crate::process;
use crate::report::{Better, Part, Table};
use crate::workload::{Logs, Metrics, Traces, Workload};
use slipring::Store;

/// The number of times that a store is filled while its memory is watched.
const WRAPS: usize = 10;
const MIB: f64 = 1_048_576.0;

struct Tables {
    index: Table,
    heap: Table,
    pushes: Table,
    wraps: Table,
}

/// Runs the part.
pub fn run(options: &Options) -> Part {
    let mut tables = Tables {
        index: Table::new("memory-index", "Index memory by record, as the store counts it", "bytes", Better::Less)
            .uncompared(&["slot heads", "directories"])
            .noting("Slot heads (fingerprints, links, stamps) and directories, those of the slack's slots included."),
        heap: Table::new("memory-heap", "Memory by record beyond the record itself", "bytes", Better::Less).noting(
            "All that was allocated for a full store, less capacity × record size. slipring's includes its slack: an \
             eighth more slots than its capacity.",
        ),
        pushes: Table::new("memory-allocations", "Allocations by push into a full store", "allocations", Better::Less)
            .noting("On all threads."),
        wraps: Table::new("memory-wraps", "Resident memory, by how often the store was filled", "MiB", Better::Less)
            .along("times filled")
            .noting("Of the process, less what it had before."),
    };
    watch(&mut tables.wraps);
    one::<Traces>(&mut tables);
    one::<Logs>(&mut tables);
    one::<Metrics>(&mut tables);
    let Tables { index, heap, pushes, wraps } = tables;
    options.part("memory", "Memory", vec![index, heap, pushes, wraps])
}

fn one<W: Workload>(tables: &mut Tables) {
    eprintln!("memory: {}", W::NAME);
    by_index::<W>(&mut tables.index);
    heap::<W, Store<_>>(tables);
    heap::<W, Locked<_>>(tables);
    heap::<W, Sharded<_>>(tables);
    heap::<W, Concurrent<_>>(tables);
}

/// Keeps all stores until the last one has been measured.
fn watch(table: &mut Table) {
    eprintln!("memory: stores filled {WRAPS} times");
    let _ours: (Store<_>, Store<_>, Store<_>) =
        (wraps::<Traces, _>(table), wraps::<Logs, _>(table), wraps::<Metrics, _>(table));
    let _locked: (Locked<_>, Locked<_>, Locked<_>) =
        (wraps::<Traces, _>(table), wraps::<Logs, _>(table), wraps::<Metrics, _>(table));
}

fn by_index<W: Workload>(table: &mut Table) {
    let store: Store<W::Record> = Peer::new(W::CAPACITY, 1);
    push(&store, &mut W::records(1), 3 * W::CAPACITY);
    let stats = store.stats();
    let each = |bytes: u64| bytes as f64 / stats.capacity as f64;
    let directories: u64 = stats.indexes.iter().map(|index| index.directory_bytes).sum();
    table.add(W::NAME, "", "slipring", each(stats.index_memory_bytes));
    table.add(W::NAME, "", "slot heads", each(stats.index_memory_bytes - directories));
    table.add(W::NAME, "", "directories", each(directories));
}

/// Measures heap bytes and allocations.
fn heap<W: Workload, P: Peer<W::Record>>(tables: &mut Tables) {
    let mut records = W::records(1);
    let (store, made) = counted(|| {
        let store = P::new(W::CAPACITY, 1);
        push(&store, &mut records, filling::<W::Record, P>(W::CAPACITY));
        store
    });
    let beyond = made.bytes as f64 / W::CAPACITY as f64 - size_of::<W::Record>() as f64;
    tables.heap.add(W::NAME, "", P::NAME, beyond);
    // By now, growing lists and directories have reached their final sizes.
    push(&store, &mut records, 2 * W::CAPACITY);
    let pushes = 5 * W::CAPACITY;
    let ((), pushed) = counted(|| push(&store, &mut records, pushes));
    tables.pushes.add(W::NAME, "", P::NAME, pushed.times as f64 / pushes as f64);
}

/// Returns the store, because memory that it freed would be reused by the next store and not show.
fn wraps<W: Workload, P: Peer<W::Record>>(table: &mut Table) -> P {
    let before = process::resident();
    let store = P::new(W::CAPACITY, 1);
    let mut records = W::records(1);
    for wrap in 1..=WRAPS {
        push(&store, &mut records, W::CAPACITY);
        let mebibytes = (process::resident() as f64 - before as f64) / MIB;
        table.add(W::NAME, &wrap.to_string(), P::NAME, mebibytes);
    }
    store
}

fn push<T: crate::peers::Record>(
    store: &impl Peer<T>,
    records: &mut impl Iterator<Item = T>,
    count: usize,
) {
    let mut producer = store.producer(0);
    records.take(count).for_each(|record| producer.push(record));
    store.settle();
}
