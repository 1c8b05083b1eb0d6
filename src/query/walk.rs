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
    let early = planted(Fault::DirectoryBeforeIndexed).then(|| {
        let newest = newest(view, index, print);
        *view = View::open(view.shard());
        newest
    });
    for sequence in (view.low.max(view.indexed)..view.claimed).rev() {
        let carries = view.head(sequence).is_some_and(|head| head.print(index) == print);
        if carries && visit(view, sequence).is_break() {
            return Reach::Whole;
        }
    }
    let Some(mut sequence) = early.unwrap_or_else(|| newest(view, index, print)) else {
        return Reach::cut_if(view.lost_one(since, index, print));
    };
    let mut first = true;
    while sequence >= view.low || planted(Fault::WalkWithoutWindow) {
        let Some(head) = view.head(sequence) else { return Reach::Cut };
        if first && head.print(index) != print {
            // The directory's cell changed hands while it was read: the key's last record had been evicted.
            return Reach::cut_if(view.lost_one(since, index, print));
        }
        first = false;
        let link = head.link(index).load(Ordering::Relaxed);
        let new_to_tail = sequence < view.indexed || planted(Fault::WalkRepeatsTail);
        if new_to_tail && visit(view, sequence).is_break() {
            return Reach::Whole;
        }
        match sequence.checked_sub(u64::from(link)) {
            Some(before) if link != 0 => sequence = before,
            _ => break,
        }
    }
    // The links have led to everything that the view began with; what left between the query's beginning and the view's
    // is in question.
    Reach::cut_if(since < view.low && view.lost_one(since, index, print))
}

impl Reach {
    fn cut_if(lost: bool) -> Self {
        if lost { Self::Cut } else { Self::Whole }
    }
}

fn newest<T: Signal>(view: &View<'_, T>, index: usize, print: u64) -> Option<u64> {
    let guard = epoch::pin();
    view.shard().directories[index].newest(print, view.indexed, &guard)
}
