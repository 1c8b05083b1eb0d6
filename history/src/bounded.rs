//! A bounded queue into which nobody waits to push.

use crossbeam_queue::ArrayQueue;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a place in the queue takes beside its item: the queue's own stamp.
const STAMP: usize = size_of::<usize>();

/// A queue of so many places. Many threads may push; one at a time may pop.
///
/// `ArrayQueue::push` waits for a thread that has claimed the item of the place that comes next,
/// and was suspended before it had emptied it. Here a place is given back only when `pop` has
/// returned, and who finds none does not push. Since items are popped one after the other, the
/// places that are not taken are the next ones.
pub(crate) struct Bounded<T> {
    items: ArrayQueue<T>,
    /// Places that are taken or being emptied.
    taken: AtomicUsize,
}

impl<T> Bounded<T> {
    pub(crate) fn new(places: usize) -> Self {
        Self { items: ArrayQueue::new(places), taken: AtomicUsize::new(0) }
    }

    /// Pushes an item, and returns whether there was room.
    pub(crate) fn push(&self, item: T) -> bool {
        // Acquire and Release order a push after the pop whose place it takes.
        let has_room = self.taken.fetch_add(1, Ordering::Acquire) < self.items.capacity();
        if has_room && self.items.push(item).is_ok() {
            return true;
        }
        self.taken.fetch_sub(1, Ordering::Relaxed);
        false
    }

    pub(crate) fn pop(&self) -> Option<T> {
        let item = self.items.pop()?;
        self.taken.fetch_sub(1, Ordering::Release);
        Some(item)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn places(&self) -> usize {
        self.items.capacity()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.places() * (size_of::<T>() + STAMP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_pushed_into_a_place_that_is_being_emptied() {
        let queue = Bounded::new(2);
        assert!(queue.push(1) && queue.push(2) && !queue.push(3));
        // As a thread does that pops, until it is suspended.
        assert_eq!(queue.items.pop(), Some(1));
        assert!(!queue.push(3) && queue.len() == 1);
        queue.taken.fetch_sub(1, Ordering::Release);
        assert!(queue.push(3) && !queue.push(4));
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(2), Some(3), None]);
        assert!(queue.push(5));
    }
}
