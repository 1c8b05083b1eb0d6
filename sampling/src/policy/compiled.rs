//! Evaluates rules.

use super::bucket::Bucket;
use super::latency::Durations;
use super::operations::Operations;
use super::{Evidence, Policy, PolicyError, Predicate, Rule, Unit};
use crate::threshold::{Randomness, Threshold};
use slipring::query::{Condition, Level};
use slipring::{Signal, Span};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// The number of a named policy.
pub(crate) type Name = u16;

const MOST_NAMES: usize = 65_000;

/// Validated policies, with the state of those that have one.
#[derive(Debug)]
pub(crate) struct Compiled {
    root: Node,
    names: Vec<Arc<str>>,
    /// Tests that look at one span at a time. Each span is tested as it arrives, when its bytes are
    /// in the processor's cache. A test's number is that of its bit in a trace's marks.
    marked: Vec<Marked>,
    /// Whether there is a rule of the owner's, which looks at spans.
    pub(crate) has_custom: bool,
    /// Whether there is a rule that asks for a trace's operation.
    pub(crate) asks_operation: bool,
    pub(crate) panics: u64,
}

#[derive(Debug)]
enum Node {
    Sample(Name, Threshold),
    Mark(Name, u8),
    Test(Name, Test),
    Slow(Name, f64, Operations<Durations>),
    Limit(Name, Unit, Bucket),
    Few(Name, u32, u64, Operations<Turn>),
    All(Vec<Node>),
    Any(Vec<Node>),
    First(Vec<Node>),
    Not(Name, Box<Node>),
}

/// The traces of an operation in the current span of time.
#[derive(Debug, Default)]
struct Turn {
    number: u64,
    count: u32,
}

/// A test of one span, which a trace passes if one of its spans does.
#[derive(Debug)]
enum Marked {
    Error,
    Attribute(Option<Level>, Box<str>, Condition),
    Service(Condition),
}

/// The number of tests of single spans. Each has a bit in a trace's marks.
const MOST_MARKED: usize = 64;

#[derive(Debug)]
enum Test {
    SlowerThan(u64),
    Operation(Condition),
    Spans(usize),
    Custom(Predicate),
}

/// What a rule says of a trace.
#[derive(Clone, Copy, Debug, Default)]
struct Verdict {
    /// The threshold, and the policy that set it. `None` if the rule does not match.
    known: Option<(Threshold, Name)>,
    /// The policy that keeps the trace with an unknown probability.
    unknown: Option<Name>,
}

impl Verdict {
    fn matches(self) -> bool {
        self.known.is_some() || self.unknown.is_some()
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The trace is kept; without a threshold its probability is unknown.
    Keep { by: Name, threshold: Option<Threshold> },
    /// The trace is rejected: by a policy, or because none matched.
    Reject { by: Option<Name> },
}

struct Context<'a> {
    trace: Evidence<'a>,
    randomness: Randomness,
    now: u64,
    panics: u64,
}

impl Compiled {
    pub(crate) fn new(policies: &[Policy]) -> Result<Self, PolicyError> {
        let mut parts = Parts::default();
        let nodes: Result<Vec<_>, _> =
            policies.iter().map(|policy| named(policy, &mut parts)).collect();
        let root = Node::First(nodes?);
        let Parts { names, marked, has_custom, asks_operation } = parts;
        if names.len() > MOST_NAMES {
            return Err(PolicyError::Names(names.len()));
        }
        if marked.len() > MOST_MARKED {
            return Err(PolicyError::Conditions(marked.len()));
        }
        Ok(Self { root, names, marked, has_custom, asks_operation, panics: 0 })
    }

    /// Returns the names of policies, in the order of their numbers.
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// Tests a span. Returns the trace's marks with those that the span has earned it.
    pub(crate) fn mark(&self, span: &Span, mut marks: u64) -> u64 {
        for (number, test) in self.marked.iter().enumerate() {
            if marks & 1 << number == 0 && test.passes(span) {
                marks |= 1 << number;
            }
        }
        marks
    }

    /// Decides about a trace. O(rules).
    pub(crate) fn decide(
        &mut self,
        trace: Evidence<'_>,
        randomness: Randomness,
        now: u64,
    ) -> Choice {
        let mut context = Context { trace, randomness, now, panics: 0 };
        let verdict = self.root.evaluate(&mut context, Threshold::ALWAYS);
        self.root.learn(&context);
        self.panics += context.panics;
        match verdict {
            Verdict { known: Some((threshold, by)), .. } if threshold.keeps(randomness) => {
                Choice::Keep { by, threshold: Some(threshold) }
            }
            Verdict { unknown: Some(by), .. } => Choice::Keep { by, threshold: None },
            Verdict { known, .. } => Choice::Reject { by: known.map(|(_, by)| by) },
        }
    }
}

/// What the rules compiled so far need.
#[derive(Default)]
struct Parts {
    names: Vec<Arc<str>>,
    marked: Vec<Marked>,
    has_custom: bool,
    asks_operation: bool,
}

fn named(policy: &Policy, parts: &mut Parts) -> Result<Node, PolicyError> {
    let names = &mut parts.names;
    let number = names.iter().position(|known| *known == policy.name).unwrap_or_else(|| {
        names.push(Arc::clone(&policy.name));
        names.len() - 1
    });
    node(&policy.rule, number as Name, parts)
}

fn node(rule: &Rule, name: Name, parts: &mut Parts) -> Result<Node, PolicyError> {
    let test = |test| Ok(Node::Test(name, test));
    let some =
        |number: usize, what| if number == 0 { Err(PolicyError::Zero(what)) } else { Ok(()) };
    let mark = |parts: &mut Parts, test| {
        parts.marked.push(test);
        Ok(Node::Mark(name, (parts.marked.len() - 1).min(MOST_MARKED) as u8))
    };
    let all = |rules: &[Rule], parts: &mut Parts| -> Result<Vec<Node>, PolicyError> {
        rules.iter().map(|rule| node(rule, name, parts)).collect()
    };
    match rule {
        Rule::Always => Ok(Node::Sample(name, Threshold::ALWAYS)),
        Rule::Never => Ok(Node::Sample(name, Threshold::NEVER)),
        Rule::Probability(probability) => Threshold::of_probability(*probability)
            .map(|threshold| Node::Sample(name, threshold))
            .ok_or(PolicyError::Probability(*probability)),
        Rule::Error => mark(parts, Marked::Error),
        Rule::SlowerThan(least) => test(Test::SlowerThan(nanos(*least))),
        Rule::SlowerThanMost { share, operations } => {
            some(*operations, "the number of operations")?;
            if !(*share > 0.0 && *share < 1.0) {
                return Err(PolicyError::Share(*share));
            }
            parts.asks_operation = true;
            Ok(Node::Slow(name, *share, Operations::new(*operations)))
        }
        Rule::Attribute { level, name: attribute, condition } => {
            let condition = Condition::new(condition.clone())?;
            mark(parts, Marked::Attribute(*level, attribute.clone(), condition))
        }
        Rule::Service(condition) => {
            mark(parts, Marked::Service(Condition::new(condition.clone())?))
        }
        Rule::Operation(condition) => {
            parts.asks_operation = true;
            test(Test::Operation(Condition::new(condition.clone())?))
        }
        Rule::SpansAtLeast(least) => test(Test::Spans(*least)),
        Rule::RateLimit { unit, per_second, burst } => {
            let (per_second, burst) = (*per_second, *burst);
            if !(per_second > 0.0 && per_second.is_finite() && burst >= 1.0 && burst.is_finite()) {
                return Err(PolicyError::Rate { per_second, burst });
            }
            Ok(Node::Limit(name, *unit, Bucket::new(per_second, burst)))
        }
        Rule::Few { count, per, operations } => {
            some(*operations, "the number of operations")?;
            some(*count as usize, "the number of traces")?;
            some(nanos(*per) as usize, "the span of time")?;
            parts.asks_operation = true;
            Ok(Node::Few(name, *count, nanos(*per), Operations::new(*operations)))
        }
        Rule::Custom(predicate) => {
            parts.has_custom = true;
            test(Test::Custom(predicate.clone()))
        }
        Rule::All(rules) => all(rules, parts).map(Node::All),
        Rule::Any(rules) => all(rules, parts).map(Node::Any),
        Rule::First(rules) => all(rules, parts).map(Node::First),
        Rule::Not(rule) if is_certain(rule) => {
            Ok(Node::Not(name, Box::new(node(rule, name, parts)?)))
        }
        Rule::Not(_) => Err(PolicyError::Negated),
        Rule::Named(policy) => named(policy, parts),
    }
}

/// Returns whether a rule keeps every trace that it matches.
fn is_certain(rule: &Rule) -> bool {
    match rule {
        Rule::Never | Rule::Probability(_) | Rule::RateLimit { .. } | Rule::Few { .. } => false,
        Rule::All(rules) | Rule::Any(rules) | Rule::First(rules) => rules.iter().all(is_certain),
        Rule::Not(rule) => is_certain(rule),
        Rule::Named(policy) => is_certain(&policy.rule),
        _ => true,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Node {
    /// Returns what the rule says. `before` is the threshold that the trace has to pass anyway:
    /// only then does a rate limit spend tokens on it.
    fn evaluate(&mut self, context: &mut Context<'_>, before: Threshold) -> Verdict {
        let certain = |name, matches: bool| Verdict {
            known: matches.then_some((Threshold::ALWAYS, name)),
            unknown: None,
        };
        match self {
            Node::Sample(name, threshold) => {
                Verdict { known: Some((*threshold, *name)), unknown: None }
            }
            Node::Mark(name, number) => certain(*name, context.trace.marks & 1 << *number != 0),
            Node::Test(name, test) => certain(*name, test.matches(context)),
            Node::Slow(name, share, operations) => {
                let durations = operations.of(context.trace.operation, context.now);
                certain(*name, durations.is_above(*share, context.trace.duration))
            }
            Node::Limit(name, unit, bucket) => {
                let tokens = match unit {
                    Unit::Traces => 1.0,
                    Unit::Spans => context.trace.count as f64,
                };
                if !before.keeps(context.randomness) {
                    return Verdict { known: Some((before, *name)), unknown: None };
                }
                let gets_through = bucket.take(tokens, context.now);
                Verdict { known: None, unknown: gets_through.then_some(*name) }
            }
            Node::Few(name, count, per, operations) => {
                let turn = operations.of(context.trace.operation, context.now);
                let number = context.now / *per + 1;
                if turn.number != number {
                    *turn = Turn { number, count: 0 };
                }
                let is_one = turn.count < *count;
                turn.count = turn.count.saturating_add(1);
                Verdict { known: None, unknown: is_one.then_some(*name) }
            }
            Node::All(nodes) => all(nodes, context, before),
            Node::Any(nodes) => {
                nodes.iter_mut().fold(Verdict::default(), |whole, node| {
                    // Of equal thresholds, the first policy's is told.
                    let next = node.evaluate(context, before);
                    let known = match (whole.known, next.known) {
                        (Some(one), Some(other)) if other.0 < one.0 => Some(other),
                        (one, other) => one.or(other),
                    };
                    Verdict { known, unknown: whole.unknown.or(next.unknown) }
                })
            }
            Node::First(nodes) => nodes
                .iter_mut()
                .map(|node| node.evaluate(context, before))
                .find(|verdict| verdict.matches())
                .unwrap_or_default(),
            Node::Not(name, node) => {
                let matches = node.evaluate(context, before).matches();
                certain(*name, !matches)
            }
        }
    }

    /// Tells the rules that learn from traces of this one, whichever rule decided about it.
    fn learn(&mut self, context: &Context<'_>) {
        match self {
            Node::Slow(_, _, operations) => {
                let durations = operations.of(context.trace.operation, context.now);
                durations.add(context.trace.duration);
            }
            Node::All(nodes) | Node::Any(nodes) | Node::First(nodes) => {
                nodes.iter_mut().for_each(|node| node.learn(context));
            }
            Node::Not(_, node) => node.learn(context),
            _ => {}
        }
    }
}

/// A trace passes all rules if it passes each: by its threshold, or in the unknown way.
fn all(nodes: &mut [Node], context: &mut Context<'_>, before: Threshold) -> Verdict {
    let mut highest: Option<(Threshold, Name)> = None;
    let mut unknown = None;
    let (mut each_is_known, mut passes) = (true, true);
    for node in nodes {
        let threshold = highest.map_or(before, |(threshold, _)| threshold.max(before));
        let next = node.evaluate(context, threshold);
        if !next.matches() {
            return Verdict::default();
        }
        let is_kept = next.known.is_some_and(|(own, _)| own.keeps(context.randomness));
        passes &= is_kept || next.unknown.is_some();
        each_is_known &= next.known.is_some();
        if !is_kept {
            unknown = unknown.or(next.unknown);
        }
        // Of equal thresholds, the last policy's is told: conditions come before.
        if let Some((own, by)) = next.known
            && highest.is_none_or(|(highest, _)| own >= highest)
        {
            highest = Some((own, by));
        }
    }
    let unknown = unknown.filter(|_| passes);
    // In the unknown way alone, the trace has no threshold. If it is rejected, a threshold does it.
    let known = highest.filter(|_| each_is_known || !passes);
    Verdict { known, unknown }
}

impl Marked {
    fn passes(&self, span: &Span) -> bool {
        match self {
            Marked::Error => span.is_error(),
            Marked::Attribute(level, name, condition) => condition.accepts(span, *level, name),
            Marked::Service(condition) => condition.fits(span.service()),
        }
    }
}

impl Test {
    fn matches(&self, context: &mut Context<'_>) -> bool {
        let trace = &context.trace;
        match self {
            Test::SlowerThan(least) => trace.duration > *least,
            Test::Operation(condition) => condition.fits(trace.operation.1),
            Test::Spans(least) => trace.count >= *least,
            Test::Custom(predicate) => {
                let Some(view) = &trace.view else { return false };
                catch_unwind(AssertUnwindSafe(|| (predicate.0)(view))).unwrap_or_else(|_| {
                    context.panics += 1;
                    false
                })
            }
        }
    }
}
