//! The sampler: collects the spans of undecided traces, and decides.
//!
//! ```text
//!  spans ──► undecided (table by trace id) ──quiet, timeout, spans, no room──► policies
//!              │  list by age, list for each service, wheel of timers             │
//!              │                                                  ┌─ kept ────────┼──► sink
//!              └──── late spans ──► decisions (two rings) ◄───────┴─ sampled out ─┘
//! ```
//!
//! Spans that arrive together and belong to one trace are copied out of their request into one
//! body. They leave together too, so that no memory is held for spans that have left.

mod decide;
mod decisions;
mod shares;
mod undecided;
mod wheel;

use crate::counts::{Amount, Cause, PolicyCounts, Stats};
use crate::policy::Compiled;
use crate::settings::{OnFull, Settings, SettingsError};
use crate::sink::Sink;
use decisions::Decisions;
use shares::Shares;
use slipring::{Ledger, Span, TraceId};
use std::sync::Arc;
use std::time::{Duration, Instant};
use undecided::{ENTRY, List, NONE, Order, Undecided};
use wheel::Wheel;

/// The number of spans that are taken at a time. Limits are enforced after each batch, so memory
/// may exceed them by one.
const BATCH: usize = 512;

/// The bytes of a body beside its records' own: reference counts, its ledger, its list of sources,
/// and what an allocator adds to three allocations.
const BODY: usize = 192;

/// Collects the spans of each trace until it is decided whether the trace is kept.
///
/// It has no thread, no clock and no runtime. The owner passes spans with [`take`](Self::take) and
/// calls [`advance`](Self::advance) as time goes on. Both pass what is kept to a [`Sink`]. A
/// sampler is not shared between threads. For several cores, use one for each, and send each trace
/// to one of them by its id, after reading the requests on any thread.
///
/// ```
/// use slipring::span::StatusCode;
/// use slipring::Span;
/// use slipring_sampling::{Policy, Rule, Sampled, Sampler, Settings};
/// use std::time::{Duration, Instant};
///
/// let mut settings = Settings::default();
/// settings.policies = vec![Policy::new("errors", Rule::Error)];
/// let mut sampler = Sampler::new(&settings)?;
///
/// let span = |trace: u128, id| Span::builder().trace_id(trace).span_id(id).name("GET /");
/// let (now, mut kept) = (Instant::now(), Vec::new());
/// let mut keep = |trace: Sampled| kept.push(trace);
/// let failed = span(1, 2).parent_span_id(slipring::SpanId::from(1)).status(StatusCode::Error, "");
/// sampler.take([failed.build(), span(2, 1).build(), span(1, 1).build()], now, &mut keep);
/// sampler.advance(now + Duration::from_secs(10), &mut keep);
///
/// assert_eq!((kept.len(), kept[0].spans.len(), &*kept[0].policy), (1, 2, "errors"));
/// let stats = sampler.stats();
/// assert_eq!((stats.received, stats.kept().spans, stats.sampled_out().spans), (3, 2, 1));
/// # Ok::<(), slipring_sampling::SettingsError>(())
/// ```
#[derive(Debug)]
pub struct Sampler {
    limits: Limits,
    policies: Compiled,
    undecided: Undecided,
    by_age: List,
    shares: Shares,
    wheel: Wheel,
    kept: Decisions,
    sampled_out: Decisions,
    /// The bytes of undecided traces, and the ledger of what their spans share.
    bytes: usize,
    ledger: Ledger,
    counts: Counts,
    started: Instant,
    now: u64,
    scratch: Scratch,
}

#[derive(Debug)]
struct Limits {
    bytes: usize,
    shared_bytes: usize,
    traces: usize,
    trace_spans: usize,
    span_bytes: usize,
    share: usize,
    quiet: u64,
    timeout: u64,
    on_full: OnFull,
}

#[derive(Debug, Default)]
struct Counts {
    received: u64,
    without_trace: u64,
    too_large: u64,
    policies: Vec<[Amount; 2]>,
    unmatched: Amount,
    evicted: Amount,
    undecided: u64,
    causes: [u64; Cause::ALL.len()],
    late_kept: u64,
    late_sampled_out: u64,
    /// What policies kept and rejected that a reload removed.
    removed: [Amount; 2],
}

/// Room that batches reuse.
#[derive(Debug, Default)]
struct Scratch {
    /// The batch. Its spans are taken out one by one.
    spans: Vec<Option<Span>>,
    /// For each span of the batch, the next of the same trace.
    next: Vec<u32>,
    /// The traces of the batch.
    touched: Vec<u32>,
    /// Entries that the wheel brings up.
    due: Vec<u32>,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

impl Sampler {
    /// Makes a sampler.
    ///
    /// # Errors
    /// [`SettingsError`] if the settings are invalid.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let (limits, policies) = Self::prepared(settings)?;
        let wheel = Wheel::new(limits.quiet, limits.timeout);
        Ok(Self {
            undecided: Undecided::default(),
            by_age: List::default(),
            shares: Shares::new(settings.services, settings.share.is_some()),
            wheel,
            kept: Decisions::new(settings.remembered),
            sampled_out: Decisions::new(settings.remembered),
            bytes: 0,
            ledger: Ledger::default(),
            counts: Counts {
                policies: vec![Default::default(); policies.names().len()],
                ..Counts::default()
            },
            limits,
            policies,
            started: Instant::now(),
            now: 0,
            scratch: Scratch::default(),
        })
    }

    fn prepared(settings: &Settings) -> Result<(Limits, Compiled), SettingsError> {
        settings.check()?;
        let limits = Limits {
            bytes: settings.max_bytes,
            shared_bytes: settings.max_shared_bytes,
            traces: settings.max_traces,
            trace_spans: settings.max_trace_spans,
            span_bytes: settings.max_span_bytes,
            share: (settings.max_bytes as f64 * settings.share.unwrap_or(1.0)) as usize,
            quiet: nanos(settings.quiet),
            timeout: nanos(settings.timeout),
            on_full: settings.on_full,
        };
        Ok((limits, Compiled::new(&settings.policies)?))
    }

    /// Takes spans as they arrive. Spans of undecided traces join them. Spans of decided traces
    /// follow the decision. O(1) for a span, and the policies for each trace that this decides.
    ///
    /// `now` must not go back; a time before an earlier one counts as that. Returns the number of
    /// spans that were rejected: those without a trace id, and those that are too large.
    ///
    /// A panic of the sink leaves the sampler intact. The spans of the batch (of at most 512) that
    /// are not counted yet are then lost.
    pub fn take(
        &mut self,
        spans: impl IntoIterator<Item = Span>,
        now: Instant,
        sink: &mut impl Sink,
    ) -> u64 {
        self.advance(now, sink);
        let before = self.counts.without_trace + self.counts.too_large;
        let mut spans = spans.into_iter();
        loop {
            self.scratch.spans.clear();
            self.scratch.spans.extend(spans.by_ref().take(BATCH).map(Some));
            if self.scratch.spans.is_empty() {
                break;
            }
            self.take_batch(sink);
        }
        self.counts.without_trace + self.counts.too_large - before
    }

    fn take_batch(&mut self, sink: &mut impl Sink) {
        let count = self.scratch.spans.len();
        self.counts.received += count as u64;
        self.scratch.next.clear();
        self.scratch.next.resize(count, NONE);
        self.scratch.touched.clear();
        let mut late = decide::Late::default();
        let mut last_one: Option<(TraceId, u32)> = None;
        for at in 0..count {
            let Some(span) = &self.scratch.spans[at] else { continue };
            let id = span.trace_id();
            if id.is_zero() {
                self.counts.without_trace += 1;
                continue;
            }
            if span.bytes().len() > self.limits.span_bytes {
                self.counts.too_large += 1;
                continue;
            }
            // Spans of a trace often stand together.
            let last = last_one.filter(|&(known, _)| known == id).map(|(_, entry)| entry);
            let entry = match last.or_else(|| self.undecided.find(id)) {
                Some(entry) => entry,
                None => match self.decision(id) {
                    Some((decision, is_kept)) => {
                        let span = self.scratch.spans[at].take().expect("it is still there");
                        late.add(decision, is_kept, span);
                        continue;
                    }
                    None => self.begin(at),
                },
            };
            last_one = Some((id, entry));
            let batch = &mut self.undecided.get_mut(entry).batch;
            match *batch {
                (NONE, _) => {
                    *batch = (at as u32, at as u32);
                    self.scratch.touched.push(entry);
                }
                (_, last) => {
                    self.scratch.next[last as usize] = at as u32;
                    batch.1 = at as u32;
                }
            }
        }
        // Each trace has its spans before anything is decided.
        for place in 0..self.scratch.touched.len() {
            self.join(self.scratch.touched[place]);
        }
        self.scratch.spans.clear();
        for place in 0..self.scratch.touched.len() {
            let at = self.scratch.touched[place];
            if self.undecided.get(at).spans.len() >= self.limits.trace_spans {
                self.decide(at, Cause::Spans, sink);
            }
        }
        self.emit_late(late, sink);
        self.make_room(sink);
    }

    /// Begins a trace with the span at this place of the batch.
    fn begin(&mut self, place: usize) -> u32 {
        let span = self.scratch.spans[place].as_ref().expect("it is still there");
        let share = self.shares.of(span.service());
        let at = self.undecided.add(span.trace_id(), self.now, share);
        self.undecided.append(&mut self.by_age, Order::Age, at);
        let list = &mut self.shares.get_mut(share).list;
        self.undecided.append(list, Order::Share, at);
        let due = self.now + self.limits.timeout;
        self.wheel.add(&mut self.undecided, at, due);
        at
    }

    /// Adds the spans of the batch to their trace, out of their requests.
    fn join(&mut self, at: u32) {
        let entry = self.undecided.get_mut(at);
        let (mut place, _) = std::mem::replace(&mut entry.batch, (NONE, NONE));
        let before = entry.spans.len();
        let had_root = entry.root.is_some();
        let mut count = 0;
        let mut probe = place;
        while probe != NONE {
            count += 1;
            probe = self.scratch.next[probe as usize];
        }
        if entry.spans.capacity() - before < count {
            // Most traces are small, and come in few batches.
            entry.spans.reserve_exact(count.max(before / 2));
        }
        while place != NONE {
            let span = self.scratch.spans[place as usize].take().expect("it is still there");
            if entry.root.is_none() && span.parent_span_id().is_none() {
                entry.root = Some(entry.spans.len() as u32);
            }
            entry.spans.push(span);
            place = self.scratch.next[place as usize];
        }
        let new = &mut entry.spans[before..];
        Span::detach_together(new);
        if entry.randomness.is_none() {
            // All spans of a trace carry the same.
            entry.randomness = decide::randomness(new);
        }
        let mut bytes = BODY;
        for (number, span) in new.iter().enumerate() {
            bytes += span.bytes().len();
            entry.longest = entry.longest.max(span.duration());
            entry.marks = self.policies.mark(span, entry.marks);
            if number == 0 || !new[number - 1].source().ptr_eq(span.source()) {
                bytes += size_of::<usize>();
                span.source().charge(&self.ledger);
            }
        }
        entry.last = self.now;
        let slots = entry.spans.capacity() * size_of::<Span>();
        let first = if before == 0 { ENTRY } else { 0 };
        let grown = first + bytes + slots - entry.slot_bytes;
        entry.slot_bytes = slots;
        entry.bytes += grown;
        self.bytes += grown;
        self.counts.undecided += count as u64;
        let (share, root_is_new) = (entry.service, !had_root && entry.root.is_some());
        let due = self.due(at);
        self.shares.get_mut(share).bytes += grown;
        self.shares.count(share, count as u64);
        if root_is_new {
            self.wheel.remove(&mut self.undecided, at);
            self.wheel.add(&mut self.undecided, at, due);
        }
    }

    /// Returns when a trace is to be decided.
    fn due(&self, at: u32) -> u64 {
        let entry = self.undecided.get(at);
        let timeout = entry.first + self.limits.timeout;
        match entry.root {
            Some(_) => timeout.min(entry.last + self.limits.quiet),
            None => timeout,
        }
    }

    /// Decides what is due. Call it when [`next_due`](Self::next_due) says so, or every so often: a
    /// decision is late by that, and by at most a thirtieth of the shorter of the two times, or a
    /// millisecond.
    pub fn advance(&mut self, now: Instant, sink: &mut impl Sink) {
        self.now = self.now.max(nanos(now.saturating_duration_since(self.started)));
        let mut due = std::mem::take(&mut self.scratch.due);
        while self.wheel.turn(&mut self.undecided, self.now, &mut due) {
            // All of them are in the wheel again before a sink, which may panic, is called.
            due.retain(|&at| {
                let time = self.due(at);
                let is_due = time <= self.now;
                self.wheel.add(&mut self.undecided, at, time);
                is_due
            });
            for &at in &due {
                let entry = self.undecided.get(at);
                let is_quiet = entry.first + self.limits.timeout > self.now;
                let cause = if is_quiet { Cause::Quiet } else { Cause::Timeout };
                self.decide(at, cause, sink);
            }
        }
        self.scratch.due = due;
    }

    /// Returns when to call [`advance`](Self::advance) next, or `None` if nothing is undecided.
    pub fn next_due(&self) -> Option<Instant> {
        (self.undecided.len() > 0).then(|| self.started + Duration::from_nanos(self.wheel.next()))
    }

    /// Decides all traces at once, with the spans that are there, such as at the program's end.
    pub fn flush(&mut self, now: Instant, sink: &mut impl Sink) {
        self.advance(now, sink);
        while self.by_age.first != NONE {
            self.decide(self.by_age.first, Cause::Flush, sink);
        }
    }

    /// Evicts all undecided traces, and counts them.
    pub fn clear(&mut self) {
        while self.by_age.first != NONE {
            self.evict(self.by_age.first);
        }
    }

    /// Takes new settings. Undecided traces are decided by the new policies; their spans
    /// are tested once more, which is O(spans).
    /// The figures of policies continue by their names. Decisions that late spans follow are
    /// kept if the names of the policies are the same, and forgotten otherwise. What was set for
    /// `remembered`, `share` and `services` at first stays, except that the size of a share
    /// changes.
    ///
    /// # Errors
    /// [`SettingsError`] if the settings are invalid; then the old ones stay.
    pub fn reload(&mut self, settings: &Settings) -> Result<(), SettingsError> {
        let (limits, policies) = Self::prepared(settings)?;
        let old = self.policies.names();
        let mut counts = std::mem::take(&mut self.counts);
        if old != policies.names() {
            // Figures of policies that are no more remain part of the balance.
            let figures = |name: &Arc<str>| old.iter().position(|known| known == name);
            let new = policies.names().iter().map(|name| {
                figures(name).map(|at| std::mem::take(&mut counts.policies[at])).unwrap_or_default()
            });
            let new: Vec<_> = new.collect();
            for [kept, sampled_out] in std::mem::replace(&mut counts.policies, new) {
                counts.removed[0] = counts.removed[0] + kept;
                counts.removed[1] = counts.removed[1] + sampled_out;
            }
            self.kept = Decisions::new(settings.remembered);
            self.sampled_out = Decisions::new(settings.remembered);
        }
        self.counts = counts;
        (self.limits, self.policies) = (limits, policies);
        let mut at = self.by_age.first;
        while at != NONE {
            let entry = self.undecided.get_mut(at);
            let marks = |marks, span| self.policies.mark(span, marks);
            entry.marks = entry.spans.iter().fold(0, marks);
            at = self.undecided.after(Order::Age, at);
        }
        Ok(())
    }

    /// Returns the ledger that counts what undecided and kept spans share, for a
    /// [`Kept`](crate::Kept) to limit it too.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns the figures. O(policies).
    pub fn stats(&self) -> Stats {
        let counts = &self.counts;
        let policies = self.policies.names().iter().zip(&counts.policies);
        let policies = policies.map(|(name, &[kept, sampled_out])| PolicyCounts {
            name: Arc::clone(name),
            kept,
            sampled_out,
        });
        Stats {
            received: counts.received,
            rejected_without_trace: counts.without_trace,
            rejected_too_large: counts.too_large,
            policies: policies.collect(),
            removed_policies: PolicyCounts {
                name: "removed".into(),
                kept: counts.removed[0],
                sampled_out: counts.removed[1],
            },
            unmatched: counts.unmatched,
            evicted: counts.evicted,
            undecided: Amount { traces: self.undecided.len() as u64, spans: counts.undecided },
            decisions: Cause::ALL.into_iter().zip(counts.causes).collect(),
            late_kept: counts.late_kept,
            late_sampled_out: counts.late_sampled_out,
            bytes: self.bytes,
            shared_bytes: self.ledger.bytes(),
            remembered: self.kept.len() + self.sampled_out.len(),
            spans_beyond_services: self.shares.spans_beyond,
            panics: self.policies.panics,
        }
    }
}
