//! Lists of traces, and single ones, over memory and files.

use super::files::{Files, Sought, Visit};
use crate::answer;
use crate::serve::api::problem::Problem;
use crate::serve::api::{Kept, Listed, Wanted};
use crate::serve::ask::{Asked, Asking};
use slipring::query::Report;
use slipring::telemetry::TraceTelemetry;
use slipring::trace::TraceOrder;
use slipring::{LogRecord, Signal, Span, Store, TraceId};
use slipring_sampling::Seen;
use std::cell::Cell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::ops::{ControlFlow, RangeInclusive};

/// How many nanoseconds earlier or later than the spans that fit other spans of their traces are looked
/// for. Not measured.
const AROUND: u64 = 3_600_000_000_000;

/// Spans that a list of traces, or one trace, takes from files beside those that memory has; of one
/// trace, also log records. Not measured.
const MOST_SPANS: usize = if cfg!(test) { 4 } else { 100_000 };

/// What is left out of a list if files may have more traces than it tells apart.
const MORE_TRACES: &str = "files may have more traces that belong here: these were chosen by single \
                           spans of theirs that fit; raise limit, or narrow the conditions";

/// Finds the first traces of files by what is known of them from spans that fit.
struct Candidates<F> {
    fits: F,
    order: TraceOrder,
    most: usize,
    ranks: HashMap<TraceId, u64>,
    first: BTreeSet<(u64, TraceId)>,
    times: Option<(u64, u64)>,
    /// Whether some were left out: there was no room for them, or files that may have some were passed
    /// over.
    left_out: Cell<bool>,
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
            self.left_out.set(true);
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
        let wants = least.is_none_or(|(least, _)| times.end() >= least);
        self.left_out.set(self.left_out.get() || !wants);
        wants
    }

    fn take(&mut self, span: Span) -> ControlFlow<()> {
        if !span.trace_id().is_zero() && (self.fits)(&span) {
            self.add(&span);
        }
        ControlFlow::Continue(())
    }
}

/// Collects spans by trace that memory does not have.
#[derive(Default)]
struct OfTraces {
    seen: Seen,
    spans: HashMap<TraceId, Vec<Span>>,
    count: usize,
}

impl Visit<Span> for OfTraces {
    fn take(&mut self, span: Span) -> ControlFlow<()> {
        if self.seen.take(&span) {
            return ControlFlow::Continue(());
        }
        if self.count == MOST_SPANS {
            return ControlFlow::Break(());
        }
        self.count += 1;
        self.spans.entry(span.trace_id()).or_default().push(span);
        ControlFlow::Continue(())
    }
}

/// Finds traces with at least one span that fits, of memory and of files, up to `limit`. Files are
/// looked at twice: for spans that fit, and for the other spans of their traces and of those that
/// memory has.
///
/// Of files, traces are chosen by their latest span that fits, or their slowest one. If more fit than
/// are asked for, others may be slower as a whole, and some that were chosen may not be wanted: the
/// report says so then.
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
        left_out: Cell::new(false),
    };
    let mut read = files.visit(&asked.sought(), &mut candidates)?;
    let Candidates { ranks, times, left_out, .. } = candidates;
    let mut around = times.unwrap_or((u64::MAX, 0));
    let mut by_id: HashMap<TraceId, Listed> =
        held.into_iter().map(|one| (one.trace().trace_id, one)).collect();
    // Memory is read before files are listed again: what leaves it meanwhile is in these.
    for id in ranks.into_keys() {
        if let Entry::Vacant(place) = by_id.entry(id) {
            place.insert(Listed::in_memory(id, store, keep)?);
        }
    }
    let mut others = OfTraces::default();
    for one in by_id.values().map(Listed::trace).filter(|trace| !trace.spans.is_empty()) {
        let times = one.times();
        around = (around.0.min(times.start), around.1.max(times.end));
        one.spans.iter().for_each(|one| others.seen.note(&one.span));
    }
    if !by_id.is_empty() {
        let sought = Sought {
            times: Some(around.0.saturating_sub(AROUND)..=around.1.saturating_add(AROUND)),
            traces: Some(by_id.keys().copied().collect()),
            ..Sought::default()
        };
        read = read.and(files.visit(&sought, &mut others)?);
    }
    let is_whole = read.is_whole();
    let listed = by_id.into_iter().map(|(id, listed)| {
        let more = others.spans.remove(&id).unwrap_or_default();
        listed.and_more(more, is_whole)
    });
    let mut all: Vec<Listed> =
        listed.filter(|one| !one.trace().spans.is_empty() && wanted.is_fit(one.trace())).collect();
    wanted.sort(&mut all, limit);
    if left_out.get() && (wanted.order == TraceOrder::Slowest || all.len() < limit) {
        read.complete = false;
        read.read.cut.get_or_insert_with(|| MORE_TRACES.to_owned());
    }
    report.partial &= !read.is_whole();
    let spans: u64 = all.iter().map(|one| one.trace().spans.len() as u64).sum();
    let from_files = all.iter().map(Listed::only_in_files).sum();
    let from_kept = all.iter().map(Listed::only_kept).sum();
    let from_memory = spans.saturating_sub(from_files + from_kept);
    let reach = read.reach(held_since, [from_memory, from_kept, from_files]);
    Ok((all, report, reach))
}

/// Collects what is new of a trace.
struct NewOf<'a, T> {
    seen: &'a mut Seen,
    new: Vec<T>,
}

impl<T: Asking> Visit<T> for NewOf<'_, T> {
    fn take(&mut self, record: T) -> ControlFlow<()> {
        if self.seen.take(&record) {
            return ControlFlow::Continue(());
        }
        if self.new.len() == MOST_SPANS {
            return ControlFlow::Break(());
        }
        self.new.push(record);
        ControlFlow::Continue(())
    }
}

/// Adds what files have of a trace to what memory has of it.
pub fn with_files(
    files: Files<'_>,
    id: TraceId,
    found: TraceTelemetry,
) -> Result<(TraceTelemetry, answer::FromFiles), Problem> {
    let sought = Sought { traces: Some(vec![id]), ..Sought::default() };
    let mut seen = Seen::default();
    let (mut spans, mut duplicates, mut has_left) = (Vec::new(), 0, false);
    if let Some(trace) = found.trace {
        (duplicates, has_left) = (trace.duplicates, trace.partial);
        spans.extend(trace.spans.into_iter().map(|one| one.span));
    }
    spans.iter().for_each(|span| seen.note(span));
    let mut new_spans = NewOf::<Span> { seen: &mut seen, new: Vec::new() };
    let of_spans = files.visit(&sought, &mut new_spans)?;
    let new_spans = new_spans.new;
    let mut logs = found.logs;
    logs.iter().for_each(|log| seen.note(log));
    let mut new_logs = NewOf::<LogRecord> { seen: &mut seen, new: Vec::new() };
    let of_logs = files.visit(&sought, &mut new_logs)?;
    let new_logs = new_logs.new;
    let read = of_spans.and(of_logs);
    let is_whole = read.is_whole();
    let told = answer::FromFiles {
        spans: new_spans.len(),
        logs: new_logs.len(),
        waiting: read.waiting,
        lost: read.lost,
        complete: read.complete,
        read: read.read,
    };
    has_left |= !new_spans.is_empty();
    spans.extend(new_spans);
    logs.extend(new_logs);
    logs.sort_by_key(Signal::timestamp);
    // Spans that were delivered twice are told apart here.
    let mut all = TraceTelemetry::assemble(id, spans, logs, &[]);
    if let Some(trace) = &mut all.trace {
        trace.duplicates += duplicates;
        trace.partial = has_left && !is_whole;
    }
    all.exemplars = found.exemplars;
    Ok((all, told))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u64) -> Span {
        Span::builder().trace_id(7).span_id(id).name("a").build()
    }

    #[test]
    fn what_memory_has_takes_no_room_of_what_files_have() {
        let mut of_list = OfTraces::default();
        (1..=6).for_each(|id| of_list.seen.note(&span(id)));
        let mut seen = Seen::default();
        (1..=6).for_each(|id| seen.note(&span(id)));
        let mut of_one = NewOf { seen: &mut seen, new: Vec::new() };
        for id in 1..=10 {
            assert!(of_list.take(span(id)).is_continue(), "{id}");
            assert!(of_one.take(span(id)).is_continue(), "{id}");
        }
        assert!(of_list.take(span(11)).is_break() && of_one.take(span(11)).is_break());
        assert_eq!((of_list.spans[&7.into()].len(), of_one.new.len()), (4, 4));
    }
}
