//! Reading real spans: a whole trace, and one attribute of every span, as a number and as a text.

use super::Options;
use super::otlp::{Load, telemetry};
use crate::clock::Ticks;
use crate::report::{Better, Shown, Table};
use bytes::Bytes;
use slipring::otlp::{Encoding, Kind};
use slipring::{Key, Match, Span, Store};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Spans of the trace that is looked up, or as near as there is one.
const TRACE: u64 = 45;
/// Spans of which one attribute is compared.
const SPANS: usize = 100_000;

/// A store that holds these spans, brought `times` times.
fn filled(load: &Load, times: usize) -> Store<Span> {
    // A shard may get more than its part of what is pushed.
    let all = telemetry(2 * times * load.records);
    for body in std::iter::repeat_n(&load.bodies, times).flatten() {
        all.ingest(Kind::Traces, Encoding::Protobuf, Bytes::clone(body)).expect("it is a request");
    }
    all.flush().expect("nobody is inside a hook");
    all.traces().clone()
}

/// Microseconds that it takes, at the median.
fn time(ticks: &Ticks, length: Duration, ask: impl Fn() -> usize) -> f64 {
    let mut times = ticks.times();
    let started = Instant::now();
    while started.elapsed() < length {
        let begun = ticks.now();
        black_box(ask());
        times.note(begun, ticks.now());
    }
    times.quantiles().p50 / 1e3
}

/// Measures it, if there are real spans.
pub(super) fn table(options: &Options) -> Option<Table> {
    let load = Load::corpus(Kind::Traces, "spans")?;
    let mut table = Table::new("otlp-reads", "Reading real spans", "µs", Better::Less)
        .shown(Shown::Listed)
        .noting(
            "One thread, at rest. The spans of the trace are copied out, which shares their bytes.",
        );
    let once = filled(&load, 1);
    let traces = once.key_counts("trace").expect("spans have this index");
    let trace = traces.iter().min_by_key(|trace| trace.count.abs_diff(TRACE))?;
    let many = filled(&load, SPANS.div_ceil(load.records));
    let compared = many.len();
    let text = || many.query().attribute("k8s.pod.name", Match::reads("no-such-pod")).count();
    let attribute = || many.query().attribute("duration.us", Match::above(1e6)).count();
    assert!(attribute().expect("it can be asked") > 0, "real spans have this attribute");
    let ticks = Ticks::new();
    let length = options.either(Duration::from_millis(100), Duration::from_millis(400));
    options.rounds("reading real spans", || {
        let found = || {
            let found = once.query().key("trace", Key::from(&trace.key)).collect();
            found.expect("spans have this index").records.len()
        };
        assert_eq!(found() as u64, trace.count);
        let mut add = |row: String, figure| table.add("real spans", &row, "slipring", figure);
        add(
            format!("a trace of {} spans, found and handed over", trace.count),
            time(&ticks, length, found),
        );
        add(
            format!("one attribute compared in {compared} spans"),
            time(&ticks, length, || attribute().expect("it can be asked")),
        );
        add(
            format!("a text that no attribute has, looked for in {compared} spans"),
            time(&ticks, length, || text().expect("it can be asked")),
        );
    });
    Some(table)
}
