//! [`Snapshot`]: values that are read often and replaced rarely, such as hooks and the slot map.

use std::sync::Arc;

/// A value that is only ever replaced as a whole. Readers never wait.
///
/// This is `arc_swap::ArcSwap`. Under `--cfg loom` one of std's locks stands in for it. loom
/// explores the accesses of neither. A value in a snapshot never changes; only the snapshot's
/// pointer does.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Snapshot<T>(arc_swap::ArcSwap<T>);

#[cfg(not(loom))]
impl<T> Snapshot<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(arc_swap::ArcSwap::from_pointee(value))
    }

    /// Returns the current value. Costs one atomic load and a thread-local debt slot.
    pub(crate) fn load(&self) -> impl std::ops::Deref<Target = Arc<T>> + use<T> {
        self.0.load()
    }

    /// Replaces the value, whatever it is by now.
    pub(crate) fn store(&self, value: T) {
        self.0.store(Arc::new(value));
    }

    /// Replaces the value by a changed copy.
    ///
    /// `change` runs again whenever another thread has replaced the value in the meantime.
    pub(crate) fn update(&self, mut change: impl FnMut(&T) -> T) {
        self.0.rcu(|value| change(value));
    }

    /// Replaces the value if it still is `before`, and returns whether it was.
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

    pub(crate) fn store(&self, value: T) {
        *self.0.write().unwrap() = Arc::new(value);
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
