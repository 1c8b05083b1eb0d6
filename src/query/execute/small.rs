//! Small answers: all records of one key are found first, and then shown.
//!
//! A trace has few records. To follow its chains one after the other, and to sort what was found,
//! costs less than to keep all scans open and to merge them.

use super::{Execution, Visitor};
use crate::engine::tuning::{PINS_PER_READER, SMALL_ANSWER};
use crate::query::ahead::Step;
use crate::query::chain::{Chain, Chains, Walk};
use crate::query::plan::KeyPredicate;
use crate::query::result::{Order, Report};
use crate::query::scan::Scan;
use crate::query::view::{Located, Reader, View};
use crate::signal::{Signal, index_at};
use crate::sync::fault::{Fault, planted};
use smallvec::SmallVec;
use std::cmp::Reverse;

/// The records with one key that the shards have.
struct Finds<'e, 'a, T: Signal> {
    execution: &'e Execution<'a, T>,
    index: usize,
    print: u64,
    /// The records with their stamps.
    all: SmallVec<[(u64, Located<'a, T>); SMALL_ANSWER]>,
    report: Report,
}

impl<T: Signal> Execution<'_, T> {
    /// Answers a query for all records with one key, newest first, if there are few.
    ///
    /// Returns `None` if the query is another one, or if there are more. Nothing has been shown
    /// then. `begun` is where the visible windows of the shards began when the query did.
    #[inline]
    pub(super) fn small_answer(
        &self,
        begun: &[u64],
        visitor: &mut impl Visitor<T>,
    ) -> Option<Report> {
        if self.has_end() || self.order != Order::Newest || !self.plan.is_simple() {
            return None;
        }
        let [KeyPredicate { index, prints, .. }] = &self.plan.keys[..] else { return None };
        let [print] = prints[..] else { return None };
        let report = Report { led_by: Some(index_at::<T>(*index).name()), ..Report::default() };
        let mut finds =
            Finds { execution: self, index: *index, print, all: SmallVec::new(), report };
        for (number, &since) in begun.iter().enumerate() {
            finds.find(number, since)?;
        }
        let Finds { all, report, .. } = &mut finds;
        // No two shards have records with the same stamp, and the sort is stable.
        all.sort_by_key(|&(stamp, _)| Reverse(stamp));
        visitor.expect(all.len());
        let mut reader = Reader::new(self.engine);
        for some in all.chunks(PINS_PER_READER) {
            reader.restart();
            reader.pin_all(some.iter().map(|&(_, record)| record));
            reader.confirm();
            let carriers = self.carriers(&reader);
            if self.plan.tests.is_empty() {
                self.show_all(carriers, &mut reader, visitor, report);
            } else {
                for number in 0..some.len() {
                    self.show(number, carriers, &mut reader, visitor, report);
                }
            }
        }
        Some(finds.report)
    }
}

impl<'a, T: Signal> Finds<'_, 'a, T> {
    /// Finds the records of a shard. Returns `None` if there are too many in all.
    #[inline(always)]
    fn find(&mut self, number: usize, since: u64) -> Option<()> {
        let shard = &self.execution.engine.shards[number];
        let mut view = View::open(shard);
        let chain = Chain::open(&view, self.index, self.print, u64::MAX);
        if planted(Fault::DirectoryBeforeIndexed) {
            view = View::open(shard);
        }
        if view.indexed == view.claimed {
            self.follow(&view, number, since, chain)
        } else {
            self.scan(view, number, since, chain)
        }
    }

    /// Does what [`scan`](Self::scan) does, in a shard without an unindexed tail.
    #[inline(always)]
    fn follow(
        &mut self,
        view: &View<'a, T>,
        number: usize,
        since: u64,
        mut chain: Chain,
    ) -> Option<()> {
        let low = view.low_now();
        let walk = Walk::new(view, self.index);
        let mut looked_at = 0;
        while let Some((step, admitted)) = chain.hop(&walk, |_| true, &mut looked_at) {
            if admitted && step.sequence < view.claimed {
                self.add(view, number, step)?;
            }
        }
        let Self { index, print, report, .. } = self;
        let is_gone = chain.lost.is_some();
        report.looked_at += looked_at;
        report.partial |= is_gone || chain.continues_evicted;
        report.partial |= *index == 0 && view.index.ghosts.contains(*print);
        report.cut |= is_gone || !view.is_current();
        report.cut |= since < low && chain.lost_between(view, since..low, *index, |_| true);
        Some(())
    }

    /// Finds the records of a shard, those of its unindexed tail first. Returns `None` if there are
    /// too many in all.
    #[inline(never)]
    fn scan(&mut self, view: View<'a, T>, number: usize, since: u64, chain: Chain) -> Option<()> {
        let mut scan = Scan::down(view, since, &(0..u64::MAX), self.index, Chains::One(chain));
        while let Some(step) = scan.next(&self.execution.plan) {
            self.add(&view, number, step)?;
        }
        self.report.looked_at += scan.looked_at;
        self.report.partial |= scan.is_partial();
        self.report.cut |= !scan.is_current() || scan.is_cut(&self.execution.plan);
        Some(())
    }

    /// Adds a record of a shard. Returns `None` if there are too many in all.
    #[inline(always)]
    fn add(&mut self, view: &View<'a, T>, shard: usize, step: Step) -> Option<()> {
        if self.all.len() == SMALL_ANSWER {
            return None;
        }
        let slots = &view.shard().slots;
        slots.prefetch_payload(step.slot);
        self.all.push((step.stamp, Located::new(slots, shard, step.slot, step.sequence)));
        Some(())
    }
}
