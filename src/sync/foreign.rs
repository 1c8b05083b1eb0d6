//! Running foreign code: catching what it throws.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs foreign code; `None` if it panicked. Never unwinds itself, not even if the panic's payload panics when dropped.
#[inline(always)]
pub(crate) fn caught<R>(foreign: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(foreign)) {
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
