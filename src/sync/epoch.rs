//! Deferred freeing for what has no sequence: directory tables.
//!
//! A collector of our own, not crossbeam's default one: there, a guard that some other crate holds for long would keep
//! our retired tables, and with them the indexer, waiting.

pub(crate) use crossbeam_epoch::{Atomic, Guard, Owned, Shared};

use crossbeam_epoch::{Collector, LocalHandle};

#[cfg(not(loom))]
mod domain {
    use super::*;
    use std::sync::OnceLock;

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

/// Under loom each execution has a collector of its own. Pinning multiplies what loom has to explore, so only models that
/// replace tables switch it on; in the others no table is ever retired.
#[cfg(loom)]
mod domain {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    pub(crate) static MODELLED: AtomicBool = AtomicBool::new(false);

    loom::lazy_static! {
        static ref COLLECTOR: Collector = Collector::new();
    }

    loom::thread_local! {
        static HANDLE: LocalHandle = COLLECTOR.register();
    }

    pub(crate) enum Pin {
        Modelled(Guard),
        Absent,
    }

    impl std::ops::Deref for Pin {
        type Target = Guard;

        fn deref(&self) -> &Guard {
            match self {
                Pin::Modelled(guard) => guard,
                // SAFETY: in models that do not switch pinning on, no table is retired.
                Pin::Absent => unsafe { crossbeam_epoch::unprotected() },
            }
        }
    }

    pub(crate) fn pin() -> Pin {
        if MODELLED.load(Ordering::Relaxed) { Pin::Modelled(HANDLE.with(|handle| handle.pin())) } else { Pin::Absent }
    }
}

#[cfg(loom)]
pub(crate) use domain::MODELLED;
pub(crate) use domain::pin;
