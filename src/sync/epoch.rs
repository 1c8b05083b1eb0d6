//! Deferred freeing for what has no sequence: directory tables.
//!
//! A collector of our own, not crossbeam's default one: there, a guard that some other crate holds for long would keep
//! our retired tables, and with them the indexer, waiting.

pub(crate) use crossbeam_epoch::{Atomic, Guard, Owned, Shared};

use crossbeam_epoch::{Collector, LocalHandle};
#[cfg(not(loom))]
use std::sync::OnceLock;

#[cfg(not(loom))]
mod domain {
    use super::*;

    static COLLECTOR: OnceLock<Collector> = OnceLock::new();

    thread_local! {
        static HANDLE: LocalHandle = register();
    }

    fn register() -> LocalHandle {
        COLLECTOR.get_or_init(Collector::new).register()
    }

    /// Keeps every table that this thread may find from being freed until the guard goes. A thread's first pin registers
    /// it, with one allocation; later ones cost a store and a fence.
    #[inline]
    pub(crate) fn pin() -> Guard {
        // A thread that is being torn down has no handle any more.
        HANDLE.try_with(LocalHandle::pin).unwrap_or_else(|_| register().pin())
    }
}

/// Under loom each execution has a collector of its own, handed out by `loom::lazy_static`.
#[cfg(loom)]
mod domain {
    use super::*;

    loom::lazy_static! {
        static ref COLLECTOR: Collector = Collector::new();
    }

    loom::thread_local! {
        static HANDLE: LocalHandle = COLLECTOR.register();
    }

    pub(crate) fn pin() -> Guard {
        HANDLE.with(|handle| handle.pin())
    }
}

pub(crate) use domain::pin;
