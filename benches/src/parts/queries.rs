//! Measures every form of query in stores of several sizes, beside a scan that gives the same
//! answer.

use super::{Options, amount};
use crate::clock::Ticks;
use crate::process;
use crate::report::{Better, Part, Shown, Table};
use crate::workload::{ShopLogs, ShopPoints, ShopSpans, Workload};
use slipring::Indexes as _;
use slipring::query::By;
use slipring::span::StatusCode;
use slipring::trace::TraceOrder;
use slipring::{
    Index, Key, KeyBuf, LogRecord, Match, MetricPoint, Order, Query, Severity, Signal, Span, Store,
    TraceId,
};
use std::cell::Cell;
use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

/// A query that returns the number of records, keys or traces in its answer.
type Ask<'a> = Box<dyn Fn() -> usize + 'a>;

struct Form<'a> {
    name: &'static str,
    query: Ask<'a>,
    /// The same query by a scan of every record, for queries that an index or a time range speeds
    /// up.
    scan: Option<Ask<'a>>,
}

fn form<'a>(
    name: &'static str,
    query: impl Fn() -> usize + 'a,
    scan: impl Fn() -> usize + 'a,
) -> Form<'a> {
    Form { name, query: Box::new(query), scan: Some(Box::new(scan)) }
}

/// Creates a form without a scan: a query that reads every record, or only the newest ones.
fn plain<'a>(name: &'static str, query: impl Fn() -> usize + 'a) -> Form<'a> {
    Form { name, query: Box::new(query), scan: None }
}

/// Runs the part.
pub fn run(options: &Options) -> Part {
    let mut table = Table::new("queries", "Forms of query, and a scan that answers the same", "µs", Better::Less)
        .shown(Shown::Listed)
        .noting("The shop's spans, log records and metric points, copied out where a query gives records. One thread, at rest.")
        .noting("Both give the same numbers of answers, which is checked before they are timed.");
    let sizes: &[usize] =
        options.either(&[1_000, 10_000, 100_000], &[1_000, 10_000, 100_000, 1_000_000]);
    let ticks = Ticks::new();
    for &size in sizes {
        let needed = size as u64 * 8 * 1024;
        if process::available() != 0 && process::available() < needed {
            eprintln!("queries: {} records would not leave enough memory to others", amount(size));
            continue;
        }
        let traces = filled::<ShopSpans>(size);
        let mut ids = Vec::new();
        traces
            .query()
            .limit(16_384)
            .for_each(|_, span| ids.push(span.trace_id()))
            .expect("the query is valid");
        measure(options, &ticks, &mut table, size, &of_spans(&traces, &Facts::of(&traces), &ids));
        drop(traces);
        let logs = filled::<ShopLogs>(size);
        measure(options, &ticks, &mut table, size, &of_logs(&logs));
        drop(logs);
        let metrics = filled::<ShopPoints>(size);
        measure(options, &ticks, &mut table, size, &of_points(&metrics, &Facts::of(&metrics)));
    }
    options.part("queries", "Queries", vec![table])
}

fn filled<W: Workload>(size: usize) -> Store<W::Record> {
    let store = Store::builder().capacity(size).build().expect("the capacity is valid");
    // Push more than the capacity, so that the store has evicted.
    let mut records = W::records(1);
    for _ in 0..(size + size / 2).div_ceil(256) {
        store
            .push_batch(records.by_ref().take(256).collect())
            .map_err(|error| error.reason)
            .expect("the store is open");
    }
    store.flush().expect("flush is not called inside a hook");
    store
}

fn measure(options: &Options, ticks: &Ticks, table: &mut Table, size: usize, forms: &[Form<'_>]) {
    for Form { name, query, scan } in forms {
        if let Some(scan) = scan {
            assert_eq!(query(), scan(), "{name}, {}", amount(size));
        }
    }
    let length = options.either(Duration::from_millis(10), Duration::from_millis(40));
    let panel = format!("{} records", amount(size));
    options.rounds(&format!("queries, {panel}"), || {
        for Form { name, query, scan } in forms {
            table.add(&panel, name, "query", time(ticks, length, query));
            if let Some(scan) = scan {
                table.add(&panel, name, "scan", time(ticks, length, scan));
            }
        }
    });
}

/// Measures the median time of a query, in microseconds.
fn time(ticks: &Ticks, length: Duration, ask: &Ask<'_>) -> f64 {
    let mut times = ticks.times();
    let started = Instant::now();
    while started.elapsed() < length {
        let begun = ticks.now();
        black_box(ask());
        times.note(begun, ticks.now());
    }
    times.quantiles().p50 / 1e3
}

/// Keys and times of a store's records, for use in queries.
struct Facts {
    /// The keys with the most records, by index.
    common: Vec<KeyBuf>,
    rare: Vec<KeyBuf>,
    /// The range of times, in the middle of all times, that contains a hundredth of the records.
    times: Range<u64>,
}

impl Facts {
    fn of<T: Signal + Clone>(store: &Store<T>) -> Self {
        let mut times: Vec<u64> = Vec::with_capacity(store.len());
        store
            .query()
            .for_each(|_, record| times.push(record.timestamp()))
            .expect("the query is valid");
        times.sort_unstable();
        let (middle, hundredth) = (times.len() / 2, times.len() / 100);
        let keys = |index: &Index<T>| {
            store.key_counts(index.name()).expect("the signal has this index").into_iter()
        };
        let indexes = T::INDEXES;
        let key = |key: Option<slipring::query::KeyCount>| {
            key.expect("the shop's records have keys in every index").key
        };
        Self {
            common: indexes.as_slice().iter().map(|index| key(keys(index).next())).collect(),
            rare: indexes.as_slice().iter().map(|index| key(keys(index).next_back())).collect(),
            times: times[middle]..times[middle + hundredth],
        }
    }
}

fn count<T: Signal>(query: Query<'_, T>) -> usize {
    query.count().expect("the query is valid")
}

fn copied<T: Signal + Clone>(query: Query<'_, T>) -> usize {
    black_box(query.collect().expect("the query is valid")).len()
}

/// Returns a test for whether a record has this key.
fn has_key<'a, T: Signal>(index: usize, key: Key<'a>) -> impl Fn(&T) -> bool + Send + Sync + 'a {
    move |record| T::INDEXES.as_slice()[index].key(record) == Some(key)
}

/// Returns the elements one after the other, in an order that defeats the cache.
fn each_of<T: Copy>(all: &[T]) -> impl Fn() -> T {
    let next = Cell::new(1_u64);
    move || {
        let number = next.get().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        next.set(next.get() + 1);
        all[(number >> 32) as usize % all.len()]
    }
}

const SPANS: [usize; 3] = [0, 1, 2];

fn of_spans<'a>(store: &'a Store<Span>, facts: &'a Facts, traces: &'a [TraceId]) -> Vec<Form<'a>> {
    let [_, service, name] = SPANS;
    let (busy, rare, times) =
        (facts.common[service].as_key(), facts.rare[name].as_key(), &facts.times);
    let ask = || store.query();
    let (one, same, whole) = (each_of(traces), each_of(traces), each_of(traces));
    let page =
        ask().key("service", busy).limit(100).collect().expect("the query is valid").report.next;
    let page = page.expect("there is more than one page");
    // A bookmark from before the newest thousandth of the records.
    let before = ask().since(&store.beginning()).limit(store.len() - store.len() / 1_000);
    let bookmark = before
        .for_each(|_, _| ())
        .expect("the query is valid")
        .bookmark
        .expect("a query with `since` returns a bookmark");
    let slow = |span: &Span| span.duration() > 500_000_000;
    let is_post = |span: &Span| {
        span.attributes().get("http.request.method").and_then(|value| value.as_str())
            == Some("POST")
    };
    vec![
        form(
            "a trace",
            move || copied(ask().key("trace", one())),
            move || {
                let id = same();
                copied(ask().filter(move |span| span.trace_id() == id))
            },
        ),
        plain("a trace, assembled", move || {
            store.trace(whole()).expect("the store holds the trace").spans.len()
        }),
        form(
            "the rarest name",
            move || copied(ask().key("name", rare)),
            move || copied(ask().filter(has_key(name, rare))),
        ),
        form(
            "the busiest service, counted",
            move || count(ask().key("service", busy)),
            move || count(ask().filter(has_key(service, busy))),
        ),
        form(
            "a service and a name, counted",
            move || count(ask().key("service", busy).key("name", rare)),
            move || count(ask().filter(has_key(service, busy)).filter(has_key(name, rare))),
        ),
        form(
            "any of two names, counted",
            move || count(ask().any_of("name", [rare, facts.common[name].as_key()])),
            {
                let common = facts.common[name].as_key();
                move || {
                    count(ask().filter(move |span| {
                        has_key(name, rare)(span) || has_key(name, common)(span)
                    }))
                }
            },
        ),
        form(
            "a hundredth of the time, counted",
            move || count(ask().between(times.clone())),
            move || count(ask().filter(move |span| times.contains(&span.timestamp()))),
        ),
        form(
            "a service in that time, counted",
            move || count(ask().key("service", busy).between(times.clone())),
            move || {
                count(
                    ask()
                        .filter(has_key(service, busy))
                        .filter(move |span| times.contains(&span.timestamp())),
                )
            },
        ),
        form(
            "the newest 100 of a service",
            move || copied(ask().key("service", busy).limit(100)),
            move || copied(ask().filter(has_key(service, busy)).limit(100)),
        ),
        form(
            "the newest 100 of a rare name",
            move || copied(ask().key("name", rare).limit(100)),
            move || copied(ask().filter(has_key(name, rare)).limit(100)),
        ),
        form(
            "the oldest 100 of a rare name",
            move || copied(ask().key("name", rare).order(Order::Oldest).limit(100)),
            move || copied(ask().filter(has_key(name, rare)).order(Order::Oldest).limit(100)),
        ),
        form(
            "the latest 100 of a rare name",
            move || copied(ask().key("name", rare).order(Order::Latest).limit(100)),
            move || copied(ask().filter(has_key(name, rare)).order(Order::Latest).limit(100)),
        ),
        plain("the second page of a service", move || {
            copied(ask().key("service", busy).after(&page).limit(100))
        }),
        plain("the newest 100", move || copied(ask().limit(100))),
        plain("what came since a bookmark", move || copied(ask().since(&bookmark))),
        form(
            "the rarest name, slower than 500 ms",
            move || count(ask().key("name", rare).duration(500_000_001..)),
            move || count(ask().filter(has_key(name, rare)).filter(slow)),
        ),
        plain("slower than 500 ms, counted", move || count(ask().duration(500_000_001..))),
        plain("failed, counted", move || count(ask().status(StatusCode::Error))),
        form(
            "an attribute, of the rarest name",
            move || {
                count(
                    ask().key("name", rare).attribute("http.request.method", Match::equals("POST")),
                )
            },
            move || count(ask().filter(has_key(name, rare)).filter(is_post)),
        ),
        plain("an attribute, counted", move || {
            count(ask().attribute("http.request.method", Match::equals("POST")))
        }),
        plain("a pattern in an attribute, counted", move || {
            count(ask().attribute("url.path", Match::like("/api/*")))
        }),
        plain("quantiles of duration, by name", move || {
            let groups = ask().group(By::index("name"), |span| Some(span.duration() as f64));
            groups.expect("the query is valid").groups.len()
        }),
        plain("the slowest 20 traces", move || {
            ask()
                .traces()
                .order(TraceOrder::Slowest)
                .limit(20)
                .collect()
                .expect("the query is valid")
                .len()
        }),
        plain("who calls whom", move || {
            ask().service_graph().expect("the query is valid").calls.len()
        }),
        plain("the services", move || store.keys("service").expect("there is such an index").len()),
        plain("the services with counts", move || {
            store.key_counts("service").expect("there is such an index").len()
        }),
    ]
}

fn of_logs(store: &Store<LogRecord>) -> Vec<Form<'_>> {
    let ask = || store.query();
    let is_error = |log: &LogRecord| log.severity() >= Severity::ERROR;
    vec![
        form(
            "log records from ERROR on, counted",
            move || count(ask().severity_at_least(Severity::ERROR)),
            move || count(ask().filter(is_error)),
        ),
        form(
            "the newest 100 from ERROR on",
            move || copied(ask().severity_at_least(Severity::ERROR).limit(100)),
            move || copied(ask().filter(is_error).limit(100)),
        ),
    ]
}

fn of_points<'a>(store: &'a Store<MetricPoint>, facts: &'a Facts) -> Vec<Form<'a>> {
    let rare = facts.rare[0].as_key();
    let ask = || store.query();
    let series = |query: Query<'_, MetricPoint>| query.series().expect("the query is valid").len();
    vec![form(
        "the series of a metric",
        move || series(ask().key("name", rare)),
        move || series(ask().filter(has_key(0, rare))),
    )]
}
