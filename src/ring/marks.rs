//! Readers' marks: what a reader may be looking at is not reclaimed.
//!
//! Hazard pointers (Michael, 2004) with a range for a pointer: one word protects every sequence of the shard from the
//! mark upwards. The reader sets its mark, fences, and looks at `evicted`; the token holder raises `evicted`, fences,
//! and looks at the marks. If the reader's fence comes first, the holder sees the mark and spares what lies above it; if
//! the holder's comes first, the reader sees the raised `evicted` and touches nothing below it.

use crate::sync::fault::{self, Fault, planted, weaken};
use crate::sync::{AtomicPtr, AtomicU64, CachePadded, Ordering, fence_after_seqcst_rmw};
use std::ptr;

const BLOCK: usize = if cfg!(loom) { 1 } else { 8 };

/// 0: nobody's. Otherwise a reader's, who may touch sequences from the word minus one upwards.
type MarkWord = CachePadded<AtomicU64>;

/// The marks of one shard. Blocks are added when more readers come at once than ever before, and freed with the shard:
/// memory is bounded by the most readers that were ever in this shard at one time.
#[derive(Debug)]
pub(crate) struct Marks {
    marks: [MarkWord; BLOCK],
    next: AtomicPtr<Marks>,
}

/// A reader's mark, its own until dropped.
#[derive(Debug)]
pub(crate) struct Mark<'a> {
    word: &'a AtomicU64,
    lowest: u64,
}

impl Marks {
    pub(crate) fn new() -> Self {
        Self {
            marks: std::array::from_fn(|_| CachePadded::new(AtomicU64::new(0))),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Takes a free mark and sets it to the lowest sequence to be touched. The caller must look at `evicted` afterwards.
    /// Lock-free; allocates if all marks are taken.
    pub(crate) fn set(&self, lowest: u64) -> Mark<'_> {
        let mut block = self;
        loop {
            for word in &block.marks {
                // Acquire: the former owner's reads come before this owner's, so that one look at the word, which is a
                // look at both, orders both before a reclaim. SeqCst: with the SeqCst look at `evicted` that the caller
                // takes next, this is the fence that pairs with the one in `lowest`; see the module's text for both
                // orders, and `fence_after_seqcst_rmw`.
                if (cfg!(loom) || word.load(Ordering::Relaxed) == 0)
                    && word.compare_exchange(0, lowest + 1, Ordering::SeqCst, Ordering::Relaxed).is_ok()
                {
                    fence_after_seqcst_rmw(Fault::ReaderWithoutFence);
                    return Mark { word, lowest };
                }
            }
            block = block.following();
        }
    }

    /// The block after this one, made now if there is none.
    fn following(&self) -> &Self {
        // Acquire pairs with the Release below: the block's words are set up. SeqCst, here and below, as for the words: if the
        // holder's fence comes first, the reader's look at `evicted`, which comes later still, sees it raised; if this comes
        // first, whether it made the link or found it, the holder's look at `next` finds it too, and then the mark.
        let mut next = self.next.load(Ordering::SeqCst);
        if next.is_null() {
            let made = Box::into_raw(Box::new(Self::new()));
            let linked = weaken(Ordering::SeqCst, Fault::LinkRelaxed);
            match self.next.compare_exchange(ptr::null_mut(), made, linked, Ordering::SeqCst) {
                Ok(_) => next = made,
                Err(other) => {
                    // SAFETY: it comes from `Box::into_raw` above, and nobody else has seen it.
                    drop(unsafe { Box::from_raw(made) });
                    next = other;
                }
            }
        }
        // SAFETY: a linked block is freed only by `drop`, which has `&mut self`: there are as many as readers at once need, and
        // they stay (invariant 4).
        unsafe { &*next }
    }

    /// The least of `evicted` and all marks: what lies below may be reclaimed. For the token holder, who has stored
    /// `evicted` before.
    pub(crate) fn lowest(&self, evicted: u64) -> u64 {
        // Pairs with the fence in `set` and `Mark::move_to`.
        fault::fence(Fault::HolderWithoutFence);
        let mut lowest = evicted;
        let mut block = Some(self);
        while let Some(here) = block {
            for word in &here.marks {
                // Acquire pairs with the Release in `Mark::drop`: the reads under a cleared mark are over.
                match word.load(Ordering::Acquire) {
                    0 => {}
                    mark => lowest = lowest.min(mark - 1),
                }
            }
            if planted(Fault::FirstBlockOnly) {
                break;
            }
            // Acquire pairs with the Release in `following`, which says why this sees the link.
            // SAFETY: as there (invariant 4); null while there is no further block.
            block = unsafe { here.next.load(Ordering::Acquire).as_ref() };
        }
        lowest
    }

    pub(crate) fn bytes(&self) -> usize {
        // SAFETY: as in `following` (invariant 4).
        let next = unsafe { self.next.load(Ordering::Acquire).as_ref() };
        next.map_or(0, |block| size_of::<Self>() + block.bytes())
    }
}

impl Mark<'_> {
    /// The lowest sequence that the mark protects.
    pub(crate) fn at(&self) -> u64 {
        self.lowest
    }

    /// Moves the mark. Down, the caller must look at `evicted` again before it touches anything there.
    pub(crate) fn move_to(&mut self, lowest: u64) {
        let down = lowest < self.lowest;
        self.lowest = lowest;
        // Release: what was read above an older, lower mark was read before.
        self.word.store(lowest + 1, weaken(Ordering::Release, Fault::MarkMovedRelaxed));
        if down {
            fault::fence(Fault::ReaderWithoutFence);
        }
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `lowest` and in the next owner's `set`.
        self.word.store(0, weaken(Ordering::Release, Fault::MarkClearedRelaxed));
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        let mut next = std::mem::replace(&mut self.next, AtomicPtr::new(ptr::null_mut()));
        loop {
            let block = next.load(Ordering::Relaxed);
            if block.is_null() {
                return;
            }
            // SAFETY: linked blocks come from `Box::into_raw` and nobody else has this chain any more (invariant 4). Taking each
            // one's successor out first keeps the drop from recursing.
            let mut block = unsafe { Box::from_raw(block) };
            next = std::mem::replace(&mut block.next, AtomicPtr::new(ptr::null_mut()));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_mark_counts_wherever_it_was_set_or_moved() {
        let marks = Marks::new();
        assert_eq!(marks.lowest(7), 7);
        let mut mark = marks.set(5);
        assert_eq!((mark.at(), marks.lowest(7), marks.lowest(3)), (5, 5, 3));
        mark.move_to(2);
        assert_eq!((mark.at(), marks.lowest(7)), (2, 2));
        mark.move_to(6);
        assert_eq!((mark.at(), marks.lowest(7)), (6, 6));
        let other = marks.set(0);
        assert_eq!(marks.lowest(7), 0);
        drop(other);
        assert_eq!(marks.lowest(7), 6);
    }

    #[test]
    fn marks_grow_by_blocks_with_the_most_readers_at_once() {
        let marks = Marks::new();
        let many = || (1..=2 * BLOCK as u64).map(|at| marks.set(at)).collect::<Vec<_>>();
        let first = many();
        assert_eq!((marks.bytes(), marks.lowest(99)), (size_of::<Marks>(), 1));
        let more = marks.set(0);
        assert_eq!((marks.bytes(), marks.lowest(99)), (2 * size_of::<Marks>(), 0));
        drop((first, more));
        assert_eq!(marks.lowest(99), 99);
        drop(many());
        assert_eq!(marks.bytes(), 2 * size_of::<Marks>(), "those that were there are taken again");
    }
}
