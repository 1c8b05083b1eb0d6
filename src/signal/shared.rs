//! Parts that many records share, and the ledger that counts the bytes of each part once.

use std::fmt;
use std::ops::Deref;
#[cfg(feature = "otlp")]
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// A part that many records share, such as a resource. It is stored once, and freed with its last
/// holder.
///
/// Cloning costs one atomic increment and no allocation. Equality compares the values.
pub struct Shared<T>(Arc<Part<T>>);

struct Part<T> {
    value: T,
    /// The bytes of this part's allocations.
    bytes: usize,
    /// Set by the one thread that may write `ledger`.
    charged: AtomicBool,
    ledger: OnceLock<Ledger>,
    /// Bytes reported after the part was created: those not charged yet, and those already charged.
    later: AtomicUsize,
    charged_later: AtomicUsize,
}

/// A counter in which a store counts the bytes of the [`Shared`] parts that its records hold.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<AtomicUsize>);

impl<T> Shared<T> {
    /// Creates a part from this value. `heap_bytes` is the number of bytes that the value owns on
    /// the heap, beyond its own size.
    pub fn with_heap_bytes(value: T, heap_bytes: usize) -> Self {
        // An `Arc` allocates its two counters along with the value.
        let bytes = size_of::<Part<T>>() + 2 * size_of::<usize>() + heap_bytes;
        let (charged, ledger) = (AtomicBool::new(false), OnceLock::new());
        let (later, charged_later) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Part { value, bytes, charged, ledger, later, charged_later }))
    }

    /// Adds bytes that the value owns beyond those given on creation. If the part has been charged,
    /// they are charged at once; otherwise they are charged with the part.
    pub(crate) fn add_heap_bytes(&self, bytes: usize) {
        // Acquire pairs with the Release of the swap in `charge_later`. If that swap comes first in
        // the order of writes to `later`, this call acquires it and so sees the ledger that its
        // thread set before. Otherwise the swap takes these bytes, which are in the word itself.
        // Either way they are charged.
        self.0.later.fetch_add(bytes, Ordering::Acquire);
        self.0.charge_later();
    }

    /// Charges this part's bytes to the ledger, unless the part has been charged before. The first
    /// store that is offered a record with this part therefore counts its bytes, until the part is
    /// freed. Wait-free.
    pub fn charge(&self, ledger: &Ledger) {
        self.charge_once(ledger);
    }

    /// Does what [`charge`](Self::charge) does, and returns whether this call charged the part.
    #[inline]
    pub(crate) fn charge_once(&self, ledger: &Ledger) -> bool {
        let part = &*self.0;
        // The load avoids a write to the shared cache line on each push. Relaxed needs no partner:
        // the flag only elects the thread that sets `ledger`, and `ledger` is read through
        // `OnceLock`, whose own release/acquire pair publishes it.
        if part.charged.load(Ordering::Relaxed) || part.charged.swap(true, Ordering::Relaxed) {
            return false;
        }
        ledger.0.fetch_add(part.bytes, Ordering::Relaxed);
        // Only the thread that won the swap gets here, so `set` neither fails nor waits.
        let _ = part.ledger.set(ledger.clone());
        part.charge_later();
        true
    }

    /// Returns the heap bytes of this part, reference counts included.
    pub fn heap_bytes(&self) -> usize {
        self.0.bytes
    }

    /// Returns a handle that does not keep the part alive.
    #[cfg(feature = "otlp")]
    pub(crate) fn downgrade(&self) -> WeakPart<T> {
        WeakPart(Arc::downgrade(&self.0))
    }

    /// Returns whether both are the same allocation, not only equal.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A handle to a part that does not keep the part alive.
#[cfg(feature = "otlp")]
pub(crate) struct WeakPart<T>(Weak<Part<T>>);

#[cfg(feature = "otlp")]
impl<T> WeakPart<T> {
    /// Returns whether the part is still held.
    pub(crate) fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Returns the part, if it is still held.
    pub(crate) fn upgrade(&self) -> Option<Shared<T>> {
        self.0.upgrade().map(Shared)
    }
}

impl Ledger {
    /// Returns the bytes charged and not yet freed.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl<T> Part<T> {
    /// Charges the bytes in `later` to the ledger, if there is one. The swap takes each byte once,
    /// and the thread that took it charges it.
    fn charge_later(&self) {
        if let Some(ledger) = self.ledger.get() {
            // Release pairs with the Acquire of the `fetch_add` in `add_heap_bytes`. The sums below
            // are Relaxed: they are statistics, and `drop` has exclusive access.
            let bytes = self.later.swap(0, Ordering::Release);
            ledger.0.fetch_add(bytes, Ordering::Relaxed);
            self.charged_later.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl<T> Drop for Part<T> {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger.get() {
            ledger.0.fetch_sub(self.bytes + *self.charged_later.get_mut(), Ordering::Relaxed);
        }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other) || self.0.value == other.0.value
    }
}

impl<T: Eq> Eq for Shared<T> {}

#[cfg(feature = "serde")]
impl<T: serde::Serialize> serde::Serialize for Shared<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.value.serialize(serializer)
    }
}
