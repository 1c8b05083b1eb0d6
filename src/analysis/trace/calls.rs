//! Who calls whom: how it is found.

use super::assembly::service_identity;
use super::graph::{NodeKind, ServiceCall, ServiceGraph, ServiceNode};
use super::parents::{self, Kin, Side};
use super::{path, peer};
use crate::error::QueryError;
use crate::query::Query;
use crate::signal::{Signal, Span, SpanId, SpanKind, TraceId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// A span, as far as it matters here.
struct Seen {
    kin: Kin,
    /// Its name's hash.
    name: u64,
    end: u64,
    duration: Option<u64>,
    failed: bool,
    /// Who it says that it called: that one's number.
    peer: Option<u32>,
    /// Its turn, by which its links are found.
    turn: u32,
}

impl Seen {
    fn side(&self) -> Side {
        Side::of(self.kin.kind)
    }

    fn is_named(&self) -> bool {
        !self.kin.trace.is_zero() && !self.kin.id.is_zero()
    }

    /// What it is known by; see `assembly`.
    fn identity(&self) -> (TraceId, SpanId, Reverse<Side>, u32, SpanKind, u64, u64) {
        let Kin { trace, id, service, kind, start, .. } = self.kin;
        (trace, id, Reverse(self.side()), service, kind, start, self.name)
    }
}

/// Names and their numbers.
#[derive(Default)]
struct Names {
    /// By namespace and name.
    services: HashMap<Box<str>, HashMap<Box<str>, u32>>,
    /// Who was called, as callers name them.
    peers: HashMap<Box<str>, u32>,
    kinds: Vec<NodeKind>,
    next_service: u32,
}

impl Names {
    fn service(&mut self, (namespace, name): (&str, &str)) -> u32 {
        if !self.services.contains_key(namespace) {
            self.services.insert(namespace.into(), HashMap::new());
        }
        let names = self.services.get_mut(namespace).expect("it is there now");
        if let Some(&number) = names.get(name) {
            return number;
        }
        let number = self.next_service;
        self.next_service += 1;
        names.insert(name.into(), number);
        number
    }

    fn peer(&mut self, name: &str, kind: NodeKind) -> u32 {
        let number = match self.peers.get(name) {
            Some(&number) => number,
            None => {
                let next = self.kinds.len() as u32;
                self.peers.insert(name.into(), next);
                self.kinds.push(kind);
                next
            }
        };
        // Of what several say the one that says most, whoever came first.
        let known = &mut self.kinds[number as usize];
        *known = kind.max(*known);
        number
    }
}

impl Query<'_, Span> {
    /// Who called whom, how often, with how many errors and how fast. A call is
    ///
    /// - a span whose parent is another service's,
    /// - a consumer's span that is linked to a span of another service, as those of a batch of messages are,
    /// - a client's or a producer's span under which there is no span of another service, if its attributes say whom it called: the
    ///   callee is then a virtual node, named by `peer.service`, `server.address`, `network.peer.address`, `db.namespace`,
    ///   `db.system.name` or `messaging.system`, or by their former names. If a service has that name, it is that service.
    ///
    /// (As the service graphs of Grafana Tempo and of OpenTelemetry's Collector have it, but for
    /// one node of theirs: a root that is a server's span is called by `user` there. Nobody tells
    /// of that caller here, so there is none.) Whether a callee has a span is looked up in the
    /// whole store, also if the query asks for a part of it. Copies no span; O(n log n) in the
    /// spans found, with some 110 bytes for each while it runs.
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn service_graph(self) -> Result<ServiceGraph, QueryError> {
        let whole = self.asks_for_all();
        let engine = self.engine();
        let state = RandomState::new();
        let mut names = Names::default();
        let mut seen: Vec<Seen> = Vec::new();
        // By the turn of the consumer.
        let mut links: Vec<(u32, TraceId, SpanId)> = Vec::new();
        let report = self.for_each_unordered(|_, span| {
            let turn = seen.len() as u32;
            if span.kind() == SpanKind::Consumer {
                links.extend(span.links().iter().map(|link| (turn, link.trace_id(), link.span_id())));
            }
            let kin = Kin {
                trace: span.trace_id(),
                id: span.span_id(),
                parent: span.parent_span_id().filter(|parent| !parent.is_zero()),
                service: names.service(service_identity(span)),
                kind: span.kind(),
                start: path::times(span).start,
            };
            let called = if Side::of(span.kind()) == Side::Caller { peer::of(span) } else { None };
            seen.push(Seen {
                kin,
                name: state.hash_one(span.name()),
                end: span.end_unix_nanos(),
                duration: span.known_duration(),
                failed: span.is_error(),
                peer: called.map(|(name, kind)| names.peer(&name, kind)),
                turn,
            });
        })?;
        // Callers first of those with one id; of redelivered spans the fullest.
        let knows = |one: &Seen| Reverse((one.end, one.failed, one.peer.is_some(), one.kin.parent));
        seen.sort_unstable_by_key(|one| (one.identity(), knows(one)));
        seen.dedup_by(|one, before| one.is_named() && one.identity() == before.identity());
        let parents = parents::of(&seen, |one| one.kin);
        let mut drawing = Drawing::of(names);
        drawing.add_spans(&seen);
        let matched = drawing.add_calls(&seen, &parents, &links);
        let mut lonely: Vec<&Seen> =
            seen.iter().zip(&matched).filter(|(_, matched)| !**matched).map(|(one, _)| one).collect();
        lonely.retain(|one| one.peer.is_some());
        if !whole && !lonely.is_empty() {
            let found = drawing.called_elsewhere(Query::new(engine), &lonely)?;
            lonely.retain(|one| !found.contains(&(one.kin.trace, one.kin.id)));
        }
        drawing.add_virtual(&lonely);
        let without_parent = |(one, parent): &(&Seen, &Option<usize>)| one.kin.parent.is_some() && parent.is_none();
        let unlinked = seen.iter().zip(&parents).filter(without_parent).count() as u64;
        let (services, calls) = drawing.done();
        Ok(ServiceGraph { services, calls, unlinked, report })
    }
}

/// A graph that is being drawn: nodes by number, services first, then peers.
struct Drawing {
    nodes: Vec<ServiceNode>,
    /// Services by name and namespace.
    by_name: BTreeMap<(Box<str>, Box<str>), usize>,
    services: usize,
    calls: BTreeMap<(usize, usize), ServiceCall>,
}

impl Drawing {
    fn of(names: Names) -> Self {
        let Names { services, peers, kinds, next_service } = names;
        let node = |service, namespace, kind| ServiceNode { service, namespace, kind, spans: 0, errors: 0 };
        let none = node(Box::default(), Box::default(), NodeKind::Service);
        let services_len = next_service as usize;
        let mut nodes = vec![none; services_len + kinds.len()];
        let mut by_name = BTreeMap::new();
        for (namespace, names) in services {
            for (name, number) in names {
                nodes[number as usize] = node(name.clone(), namespace.clone(), NodeKind::Service);
                by_name.insert((name, namespace.clone()), number as usize);
            }
        }
        for (name, number) in peers {
            let number = number as usize;
            nodes[services_len + number] = node(name, Box::default(), kinds[number]);
        }
        Self { nodes, by_name, services: services_len, calls: BTreeMap::new() }
    }

    fn add_spans(&mut self, seen: &[Seen]) {
        for one in seen {
            let node = &mut self.nodes[one.kin.service as usize];
            node.spans += 1;
            node.errors += u64::from(one.failed);
        }
    }

    /// The calls of which both sides are there. Says of each span whether someone answers to it.
    fn add_calls(&mut self, seen: &[Seen], parents: &[Option<usize>], links: &[(u32, TraceId, SpanId)]) -> Vec<bool> {
        let mut matched = vec![false; seen.len()];
        let mut answers = |drawing: &mut Self, callee: &Seen, caller: usize| {
            let by = &seen[caller];
            let elsewhere = by.kin.service != callee.kin.service;
            // A client's span under another of its own service makes the call that both tell of.
            matched[caller] |= elsewhere || callee.side() != Side::Neither;
            if elsewhere {
                let failed = callee.failed || by.side() == Side::Caller && by.failed;
                drawing.add(by.kin.service as usize, callee.kin.service as usize, failed, callee.duration, true);
            }
        };
        for (place, one) in seen.iter().enumerate() {
            let parent = parents[place].filter(|&parent| parent != place);
            if let Some(parent) = parent {
                answers(self, one, parent);
            }
            if one.kin.kind != SpanKind::Consumer {
                continue;
            }
            let from = links.partition_point(|(turn, ..)| *turn < one.turn);
            let own = links[from..].iter().take_while(|(turn, ..)| *turn == one.turn);
            let mut linked: Vec<usize> = own.filter_map(|&(_, trace, id)| place_of(seen, trace, id)).collect();
            linked.sort_unstable();
            linked.dedup();
            linked.into_iter().filter(|&by| by != place && Some(by) != parent).for_each(|by| answers(self, one, by));
        }
        matched
    }

    /// Which of these callers have a callee's span in the store that was not asked for.
    fn called_elsewhere(
        &self,
        all: Query<'_, Span>,
        lonely: &[&Seen],
    ) -> Result<HashSet<(TraceId, SpanId)>, QueryError> {
        let asked: HashMap<(TraceId, SpanId), u32> =
            lonely.iter().map(|one| ((one.kin.trace, one.kin.id), one.kin.service)).collect();
        let mut found = HashSet::new();
        all.for_each_unordered(|_, span| {
            let side = Side::of(span.kind());
            let is_of = |service: u32| {
                let (namespace, name) = service_identity(span);
                let known = &self.nodes[service as usize];
                (&*known.namespace, &*known.service) == (namespace, name)
            };
            let mut note = |trace, id, answers: bool| match asked.get(&(trace, id)) {
                Some(&caller) if answers || !is_of(caller) => _ = found.insert((trace, id)),
                _ => {}
            };
            if let Some(parent) = span.parent_span_id() {
                note(span.trace_id(), parent, side != Side::Neither);
            }
            if side == Side::Callee {
                note(span.trace_id(), span.span_id(), true);
            }
            if span.kind() == SpanKind::Consumer {
                span.links().iter().for_each(|link| note(link.trace_id(), link.span_id(), true));
            }
        })?;
        Ok(found)
    }

    /// The calls of which only the caller tells.
    fn add_virtual(&mut self, lonely: &[&Seen]) {
        for one in lonely {
            let caller = one.kin.service as usize;
            let peer = self.services + one.peer.expect("those without were left out") as usize;
            let callee = self.service_named(&self.nodes[peer].service, &self.nodes[caller].namespace).unwrap_or(peer);
            if callee != caller {
                self.add(caller, callee, one.failed, one.duration, false);
            }
        }
    }

    /// A service that is known by this name: in the caller's namespace, or in the first that has one.
    fn service_named(&self, name: &str, namespace: &str) -> Option<usize> {
        let from = (Box::from(name), Box::default());
        let same = self.by_name.get(&(Box::from(name), Box::from(namespace)));
        let any = || self.by_name.range(from..).next().filter(|((found, _), _)| **found == *name);
        same.copied().or_else(|| any().map(|(_, &number)| number))
    }

    fn add(&mut self, caller: usize, callee: usize, failed: bool, duration: Option<u64>, matched: bool) {
        let (by, of) = (&self.nodes[caller], &self.nodes[callee]);
        let call = self.calls.entry((caller, callee)).or_insert_with(|| ServiceCall {
            caller: by.service.clone(),
            caller_namespace: by.namespace.clone(),
            callee: of.service.clone(),
            callee_namespace: of.namespace.clone(),
            calls: 0,
            errors: 0,
            unmatched: 0,
            durations: Vec::new(),
        });
        call.calls += 1;
        call.errors += u64::from(failed);
        call.unmatched += u64::from(!matched);
        call.durations.extend(duration);
    }

    fn done(self) -> (Vec<ServiceNode>, Vec<ServiceCall>) {
        let called: HashSet<usize> = self.calls.keys().map(|&(_, callee)| callee).collect();
        let numbered = self.nodes.into_iter().enumerate();
        // What turned out to be a service, or to have an answer, is no node of its own.
        let kept = numbered.filter(|(number, _)| *number < self.services || called.contains(number));
        let mut nodes: Vec<ServiceNode> = kept.map(|(_, node)| node).collect();
        nodes.sort_unstable_by(|a, b| (&a.service, &a.namespace).cmp(&(&b.service, &b.namespace)));
        let mut calls: Vec<ServiceCall> = self.calls.into_values().collect();
        calls.iter_mut().for_each(|call| call.durations.sort_unstable());
        calls.sort_unstable_by(|a, b| b.calls.cmp(&a.calls).then_with(|| names(a).cmp(&names(b))));
        (nodes, calls)
    }
}

fn names(call: &ServiceCall) -> [&str; 4] {
    [&call.caller, &call.callee, &call.caller_namespace, &call.callee_namespace]
}

/// The span with this id; the caller's, if two share it.
fn place_of(seen: &[Seen], trace: TraceId, id: SpanId) -> Option<usize> {
    if trace.is_zero() || id.is_zero() {
        return None;
    }
    let place = seen.partition_point(|one| (one.kin.trace, one.kin.id) < (trace, id));
    let found = seen.get(place)?;
    ((found.kin.trace, found.kin.id) == (trace, id)).then_some(place)
}
