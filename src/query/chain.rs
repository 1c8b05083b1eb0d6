//! The records of one key in one shard, which a scan follows from link to link.

use super::ahead::Step;
use super::view::View;
use crate::engine::ring::Head;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};

/// The records with one fingerprint, newest first, as the links connect them.
#[derive(Clone, Copy)]
pub(super) struct Chain {
    pub(super) print: u64,
    pub(super) next: Option<u64>,
    /// The place of `next`.
    pub(super) place: usize,
    /// The chain covers every record with the fingerprint from this sequence on.
    pub(super) reached: u64,
    /// How far eviction had got when the next record of the chain was found evicted.
    pub(super) lost: Option<u64>,
    /// Whether the chain continues to records that were evicted before the scan began.
    pub(super) continues_evicted: bool,
}

impl Chain {
    /// Looks at the chain's next record, and moves on to the one before it. Returns `None` if the
    /// chain ends, or `Some` with the record and whether it belongs to the chain and `admits` says
    /// so.
    #[inline(always)]
    pub(super) fn hop<T: Signal>(
        &mut self,
        view: &View<'_, T>,
        index: usize,
        admits: impl Fn(&Head<T::Indexes>) -> bool,
        looked_at: &mut u64,
    ) -> Option<(Step, bool)> {
        let (sequence, place) = (self.next?, self.place);
        if sequence < view.low && !planted(Fault::ScanWithoutWindow) {
            self.reached = view.low;
            self.next = None;
            self.continues_evicted = sequence < view.oldest;
            return None;
        }
        *looked_at += 1;
        let slots = &view.shard().slots;
        let slot = slots.slot(place);
        let found = slots.head_at(slot).try_read(sequence, |head| {
            let step = Step { sequence, stamp: head.stamp(), time: head.time(), slot };
            let admitted = head.print(index) == self.print && admits(head);
            (step, admitted, view.index.link(place, index))
        });
        let Some((step, admitted, distance)) = found else {
            self.lost = Some(view.shard().evicted());
            self.next = None;
            return None;
        };
        self.reached = sequence;
        self.next = if distance == 0 { None } else { sequence.checked_sub(distance) };
        // No link is longer than the ring. The place is not divided out of the sequence: the
        // division would delay the look at the next record.
        self.place = slots.place_before(place, distance);
        Some((step, admitted))
    }
}
