//! Pages of records over memory and files.

use super::files::{Files, Sought};
use super::first::{First, FromFiles, Shown, Tier, goes_up};
use crate::answer;
use crate::serve::api::Tiers;
use crate::serve::api::problem::Problem;
use crate::serve::ask::{After, Asked, Asking};
use slipring::Position;

/// A page of records of the store, of kept traces and of files, by time.
pub struct Page<T> {
    records: Vec<(Option<Position>, T)>,
    report: answer::Report<'static>,
    pub next: Option<After>,
}

impl<T: Asking> Page<T> {
    /// Finds a page of records. The store and kept traces are asked first, so nothing is missed that
    /// moves meanwhile, except for what waits for its file. Takes memory for the page, and looks at
    /// each record of the store that fits.
    pub fn find(
        tiers: &Tiers<'_, T>,
        asked: &Asked,
        files: Files<'_>,
        held_since: Option<u64>,
    ) -> Result<Self, Problem> {
        let after = match asked.after() {
            Some(After::Timed(after)) => Some(after.clone()),
            _ => None,
        };
        let order = after.as_ref().map_or(asked.order.unwrap_or_default(), |after| after.order);
        let mut first = First::new(order, asked.limit(), after);
        let (held, _) = tiers.each(|position, record| {
            let tier = if position.is_some() { Tier::Memory } else { Tier::Kept };
            first.add(tier, position, record);
        })?;
        let sought = Sought { earliest_first: goes_up(order), ..asked.sought() };
        let fits = asked.conditions(tiers.store().query()).into_test()?;
        let found = files.visit(&sought, &mut FromFiles { first: &mut first, fits })?;
        let Shown { records, from, next } = first.finish();
        let mut report = answer::Report::of(&held);
        report.shown = records.len() as u64;
        report.from_kept = from[Tier::Kept as usize];
        report.partial &= !found.is_whole();
        report.history = Some(found.reach(held_since, from));
        Ok(Self { records, report, next: next.map(After::Timed) })
    }

    /// Shows the page. `next` is the token of the next one.
    pub fn shown(&self, next: Option<String>) -> T::Page<'_> {
        let mut sources = answer::Sources::default();
        let records = self.records.iter().map(|(position, record)| (*position, record));
        let shown = T::records(records, &mut sources);
        T::page(shown, sources, next, self.report.clone())
    }

    /// Iterates over the records.
    pub fn records(&self) -> impl Iterator<Item = &T> {
        self.records.iter().map(|(_, record)| record)
    }
}
