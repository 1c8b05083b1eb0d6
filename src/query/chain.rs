//! The records of one key in one shard, which a scan follows from link to link.

use super::ahead::Step;
use super::view::View;
use crate::engine::index::Links;
use crate::engine::ring::{AllSlots, Head, Slot, Slots};
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use std::collections::BinaryHeap;
use std::ops::Range;
use std::slice;

/// The records with one fingerprint, newest first, as the links connect them.
#[derive(Clone, Copy)]
pub(super) struct Chain {
    pub(super) print: u64,
    pub(super) next: Option<u64>,
    /// The place of `next`.
    place: usize,
    /// The chain covers every record with the fingerprint from this sequence on.
    pub(super) reached: u64,
    /// How far eviction had got when the next record of the chain was found evicted.
    pub(super) lost: Option<u64>,
    /// Whether the chain continues to records that were evicted before the scan began.
    pub(super) continues_evicted: bool,
}

/// The chains that one scan follows, one for each fingerprint.
pub(super) enum Chains {
    /// No index drives the scan.
    None,
    One(Chain),
    /// Also those that continue, ordered by their next sequence.
    Many(Vec<Chain>, BinaryHeap<(u64, usize)>),
}

/// What a hop reads. A compiler loads fields anew after each load with Acquire, and these values
/// do not change.
pub(super) struct Walk<'a, T: Signal> {
    view: View<'a, T>,
    slots: &'a Slots<T>,
    all_slots: AllSlots<'a, T>,
    links: &'a [Links<T::Indexes>],
    index: usize,
    /// Whether a place may be served by another slot than its own. The view's claims were acquired
    /// before, so this holds for all of its records.
    any_moved: bool,
}

impl Chain {
    /// Finds where the chain with this fingerprint begins. `end` is the end of the query's bounds.
    #[inline(always)]
    pub(super) fn open<T: Signal>(view: &View<'_, T>, index: usize, print: u64, end: u64) -> Self {
        let newest = view.newest(index, print);
        Self {
            print,
            next: newest.map(|(sequence, _)| sequence),
            place: newest.map_or(0, |(_, place)| place),
            reached: view.claimed.min(end),
            lost: None,
            continues_evicted: view.indexed < view.low && evicted_unindexed(*view, index, print),
        }
    }

    /// Looks at the chain's next record, and moves on to the one before it. Returns `None` if the
    /// chain ends, or `Some` with the record and whether it belongs to the chain and `admits` says
    /// so.
    #[inline(always)]
    pub(super) fn hop<T: Signal>(
        &mut self,
        walk: &Walk<'_, T>,
        admits: impl Fn(&Head<T::Indexes>) -> bool,
        looked_at: &mut u64,
    ) -> Option<(Step, bool)> {
        let (sequence, place) = (self.next?, self.place);
        if sequence < walk.view.low && !planted(Fault::ScanWithoutWindow) {
            self.reached = walk.view.low;
            self.next = None;
            self.continues_evicted = sequence < walk.view.oldest;
            return None;
        }
        *looked_at += 1;
        let slot = if walk.any_moved { walk.slots.slot(place) } else { place };
        let found = walk.all_slots.head(slot).try_read(sequence, |head| {
            let step = Step { sequence, stamp: head.stamp(), time: head.time(), slot };
            let admitted = head.print(walk.index) == self.print && admits(head);
            (step, admitted, walk.links[place].distance(walk.index))
        });
        let Some((step, admitted, distance)) = found else {
            self.lost = Some(walk.view.shard().evicted());
            self.next = None;
            return None;
        };
        self.reached = sequence;
        self.next = if distance == 0 { None } else { sequence.checked_sub(distance) };
        // No link is longer than the ring. The place is not divided out of the sequence: the
        // division would delay the look at the next record.
        self.place = walk.slots.place_before(place, distance);
        Some((step, admitted))
    }

    /// Returns whether records of the chain were, or may have been, among these, which have left the
    /// visible window since the query began. Below the end of a chain, all records of the key may
    /// have been evicted, and new ones indexed, before the directory was read.
    #[cold]
    pub(super) fn lost_between<T: Signal>(
        self,
        view: View<'_, T>,
        left: Range<u64>,
        index: usize,
        admits: impl Fn(&Head<T::Indexes>) -> bool,
    ) -> bool {
        let carries = |head: &Head<T::Indexes>| head.print(index) == self.print && admits(head);
        view.admitted_one(left.start..left.end.min(self.reached), carries)
    }
}

/// Returns whether a record with this fingerprint was evicted before it was indexed. The links do
/// not connect such records. O(places of the ring): while a takeover begins, nothing is indexed.
#[cold]
#[inline(never)]
fn evicted_unindexed<T: Signal>(view: View<'_, T>, index: usize, print: u64) -> bool {
    let carries = |sequence| view.look(sequence, |head| head.print(index)) == Some(print);
    let oldest_in_a_slot = view.low.saturating_sub(view.shard().slots.places());
    (view.indexed.max(oldest_in_a_slot)..view.low).any(carries)
}

impl Chains {
    /// Finds where the chains with these fingerprints begin. `end` is the end of the query's
    /// bounds.
    pub(super) fn many<T: Signal>(
        view: &View<'_, T>,
        index: usize,
        prints: &[u64],
        end: u64,
    ) -> Self {
        let chain = |&print: &u64| Chain::open(view, index, print, end);
        let all: Vec<Chain> = prints.iter().map(chain).collect();
        let continuing = |(number, chain): (usize, &Chain)| Some((chain.next?, number));
        let order = all.iter().enumerate().filter_map(continuing).collect();
        Self::Many(all, order)
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[Chain] {
        match self {
            Self::None => &[],
            Self::One(chain) => slice::from_ref(chain),
            Self::Many(all, _) => all,
        }
    }

    /// Looks at the newest record that comes next in any of the chains, as [`Chain::hop`] does.
    #[inline]
    pub(super) fn hop<T: Signal>(
        &mut self,
        walk: &Walk<'_, T>,
        admits: impl Fn(&Head<T::Indexes>) -> bool,
        looked_at: &mut u64,
    ) -> Option<(Step, bool)> {
        match self {
            Self::None => None,
            Self::One(chain) => chain.hop(walk, admits, looked_at),
            Self::Many(all, order) => loop {
                let (_, number) = order.pop()?;
                let found = all[number].hop(walk, &admits, looked_at);
                order.extend(all[number].next.map(|next| (next, number)));
                if found.is_some() {
                    return found;
                }
            },
        }
    }
}

impl<'a, T: Signal> Walk<'a, T> {
    #[inline]
    pub(super) fn new(view: View<'a, T>, index: usize) -> Self {
        let slots = &view.shard().slots;
        let (all_slots, links) = (slots.all(), view.index.links());
        Self { view, slots, all_slots, links, index, any_moved: slots.any_moved() }
    }

    /// Returns a slot that the walk has come to.
    #[inline(always)]
    pub(super) fn slot(&self, slot: usize) -> Slot<'a, T> {
        self.all_slots.at(slot)
    }
}
