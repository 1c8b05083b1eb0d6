//! A waker that runs a test's code when it is cloned, woken or dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

type Call = Box<dyn Fn() + Send + Sync>;

/// The code that a waker runs; by default none. The test's own waker, which the store does not
/// know, runs none of it and is not counted.
#[derive(Clone)]
pub struct Foreign(Arc<Calls>);

struct Calls {
    clone: Option<Call>,
    wake: Option<Call>,
    drop: Option<Call>,
    alive: AtomicI64,
    woken: AtomicU64,
}

impl Foreign {
    pub fn new() -> Self {
        Self(Arc::new(Calls {
            clone: None,
            wake: None,
            drop: None,
            alive: AtomicI64::new(0),
            woken: AtomicU64::new(0),
        }))
    }

    fn change(self, change: impl FnOnce(&mut Calls)) -> Self {
        let mut calls = self.0;
        change(Arc::get_mut(&mut calls).expect("the waker is configured before it is used"));
        Self(calls)
    }

    pub fn on_clone(self, call: impl Fn() + Send + Sync + 'static) -> Self {
        self.change(|calls| calls.clone = Some(Box::new(call)))
    }

    pub fn on_wake(self, call: impl Fn() + Send + Sync + 'static) -> Self {
        self.change(|calls| calls.wake = Some(Box::new(call)))
    }

    pub fn on_drop(self, call: impl Fn() + Send + Sync + 'static) -> Self {
        self.change(|calls| calls.drop = Some(Box::new(call)))
    }

    /// Returns the number of live clones of the test's waker.
    pub fn alive(&self) -> i64 {
        self.0.alive.load(Ordering::SeqCst)
    }

    /// Returns the number of wake-ups.
    pub fn woken(&self) -> u64 {
        self.0.woken.load(Ordering::SeqCst)
    }

    /// Returns the test's own waker, to be passed to a poll by reference.
    pub fn waker(&self) -> Waker {
        let data = Arc::into_raw(Arc::clone(&self.0)).cast();
        // SAFETY: the functions of the table treat the data as the pointer of an `Arc`, which it
        // is, and are thread-safe.
        unsafe { Waker::from_raw(RawWaker::new(data, &LENT)) }
    }
}

impl Calls {
    fn call(&self, call: &Option<Call>) {
        if let Some(call) = call {
            call();
        }
    }
}

static LENT: RawWakerVTable = RawWakerVTable::new(clone, wake_lent, |_| (), drop_lent);
static KEPT: RawWakerVTable = RawWakerVTable::new(clone, wake_kept, |_| (), drop_kept);

/// Takes back the `Arc` that a waker owns.
fn own(data: *const ()) -> Arc<Calls> {
    // SAFETY: the data of each waker comes from `Arc::into_raw`, and is taken back once: when the
    // waker is woken by value or dropped.
    unsafe { Arc::from_raw(data.cast()) }
}

fn clone(data: *const ()) -> RawWaker {
    let lender = std::mem::ManuallyDrop::new(own(data));
    let calls = Arc::clone(&lender);
    calls.call(&calls.clone);
    calls.alive.fetch_add(1, Ordering::SeqCst);
    RawWaker::new(Arc::into_raw(calls).cast(), &KEPT)
}

fn wake_kept(data: *const ()) {
    let calls = own(data);
    calls.alive.fetch_sub(1, Ordering::SeqCst);
    calls.woken.fetch_add(1, Ordering::SeqCst);
    calls.call(&calls.wake);
}

fn drop_kept(data: *const ()) {
    let calls = own(data);
    calls.alive.fetch_sub(1, Ordering::SeqCst);
    calls.call(&calls.drop);
}

fn wake_lent(data: *const ()) {
    drop(own(data));
}

fn drop_lent(data: *const ()) {
    drop(own(data));
}
