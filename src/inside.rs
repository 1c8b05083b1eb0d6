//! Whether this thread holds something that others may be waiting for.
//!
//! A thread that holds a token or a mark, or runs user code for the engine, of whatever store, must never wait for the
//! engine (invariant 6): it could be waiting for itself, or two stores for each other.

use crate::sync::per_thread;
use std::cell::Cell;
use std::marker::PhantomData;

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

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}
