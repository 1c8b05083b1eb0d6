//! Benchmarks pushes into full stores and lookups in them, by one thread.

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use shop::fixed::{FixedLogs, FixedMetrics, FixedSpan, FixedSpans, SPANS_PER_TRACE};
use slipring::{KeyBuf, LogRecord, MetricPoint, Severity, Signal, Span, Store};
use slipring_benches::stretch::{full, timed};

const BATCH: usize = 100;
/// The number of records that are created at a time: half a mebibyte of spans.
const STRETCH: usize = 1_000;
const ERRORS: usize = 100;

criterion_group!(benches, pushes, lookups);
criterion_main!(benches);

fn pushes(criterion: &mut Criterion) {
    pushes_of(criterion, Span::DEFAULT_CAPACITY, FixedSpans::new(1));
    pushes_of(criterion, LogRecord::DEFAULT_CAPACITY, FixedLogs::new(1));
    pushes_of(criterion, MetricPoint::DEFAULT_CAPACITY, FixedMetrics::new(1));
}

fn pushes_of<T: Signal>(
    criterion: &mut Criterion,
    capacity: usize,
    mut records: impl Iterator<Item = T>,
) {
    let store = full(capacity, &mut records);
    let mut next = || records.next().expect("the generators never end");
    let push = |record| {
        store.push(record).expect("a store that waits when full rejects nothing");
    };
    let mut group = criterion.benchmark_group("push");
    group.throughput(Throughput::Elements(1));
    // The cost to a producer while the indexer has a core to itself.
    group.bench_function(BenchmarkId::new("single", T::NAME), |bencher| {
        bencher.iter_custom(|count| {
            timed(count, STRETCH, &mut next, |records| records.into_iter().for_each(push))
        });
    });
    // The total cost of a record: the flush waits for the indexer, and helps it.
    group.bench_function(BenchmarkId::new("single, indexed", T::NAME), |bencher| {
        bencher.iter_custom(|count| {
            timed(count, STRETCH, &mut next, |records| {
                records.into_iter().for_each(push);
                store.flush().expect("flush is not called inside a hook");
            })
        });
    });
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(BenchmarkId::new(format!("batch of {BATCH}"), T::NAME), |bencher| {
        let mut batch = || (0..BATCH).map(|_| next()).collect();
        let push = |batch| {
            store.push_batch(batch).expect("a store that waits when full rejects nothing");
        };
        bencher.iter_custom(|count| {
            timed(count, STRETCH / BATCH, &mut batch, |all| all.into_iter().for_each(push))
        });
    });
}

fn lookups(criterion: &mut Criterion) {
    let spans = full(Span::DEFAULT_CAPACITY, &mut FixedSpans::new(1));
    let logs = full(LogRecord::DEFAULT_CAPACITY, &mut FixedLogs::new(1));
    let metrics = full(MetricPoint::DEFAULT_CAPACITY, &mut FixedMetrics::new(1));

    let group = &mut criterion.benchmark_group("lookup");
    group.throughput(Throughput::Elements(SPANS_PER_TRACE.into()));
    // Iterate over the traces, since a single trace would always be in the cache.
    let traces = whole_traces(&spans);
    let mut traces = traces.iter().cycle();
    group.bench_function(format!("trace of {SPANS_PER_TRACE} spans"), |bencher| {
        bencher.iter(|| {
            spans.query().key("trace", traces.next().expect("the iterator is endless")).collect()
        });
    });
    group.throughput(Throughput::Elements(ERRORS as u64));
    group.bench_function(format!("last {ERRORS} errors"), |bencher| {
        bencher.iter(|| logs.query().key("severity", Severity::ERROR).limit(ERRORS).collect());
    });
    services(group, &spans);
    services(group, &logs);
    services(group, &metrics);
}

/// Benchmarks the list of services, with and without counts. Counting takes a scan, so its
/// throughput is in records looked at.
fn services<T: Signal>(group: &mut BenchmarkGroup<'_, WallTime>, store: &Store<T>) {
    group.throughput(Throughput::Elements(store.len() as u64));
    group.bench_function(BenchmarkId::new("services, counted", T::NAME), |bencher| {
        bencher.iter(|| store.key_counts("service"))
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("services", T::NAME), |bencher| {
        bencher.iter(|| store.keys("service"))
    });
}

fn whole_traces(spans: &Store<FixedSpan>) -> Vec<KeyBuf> {
    let traces = spans.key_counts("trace").expect("spans have this index");
    let whole = traces.into_iter().filter(|trace| trace.count == u64::from(SPANS_PER_TRACE));
    let whole: Vec<_> = whole.map(|trace| trace.key).collect();
    assert!(whole.len() > 100, "a full store has only {} whole traces", whole.len());
    whole
}
