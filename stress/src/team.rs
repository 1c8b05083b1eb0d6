//! Scoped threads whose end ThreadSanitizer sees. The standard library is not instrumented, and it
//! waits for scoped threads in its own way.

use std::sync::atomic::{AtomicU64, Ordering::AcqRel};
use std::thread::{self, Scope, ScopedJoinHandle};

/// Modified by each thread at its end, and by the thread that has waited for them, which makes the
/// order visible to ThreadSanitizer.
static ENDED: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy)]
pub struct Team<'scope, 'env>(&'scope Scope<'scope, 'env>);

/// Runs `lead`, and returns when all threads that it spawned have ended.
pub fn team<'env, R>(lead: impl for<'scope> FnOnce(Team<'scope, 'env>) -> R) -> R {
    let result = thread::scope(|scope| {
        ENDED.fetch_add(1, AcqRel);
        lead(Team(scope))
    });
    ENDED.fetch_add(1, AcqRel);
    result
}

impl<'scope> Team<'scope, '_> {
    pub fn spawn<R: Send + 'scope>(
        self,
        work: impl FnOnce() -> R + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, R> {
        self.0.spawn(|| {
            let result = work();
            ENDED.fetch_add(1, AcqRel);
            result
        })
    }
}
