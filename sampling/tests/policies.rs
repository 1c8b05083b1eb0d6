//! What policies keep, and with what threshold.

mod support;

use slipring::Match;
use slipring::otlp::{Encoding, Kind, Request};
use slipring_sampling::{
    Policy, PolicyError, Rule, Sampled, Sampler, Settings, SettingsError, Unit,
};
use std::time::{Duration, Instant};
use support::{Made, trace};

fn sampler(policies: Vec<Policy>) -> Result<Sampler, SettingsError> {
    let mut settings = Settings::default();
    settings.policies = policies;
    Sampler::new(&settings)
}

/// Decides traces one after the other; returns what was kept.
fn decide(policies: Vec<Policy>, traces: &[Vec<Made>]) -> (Vec<Sampled>, Sampler) {
    let mut sampler = sampler(policies).unwrap();
    let (now, mut kept) = (Instant::now(), Vec::new());
    for made in traces {
        let mut keep = |sampled| kept.push(sampled);
        let spans: Vec<_> = made.iter().map(Made::span).collect();
        sampler.take(spans, now, &mut keep);
        sampler.flush(now, &mut keep);
    }
    assert!(sampler.stats().is_balanced());
    (kept, sampler)
}

fn named(rule: Rule) -> Vec<Policy> {
    vec![Policy::new("one", rule)]
}

fn is_kept(rule: Rule, made: &[Made]) -> bool {
    !decide(named(rule), &[made.to_vec()]).0.is_empty()
}

#[test]
fn conditions_look_at_all_spans_or_at_the_root() {
    let made = [Made { service: "ad", name: "inner", ..Made::child(7, 2) }, Made::root(7)];
    for (rule, wanted) in [
        (Rule::Service(Match::reads("ad")), true),
        (Rule::Service(Match::reads("pay")), false),
        (Rule::Operation(Match::like("GET *")), true),
        (Rule::Operation(Match::reads("inner")), false),
        (Rule::attribute("number", Match::equals(2)), true),
        (Rule::attribute("service.name", Match::reads("cart")), true),
        (Rule::attribute("number", Match::above(2.0)), false),
        (Rule::SpansAtLeast(2), true),
        (Rule::SpansAtLeast(3), false),
        (Rule::Error, false),
        (Rule::Not(Rule::Error.into()), true),
        (Rule::SlowerThan(Duration::from_millis(9)), true),
        (Rule::SlowerThan(Duration::from_millis(10)), false),
        (Rule::All(vec![Rule::SpansAtLeast(2), Rule::Error]), false),
        (Rule::Any(vec![Rule::SpansAtLeast(2), Rule::Error]), true),
        (Rule::custom(|trace| trace.operation() == ("cart", "GET /")), true),
        (Rule::custom(|_| panic!("foreign code")), false),
    ] {
        assert_eq!(is_kept(rule.clone(), &made), wanted, "{rule:?}");
    }
}

#[test]
fn clocks_that_differ_make_no_trace_slow() {
    let year = 365 * 24 * 3_600_000;
    // A child of which another machine says that it took a year.
    let made = [Made { milliseconds: year, ..Made::child(7, 2) }, Made::root(7)];
    assert!(!is_kept(Rule::SlowerThan(Duration::from_secs(1)), &made));
}

#[test]
fn the_first_match_decides_and_its_name_is_told() {
    let policies = || {
        vec![
            Policy::new(
                "health",
                Rule::All(vec![Rule::Operation(Match::reads("health")), Rule::Never]),
            ),
            Policy::new("errors", Rule::Error),
            Policy::new("rest", Rule::Any(vec![Rule::SpansAtLeast(2).named("large"), Rule::Never])),
        ]
    };
    let health = Made { name: "health", failed: true, ..Made::root(1) };
    let failed = Made { failed: true, ..Made::root(2) };
    let large = vec![Made::root(3), Made::child(3, 2)];
    let traces = [vec![health], vec![failed], large, vec![Made::root(4)]];
    let (kept, sampler) = decide(policies(), &traces);
    let names: Vec<&str> = kept.iter().map(|sampled| &*sampled.policy).collect();
    assert_eq!(names, ["errors", "large"]);
    let out: Vec<_> = sampler
        .stats()
        .policies
        .iter()
        .map(|one| (one.name.to_string(), one.sampled_out.traces))
        .collect();
    let wanted = [("health", 1), ("errors", 0), ("rest", 1), ("large", 0)];
    assert_eq!(out, wanted.map(|(name, count)| (name.to_owned(), count)));
}

#[test]
fn a_quantile_is_that_of_the_operation() {
    let rule = || Rule::SlowerThanMost { share: 0.95, operations: 10 };
    let mut traces = Vec::new();
    for number in 0..400u64 {
        let fast = Made { milliseconds: 10 + number % 3, ..Made::root(trace(2 * number)) };
        let slow =
            Made { name: "report", milliseconds: 5_000, ..Made::root(trace(2 * number + 1)) };
        traces.extend([vec![fast], vec![slow]]);
    }
    traces.push(vec![Made { milliseconds: 100, ..Made::root(trace(1_000_000)) }]);
    let (kept, _) = decide(named(rule()), &traces);
    assert_eq!(kept.len(), 1, "slow for its operation, and faster than the other");
    assert_eq!(kept[0].trace_id, trace(1_000_000).into());
}

#[test]
fn a_few_of_each_operation_are_kept_and_rates_are_limited() {
    let few = Rule::Few { count: 3, per: Duration::from_secs(3_600), operations: 10 };
    let rate = |unit| Rule::RateLimit { unit, per_second: 0.001, burst: 10.0 };
    let traces: Vec<Vec<Made>> = (0..100)
        .map(|number| {
            let name = if number % 10 == 0 { "rare" } else { "common" };
            let id = trace(number);
            vec![Made { name, ..Made::root(id) }, Made::child(id, 2)]
        })
        .collect();
    let kept = |rule| decide(named(rule), &traces).0;
    let some = kept(few);
    assert_eq!(some.len(), 6);
    assert!(some.iter().all(|sampled| sampled.threshold.is_none()));
    assert_eq!(kept(rate(Unit::Traces)).len(), 10);
    assert_eq!(kept(rate(Unit::Spans)).len(), 5);
    // Only what is kept otherwise takes tokens.
    let both = Rule::All(vec![Rule::Probability(0.5), rate(Unit::Traces)]);
    assert_eq!(kept(both).len(), 10);
}

/// A message in a field, encoded.
fn nested(number: u8, message: &[u8]) -> Vec<u8> {
    let length = message.len();
    assert!(length < 1 << 14);
    [&[number << 3 | 2, length as u8 | 0x80, (length >> 7) as u8], message].concat()
}

#[test]
fn thresholds_are_written_and_everything_else_keeps_its_bytes() {
    // A span with a field that no version of the protocol defines.
    let id: u128 = 0xff_ffff_ffff_ffff;
    let unknown = [0xfa, 0x3f, 3, b'a', b'b', b'c'];
    let plain = Made { state: "vendor=1", ..Made::root(id) }.span();
    let with_unknown = [plain.bytes(), &unknown].concat();
    let body = nested(1, &nested(2, &nested(2, &with_unknown)));
    let span = Request::read(Kind::Traces, Encoding::Protobuf, &body).unwrap().spans.remove(0);
    assert_eq!(span.bytes(), with_unknown);
    let mut kept = Vec::new();
    let mut sampler = sampler(named(Rule::Probability(0.25))).unwrap();
    let now = Instant::now();
    sampler.take([span.clone()], now, &mut |_| {});
    sampler.flush(now, &mut |sampled: Sampled| kept.push(sampled));
    let out = &kept[0].spans[0];
    assert_eq!(out.trace_state(), "ot=th:c,vendor=1");
    assert_eq!(out.with_trace_state("vendor=1").bytes(), span.bytes());
    let body = slipring::otlp::encode(&kept[0].spans, Encoding::Protobuf);
    let read = Request::read(Kind::Traces, Encoding::Protobuf, &body).unwrap();
    assert_eq!(read.spans, kept[0].spans);

    let late = Made { state: "ot=th:e;rv:ffffffffffffff", ..Made::child(id, 2) };
    sampler.take([late.span()], now, &mut |sampled: Sampled| kept.push(sampled));
    assert_eq!(kept[1].spans[0].trace_state(), "ot=th:e;rv:ffffffffffffff", "the higher one stays");
}

#[test]
fn thresholds_combine() {
    let certain = |probability| Rule::Probability(probability);
    // A randomness of nine tenths.
    let at = |rule: Rule, state| {
        let made = Made { state, ..Made::root(0xe6_6666_6666_6666) };
        let (kept, _) = decide(named(rule), &[vec![made]]);
        kept.first().map(|sampled| sampled.spans[0].trace_state().to_owned())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(at(certain(0.5), ""), some("ot=th:8"));
    assert_eq!(at(certain(0.05), ""), None);
    assert_eq!(at(certain(0.5), "ot=rv:00000000000000"), None, "explicit randomness comes first");
    assert_eq!(at(certain(0.5), "ot=th:4"), some("ot=th:8"));
    assert_eq!(at(certain(0.5), "ot=th:c"), some("ot=th:c"));
    assert_eq!(at(certain(0.5), "ot=th:f"), some("ot=th:8"), "it would have rejected the trace");
    assert_eq!(at(Rule::Always, "ot=th:c"), some("ot=th:c"));
    assert_eq!(at(Rule::Any(vec![certain(0.05), certain(0.5)]), ""), some("ot=th:8"));
    assert_eq!(at(Rule::All(vec![certain(0.25), certain(0.5)]), ""), some("ot=th:c"));
    assert_eq!(at(Rule::All(vec![certain(0.05), certain(0.5)]), ""), None);
    assert_eq!(at(Rule::First(vec![certain(0.05), certain(0.5)]), ""), None);
    let few = || Rule::Few { count: 1, per: Duration::from_secs(1), operations: 1 };
    assert_eq!(at(few(), "ot=th:4"), some(""), "the probability is unknown");
    assert_eq!(at(Rule::Any(vec![few(), certain(0.5)]), ""), some("ot=th:8"));
    assert_eq!(at(Rule::Any(vec![few(), certain(0.05)]), ""), some(""));
    assert_eq!(at(Rule::All(vec![certain(0.05), few()]), ""), None);
    assert_eq!(at(Rule::All(vec![few(), certain(0.5)]), "a=1"), some("a=1"));
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = |rule| match sampler(named(rule)).unwrap_err() {
        SettingsError::Policy(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(wrong(Rule::Probability(0.0)), PolicyError::Probability(0.0));
    assert_eq!(wrong(Rule::Not(Rule::Probability(0.5).into())), PolicyError::Negated);
    assert!(matches!(wrong(Rule::Service(Match::like("\\"))), PolicyError::Condition(_)));
    assert!(matches!(
        wrong(Rule::RateLimit { unit: Unit::Spans, per_second: 0.0, burst: 1.0 }),
        PolicyError::Rate { .. }
    ));
    assert_eq!(wrong(Rule::SlowerThanMost { share: 1.0, operations: 1 }), PolicyError::Share(1.0));
}
