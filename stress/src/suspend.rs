//! Suspending threads of this process at whatever instruction they have got to, by a signal whose
//! handler does not return.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

static HELD: AtomicUsize = AtomicUsize::new(0);
static RELEASED: AtomicBool = AtomicBool::new(true);

/// A thread that can be suspended, as long as it runs.
#[derive(Clone, Copy, Debug)]
pub struct Suspendable(libc::pthread_t);

/// Stays where it is until released. Nothing here that a handler may not do: atomics, and sleep.
extern "C" fn hold(_: libc::c_int) {
    HELD.fetch_add(1, SeqCst);
    while !RELEASED.load(SeqCst) {
        let moment = libc::timespec { tv_sec: 0, tv_nsec: 500_000 };
        // SAFETY: `nanosleep` may be called in a handler; it reads the first argument, which lives,
        // and takes null for the second.
        unsafe { libc::nanosleep(&raw const moment, std::ptr::null_mut()) };
    }
    HELD.fetch_sub(1, SeqCst);
}

impl Suspendable {
    /// The calling thread.
    pub fn this() -> Self {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            // SAFETY: `sigaction` is plain old data, for which zeroes are a value: no flags, an
            // empty mask.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = hold as *const () as usize;
            // SAFETY: the handler is a function of the signature that `sa_sigaction` without
            // SA_SIGINFO wants, and does what handlers may.
            let failed =
                unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) }
                    != 0;
            assert!(!failed, "SIGUSR1 can be handled: {}", io::Error::last_os_error());
        });
        // SAFETY: `pthread_self` has no preconditions.
        Self(unsafe { libc::pthread_self() })
    }

    /// Suspends the given threads until the guard is dropped. Returns once all are suspended.
    ///
    /// # Safety
    /// None of the threads has ended, and no other thread of this process is suspended.
    pub unsafe fn suspend_all(threads: &[Self]) -> Suspended {
        RELEASED.store(false, SeqCst);
        for thread in threads {
            // SAFETY: the caller knows that the thread has not ended, so its handle is valid.
            let failed = unsafe { libc::pthread_kill(thread.0, libc::SIGUSR1) } != 0;
            assert!(!failed, "a running thread takes a signal");
        }
        let until = Instant::now() + Duration::from_secs(60);
        while HELD.load(SeqCst) < threads.len() {
            assert!(Instant::now() < until, "a thread does not take the signal");
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
