//! Records of a store and of the traces that are kept beyond it, each once.

use super::lists::{Lists, Shown};
use crate::serve::ask::{Asked, Asking, Both};
use crate::serve::keep::Keep;
use slipring::error::QueryError;
use slipring::query::{Answer, By, Report, Tally};
use slipring::{KeyBuf, Order, Position, Query, Span, Store, TraceId};
use slipring_sampling::{KeptTrace, Seen};
use std::collections::HashSet;
use std::sync::Arc;

/// A store, and the kept traces that a question is about. It holds their ids alone: each trace is
/// looked up when its turn comes.
pub struct Tiers<'a, T: Asking> {
    store: &'a Store<T>,
    asked: &'a Asked,
    keep: Option<&'a Keep>,
    ids: HashSet<TraceId>,
}

/// The place of a record among those of kept traces: its time if the order goes by time, the
/// trace's number, and the place in the trace.
type Place = (u64, u64, usize);

/// Kept records of a page that the store does not hold.
pub struct Others<T> {
    /// In order; one more than the page may have, if there are more.
    pub records: Vec<(Place, T)>,
    /// Whether a trace left before its turn came.
    pub cut: bool,
}

impl<'a, T: Asking> Tiers<'a, T> {
    pub fn new(store: &'a Store<T>, asked: &'a Asked, keep: Option<&'a Keep>) -> Self {
        let ids = keep.map(|keep| asked.kept(keep)).unwrap_or_default().into_iter().collect();
        Self { store, asked, keep, ids }
    }

    /// Returns the store.
    pub fn store(&self) -> &'a Store<T> {
        self.store
    }

    /// Returns whether there are no kept traces to ask.
    pub fn is_store_alone(&self) -> bool {
        self.ids.is_empty()
    }

    /// Passes each record that fits to `visit`, with its position, which those that are only kept do
    /// not have: first those of the store. Returns how the store's query went, and how many records are only kept.
    ///
    /// Takes 40 bytes for each record of a kept trace that fits, and holds one trace at a time.
    pub fn each(
        &self,
        mut visit: impl FnMut(Option<Position>, &T),
    ) -> Result<(Report, u64), QueryError> {
        let mut seen = Seen::default();
        let mut report = self.conditions().for_each_unordered(|position, record| {
            if !self.ids.is_empty() && record.is_of(&self.ids) {
                seen.note(record);
            }
            visit(Some(position), record);
        })?;
        let mut only_kept = 0;
        report.cut |= self.others(&mut seen, |_, _, record| {
            only_kept += 1;
            visit(None, record);
        })?;
        report.shown += only_kept;
        Ok((report, only_kept))
    }

    /// Counts the records that fit by the keys of an index, most frequent first.
    pub fn key_counts(&self, index: &str) -> Result<Vec<(KeyBuf, u64)>, QueryError> {
        if self.is_store_alone() {
            let counts = self.store.key_counts(index)?;
            return Ok(counts.into_iter().map(|one| (one.key, one.count)).collect());
        }
        let mut tally = Tally::by(By::index(index))?;
        self.each(|_, record| tally.add(record, None))?;
        let groups = tally.finish().into_iter();
        Ok(groups.filter_map(|group| Some((group.key?, group.count))).collect())
    }

    /// Finds the kept records of a page that begins at `from`, of which `held` is the store's part,
    /// and `shown` what the pages before have shown. Takes memory for twice as many records as the
    /// page may have, and 40 bytes for each record of kept traces that fits, and for each of
    /// `shown`.
    pub fn page(
        &self,
        from: &Both,
        held: &Answer<T>,
        shown: &[Shown],
        lists: &Lists,
    ) -> Result<Others<T>, QueryError> {
        let (mut seen, mut there) = (lists.seen(), HashSet::new());
        self.narrowed().for_each(|position, record| {
            if record.is_of(&self.ids) {
                there.insert(position);
                seen.note(record);
            }
        })?;
        // A record of the page may have been evicted since.
        let gone = |position: &Position| !there.contains(position);
        let of_page = held.records.iter().zip(&held.positions).filter(|(_, at)| gone(at));
        of_page.for_each(|(one, _)| seen.note(one));
        // So may one of the pages before; and what was shown as a kept one is not in the store.
        let before = shown.iter().filter(|(_, at)| at.as_ref().is_none_or(gone));
        before.for_each(|(identity, _)| seen.note_again(*identity));
        let goes_up = matches!(from.order, Order::Oldest | Order::Earliest);
        let most = self.asked.limit() + 1;
        let mut first = First { records: Vec::new(), most, goes_up };
        let cut = self.others(&mut seen, |trace, at, record| {
            let time = if from.is_by_time() { record.timestamp() } else { 0 };
            // What arrives behind a page's end is not in the list, as it is in the store's own.
            let is_behind = |last| if goes_up { time < last } else { time > last };
            if !from.time.is_some_and(is_behind) {
                first.add((time, trace.number(), at), record);
            }
        })?;
        Ok(Others { records: first.finish(), cut })
    }

    fn conditions(&self) -> Query<'a, T> {
        self.asked.conditions(self.store.query())
    }

    /// Returns the query for the store's records of the kept traces, and maybe others.
    fn narrowed(&self) -> Query<'a, T> {
        // An index finds them sooner than a look at all.
        if self.asked.names_traces() {
            self.conditions()
        } else {
            T::of_traces(self.conditions(), &self.ids)
        }
    }

    /// Visits the kept records that fit and are not among those seen, trace by trace. Returns
    /// whether a trace has left meanwhile.
    fn others(
        &self,
        seen: &mut Seen,
        mut visit: impl FnMut(&KeptTrace, usize, &T),
    ) -> Result<bool, QueryError> {
        if self.ids.is_empty() {
            return Ok(false);
        }
        let fits = self.conditions().into_test()?;
        let mut cut = false;
        for trace in self.traces() {
            let Some(trace) = trace else {
                cut = true;
                continue;
            };
            for (at, record) in seen.others_that(T::of_kept(&trace), &fits) {
                visit(&trace, at, record);
            }
        }
        Ok(cut)
    }

    /// Looks up one trace after the other; `None` has left.
    fn traces(&self) -> impl Iterator<Item = Option<Arc<KeptTrace>>> {
        self.ids.iter().filter_map(|id| Some(self.keep?.get(*id)))
    }
}

impl Tiers<'_, Span> {
    /// Passes all spans of the kept traces to `visit`, those that the store holds as well.
    pub fn each_kept_span(&self, visit: &mut dyn FnMut(&Span)) {
        for trace in self.traces().flatten() {
            trace.spans.iter().for_each(&mut *visit);
        }
    }
}

/// Collects the first records by their places.
struct First<T> {
    records: Vec<(Place, T)>,
    most: usize,
    goes_up: bool,
}

impl<T: Clone> First<T> {
    fn add(&mut self, place: Place, record: &T) {
        self.records.push((place, record.clone()));
        if self.records.len() >= 2 * self.most {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.records.sort_unstable_by_key(|(place, _)| *place);
        if !self.goes_up {
            self.records.reverse();
        }
        self.records.truncate(self.most);
    }

    fn finish(mut self) -> Vec<(Place, T)> {
        self.cut();
        self.records
    }
}
