//! The first records by time, of all places together, each once.

use super::files::Visit;
use super::identity::identity;
use crate::serve::ask::Asking;
use serde::{Deserialize, Serialize};
use slipring::{Order, Position};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, RangeInclusive};

/// Where a page begins that goes by time: after the record with this time and identity, of which so
/// many were shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timed {
    pub order: Order,
    pub time: u64,
    pub identity: u64,
    pub shown: u32,
}

/// Where a record is, those first that are asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    Memory,
    /// In a kept trace, and not in the store.
    Kept,
    Files,
}

pub const TIERS: usize = 3;

/// A record, and how many equal ones each tier has.
struct Entry<T> {
    record: T,
    position: Option<Position>,
    counts: [u32; TIERS],
}

/// Collects the first records by time. Takes memory for as many as a page may have, and one.
pub struct First<T> {
    /// By time, or by what it lacks to the end of time, and identity.
    entries: BTreeMap<(u64, u64), Entry<T>>,
    limit: usize,
    /// One more tells whether there is another page, and one is the last of the page before.
    most: usize,
    earliest_first: bool,
    after: Option<Timed>,
}

/// Records of a page that goes by time.
pub struct Shown<T> {
    pub records: Vec<(Option<Position>, T)>,
    /// How many came from each tier.
    pub from: [u64; TIERS],
    pub next: Option<Timed>,
}

impl<T: Asking> First<T> {
    pub fn new(order: Order, limit: usize, after: Option<Timed>) -> Self {
        let earliest_first = goes_up(order);
        let most = limit + 1 + usize::from(after.is_some());
        Self { entries: BTreeMap::new(), limit, most, earliest_first, after }
    }

    fn rank(&self, time: u64) -> u64 {
        if self.earliest_first { time } else { u64::MAX - time }
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= self.most
    }

    /// Returns the rank beyond which nothing is of use.
    fn last(&self) -> u64 {
        let last = self.entries.last_key_value().filter(|_| self.is_full());
        last.map_or(u64::MAX, |((rank, _), _)| *rank)
    }

    /// Returns the rank before which everything was shown.
    fn begin(&self) -> u64 {
        self.after.as_ref().map_or(0, |after| self.rank(after.time))
    }

    pub fn add(&mut self, tier: Tier, position: Option<Position>, record: &T) {
        let rank = self.rank(record.timestamp());
        if rank > self.last() || rank < self.begin() {
            return;
        }
        let key = (rank, identity(record));
        if self.after.as_ref().is_some_and(|after| key < (self.rank(after.time), after.identity)) {
            return;
        }
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            record: record.clone(),
            position,
            counts: [0; TIERS],
        });
        entry.counts[tier as usize] += 1;
        if self.entries.len() > self.most {
            self.entries.pop_last();
        }
    }

    /// Returns the page.
    pub fn finish(self) -> Shown<T> {
        let order = if self.earliest_first { Order::Earliest } else { Order::Latest };
        let mut shown = Shown { records: Vec::new(), from: [0; TIERS], next: None };
        let mut last: Option<Timed> = None;
        for ((_, identity), Entry { record, position, counts }) in self.entries {
            let time = record.timestamp();
            let here = |after: &&Timed| (after.time, after.identity) == (time, identity);
            let before = self.after.as_ref().filter(here).map_or(0, |after| after.shown);
            let [memory, kept, files] = counts;
            let copies = (memory + kept).max(files);
            for copy in before..copies {
                if shown.records.len() == self.limit {
                    shown.next = last;
                    return shown;
                }
                let tier = match copy {
                    copy if copy < memory => Tier::Memory,
                    copy if copy < memory + kept => Tier::Kept,
                    _ => Tier::Files,
                };
                shown.from[tier as usize] += 1;
                let position = position.filter(|_| tier == Tier::Memory);
                shown.records.push((position, record.clone()));
                last = Some(Timed { order, time, identity, shown: copy + 1 });
            }
        }
        shown
    }
}

/// Returns whether the earliest comes first. By arrival, the newest is taken for the latest.
pub fn goes_up(order: Order) -> bool {
    matches!(order, Order::Oldest | Order::Earliest)
}

/// Adds records of files that fit.
pub struct FromFiles<'a, T, F> {
    pub first: &'a mut First<T>,
    pub fits: F,
}

impl<T: Asking, F: Fn(&T) -> bool> Visit<T> for FromFiles<'_, T, F> {
    fn wants(&self, times: RangeInclusive<u64>) -> bool {
        let ranks = [*times.start(), *times.end()].map(|time| self.first.rank(time));
        let (best, worst) = (ranks[0].min(ranks[1]), ranks[0].max(ranks[1]));
        best <= self.first.last() && worst >= self.first.begin()
    }

    fn take(&mut self, record: T) -> ControlFlow<()> {
        if (self.fits)(&record) {
            self.first.add(Tier::Files, None, &record);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::LogRecord;

    fn log(time: u64, body: &str) -> LogRecord {
        LogRecord::builder().time_unix_nanos(time).body(body).build()
    }

    /// Adds records of memory and of files, page by page.
    fn pages(order: Order, limit: usize, tiers: [&[LogRecord]; TIERS]) -> Vec<Vec<String>> {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let mut first = First::new(order, limit, after);
            let all = [Tier::Memory, Tier::Kept, Tier::Files].into_iter().zip(tiers);
            for (tier, logs) in all {
                logs.iter().for_each(|log| first.add(tier, None, log));
            }
            let shown = first.finish();
            assert_eq!(shown.from.iter().sum::<u64>(), shown.records.len() as u64);
            let text = |(_, log): &(_, LogRecord)| log.body().map(|body| body.to_string());
            pages.push(shown.records.iter().filter_map(text).collect());
            after = shown.next;
            if after.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn pages_have_each_record_of_all_tiers_once_in_order() {
        let memory = [log(9, "i"), log(8, "h"), log(8, "h")];
        let kept = [log(2, "b")];
        let files = [log(1, "a"), log(2, "b"), log(3, "c"), log(3, "c"), log(8, "h")];
        let all = ["i", "h", "h", "c", "c", "b", "a"];
        for limit in 1..9 {
            let found = pages(Order::Newest, limit, [&memory, &kept, &files]);
            assert!(found[..found.len() - 1].iter().all(|page| page.len() == limit));
            assert_eq!(found.concat(), all, "{limit} a page");
            let mut up = pages(Order::Earliest, limit, [&memory, &kept, &files]).concat();
            up.reverse();
            assert_eq!(up, all, "{limit} a page");
        }
    }

    #[test]
    fn a_record_that_moves_between_pages_is_shown_once() {
        let logs: Vec<LogRecord> = (1..=20).map(|time| log(time, &time.to_string())).collect();
        let (mut shown, mut after) = (Vec::new(), None);
        // With each page, more have moved into files.
        for moved in (0..=20).step_by(4) {
            let mut first = First::new(Order::Latest, 4, after.take());
            logs[moved..].iter().for_each(|log| first.add(Tier::Memory, None, log));
            logs[..moved].iter().for_each(|log| first.add(Tier::Files, None, log));
            let page = first.finish();
            shown.extend(page.records.iter().map(|(_, log)| log.time_unix_nanos()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(shown, (1..=20).rev().collect::<Vec<_>>());
    }

    #[test]
    fn files_of_times_that_a_page_has_no_room_for_are_not_wanted() {
        let after = Some(Timed { order: Order::Latest, time: 50, identity: 0, shown: 1 });
        let mut first = First::<LogRecord>::new(Order::Latest, 1, after);
        for time in [60, 45, 40, 30] {
            first.add(Tier::Memory, None, &log(time, "a"));
        }
        let files = FromFiles { first: &mut first, fits: |_: &LogRecord| true };
        let wants = [0..=29, 20..=30, 35..=70, 51..=99].map(|times| files.wants(times));
        assert_eq!(wants, [false, true, true, false]);
    }
}
