//! Against a reference that holds everything and decides afterwards, by property tests.

mod support;

use proptest::prelude::*;
use slipring::{Match, Span, TraceId};
use slipring_sampling::{Policy, Rule, Sampled, Sampler, Settings};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use support::{Made, trace};

const QUIET: u64 = 2_000;
const TIMEOUT: u64 = 10_000;
/// Decisions are late by at most this, in milliseconds.
const LATE: u64 = 25;

fn policies() -> Vec<Policy> {
    let cart = Rule::Service(Match::reads("ad"));
    vec![
        Policy::new(
            "health",
            Rule::All(vec![Rule::Operation(Match::reads("health")), Rule::Never]),
        ),
        Policy::new("errors", Rule::Error),
        Policy::new("slow", Rule::SlowerThan(Duration::from_millis(500))),
        Policy::new("ads", Rule::All(vec![cart, Rule::Probability(0.5)])),
        Policy::new("rest", Rule::Any(vec![Rule::Probability(0.1), Rule::SpansAtLeast(6)])),
    ]
}

/// What the policies say, written down once more: the name and the threshold's probability, or
/// `None` if the trace is rejected.
fn wanted(trace: u128, spans: &[Made]) -> Option<&'static str> {
    let root = spans.iter().find(|span| span.parent.is_none());
    let operation = root.unwrap_or(&spans[0]).name;
    let longest = spans.iter().map(|span| span.milliseconds).max().unwrap_or(0);
    let duration = root.map_or(longest, |root| root.milliseconds);
    let randomness = (trace & ((1 << 56) - 1)) as f64 / (1u64 << 56) as f64;
    if operation == "health" {
        return None;
    }
    if spans.iter().any(|span| span.failed) {
        return Some("errors");
    }
    if duration > 500 {
        return Some("slow");
    }
    if spans.iter().any(|span| span.service == "ad") {
        return (randomness >= 0.5).then_some("ads");
    }
    (spans.len() >= 6 || randomness >= 0.9).then_some("rest")
}

/// Holds everything: each trace with the times of its spans.
#[derive(Default)]
struct Reference {
    traces: HashMap<u128, Vec<(u64, Made)>>,
}

impl Reference {
    /// Returns the spans that are kept, with the policy, of each trace: those that came before the
    /// decision decide, and the others follow.
    fn kept(&self) -> HashMap<u128, (&'static str, Vec<Made>)> {
        let mut kept = HashMap::new();
        for (&trace, spans) in &self.traces {
            let first = spans[0].0;
            let mut until = first + TIMEOUT;
            let mut root = false;
            let mut before = Vec::new();
            for (at, made) in spans {
                if *at > until {
                    break;
                }
                before.push(made.clone());
                root |= made.parent.is_none();
                if root {
                    until = (first + TIMEOUT).min(at + QUIET);
                }
            }
            if let Some(policy) = wanted(trace, &before) {
                kept.insert(trace, (policy, spans.iter().map(|(_, made)| made.clone()).collect()));
            }
        }
        kept
    }
}

#[derive(Clone, Debug)]
enum Step {
    Spans(Vec<Made>),
    Wait(u64),
}

fn made() -> impl Strategy<Value = Made> {
    let service = prop::sample::select(vec!["cart", "ad", "pay"]);
    let name = prop::sample::select(vec!["GET /", "health", "report"]);
    let time = prop::sample::select(vec![1u64, 10, 499, 501, 3_000]);
    (0..20u64, 1..6u64, service, name, time, prop::bool::weighted(0.1)).prop_map(
        |(number, id, service, name, milliseconds, failed)| Made {
            service,
            name,
            milliseconds,
            failed,
            parent: (id > 1).then_some(1),
            ..Made::child(trace(number), id)
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let spans = prop::collection::vec(made(), 1..12).prop_map(Step::Spans);
    // Multiples of a second, and none that falls between a time and its being noticed.
    let wait = (1..14u64).prop_map(|half| Step::Wait(half * 500 + 100));
    prop::collection::vec(prop_oneof![3 => spans, 2 => wait], 1..40)
}

fn bytes(spans: impl IntoIterator<Item = Span>) -> Vec<Vec<u8>> {
    // Without the threshold that the sampler wrote.
    let plain = |span: Span| span.with_trace_state("").bytes().to_vec();
    let mut bytes: Vec<_> = spans.into_iter().map(plain).collect();
    bytes.sort();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_same_traces_are_kept_with_all_of_their_spans(steps in steps()) {
        let mut settings = Settings::default();
        settings.policies = policies();
        settings.quiet = Duration::from_millis(QUIET);
        settings.timeout = Duration::from_millis(TIMEOUT);
        let mut sampler = Sampler::new(&settings).unwrap();
        let (start, mut now) = (Instant::now(), 0);
        let mut reference = Reference::default();
        let mut kept: HashMap<TraceId, (String, Vec<Span>)> = HashMap::new();
        let mut keep = |sampled: Sampled| {
            let policy = sampled.policy.to_string();
            let known = kept.entry(sampled.trace_id).or_insert_with(|| (policy.clone(), Vec::new()));
            assert_eq!(known.0, policy, "late spans follow the same policy");
            known.1.extend(sampled.spans);
        };
        for step in &steps {
            match step {
                Step::Wait(time) => {
                    // The sampler is looked after, so that it notices times before the next step.
                    now += time;
                    sampler.advance(start + Duration::from_millis(now), &mut keep);
                }
                Step::Spans(spans) => {
                    for made in spans {
                        reference.traces.entry(made.trace).or_default().push((now, made.clone()));
                    }
                    let at = start + Duration::from_millis(now);
                    let spans: Vec<_> = spans.iter().map(Made::span).collect();
                    sampler.take(spans, at, &mut keep);
                }
            }
            prop_assert!(sampler.stats().is_balanced());
        }
        let end = start + Duration::from_millis(now + TIMEOUT + 2 * LATE);
        sampler.advance(end, &mut keep);
        let stats = sampler.stats();
        prop_assert!(stats.is_balanced());
        prop_assert_eq!((stats.undecided.spans, stats.bytes, stats.early()), (0, 0, 0));
        let wanted = reference.kept();
        prop_assert_eq!(kept.len(), wanted.len());
        for (trace, (policy, made)) in wanted {
            let (name, spans) = kept.remove(&trace.into()).expect("it is kept");
            prop_assert_eq!(name, policy);
            prop_assert_eq!(bytes(spans), bytes(made.iter().map(Made::span)));
        }
    }
}
