//! Pages of records of which some are in the store, and some only in kept traces.

use crate::answer;
use crate::serve::ask::{After, Asked, Asking, Both, Place};
use slipring::error::QueryError;
use slipring::query::Answer;
use slipring::{Order, Position, Store};
use slipring_sampling::{KeptTrace, Seen};
use std::collections::HashSet;
use std::sync::Arc;

/// A page of records.
pub struct Page<T> {
    /// The records. Those that are only kept have no position.
    records: Vec<(Option<Position>, T)>,
    held: slipring::query::Report,
    pub next: Option<After>,
}

impl<T: Asking> Page<T> {
    /// Finds a page of records of traces of which some are kept. By arrival, records that the store
    /// has evicted are the oldest. O(records of these traces), and twice what the store takes.
    pub fn find(
        store: &Store<T>,
        asked: &Asked,
        kept: &[Arc<KeptTrace>],
    ) -> Result<Self, QueryError> {
        let from = asked.both();
        let of_store = if from.ended { 0 } else { asked.limit() };
        let mut held = asked.page_from(store.query(), &from).limit(of_store).collect()?;
        let others = others(store, asked, kept, &from, &held)?;
        let mut shown = Vec::new();
        let (mut of_held, mut of_others) = (0, 0);
        while shown.len() < asked.limit() {
            let (next_held, next_other) = (held.records.get(of_held), others.get(of_others));
            let is_other = match (next_held, next_other) {
                (None, None) => break,
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some(held), Some((place, _))) => match from.order {
                    Order::Oldest => true,
                    Order::Latest => place.0 > held.timestamp(),
                    Order::Earliest => place.0 <= held.timestamp(),
                    _ => false,
                },
            };
            if is_other {
                shown.push((None, others[of_others].1.clone()));
                of_others += 1;
            } else {
                shown.push((Some(held.positions[of_held]), held.records[of_held].clone()));
                of_held += 1;
            }
        }
        let is_all = of_held == held.records.len();
        let next = match of_held {
            _ if is_all => held.report.next.take(),
            0 => from.store.clone(),
            // The page ends before the store's own would.
            some => {
                let page = asked.page_from(store.query(), &from).limit(some);
                page.for_each(|_, _| ())?.next
            }
        };
        let ended = from.ended || (is_all && next.is_none());
        let is_last = ended && of_others == others.len();
        let last = others[..of_others].last().map(|(place, _)| *place).or(from.kept);
        let next = Both { order: from.order, store: next, ended, kept: last };
        let next = (!is_last).then_some(After::Both(next));
        Ok(Self { records: shown, held: held.report, next })
    }

    /// Shows the page. `next` is the token of the next one.
    pub fn shown(&self, next: Option<String>) -> T::Page<'_> {
        let mut sources = answer::Sources::default();
        let shown = self
            .records
            .iter()
            .map(|(position, record)| record.one(*position, &mut sources))
            .collect();
        let mut report = answer::Report::of(&self.held);
        report.shown = self.records.len() as u64;
        report.from_kept =
            self.records.iter().filter(|(position, _)| position.is_none()).count() as u64;
        T::page(shown, sources, next, report)
    }

    /// Iterates over the records.
    pub fn records(&self) -> impl Iterator<Item = &T> {
        self.records.iter().map(|(_, record)| record)
    }
}

/// Returns the records of kept traces that fit, are not in the store, and come after the page
/// before, in order.
fn others<'k, T: Asking>(
    store: &Store<T>,
    asked: &Asked,
    kept: &'k [Arc<KeptTrace>],
    from: &Both,
    held: &Answer<T>,
) -> Result<Vec<(Place, &'k T)>, QueryError> {
    let (mut seen, mut there) = (Seen::default(), HashSet::new());
    asked.conditions(store.query()).for_each(|position, record| {
        there.insert(position);
        seen.note(record);
    })?;
    // A record of the page may have been evicted since.
    let gone = held.records.iter().zip(&held.positions);
    gone.filter(|(_, position)| !there.contains(position)).for_each(|(one, _)| seen.note(one));
    let fits = asked.conditions(store.query()).into_test()?;
    let is_by_time = matches!(from.order, Order::Latest | Order::Earliest);
    let mut others = Vec::new();
    for trace in kept {
        let place = |(at, record): (usize, &'k T)| {
            let time = if is_by_time { record.timestamp() } else { 0 };
            ((time, trace.number(), at), record)
        };
        let these = seen.others(T::of_kept(trace)).into_iter();
        others.extend(these.filter(|(_, record)| fits(record)).map(place));
    }
    others.sort_unstable_by_key(|(place, _)| *place);
    if matches!(from.order, Order::Oldest | Order::Earliest) {
        others.retain(|(place, _)| from.kept.is_none_or(|last| *place > last));
    } else {
        others.reverse();
        others.retain(|(place, _)| from.kept.is_none_or(|last| *place < last));
    }
    Ok(others)
}
