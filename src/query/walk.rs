//! A walk over one index in one shard: every visible record with a fingerprint, newest first.

use super::view::View;
use crate::index::NO_KEY;
use crate::ring::Shard;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use crate::sync::{Ordering, epoch};

/// Finds each visible sequence that carries a fingerprint in an index, some at a time.
///
/// Tail and walk meet at `indexed` as it was when the view was opened: what lies above is found by looking at each slot,
/// what lies below by the directory and the links. So nothing is found twice or not at all, however far the indexer
/// gets meanwhile. O(lag + records with the fingerprint).
pub(super) struct Walk<'a, T: Signal> {
    view: View<'a, T>,
    /// Where the window began when the query did, and when the directory had been read.
    since: u64,
    low: u64,
    index: usize,
    print: u64,
    /// Whether the tail has been looked through.
    begun: bool,
    /// Where the links lead next.
    next: Option<u64>,
    /// The links lead to everything with the fingerprint from here on.
    reached: u64,
    /// A record was evicted before the walk came to it.
    lost: bool,
}

impl<'a, T: Signal> Walk<'a, T> {
    /// `since` is where the window began when the query did.
    pub(super) fn new(shard: &'a Shard<T>, since: u64, index: usize, print: u64) -> Self {
        debug_assert_ne!(print, NO_KEY);
        let mut view = View::open(shard);
        // The directory first, so that little can be evicted between the view's beginning and this; then how far eviction
        // had got at the most when it was read.
        let next = newest(&view, index, print);
        let low = view.low_now();
        if planted(Fault::DirectoryBeforeIndexed) {
            view = View::open(shard);
        }
        let reached = view.claimed;
        Self { view, since, low, index, print, begun: false, next, reached, lost: false }
    }

    /// Gives some more to `found`, which says of each whether it counts, until as many as wanted did. The tail is given as a
    /// whole. What is given may be read then and there.
    pub(super) fn find(&mut self, wanted: usize, mut found: impl FnMut(&mut View<'a, T>, u64) -> bool) {
        let mut left = wanted;
        let mut find = |view: &mut View<'a, T>, sequence| {
            left = left.saturating_sub(usize::from(found(view, sequence)));
            left > 0
        };
        let mut more = true;
        if !std::mem::replace(&mut self.begun, true) {
            for (sequence, head) in self.view.tail() {
                if head.print(self.index) == self.print && head.holds(sequence) && self.view.license(sequence) {
                    more = find(&mut self.view, sequence);
                }
            }
        }
        while more && let Some(sequence) = self.next {
            if sequence < self.view.low && !planted(Fault::WalkWithoutWindow) {
                self.reached = self.view.low;
                self.next = None;
                return;
            }
            let Some(head) = self.view.head(sequence) else {
                self.lost = true;
                self.next = None;
                return;
            };
            if head.print(self.index) != self.print {
                // The directory's cell changed hands while it was read: the key's last record had been evicted.
                self.next = None;
                return;
            }
            self.reached = sequence;
            let distance = u64::from(head.link(self.index).load(Ordering::Relaxed));
            self.next = if distance == 0 { None } else { sequence.checked_sub(distance) };
            let new_to_tail = sequence < self.view.indexed || planted(Fault::WalkRepeatsTail);
            if new_to_tail {
                more = find(&mut self.view, sequence);
            }
        }
    }

    /// Whether there may be more to find.
    pub(super) fn goes_on(&self) -> bool {
        !self.begun || self.next.is_some()
    }

    /// Lets go of the shard, until the walk goes on.
    pub(super) fn rest(&mut self) {
        self.view.rest();
    }

    /// Whether records that were visible when the query began were, or may have been, evicted before the walk came to them.
    /// Of a walk that does not go on.
    pub(super) fn is_cut(&mut self) -> bool {
        // Below what the links led to, a key may have been evicted altogether, and even have come back, before the
        // directory was read.
        let cut = self.lost || self.view.carried_one(self.since..self.low.min(self.reached), self.index, self.print);
        self.rest();
        cut
    }
}

fn newest<T: Signal>(view: &View<'_, T>, index: usize, print: u64) -> Option<u64> {
    let guard = epoch::pin();
    view.shard().directories[index].newest(print, &guard)
}
