//! Lists of traces: those of the store, and those that are kept beyond it, each once.

use crate::answer;
use crate::serve::keep::Keep;
use slipring::error::QueryError;
use slipring::query::Report;
use slipring::trace::{Trace, TraceOrder};
use slipring::{Query, Span, Store, TraceId};
use slipring_sampling::{KeptTrace, Records};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

/// The kept traces that a question is about.
pub type Kept<'a> = (&'a Keep, Vec<TraceId>);

/// What traces have to be like, beside the conditions on their spans.
pub struct Wanted {
    pub order: TraceOrder,
    pub root_service: Option<String>,
    pub root_name: Option<String>,
    /// In nanoseconds.
    pub at_least: u64,
}

/// A trace of a list.
pub struct Listed {
    trace: Trace,
    kept: Option<Why>,
    /// How many of its spans came from files.
    from_files: u64,
}

/// Why a trace is kept.
struct Why {
    policy: Arc<str>,
    refused: u64,
    /// How many of its spans the store does not hold.
    only_kept: u64,
}

impl Listed {
    /// Returns how many of its spans the store does not hold any more.
    pub fn only_kept(&self) -> u64 {
        self.kept.as_ref().map_or(0, |why| why.only_kept)
    }

    /// Returns how many of its spans came from files, and are not in memory.
    pub fn only_in_files(&self) -> u64 {
        self.from_files
    }

    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Returns what memory has of a trace.
    pub fn in_memory(
        id: TraceId,
        store: &Store<Span>,
        keep: Option<&Keep>,
    ) -> Result<Self, QueryError> {
        if let Some(one) = keep.and_then(|keep| keep.get(id)) {
            return Ok(Self::of_kept(&one, store));
        }
        let spans = store.query().key("trace", id).collect()?.into_records();
        Ok(Self { trace: Trace::assemble(id, spans), kept: None, from_files: 0 })
    }

    fn of_kept(one: &KeptTrace, store: &Store<Span>) -> Self {
        let (trace, only_kept) = one.assemble_with(store);
        let (policy, refused) = (Arc::clone(&one.policy), one.refused.all());
        Self { trace, kept: Some(Why { policy, refused, only_kept }), from_files: 0 }
    }

    /// Adds spans of files that memory does not have. `is_whole` says whether no other can be missing.
    pub fn and_more(mut self, spans: Vec<Span>, is_whole: bool) -> Self {
        let has_left = self.trace.partial || !spans.is_empty();
        if !spans.is_empty() {
            let Trace { trace_id, spans: held, duplicates, .. } = self.trace;
            let had = held.len();
            let all = held.into_iter().map(|one| one.span).chain(spans).collect();
            self.trace = Trace::assemble(trace_id, all);
            self.trace.duplicates += duplicates;
            self.from_files = self.trace.spans.len().saturating_sub(had) as u64;
        }
        self.trace.partial = has_left && !is_whole;
        self
    }

    /// Returns the trace.
    pub fn into_trace(self) -> Trace {
        self.trace
    }

    /// Shows the trace in a line.
    pub fn shown(&self) -> answer::TraceSummary<'_> {
        let mut shown = answer::TraceSummary::of(&self.trace);
        shown.kept = self.kept.as_ref().map(|why| {
            let spans = Records { spans: why.only_kept, ..Records::default() };
            answer::Kept::why(&why.policy, why.refused, spans)
        });
        shown
    }
}

impl Wanted {
    /// Finds traces, up to `limit`, with at least one span that fits `conditions`, which makes a
    /// query of the store with the same conditions each time. A kept trace is looked for
    /// in the store and among those that are kept, and assembled from both.
    ///
    /// With kept traces it costs a second search, a look at every kept span, and the assembly of
    /// those that fit, in order, until there are enough. It holds the ids of kept traces, and the
    /// traces of the list.
    pub fn find<'q>(
        &self,
        store: &Store<Span>,
        conditions: impl Fn() -> Query<'q, Span>,
        kept: Option<Kept<'_>>,
        limit: usize,
    ) -> Result<(Vec<Listed>, Report), QueryError> {
        let Some((keep, kept)) = kept.filter(|(_, kept)| !kept.is_empty()) else {
            return self.held(conditions(), limit);
        };
        let ids: HashSet<TraceId> = kept.iter().copied().collect();
        let mut fitting: HashSet<TraceId> = HashSet::new();
        let mut report = conditions().for_each(|_, span| {
            if ids.contains(&span.trace_id()) {
                fitting.insert(span.trace_id());
            }
        })?;
        let others = conditions().filter(|span| !ids.contains(&span.trace_id()));
        let (mut all, _) = self.held(others, limit)?;
        let fits = conditions().into_test()?;
        let mut has_left = false;
        let mut get = |id: TraceId| {
            let found = keep.get(id);
            has_left |= found.is_none();
            found
        };
        let preview = |id: TraceId| {
            let one = get(id)?;
            let has_fitting = fitting.contains(&id) || one.spans.iter().any(&fits);
            has_fitting.then(|| (Reverse(self.preview(&one)), id))
        };
        let mut candidates: Vec<_> = kept.into_iter().filter_map(preview).collect();
        // The newest comes first among equals.
        candidates.sort_by_key(|(rank, _)| *rank);
        let assembled = candidates.into_iter().filter_map(|(_, id)| {
            let one = get(id)?;
            Some(Listed::of_kept(&one, store))
        });
        all.extend(assembled.filter(|one| self.is_fit(&one.trace)).take(limit));
        self.sort(&mut all, limit);
        report.cut |= has_left;
        Ok((all, report))
    }

    /// Finds traces of the store.
    fn held(
        &self,
        spans: Query<'_, Span>,
        limit: usize,
    ) -> Result<(Vec<Listed>, Report), QueryError> {
        let mut traces = spans.traces().order(self.order).at_least(self.at_least).limit(limit);
        if let Some(service) = &self.root_service {
            traces = traces.root_service(service.as_str());
        }
        if let Some(name) = &self.root_name {
            traces = traces.root_name(name.as_str());
        }
        let (traces, report) = traces.assemble_with_report()?;
        let listed = |trace| Listed { trace, kept: None, from_files: 0 };
        Ok((traces.into_iter().map(listed).collect(), report))
    }

    /// Puts traces into order, and leaves out those beyond a limit.
    pub fn sort(&self, all: &mut Vec<Listed>, limit: usize) {
        all.sort_by_key(|one| (Reverse(self.rank(&one.trace)), one.trace.trace_id));
        all.truncate(limit);
    }

    /// Returns whether a trace is like that, beside the conditions on its spans.
    pub fn is_fit(&self, trace: &Trace) -> bool {
        let is = |wanted: &Option<String>, text| wanted.as_deref().is_none_or(|one| one == text);
        let root = trace.root().map(|root| &root.span);
        root.is_some_and(|root| is(&self.root_service, root.service()))
            && root.is_some_and(|root| is(&self.root_name, root.name()))
            && trace.duration() >= self.at_least
    }

    /// Returns what the order goes by: the greatest comes first.
    fn rank(&self, trace: &Trace) -> u64 {
        match self.order {
            TraceOrder::Slowest => trace.duration(),
            _ => trace.times().start,
        }
    }

    /// Returns the same of what is kept of a trace, without assembling it. A trace of which spans
    /// were refused may have more in the store, and is assembled first.
    fn preview(&self, kept: &KeptTrace) -> u64 {
        if kept.refused.spans > 0 {
            return u64::MAX;
        }
        let starts = kept.spans.iter().map(Span::start_unix_nanos).filter(|&start| start > 0);
        let start = starts.min().unwrap_or(0);
        match self.order {
            TraceOrder::Slowest => {
                let end = kept.spans.iter().map(Span::end_unix_nanos).max().unwrap_or(0);
                end.saturating_sub(start)
            }
            _ => start,
        }
    }
}
