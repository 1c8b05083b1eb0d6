//! The re-entrancy guard: it knows whether this thread is inside the engine, and runs deferred work
//! when the thread leaves.
//!
//! A thread that holds an indexer lock or a pin, or that runs user code for the engine of any
//! store, must never wait for the engine (invariant 6). It could be waiting for itself, or two
//! stores could be waiting for each other. Work that has to wait is deferred until the thread
//! leaves, see [`defer`].
//!
//! A thread enters before it acquires an indexer lock, a pin or a mutex, and leaves after it has
//! released it. So a thread that leaves holds nothing of the engine's.

pub(crate) use crate::sync::caught;
use crate::sync::per_thread;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

per_thread!(DEPTH: Cell<u32> = Cell::new(0));
per_thread!(DEFERRED: RefCell<Vec<Box<dyn FnOnce()>>> = RefCell::new(Vec::new()));

/// A bit in `DEPTH`, beside the number of nested guards. It is set while `DEFERRED` holds work.
const DUE: u32 = 1 << 31;

/// While a guard lives, its thread counts as inside the engine.
pub(crate) struct Guard(PhantomData<*const ()>);

/// Marks this thread as inside the engine until the guard is dropped. Guards nest.
#[inline]
pub(crate) fn enter() -> Guard {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    Guard(PhantomData)
}

/// Returns whether this thread is inside the engine.
#[inline]
pub(crate) fn is_inside() -> bool {
    DEPTH.with(|depth| depth.get() != 0)
}

/// Defers `run` until this thread, which must be inside the engine, leaves its outermost guard. The
/// thread still counts as inside while `run` runs, but it holds nothing, so `run` may wait for
/// other threads. A panic of `run` is caught and dropped.
///
/// Returns false, and drops `run`, if the thread is ending and its thread-locals are gone.
pub(crate) fn defer(run: impl FnOnce() + 'static) -> bool {
    debug_assert!(is_inside());
    let queued = DEFERRED.try_with(|deferred| deferred.borrow_mut().push(Box::new(run))).is_ok();
    if queued {
        DEPTH.with(|depth| depth.set(depth.get() | DUE));
    }
    queued
}

/// Runs the deferred work, and the work that this defers in turn, one after the other. It loops
/// rather than recurses, so the stack does not grow with the length of the chain. Then it marks the
/// thread as outside.
#[cold]
fn run_all() {
    let next = || {
        DEFERRED
            .try_with(|deferred| std::mem::take(&mut *deferred.borrow_mut()))
            .unwrap_or_default()
    };
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
    fn deferred_work_runs_in_order_when_the_outermost_guard_is_dropped() {
        let log = Rc::new(RefCell::new(Vec::new()));
        let record = |what: &'static str| {
            let log = Rc::clone(&log);
            move || log.borrow_mut().push((what, is_inside()))
        };
        let outer = enter();
        let inner = enter();
        let (first, second) = (record("first"), record("third"));
        assert!(defer(move || {
            first();
            drop(enter());
            assert!(defer(second));
            std::panic::resume_unwind(Box::new("this panic is caught"));
        }));
        assert!(defer(record("second")));
        drop(inner);
        assert!(log.borrow().is_empty());
        drop(outer);
        assert_eq!(*log.borrow(), [("first", true), ("second", true), ("third", true)]);
        assert!(!is_inside());
    }
}
