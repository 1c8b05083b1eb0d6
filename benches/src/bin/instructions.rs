//! Workloads whose instructions `callgrind` counts: see `benches/instructions`, which runs this.
//!
//! `instructions <scenario> <operations>` runs everything but the operations outside of
//! [`measured`], so that counting can be limited to that function. Stores are manual: this thread
//! runs the indexer's steps, at known moments.
//!
//! A store seeds its fingerprints at random, and the number of collisions in a directory depends on
//! the seed. So the operations are split over several stores, which evens this out.

use bytes::Bytes;
use shop::Shop;
use shop::fixed::{FixedSpan, FixedSpans, SPANS_PER_TRACE};
use slipring::otlp::{Encoding, Kind, encode};
use slipring::{Key, KeyBuf, Signal, Store, Telemetry};
use std::process::ExitCode;
use std::sync::OnceLock;

/// The number of stores over which operations are split, each with its own seed.
const STORES: usize = 16;
const CAPACITY: usize = 10_000;
/// Fixed, so that the machine's number of cores does not affect the counts.
const SHARDS: usize = 4;
/// The number of records between two steps, fewer than the slack, so that no push finds its shard
/// full.
const STRETCH: usize = 400;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let scenario = arguments.next();
    let operations = arguments.next().and_then(|number| number.parse::<usize>().ok());
    let run: fn(usize) = match scenario.as_deref() {
        Some("push") => push,
        Some("index") => index,
        Some("evict") => evict,
        Some("lookup") => lookup,
        Some("keys") => keys,
        Some("spans") => |operations| ingest(Kind::Traces, operations),
        Some("logs") => |operations| ingest(Kind::Logs, operations),
        Some("points") => |operations| ingest(Kind::Metrics, operations),
        _ => return help(),
    };
    let Some(operations) =
        operations.filter(|operations| operations.is_multiple_of(STORES * STRETCH))
    else {
        return help();
    };
    (0..STORES).for_each(|_| run(operations / STORES));
    ExitCode::SUCCESS
}

fn help() -> ExitCode {
    eprintln!(
        "instructions push|index|evict|lookup|keys|spans|logs|points <a multiple of {}>",
        STORES * STRETCH
    );
    ExitCode::from(2)
}

/// Runs the work that is counted. The script refers to this function by its name.
#[inline(never)]
fn measured<R>(work: impl FnOnce() -> R) -> R {
    work()
}

fn store(capacity: usize) -> Store<FixedSpan> {
    Store::builder()
        .capacity(capacity)
        .shards(SHARDS)
        .manual()
        .build()
        .expect("the settings are valid")
}

fn push_all(store: &Store<FixedSpan>, spans: impl IntoIterator<Item = FixedSpan>) {
    for span in spans {
        store.push(span).expect("there is room");
    }
}

fn step_all(store: &Store<FixedSpan>) {
    while store.step() {}
}

/// Returns a full store whose records are indexed, and the spans that follow.
fn full() -> (Store<FixedSpan>, FixedSpans) {
    let (store, mut spans) = (store(CAPACITY), FixedSpans::new(1));
    for _ in 0..2 * CAPACITY / STRETCH {
        push_all(&store, spans.by_ref().take(STRETCH));
        step_all(&store);
    }
    (store, spans)
}

/// Pushes existing spans into a full store that has room again.
fn push(operations: usize) {
    let (store, mut spans) = full();
    for _ in 0..operations / STRETCH {
        let ready: Vec<FixedSpan> = spans.by_ref().take(STRETCH).collect();
        measured(|| push_all(&store, ready));
        step_all(&store);
    }
}

/// Runs steps that index into a store that is not full, so that they evict nothing.
fn index(operations: usize) {
    let (store, mut spans) = (store(operations.max(CAPACITY)), FixedSpans::new(1));
    for _ in 0..operations / STRETCH {
        push_all(&store, spans.by_ref().take(STRETCH));
        measured(|| step_all(&store));
    }
}

/// Runs steps that index and evict equally many records.
fn evict(operations: usize) {
    let (store, mut spans) = full();
    for _ in 0..operations / STRETCH {
        push_all(&store, spans.by_ref().take(STRETCH));
        measured(|| step_all(&store));
    }
}

/// Looks up whole traces, one after the other.
fn lookup(operations: usize) {
    let (store, _) = full();
    let traces = store.key_counts("trace").expect("spans have this index");
    let mut traces: Vec<KeyBuf> = traces
        .into_iter()
        .filter(|trace| trace.count == u64::from(SPANS_PER_TRACE))
        .map(|trace| trace.key)
        .collect();
    // Order the traces by time instead of by id.
    traces.sort_by_key(|trace| {
        store
            .query()
            .key("trace", trace)
            .limit(1)
            .collect()
            .map_or(0, |newest| newest.iter().map(Signal::timestamp).max().unwrap_or(0))
    });
    let questions: Vec<Key<'_>> =
        traces.iter().map(KeyBuf::as_key).cycle().take(operations).collect();
    let found = measured(|| questions.iter().map(|key| spans_of(&store, *key)).sum::<u64>());
    assert_eq!(found, operations as u64 * u64::from(SPANS_PER_TRACE));
}

/// Lists the services.
fn keys(operations: usize) {
    let (store, _) = full();
    measured(|| {
        for _ in 0..operations {
            let services = store.keys("service").expect("spans have this index");
            assert!(!services.is_empty());
        }
    });
}

/// Reads a field of each span, so that the records are loaded.
fn spans_of(store: &Store<FixedSpan>, trace: Key<'_>) -> u64 {
    let mut spans = 0;
    let shown =
        store.query().key("trace", trace).for_each(|_, span| spans += u64::from(span.time > 0));
    shown.expect("spans have this index");
    spans
}

/// Requests of the shop's, of [`STRETCH`] records each.
fn requests(kind: Kind) -> &'static [Bytes] {
    static REQUESTS: OnceLock<Vec<Bytes>> = OnceLock::new();
    let make = |shop: &mut Shop| match kind {
        Kind::Traces => encode(&shop.spans().take(STRETCH).collect::<Vec<_>>(), Encoding::Protobuf),
        Kind::Logs => encode(&shop.logs().take(STRETCH).collect::<Vec<_>>(), Encoding::Protobuf),
        _ => encode(&shop.points().take(STRETCH).collect::<Vec<_>>(), Encoding::Protobuf),
    };
    REQUESTS.get_or_init(|| {
        let mut shop = Shop::new(1);
        (0..8).map(|_| make(&mut shop).into()).collect()
    })
}

/// Requests in protobuf until their records can be queried, in full stores: everything that the
/// indexer does is done by the pushes.
fn ingest(kind: Kind, operations: usize) {
    let capacity = CAPACITY / 4;
    let stores = Telemetry::builder().traces(capacity).logs(capacity).metrics(capacity);
    let stores = stores.shards(SHARDS).manual().build().expect("the layout is a fair one");
    let mut requests = requests(kind).iter().cycle();
    let mut take = |count: usize| {
        for body in requests.by_ref().take(count) {
            stores.ingest(kind, Encoding::Protobuf, body.clone()).expect("it is a request");
        }
    };
    take(2 * capacity / STRETCH);
    measured(|| take(operations / STRETCH));
}
