//! Running foreign code and catching its panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs foreign code and returns its result, or `None` if it panicked.
///
/// Never unwinds, not even if the panic's payload panics when it is dropped.
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

/// Drops a panic's payload. If that panics too, leaks the second payload.
#[cold]
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Dropping the second payload might panic again, and so on without end.
        std::mem::forget(worse);
    }
}
