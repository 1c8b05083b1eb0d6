//! A scan of one shard: every visible record that a query's plan admits, in one direction, one at a
//! time.

use super::ahead::{Ahead, Step};
use super::chain::{Chain, Chains, Walk};
use super::plan::{ANY_TIME, Plan};
use super::view::View;
use crate::engine::ring::Head;
use crate::engine::shard::Shard;
use crate::engine::tuning::BLOCK;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use crate::sync::{Ordering, fence};
use smallvec::SmallVec;
use std::ops::Range;

/// Finds the visible sequences of one shard that a [`Plan`] admits. A scan reads heads only and
/// pins nothing.
///
/// A downward scan has two parts, which meet at `indexed` as it was when the view was opened.
/// Above, the unindexed tail is scanned slot by slot. Below, the scan follows the directory and the
/// links or, without a driving index, continues slot by slot. So it finds no record twice and
/// misses none, however far the indexer gets meanwhile.
pub(super) struct Scan<'a, T: Signal> {
    view: View<'a, T>,
    /// Where the visible window began when the query did (`since`), and when the directory had been
    /// read (`low`).
    since: u64,
    low: u64,
    direction: Direction,
    /// Number of heads looked at.
    pub(super) looked_at: u64,
}

enum Direction {
    Down(Down),
    Up(Up),
}

/// The state of a scan newest first.
struct Down {
    /// Everything at or above has been scanned slot by slot, down to `links_from`.
    at: u64,
    links_from: u64,
    index: usize,
    chains: Chains,
    /// How far eviction had got when the scan found that it had been overtaken.
    lost: Option<u64>,
}

/// The state of a scan oldest first, slot by slot.
struct Up {
    at: u64,
    /// Sequences that were evicted before the scan reached them.
    gaps: SmallVec<[Range<u64>; 1]>,
}

/// The outcome of a look at one head.
enum Look {
    Admitted(Step),
    Other,
    /// The record was evicted, as was everything below this sequence.
    Evicted(u64),
}

/// Looks at a head. A sequence that is neither published nor evicted is not part of the query:
/// [`Look::Other`].
#[inline(always)]
fn look<T: Signal>(shard: &Shard<T>, sequence: u64, slot: usize, plan: &Plan<'_, T>) -> Look {
    let admitted = shard.slots.head_at(slot).try_read(sequence, |head| {
        plan.admits(head).then(|| Step { sequence, stamp: head.stamp(), time: head.time(), slot })
    });
    match admitted {
        Some(Some(step)) => Look::Admitted(step),
        Some(None) => Look::Other,
        None => match shard.evicted() {
            evicted if sequence < evicted => Look::Evicted(evicted),
            _ => Look::Other,
        },
    }
}

/// Returns whether a block can be skipped: its summary rules out the query's time range, and the
/// summary was still that block's when it was read.
fn can_skip_block<T: Signal>(view: &View<'_, T>, plan: &Plan<'_, T>, sequence: u64) -> bool {
    if plan.times == ANY_TIME || view.index.blocks.may_hold(sequence, &plan.times) {
        return false;
    }
    // Pairs with the Release fence in `Index::insert`. If the summary read above was that of a
    // later block, the look at `evicted` sees that this block's records have been evicted.
    fence(Ordering::Acquire);
    sequence >= view.shard().evicted()
}

impl<'a, T: Signal> Scan<'a, T> {
    /// Starts a scan newest first, within these bounds, along chains that were opened right after
    /// the view, so that little can be evicted in between. `since` is where the visible window
    /// began when the query did.
    #[inline(always)]
    pub(super) fn down(
        mut view: View<'a, T>,
        since: u64,
        bounds: &Range<u64>,
        index: usize,
        chains: Chains,
    ) -> Self {
        // How far eviction can have got by the time the directory was read.
        let low = view.low_now().min(bounds.end);
        if planted(Fault::DirectoryBeforeIndexed) {
            view = View::open(view.shard());
        }
        view.narrow(bounds);
        let links_from = match chains {
            Chains::None => view.low,
            _ => view.indexed.max(view.low),
        };
        let links_from = links_from.min(view.claimed);
        let down = Down { at: view.claimed, links_from, index, chains, lost: None };
        Self {
            view,
            since: since.max(bounds.start),
            low,
            direction: Direction::Down(down),
            looked_at: 0,
        }
    }

    /// Starts a scan oldest first, slot by slot, within these bounds.
    pub(super) fn up(mut view: View<'a, T>, since: u64, bounds: &Range<u64>) -> Self {
        let since = since.max(bounds.start);
        view.narrow(bounds);
        let (low, at) = (view.low, view.low.min(view.claimed));
        Self {
            view,
            since,
            low,
            direction: Direction::Up(Up { at, gaps: SmallVec::new() }),
            looked_at: 0,
        }
    }

    /// Adds the next records to `ahead`, until it holds `most`, and prefetches their payloads.
    #[inline]
    pub(super) fn fill(&mut self, plan: &Plan<'_, T>, ahead: &mut Ahead, most: usize) {
        match &mut self.direction {
            Direction::Down(Down { at, links_from, index, chains: Chains::One(chain), lost })
                if *at <= *links_from || lost.is_some() =>
            {
                let walk = Walk::new(self.view, *index);
                // A copy, which the loop keeps in registers: what it looks at next depends on it.
                let (mut next, mut looks, mut room) = (*chain, 0, most - ahead.len());
                let (links_from, simple) = (*links_from, plan.is_simple());
                let admits = |head: &Head<T::Indexes>| simple || plan.admits(head);
                while room > 0
                    && let Some((step, admitted)) = next.hop(&walk, admits, &mut looks)
                {
                    if admitted && is_new(step, links_from) {
                        walk.slot(step.slot).prefetch_payload();
                        ahead.push(step);
                        room -= 1;
                    }
                }
                *chain = next;
                self.looked_at += looks;
            }
            _ => self.fill_one_by_one(plan, ahead, most),
        }
    }

    /// Does what [`fill`](Self::fill) does, also in the unindexed tail and along several chains.
    #[inline(never)]
    fn fill_one_by_one(&mut self, plan: &Plan<'_, T>, ahead: &mut Ahead, most: usize) {
        let slots = &self.view.shard().slots;
        while ahead.len() < most
            && let Some(step) = self.next(plan)
        {
            slots.at(step.slot).prefetch_payload();
            ahead.push(step);
        }
    }

    /// Returns the next record.
    #[inline]
    pub(super) fn next(&mut self, plan: &Plan<'_, T>) -> Option<Step> {
        let Self { view, direction, looked_at, .. } = self;
        match direction {
            Direction::Down(down) => down.next(view, plan, looked_at),
            Direction::Up(up) => up.next(view, plan, looked_at),
        }
    }

    /// Returns whether there may be more records to find.
    #[inline]
    pub(super) fn may_continue(&self) -> bool {
        match &self.direction {
            Direction::Down(down) => {
                down.at > down.links_from && down.lost.is_none()
                    || down.chains.as_slice().iter().any(|chain| chain.next.is_some())
            }
            Direction::Up(up) => up.at < self.view.claimed,
        }
    }

    /// Returns the end of the scanned range: one past its newest sequence.
    pub(super) fn end(&self) -> u64 {
        self.view.claimed
    }

    /// Returns the sequence below which everything had been evicted before the scan reached it. At
    /// or above it, only gaps were.
    pub(super) fn evicted_below(&self) -> u64 {
        let low = self.view.low;
        let evicted = match &self.direction {
            Direction::Up(_) => low,
            Direction::Down(down) => {
                // Links do not lead to records that were evicted between opening the view and
                // reading the directory.
                let before = if planted(Fault::LeftUncounted) { low } else { self.low };
                let chain = |chain: &Chain| chain.lost.unwrap_or(before).min(chain.reached);
                let lost = down.lost.map(|evicted| evicted.min(down.at));
                down.chains.as_slice().iter().map(chain).chain(lost).fold(low, u64::max)
            }
        };
        evicted.min(self.view.claimed)
    }

    /// Returns whether the driving index is known to have led to records that were evicted before
    /// the scan began: a chain continues to one, or the ghost filter of the signal's first index
    /// remembers the key. Not if nothing within the scan's bounds had been evicted: the key's records
    /// that had left lay before them.
    #[inline]
    pub(super) fn is_partial(&self) -> bool {
        if self.view.low > self.view.oldest {
            return false;
        }
        let ghost_known = |down: &Down, chain: &Chain| {
            down.index == 0 && self.view.index.ghosts.contains(chain.print)
        };
        match &self.direction {
            Direction::Up(_) => false,
            Direction::Down(down) => down.chains.as_slice().iter().any(|chain| {
                chain.continues_evicted || chain.lost.is_some() || ghost_known(down, chain)
            }),
        }
    }

    /// Returns how many sequences below this one lie in gaps.
    pub(super) fn gaps_below(&self, sequence: u64) -> u64 {
        match &self.direction {
            Direction::Up(up) => up
                .gaps
                .iter()
                .filter(|gap| gap.end <= sequence)
                .map(|gap| gap.end - gap.start)
                .sum(),
            Direction::Down(_) => 0,
        }
    }

    /// Returns whether the scan's index is still in use. If a takeover has replaced it, its links may
    /// have led anywhere.
    #[inline]
    pub(super) fn is_current(&self) -> bool {
        self.view.is_current()
    }

    /// Returns whether records that were visible when the query began were, or may have been,
    /// evicted before the scan reached them. Call it once the scan has ended. It holds if the scan
    /// [is current](Self::is_current).
    #[inline]
    pub(super) fn is_cut(&self, plan: &Plan<'_, T>) -> bool {
        self.lost_some() || self.since < self.low && self.lost_between(plan)
    }

    /// Returns whether the scan has come to records that had been evicted.
    #[inline]
    fn lost_some(&self) -> bool {
        match &self.direction {
            Direction::Up(up) => !up.gaps.is_empty(),
            Direction::Down(down) => {
                down.lost.is_some()
                    || down.chains.as_slice().iter().any(|chain| chain.lost.is_some())
            }
        }
    }

    /// Returns whether records that the query asks for left, or may have left, the visible window
    /// between its begin and the reads of the directory.
    #[cold]
    fn lost_between(&self, plan: &Plan<'_, T>) -> bool {
        let Self { view, since, low, direction, .. } = self;
        match direction {
            Direction::Up(_) => view.admitted_one(*since..*low, |head| plan.admits(head)),
            Direction::Down(down) if matches!(down.chains, Chains::None) => {
                view.admitted_one(*since..(*low).min(down.at), |head| plan.admits(head))
            }
            Direction::Down(down) => down.chains.as_slice().iter().any(|chain| {
                chain.lost_between(*view, *since..*low, down.index, |head| plan.admits(head))
            }),
        }
    }
}

impl Down {
    #[inline(always)]
    fn next<T: Signal>(
        &mut self,
        view: &View<'_, T>,
        plan: &Plan<'_, T>,
        looked_at: &mut u64,
    ) -> Option<Step> {
        if self.at > self.links_from && self.lost.is_none() {
            let found = self.scan(view, plan, looked_at);
            if found.is_some() {
                return found;
            }
        }
        self.follow(view, plan, looked_at)
    }

    /// Scans the unindexed tail slot by slot, or everything if no index drives.
    fn scan<T: Signal>(
        &mut self,
        view: &View<'_, T>,
        plan: &Plan<'_, T>,
        looked_at: &mut u64,
    ) -> Option<Step> {
        let slots = &view.shard().slots;
        let mut place = slots.place(self.at);
        while self.at > self.links_from {
            let sequence = self.at - 1;
            if (sequence + 1).is_multiple_of(BLOCK)
                && sequence < view.indexed
                && can_skip_block(view, plan, sequence)
            {
                self.at = (sequence / BLOCK * BLOCK).max(self.links_from);
                place = slots.place(self.at);
                continue;
            }
            place = slots.place_before(place, 1);
            *looked_at += 1;
            match look(view.shard(), sequence, slots.slot(place), plan) {
                Look::Admitted(step) => {
                    self.at = sequence;
                    return Some(step);
                }
                Look::Other => self.at = sequence,
                Look::Evicted(evicted) => {
                    self.lost = Some(evicted);
                    return None;
                }
            }
        }
        None
    }

    /// Follows the chains' links.
    #[inline(always)]
    fn follow<T: Signal>(
        &mut self,
        view: &View<'_, T>,
        plan: &Plan<'_, T>,
        looked_at: &mut u64,
    ) -> Option<Step> {
        let (walk, simple) = (Walk::new(*view, self.index), plan.is_simple());
        let admits = |head: &Head<T::Indexes>| simple || plan.admits(head);
        loop {
            let (step, admitted) = self.chains.hop(&walk, admits, looked_at)?;
            if admitted && is_new(step, self.links_from) {
                return Some(step);
            }
        }
    }
}

/// Returns whether the scan slot by slot has left this record out: those at or above `links_from`
/// it has returned, or they lie outside the bounds.
#[inline(always)]
fn is_new(step: Step, links_from: u64) -> bool {
    step.sequence < links_from || planted(Fault::ScanRepeatsTail)
}

impl Up {
    fn next<T: Signal>(
        &mut self,
        view: &View<'_, T>,
        plan: &Plan<'_, T>,
        looked_at: &mut u64,
    ) -> Option<Step> {
        let slots = &view.shard().slots;
        let mut place = slots.place(self.at);
        while self.at < view.claimed {
            let sequence = self.at;
            let end = (sequence / BLOCK + 1) * BLOCK;
            if sequence.is_multiple_of(BLOCK)
                && end <= view.indexed.min(view.claimed)
                && can_skip_block(view, plan, sequence)
            {
                self.at = end;
                place = slots.place(end);
                continue;
            }
            *looked_at += 1;
            match look(view.shard(), sequence, slots.slot(place), plan) {
                Look::Admitted(step) => {
                    self.at = sequence + 1;
                    return Some(step);
                }
                Look::Other => {
                    self.at = sequence + 1;
                    place = slots.place_after(place, 1);
                }
                Look::Evicted(evicted) => {
                    let to = evicted.min(view.claimed);
                    self.gaps.push(sequence..to);
                    self.at = to;
                    place = slots.place(to);
                }
            }
        }
        None
    }
}

#[cfg(all(loom, feature = "__for_tests"))]
impl crate::ModelShard {
    /// Returns whether a scan for these times skips the block of this sequence, for the loom models.
    pub fn skips_block(&self, sequence: u64, times: std::ops::RangeInclusive<u64>) -> bool {
        let view = View::open(&self.0);
        let plan = Plan { keys: SmallVec::new(), times, tests: Vec::new() };
        view.low <= sequence && can_skip_block(&view, &plan, sequence)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
