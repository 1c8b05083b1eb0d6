//! Suspending one thread of this process at whatever instruction it has got to, by a signal whose handler does not return.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

static HELD: AtomicBool = AtomicBool::new(false);
static RELEASED: AtomicBool = AtomicBool::new(true);

/// A thread that can be suspended, as long as it runs. One at a time in a process.
#[derive(Clone, Copy, Debug)]
pub struct Suspendable(libc::pthread_t);

/// Stays where it is until released. Nothing here that a handler may not do: atomics, and sleep.
extern "C" fn hold(_: libc::c_int) {
    HELD.store(true, SeqCst);
    while !RELEASED.load(SeqCst) {
        let moment = libc::timespec { tv_sec: 0, tv_nsec: 500_000 };
        // SAFETY: `nanosleep` may be called in a handler; it reads the first argument, which lives, and takes null for the second.
        unsafe { libc::nanosleep(&raw const moment, std::ptr::null_mut()) };
    }
    HELD.store(false, SeqCst);
}

impl Suspendable {
    /// The calling thread.
    pub fn this() -> Self {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            // SAFETY: `sigaction` is plain old data, for which zeroes are a value: no flags, an empty mask.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = hold as *const () as usize;
            // SAFETY: the handler is a function of the signature that `sa_sigaction` without SA_SIGINFO wants, and does what handlers may.
            let failed = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) } != 0;
            assert!(!failed, "SIGUSR1 can be handled: {}", io::Error::last_os_error());
        });
        // SAFETY: it has no preconditions.
        Self(unsafe { libc::pthread_self() })
    }

    /// Suspends it, until the guard is dropped. Returns once it stands.
    ///
    /// # Safety
    /// The thread has not ended.
    pub unsafe fn suspend(self) -> Suspended {
        RELEASED.store(false, SeqCst);
        // SAFETY: the caller knows that the thread has not ended, so its handle is valid.
        let failed = unsafe { libc::pthread_kill(self.0, libc::SIGUSR1) } != 0;
        assert!(!failed, "a running thread takes a signal");
        let until = Instant::now() + Duration::from_secs(60);
        while !HELD.load(SeqCst) {
            assert!(Instant::now() < until, "the thread does not take the signal");
            std::thread::yield_now();
        }
        Suspended(())
    }
}

/// While it lives, a thread is suspended.
#[must_use]
pub struct Suspended(());

impl Drop for Suspended {
    fn drop(&mut self) {
        RELEASED.store(true, SeqCst);
        while HELD.load(SeqCst) {
            std::thread::yield_now();
        }
    }
}
