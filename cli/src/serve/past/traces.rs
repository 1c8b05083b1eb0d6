//! Lists of traces, and single ones, over memory and files.

use super::files::{Files, Read, Sought, Visit};
use crate::answer::{self, Time};
use crate::serve::api::problem::Problem;
use crate::serve::api::{Kept, Listed, Wanted};
use crate::serve::ask::Asked;
use slipring::query::Report;
use slipring::telemetry::TraceTelemetry;
use slipring::trace::TraceOrder;
use slipring::{LogRecord, Signal, Span, Store, TraceId};
use slipring_sampling::Seen;
use std::collections::{BTreeSet, HashMap};
use std::ops::{ControlFlow, RangeInclusive};

/// How much earlier or later than the spans that fit other spans of their traces are looked for.
const AROUND: u64 = 3_600_000_000_000;

/// Spans that a list of traces takes from files.
const MOST_SPANS: usize = 100_000;

/// Finds the first traces of files by what is known of them from spans that fit.
struct Candidates<F> {
    fits: F,
    order: TraceOrder,
    most: usize,
    ranks: HashMap<TraceId, u64>,
    first: BTreeSet<(u64, TraceId)>,
    times: Option<(u64, u64)>,
    /// Whether there was no room for some.
    is_cut: bool,
}

impl<F: Fn(&Span) -> bool> Candidates<F> {
    fn add(&mut self, span: &Span) {
        let rank = match self.order {
            TraceOrder::Slowest => span.duration(),
            _ => span.start_unix_nanos(),
        };
        let id = span.trace_id();
        let known = self.ranks.get(&id).copied();
        if known.is_some_and(|known| known >= rank) {
            return;
        }
        if let Some(known) = known {
            self.first.remove(&(known, id));
        }
        self.ranks.insert(id, rank);
        self.first.insert((rank, id));
        if self.first.len() > self.most
            && let Some((_, id)) = self.first.pop_first()
        {
            self.ranks.remove(&id);
            self.is_cut = true;
        }
        let start = span.start_unix_nanos();
        let (first, last) = self.times.unwrap_or((start, start));
        self.times = Some((first.min(start), last.max(start)));
    }
}

impl<F: Fn(&Span) -> bool> Visit<Span> for Candidates<F> {
    fn wants(&self, times: RangeInclusive<u64>) -> bool {
        let is_full = self.first.len() >= self.most && self.order != TraceOrder::Slowest;
        let least = self.first.first().filter(|_| is_full);
        least.is_none_or(|(least, _)| times.end() >= least)
    }

    fn take(&mut self, span: Span) -> ControlFlow<()> {
        if !span.trace_id().is_zero() && (self.fits)(&span) {
            self.add(&span);
        }
        ControlFlow::Continue(())
    }
}

/// Collects spans by trace.
#[derive(Default)]
struct OfTraces {
    spans: HashMap<TraceId, Vec<Span>>,
    count: usize,
}

impl Visit<Span> for OfTraces {
    fn take(&mut self, span: Span) -> ControlFlow<()> {
        if self.count == MOST_SPANS {
            return ControlFlow::Break(());
        }
        self.count += 1;
        self.spans.entry(span.trace_id()).or_default().push(span);
        ControlFlow::Continue(())
    }
}

/// Adds what one look at the files has read to another.
fn joined(one: Read, other: Read) -> Read {
    let (mut read, more) = (one.read, other.read);
    read.files_listed = read.files_listed.max(more.files_listed);
    read.files = read.files.max(more.files);
    read.files_opened += more.files_opened;
    read.row_groups += more.row_groups;
    read.row_groups_read += more.row_groups_read;
    read.bytes_read += more.bytes_read;
    read.requests += more.requests;
    read.failed += more.failed;
    read.last_error = more.last_error.or(read.last_error);
    read.cut = read.cut.or(more.cut);
    Read { read, complete: one.complete && other.complete, ..other }
}

/// Finds traces with at least one span that fits, of memory and of files, up to `limit`. Files are
/// looked at twice: for spans that fit, and for the other spans of their traces and of those that
/// memory has.
pub fn traces(
    wanted: &Wanted,
    store: &Store<Span>,
    asked: &Asked,
    kept: Option<Kept<'_>>,
    (files, held_since): (Files<'_>, Option<u64>),
    limit: usize,
) -> Result<(Vec<Listed>, Report, answer::Reach), Problem> {
    let conditions = || asked.conditions(store.query());
    let keep = kept.as_ref().map(|(keep, _)| *keep);
    let (held, mut report) = wanted.find(store, conditions, kept, limit)?;
    let mut candidates = Candidates {
        fits: conditions().into_test()?,
        order: wanted.order,
        most: limit,
        ranks: HashMap::new(),
        first: BTreeSet::new(),
        times: None,
        is_cut: false,
    };
    let looked = files.visit(&asked.sought(), &mut candidates)?;
    let Candidates { ranks, times, is_cut, .. } = candidates;
    let mut by_id: HashMap<TraceId, Option<Listed>> =
        ranks.into_keys().map(|id| (id, None)).collect();
    let mut around = times.unwrap_or((u64::MAX, 0));
    for one in held {
        let times = one.trace().times();
        around = (around.0.min(times.start), around.1.max(times.end));
        by_id.insert(one.trace().trace_id, Some(one));
    }
    let mut others = OfTraces::default();
    let sought = Sought {
        times: Some(around.0.saturating_sub(AROUND)..=around.1.saturating_add(AROUND)),
        traces: Some(by_id.keys().copied().collect()),
        ..Sought::default()
    };
    let read =
        if by_id.is_empty() { looked } else { joined(looked, files.visit(&sought, &mut others)?) };
    let mut reach = answer::Reach {
        asked: true,
        memory_since: Time(held_since.unwrap_or(0)),
        read: read.read,
        waiting: read.waiting,
        lost: read.lost,
        each_once: true,
        complete: read.complete,
        ..answer::Reach::default()
    };
    let mut all = Vec::new();
    for (id, listed) in by_id {
        let more = others.spans.remove(&id).unwrap_or_default();
        let listed = match listed {
            Some(listed) => listed,
            None => Listed::in_memory(id, store, keep)?,
        };
        all.push(listed.and_more(more));
    }
    all.retain(|one| !one.trace().spans.is_empty() && wanted.is_fit(one.trace()));
    wanted.sort(&mut all, limit);
    for one in &all {
        reach.from_files += one.only_in_files();
        reach.from_kept += one.only_kept();
        reach.from_memory += one.trace().spans.len() as u64;
    }
    reach.from_memory = reach.from_memory.saturating_sub(reach.from_files + reach.from_kept);
    report.cut |= is_cut;
    report.partial &= !reach.complete;
    Ok((all, report, reach))
}

/// Collects what is new of a trace.
struct NewOf<'a, T> {
    seen: &'a mut Seen,
    new: Vec<T>,
}

impl<T: crate::serve::ask::Asking> Visit<T> for NewOf<'_, T> {
    fn take(&mut self, record: T) -> ControlFlow<()> {
        if self.new.len() == MOST_SPANS {
            return ControlFlow::Break(());
        }
        if !self.seen.take(&record) {
            self.new.push(record);
        }
        ControlFlow::Continue(())
    }
}

/// Adds what files have of a trace to what memory has of it.
pub fn with_files(
    files: Files<'_>,
    id: TraceId,
    mut found: TraceTelemetry,
) -> Result<(TraceTelemetry, answer::FromFiles), Problem> {
    let sought = Sought { traces: Some(vec![id]), ..Sought::default() };
    let mut seen = Seen::default();
    let held: Vec<Span> =
        found.trace.take().into_iter().flat_map(|trace| trace.spans).map(|one| one.span).collect();
    held.iter().for_each(|span| seen.note(span));
    let mut spans = NewOf { seen: &mut seen, new: held };
    let had = spans.new.len();
    let of_spans = files.visit::<Span>(&sought, &mut spans)?;
    let spans = spans.new;
    found.logs.iter().for_each(|log| seen.note(log));
    let mut logs = NewOf::<LogRecord> { seen: &mut seen, new: Vec::new() };
    let of_logs = files.visit(&sought, &mut logs)?;
    let new_logs = logs.new;
    let read = joined(of_spans, of_logs);
    let told = answer::FromFiles {
        spans: spans.len() - had,
        logs: new_logs.len(),
        waiting: read.waiting,
        complete: read.complete,
        read: read.read,
    };
    let mut logs = std::mem::take(&mut found.logs);
    logs.extend(new_logs);
    logs.sort_by_key(Signal::timestamp);
    // Spans that were delivered twice are told apart here.
    let mut all = TraceTelemetry::assemble(id, spans, logs, &[]);
    all.exemplars = found.exemplars;
    Ok((all, told))
}
