//! What changes seldom and is read always: hooks, the eviction stream.

use std::sync::Arc;

/// A value that is replaced whole; readers never wait. arc-swap, which loom cannot see, has a plain lock for stand-in there: no model is about hooks, and what a snapshot holds never changes.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Snapshot<T>(arc_swap::ArcSwap<T>);

#[cfg(not(loom))]
impl<T> Snapshot<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(arc_swap::ArcSwap::from_pointee(value))
    }

    /// The value as it is now; one atomic load and a thread-local debt.
    pub(crate) fn load(&self) -> impl std::ops::Deref<Target = Arc<T>> + use<T> {
        self.0.load()
    }

    /// Replaces the value by a changed copy; `change` may run several times if others change it meanwhile.
    pub(crate) fn update(&self, mut change: impl FnMut(&T) -> T) {
        self.0.rcu(|value| change(value));
    }

    /// Replaces the value if it is still this one; whether it was.
    pub(crate) fn replace(&self, before: &Arc<T>, value: T) -> bool {
        let found = self.0.compare_and_swap(before, Arc::new(value));
        Arc::ptr_eq(&found, before)
    }
}

#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Snapshot<T>(std::sync::RwLock<Arc<T>>);

#[cfg(loom)]
impl<T> Snapshot<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::sync::RwLock::new(Arc::new(value)))
    }

    pub(crate) fn load(&self) -> impl std::ops::Deref<Target = Arc<T>> + use<T> {
        Box::new(Arc::clone(&self.0.read().unwrap()))
    }

    pub(crate) fn update(&self, mut change: impl FnMut(&T) -> T) {
        let mut value = self.0.write().unwrap();
        *value = Arc::new(change(&value));
    }

    pub(crate) fn replace(&self, before: &Arc<T>, new: T) -> bool {
        let mut value = self.0.write().unwrap();
        let same = Arc::ptr_eq(&value, before);
        if same {
            *value = Arc::new(new);
        }
        same
    }
}
