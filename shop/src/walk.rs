//! Turns a planned operation into the spans of one trace.

use slipring::attribute::Attributes;
use slipring::span::{SpanEvent, SpanKind, SpanLink, StatusCode};
use slipring::{Source, Span, SpanId, TraceId, Value};

use crate::failure::{Failure, UNREACHABLE};
use crate::fleet::{Fleet, Instance, Library};
use crate::ids::Ids;
use crate::plan::{Action, Dependency, Operation, Peer, Step, Via, Work};
use crate::rng::Rng;
use crate::semantics;
use crate::service::Service;
use crate::visit::Visit;

/// A trace with this many spans begins no further steps. A step in progress opens at most two more.
const MAX_SPANS: usize = 98;
/// The maximum number of attempts of a call.
const MAX_ATTEMPTS: u8 = 3;

// Bits of `Span::flags`.
const SAMPLED: u32 = 0x001;
/// Says that `REMOTE` is meaningful: whether the parent is remote is known.
const KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// A trace that is being generated.
pub(crate) struct Walk<'a> {
    fleet: &'a Fleet,
    ids: &'a mut Ids,
    rng: &'a mut Rng,
    visit: Visit,
    /// The service that has an incident.
    trouble: Option<Service>,
    trace_id: TraceId,
    trace_state: &'static str,
    spans: Vec<Span>,
    opened: usize,
}

/// An open span.
struct Open<'a> {
    instance: &'a Instance,
    span: Draft<'a>,
    events: Vec<SpanEvent>,
}

/// The fields of a span that are known before it ends.
struct Draft<'a> {
    source: &'a Source,
    span_id: SpanId,
    parent_span_id: Option<SpanId>,
    flags: u32,
    kind: SpanKind,
    start_unix_nanos: u64,
    name: &'static str,
    attributes: Attributes,
    links: Vec<SpanLink>,
}

/// The outcome of a step.
struct Done {
    end: u64,
    failure: Option<&'static Failure>,
    /// Whether the caller should retry.
    retryable: bool,
}

impl<'a> Walk<'a> {
    pub fn new(
        fleet: &'a Fleet,
        ids: &'a mut Ids,
        rng: &'a mut Rng,
        visit: Visit,
        trouble: Option<Service>,
    ) -> Self {
        let trace_id = ids.trace();
        // Some visitors come through a partner, whose trace state is propagated.
        let trace_state =
            if rng.chance(500) { "partner=t61rcWkgMzE,shop=00f067aa0ba902b7" } else { "" };
        Self {
            fleet,
            ids,
            rng,
            visit,
            trouble,
            trace_id,
            trace_state,
            spans: Vec::new(),
            opened: 0,
        }
    }

    /// Generates the trace of this operation, which begins now. Returns its spans in the order in
    /// which they end.
    pub fn run(mut self, root: &'static Operation, now: u64) -> Vec<Span> {
        self.serve(root, now, None);
        self.spans.sort_by_key(Span::end_unix_nanos);
        self.spans
    }

    /// Runs the callee's side of an operation.
    fn serve(&mut self, operation: &'static Operation, at: u64, parent: Option<SpanId>) -> Done {
        let instance = self.fleet.pick(operation.service, self.rng);
        let kind = match operation.via {
            Via::Http | Via::Rpc => SpanKind::Server,
            Via::Queue => SpanKind::Consumer,
            Via::Timer => SpanKind::Internal,
        };
        let mut open = self.open(instance, library(operation.via), kind, parent, at);
        open.span.flags |= if parent.is_some() { REMOTE } else { 0 };
        if let (Via::Queue, Some(producer)) = (operation.via, parent) {
            open.span.links = vec![self.link(producer, "message")];
        }
        let own = self.nanos(operation.micros);
        let mut done = self.steps(operation.steps, &mut open, at + own / 2);
        if done.failure.is_none() && self.fails(operation) {
            let failure = Failure::of(operation, self.rng);
            open.events.push(failure.event(operation.service, done.end, self.rng));
            done = Done { failure: Some(failure), retryable: failure.transient, ..done };
        }
        done.end += own / 2;
        open.span.name =
            if operation.via == Via::Queue { "process orders" } else { operation.name };
        open.span.attributes = semantics::serving(operation, &self.visit, done.failure, self.rng);
        self.close(open, &done);
        done
    }

    fn fails(&mut self, operation: &Operation) -> bool {
        let in_trouble = self.trouble == Some(operation.service);
        self.rng.chance(if in_trouble { 1_500 } else { operation.failures })
    }

    /// Runs the steps, one after the other or in parallel, until a required one fails.
    fn steps(&mut self, steps: &'static [Step], open: &mut Open<'a>, at: u64) -> Done {
        let (mut began, mut end) = (at, at);
        for step in steps {
            if !self.rng.chance(step.chance) {
                continue;
            }
            for _ in 0..self.rng.between(step.times.0.into(), step.times.1.into()) {
                if self.opened >= MAX_SPANS {
                    break;
                }
                if !step.parallel {
                    began = end;
                }
                let done = self.step(step.action, open, began);
                end = end.max(done.end);
                match done.failure {
                    Some(_) if step.needed => return Done { end, ..done },
                    Some(failure) => open.events.push(without(failure, done.end)),
                    None => {}
                }
            }
        }
        Done { end, failure: None, retryable: false }
    }

    fn step(&mut self, action: Action, open: &Open<'a>, at: u64) -> Done {
        match action {
            Action::Call(operation) => self.call(operation, open, at),
            Action::Publish(operation) => self.publish(operation, open, at),
            Action::Query(dependency) => self.query(dependency, open, at),
            Action::Work(work) => self.work(work, open, at),
        }
    }

    /// Runs the caller's side of an operation, with a span for each attempt, each linked to the
    /// previous one.
    fn call(&mut self, operation: &'static Operation, caller: &Open<'a>, mut at: u64) -> Done {
        let mut before = None;
        for attempt in 1..=MAX_ATTEMPTS {
            let mut open = self.open_in(caller, library(operation.via), SpanKind::Client, at);
            let wire = self.nanos(120.0);
            let mut done = if self.trouble == Some(operation.service) && self.rng.chance(400) {
                open.events.push(UNREACHABLE.event(caller.instance.service, at + wire, self.rng));
                Done { end: at + wire, failure: Some(&UNREACHABLE), retryable: true }
            } else {
                self.serve(operation, at + wire, Some(open.span.span_id))
            };
            done.end += wire;
            open.span.name = operation.name;
            open.span.attributes =
                semantics::calling(operation, &self.visit, done.failure, attempt);
            open.span.links = before.map(|before| self.link(before, "retry")).into_iter().collect();
            before = Some(open.span.span_id);
            self.close(open, &done);
            if !done.retryable || attempt == MAX_ATTEMPTS || self.opened >= MAX_SPANS {
                // The caller's own caller does not retry a call that was retried here.
                return Done { retryable: false, ..done };
            }
            at = done.end + self.nanos(5_000.0 * f64::from(attempt));
        }
        unreachable!("the last try returns")
    }

    /// Publishes a message to the broker. The consumer processes it later, and the producer does
    /// not wait.
    fn publish(&mut self, operation: &'static Operation, caller: &Open<'a>, at: u64) -> Done {
        let mut open = self.open_in(caller, Library::Messaging, SpanKind::Producer, at);
        open.span.name = "send orders";
        open.span.attributes = semantics::publishing(operation, &self.visit, self.rng);
        let producer = open.span.span_id;
        let done = Done { end: at + self.nanos(700.0), failure: None, retryable: false };
        self.close(open, &done);
        let lag = self.nanos(8_000.0);
        self.serve(operation, done.end + lag, Some(producer));
        done
    }

    /// Calls a database, a cache, or an external service.
    fn query(&mut self, dependency: &'static Dependency, caller: &Open<'a>, at: u64) -> Done {
        let library = if dependency.peer == Peer::Http { Library::Http } else { Library::Database };
        let mut open = self.open_in(caller, library, SpanKind::Client, at);
        let end = at + self.nanos(dependency.micros);
        let failure = self
            .rng
            .chance(dependency.failures)
            .then(|| Failure::of_dependency(dependency, self.rng));
        if let Some(failure) = failure {
            open.events.push(failure.event(caller.instance.service, end, self.rng));
        }
        open.span.name = dependency.name;
        open.span.attributes = semantics::querying(dependency, &self.visit, failure, self.rng);
        let done =
            Done { end, failure, retryable: failure.is_some_and(|failure| failure.transient) };
        self.close(open, &done);
        done
    }

    fn work(&mut self, work: &'static Work, caller: &Open<'a>, at: u64) -> Done {
        let mut open = self.open_in(caller, Library::App, SpanKind::Internal, at);
        let own = self.nanos(work.micros);
        let mut done = self.steps(work.steps, &mut open, at + own / 2);
        done.end += own / 2;
        open.span.name = work.name;
        open.span.attributes = semantics::working(&self.visit, self.rng);
        self.close(open, &done);
        done
    }

    fn open(
        &mut self,
        instance: &'a Instance,
        library: Library,
        kind: SpanKind,
        parent: Option<SpanId>,
        at: u64,
    ) -> Open<'a> {
        self.opened += 1;
        let span = Draft {
            source: instance.source(library),
            span_id: self.ids.span(),
            parent_span_id: parent,
            flags: SAMPLED | KNOWN,
            kind,
            start_unix_nanos: at,
            name: "",
            attributes: Attributes::default(),
            links: Vec::new(),
        };
        Open { instance, span, events: Vec::new() }
    }

    /// Opens a span within another one's process.
    fn open_in(
        &mut self,
        parent: &Open<'a>,
        library: Library,
        kind: SpanKind,
        at: u64,
    ) -> Open<'a> {
        self.open(parent.instance, library, kind, Some(parent.span.span_id), at)
    }

    fn close(&mut self, open: Open<'a>, done: &Done) {
        let Open { span, mut events, .. } = open;
        events.sort_by_key(|event| event.time_unix_nanos);
        let (code, message) = match done.failure {
            Some(failure) => (StatusCode::Error, failure.message),
            None if span.parent_span_id.is_none() && self.rng.chance(1_000) => (StatusCode::Ok, ""),
            None => (StatusCode::Unset, ""),
        };
        // Some libraries limit the number of attributes, and count those that they dropped.
        let dropped = if self.rng.chance(50) { 2 } else { 0 };
        let ended = Span::builder()
            .source(span.source)
            .trace_id(self.trace_id)
            .span_id(span.span_id)
            .parent_span_id(span.parent_span_id)
            .trace_state(self.trace_state)
            .flags(span.flags)
            .name(span.name)
            .kind(span.kind)
            .start_unix_nanos(span.start_unix_nanos)
            .end_unix_nanos(done.end)
            .attributes(&span.attributes)
            .dropped_attributes_count(dropped)
            .events(&events)
            .links(&span.links)
            .status(code, message);
        self.spans.push(ended.build());
    }

    fn link(&self, to: SpanId, why: &'static str) -> SpanLink {
        SpanLink {
            trace_id: self.trace_id,
            span_id: to,
            trace_state: self.trace_state.into(),
            attributes: Attributes::from([("app.link.reason", why)]),
            flags: SAMPLED | KNOWN,
            ..SpanLink::default()
        }
    }

    fn nanos(&mut self, micros: f64) -> u64 {
        (self.rng.long_tail(micros) * 1_000.0) as u64
    }
}

fn library(via: Via) -> Library {
    match via {
        Via::Http => Library::Http,
        Via::Rpc => Library::Rpc,
        Via::Queue => Library::Messaging,
        Via::Timer => Library::App,
    }
}

/// Returns the event that records that an optional step failed.
fn without(failure: &Failure, time: u64) -> SpanEvent {
    let attributes =
        [("error.type", Value::from(failure.kind)), ("app.fallback", "default".into())];
    SpanEvent {
        time_unix_nanos: time,
        name: "degraded".into(),
        attributes: attributes.into(),
        ..SpanEvent::default()
    }
}
