//! The right to index, evict and reclaim in a shard: one holder at a time, and nobody waits for it.

use crate::sync::{AtomicU32, Ordering, thread};

#[derive(Debug)]
pub(crate) struct Token(AtomicU32);

/// The right itself; given back when dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct TokenGuard<'a>(&'a AtomicU32);

impl Token {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Takes the token if it is free. Wait-free.
    pub(crate) fn try_take(&self) -> Option<TokenGuard<'_>> {
        // The load spares the holder's line a write. Acquire pairs with the Release in `drop`: the next holder sees all
        // that the last one did.
        let free = (cfg!(loom) || self.0.load(Ordering::Relaxed) == 0)
            && self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        free.then(|| TokenGuard(&self.0))
    }

    /// Takes the token as soon as its holder gives it back. Never on a path that a push or a lookup takes: for the audit and
    /// the store's end, whose threads hold nothing that the holder could wait for.
    pub(crate) fn take(&self) -> TokenGuard<'_> {
        loop {
            match self.try_take() {
                Some(token) => return token,
                None => thread::yield_now(),
            }
        }
    }
}

impl Drop for TokenGuard<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}
