//! All records of memory and files, each once, for counts and groups.

use super::files::{Files, Visit};
use super::first::{TIERS, Tier};
use super::reach::Reaching;
use crate::answer;
use crate::serve::api::Tiers;
use crate::serve::api::problem::Problem;
use crate::serve::ask::{Asked, Asking};
use slipring::Position;
use slipring_sampling::Seen;
use std::ops::ControlFlow;

/// Records of the store that are noted, of those that will leave it next. So many may leave while an
/// answer is found, and each is still told apart in files. Their identities take some 50 MB, and half as
/// much again while their table grows. Not measured.
const NOTED: u64 = 1 << 20;

/// Passes records of files to a closure that are not in memory.
struct New<'a, T, F> {
    seen: &'a mut Seen,
    fits: &'a dyn Fn(&T) -> bool,
    count: u64,
    visit: F,
}

impl<T: Asking, F: FnMut(&T)> Visit<T> for New<'_, T, F> {
    fn take(&mut self, record: T) -> ControlFlow<()> {
        if (self.fits)(&record) && !self.seen.take(&record) {
            self.count += 1;
            (self.visit)(&record);
        }
        ControlFlow::Continue(())
    }
}

/// Passes each record that fits to `visit`, with where it is: those of the store, of kept traces, and
/// of files as far as the question reaches. Returns how that went.
pub fn each<T: Asking>(
    tiers: &Tiers<'_, T>,
    asked: &Asked,
    reaching: &Reaching<'_>,
    mut visit: impl FnMut(Tier, &T),
) -> Result<answer::Report<'static>, Problem> {
    let tier_of = |position: Option<Position>| match position {
        Some(_) => Tier::Memory,
        None => Tier::Kept,
    };
    let (files, held_since) = match reaching {
        Reaching::Files(files, held_since) => (*files, *held_since),
        Reaching::Memory(older) => {
            let (held, from_kept) =
                tiers.each(|position, record| visit(tier_of(position), record))?;
            let mut report = answer::Report::of(&held);
            report.from_kept = from_kept;
            if let Some(older) = older {
                older.unless_found(report.shown > 0)?;
                report.history = Some(older.shown());
            }
            return Ok(report);
        }
    };
    let store = tiers.store();
    let quota = NOTED / store.shards().max(1) as u64;
    let soon: Vec<u64> =
        store.oldest_positions().iter().map(|oldest| oldest.sequence() + quota).collect();
    let leaves_soon = |position: &Position| {
        soon.get(position.shard()).is_none_or(|soon| position.sequence() < *soon)
    };
    let mut seen = Seen::default();
    let mut counts = [0; TIERS];
    let (held, _) = tiers.each(|position, record| {
        if position.as_ref().is_none_or(leaves_soon) {
            seen.note(record);
        }
        let tier = tier_of(position);
        counts[tier as usize] += 1;
        visit(tier, record);
    })?;
    let fits = asked.conditions(store.query()).into_test()?;
    let visit = |record: &T| visit(Tier::Files, record);
    let mut new = New { seen: &mut seen, fits: &fits, count: 0, visit };
    let found = Files::visit(files, &asked.sought(), &mut new)?;
    counts[Tier::Files as usize] = new.count;
    // Whoever left meanwhile was noted.
    let each_once = store.oldest_positions().iter().all(leaves_soon_or_last(&soon));
    let mut report = answer::Report::of(&held);
    report.shown = counts.iter().sum();
    report.from_kept = counts[Tier::Kept as usize];
    report.partial &= !found.is_whole();
    report.history = Some(answer::Reach { each_once, ..found.reach(held_since, counts) });
    Ok(report)
}

/// Returns whether no record beyond those noted has left.
fn leaves_soon_or_last(soon: &[u64]) -> impl Fn(&Position) -> bool {
    move |oldest| soon.get(oldest.shard()).is_none_or(|soon| oldest.sequence() <= *soon)
}
