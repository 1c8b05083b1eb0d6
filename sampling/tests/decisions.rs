//! When traces are decided, what late spans follow, and where every span went.

mod support;

use slipring::otlp::{Encoding, Kind, Reader};
use slipring::{Span, TraceId};
use slipring_sampling::{Cause, OnFull, Policy, Rule, Sampled, Sampler, Settings};
use std::time::{Duration, Instant};
use support::{Made, trace};

fn settings(policies: Vec<Policy>) -> Settings {
    let mut settings = Settings::default();
    settings.policies = policies;
    settings
}

fn all() -> Settings {
    settings(vec![Policy::new("all", Rule::Always)])
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

struct Run {
    sampler: Sampler,
    start: Instant,
    kept: Vec<Sampled>,
}

impl Run {
    fn new(settings: &Settings) -> Self {
        Self { sampler: Sampler::new(settings).unwrap(), start: Instant::now(), kept: Vec::new() }
    }

    fn take(&mut self, at: Duration, made: &[Made]) {
        let spans: Vec<Span> = made.iter().map(Made::span).collect();
        let kept = &mut self.kept;
        self.sampler.take(spans, self.start + at, &mut |sampled| kept.push(sampled));
        assert!(self.sampler.stats().is_balanced());
    }

    fn advance(&mut self, at: Duration) {
        let kept = &mut self.kept;
        self.sampler.advance(self.start + at, &mut |sampled| kept.push(sampled));
        assert!(self.sampler.stats().is_balanced());
    }

    fn causes(&self) -> Vec<Option<Cause>> {
        self.kept.iter().map(|sampled| sampled.cause).collect()
    }
}

#[test]
fn a_trace_is_decided_when_its_root_is_there_and_it_is_quiet() {
    let mut run = Run::new(&all());
    run.take(seconds(0), &[Made::child(7, 2)]);
    run.take(seconds(10), &[Made::root(7)]);
    run.take(seconds(13), &[Made::child(7, 3)]);
    run.advance(seconds(17));
    assert!(run.kept.is_empty(), "it was quiet for four seconds");
    run.advance(Duration::from_millis(18_100));
    assert_eq!(run.causes(), [Some(Cause::Quiet)]);
    assert_eq!(run.kept[0].spans.len(), 3);
}

#[test]
fn a_trace_without_a_root_is_decided_by_its_timeout_and_so_is_one_that_never_ends() {
    let mut run = Run::new(&all());
    run.take(seconds(0), &[Made::child(7, 2), Made::root(8)]);
    for second in 1..30 {
        run.take(seconds(second), &[Made::child(8, second + 2)]);
    }
    run.advance(Duration::from_millis(30_100));
    assert_eq!(run.causes(), [Some(Cause::Timeout); 2]);
    assert_eq!(run.kept.iter().map(|sampled| sampled.spans.len()).sum::<usize>(), 31);
    assert_eq!(run.sampler.next_due(), None);
}

#[test]
fn late_spans_follow_and_a_panicking_sink_harms_nothing() {
    let mut run = Run::new(&settings(vec![Policy::new("errors", Rule::Error)]));
    let failed = Made { failed: true, ..Made::root(7) };
    run.take(seconds(0), &[failed, Made::root(8)]);
    run.advance(seconds(6));
    assert_eq!(run.kept.len(), 1);
    run.take(seconds(7), &[Made::child(7, 2), Made { failed: true, ..Made::child(8, 2) }]);
    assert_eq!(run.kept.len(), 2, "the error of the rejected trace came too late");
    assert!(run.kept[1].is_late());
    let stats = run.sampler.stats();
    assert_eq!((stats.late_kept, stats.late_sampled_out), (1, 1));
    assert_eq!((stats.policies[0].kept.traces, stats.policies[0].kept.spans), (1, 2));
    assert_eq!((stats.unmatched.traces, stats.unmatched.spans), (1, 2));

    let (start, sampler) = (run.start, &mut run.sampler);
    let failed = |id| Made { failed: true, ..Made::root(id) }.span();
    sampler.take([failed(9), failed(10)], start + seconds(8), &mut |_| {});
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sampler.advance(start + seconds(20), &mut |_: Sampled| panic!("a sink"));
    }));
    assert!(panics.is_err());
    assert!(run.sampler.stats().is_balanced());
    run.advance(seconds(60));
    assert_eq!(run.kept.len(), 3, "the other trace is decided later");
}

#[test]
fn a_giant_trace_is_decided_by_its_size_and_its_rest_follows() {
    let mut settings = all();
    settings.max_trace_spans = 1_000;
    let mut run = Run::new(&settings);
    let made: Vec<Made> = (2..10_002).map(|id| Made::child(7, id)).collect();
    run.take(seconds(0), &made);
    let stats = run.sampler.stats();
    assert_eq!((stats.kept().traces, stats.kept().spans), (1, 10_000));
    assert_eq!(run.kept[0].cause, Some(Cause::Spans));
    assert_eq!(stats.late_kept, 10_000 - 1_024, "a batch has 512 spans");
    assert_eq!(stats.bytes, 0);
}

#[test]
fn without_room_the_oldest_trace_is_decided_early_or_evicted() {
    for on_full in [OnFull::Decide, OnFull::Evict] {
        let mut settings = all();
        (settings.max_traces, settings.on_full) = (100, on_full);
        let mut run = Run::new(&settings);
        for number in 0..1_000 {
            run.take(Duration::from_millis(number), &[Made::root(trace(number))]);
        }
        let stats = run.sampler.stats();
        assert_eq!(stats.undecided.traces, 100);
        match on_full {
            OnFull::Decide => {
                assert_eq!(
                    (stats.early(), stats.kept().traces, stats.evicted.traces),
                    (900, 900, 0)
                );
                let order: Vec<_> = run.kept.iter().map(|sampled| sampled.trace_id).collect();
                let oldest: Vec<TraceId> = (0..900).map(|number| trace(number).into()).collect();
                assert_eq!(order, oldest);
            }
            _ => assert_eq!((stats.early(), stats.evicted.traces), (0, 900)),
        }
    }
}

#[test]
fn a_noisy_service_lets_go_of_its_own_oldest_traces() {
    let mut settings = all();
    (settings.max_bytes, settings.share, settings.services) = (1 << 20, Some(0.25), 2);
    let mut run = Run::new(&settings);
    let of = |service, trace| Made { service, ..Made::root(trace) };
    run.take(seconds(0), &[of("quiet", 1)]);
    for number in 0..10_000 {
        run.take(seconds(1), &[of("noisy", trace(number))]);
    }
    let stats = run.sampler.stats();
    assert!(stats.bytes < (1 << 18) + 4_096, "{}", stats.bytes);
    let early = |cause| stats.decisions.iter().find(|(known, _)| *known == cause).unwrap().1;
    assert_eq!(early(Cause::Share), stats.kept().traces);
    assert!(run.kept.iter().all(|sampled| sampled.spans[0].service() == "noisy"));
    run.take(seconds(1), &[of("third", 3), of("fourth", 4)]);
    assert_eq!(run.sampler.stats().spans_beyond_services, 2);
    run.advance(seconds(40));
    run.take(seconds(41), &[of("fifth", 5), of("sixth", 6)]);
    assert_eq!(
        run.sampler.stats().spans_beyond_services,
        2,
        "services that are gone are forgotten"
    );
}

#[test]
fn spans_without_a_trace_and_large_ones_are_rejected() {
    let mut settings = all();
    settings.max_span_bytes = 1_000;
    let mut sampler = Sampler::new(&settings).unwrap();
    let large = Span::builder().trace_id(7).span_id(1).attribute("body", &*"x".repeat(1_000));
    let small = Span::builder().trace_id(7).span_id(1);
    let spans = [large.build(), Span::default(), small.build()];
    assert_eq!(sampler.take(spans, Instant::now(), &mut |_| {}), 2);
    let stats = sampler.stats();
    assert_eq!((stats.rejected_without_trace, stats.rejected_too_large), (1, 1));
    assert!(stats.is_balanced());
}

#[test]
fn nothing_of_a_request_stays_when_its_spans_have_left() {
    let mut sampler = Sampler::new(&all()).unwrap();
    let mut kept = Vec::new();
    let spans: Vec<Span> = (0..1_000).map(|number| Made::root(trace(number)).span()).collect();
    // As a request, because builders keep the sources of the last spans.
    let body = slipring::otlp::encode(&spans, Encoding::Protobuf);
    let take = |part: slipring::otlp::Request| {
        sampler.take(part.spans, Instant::now(), &mut |_| {});
    };
    Reader::default().read(Kind::Traces, Encoding::Protobuf, body, take).unwrap();
    let full = sampler.stats();
    assert!(full.shared_bytes > 0 && full.bytes > 100_000);
    sampler.flush(Instant::now(), &mut |sampled| kept.push(sampled));
    assert_eq!(sampler.stats().bytes, 0);
    drop(kept);
    assert_eq!(sampler.stats().shared_bytes, 0);
}

/// Kept spans are handed on, to where they may stay for long.
#[test]
fn kept_spans_hold_no_request_that_they_came_in() {
    let mut sampler = Sampler::new(&all()).unwrap();
    let mut kept: Vec<Sampled> = Vec::new();
    // The second time they come after the decision.
    for is_late in [false, true] {
        let spans = [Made::root(1), Made::child(1, 2)].map(|made| made.span());
        let body = bytes::Bytes::from(slipring::otlp::encode(&spans, Encoding::Protobuf));
        let take = |part: slipring::otlp::Request| {
            sampler.take(part.spans, Instant::now(), &mut |sampled| kept.push(sampled));
        };
        let reader = Reader::default().in_place();
        reader.read(Kind::Traces, Encoding::Protobuf, body.clone(), take).unwrap();
        sampler.flush(Instant::now(), &mut |sampled| kept.push(sampled));
        assert!(body.is_unique(), "late: {is_late}");
    }
    assert_eq!(kept.iter().map(Sampled::is_late).collect::<Vec<_>>(), [false, true]);
    assert!(kept.iter().all(|sampled| sampled.spans.len() == 2));
}

/// The operation is known by the spans that came before the rule that asks for it.
#[test]
fn rules_that_a_reload_brings_see_what_came_before() {
    let child = |trace| Made { name: "child", ..Made::child(trace, 2) };
    let mut run = Run::new(&all());
    run.take(seconds(0), &[child(1), Made::root(1), Made::root(2)]);
    let name = Made::root(1).span().name().to_owned();
    let few = Rule::Few { count: 1, per: seconds(60), operations: 10 };
    let operation = Rule::Operation(slipring::Match::reads(name));
    let policies = vec![Policy::new("one", Rule::All(vec![operation, few]))];
    let before = run.sampler.stats().bytes;
    run.sampler.reload(&settings(policies)).unwrap();
    assert!(run.sampler.stats().bytes > before, "the names are charged");
    run.sampler.flush(run.start, &mut |sampled| run.kept.push(sampled));
    assert_eq!(run.kept.len(), 1, "one of the operation");
    assert_eq!(run.sampler.stats().bytes, 0, "and what was charged is given back");
    let custom = Rule::custom(|trace: &slipring_sampling::TraceView<'_>| {
        trace.root().is_some_and(|root| root.name() == trace.operation().1)
            && trace.spans.len() == 2
    });
    run.sampler.reload(&settings(vec![Policy::new("custom", custom)])).unwrap();
    run.take(seconds(1), &[child(3), Made::root(3), Made::root(4)]);
    run.sampler.flush(run.start, &mut |sampled| run.kept.push(sampled));
    assert_eq!((run.kept.len(), run.kept[1].spans.len()), (2, 2));
}

/// What the memory of decisions gets wrong is this, and nothing else.
#[test]
fn a_late_span_follows_until_as_many_newer_decisions_are_remembered() {
    const REMEMBERED: usize = 100;
    let mut settings = settings(vec![Policy::new("errors", Rule::Error)]);
    settings.remembered = REMEMBERED;
    let mut run = Run::new(&settings);
    let decide = |run: &mut Run, traces: std::ops::Range<u128>, failed: bool| {
        let made: Vec<_> = traces.map(|trace| Made { failed, ..Made::root(trace) }).collect();
        run.take(seconds(0), &made);
        run.sampler.flush(run.start, &mut |sampled| run.kept.push(sampled));
    };
    let late = |run: &mut Run, trace| {
        run.take(seconds(0), &[Made::child(trace, 2)]);
        let stats = run.sampler.stats();
        (stats.late_kept, stats.late_sampled_out, stats.undecided.traces)
    };
    decide(&mut run, 1..2, true);
    decide(&mut run, 1_000..1_001, false);
    // Decisions of the other kind push nothing out.
    decide(&mut run, 2..101, true);
    assert_eq!(late(&mut run, 1), (1, 0, 0));
    decide(&mut run, 1_001..1_100, false);
    assert_eq!(late(&mut run, 1_000), (1, 1, 0));
    decide(&mut run, 101..102, true);
    assert_eq!(late(&mut run, 1), (1, 1, 1), "about it is decided anew");
    decide(&mut run, 1_100..1_101, false);
    assert_eq!(late(&mut run, 1_000), (1, 1, 1), "likewise");
}

#[test]
fn what_was_reloaded_decides_and_the_balance_holds() {
    let mut run = Run::new(&all());
    run.take(seconds(0), &[Made::root(1), Made::root(2)]);
    run.advance(seconds(6));
    run.take(seconds(7), &[Made::root(3)]);
    let rest = settings(vec![Policy::new("none", Rule::Never)]);
    run.sampler.reload(&rest).unwrap();
    run.advance(seconds(14));
    let stats = run.sampler.stats();
    assert_eq!((stats.kept().traces, stats.removed_policies.kept.traces), (2, 2));
    assert_eq!(stats.policies[0].sampled_out.traces, 1);
    assert!(stats.is_balanced());
    assert!(run.sampler.reload(&settings(vec![Policy::new("p", Rule::Probability(2.0))])).is_err());
    assert_eq!(run.sampler.stats(), stats);
    run.sampler.clear();
}
