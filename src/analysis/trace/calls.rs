//! Derives the service graph from spans.

use super::assembly::service_identity;
use super::graph::{NodeKind, ServiceCall, ServiceGraph, ServiceNode};
use super::parents::{self, Side, SpanKey};
use super::{path, peer};
use crate::error::QueryError;
use crate::query::Query;
use crate::signal::{Signal, Span, SpanId, SpanKind, TraceId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// The properties of a span that the graph needs.
struct GraphSpan {
    key: SpanKey,
    /// The hash of its name.
    name: u64,
    end: u64,
    duration: Option<u64>,
    failed: bool,
    /// The number of the peer that its attributes name as the callee.
    peer: Option<u32>,
    /// Its number in the order of visits, by which its links are found.
    visit: u32,
    /// Whether it did not come from the store.
    added: bool,
}

impl GraphSpan {
    fn side(&self) -> Side {
        Side::of(self.key.kind)
    }

    fn is_named(&self) -> bool {
        !self.key.trace.is_zero() && !self.key.id.is_zero()
    }

    /// Returns the span's identity, as in `assembly`.
    fn identity(&self) -> (TraceId, SpanId, Reverse<Side>, u32, SpanKind, u64, u64) {
        let SpanKey { trace, id, service, kind, start, .. } = self.key;
        (trace, id, Reverse(self.side()), service, kind, start, self.name)
    }
}

/// Numbers for names.
#[derive(Default)]
struct Names {
    /// Services by namespace and name.
    services: HashMap<Box<str>, HashMap<Box<str>, u32>>,
    /// Callees by the name that callers give them.
    peers: HashMap<Box<str>, u32>,
    kinds: Vec<NodeKind>,
    next_service: u32,
}

impl Names {
    fn service(&mut self, (namespace, name): (&str, &str)) -> u32 {
        if !self.services.contains_key(namespace) {
            self.services.insert(namespace.into(), HashMap::new());
        }
        let names = self.services.get_mut(namespace).expect("the namespace was just inserted");
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
        // If callers disagree, keep the most specific kind, whatever the order of the spans.
        let known = &mut self.kinds[number as usize];
        *known = kind.max(*known);
        number
    }
}

impl Query<'_, Span> {
    /// Returns which service called which, how often, with how many errors and how fast. A call is
    ///
    /// - a span whose parent is a span of another service,
    /// - a consumer's span that is linked to a span of another service, as those of a batch of
    ///   messages are,
    /// - a client's or a producer's span without a child of another service, if its attributes name
    ///   the callee. The callee is then a virtual node, named by `peer.service`, `server.address`,
    ///   `network.peer.address`, `db.namespace`, `db.system.name` or `messaging.system`, or by the
    ///   former names of these. If a service has that name, the call goes to that service.
    ///
    /// The service graphs of Grafana Tempo and of the OpenTelemetry Collector use the same rules,
    /// but for one: they draw a node `user` that calls each root span of a server. No span here
    /// names that caller, so this graph has no such node.
    ///
    /// Whether a callee has a span is looked up in the whole store, even if the query covers only a
    /// part of it. Copies no span. O(n log n) in the number of spans found, with about 110 bytes
    /// for each while it runs.
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn service_graph(self) -> Result<ServiceGraph, QueryError> {
        self.service_graph_with(|_| ())
    }

    /// Returns the graph of the query's spans and of others, such as those of another tier, which
    /// `others` passes to the visitor that it is given. Of these, the graph has those that meet the
    /// query's conditions, and each span once, also if the store holds it: spans are told apart by
    /// their ids, so others without a trace id or a span id are left out.
    ///
    /// `others` is called when the store has been looked through. It is called once more for a query
    /// that does not ask for all, if callees are [looked for elsewhere](Self::service_graph).
    ///
    /// ```
    /// use slipring::span::SpanKind;
    /// use slipring::{Resource, Scope, Source, Span, Store};
    ///
    /// let traces: Store<Span> = Store::builder().build()?;
    /// let span = |service: &'static str, id: u64| {
    ///     let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
    ///     let span = Span::builder().source(&source).trace_id(7).span_id(id);
    ///     span.parent_span_id((id > 1).then_some(1.into())).kind(SpanKind::Server).build()
    /// };
    /// traces.push(span("shop", 1))?;
    /// let evicted = [span("shop", 1), span("cart", 2)];
    /// let graph = traces.query().service_graph_with(|visit| evicted.iter().for_each(visit))?;
    /// assert_eq!((graph.services.len(), graph.calls.len(), graph.added), (2, 1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`collect`](Query::collect).
    pub fn service_graph_with(
        self,
        others: impl Fn(&mut dyn FnMut(&Span)),
    ) -> Result<ServiceGraph, QueryError> {
        let whole = self.asks_for_all();
        let engine = self.engine();
        let state = RandomState::new();
        let mut names = Names::default();
        let mut seen: Vec<GraphSpan> = Vec::new();
        // Sorted by the consumer's visit.
        let mut links: Vec<(u32, TraceId, SpanId)> = Vec::new();
        let conditions = self.clone();
        let mut note = |span: &Span, added: bool| {
            let visit = seen.len() as u32;
            if span.kind() == SpanKind::Consumer {
                links.extend(
                    span.links().iter().map(|link| (visit, link.trace_id(), link.span_id())),
                );
            }
            let key = SpanKey {
                trace: span.trace_id(),
                id: span.span_id(),
                parent: span.parent_span_id().filter(|parent| !parent.is_zero()),
                service: names.service(service_identity(span)),
                kind: span.kind(),
                start: path::times(span).start,
            };
            let called = if Side::of(span.kind()) == Side::Caller { peer::of(span) } else { None };
            seen.push(GraphSpan {
                key,
                name: state.hash_one(span.name()),
                end: span.end_unix_nanos(),
                duration: span.known_duration(),
                failed: span.is_error(),
                peer: called.map(|(name, kind)| names.peer(&name, kind)),
                visit,
                added,
            });
        };
        let report = self.for_each_unordered(|_, span| note(span, false))?;
        others(&mut |span| {
            let is_named = !span.trace_id().is_zero() && !span.span_id().is_zero();
            if is_named && conditions.accepts(span) {
                note(span, true);
            }
        });
        // Among spans with one id callers come first; among redelivered ones, the most complete.
        let completeness = |one: &GraphSpan| {
            let most = Reverse((one.end, one.failed, one.peer.is_some(), one.key.parent));
            (most, one.added)
        };
        seen.sort_unstable_by_key(|one| (one.identity(), completeness(one)));
        seen.dedup_by(|one, before| one.is_named() && one.identity() == before.identity());
        let added = seen.iter().filter(|one| one.added).count() as u64;
        let parents = parents::of(&seen, |one| one.key);
        let mut builder = GraphBuilder::of(names);
        builder.add_spans(&seen);
        let matched = builder.add_calls(&seen, &parents, &links);
        let mut unanswered: Vec<&GraphSpan> = seen
            .iter()
            .zip(&matched)
            .filter(|(_, matched)| !**matched)
            .map(|(one, _)| one)
            .collect();
        unanswered.retain(|one| one.peer.is_some());
        if !whole && !unanswered.is_empty() {
            let found = builder.called_elsewhere(Query::new(engine), &others, &unanswered)?;
            unanswered.retain(|one| !found.contains(&(one.key.trace, one.key.id)));
        }
        builder.add_virtual(&unanswered);
        let without_parent = |(one, parent): &(&GraphSpan, &Option<usize>)| {
            one.key.parent.is_some() && parent.is_none()
        };
        let unlinked = seen.iter().zip(&parents).filter(without_parent).count() as u64;
        let (services, calls) = builder.finish();
        Ok(ServiceGraph { services, calls, unlinked, added, report })
    }
}

/// A service graph under construction. Nodes are numbered: services first, then peers.
struct GraphBuilder {
    nodes: Vec<ServiceNode>,
    /// The numbers of services by name and namespace.
    by_name: BTreeMap<(Box<str>, Box<str>), usize>,
    services: usize,
    calls: BTreeMap<(usize, usize), ServiceCall>,
}

impl GraphBuilder {
    fn of(names: Names) -> Self {
        let Names { services, peers, kinds, next_service } = names;
        let node = |service, namespace, kind| ServiceNode {
            service,
            namespace,
            kind,
            spans: 0,
            errors: 0,
        };
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

    fn add_spans(&mut self, seen: &[GraphSpan]) {
        for one in seen {
            let node = &mut self.nodes[one.key.service as usize];
            node.spans += 1;
            node.errors += u64::from(one.failed);
        }
    }

    /// Adds the calls of which both sides have spans. Returns, for each span, whether another span
    /// answers it.
    fn add_calls(
        &mut self,
        seen: &[GraphSpan],
        parents: &[Option<usize>],
        links: &[(u32, TraceId, SpanId)],
    ) -> Vec<bool> {
        let mut matched = vec![false; seen.len()];
        let mut answers = |builder: &mut Self, callee: &GraphSpan, caller: usize| {
            let by = &seen[caller];
            let elsewhere = by.key.service != callee.key.service;
            // A client's span under another client's span of its own service reports the same call.
            matched[caller] |= elsewhere || callee.side() != Side::Neither;
            if elsewhere {
                let failed = callee.failed || by.side() == Side::Caller && by.failed;
                builder.add(
                    by.key.service as usize,
                    callee.key.service as usize,
                    failed,
                    callee.duration,
                    true,
                );
            }
        };
        for (place, one) in seen.iter().enumerate() {
            let parent = parents[place].filter(|&parent| parent != place);
            if let Some(parent) = parent {
                answers(self, one, parent);
            }
            if one.key.kind != SpanKind::Consumer {
                continue;
            }
            let from = links.partition_point(|(visit, ..)| *visit < one.visit);
            let own = links[from..].iter().take_while(|(visit, ..)| *visit == one.visit);
            let mut linked: Vec<usize> =
                own.filter_map(|&(_, trace, id)| place_of(seen, trace, id)).collect();
            linked.sort_unstable();
            linked.dedup();
            linked
                .into_iter()
                .filter(|&by| by != place && Some(by) != parent)
                .for_each(|by| answers(self, one, by));
        }
        matched
    }

    /// Returns which of these callers have a callee's span elsewhere in the store or among others.
    fn called_elsewhere(
        &self,
        all: Query<'_, Span>,
        others: &impl Fn(&mut dyn FnMut(&Span)),
        unanswered: &[&GraphSpan],
    ) -> Result<HashSet<(TraceId, SpanId)>, QueryError> {
        let asked: HashMap<(TraceId, SpanId), u32> =
            unanswered.iter().map(|one| ((one.key.trace, one.key.id), one.key.service)).collect();
        let mut found = HashSet::new();
        let mut look_at = |span: &Span| {
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
        };
        all.for_each_unordered(|_, span| look_at(span))?;
        others(&mut look_at);
        Ok(found)
    }

    /// Adds the calls of which only the caller has a span.
    fn add_virtual(&mut self, unanswered: &[&GraphSpan]) {
        for one in unanswered {
            let caller = one.key.service as usize;
            let peer = self.services
                + one.peer.expect("callers without a peer were filtered out") as usize;
            let callee = self
                .service_named(&self.nodes[peer].service, &self.nodes[caller].namespace)
                .unwrap_or(peer);
            if callee != caller {
                self.add(caller, callee, one.failed, one.duration, false);
            }
        }
    }

    /// Returns the service with this name: in the caller's namespace, or else in the first
    /// namespace that has one.
    fn service_named(&self, name: &str, namespace: &str) -> Option<usize> {
        let from = (Box::from(name), Box::default());
        let same = self.by_name.get(&(Box::from(name), Box::from(namespace)));
        let any = || self.by_name.range(from..).next().filter(|((found, _), _)| **found == *name);
        same.copied().or_else(|| any().map(|(_, &number)| number))
    }

    fn add(
        &mut self,
        caller: usize,
        callee: usize,
        failed: bool,
        duration: Option<u64>,
        matched: bool,
    ) {
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

    fn finish(self) -> (Vec<ServiceNode>, Vec<ServiceCall>) {
        let called: HashSet<usize> = self.calls.keys().map(|&(_, callee)| callee).collect();
        let numbered = self.nodes.into_iter().enumerate();
        // A peer that turned out to be a service, or whose span was found, gets no node of its own.
        let kept =
            numbered.filter(|(number, _)| *number < self.services || called.contains(number));
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

/// Returns the index of the span with this id; the caller's span, if two share it.
fn place_of(seen: &[GraphSpan], trace: TraceId, id: SpanId) -> Option<usize> {
    if trace.is_zero() || id.is_zero() {
        return None;
    }
    let place = seen.partition_point(|one| (one.key.trace, one.key.id) < (trace, id));
    let found = seen.get(place)?;
    ((found.key.trace, found.key.id) == (trace, id)).then_some(place)
}
