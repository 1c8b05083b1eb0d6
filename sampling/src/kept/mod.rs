//! A bounded store of whole traces.

mod follow;
mod seen;
mod shares;
mod trace;

pub use follow::Follower;
pub use seen::{Identity, Seen};
pub use trace::{KeptTrace, WholeTrace};

use crate::record::Record;
use crate::sink::{Sampled, Sink};
use crate::threshold::Threshold;
use shares::Shares;
use slipring::trace::Trace;
use slipring::{Ledger, LogRecord, MetricPoint, Span, Store, TraceId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The limits of a [`Kept`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptSettings {
    /// The number of traces.
    pub max_traces: usize,
    /// Bytes of their records, with everything that is kept for each record and trace.
    pub max_bytes: usize,
    /// Bytes of what kept records share, each resource, scope and metric once. What others hold of
    /// the same ledger, or of traces that have left, does not count here.
    pub max_shared_bytes: usize,
    /// How long a trace stays, from its first spans on.
    pub max_age: Duration,
    /// Bytes of one trace. Further records of it are refused, and counted.
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

/// Numbers of records, by signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Spans.
    pub spans: u64,
    /// Log records.
    pub logs: u64,
    /// Metric points. One that points at several kept traces counts with each.
    pub points: u64,
}

impl Records {
    /// Returns the number of all records.
    pub fn all(&self) -> u64 {
        self.spans + self.logs + self.points
    }

    fn of(trace: &KeptTrace) -> Self {
        Self {
            spans: trace.spans.len() as u64,
            logs: trace.logs.len() as u64,
            points: trace.points.len() as u64,
        }
    }
}

impl std::ops::AddAssign for Records {
    fn add_assign(&mut self, other: Self) {
        self.spans += other.spans;
        self.logs += other.logs;
        self.points += other.points;
    }
}

/// The figures of a [`Kept`]. Each record that was offered is counted in exactly one of `held`,
/// `evicted` and `refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptStats {
    /// Traces that are held.
    pub traces: u64,
    /// Traces that were evicted.
    pub evicted_traces: u64,
    /// Records that were offered.
    pub offered: Records,
    /// Records that are held.
    pub held: Records,
    /// Records that were evicted with their trace, and spans that came after it was.
    pub evicted: Records,
    /// Records that were refused because their trace had become too large.
    pub refused: Records,
    /// Bytes that are held.
    pub bytes: usize,
    /// Bytes of what the held records share.
    pub shared_bytes: usize,
}

impl KeptStats {
    /// Returns whether every record that was offered is accounted for.
    pub fn is_balanced(&self) -> bool {
        let mut sum = self.held;
        sum += self.evicted;
        sum += self.refused;
        sum == self.offered
    }
}

/// A bounded store of whole traces that were decided to be kept: a [`Sink`]. The oldest trace is
/// evicted whole when there are too many, too many bytes, or when it is too old. Later spans of a
/// trace join it, and do not make it younger. Once it is evicted, they are too.
///
/// A [`Follower`] brings log records and metric points.
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
///
/// Readers clone the [`Arc`] of a trace. A trace that grows while they hold it is copied, without
/// the bytes of its records.
#[derive(Debug)]
pub struct Kept {
    settings: KeptSettings,
    ledger: Ledger,
    shares: Shares,
    traces: HashMap<TraceId, Arc<KeptTrace>>,
    /// The traces by the order in which they came.
    order: BTreeMap<u64, TraceId>,
    next: u64,
    stats: KeptStats,
}

/// What is kept for a trace beside its records, and for a group of records that came together.
const TRACE: usize = 512;
const BODY: usize = 192;

impl Kept {
    /// Makes an empty store. `ledger` is the sampler's, so that its limit holds for what kept spans
    /// share as well. The store's own limit holds for what is kept alone.
    pub fn new(settings: &KeptSettings, ledger: &Ledger) -> Self {
        Self {
            settings: settings.clone(),
            ledger: ledger.clone(),
            shares: Shares::default(),
            traces: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
            stats: KeptStats::default(),
        }
    }

    /// Takes other limits. What is too much for them is evicted with the next call that evicts.
    pub fn set_limits(&mut self, settings: &KeptSettings) {
        self.settings = settings.clone();
    }

    /// Adds a trace, or spans to one. [`Sink::keep`] calls it with the current time. Of spans that
    /// are too many for their trace, the first ones are kept.
    pub fn add(&mut self, sampled: Sampled, now: Instant) {
        let is_late = sampled.is_late();
        let Sampled { trace_id: id, spans, policy, threshold, .. } = sampled;
        let count = spans.len() as u64;
        self.stats.offered.spans += count;
        match self.traces.contains_key(&id) {
            // Its trace has been evicted, and is not to come back in part.
            false if is_late => self.stats.evicted.spans += count,
            is_known => {
                if !is_known {
                    self.begin(id, policy, threshold, now);
                }
                self.extend(id, spans, |trace| &mut trace.spans, |records| &mut records.spans);
            }
        }
        self.evict(now);
    }

    fn begin(&mut self, id: TraceId, policy: Arc<str>, threshold: Option<Threshold>, now: Instant) {
        let number = self.next;
        self.next += 1;
        let trace = KeptTrace {
            trace_id: id,
            spans: Vec::new(),
            logs: Vec::new(),
            points: Vec::new(),
            policy,
            threshold,
            since: now,
            refused: Records::default(),
            number,
            bytes: TRACE,
            slot_bytes: 0,
            is_followed: false,
        };
        self.traces.insert(id, Arc::new(trace));
        self.order.insert(number, id);
        self.stats.traces += 1;
        self.stats.bytes += TRACE;
    }

    /// Leaves the first of these log records and metric points for which a trace has room, and
    /// counts the others as refused, with `beyond` more metric points. Returns whether the trace is
    /// still here, and anything is left to [attach](Self::attach).
    fn admit(
        &mut self,
        id: TraceId,
        logs: &mut Vec<LogRecord>,
        points: &mut Vec<MetricPoint>,
        beyond: u64,
    ) -> bool {
        let Some(trace) = self.traces.get_mut(&id) else { return false };
        let mut room = self.settings.max_trace_bytes.saturating_sub(trace.bytes);
        let refused = Records {
            spans: 0,
            logs: cut(logs, &mut room),
            points: cut(points, &mut room) + beyond,
        };
        if refused.all() > 0 {
            Arc::make_mut(trace).refused += refused;
            self.stats.offered += refused;
            self.stats.refused += refused;
        }
        !logs.is_empty() || !points.is_empty()
    }

    /// Adds log records and metric points to a trace, if it is still here.
    fn attach(&mut self, id: TraceId, logs: Vec<LogRecord>, points: Vec<MetricPoint>) {
        if !self.traces.contains_key(&id) {
            return;
        }
        self.stats.offered.logs += logs.len() as u64;
        self.stats.offered.points += points.len() as u64;
        self.extend(id, logs, |trace| &mut trace.logs, |records| &mut records.logs);
        self.extend(id, points, |trace| &mut trace.points, |records| &mut records.points);
    }

    /// Adds records that have a body of their own to a trace that is here, as many as fit.
    fn extend<T: Record>(
        &mut self,
        id: TraceId,
        new: Vec<T>,
        list: fn(&mut KeptTrace) -> &mut Vec<T>,
        count: fn(&mut Records) -> &mut u64,
    ) {
        let Some(trace) = self.traces.get_mut(&id).filter(|_| !new.is_empty()) else { return };
        let trace = Arc::make_mut(trace);
        let (before, offered) = (trace.bytes, new.len() as u64);
        let room = self.settings.max_trace_bytes.saturating_sub(before);
        let first = list(trace).len();
        let (added, joined) = join(list(trace), new, room, &self.ledger);
        self.shares.add(&list(trace)[first..]);
        let slots = trace.slots();
        trace.bytes = before + added + slots - trace.slot_bytes;
        trace.slot_bytes = slots;
        *count(&mut trace.refused) += offered - joined;
        *count(&mut self.stats.refused) += offered - joined;
        *count(&mut self.stats.held) += joined;
        self.stats.bytes = self.stats.bytes + trace.bytes - before;
    }

    /// Returns the traces whose past has been looked for, and the others.
    fn by_following(&self) -> (HashSet<TraceId>, HashSet<TraceId>) {
        let of = |is_followed| {
            let these = self.traces.values().filter(move |one| one.is_followed == is_followed);
            these.map(|one| one.trace_id).collect()
        };
        (of(true), of(false))
    }

    /// Notes that the past of these traces has been looked for.
    fn set_followed(&mut self, ids: &HashSet<TraceId>) {
        for id in ids {
            if let Some(trace) = self.traces.get_mut(id) {
                Arc::make_mut(trace).is_followed = true;
            }
        }
    }

    /// Evicts what is too old, and what is too much.
    pub fn evict(&mut self, now: Instant) {
        while let Some((_, id)) = self.order.first_key_value() {
            let oldest = &self.traces[id];
            let is_old = now.saturating_duration_since(oldest.since) > self.settings.max_age;
            let is_much = self.traces.len() > self.settings.max_traces
                || self.stats.bytes > self.settings.max_bytes
                || self.shares.bytes() > self.settings.max_shared_bytes;
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
        self.shares.remove(&trace.spans);
        self.shares.remove(&trace.logs);
        self.shares.remove(&trace.points);
        let (records, stats) = (Records::of(&trace), &mut self.stats);
        stats.held.spans -= records.spans;
        stats.held.logs -= records.logs;
        stats.held.points -= records.points;
        stats.evicted += records;
        stats.bytes -= trace.bytes;
        stats.traces -= 1;
        stats.evicted_traces += 1;
    }

    /// Returns a trace. O(1).
    pub fn get(&self, id: TraceId) -> Option<&Arc<KeptTrace>> {
        self.traces.get(&id)
    }

    /// Iterates over the traces, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<KeptTrace>> {
        self.order.values().rev().map(|id| &self.traces[id])
    }

    /// Returns the figures. O(1).
    pub fn stats(&self) -> KeptStats {
        KeptStats { shared_bytes: self.shares.bytes(), ..self.stats }
    }

    /// Returns a trace assembled from the spans that are kept here and those that a store holds,
    /// each once: see [`KeptTrace::assemble_with`], and [`KeptTrace::with`] for its log records and
    /// exemplars.
    pub fn trace_with(&self, store: &Store<Span>, id: TraceId) -> Option<Trace> {
        match self.get(id) {
            Some(kept) => Some(kept.assemble_with(store).0),
            None => store.trace(id),
        }
    }
}

impl KeptTrace {
    /// Returns the bytes of the records' slots.
    fn slots(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
            + self.logs.capacity() * size_of::<LogRecord>()
            + self.points.capacity() * size_of::<MetricPoint>()
    }
}

/// Leaves the first of the records, as many as there is room for, and takes their room. Returns how
/// many others there were.
fn cut<T: Record>(records: &mut Vec<T>, room: &mut usize) -> u64 {
    let offered = records.len();
    *room = room.saturating_sub(if offered > 0 { BODY } else { 0 });
    let fits = |record: &T| {
        let after = room.checked_sub(record.own().len() + size_of::<T>());
        *room = after.unwrap_or(*room);
        after.is_some()
    };
    let count = records.iter().map(fits).take_while(|fits| *fits).count();
    records.truncate(count);
    (offered - count) as u64
}

/// Adds the first of the records, as many as there is room for. Returns the bytes that they take
/// beside their slots, and how many they are.
fn join<T: Record>(
    kept: &mut Vec<T>,
    mut new: Vec<T>,
    room: usize,
    ledger: &Ledger,
) -> (usize, u64) {
    let mut left = room.saturating_sub(BODY);
    let fits = |record: &T| {
        let after = left.checked_sub(record.own().len() + size_of::<T>());
        left = after.unwrap_or(left);
        after.is_some()
    };
    let count = new.iter().map(fits).take_while(|fits| *fits).count();
    if count == 0 {
        return (0, 0);
    }
    if count < new.len() {
        // They would hold the bytes of those that are refused.
        new.truncate(count);
        T::detach_together(&mut new);
    }
    new.iter().for_each(|record| record.shares().charge(ledger));
    if kept.capacity() - kept.len() < count {
        // Room for some more, as far as the trace may grow.
        let more = (kept.len() / 4).saturating_sub(count).min(left / size_of::<T>());
        kept.reserve_exact(count + more);
    }
    let bytes: usize = new.iter().map(|record| record.own().len()).sum();
    kept.extend(new);
    (BODY + bytes, count as u64)
}

impl Sink for Kept {
    fn keep(&mut self, sampled: Sampled) {
        self.add(sampled, Instant::now());
    }
}
