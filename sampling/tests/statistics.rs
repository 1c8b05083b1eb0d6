//! Consistent sampling: adjusted counts add up, and stages agree.

mod support;

use slipring::Span;
use slipring_sampling::{Policy, Rule, Sampled, Sampler, Settings, Threshold};
use std::time::{Duration, Instant};
use support::{Made, trace};

fn run(policies: Vec<Policy>, spans: impl IntoIterator<Item = Span>) -> Vec<Sampled> {
    let mut settings = Settings::default();
    settings.policies = policies;
    let mut sampler = Sampler::new(&settings).unwrap();
    let (now, mut kept) = (Instant::now(), Vec::new());
    let spans: Vec<Span> = spans.into_iter().collect();
    sampler.take(spans, now, &mut |sampled| kept.push(sampled));
    sampler.flush(now, &mut |sampled| kept.push(sampled));
    kept
}

/// The number of traces for which a kept span stands.
fn adjusted(sampled: &Sampled) -> f64 {
    let state = sampled.spans[0].trace_state();
    let threshold = state.strip_prefix("ot=th:").map(|text| text.parse::<Threshold>().unwrap());
    match (sampled.threshold, threshold) {
        (None, _) => 0.0,
        (Some(_), threshold) => threshold.unwrap_or(Threshold::ALWAYS).adjusted_count(),
    }
}

const TRACES: u64 = 40_000;

fn traces() -> impl Iterator<Item = Span> {
    (0..TRACES).map(|number| {
        let failed = number % 50 == 0;
        let milliseconds = if number % 7 == 0 { 900 } else { 10 };
        Made { failed, milliseconds, ..Made::root(trace(number)) }.span()
    })
}

#[test]
fn adjusted_counts_add_up_to_what_was_received_whatever_the_policies() {
    let few = Rule::Few { count: 30, per: Duration::from_secs(60), operations: 10 };
    let mixed = vec![
        Policy::new("errors", Rule::Error),
        Policy::new(
            "slow",
            Rule::All(vec![Rule::SlowerThan(Duration::from_millis(500)), Rule::Probability(0.3)]),
        ),
        Policy::new("rest", Rule::Any(vec![few, Rule::Probability(0.02)])),
    ];
    let kept = run(mixed, traces());
    let sum: f64 = kept.iter().map(adjusted).sum();
    // Each kept trace with probability p adds (1 - p) / p² to an unbiased estimate of the variance.
    let variance: f64 = kept
        .iter()
        .map(adjusted)
        .filter(|count| *count > 0.0)
        .map(|count| (1.0 - 1.0 / count) * count * count)
        .sum();
    let error = (sum - TRACES as f64).abs();
    assert!(error < 4.0 * variance.sqrt() + 1e-6, "{sum} of {TRACES}, {}", variance.sqrt());
    assert!(kept.len() < TRACES as usize / 8);
}

#[test]
fn stages_agree_and_the_lower_probability_tells_the_count() {
    let stage = |probability, spans: Vec<Span>| -> Vec<Span> {
        let kept = run(vec![Policy::new("some", Rule::Probability(probability))], spans);
        kept.into_iter().flat_map(|sampled| sampled.spans).collect()
    };
    let ids = |spans: &[Span]| {
        let mut ids: Vec<_> = spans.iter().map(Span::trace_id).collect();
        ids.sort();
        ids
    };
    let all: Vec<Span> = traces().take(10_000).collect();
    let tenth = stage(0.1, all.clone());
    let both = stage(0.1, stage(0.5, all.clone()));
    let other_way = stage(0.5, stage(0.1, all));
    assert!(!tenth.is_empty());
    assert_eq!(ids(&tenth), ids(&both));
    assert_eq!(ids(&tenth), ids(&other_way));
    assert!(other_way.iter().chain(&both).all(|span| span.trace_state() == "ot=th:e666"));
}
