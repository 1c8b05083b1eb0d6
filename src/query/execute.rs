//! Query execution: one scan per shard, merged into the query's order.

mod merging;
mod small;

use super::ahead::Step;
use super::chain::{Chain, Chains};
use super::plan::{KeyPredicate, Plan};
use super::result::{Cursor, Found, Order, Report};
use super::scan::Scan;
#[cfg(feature = "rayon")]
use super::view::Located;
use super::view::{Reader, View};
use crate::Position;
use crate::engine::bookmark::Bookmark;
use crate::engine::shard::Shard;
use crate::engine::state::Engine;
use crate::engine::tuning::PINS_PER_READER;
use crate::signal::{Signal, index_at};
use crate::sync::fault::{Fault, planted};
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::ops::Range;

/// A validated query, ready to run.
pub(super) struct Execution<'a, T: Signal> {
    pub(super) engine: &'a Engine<T>,
    pub(super) plan: Plan<'a, T>,
    pub(super) order: Order,
    pub(super) limit: usize,
    /// The sequences of each shard that the query covers; `None` means all of them.
    pub(super) bounds: Option<Box<[Range<u64>]>>,
    /// For orders by time: the last record shown by the page before this one.
    pub(super) last: Option<Found>,
    /// Whether the query continues from a bookmark.
    pub(super) follows: bool,
    /// Whether evicted records that the query covers are counted as missed: it continues from a
    /// bookmark or a page.
    pub(super) counts_missed: bool,
    /// Whether records may be shown in any order.
    pub(super) unordered: bool,
}

/// Receives a query's records.
pub(super) trait Visitor<T> {
    /// Suggests for how many records to reserve room. More may follow.
    fn expect(&mut self, records: usize);
    fn visit(&mut self, position: Position, record: &T);
}

/// A closure as a visitor.
pub(super) struct Each<F>(pub(super) F);

impl<T, F: FnMut(Position, &T)> Visitor<T> for Each<F> {
    fn expect(&mut self, _: usize) {}

    fn visit(&mut self, position: Position, record: &T) {
        (self.0)(position, record);
    }
}

/// One shard's part in a query.
struct Part<'a, T: Signal> {
    shard: usize,
    scan: Scan<'a, T>,
    /// The sequences that the next page has to look at: all of the bounds, until something is
    /// shown.
    left: Range<u64>,
    /// Whether the scan found records that the limit kept from being shown.
    withheld: bool,
}

type Parts<'a, T> = SmallVec<[Part<'a, T>; 4]>;

impl<'a, T: Signal> Execution<'a, T> {
    pub(super) fn run(&self, visitor: &mut impl Visitor<T>) -> Report {
        if self.limit == 0 {
            return self.limit_zero();
        }
        let (shards, mut report) = (&self.engine.shards, Report::default());
        // Index the unindexed tails now: a thread inside the engine, as this one is once it has a
        // `Reader`, does no indexing.
        (0..shards.len()).for_each(|number| self.engine.index_long_tail(number));
        let mut begun = SmallVec::<[u64; 8]>::new();
        for shard in shards {
            begun.push(shard.low(shard.claimed()));
        }
        if !self.small_answer(&begun, visitor, &mut report) {
            self.large_answer(&begun, visitor, &mut report);
        }
        report
    }

    /// Answers a query by scans of all shards, which are merged or sorted.
    fn large_answer(&self, begun: &[u64], visitor: &mut impl Visitor<T>, report: &mut Report) {
        let driving = self.plan.driving_index(self.engine, self.window(begun));
        // Scans find records in arrival order, so that an order by arrival needs no sort. The
        // exception is oldest first with a driving index: links lead only from newer to older
        // records.
        let in_scan_order = match self.order {
            Order::Newest => true,
            Order::Oldest => driving.is_none(),
            // A page by time begins behind the last record of the page before.
            Order::Latest | Order::Earliest => {
                self.unordered && self.limit == usize::MAX && self.last.is_none()
            }
        };
        let mut parts = Parts::new();
        self.open(&mut parts, begun, driving);
        let mut reader = Reader::new(self.engine);
        let last = if in_scan_order {
            self.merge(&mut parts, &mut reader, visitor, report)
        } else {
            self.sort(&mut parts, &mut reader, visitor, report)
        };
        let shown = report.shown;
        report.cut |= parts.iter().any(|part| {
            !part.scan.is_current()
                || !self.is_whole(part, shown, last) && part.scan.is_cut(&self.plan)
        });
        report.led_by = driving.map(|driving| index_at::<T>(self.plan.keys[driving].index).name());
        report.partial = parts.iter().any(|part| part.scan.is_partial());
        report.looked_at = parts.iter().map(|part| part.scan.looked_at).sum();
        if self.has_end() {
            self.report_end(report, &mut parts, last);
        }
    }

    /// Returns the report for a limit of 0: nothing was shown, and the next page covers everything.
    fn limit_zero(&self) -> Report {
        let left = self.engine.shards.iter().enumerate().map(|(number, shard)| {
            let (bounds, claimed) = (self.bounds_of(number), shard.claimed());
            let start = if self.counts_missed {
                bounds.start
            } else {
                bounds.start.max(shard.low(claimed))
            };
            (start, bounds.end.min(claimed).max(start))
        });
        let next = Cursor {
            store: self.engine.identity,
            order: self.order,
            left: left.collect(),
            last: self.last,
        };
        let bookmark = self.bookmark(|number| self.bounds_of(number).start);
        Report { next: Some(next), bookmark, ..Report::default() }
    }

    /// Returns the number of records in the query's bounds, if it has bounds.
    fn window(&self, begun: &[u64]) -> Option<u64> {
        let each = |((bounds, low), shard): ((&Range<u64>, &u64), &Shard<T>)| {
            bounds.end.min(shard.claimed()).saturating_sub(bounds.start.max(*low))
        };
        Some(self.bounds.as_ref()?.iter().zip(begun).zip(&self.engine.shards).map(each).sum())
    }

    /// Starts the scans of all shards. `begun` is where their visible windows began when the query
    /// did.
    #[inline(always)]
    fn open(&self, parts: &mut Parts<'a, T>, begun: &[u64], driving: Option<usize>) {
        let shards = || self.engine.shards.iter().zip(begun).enumerate();
        // The usual case has a loop of its own, so that it makes the parts where they stay.
        if let Some(KeyPredicate { index, prints, .. }) = driving.map(|at| &self.plan.keys[at])
            && let [print] = prints[..]
        {
            parts.extend(shards().map(|(number, (shard, &since))| {
                let (bounds, view) = (self.bounds_of(number), View::open(shard));
                let chain = Chain::open(&view, *index, print, bounds.end);
                let scan = Scan::down(view, since, &bounds, *index, Chains::One(chain));
                self.part(number, since, &bounds, scan)
            }));
            return;
        }
        for (number, (shard, &since)) in shards() {
            let (bounds, view) = (self.bounds_of(number), View::open(shard));
            let scan = match driving.map(|driving| &self.plan.keys[driving]) {
                None if self.order.is_upward() => Scan::up(view, since, &bounds),
                None => Scan::down(view, since, &bounds, 0, Chains::None),
                Some(key) => {
                    let chains = Chains::many(&view, key.index, &key.prints, bounds.end);
                    Scan::down(view, since, &bounds, key.index, chains)
                }
            };
            parts.push(self.part(number, since, &bounds, scan));
        }
    }

    #[inline(always)]
    fn part(
        &self,
        shard: usize,
        since: u64,
        bounds: &Range<u64>,
        scan: Scan<'a, T>,
    ) -> Part<'a, T> {
        let begin = if self.counts_missed { bounds.start } else { since.max(bounds.start) };
        Part { shard, left: begin..scan.end().max(begin), scan, withheld: false }
    }

    /// Returns whether `one` precedes `other` in the query's order.
    fn comes_before(&self, one: &Found, other: &Found) -> bool {
        if self.order.is_upward() { one < other } else { one > other }
    }

    fn found(&self, step: Step, shard: usize) -> Found {
        let Step { sequence, stamp, time, .. } = step;
        Found { time: if self.order.is_by_time() { time } else { 0 }, stamp, sequence, shard }
    }

    /// Collects all records, sorts them, and shows those that come first. Returns the last record
    /// shown.
    fn sort(
        &self,
        parts: &mut [Part<'a, T>],
        reader: &mut Reader<'a, T>,
        visitor: &mut impl Visitor<T>,
        report: &mut Report,
    ) -> Option<Found> {
        let mut all = Vec::new();
        for (number, part) in parts.iter_mut().enumerate() {
            while let Some(step) = part.scan.next(&self.plan) {
                let found = self.found(step, number);
                if self.last.is_none_or(|last| self.comes_before(&last, &found)) {
                    all.push(found);
                }
            }
        }
        // Each scan has found sorted stretches, rising or falling. The stable sort merges those.
        if self.order.is_upward() {
            all.sort();
        } else {
            all.sort_by_key(|&found| Reverse(found));
        }
        visitor.expect(all.len().min(self.limit));
        let mut last = None;
        let mut shown = 0;
        for found in all.chunks(PINS_PER_READER) {
            if shown == self.limit {
                found.iter().for_each(|found| parts[found.shard].withheld = true);
                continue;
            }
            reader.restart();
            found.iter().for_each(|found| reader.pin(found.shard, found.sequence));
            reader.confirm();
            let carriers = self.carriers(reader);
            for (number, found) in found.iter().enumerate() {
                if shown == self.limit {
                    parts[found.shard].withheld = true;
                } else {
                    if self.show(number, carriers, reader, visitor, report) {
                        shown += 1;
                        last = Some(*found);
                    }
                    if !self.order.is_by_time() {
                        self.has_passed(&mut parts[found.shard], found.sequence);
                    }
                }
            }
        }
        last
    }

    /// Returns a bit for each pinned record that is there and carries the keys asked for. If user
    /// code panics over one of them, that one does not.
    #[inline(always)]
    fn carriers(&self, reader: &Reader<'a, T>) -> u32 {
        if self.plan.keys.is_empty() {
            return reader.there();
        }
        let (mut carriers, mut next, count) = (reader.there(), 0, reader.pinned().len());
        // To catch panics costs as much as to compare a key. So it is done for all at once.
        while next < count {
            let (carriers, next) = (&mut carriers, &mut next);
            let looked = self.engine.guarded(|| match self.plan.only_key() {
                Some((index, key)) => {
                    reader.keep(carriers, next, |record| index.key(record) == Some(key))
                }
                None => reader.keep(carriers, next, |record| self.plan.is_carried_by(record)),
            });
            if looked.is_none() {
                *carriers &= !(1 << (*next - 1));
            }
        }
        carriers
    }

    /// Returns whether the query has a limit or bounds, so that its report says what is left.
    #[inline]
    fn has_end(&self) -> bool {
        self.limit < usize::MAX || self.bounds.is_some()
    }

    /// Shows these pinned records to the visitor: some of those that are there. The query has no
    /// other conditions.
    #[inline(always)]
    fn show_all(
        &self,
        records: u32,
        reader: &mut Reader<'a, T>,
        visitor: &mut impl Visitor<T>,
        report: &mut Report,
    ) {
        let gone = reader.pinned().len() as u32 - reader.there().count_ones();
        if gone > 0 {
            self.report_gone(gone, report);
        }
        reader.read_all(records, |pin, record| visitor.visit(pin.position(), record));
        report.shown += u64::from(records.count_ones());
    }

    /// Shows the pinned record of this number to the visitor if it is one of the `carriers` and
    /// meets the other conditions. Returns whether it did.
    #[inline(always)]
    fn show(
        &self,
        number: usize,
        carriers: u32,
        reader: &mut Reader<'a, T>,
        visitor: &mut impl Visitor<T>,
        report: &mut Report,
    ) -> bool {
        let pin = reader.pinned()[number];
        let shown = reader.read(number, |record| {
            let meets = carriers >> number & 1 == 1 && self.plan.passes(record);
            if meets {
                visitor.visit(pin.position(), record);
            }
            meets
        });
        if shown.is_none() {
            self.report_gone(1, report);
        }
        report.shown += u64::from(shown == Some(true));
        shown == Some(true)
    }

    /// Reports that records that were found had been evicted before they could be shown.
    #[cold]
    fn report_gone(&self, records: u32, report: &mut Report) {
        report.cut |= !planted(Fault::GoneUnsaid);
        if self.counts_missed {
            report.missed += u64::from(records);
        }
    }

    /// Returns whether the answer is complete even if this part's scan lost records. Records that a
    /// downward scan lost are older than all that it found. So a newest-first answer that has
    /// reached its limit misses them only if it reaches that far down.
    fn is_whole(&self, part: &Part<'a, T>, shown: u64, last: Option<Found>) -> bool {
        let more_below = part.withheld || part.scan.may_continue();
        self.order == Order::Newest
            && shown == self.limit as u64
            && (more_below || last.is_some_and(|last| part.reached(last)))
    }

    /// For orders by arrival: removes this sequence and all before it, in the query's direction,
    /// from what is left for the next page. Called once the record has been shown, or was found to
    /// be evicted.
    fn has_passed(&self, part: &mut Part<'a, T>, sequence: u64) {
        if self.order.is_upward() {
            part.left.start = part.left.start.max(sequence + 1);
        } else {
            part.left.end = part.left.end.min(sequence);
        }
    }

    /// Fills in the number of missed records, the next page's cursor and the next bookmark.
    fn report_end(&self, report: &mut Report, parts: &mut [Part<'a, T>], last: Option<Found>) {
        let mut has_next_page = false;
        for (number, part) in parts.iter_mut().enumerate() {
            let open = part.withheld || part.scan.may_continue();
            has_next_page |= open;
            let start = self.counts_missed.then(|| self.bounds_of(number).start);
            let evicted = part.scan.evicted_below();
            let missed_to = match self.order {
                Order::Latest | Order::Earliest => {
                    part.left.start = part.left.start.max(evicted.min(part.left.end));
                    evicted
                }
                Order::Oldest => {
                    if !open {
                        part.left.start = part.left.end;
                    }
                    evicted.min(part.left.start)
                }
                Order::Newest if open => 0,
                Order::Newest => {
                    part.left.end = part.left.start;
                    evicted
                }
            };
            if let Some(start) = start {
                let between = if self.order == Order::Oldest {
                    part.scan.gaps_below(part.left.start)
                } else {
                    0
                };
                report.missed += missed_to.saturating_sub(start) + between;
            }
        }
        if has_next_page {
            let left = parts.iter().map(|part| (part.left.start, part.left.end)).collect();
            let last = last.filter(|_| self.order.is_by_time());
            report.next =
                Some(Cursor { store: self.engine.identity, order: self.order, left, last });
        }
        report.bookmark = self.bookmark(|number| parts[number].left.start);
    }

    fn bookmark(&self, next: impl FnMut(usize) -> u64) -> Option<Bookmark> {
        let gives_bookmark = self.follows && self.order == Order::Oldest;
        let bookmark = || Bookmark {
            store: self.engine.identity,
            next: (0..self.engine.shards.len()).map(next).collect(),
        };
        gives_bookmark.then(bookmark)
    }

    pub(super) fn bounds_of(&self, number: usize) -> Range<u64> {
        self.bounds.as_ref().map_or(0..u64::MAX, |bounds| bounds[number].clone())
    }

    /// Shows the records of one scan, in scan order. Returns how many were shown.
    #[cfg(feature = "rayon")]
    pub(super) fn each(
        &self,
        number: usize,
        scan: &mut Scan<'_, T>,
        mut visit: impl FnMut(Position, &T),
    ) -> u64 {
        let mut reader = Reader::new(self.engine);
        let mut report = Report::default();
        let mut visitor = Each(&mut visit);
        let slots = &self.engine.shards[number].slots;
        loop {
            reader.restart();
            // An earlier page has shown the others.
            let is_left = |step: &Step| {
                let found = self.found(*step, number);
                self.last.is_none_or(|last| self.comes_before(&last, &found))
            };
            let locate =
                |step: Step| Located::new(slots.at(step.slot), number, step.slot, step.sequence);
            let next = std::iter::from_fn(|| scan.next(&self.plan));
            reader.pin_all(next.filter(is_left).map(locate));
            if reader.pinned().is_empty() {
                return report.shown;
            }
            reader.confirm();
            let carriers = self.carriers(&reader);
            for number in 0..reader.pinned().len() {
                self.show(number, carriers, &mut reader, &mut visitor, &mut report);
            }
        }
    }
}

impl<T: Signal> Part<'_, T> {
    /// Returns whether the answer's last record is the last one found in this part.
    fn reached(&self, last: Found) -> bool {
        self.shard == last.shard && self.left.end <= last.sequence
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
