//! Pages of records of which some are in the store, and some only in kept traces.

use super::lists::{Lists, Shown};
use super::problem::Problem;
use super::tiers::{Others, Tiers};
use crate::answer;
use crate::serve::ask::{After, Asked, Asking, Both};
use crate::serve::past::Older;
use slipring::error::QueryError;
use slipring::{Order, Position, Store};

/// A page of records.
pub struct Page<T> {
    /// The records. Those that are only kept have no position.
    records: Vec<(Option<Position>, T)>,
    held: slipring::query::Report,
    pub next: Option<After>,
    reach: Option<answer::Reach>,
    /// Whether it is not known any more what all pages before have shown.
    may_repeat: bool,
}

impl<T: Asking> Page<T> {
    /// Finds a page of records. By arrival, records that the store has evicted are the oldest, so
    /// kept traces are not asked before the newest ones of the store are over. Otherwise it costs
    /// twice what the store takes, and O(records of the kept traces).
    pub fn find(
        store: &Store<T>,
        asked: &Asked,
        tiers: &Tiers<'_, T>,
        lists: &Lists,
    ) -> Result<Self, QueryError> {
        let from = asked.both();
        let before = from.shown.map(|place| lists.before(place));
        let is_forgotten = before.as_ref().is_some_and(Option::is_none);
        let may_repeat = from.may_repeat || is_forgotten;
        let before = before.flatten().unwrap_or_default();
        let of_store = if from.ended { 0 } else { asked.limit() };
        let mut held = asked.page_from(store.query(), &from).limit(of_store).collect()?;
        let goes_on = held.len() == asked.limit() && held.report.next.is_some();
        let others = match from.order {
            Order::Newest if goes_on => Others { records: Vec::new(), cut: false },
            _ => tiers.page(&from, &held, &before, lists)?,
        };
        held.report.cut |= others.cut;
        let others = others.records;
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
        let next = (!is_last).then(|| {
            let of_page: Vec<Shown> = shown
                .iter()
                .filter(|(_, record)| record.is_of_any())
                .map(|(position, record)| (lists.identity(record), *position))
                .collect();
            let last = shown.last().map(|(_, record)| record.timestamp()).or(from.time);
            After::Both(Both {
                order: from.order,
                store: next,
                ended,
                shown: Some(lists.add(from.shown.filter(|_| !is_forgotten), before, &of_page)),
                time: last.filter(|_| from.is_by_time()),
                may_repeat,
            })
        });
        Ok(Self { records: shown, held: held.report, next, may_repeat, reach: None })
    }

    /// Says so if the question is about times that the store does not hold any more, and refuses it
    /// if that leaves nothing.
    pub fn is_of_times(&mut self, older: Option<&Older>) -> Result<(), Problem> {
        let Some(older) = older else { return Ok(()) };
        older.unless_found(!self.records.is_empty())?;
        self.reach = Some(older.shown());
        Ok(())
    }

    /// Shows the page. `next` is the token of the next one.
    pub fn shown(&self, next: Option<String>) -> T::Page<'_> {
        let mut sources = answer::Sources::default();
        let records = self.records.iter().map(|(position, record)| (*position, record));
        let shown = T::records(records, &mut sources);
        let mut report = answer::Report::of(&self.held);
        report.history = self.reach.clone();
        report.shown = self.records.len() as u64;
        report.may_repeat = self.may_repeat;
        report.from_kept =
            self.records.iter().filter(|(position, _)| position.is_none()).count() as u64;
        T::page(shown, sources, next, report)
    }

    /// Iterates over the records.
    pub fn records(&self) -> impl Iterator<Item = &T> {
        self.records.iter().map(|(_, record)| record)
    }
}
