//! Who calls whom.

use crate::error::QueryError;
use crate::query::{Query, Report, nearest_rank};
use crate::signal::{Signal, Span, SpanId, TraceId};
use std::collections::{BTreeMap, HashMap};

/// Services and the calls between them, as a query's spans tell.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServiceGraph {
    /// The services, by name.
    pub services: Vec<ServiceNode>,
    /// Who called whom, the most frequent first.
    pub calls: Vec<ServiceCall>,
    /// Spans whose parent the query did not find: it is not in the store any more, has not come yet, or is not asked for.
    pub unlinked: u64,
    /// How the query went.
    pub report: Report,
}

/// A service of a [`ServiceGraph`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServiceNode {
    /// Its name.
    pub service: Box<str>,
    /// Its spans, redelivered ones once.
    pub spans: u64,
    /// Those that failed.
    pub errors: u64,
}

/// The calls from one service to another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServiceCall {
    /// Who called.
    pub caller: Box<str>,
    /// Who was called.
    pub callee: Box<str>,
    /// How often.
    pub calls: u64,
    /// How often it failed, as the one that was called says.
    pub errors: u64,
    /// How long the one that was called took, in nanoseconds, in order.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub durations: Vec<u64>,
}

impl ServiceCall {
    /// The share of calls that failed, from 0 to 1.
    pub fn error_rate(&self) -> f64 {
        self.errors as f64 / self.calls.max(1) as f64
    }

    /// The least duration that so large a share of the calls did not exceed, from 0 to 1, in nanoseconds: exact, by nearest rank.
    pub fn latency(&self, share: f64) -> u64 {
        nearest_rank(&self.durations, share).unwrap_or(0)
    }
}

struct Seen {
    service: usize,
    parent: Option<SpanId>,
    duration: u64,
    failed: bool,
}

impl Query<'_, Span> {
    /// Who called whom, how often, with how many errors and how fast: each span whose parent is another service's is a call.
    /// Copies no span; O(spans found), with some 64 bytes for each while it runs.
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn service_graph(self) -> Result<ServiceGraph, QueryError> {
        let mut numbers: HashMap<Box<str>, usize> = HashMap::new();
        let mut seen: HashMap<(TraceId, SpanId), Seen> = HashMap::new();
        // Spans without ids of their own are nobody's parents, and each is one.
        let mut nameless = Vec::new();
        let report = self.for_each(|_, span| {
            let name = span.service();
            let next = numbers.len();
            let service = match numbers.get(name) {
                Some(&number) => number,
                None => *numbers.entry(name.into()).or_insert(next),
            };
            let failed = span.is_error();
            // Newest first: of redelivered spans the one that came last counts.
            let one = Seen { service, parent: span.parent_span_id(), duration: span.duration(), failed };
            let id = (span.trace_id(), span.span_id());
            if span.trace_id().is_zero() || span.span_id().is_zero() {
                nameless.push((id, one));
            } else {
                seen.entry(id).or_insert(one);
            }
        })?;
        let mut names: Vec<Box<str>> = vec![Box::default(); numbers.len()];
        numbers.into_iter().for_each(|(name, number)| names[number] = name);
        let mut nodes: Vec<ServiceNode> =
            names.iter().map(|name| ServiceNode { service: name.clone(), spans: 0, errors: 0 }).collect();
        let mut calls: BTreeMap<(usize, usize), ServiceCall> = BTreeMap::new();
        let mut unlinked = 0;
        let all = seen.iter().chain(nameless.iter().map(|(id, span)| (id, span)));
        for ((trace, _), span) in all {
            nodes[span.service].spans += 1;
            nodes[span.service].errors += u64::from(span.failed);
            let Some(parent) = span.parent.filter(|parent| !parent.is_zero()) else { continue };
            let Some(parent) = seen.get(&(*trace, parent)) else {
                unlinked += 1;
                continue;
            };
            if parent.service != span.service {
                let (caller, callee) = (names[parent.service].clone(), names[span.service].clone());
                let none = ServiceCall { caller, callee, calls: 0, errors: 0, durations: Vec::new() };
                let call = calls.entry((parent.service, span.service)).or_insert(none);
                call.calls += 1;
                call.errors += u64::from(span.failed);
                call.durations.push(span.duration);
            }
        }
        let mut calls: Vec<ServiceCall> = calls.into_values().collect();
        calls.iter_mut().for_each(|call| call.durations.sort_unstable());
        let by_names = |a: &ServiceCall, b: &ServiceCall| (&a.caller, &a.callee).cmp(&(&b.caller, &b.callee));
        calls.sort_unstable_by(|a, b| b.calls.cmp(&a.calls).then_with(|| by_names(a, b)));
        nodes.sort_unstable_by(|a, b| a.service.cmp(&b.service));
        Ok(ServiceGraph { services: nodes, calls, unlinked, report })
    }
}
