//! The crate's only source of concurrency primitives.
//!
//! Everything above imports std's, crossbeam's, arc-swap's and loom's primitives from here, so that
//! the loom models run the shipped code.
//!
//! Under `--cfg loom`, atomics, cells, locks and threads are loom's. [`Snapshot`] and timed waits
//! have stand-ins there. The planted faults in [`fault`] exist only under loom and in the stress
//! program.

mod event_count;
pub(crate) mod fault;
mod foreign;
pub(crate) mod reserve;
mod snapshot;

#[cfg(feature = "otlp")]
pub(crate) use arc_swap::ArcSwapOption;
pub(crate) use crossbeam_utils::CachePadded;
pub(crate) use event_count::EventCount;
#[cfg(all(loom, feature = "__for_tests"))]
pub use event_count::ModelEvent;
#[cfg(feature = "async")]
pub(crate) use event_count::Ticket;
pub(crate) use foreign::caught;
pub(crate) use snapshot::Snapshot;

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};

/// Locks a mutex and ignores poisoning.
///
/// These mutexes are held for a moment and never while user code runs, so what a panic leaves
/// behind is consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Locks a mutex as [`lock`] does, or returns `None` if another thread holds it.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(std::sync::TryLockError::WouldBlock) => None,
    }
}

/// Declares a thread-local with a constant initial value, so that an access needs neither a check
/// for initialisation nor a destructor.
macro_rules! per_thread {
    ($name:ident: $type:ty = $init:expr) => {
        #[cfg(not(loom))]
        std::thread_local! { static $name: $type = const { $init }; }
        #[cfg(loom)]
        loom::thread_local! { static $name: $type = $init; }
    };
}
pub(crate) use per_thread;

pub(crate) mod thread {
    #[cfg(loom)]
    pub(crate) use loom::thread::{JoinHandle, Thread, current, park, yield_now};
    #[cfg(not(loom))]
    pub(crate) use std::thread::{JoinHandle, Thread, current, park, yield_now};
    use std::{io, time::Duration};

    /// Starts a named thread.
    #[cfg(not(loom))]
    pub(crate) fn spawn(
        name: String,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name(name).spawn(run)
    }

    #[cfg(loom)]
    pub(crate) fn spawn(
        name: String,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        loom::thread::Builder::new().name(name).spawn(run)
    }

    /// Blocks until the thread is unparked or the time has passed.
    ///
    /// loom has no time; under loom this only yields.
    #[cfg(not(loom))]
    pub(crate) fn park_timeout(timeout: Duration) {
        std::thread::park_timeout(timeout);
    }

    #[cfg(loom)]
    pub(crate) fn park_timeout(_: Duration) {
        yield_now();
    }

    /// Blocks for this long, whether or not the thread is unparked. Under loom it only yields.
    pub(crate) fn sleep(length: Duration) {
        #[cfg(not(loom))]
        std::thread::sleep(length);
        #[cfg(loom)]
        park_timeout(length);
    }
}

/// A relaxed counter that orders no other access.
///
/// Used for statistics, and for values that one holder of the indexer lock leaves to the next. It
/// is std's atomic under loom as well, so that loom need not explore it.
#[derive(Debug, Default)]
pub(crate) struct Count(std::sync::atomic::AtomicU64);

impl Count {
    pub(crate) const fn new() -> Self {
        Self(std::sync::atomic::AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// Subtracts `by`.
    #[inline]
    pub(crate) fn sub(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::Relaxed);
    }

    /// Stores a value. There may be only one writer at a time.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Increments the counter and returns its former value, which no other caller gets.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A relaxed one-byte value that one holder of the indexer lock leaves to the next; see [`Count`].
#[derive(Debug, Default)]
pub(crate) struct Tally(std::sync::atomic::AtomicU8);

// SAFETY: The only field is an atomic integer. Zero bytes are a valid value of it: 0, as `zeroed`
// returns.
unsafe impl crate::sync::reserve::Zeroed for Tally {
    fn zeroed() -> Self {
        Self::default()
    }
}

impl Tally {
    #[inline]
    pub(crate) fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, value: u8) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// Loads a word of which the caller is the only writer at this time.
///
/// For the races that it explores, loom remembers only the last access to a word. A writer's own
/// load just before its store would hide the loads of other threads before it. Under loom this load
/// is therefore not an access at all.
#[inline(always)]
pub(crate) fn load_as_writer(word: &AtomicU64) -> u64 {
    #[cfg(not(loom))]
    return word.load(Ordering::Relaxed);
    // SAFETY: By the caller's contract no other thread writes the word during this load. loom
    // checks that.
    #[cfg(loom)]
    unsafe {
        word.unsync_load()
    }
}

/// Loads a word with Acquire that the caller is about to change by a compare-and-swap.
///
/// Under loom this is a compare-and-swap that fails, so that loom treats it as a write. The reason
/// is the one given at [`load_as_writer`].
#[inline(always)]
pub(crate) fn load_before_cas(word: &AtomicU64) -> u64 {
    #[cfg(not(loom))]
    return word.load(Ordering::Acquire);
    #[cfg(loom)]
    word.compare_exchange(u64::MAX, u64::MAX, Ordering::AcqRel, Ordering::Acquire)
        .unwrap_or_else(|found| found)
}

/// A cell that the ring's protocol guards.
///
/// Its content is accessed only through closures, so that loom sees each access.
#[derive(Debug)]
pub(crate) struct Cell<T>(
    #[cfg(loom)] loom::cell::UnsafeCell<T>,
    #[cfg(not(loom))] std::cell::UnsafeCell<T>,
);

impl<T> Cell<T> {
    #[cfg(not(loom))]
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[cfg(loom)]
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        #[cfg(loom)]
        return self.0.with(f);
        #[cfg(not(loom))]
        f(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(loom)]
        return self.0.with_mut(f);
        #[cfg(not(loom))]
        f(self.0.get())
    }
}

/// Defines a function that asks the processor to fetch a cache line, by one instruction of each
/// architecture.
macro_rules! prefetch {
    ($(#[$doc:meta])* $name:ident, $x86_64:literal, $aarch64:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name<T>(at: *const T) {
            #[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
            // SAFETY: A prefetch is a hint. It has no effect on the program's state and cannot
            // fault, whatever the address. Processors that lack the instruction execute a no-op.
            unsafe {
                std::arch::asm!(concat!($x86_64, " [{}]"), in(reg) at.addr(), options(nostack, preserves_flags, nomem));
            }
            #[cfg(all(target_arch = "aarch64", not(any(loom, miri))))]
            // SAFETY: As above.
            unsafe {
                std::arch::asm!(concat!("prfm ", $aarch64, ", [{}]"), in(reg) at.addr(), options(nostack, preserves_flags, nomem));
            }
            #[cfg(any(loom, miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
            let _ = at;
        }
    };
}

prefetch! {
    /// Fetches the cache line at this address for writing. Never faults.
    ///
    /// An atomic read-modify-write waits until the stores before it have obtained their cache
    /// lines. Without the prefetch, a producer's next claim waits for the lines of the record that
    /// it has just written.
    prefetch_to_write, "prefetchw", "pstl1keep"
}

prefetch! {
    /// Fetches the cache line at this address for reading. Never faults.
    prefetch, "prefetcht0", "pldl1keep"
}
