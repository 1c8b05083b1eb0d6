//! Running user code: whether this thread is inside the engine, and catching what the code throws.
//!
//! A thread that holds a token or a mark, or runs user code for the engine, of whatever store, must never wait for the
//! engine (invariant 6): it could be waiting for itself, or two stores for each other.

use crate::sync::per_thread;
use std::any::Any;
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

per_thread!(DEPTH: Cell<u32> = Cell::new(0));

/// While it lives, this thread is inside.
pub(crate) struct Inside(PhantomData<*const ()>);

#[inline]
pub(crate) fn enter() -> Inside {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    Inside(PhantomData)
}

#[inline]
pub(crate) fn is_inside() -> bool {
    DEPTH.with(|depth| depth.get() != 0)
}

/// Runs user code; `None` if it panicked. Never unwinds itself, not even if the panic's payload panics when dropped.
#[inline(always)]
pub(crate) fn caught<R>(user_code: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(user_code)) {
        Ok(result) => Some(result),
        Err(payload) => {
            discard(payload);
            None
        }
    }
}

#[cold]
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Dropping that one might go on like this for ever.
        std::mem::forget(worse);
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}
