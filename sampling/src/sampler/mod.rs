//! The sampler: collects the spans of undecided traces, and decides.
//!
//! ```text
//!  spans ──► undecided (table by trace id) ──quiet, timeout, spans, no room──► policies
//!              │  list by age, list for each service, wheel of timers             │
//!              │                                                  ┌─ kept ────────┼──► sink
//!              └──── late spans ──► decisions (two rings) ◄───────┴─ sampled out ─┘
//! ```
//!
//! The spans of a trace are copied out of their requests into a chain of blocks. They leave together
//! too, so that no memory is held for spans that have left. Only those of kept traces become records
//! again.

mod blocks;
mod decide;
mod decisions;
mod packed;
mod shares;
mod undecided;
mod wheel;

use crate::counts::{Amount, Cause, PolicyCounts, Stats};
use crate::policy::Compiled;
use crate::settings::{OnFull, Settings, SettingsError};
use crate::sink::Sink;
use blocks::Blocks;
use decisions::Decisions;
use shares::Shares;
use slipring::{Ledger, Span, TraceId};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use undecided::{ENTRY, List, NONE, Order, Undecided};
use wheel::Wheel;

/// The number of spans that are taken at a time. Limits are enforced after each batch, so memory
/// may exceed them by one.
const BATCH: usize = 512;

/// The bytes of its spans with which a trace is decided, and the most that it may have: spans of
/// later batches are rejected if it would have more before it is.
const ENOUGH_BYTES: usize = 1 << 30;
const MOST_BYTES: usize = 2 << 30;

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
    /// The bytes of the undecided spans.
    blocks: Blocks,
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
    /// The number of the batch.
    batch: u32,
    runs: Vec<Run>,
    /// The traces of the batch.
    touched: Vec<u32>,
    /// Entries that the wheel brings up.
    due: Vec<u32>,
    /// Where the spans of a trace lie that become records.
    places: Vec<(usize, Range<usize>)>,
}

/// Spans of a batch that stand together and belong to one trace.
#[derive(Debug)]
struct Run {
    id: TraceId,
    start: usize,
    end: usize,
    /// The trace's entry, if it had one before the batch.
    known: Option<u32>,
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
            blocks: Blocks::default(),
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

    /// Takes spans as they arrive, and copies those that it holds. Spans of undecided traces join them. Spans of decided traces
    /// follow the decision. O(1) for a span, and the policies for each trace that this decides.
    ///
    /// `now` must not go back; a time before an earlier one counts as that. Returns the number of
    /// spans that were rejected: those without a trace id, and those that are too large.
    ///
    /// A panic of the sink leaves the sampler intact. The spans of the batch (of at most 512) that
    /// are not counted yet are then lost.
    pub fn take(&mut self, spans: impl AsRef<[Span]>, now: Instant, sink: &mut impl Sink) -> u64 {
        self.advance(now, sink);
        let before = self.counts.without_trace + self.counts.too_large;
        for batch in spans.as_ref().chunks(BATCH) {
            self.take_batch(batch, sink);
        }
        self.counts.without_trace + self.counts.too_large - before
    }

    fn take_batch(&mut self, spans: &[Span], sink: &mut impl Sink) {
        self.counts.received += spans.len() as u64;
        // 0 is the number of no batch.
        self.scratch.batch = self.scratch.batch.checked_add(1).unwrap_or(1);
        self.scratch.touched.clear();
        let mut late = decide::Late::default();
        // Spans of a trace often stand together. All runs are looked up before the first is taken:
        // the table is seldom in the cache, and so the processor waits for several at once.
        let mut runs = std::mem::take(&mut self.scratch.runs);
        runs.clear();
        for (at, span) in spans.iter().enumerate() {
            match runs.last_mut() {
                Some(run) if run.id == span.trace_id() => run.end = at + 1,
                _ => runs.push(Run { id: span.trace_id(), start: at, end: at + 1, known: None }),
            }
        }
        runs.iter_mut().for_each(|run| run.known = self.undecided.find(run.id));
        for run in &runs {
            if run.id.is_zero() {
                self.counts.without_trace += (run.end - run.start) as u64;
            } else {
                self.take_run(run, &spans[run.start..run.end], &mut late);
            }
        }
        self.scratch.runs = runs;
        // Each trace has its spans before anything is decided.
        for place in 0..self.scratch.touched.len() {
            let at = self.scratch.touched[place];
            let spans = &self.undecided.get(at).spans;
            if spans.len() >= self.limits.trace_spans || spans.heap_bytes() >= ENOUGH_BYTES {
                self.decide(at, Cause::Spans, sink);
            }
        }
        self.emit_late(late, sink);
        self.make_room(sink);
    }

    /// Takes spans that belong to one trace.
    fn take_run(&mut self, of: &Run, run: &[Span], late: &mut decide::Late) {
        let most = self.limits.span_bytes;
        let fit = || run.iter().filter(|span| span.bytes().len() <= most);
        let mut count = fit().count();
        self.counts.too_large += (run.len() - count) as u64;
        let Some(first) = fit().next() else { return };
        // An earlier run of the batch may have begun the trace.
        let at = match of.known.or_else(|| self.undecided.find(of.id)) {
            Some(at) => at,
            None => match self.decision(of.id) {
                Some((decision, is_kept)) => {
                    return fit().for_each(|span| late.add(decision, is_kept, span.clone()));
                }
                None => self.begin(first),
            },
        };
        let entry = self.undecided.get_mut(at);
        let (before, sources, had_root) =
            (entry.bytes, entry.spans.sources().len(), entry.root.is_some());
        for span in fit() {
            if entry.spans.heap_bytes() + span.bytes().len() > MOST_BYTES {
                (count, self.counts.too_large) = (count - 1, self.counts.too_large + 1);
                continue;
            }
            let source = entry.spans.push(span, &mut self.blocks);
            let is_root = entry.root.is_none() && span.parent_span_id().is_none();
            if is_root {
                entry.root = Some(span.duration());
            }
            if self.policies.asks_operation && (is_root || entry.operation.is_none()) {
                entry.operation = Some((source, span.name().into()));
            }
            entry.longest = entry.longest.max(span.duration());
            entry.marks = self.policies.mark(span, entry.marks);
        }
        if entry.randomness.is_none() {
            // All spans of a trace carry the same.
            entry.randomness = decide::randomness(first);
        }
        entry.spans.sources()[sources..].iter().for_each(|source| source.charge(&self.ledger));
        entry.last = self.now;
        // A name may become shorter, and what is charged for it does not.
        entry.bytes = (ENTRY + entry.spans.heap_bytes() + entry.name_bytes()).max(before);
        let grown = entry.bytes - before;
        if entry.batch != self.scratch.batch {
            entry.batch = self.scratch.batch;
            self.scratch.touched.push(at);
        }
        let (share, root_is_new) = (entry.service, !had_root && entry.root.is_some());
        self.bytes += grown;
        self.counts.undecided += count as u64;
        self.shares.get_mut(share).bytes += grown;
        self.shares.count(share, count as u64);
        if root_is_new {
            let due = self.due(at);
            self.wheel.remove(&mut self.undecided, at);
            self.wheel.add(&mut self.undecided, at, due);
        }
    }

    /// Begins a trace with this span.
    fn begin(&mut self, span: &Span) -> u32 {
        let share = self.shares.of(span);
        let at = self.undecided.add(span.trace_id(), self.now, share);
        self.undecided.append(&mut self.by_age, Order::Age, at);
        let list = &mut self.shares.get_mut(share).list;
        self.undecided.append(list, Order::Share, at);
        let due = self.now + self.limits.timeout;
        self.wheel.add(&mut self.undecided, at, due);
        at
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
            let spans = entry.spans.spans(&self.blocks, &mut self.scratch.places);
            let marks = |marks, span| self.policies.mark(span, marks);
            entry.marks = spans.iter().fold(0, marks);
            let grown = entry.set_operation(&spans, self.policies.asks_operation);
            entry.bytes += grown;
            self.bytes += grown;
            self.shares.get_mut(entry.service).bytes += grown;
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
