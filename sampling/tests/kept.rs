//! The store of kept traces: what it holds, evicts and refuses.

mod support;

use slipring::otlp::{Encoding, Kind, Request};
use slipring::{Span, Store};
use slipring_sampling::{Kept, KeptSettings, Policy, Rule, Sampler, Settings};
use std::time::{Duration, Instant};
use support::{Made, trace};

struct Run {
    sampler: Sampler,
    kept: Kept,
    start: Instant,
}

fn run(limit: impl FnOnce(&mut KeptSettings)) -> Run {
    let mut settings = Settings::default();
    settings.policies = vec![Policy::new("some", Rule::Probability(0.5))];
    settings.policies[0].rule = Rule::Always;
    let sampler = Sampler::new(&settings).unwrap();
    let mut kept = KeptSettings::default();
    limit(&mut kept);
    let kept = Kept::new(&kept, sampler.ledger());
    Run { sampler, kept, start: Instant::now() }
}

impl Run {
    fn add(&mut self, seconds: u64, spans: Vec<Span>) {
        let now = self.start + Duration::from_secs(seconds);
        let kept = &mut self.kept;
        self.sampler.take(spans, now, &mut |sampled| kept.add(sampled, now));
        self.sampler.flush(now, &mut |sampled| kept.add(sampled, now));
        let stats = self.kept.stats();
        assert_eq!(stats.offered, stats.held.spans + stats.evicted.spans + stats.refused);
    }
}

#[test]
fn the_oldest_traces_are_evicted_whole() {
    let mut run = run(|limits| limits.max_traces = 10);
    for number in 0..100 {
        let id = trace(number);
        run.add(number, vec![Made::child(id, 2).span(), Made::root(id).span()]);
    }
    // A late span makes no trace younger.
    run.add(100, vec![Made::child(trace(90), 3).span()]);
    let ids: Vec<_> = run.kept.iter().map(|trace| trace.trace_id).collect();
    assert_eq!(ids, (90..100).rev().map(|number| trace(number).into()).collect::<Vec<_>>());
    assert_eq!(run.kept.get(trace(90).into()).unwrap().spans.len(), 3);
    run.add(101, vec![Made::root(trace(100)).span()]);
    assert!(run.kept.get(trace(90).into()).is_none());
    assert_eq!(run.kept.stats().evicted.traces, 91);
}

#[test]
fn age_and_the_size_of_one_trace_are_limited() {
    let mut run = run(|limits| {
        (limits.max_age, limits.max_trace_bytes) = (Duration::from_secs(60), 10_000);
    });
    run.add(0, vec![Made::root(7).span()]);
    for id in 2..200 {
        run.add(1, vec![Made::child(7, id).span()]);
    }
    let kept = run.kept.get(7.into()).unwrap();
    assert!(kept.bytes() <= 12_000 && kept.refused > 0, "{}", kept.bytes());
    run.kept.evict(run.start + Duration::from_secs(61));
    assert!(run.kept.get(7.into()).is_none());
}

#[test]
fn a_trace_goes_out_as_it_came_and_is_one_with_what_a_store_holds() {
    let spans = vec![Made::child(7, 2).span(), Made::root(7).span()];
    let store: Store<Span> = Store::builder().build().unwrap();
    store.push_batch(spans.clone()).unwrap();
    store.push(Made::child(7, 3).span()).unwrap();
    let mut run = run(|_| {});
    run.add(0, spans.clone());
    let kept = run.kept.get(7.into()).unwrap();
    let read = Request::read(Kind::Traces, Encoding::Protobuf, &kept.to_otlp(Encoding::Protobuf));
    assert_eq!(read.unwrap().spans, spans);
    let whole = run.kept.trace_with(&store, 7.into()).unwrap();
    assert_eq!((whole.spans.len(), whole.duplicates, whole.partial), (3, 0, false));
    assert!(run.kept.trace_with(&store, 8.into()).is_none());
}
