//! Parts that many records share, and the ledger that counts their bytes once.

use std::fmt;
use std::ops::Deref;
#[cfg(feature = "otlp")]
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// A part that many records share, such as a resource: stored once, freed with its last holder.
///
/// A clone costs one atomic increment and no allocation. Equality and order are those of the
/// values.
pub struct Shared<T>(Arc<Part<T>>);

struct Part<T> {
    value: T,
    /// What the allocator gave for this part, all told.
    bytes: usize,
    /// Set by the one thread that may write `ledger`.
    charged: AtomicBool,
    ledger: OnceLock<Ledger>,
    /// Bytes that were found out later and are not charged yet, and those that are.
    later: AtomicUsize,
    charged_later: AtomicUsize,
}

/// Where a store counts the bytes of [`Shared`] parts that its records hold.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<AtomicUsize>);

impl<T> Shared<T> {
    /// Makes a part of this value; `heap_bytes` is what the value owns on the heap beyond itself.
    pub fn with_heap_bytes(value: T, heap_bytes: usize) -> Self {
        // An `Arc`'s allocation is its two counters and the value.
        let bytes = size_of::<Part<T>>() + 2 * size_of::<usize>() + heap_bytes;
        let (charged, ledger) = (AtomicBool::new(false), OnceLock::new());
        let (later, charged_later) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Part { value, bytes, charged, ledger, later, charged_later }))
    }

    /// Adds bytes that the value turns out to own beyond those that were told: charged with the
    /// others, or at once if they are.
    pub(crate) fn add_heap_bytes(&self, bytes: usize) {
        self.0.later.fetch_add(bytes, Ordering::AcqRel);
        self.0.charge_later();
    }

    /// Charges this part's bytes to the ledger, unless one was charged before: the first store that
    /// is offered a record with this part counts it, until the part is freed. Wait-free.
    pub fn charge(&self, ledger: &Ledger) {
        self.charge_once(ledger);
    }

    /// Charges as [`charge`](Self::charge) does, and returns whether this was the call that did.
    #[inline]
    pub(crate) fn charge_once(&self, ledger: &Ledger) -> bool {
        let part = &*self.0;
        // The load spares the shared line a write at each push. Relaxed: what the flag guards is
        // written by the one thread that wins the swap, and read again only through `OnceLock`,
        // which synchronises by itself.
        if part.charged.load(Ordering::Relaxed) || part.charged.swap(true, Ordering::Relaxed) {
            return false;
        }
        ledger.0.fetch_add(part.bytes, Ordering::Relaxed);
        // The winner alone gets here, so `set` neither fails nor waits.
        let _ = part.ledger.set(ledger.clone());
        part.charge_later();
        true
    }

    /// Returns the bytes that this part takes on the heap, its counters included.
    pub fn heap_bytes(&self) -> usize {
        self.0.bytes
    }

    /// Returns a handle that does not keep the part.
    #[cfg(feature = "otlp")]
    pub(crate) fn downgrade(&self) -> WeakPart<T> {
        WeakPart(Arc::downgrade(&self.0))
    }

    /// Returns whether both are the same part, not only equal ones.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A handle to a part that does not keep it.
#[cfg(feature = "otlp")]
pub(crate) struct WeakPart<T>(Weak<Part<T>>);

#[cfg(feature = "otlp")]
impl<T> WeakPart<T> {
    /// Returns whether somebody still holds the part.
    pub(crate) fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Returns the part, if somebody still holds it.
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
    /// Charges what is to be charged yet, once: whoever takes it from there adds it here.
    fn charge_later(&self) {
        if let Some(ledger) = self.ledger.get() {
            let bytes = self.later.swap(0, Ordering::AcqRel);
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
        self.same(other) || self.0.value == other.0.value
    }
}

impl<T: Eq> Eq for Shared<T> {}

#[cfg(feature = "serde")]
impl<T: serde::Serialize> serde::Serialize for Shared<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.value.serialize(serializer)
    }
}
