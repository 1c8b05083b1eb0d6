//! Small answers: all records of one key are found first, and then shown.
//!
//! A trace has few records. To follow its chains one after the other, and to sort what was found,
//! costs less than to keep all scans open and to merge them.

use super::{Execution, Visitor};
use crate::engine::ring::Slot;
use crate::engine::tuning::{PINS_PER_READER, SMALL_ANSWER, SMALL_LIMITED};
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

/// What a search adds to the [`Report`].
#[derive(Default)]
struct Searched {
    looked_at: u64,
    partial: bool,
    cut: bool,
}

/// The records with one key that the shards have.
struct Finds<'a, T: Signal> {
    index: usize,
    print: u64,
    /// The most records that are kept.
    most: usize,
    /// The records with their stamps, shard by shard, and newest first in each.
    records: SmallVec<[(u64, Located<'a, T>); SMALL_ANSWER]>,
}

impl<T: Signal> Execution<'_, T> {
    /// Answers a query for all records with one key, newest first, if there are few.
    ///
    /// Returns false if the query is another one, or if there are more. Nothing has been shown
    /// then. `begun` is where the visible windows of the shards began when the query did.
    #[inline]
    pub(super) fn small_answer(
        &self,
        begun: &[u64],
        visitor: &mut impl Visitor<T>,
        report: &mut Report,
    ) -> bool {
        if self.bounds.is_some() || self.order != Order::Newest || !self.plan.is_simple() {
            return false;
        }
        let most = match self.limit {
            usize::MAX => SMALL_ANSWER,
            // Fewer than the limit, so that it leaves nothing out.
            limit if limit > SMALL_LIMITED => SMALL_LIMITED,
            _ => return false,
        };
        let [KeyPredicate { index, prints, .. }] = &self.plan.keys[..] else { return false };
        let [print] = prints[..] else { return false };
        let mut finds = Finds { index: *index, print, most, records: SmallVec::new() };
        let Some(searched) = self.find(&mut finds, begun) else { return false };
        report.led_by = Some(index_at::<T>(*index).name());
        report.looked_at = searched.looked_at;
        (report.partial, report.cut) = (searched.partial, searched.cut);
        let records = &mut finds.records[..];
        // No two shards have records with the same stamp, and the sort is stable.
        records.sort_by_key(|&(stamp, _)| Reverse(stamp));
        visitor.expect(records.len());
        let mut reader = Reader::new(self.engine);
        for some in records.chunks(PINS_PER_READER) {
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
        true
    }

    /// Finds the records of all shards. Returns what the report says of them, or `None` if there are
    /// too many.
    #[inline(never)]
    fn find<'e>(&'e self, finds: &mut Finds<'e, T>, begun: &[u64]) -> Option<Searched> {
        let mut all = Searched::default();
        for (number, (shard, &since)) in self.engine.shards.iter().zip(begun).enumerate() {
            let view = View::open(shard);
            let one = if view.indexed == view.claimed {
                finds.follow(view, number, since)?
            } else {
                finds.scan(self, view, number, since)?
            };
            all.looked_at += one.looked_at;
            all.partial |= one.partial;
            all.cut |= one.cut;
        }
        Some(all)
    }
}

impl<'a, T: Signal> Finds<'a, T> {
    /// Does what [`scan`](Self::scan) does, in a shard without an unindexed tail.
    #[inline(always)]
    fn follow(&mut self, mut view: View<'a, T>, number: usize, since: u64) -> Option<Searched> {
        let (index, print) = (self.index, self.print);
        let mut chain = Chain::open(&view, index, print, u64::MAX);
        if planted(Fault::DirectoryBeforeIndexed) {
            view = View::open(view.shard());
        }
        let low = view.low_now();
        let (walk, mut looked_at) = (Walk::new(view, index), 0);
        while let Some((step, admitted)) = chain.hop(&walk, |_| true, &mut looked_at) {
            if admitted && step.sequence < view.claimed {
                self.add(walk.slot(step.slot), number, step)?;
            }
        }
        let is_gone = chain.lost.is_some();
        let is_ghost = index == 0 && view.index.ghosts.contains(print);
        let left = || since < low && chain.lost_between(view, since..low, index, |_| true);
        let partial = is_gone || chain.continues_evicted || is_ghost;
        let cut = is_gone || !view.is_current() || left();
        Some(Searched { looked_at, partial, cut })
    }

    /// Finds the records of a shard, those of its unindexed tail first. Returns `None` if there are
    /// too many in all.
    #[inline(never)]
    fn scan(
        &mut self,
        execution: &Execution<'_, T>,
        view: View<'a, T>,
        number: usize,
        since: u64,
    ) -> Option<Searched> {
        let chain = Chain::open(&view, self.index, self.print, u64::MAX);
        let slots = &view.shard().slots;
        let mut scan = Scan::down(view, since, &(0..u64::MAX), self.index, Chains::One(chain));
        while let Some(step) = scan.next(&execution.plan) {
            self.add(slots.at(step.slot), number, step)?;
        }
        let cut = !scan.is_current() || scan.is_cut(&execution.plan);
        Some(Searched { looked_at: scan.looked_at, partial: scan.is_partial(), cut })
    }

    /// Adds a record of a shard. Returns `None` if there are too many in all.
    #[inline(always)]
    fn add(&mut self, slot: Slot<'a, T>, shard: usize, step: Step) -> Option<()> {
        if self.records.len() >= self.most {
            return None;
        }
        slot.prefetch_payload();
        self.records.push((step.stamp, Located::new(slot, shard, step.slot, step.sequence)));
        Some(())
    }
}
