//! A walk over one index in one shard: every visible record with a fingerprint, newest first.

use super::view::View;
use crate::index::NO_KEY;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use crate::sync::{Ordering, epoch};
use std::ops::ControlFlow;

/// Whether a walk has seen all that was visible when its view was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Whole,
    /// Records were evicted before it came to them.
    Cut,
}

/// Calls `visit` with each visible sequence that carries the fingerprint in this index. `since` is where the window began
/// when the query did.
///
/// Tail and walk meet at `indexed` as it was when the view was opened: what lies above is found by looking at each slot,
/// what lies below by the directory and the links. So nothing is shown twice or not at all, however far the indexer
/// gets meanwhile. O(lag + records with the fingerprint).
pub(crate) fn walk<T: Signal>(
    view: &mut View<'_, T>,
    since: u64,
    index: usize,
    print: u64,
    mut visit: impl FnMut(&mut View<'_, T>, u64) -> ControlFlow<()>,
) -> Reach {
    debug_assert_ne!(print, NO_KEY);
    // The directory first, so that little can be evicted between the view's beginning and this; then how far eviction had
    // got at the most when it was read.
    let mut newest = newest(view, index, print);
    let low = view.low_now();
    if planted(Fault::DirectoryBeforeIndexed) {
        *view = View::open(view.shard());
    }
    for sequence in (view.low.max(view.indexed)..view.claimed).rev() {
        let carries = view.head(sequence).is_some_and(|head| head.print(index) == print);
        if carries && visit(view, sequence).is_break() {
            return Reach::Whole;
        }
    }
    // The links lead to everything with the fingerprint from here on.
    let mut reached = view.claimed;
    while let Some(sequence) = newest {
        if sequence < view.low && !planted(Fault::WalkWithoutWindow) {
            reached = view.low;
            break;
        }
        let Some(head) = view.head(sequence) else { return Reach::Cut };
        if head.print(index) != print {
            // The directory's cell changed hands while it was read: the key's last record had been evicted.
            break;
        }
        reached = sequence;
        let distance = u64::from(head.link(index).load(Ordering::Relaxed));
        let new_to_tail = sequence < view.indexed || planted(Fault::WalkRepeatsTail);
        if new_to_tail && visit(view, sequence).is_break() {
            return Reach::Whole;
        }
        newest = if distance == 0 { None } else { sequence.checked_sub(distance) };
    }
    // Below that, a key may have been evicted altogether, and even have come back, before the directory was read.
    if view.carried_one(since..low.min(reached), index, print) { Reach::Cut } else { Reach::Whole }
}

fn newest<T: Signal>(view: &View<'_, T>, index: usize, print: u64) -> Option<u64> {
    let guard = epoch::pin();
    view.shard().directories[index].newest(print, &guard)
}
