//! A bounded store of whole traces.

use crate::counts::Amount;
use crate::sink::{Sampled, Sink};
use crate::threshold::Threshold;
use slipring::otlp::{self, Encoding};
use slipring::trace::Trace;
use slipring::{Ledger, Span, Store, TraceId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The limits of a [`Kept`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeptSettings {
    /// The number of traces.
    pub max_traces: usize,
    /// Bytes of their spans, with everything that is kept for each span and trace.
    pub max_bytes: usize,
    /// Bytes of what spans share, as the ledger counts them.
    pub max_shared_bytes: usize,
    /// How long a trace stays, from its first spans on.
    pub max_age: Duration,
    /// Bytes of one trace. Further spans of it are refused, and counted.
    pub max_trace_bytes: usize,
}

impl Default for KeptSettings {
    fn default() -> Self {
        Self {
            max_traces: 10_000,
            max_bytes: 256 << 20,
            max_shared_bytes: 48 << 20,
            max_age: Duration::from_secs(3_600),
            max_trace_bytes: 16 << 20,
        }
    }
}

/// A kept trace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeptTrace {
    /// The trace's id.
    pub trace_id: TraceId,
    /// The spans, in the order in which they came.
    pub spans: Vec<Span>,
    /// The name of the policy that kept the trace.
    pub policy: Arc<str>,
    /// The threshold with which it was kept, or `None` if the probability is unknown.
    pub threshold: Option<Threshold>,
    /// When the first spans came here.
    pub since: Instant,
    /// The number of spans that were refused because the trace had become too large.
    pub refused: u64,
    number: u64,
    bytes: usize,
}

/// The figures of a [`Kept`]. Each span that was offered is counted in exactly one of `held`,
/// `evicted` and `refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptStats {
    /// Spans that were offered.
    pub offered: u64,
    /// What is held.
    pub held: Amount,
    /// What was evicted.
    pub evicted: Amount,
    /// Spans that were refused because their trace had become too large.
    pub refused: u64,
    /// Bytes that are held.
    pub bytes: usize,
}

/// A bounded store of whole traces that were decided to be kept: a [`Sink`]. The oldest trace is
/// evicted whole when there are too many, too many bytes, or when it is too old. Later spans of a
/// trace join it, and do not make it younger.
///
/// ```
/// use slipring::Span;
/// use slipring_sampling::{Kept, KeptSettings, Policy, Rule, Sampler, Settings};
/// use std::time::Instant;
///
/// let mut settings = Settings::default();
/// settings.policies = vec![Policy::new("all", Rule::Always)];
/// let mut sampler = Sampler::new(&settings)?;
/// let mut kept = Kept::new(&KeptSettings::default(), sampler.ledger());
/// let span = Span::builder().trace_id(7).span_id(1).name("GET /").build();
/// sampler.take([span], Instant::now(), &mut kept);
/// sampler.flush(Instant::now(), &mut kept);
///
/// let trace = kept.get(7.into()).expect("it was kept");
/// assert_eq!((trace.spans.len(), &*trace.policy), (1, "all"));
/// assert_eq!(trace.assemble().spans.len(), 1);
/// # Ok::<(), slipring_sampling::SettingsError>(())
/// ```
#[derive(Debug)]
pub struct Kept {
    settings: KeptSettings,
    ledger: Ledger,
    traces: HashMap<TraceId, KeptTrace>,
    /// The traces by the order in which they came.
    order: BTreeMap<u64, TraceId>,
    next: u64,
    bytes: usize,
    spans: u64,
    evicted: Amount,
    offered: u64,
    refused: u64,
}

/// What is kept for a trace beside its spans, and for a group of spans that came together.
const TRACE: usize = 384;
const BODY: usize = 192;

/// Returns the bytes of spans that came together, without their slots.
fn bytes_of(spans: &[Span]) -> usize {
    let own: usize = spans.iter().map(|span| span.bytes().len()).sum();
    own + BODY
}

impl Kept {
    /// Makes an empty store. `ledger` counts what spans share: the sampler's, so that both limit
    /// it.
    pub fn new(settings: &KeptSettings, ledger: &Ledger) -> Self {
        Self {
            settings: settings.clone(),
            ledger: ledger.clone(),
            traces: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
            bytes: 0,
            spans: 0,
            evicted: Amount::default(),
            offered: 0,
            refused: 0,
        }
    }

    /// Adds a trace, or spans to one. [`Sink::keep`] calls it with the current time.
    pub fn add(&mut self, sampled: Sampled, now: Instant) {
        let Sampled { trace_id, spans: new, policy, threshold, .. } = sampled;
        let count = new.len() as u64;
        self.offered += count;
        let added = bytes_of(&new);
        let number = self.next;
        let known = self.traces.contains_key(&trace_id);
        let before = if known { 0 } else { TRACE };
        let trace = self.traces.entry(trace_id).or_insert_with(|| KeptTrace {
            trace_id,
            spans: Vec::new(),
            policy,
            threshold,
            since: now,
            refused: 0,
            number,
            bytes: TRACE,
        });
        if !known {
            self.next += 1;
            self.order.insert(number, trace_id);
        }
        self.bytes += before;
        if trace.bytes + added + size_of_val(&*new) > self.settings.max_trace_bytes {
            trace.refused += count;
            self.refused += count;
        } else {
            new.iter().for_each(|span| span.source().charge(&self.ledger));
            let slots = trace.spans.capacity();
            if slots - trace.spans.len() < new.len() {
                let some = new.len().max(trace.spans.len() / 4);
                trace.spans.reserve_exact(some);
            }
            let added = added + (trace.spans.capacity() - slots) * size_of::<Span>();
            trace.spans.extend(new);
            trace.bytes += added;
            self.bytes += added;
            self.spans += count;
        }
        self.evict(now);
    }

    /// Evicts what is too old, and what is too much.
    pub fn evict(&mut self, now: Instant) {
        while let Some((_, id)) = self.order.first_key_value() {
            let oldest = &self.traces[id];
            let is_old = now.saturating_duration_since(oldest.since) > self.settings.max_age;
            let is_much = self.traces.len() > self.settings.max_traces
                || self.bytes > self.settings.max_bytes
                || self.ledger.bytes() > self.settings.max_shared_bytes;
            if !is_old && !is_much {
                break;
            }
            let id = *id;
            self.remove(id);
        }
    }

    fn remove(&mut self, id: TraceId) {
        let trace = self.traces.remove(&id).expect("the order names traces that are held");
        self.order.remove(&trace.number);
        self.bytes -= trace.bytes;
        self.spans -= trace.spans.len() as u64;
        self.evicted.add(1, trace.spans.len() as u64);
    }

    /// Returns a trace. O(1).
    pub fn get(&self, id: TraceId) -> Option<&KeptTrace> {
        self.traces.get(&id)
    }

    /// Iterates over the traces, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &KeptTrace> {
        self.order.values().rev().map(|id| &self.traces[id])
    }

    /// Returns the figures. O(1).
    pub fn stats(&self) -> KeptStats {
        KeptStats {
            offered: self.offered,
            held: Amount { traces: self.traces.len() as u64, spans: self.spans },
            evicted: self.evicted,
            refused: self.refused,
            bytes: self.bytes,
        }
    }

    /// Returns a trace assembled from the spans that are kept here and those that a store holds.
    /// A span that is in both counts once.
    pub fn trace_with(&self, store: &Store<Span>, id: TraceId) -> Option<Trace> {
        let kept = self.get(id).map(|trace| trace.spans.as_slice()).unwrap_or_default();
        let answer = store.query().key("trace", id).collect().ok()?;
        let partial = answer.report.partial || answer.report.cut;
        let mut here: HashMap<&[u8], usize> = HashMap::new();
        let plain: Vec<Span> = kept.iter().map(|span| span.with_trace_state("")).collect();
        plain.iter().for_each(|span| *here.entry(span.bytes()).or_default() += 1);
        let others = answer.records.into_iter().filter(|span| {
            // The sampler may have rewritten the state. All other bytes are the same.
            let plain = span.with_trace_state("");
            match here.get_mut(plain.bytes()) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    false
                }
                _ => true,
            }
        });
        let others: Vec<Span> = others.collect();
        let spans: Vec<Span> = kept.iter().cloned().chain(others).collect();
        if spans.is_empty() {
            return None;
        }
        let mut trace = Trace::assemble(id, spans);
        trace.partial = partial && kept.is_empty();
        Some(trace)
    }
}

impl KeptTrace {
    /// Assembles the trace: see [`Trace::assemble`].
    pub fn assemble(&self) -> Trace {
        Trace::assemble(self.trace_id, self.spans.clone())
    }

    /// Encodes the trace as an export request.
    pub fn to_otlp(&self, encoding: Encoding) -> Vec<u8> {
        otlp::encode(&self.spans, encoding)
    }

    /// Returns the bytes that are held for the trace, without what its spans share.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Sink for Kept {
    fn keep(&mut self, sampled: Sampled) {
        self.add(sampled, Instant::now());
    }
}
