//! The store of kept traces: what it holds, evicts and refuses.

mod support;

use slipring::metric::{Exemplar, Metric, MetricKind, Number};
use slipring::otlp::{Encoding, Kind, Request};
use slipring::{LogRecord, MetricPoint, Resource, Scope, Source, Span, Store, Telemetry, TraceId};
use slipring_sampling::{
    Follower, Kept, KeptSettings, KeptTrace, Policy, Records, Rule, Sampler, Settings,
};
use std::sync::{Arc, Mutex};
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
        assert!(self.kept.stats().is_balanced(), "{:?}", self.kept.stats());
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
    assert_eq!(run.kept.stats().evicted_traces, 91);
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
    assert!(kept.bytes() <= 10_000 && kept.refused.spans > 0, "{}", kept.bytes());
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

#[test]
fn of_a_giant_trace_the_first_spans_are_kept_and_the_others_counted() {
    let mut run = run(|limits| limits.max_trace_bytes = 10_000);
    run.add(0, (1..=1_000).map(|id| Made::child(7, id).span()).collect());
    let kept = run.kept.get(7.into()).unwrap();
    let ids: Vec<u64> = kept.spans.iter().map(|span| span.span_id().into()).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    assert!(ids.len() > 20 && kept.bytes() <= 10_000, "{} in {}", ids.len(), kept.bytes());
    assert_eq!(kept.refused.spans, 1_000 - ids.len() as u64);
    // They are all that it holds, and not the first of a thousand in a body.
    let all = run.kept.stats();
    assert_eq!((all.held.spans, all.refused.spans), (ids.len() as u64, kept.refused.spans));
    assert_eq!(all.bytes, kept.bytes());
}

#[test]
fn bytes_evict_whole_traces_and_what_comes_late_does_not_bring_them_back() {
    let mut run = run(|limits| limits.max_bytes = 20_000);
    for number in 0..50 {
        let id = trace(number);
        run.add(number, (1..=5).map(|span| Made::child(id, span).span()).collect());
        assert!(run.kept.stats().bytes <= 20_000);
    }
    let stats = run.kept.stats();
    assert!(stats.traces > 2 && stats.evicted_traces == 50 - stats.traces, "{stats:?}");
    assert!(run.kept.iter().all(|trace| trace.spans.len() == 5));
    run.add(50, vec![Made::child(trace(0), 6).span()]);
    assert!(run.kept.get(trace(0).into()).is_none());
    assert_eq!(run.kept.stats().evicted.spans, stats.evicted.spans + 1);
}

/// A span with a resource of its own, of some three thousand bytes.
fn large(trace: u128, number: u64) -> Span {
    let text = format!("{number:3000}");
    let resource = Resource::new([("service.name", "cart"), ("text", &*text)]);
    let source = Source::new(&resource, &Scope::default());
    Span::builder().source(&source).trace_id(trace).span_id(number + 1).name("large").build()
}

#[test]
fn what_readers_hold_of_traces_that_left_evicts_no_others() {
    let mut run = run(|limits| limits.max_shared_bytes = 100_000);
    let mut read = Vec::new();
    for number in 0..100 {
        run.add(number, vec![large(trace(number), number)]);
        read.extend(run.kept.iter().cloned());
        let stats = run.kept.stats();
        assert!(stats.traces >= 20.min(number + 1), "{stats:?}");
        assert!(stats.shared_bytes <= 100_000, "{stats:?}");
    }
    assert!(run.sampler.ledger().bytes() > 300_000, "the readers hold them");
    run.kept.evict(run.start + Duration::from_secs(4_000));
    assert_eq!(run.kept.stats().shared_bytes, 0);
}

#[test]
fn what_undecided_spans_share_evicts_no_kept_traces() {
    let mut run = run(|limits| limits.max_shared_bytes = 100_000);
    for number in 0..10 {
        run.add(number, vec![Made::root(trace(number)).span()]);
    }
    let undecided = (0..100).map(|number| large(trace(1_000 + number), number));
    let undecided: Vec<Span> = undecided.collect();
    let now = run.start + Duration::from_secs(20);
    run.sampler.take(undecided, now, &mut |_| panic!("it is not decided yet"));
    run.kept.evict(now);
    assert!(run.sampler.ledger().bytes() > 300_000);
    assert_eq!(run.kept.stats().traces, 10);
}

#[test]
fn what_kept_traces_share_is_counted_once_and_as_a_ledger_counts_it() {
    let mut run = run(|_| {});
    let source = support::source("cart");
    let span = |number| {
        let span = Span::builder().source(&source).trace_id(trace(number)).span_id(1);
        span.name("shares").build()
    };
    for number in 0..10 {
        run.add(number, vec![span(number), large(trace(number), 1)]);
    }
    let (shared, ledger) = (run.kept.stats().shared_bytes, run.sampler.ledger().bytes());
    // The ledger has the bodies as well.
    assert!(shared > 30_000 && (shared..shared + 10 * 500).contains(&ledger), "{shared} {ledger}");
}

fn log(trace: u128, body: &str) -> LogRecord {
    LogRecord::builder().source(&support::source("cart")).trace_id(trace).body(body).build()
}

/// A point with an exemplar for each of these traces.
fn point(traces: &[u128], value: i64) -> MetricPoint {
    long_point(traces, 0, value)
}

/// The same with an attribute of so many bytes.
fn long_point(traces: &[u128], bytes: usize, value: i64) -> MetricPoint {
    let exemplar = |trace: &u128| Exemplar {
        trace_id: Some(TraceId::from(*trace)),
        value: Some(Number::Int(1)),
        ..Exemplar::default()
    };
    let exemplars: Vec<Exemplar> = traces.iter().map(exemplar).collect();
    let metric = support::source("cart").with_metric(&Metric::new("sold", MetricKind::Gauge));
    let point = MetricPoint::builder().source(&metric).value(value).exemplars(&exemplars);
    point.attribute("text", &*"x".repeat(bytes)).build()
}

/// A run behind stores that hold little.
struct Behind {
    telemetry: Telemetry,
    follower: Follower,
    sampler: Sampler,
    kept: Mutex<Kept>,
    start: Instant,
}

impl Behind {
    fn stores(limit: impl FnOnce(&mut KeptSettings)) -> Self {
        let Run { sampler, kept, start } = run(limit);
        let telemetry = Telemetry::builder().traces(8).logs(8).metrics(8).shards(1);
        let telemetry = telemetry.build().unwrap();
        let follower = Follower::new(&telemetry);
        Self { telemetry, follower, sampler, kept: Mutex::new(kept), start }
    }

    fn send(&mut self, spans: Vec<Span>, logs: Vec<LogRecord>, points: Vec<MetricPoint>) {
        self.telemetry.traces().push_batch(spans.clone()).unwrap();
        self.telemetry.logs().push_batch(logs).unwrap();
        self.telemetry.metrics().push_batch(points).unwrap();
        let mut kept = self.kept.lock().unwrap();
        self.sampler.take(spans, self.start, &mut *kept);
        self.sampler.flush(self.start, &mut *kept);
    }

    fn follow(&mut self) {
        self.follower.follow(&self.kept, self.start).unwrap();
        assert!(self.kept.lock().unwrap().stats().is_balanced());
    }

    /// Lets the stores evict all that they hold.
    fn flood(&mut self) {
        self.telemetry.clear();
        self.telemetry.logs().push_batch((0..8).map(|_| log(99, "flood")).collect()).unwrap();
    }

    fn get(&self, id: u128) -> Arc<KeptTrace> {
        Arc::clone(self.kept.lock().unwrap().get(id.into()).unwrap())
    }
}

fn bodies(logs: &[LogRecord]) -> Vec<String> {
    logs.iter().map(|log| log.body().unwrap().to_string()).collect()
}

#[test]
fn a_kept_trace_takes_its_log_records_and_points_along_and_later_ones_follow() {
    let mut behind = Behind::stores(|_| {});
    behind.send(
        vec![],
        vec![log(7, "before"), log(8, "another's")],
        vec![point(&[7, 8], 1), point(&[8], 2)],
    );
    behind.send(vec![Made::root(7).span()], vec![log(7, "with it")], vec![]);
    behind.follow();
    behind.follow();
    behind.send(vec![Made::child(7, 2).span()], vec![log(7, "late")], vec![point(&[7], 3)]);
    behind.follow();
    let kept = behind.get(7);
    assert_eq!(bodies(&kept.logs), ["before", "with it", "late"]);
    assert_eq!((kept.spans.len(), kept.points.len()), (2, 2));
    // They hold nothing of what the stores hold.
    let held = behind.telemetry.logs().query().collect().unwrap().records;
    assert!(held.iter().all(|held| !kept.logs[0].source().ptr_eq(held.source())));
    assert!(kept.logs[0].source().ptr_eq(kept.logs[1].source()));

    for is_held in [true, false] {
        let whole = kept.with(&behind.telemetry);
        let trace = whole.found.trace.unwrap();
        assert_eq!((trace.spans.len(), trace.duplicates, trace.partial), (2, 0, false));
        assert_eq!(bodies(&whole.found.logs), ["before", "with it", "late"]);
        assert_eq!(whole.found.exemplars.len(), 2);
        let only_kept = Records { spans: 2, logs: 3, points: 2 };
        assert_eq!(whole.only_kept, if is_held { Records::default() } else { only_kept });
        behind.flood();
    }
    // A trace leaves with everything.
    behind.kept.lock().unwrap().evict(behind.start + Duration::from_secs(4_000));
    let stats = behind.kept.lock().unwrap().stats();
    assert_eq!((stats.held, stats.bytes), (Records::default(), 0));
    assert_eq!(stats.evicted, Records { spans: 2, logs: 3, points: 2 });
}

#[test]
fn log_records_and_points_count_towards_the_limits_of_their_trace() {
    let mut behind = Behind::stores(|limits| limits.max_trace_bytes = 4_000);
    behind.send(vec![Made::root(7).span()], vec![], vec![]);
    behind.follow();
    for _ in 0..40 {
        behind.send(vec![], vec![log(7, "more and more")], vec![point(&[7], 1)]);
        behind.follow();
    }
    let kept = behind.get(7);
    assert!(kept.bytes() <= 4_000, "{}", kept.bytes());
    assert_eq!(kept.logs.len() as u64 + kept.refused.logs, 40);
    assert_eq!(kept.points.len() as u64 + kept.refused.points, 40);
    assert!(kept.refused.logs > 0 && kept.refused.points > 0);
}

#[test]
fn what_was_delivered_twice_is_kept_twice_and_shown_as_a_store_shows_it() {
    let mut behind = Behind::stores(|_| {});
    for _ in 0..2 {
        behind.send(vec![Made::root(7).span()], vec![log(7, "said")], vec![]);
    }
    behind.follow();
    let kept = behind.get(7);
    for _ in 0..2 {
        let whole = kept.with(&behind.telemetry);
        let trace = whole.found.trace.unwrap();
        assert_eq!((trace.spans.len(), trace.duplicates), (1, 1));
        assert_eq!(bodies(&whole.found.logs), ["said", "said"]);
        behind.flood();
    }
}

#[test]
fn a_trace_that_grows_stays_as_it_is_for_who_reads_it() {
    let mut behind = Behind::stores(|_| {});
    behind.send(vec![Made::root(7).span()], vec![], vec![]);
    let read = behind.get(7);
    behind.send(vec![Made::child(7, 2).span()], vec![log(7, "said")], vec![]);
    behind.follow();
    assert_eq!((read.spans.len(), read.logs.len()), (1, 0));
    let now = behind.get(7);
    assert_eq!((now.spans.len(), now.logs.len()), (2, 1));
    assert!(now.bytes() > read.bytes());
}

#[test]
fn records_that_left_before_they_were_looked_at_are_counted() {
    let mut behind = Behind::stores(|_| {});
    behind.send(vec![Made::root(7).span()], vec![], vec![]);
    behind.follow();
    for _ in 0..20 {
        behind.send(vec![], (0..8).map(|_| log(7, "said")).collect(), vec![]);
    }
    behind.follow();
    let found = behind.get(7).logs.len() as u64;
    assert!(behind.follower.missed() > 0);
    assert_eq!(found + behind.follower.missed(), 160);
}

#[test]
fn one_point_that_names_many_kept_traces_evicts_none() {
    let ids: Vec<u128> = (0..200).map(trace).collect();
    // A small point joins the traces of so many exemplars, a large one of few, and at least one.
    for (bytes, joined) in [(0, 160), (40_000, 2), (200_000, 1)] {
        let mut behind = Behind::stores(|limits| {
            limits.max_bytes = if bytes == 0 { 64 << 20 } else { 2 << 20 };
        });
        behind.send(ids.iter().map(|id| Made::root(*id).span()).collect(), vec![], vec![]);
        behind.send(vec![], vec![], vec![long_point(&ids, bytes, 1)]);
        behind.follow();
        behind.follow();
        let stats = behind.kept.lock().unwrap().stats();
        assert_eq!((stats.traces, stats.held.points), (200, joined), "{bytes}: {stats:?}");
        assert_eq!(stats.refused.points, 200 - joined);
        assert_eq!(behind.get(ids[0]).points.len(), 1);
        assert_eq!(behind.get(ids[199]).refused.points, 1);
    }
}

#[test]
fn a_point_joins_no_more_traces_when_these_are_kept_one_by_one() {
    let ids: Vec<u128> = (0..20).map(trace).collect();
    let mut behind = Behind::stores(|limits| limits.max_bytes = 2 << 20);
    behind.send(vec![], vec![], vec![long_point(&ids, 60_000, 1)]);
    for id in &ids {
        behind.send(vec![Made::root(*id).span()], vec![], vec![]);
        behind.follow();
    }
    let stats = behind.kept.lock().unwrap().stats();
    assert_eq!((stats.traces, stats.held.points, stats.refused.points), (20, 2, 18));
}

#[test]
fn what_a_trace_has_no_room_for_is_refused() {
    let mut behind = Behind::stores(|limits| limits.max_trace_bytes = 4_000);
    let logs = vec![log(7, "first"), log(7, &"x".repeat(100_000)), log(7, "third")];
    behind.send(vec![Made::root(7).span()], logs, vec![long_point(&[7], 100_000, 1)]);
    behind.follow();
    let kept = behind.get(7);
    assert_eq!((bodies(&kept.logs), kept.points.len()), (vec!["first".to_owned()], 0));
    assert_eq!(kept.refused, Records { spans: 0, logs: 2, points: 1 });
}
