//! Suspends threads of this process at any instruction, with a signal whose handler does not return
//! until they are released.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

static HELD: AtomicUsize = AtomicUsize::new(0);
static RELEASED: AtomicBool = AtomicBool::new(true);

/// A thread that can be suspended, as long as it runs.
#[derive(Clone, Copy, Debug)]
pub struct Suspendable(libc::pthread_t);

/// Holds the thread until it is released. Everything here is async-signal-safe: atomics, and a
/// sleep.
extern "C" fn hold(_: libc::c_int) {
    HELD.fetch_add(1, SeqCst);
    while !RELEASED.load(SeqCst) {
        let moment = libc::timespec { tv_sec: 0, tv_nsec: 500_000 };
        // SAFETY: `nanosleep` is async-signal-safe. It reads the first argument, which is alive,
        // and accepts null for the second.
        unsafe { libc::nanosleep(&raw const moment, std::ptr::null_mut()) };
    }
    HELD.fetch_sub(1, SeqCst);
}

/// Lets each thread that is started from now on have a part of the heap to itself, as far as glibc is
/// the allocator.
///
/// By default, threads share eight parts for each core. A thread that is suspended inside `free`
/// holds the lock of its part. Threads that share it then wait for the suspended one, whatever the
/// store does.
pub fn separate_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` has no preconditions. It changes a limit.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1 << 10);
    }
}

impl Suspendable {
    /// Returns the calling thread.
    pub fn this() -> Self {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            // SAFETY: `sigaction` is plain old data, for which zeroes are a value: no flags, an
            // empty mask.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = hold as *const () as usize;
            // SAFETY: the handler has the signature that `sa_sigaction` requires without
            // SA_SIGINFO, and does only what is async-signal-safe.
            let failed =
                unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) }
                    != 0;
            assert!(!failed, "SIGUSR1 cannot be handled: {}", io::Error::last_os_error());
        });
        // SAFETY: `pthread_self` has no preconditions.
        Self(unsafe { libc::pthread_self() })
    }

    /// Suspends the given threads until the guard is dropped. Returns once all are suspended.
    ///
    /// # Safety
    /// None of the threads may have ended, and no other thread of this process may be suspended.
    pub unsafe fn suspend_all(threads: &[Self]) -> Suspended {
        RELEASED.store(false, SeqCst);
        for thread in threads {
            // SAFETY: the caller guarantees that the thread has not ended, so its handle is valid.
            let failed = unsafe { libc::pthread_kill(thread.0, libc::SIGUSR1) } != 0;
            assert!(!failed, "the signal cannot be sent");
        }
        let until = Instant::now() + Duration::from_secs(60);
        while HELD.load(SeqCst) < threads.len() {
            assert!(Instant::now() < until, "a thread did not handle the signal in time");
            std::thread::yield_now();
        }
        Suspended(())
    }
}

/// A guard that keeps threads suspended until it is dropped.
#[must_use]
pub struct Suspended(());

impl Drop for Suspended {
    fn drop(&mut self) {
        RELEASED.store(true, SeqCst);
        while HELD.load(SeqCst) > 0 {
            std::thread::yield_now();
        }
    }
}
