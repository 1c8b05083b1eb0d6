//! Scoped threads whose end ThreadSanitizer sees. The standard library, which it does not look
//! into, has its own way to wait for them.

use std::sync::atomic::{AtomicU64, Ordering::AcqRel};
use std::thread::{self, Scope, ScopedJoinHandle};

/// Touched by each thread at its end, and by whoever has waited for them.
static ENDED: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy)]
pub struct Team<'scope, 'env>(&'scope Scope<'scope, 'env>);

/// Returns when all threads of the team have ended.
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
