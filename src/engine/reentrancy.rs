//! Whether this thread is inside the engine, and what it does as soon as it no longer is.
//!
//! A thread that holds a token or a pin, or runs foreign code for the engine, of whatever store, must never wait for the
//! engine (invariant 6): it could be waiting for itself, or two stores for each other. What has to wait is done when the thread
//! leaves, see [`later`].
//!
//! Whoever holds a token, a pin or a lock enters before it takes that, and leaves after it has given it back. So a thread
//! that leaves holds nothing of the engine's.

pub(crate) use crate::sync::caught;
use crate::sync::per_thread;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

per_thread!(DEPTH: Cell<u32> = Cell::new(0));
per_thread!(LATER: RefCell<Vec<Box<dyn FnOnce()>>> = RefCell::new(Vec::new()));

/// A bit in `DEPTH`, beside the number of entrances: there is something in `LATER`.
const DUE: u32 = 1 << 31;

/// While it lives, this thread is inside.
pub(crate) struct Guard(PhantomData<*const ()>);

#[inline]
pub(crate) fn enter() -> Guard {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    Guard(PhantomData)
}

#[inline]
pub(crate) fn is_inside() -> bool {
    DEPTH.with(|depth| depth.get() != 0)
}

/// Runs this as soon as the thread, which is inside, leaves. It still counts as inside then, but holds nothing, so that this may
/// wait for other threads. A panic is dropped.
///
/// Returns false, and drops it, if the thread is ending and has no place for it any more.
pub(crate) fn defer(run: impl FnOnce() + 'static) -> bool {
    debug_assert!(is_inside());
    let kept = LATER.try_with(|later| later.borrow_mut().push(Box::new(run))).is_ok();
    if kept {
        DEPTH.with(|depth| depth.set(depth.get() | DUE));
    }
    kept
}

/// Runs what was to be run later, and what that leaves to be run later, one after the other: however long the chain, the
/// stack stays as it is. Then the thread is outside.
#[cold]
fn run_all() {
    let next = || LATER.try_with(|later| std::mem::take(&mut *later.borrow_mut())).unwrap_or_default();
    loop {
        let due = next();
        if due.is_empty() {
            break;
        }
        for run in due {
            let _ = caught(run);
        }
    }
    DEPTH.with(|depth| depth.set(0));
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        DEPTH.with(|depth| {
            let left = depth.get() - 1;
            if left == DUE {
                run_all();
            } else {
                depth.set(left);
            }
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn what_is_left_for_later_runs_when_the_outermost_is_left() {
        let said = Rc::new(RefCell::new(Vec::new()));
        let say = |what: &'static str| {
            let said = Rc::clone(&said);
            move || said.borrow_mut().push((what, is_inside()))
        };
        let outer = enter();
        let inner = enter();
        let (first, second) = (say("first"), say("third"));
        assert!(defer(move || {
            first();
            drop(enter());
            assert!(defer(second));
            std::panic::resume_unwind(Box::new("it is dropped"));
        }));
        assert!(defer(say("second")));
        drop(inner);
        assert!(said.borrow().is_empty());
        drop(outer);
        assert_eq!(*said.borrow(), [("first", true), ("second", true), ("third", true)]);
        assert!(!is_inside());
    }
}
