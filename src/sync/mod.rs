//! The only door to std's, crossbeam's, arc-swap's and loom's concurrency: everything above imports from here, so that
//! the loom models run the shipped code.
//!
//! Under `--cfg loom`, atomics, cells, locks and threads are loom's; `Snapshot` and timed waits have loom-made
//! stand-ins. The planted faults in [`fault`] exist only there.

mod event_count;
pub(crate) mod fault;
mod foreign;
pub(crate) mod reserve;
mod snapshot;

#[cfg(feature = "otlp")]
pub(crate) use arc_swap::ArcSwapOption;
pub(crate) use crossbeam_utils::CachePadded;
pub(crate) use event_count::EventCount;
#[cfg(loom)]
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

/// Takes a lock that is held for a moment and never while user code runs; so what a panic left behind is sound.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Takes a lock, as [`lock`] does, unless somebody has it.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(std::sync::TryLockError::WouldBlock) => None,
    }
}

/// A thread-local with a constant for a start, so that reaching it costs no check and no destructor.
macro_rules! per_thread {
    ($name:ident: $type:ty = $start:expr) => {
        #[cfg(not(loom))]
        std::thread_local! { static $name: $type = const { $start }; }
        #[cfg(loom)]
        loom::thread_local! { static $name: $type = $start; }
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
    pub(crate) fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name(name).spawn(run)
    }

    #[cfg(loom)]
    pub(crate) fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
        loom::thread::Builder::new().name(name).spawn(run)
    }

    /// Sleeps until unparked, or this long. Under loom, where there is no time, it only lets others run.
    #[cfg(not(loom))]
    pub(crate) fn park_timeout(timeout: Duration) {
        std::thread::park_timeout(timeout);
    }

    #[cfg(loom)]
    pub(crate) fn park_timeout(_: Duration) {
        yield_now();
    }

    /// Sleeps this long, whoever unparks. Under loom it only lets others run.
    pub(crate) fn sleep(length: Duration) {
        #[cfg(not(loom))]
        std::thread::sleep(length);
        #[cfg(loom)]
        park_timeout(length);
    }
}

/// A number that orders nothing: a statistic, or a note that the token holder keeps for the next one. std's also under
/// loom, which so need not explore it.
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

    #[inline]
    pub(crate) fn take_off(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::Relaxed);
    }

    /// For a number with a single writer at a time.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Counts one on and gives the number before: unique among callers.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A small note that the token holder keeps for the next one; see [`Count`].
#[derive(Debug, Default)]
pub(crate) struct Tally(std::sync::atomic::AtomicU8);

// SAFETY: an atomic integer, for which zero bytes are the value 0.
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

/// A look at a word by the one thread that may write it now.
///
/// loom remembers only the last access to a word when it looks for races to explore, so a writer's own load just before
/// its store would hide other threads' loads before that. There this look is no access at all.
#[inline(always)]
pub(crate) fn own(word: &AtomicU64) -> u64 {
    #[cfg(not(loom))]
    return word.load(Ordering::Relaxed);
    // SAFETY: nobody else writes the word meanwhile; loom checks that.
    #[cfg(loom)]
    unsafe {
        word.unsync_load()
    }
}

/// An Acquire look at a word that this thread is about to change by a compare-and-swap.
///
/// Under loom it is a swap that fails, for the reason given at [`own`]: exploring treats it as a write.
#[inline(always)]
pub(crate) fn look_before_swap(word: &AtomicU64) -> u64 {
    #[cfg(not(loom))]
    return word.load(Ordering::Acquire);
    #[cfg(loom)]
    word.compare_exchange(u64::MAX, u64::MAX, Ordering::AcqRel, Ordering::Acquire).unwrap_or_else(|found| found)
}

/// A place whose accesses are licensed by the ring's protocol; entered only through closures, so that loom sees each.
#[derive(Debug)]
pub(crate) struct Cell<T>(#[cfg(loom)] loom::cell::UnsafeCell<T>, #[cfg(not(loom))] std::cell::UnsafeCell<T>);

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

/// A hint to fetch the line at an address, by one instruction of each architecture.
macro_rules! prefetch {
    ($(#[$doc:meta])* $name:ident, $x86_64:literal, $aarch64:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name<T>(at: *const T) {
            #[cfg(all(target_arch = "x86_64", not(loom)))]
            // SAFETY: a prefetch is a hint; it reads nothing into the program and cannot fault, whatever the address.
            // Processors of this architecture that do not know it take it for no operation.
            unsafe {
                std::arch::asm!(concat!($x86_64, " [{}]"), in(reg) at, options(nostack, preserves_flags, readonly));
            }
            #[cfg(all(target_arch = "aarch64", not(loom)))]
            // SAFETY: as above.
            unsafe {
                std::arch::asm!(concat!("prfm ", $aarch64, ", [{}]"), in(reg) at, options(nostack, preserves_flags, readonly));
            }
            #[cfg(any(loom, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
            let _ = at;
        }
    };
}

prefetch! {
    /// Asks the processor to fetch the line at this address, to be written to; never faults.
    ///
    /// An atomic read-modify-write waits until the stores before it have got hold of their lines, so whoever claims after he
    /// has written waits for the lines of what he wrote.
    prefetch_to_write, "prefetchw", "pstl1keep"
}

prefetch! {
    /// Asks the processor to fetch the line at this address, to be read; never faults.
    prefetch, "prefetcht0", "pldl1keep"
}
